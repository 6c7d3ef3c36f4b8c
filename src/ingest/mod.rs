//! From a PBX's event to its effect.
//!
//! What it promises: an event that was acknowledged is on the disk and applied, once, and whoever asks afterwards sees its effect. In one
//! transaction: the journal row (the same event again ends here), the fold of the call and its legs, the agents and offers concerned, the
//! callback concerned. An event that cannot be read, or whose fold fails, keeps its raw row with the reason.

pub mod callback;
pub mod engagement;
pub mod fold;
pub mod replay;

use std::sync::Arc;

use crate::domain::event::CallEvent;
use crate::domain::id;
use crate::domain::time::{Clock, Timestamp};
use crate::pbx::{Raw, Reading};
use crate::roster::App;
use crate::store::journal::{self, Entry};
use crate::store::{Conn, Db, Durability, Result, StoreError};

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored and applied.
    Applied,
    /// The same event was there already.
    Duplicate,
    /// Kept raw, with the reason; nothing was applied.
    Unreadable(String),
}

/// Reads, stores and applies one delivery of an event hook.
///
/// # Errors
/// The store could not keep it: the PBX must not be told that it was.
pub async fn accept(db: &Db, app: &Arc<App>, raw: Raw<'_>, clock: &Clock) -> Result<Accepted> {
    let reading = app.with_context(|context| app.pbx.events(raw, context));
    let (entry, events, reason) = match reading {
        Ok(reading) => (entry(app, raw, &reading, None), reading.events, None),
        Err(unreadable) => {
            let nothing = Reading { at: 0, digest: id::digest(&[raw.hook.as_bytes(), raw.query.as_bytes(), raw.body]), events: Vec::new() };
            (entry(app, raw, &nothing, Some(unreadable.0.clone())), Vec::new(), Some(unreadable.0))
        }
    };
    let (app, clock) = (app.clone(), clock.clone());
    let applied = db.write(Durability::Full, move |conn| apply(conn, &app, entry.clone(), &events, clock.now())).await?;
    Ok(match reason {
        Some(reason) => Accepted::Unreadable(reason),
        None => applied,
    })
}

/// The part inside the transaction. The arrival time is taken here, by the one who writes, so that it follows the order of the commits.
pub fn apply(conn: &mut Conn, app: &App, mut entry: Entry, events: &[CallEvent], now: Timestamp) -> Result<Accepted> {
    entry.received_at = now.0;
    if !journal::insert(conn, &entry)? {
        return Ok(Accepted::Duplicate);
    }
    if events.is_empty() {
        return Ok(Accepted::Applied);
    }
    let folded = conn.savepoint(|conn| {
        for event in events {
            fold::event(conn, app, event, now)?;
        }
        Ok(())
    });
    match folded {
        Ok(()) => Ok(Accepted::Applied),
        // Its own fault: keep it and say why. The database's fault: the whole job fails and the PBX is told.
        Err(StoreError::Refused(reason) | StoreError::Unreadable(reason)) => {
            tracing::error!(app = app.id(), reason, "an event could not be applied; its journal row has the reason");
            journal::set_error(conn, &entry, &reason)?;
            Ok(Accepted::Unreadable(reason))
        }
        Err(error) => Err(error),
    }
}

fn entry(app: &App, raw: Raw<'_>, reading: &Reading, error: Option<String>) -> Entry {
    let mut bytes = Vec::with_capacity(raw.query.len() + raw.body.len() + 1);
    bytes.extend_from_slice(without_key(raw.query).as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(raw.body);
    Entry {
        application: app.id(),
        at: reading.at,
        digest: reading.digest,
        received_at: 0,
        hook: raw.hook.to_owned(),
        call_id: reading.events.first().map(|e| id::call_id(app.id(), &e.call)),
        content_type: raw.content_type.chars().take(200).collect(),
        raw: bytes,
        error,
    }
}

/// The query without the hook's secret, which the journal must not hold.
fn without_key(query: &str) -> String {
    if !query.contains("key=") {
        return query.to_owned();
    }
    query.split('&').filter(|pair| !pair.starts_with("key=")).collect::<Vec<_>>().join("&")
}

/// A journal row as the adapter read it first.
pub fn raw_of(entry: &Entry) -> Raw<'_> {
    let at = entry.raw.iter().position(|b| *b == b'\n').unwrap_or(0);
    Raw {
        hook: &entry.hook,
        query: std::str::from_utf8(&entry.raw[..at]).unwrap_or_default(),
        content_type: &entry.content_type,
        body: entry.raw.get(at + 1..).unwrap_or_default(),
    }
}
