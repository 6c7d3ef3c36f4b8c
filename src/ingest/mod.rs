//! From a PBX's event to its effect.
//!
//! What it promises: an event that was acknowledged is on the disk and applied, once, and whoever asks afterwards sees its effect. In one
//! transaction: the journal row (the same event again ends here), the fold of the call and its legs, the agents and offers concerned, the
//! callback concerned. An event that cannot be read, or whose fold is refused, keeps its raw row with the reason.

pub mod callback;
pub mod engagement;
pub mod fold;
pub mod history;
pub mod presence;
pub mod queue;
pub mod replay;

use std::sync::Arc;

use crate::domain::event::CallEvent;
use crate::domain::id;
use crate::domain::time::{Clock, Timestamp};
use crate::pbx::{HookKind, Raw, Reading, Unreadable};
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

/// A delivery and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub accepted: Accepted,
    /// The PBX's ids and the kind of the event, for the log.
    pub call: Option<String>,
    pub leg: Option<String>,
    pub kind: Option<&'static str>,
}

/// Reads, stores and applies one delivery of an event hook.
///
/// # Errors
/// The store could not keep it: the PBX must not be told that it was.
pub async fn accept(db: &Db, app: &Arc<App>, raw: Raw<'_>, kind: HookKind, clock: &Clock) -> Result<Delivery> {
    keep(db, app, raw, kind, clock, app.with_context(|context| app.pbx.events(raw, context))).await
}

/// Keeps a delivery that did not come as it must, as far as it came, with the reason.
///
/// # Errors
/// As [`accept`].
pub async fn refuse(db: &Db, app: &Arc<App>, raw: Raw<'_>, kind: HookKind, clock: &Clock, reason: &str) -> Result<Delivery> {
    keep(db, app, raw, kind, clock, Err(Unreadable(reason.to_owned()))).await
}

async fn keep(
    db: &Db,
    app: &Arc<App>,
    raw: Raw<'_>,
    kind: HookKind,
    clock: &Clock,
    reading: std::result::Result<Reading, Unreadable>,
) -> Result<Delivery> {
    let (reading, reason) = match reading {
        Ok(reading) => (reading, None),
        Err(unreadable) => {
            let digest = id::digest(&[raw.hook.as_bytes(), raw.query.as_bytes(), raw.body]);
            (Reading { at: 0, digest, events: Vec::new(), agent: None }, Some(unreadable.0))
        }
    };
    let entry = entry(app, raw, &reading, reason.clone());
    let (events, agent) = (reading.events, reading.agent);
    let first = events.first();
    let (call, leg) = (first.map(|e| e.call.clone()), first.and_then(|e| e.what.sub_call_id()).map(str::to_owned));
    let name = first.map(|e| e.what.name());
    // A login that comes twice in a day is twice news: without a time of its own, an event of an agent is told apart by ours.
    let stamp = kind == HookKind::AgentEvent && reason.is_none();
    let (app, clock) = (app.clone(), clock.clone());
    let dated =
        move |entry: &Entry, now: Timestamp| Entry { at: if stamp { now.0 } else { entry.at }, received_at: now.0, ..entry.clone() };
    let (kept, its_clock) = (entry.clone(), clock.clone());
    let applied = db.write(Durability::Full, move |conn| {
        let entry = dated(&entry, clock.now());
        let applied = apply(conn, &app, &entry, &events)?;
        if let (Accepted::Applied, Some(report)) = (&applied, &agent) {
            presence::report(conn, &app, report, Timestamp(entry.received_at))?;
        }
        Ok(applied)
    });
    let applied = applied.await;
    let applied = match applied {
        // The event's own fault, and all of its work is undone: it is kept raw, with the reason.
        Err(StoreError::Refused(reason) | StoreError::Unreadable(reason)) => {
            tracing::error!(app = kept.application, reason, "an event could not be applied; its journal row has the reason");
            let error = Some(reason.clone());
            let job = move |conn: &mut Conn| journal::insert(conn, &Entry { error: error.clone(), ..dated(&kept, its_clock.now()) });
            db.write(Durability::Full, job).await?;
            Accepted::Unreadable(reason)
        }
        other => other?,
    };
    let accepted = match reason {
        Some(reason) => Accepted::Unreadable(reason),
        None => applied,
    };
    Ok(Delivery { accepted, call, leg, kind: name })
}

/// The part inside the transaction. The arrival time is taken by the one who writes, so that it follows the order of the commits.
///
/// # Errors
/// The fold failed: everything here must be undone.
pub fn apply(conn: &mut Conn, app: &App, entry: &Entry, events: &[CallEvent]) -> Result<Accepted> {
    if !journal::insert(conn, entry)? {
        // What could not be applied is not there, however often it is sent.
        return Ok(journal::error_of(conn, entry)?.map_or(Accepted::Duplicate, Accepted::Unreadable));
    }
    for event in events {
        fold::event(conn, app, event, Timestamp(entry.received_at))?;
    }
    Ok(Accepted::Applied)
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
    query.split('&').filter(|pair| !names_key(pair)).collect::<Vec<_>>().join("&")
}

/// True for `key=…`, and for `%6Bey=…`, which means the same.
fn names_key(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    name == "key"
        || (name.contains('%') && serde_urlencoded::from_str(name).is_ok_and(|p: Vec<(String, String)>| p.iter().any(|(n, _)| n == "key")))
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
