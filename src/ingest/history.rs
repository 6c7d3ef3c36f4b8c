//! A record of the PBX's call history, from its JSON to its effect.
//!
//! A record becomes an entry of the journal like any event: kept as it came, read by the adapter, folded into the call's facts by the same
//! join. So a replay rebuilds what was repaired too, an event that comes late simply joins, and the same record again changes nothing.
//! Three things are its own. Its facts stay apart from the events' ([`crate::domain::past`] says why). It is kept only when it tells clients
//! something that the events did not: the history of a day without a loss leaves no trace. And it makes nobody wait for a wrap-up that is
//! long over.

use std::sync::Arc;

use serde_json::Value;

use super::{Entry, fold};
use crate::domain::call::CallFacts;
use crate::domain::call_log::{LegView, Projection, project};
use crate::domain::id;
use crate::domain::time::{Clock, Timestamp};
use crate::pbx::{HISTORY_HOOK, Raw, Reading, Unreadable};
use crate::roster::App;
use crate::store::journal;
use crate::store::{Conn, Db, Durability, Result, StoreError, calls};

/// What a record did to the call log, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Our id of the call.
    pub call: String,
    /// The call was not known at all.
    pub new_call: bool,
    /// Rows that the log did not have, that it had with something wrong or missing, and that are no rows of it any more.
    pub added: Vec<LegView>,
    pub corrected: Vec<LegView>,
    pub withdrawn: Vec<LegView>,
}

impl Repair {
    fn of(call: &str, before: &Projection, after: &Projection, new_call: bool) -> Repair {
        let mut repair = Repair { call: call.to_owned(), new_call, ..Repair::default() };
        let rows = |picture: &Projection| picture.legs.iter().filter(|l| l.logged_at.is_some()).cloned().collect::<Vec<_>>();
        for row in rows(after) {
            match before.legs.iter().find(|l| l.key == row.key && l.logged_at.is_some()) {
                None => repair.added.push(row),
                Some(old) if !old.says(&row) => repair.corrected.push(row),
                Some(_) => {}
            }
        }
        let after = rows(after);
        repair.withdrawn = rows(before).into_iter().filter(|l| !after.iter().any(|a| a.key == l.key)).collect();
        repair
    }
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing that was not known.
    NoNews,
    News(Repair),
    /// Kept raw, with the reason.
    Unreadable(String),
}

/// A record as the adapter reads it.
fn read(app: &App, body: &[u8]) -> std::result::Result<Reading, Unreadable> {
    let raw = Raw { hook: HISTORY_HOOK, query: "", content_type: "application/json", body };
    app.with_context(|context| app.pbx.events(raw, context))
}

/// What the record would do. Nothing is written.
pub fn look(conn: &mut Conn, app: &App, record: &Value, now: Timestamp) -> Result<Told> {
    let reading = match read(app, record.to_string().as_bytes()) {
        Ok(reading) => reading,
        Err(unreadable) => return Ok(Told::Unreadable(unreadable.0)),
    };
    let Some(first) = reading.events.first() else { return Ok(Told::NoNews) };
    let call = id::call_id(app.id(), &first.call);
    let stored = calls::facts(conn, app.id(), &call)?;
    let old = stored.clone().unwrap_or_default();
    let facts = match fold::joined(&old, &reading.events, now) {
        Ok(facts) => facts,
        Err(refused) => return Ok(Told::Unreadable(refused.to_string())),
    };
    let view = |facts: &CallFacts| project(facts, app.pbx.missed_wait_ms());
    let (before, after) = (view(&old), view(&facts));
    let new = old.first_arrived().is_none();
    Ok(if before == after { Told::NoNews } else { Told::News(Repair::of(&call, &before, &after, new)) })
}

/// Stores and applies what the record tells.
///
/// # Errors
/// The store could not keep it.
pub async fn accept(db: &Db, app: &Arc<App>, record: &Value, clock: &Clock) -> Result<Told> {
    let body = record.to_string().into_bytes();
    let reading = match read(app, &body) {
        Ok(reading) => reading,
        Err(unreadable) => return keep_unreadable(db, app, body, unreadable.0, clock).await,
    };
    let (its_app, its_clock, raw) = (app.clone(), clock.clone(), body.clone());
    let done = db.write(Durability::Full, move |conn| {
        let now = its_clock.now();
        let mut repair = None;
        fold::together(conn, &its_app, &reading.events, now, |conn, change| {
            if change.before == change.after {
                return Ok(false);
            }
            let entry = Entry { at: reading.at, digest: reading.digest, ..entry(&its_app, &raw, now) };
            journal::insert(conn, &Entry { call_id: Some(change.call.to_owned()), ..entry })?;
            let new_call = change.before.call.pbx_call_id.is_empty();
            repair = Some(Repair::of(change.call, change.before, change.after, new_call));
            Ok(true)
        })?;
        Ok(repair.take())
    });
    match done.await {
        Ok(Some(repair)) => Ok(Told::News(repair)),
        Ok(None) => Ok(Told::NoNews),
        Err(StoreError::Refused(reason) | StoreError::Unreadable(reason)) => keep_unreadable(db, app, body, reason, clock).await,
        Err(error) => Err(error),
    }
}

async fn keep_unreadable(db: &Db, app: &App, body: Vec<u8>, reason: String, clock: &Clock) -> Result<Told> {
    let kept = Entry { error: Some(reason.clone()), ..entry(app, &body, clock.now()) };
    db.write(Durability::Full, move |conn| journal::insert(conn, &kept)).await?;
    Ok(Told::Unreadable(reason))
}

fn entry(app: &App, body: &[u8], now: Timestamp) -> Entry {
    Entry {
        application: app.id(),
        at: 0,
        digest: id::digest(&[HISTORY_HOOK.as_bytes(), body]),
        received_at: now.0,
        hook: HISTORY_HOOK.into(),
        call_id: None,
        content_type: "application/json".into(),
        raw: [b"\n", body].concat(),
        error: None,
    }
}
