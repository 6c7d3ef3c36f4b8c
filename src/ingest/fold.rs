//! The fold of one event into its call, and the rows that follow from it.
//!
//! In this order: lock the call, join the event to its facts, write the call, its legs and live legs as far as they changed, then let the
//! agents and offers follow, then the callback. Rows are locked in the order call, agents (by id), so that no two transactions wait for
//! each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{callback, engagement, queue};
use crate::domain::call::CallFacts;
use crate::domain::call_log::{LegView, Projection, project};
use crate::domain::event::{CallEvent, What};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::store::calls::{self, LegRow, Stored};
use crate::store::live::{self, LiveLeg};
use crate::store::{Conn, Result, StoreError, offers};

/// A leg that rings is asked about after this long, and taken for lost.
pub const RING_CHECK_S: i64 = 120;
/// A leg that talks is asked about after this long.
pub const TALK_CHECK_S: i64 = 600;

/// What the events changed.
pub struct Change<'a> {
    pub call: &'a str,
    pub events: &'a [CallEvent],
    pub facts: &'a CallFacts,
    pub before: &'a Projection,
    pub after: &'a Projection,
}

pub fn event(conn: &mut Conn, app: &App, event: &CallEvent, now: Timestamp) -> Result<()> {
    together(conn, app, std::slice::from_ref(event), now, |_, _| Ok(true)).map(drop)
}

/// Folds events of one call at once. `wanted` is asked before anything is written, with the pictures before and after, whether it shall be;
/// the answer is whether it was.
pub fn together(
    conn: &mut Conn,
    app: &App,
    events: &[CallEvent],
    now: Timestamp,
    wanted: impl FnOnce(&mut Conn, &Change<'_>) -> Result<bool>,
) -> Result<bool> {
    let Some(first) = events.first() else { return Ok(false) };
    let call = id::call_id(app.id(), &first.call);
    if app.pbx.asks_again() {
        // Questions about the call move its row too: one after the other, and always in this order of locks.
        offers::lock_call(conn, &call)?;
    }
    let stored = match calls::lock(conn, app.id(), &call)? {
        None if !calls::ensure(conn, app.id(), &call, now)? => calls::lock(conn, app.id(), &call)?,
        found => found,
    };
    let stored = stored.unwrap_or_else(|| Stored::unknown(now));
    let facts = joined(&stored.facts, events, now)?;
    if facts == stored.facts {
        return Ok(false);
    }
    let wait = app.pbx.missed_wait_ms();
    let before = project(&stored.facts, wait);
    let after = project(&facts, wait);
    let change = Change { call: &call, events, facts: &facts, before: &before, after: &after };
    if !wanted(conn, &change)? {
        return Ok(false);
    }
    calls::save(conn, app.id(), &call, &stored, &after.call, &facts)?;
    write_legs(conn, app, stored.stored_at, &change)?;
    let extensions = write_live(conn, app, &change)?;
    engagement::follow(conn, app, &change, &extensions, now)?;
    queue::follow(conn, app, &change, now)?;
    for extension in legs_on(events) {
        callback::follow(conn, app, &change, extension, now)?;
    }
    Ok(true)
}

/// The facts with these events.
pub fn joined(old: &CallFacts, events: &[CallEvent], now: Timestamp) -> Result<CallFacts> {
    let mut facts = old.clone();
    for event in events {
        facts.join(event, now).map_err(|e| StoreError::Refused(e.to_string()))?;
    }
    Ok(facts)
}

/// The extensions whose legs the events are about, each once.
fn legs_on(events: &[CallEvent]) -> BTreeSet<&str> {
    let legs = events.iter().filter_map(|e| if let What::Leg(leg) = &e.what { leg.extension.as_ref() } else { None });
    legs.map(|extension| extension.value.as_str()).collect()
}

fn write_legs(conn: &mut Conn, app: &App, call_stored_at: i64, change: &Change<'_>) -> Result<()> {
    let before: BTreeMap<&str, &LegView> = change.before.legs.iter().map(|l| (l.key.as_str(), l)).collect();
    for leg in &change.after.legs {
        if before.get(leg.key.as_str()) != Some(&leg) {
            calls::put_leg(conn, call_stored_at, &row(app, change.call, leg))?;
        }
    }
    for gone in change.before.legs.iter().filter(|l| !change.after.legs.iter().any(|a| a.key == l.key)) {
        calls::delete_leg(conn, app.id(), call_stored_at, change.call, &gone.key)?;
    }
    Ok(())
}

/// A leg's row, with the agent whose phone it is on.
pub fn row(app: &App, call: &str, leg: &LegView) -> LegRow {
    let agent = leg.extension.as_deref().and_then(|e| app.agent_of(e)).map(|a| a.id.clone());
    LegRow::from_view(app.id(), call, leg, agent)
}

/// Keeps the live legs in step; returns the extensions on which something changed.
fn write_live(conn: &mut Conn, app: &App, change: &Change<'_>) -> Result<Vec<String>> {
    let mut extensions = Vec::new();
    for leg in change.after.legs.iter().filter(|l| !l.is_missed_row()) {
        let was = change.before.legs.iter().find(|l| l.key == leg.key);
        let (before, after) = (was.and_then(occupied), occupied(leg));
        if before == after {
            continue;
        }
        match after {
            Some((extension, answered)) => {
                let since = if answered { leg.answer_heard } else { leg.heard }.map_or(0, |t| t.0);
                let check_s = if answered { TALK_CHECK_S } else { RING_CHECK_S };
                live::put(
                    conn,
                    &LiveLeg {
                        application: app.id(),
                        call_id: change.call.to_owned(),
                        leg: leg.key.clone(),
                        extension: extension.to_owned(),
                        answered,
                        since,
                        check_at: Timestamp(since).plus_s(check_s).0,
                        given_up: false,
                    },
                )?;
            }
            None => live::remove(conn, app.id(), change.call, &leg.key)?,
        }
        extensions.extend(before.map(|(e, _)| e.to_owned()));
        extensions.extend(after.map(|(e, _)| e.to_owned()));
    }
    for gone in change.before.legs.iter().filter(|l| !change.after.legs.iter().any(|a| a.key == l.key)) {
        if let Some((extension, _)) = occupied(gone) {
            live::remove(conn, app.id(), change.call, &gone.key)?;
            extensions.push(extension.to_owned());
        }
    }
    extensions.sort();
    extensions.dedup();
    Ok(extensions)
}

/// The extension that a live leg keeps busy, and whether it talks.
fn occupied(leg: &LegView) -> Option<(&str, bool)> {
    let extension = leg.extension.as_deref().filter(|_| leg.live && leg.occupies)?;
    Some((extension, leg.answered_at.is_some()))
}
