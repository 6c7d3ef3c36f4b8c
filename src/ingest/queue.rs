//! How queues follow a call: who answered, and when it ended.
//!
//! A call's time in a queue ends with what the call's facts say. It is drawn from them anew with each event, so that an answer that comes
//! after the end is an answer all the same; the entry says "abandoned" only as long as nobody is known to have answered.

use super::fold::Change;
use crate::domain::call_log::LegView;
use crate::domain::event::{CallEvent, Direction, What};
use crate::domain::id;
use crate::domain::queue::EntryOutcome;
use crate::domain::time::Timestamp;
use crate::pbx::Raw;
use crate::roster::App;
use crate::store::journal::Entry;
use crate::store::{Conn, Result, StoreError, routed};

pub const FORM: &str = "application/x-www-form-urlencoded";

/// The first question about a call is the news that it came: it begins the call's log.
pub fn arrived(conn: &mut Conn, app: &App, call: &str, from: &str, to: Option<&str>, now: Timestamp) -> Result<()> {
    let fields = [("call", call), ("from", from), ("to", to.unwrap_or_default())];
    tell(conn, app, "route", &fields, now)
}

/// Nothing is heard of a call any more: as if the PBX had told its end.
pub fn silenced(conn: &mut Conn, app: &App, call: &str, place: &str, now: Timestamp) -> Result<()> {
    let fields = [("event", "hangup"), ("call", call), ("place", place), ("by", "silence")];
    tell(conn, app, "event", &fields, now)
}

/// Writes an event of our own into the journal, in the PBX's words, so that a replay reads it like any other, and applies it.
fn tell(conn: &mut Conn, app: &App, hook: &str, fields: &[(&str, &str)], now: Timestamp) -> Result<()> {
    let body = serde_urlencoded::to_string(fields).map_err(|e| StoreError::Refused(e.to_string()))?;
    let raw = Raw { hook, query: "", content_type: FORM, body: body.as_bytes() };
    let reading = app.with_context(|context| app.pbx.events(raw, context)).map_err(|e| StoreError::Refused(e.to_string()))?;
    let events: Vec<CallEvent> = reading.events;
    let entry = Entry {
        application: app.id(),
        // Each silence is news of its own.
        at: if hook == "event" { now.0 } else { 0 },
        digest: reading.digest,
        received_at: now.0,
        hook: hook.to_owned(),
        call_id: events.first().map(|e| id::call_id(app.id(), &e.call)),
        content_type: FORM.into(),
        raw: [b"\n", body.as_bytes()].concat(),
        error: None,
    };
    super::apply(conn, app, &entry, &events)?;
    Ok(())
}

pub fn follow(conn: &mut Conn, app: &App, change: &Change<'_>, now: Timestamp) -> Result<()> {
    if !app.pbx.asks_again() || change.events.iter().all(|e| matches!(e.what, What::Touched)) {
        return Ok(());
    }
    let Some(mut row) = routed::get(conn, app.id(), change.call)? else { return Ok(()) };
    let before = row.clone();
    let answered = change.after.legs.iter().filter(|l| l.direction == Direction::In && l.was_answered()).min_by_key(|l| l.started_at);
    let over = change.after.call.ended_at.is_some();
    if row.entry > 0 {
        follow_entry(conn, app, change, &row, answered, over, now)?;
    }
    if answered.is_some() || over {
        row.waiting = false;
        // While people talk nobody asks.
        row.silent_at = i64::MAX;
        row.ended_at = if over { row.ended_at.or(Some(now.0)) } else { None };
    }
    if row != before {
        routed::save(conn, &row)?;
    }
    Ok(())
}

fn follow_entry(
    conn: &mut Conn,
    app: &App,
    change: &Change<'_>,
    row: &routed::RoutedCall,
    answered: Option<&LegView>,
    over: bool,
    now: Timestamp,
) -> Result<()> {
    let Some(entry) = routed::entry(conn, app.id(), change.call, row.entry)? else { return Ok(()) };
    if !entry.may_be_answered() {
        return Ok(());
    }
    let mut news = entry.clone();
    match answered {
        Some(leg) => {
            // By our own clock: the wait is from question to answer.
            let facts = change.facts.legs.get(&leg.key);
            let told = facts.and_then(|f| f.answered).map(|a| a.arrived.0);
            let at = told.unwrap_or_else(|| leg.end_arrived.unwrap_or(now).0 - leg.talk_us);
            news.outcome = Some(EntryOutcome::Answered.as_str().into());
            news.agent = leg.extension.as_deref().and_then(|e| app.agent_of(e)).map(|a| a.id.clone());
            news.answered_at = Some(at.max(entry.joined_at));
            news.ended_at = news.answered_at;
            news.talk_us = leg.talk_us;
        }
        None if over && entry.outcome.is_none() => {
            (news.outcome, news.ended_at) = (Some(EntryOutcome::Abandoned.as_str().into()), Some(now.0));
        }
        None => {}
    }
    if news != entry {
        routed::save_entry(conn, &news)?;
    }
    Ok(())
}
