//! Rebuilding calls and legs from the journal, and saying where the stored rows differ.
//!
//! The journal is read in slices of call ids, so that memory stays bounded whatever the number of calls. A call whose first event is no
//! longer kept cannot be rebuilt and is left alone. What a replay never touches: agents, offers, callbacks, deliveries.

use std::collections::BTreeMap;

use crate::domain::call::CallFacts;
use crate::domain::call_log::project;
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::ingest::{fold, raw_of};
use crate::roster::App;
use crate::store::calls::{self, CallRow, LegRow, Stored};
use crate::store::journal::{self, Entry};
use crate::store::{Conn, Db, Durability, Result};

/// Journal rows that one slice holds, about.
const SLICE: i64 = 50_000;

/// One way in which a stored call differs from its rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub call: String,
    pub what: String,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub calls: usize,
    pub differences: Vec<Difference>,
    pub repaired: usize,
    /// Calls that changed while they were compared; another run settles them.
    pub skipped: usize,
    /// Events that cannot be read by this version either.
    pub unreadable: usize,
}

/// Rebuilds every call of an application. `since`: only calls first heard of then or later (the journal before that is pruned).
/// `progress` is told after each slice how many are done of how many.
pub fn run(db: &Db, app: &App, since: Timestamp, write: bool, mut progress: impl FnMut(u64, u64)) -> Result<Report> {
    let rows = db.read_blocking(|conn| journal::count(conn, app.id()))?;
    let bits = (0..=12).find(|b| rows >> b <= SLICE).unwrap_or(12);
    let slices = 1u64 << bits;
    let mut report = Report::default();
    for slice in 0..slices {
        let bound = |n: u64| if n == slices { "g".to_owned() } else { format!("{:03x}", (n << (12 - bits)) as u32) };
        let (from, to) = (bound(slice), bound(slice + 1));
        compare(db, app, since, &from, &to, write, &mut report)?;
        progress(slice + 1, slices);
    }
    Ok(report)
}

fn compare(db: &Db, app: &App, since: Timestamp, from: &str, to: &str, write: bool, report: &mut Report) -> Result<()> {
    // Stored rows first: a call that is written in between then shows as changed, not as different.
    let (stored, legs) = db.read_blocking(|conn| calls::range(conn, app.id(), from, to))?;
    let entries = db.read_blocking(|conn| journal::of_calls(conn, app.id(), from, to))?;
    let rebuilt = rebuild(app, &entries, report);
    let mut stored: BTreeMap<String, (CallRow, CallFacts)> = stored.into_iter().map(|c| (c.0.id.clone(), c)).collect();
    let mut stored_legs: BTreeMap<String, Vec<LegRow>> = BTreeMap::new();
    for leg in legs {
        stored_legs.entry(leg.call_id.clone()).or_default().push(leg);
    }
    for (call, facts) in rebuilt {
        let old = stored.remove(&call);
        let first_heard = old.as_ref().map_or(facts.first_arrived(), |(row, _)| Some(Timestamp(row.first_received_at)));
        if first_heard.is_some_and(|t| t < since) {
            continue;
        }
        report.calls += 1;
        let legs = stored_legs.remove(&call).unwrap_or_default();
        let found = differences(app, &call, &facts, old.as_ref(), &legs);
        if found.is_empty() {
            continue;
        }
        let version = old.as_ref().map_or(0, |(row, _)| row.version);
        if changed_meanwhile(db, app.id(), &call, version)? {
            report.skipped += 1;
            continue;
        }
        if write {
            report.repaired += usize::from(repair(db, app, &call, facts, version, legs)?);
        }
        report.differences.extend(found.into_iter().map(|what| Difference { call: call.clone(), what }));
    }
    for (call, (row, _)) in stored.into_iter().filter(|(_, (row, _))| Timestamp(row.first_received_at) >= since) {
        report.differences.push(Difference { call, what: format!("call {} is stored and has no event in the journal", row.pbx_call_id) });
    }
    Ok(())
}

fn rebuild(app: &App, entries: &[Entry], report: &mut Report) -> BTreeMap<String, CallFacts> {
    let mut calls: BTreeMap<String, CallFacts> = BTreeMap::new();
    for entry in entries {
        match app.with_context(|context| app.pbx.events(raw_of(entry), context)) {
            Ok(reading) => {
                for event in reading.events {
                    let facts = calls.entry(id::call_id(app.id(), &event.call)).or_default();
                    report.unreadable += usize::from(facts.join(&event, Timestamp(entry.received_at)).is_err());
                }
            }
            Err(_) => report.unreadable += 1,
        }
    }
    calls.retain(|_, facts| facts.first_arrived().is_some());
    calls
}

fn changed_meanwhile(db: &Db, app: i64, call: &str, version: i64) -> Result<bool> {
    let now = db.read_blocking(|conn| calls::get(conn, app, call))?.map_or(0, |row| row.version);
    Ok(now != version)
}

/// Says each difference in words: `leg 9f… status: stored busy, rebuilt answered`.
fn differences(app: &App, call: &str, facts: &CallFacts, stored: Option<&(CallRow, CallFacts)>, legs: &[LegRow]) -> Vec<String> {
    let view = project(facts, app.pbx.missed_wait_ms());
    let mut found = Vec::new();
    match stored {
        None => found.push("call: not stored, rebuilt".to_owned()),
        Some((row, old)) => {
            let mut tell = |field: &str, stored: String, rebuilt: String| {
                if stored != rebuilt {
                    found.push(format!("call {field}: stored {stored}, rebuilt {rebuilt}"));
                }
            };
            let text = |o: &Option<String>| o.clone().unwrap_or_else(|| "nothing".into());
            tell("pbx_call_id", row.pbx_call_id.clone(), view.call.pbx_call_id.clone());
            tell("direction", row.direction.clone(), view.call.direction.to_string());
            tell("status", row.status.clone(), view.call.status.to_string());
            tell("number", text(&row.number), text(&view.call.number));
            tell("did", text(&row.did), text(&view.call.did));
            tell("started_at", row.started_at.to_string(), view.call.started_at.0.to_string());
            tell("ended_at", format!("{:?}", row.ended_at), format!("{:?}", view.call.ended_at.map(|t| t.0)));
            if found.is_empty() && old != facts {
                found.push("call facts: differ from the rebuild".into());
            }
        }
    }
    for leg in &view.legs {
        let rebuilt = fold::row(app, call, leg);
        match legs.iter().find(|l| l.leg == leg.key) {
            None => found.push(format!("leg {}: not stored, rebuilt {}", leg.key, leg.status)),
            Some(stored) => {
                let same = LegRow { agent: stored.agent.clone(), callback_id: stored.callback_id.clone(), ..rebuilt };
                if same != *stored {
                    found.push(format!("leg {}: stored {}, rebuilt {}", leg.key, brief(stored), brief(&same)));
                }
            }
        }
    }
    for extra in legs.iter().filter(|l| !view.legs.iter().any(|v| v.key == l.leg)) {
        found.push(format!("leg {}: stored {}, not in the rebuild", extra.leg, brief(extra)));
    }
    found
}

fn brief(leg: &LegRow) -> String {
    format!(
        "{} {} at {} for {} ms (talk {} ms){}",
        leg.direction,
        leg.status,
        Timestamp(leg.started_at).rfc3339(),
        leg.duration_us / 1_000,
        leg.talk_us / 1_000,
        leg.logged_at.map_or(String::new(), |t| format!(", logged {}", Timestamp(t).rfc3339()))
    )
}

/// Writes the rebuild over the stored call, in a transaction of its own; false when the call changed meanwhile.
fn repair(db: &Db, app: &App, call: &str, facts: CallFacts, version: i64, stored: Vec<LegRow>) -> Result<bool> {
    let view = project(&facts, app.pbx.missed_wait_ms());
    let rows: Vec<LegRow> = view.legs.iter().map(|leg| fold::row(app, call, leg)).collect();
    let (id, call) = (app.id(), call.to_owned());
    db.write_blocking(Durability::Full, move |conn: &mut Conn| {
        let now = match calls::lock(conn, id, &call)? {
            Some(stored) => stored,
            // Its legs may be there all the same: they stay where they stand.
            None => Stored::unknown(calls::legs_stored_at(conn, id, &call)?.or(facts.first_arrived()).unwrap_or_default()),
        };
        if now.version != version {
            return Ok(false);
        }
        calls::save(conn, id, &call, &now, &view.call, &facts)?;
        for row in &rows {
            calls::put_leg(conn, now.stored_at, row)?;
        }
        for extra in stored.iter().filter(|l| !rows.iter().any(|r| r.leg == l.leg)) {
            calls::delete_leg(conn, id, now.stored_at, &call, &extra.leg)?;
        }
        Ok(true)
    })
}
