//! What the process takes: memory of its own, and time to start.

use std::path::Path;
use std::time::Duration;

use super::growth::FEW_CONTACTS;
use super::{Size, median};
use crate::child::Child;
use crate::closed;
use crate::report::{Better, Row};
use crate::stage::NAMING;
use crate::telphin::{Calls, Lookups};

const CALLS: u64 = 5_000;
const CONNECTIONS: u64 = 64;
const STARTS: usize = 5;

pub fn memory(small: &Path, large: &Path, size: Size) -> anyhow::Result<Vec<Row>> {
    let fresh = Child::serve(small)?;
    let after_start = fresh.anonymous_mb()?;
    drop(fresh);
    let server = Child::serve(large)?;
    closed::run(server.address, Calls::share(NAMING, 500, CONNECTIONS, CALLS), Duration::ZERO, Duration::from_secs(60))?;
    let lookups = (0..CONNECTIONS).map(|k| Lookups::new(NAMING, size.large, 500 + k)).collect();
    closed::run(server.address, lookups, Duration::ZERO, Duration::from_secs(1))?;
    let after_work = server.anonymous_mb()?;
    let row = |what, measured, must, aim, note| Row { name: "memory", what, unit: "MB", better: Better::Lower, measured, must, aim, note };
    Ok(vec![
        row(
            "anonymous memory after the start",
            after_start,
            40.0,
            20.0,
            format!("2 applications of 1,000 agents, {FEW_CONTACTS} contacts"),
        ),
        row("anonymous memory with 1,000,000 contacts, after 5,000 calls", after_work, 120.0, 60.0, "and a second of lookups".into()),
    ])
}

/// Each start follows a kill, so that it recovers what the log of the database holds.
pub fn start(large: &Path) -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for turn in 0..STARTS {
        let server = Child::serve(large)?;
        times.push(server.ready_after.as_secs_f64() * 1_000.0);
        closed::run(server.address, Calls::share(NAMING, 700 + turn as u64, CONNECTIONS, 200), Duration::ZERO, Duration::from_secs(60))?;
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    Ok(Row {
        name: "start",
        what: "start of the process to ready, 1,000,000 stored calls",
        unit: "ms",
        better: Better::Lower,
        measured: median(&times),
        must: 500.0,
        aim: 200.0,
        note: format!("median of {STARTS}, most {most:.0} ms; each after a kill"),
    })
}
