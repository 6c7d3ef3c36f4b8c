//! How much longer things take when much is stored: the same work on a small and on a large database, in turns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;

use super::{Size, WARM_UP, median};
use crate::child::Child;
use crate::closed;
use crate::fill;
use crate::report::{Better, Row};
use crate::stage::{NAMING, Stage};
use crate::telphin::{Calls, Lookups};

/// Calls that the product itself stores, to be copied.
const PATTERN: u64 = 1_000;
/// Calls of a turn: a number instead of a time, so that the small database stays small.
const CALLS: u64 = 4_000;
const CONNECTIONS: u64 = 64;
const LONG: Duration = Duration::from_secs(120);
pub const FEW_CONTACTS: u64 = 1_000;

/// Makes a database with so many contacts and stored calls.
pub fn database(stage: &Stage, name: &str, contacts: u64, calls: u64) -> anyhow::Result<PathBuf> {
    let path = stage.database(name, contacts)?;
    let server = Child::serve(&path)?;
    closed::run(server.address, Calls::share(NAMING, 1, CONNECTIONS, PATTERN), Duration::ZERO, LONG)?;
    drop(server);
    fill::calls(&path, calls)?;
    let stored = fill::count(&path, "calls")?;
    ensure!(stored as u64 == calls, "{stored} calls are stored, not {calls}");
    Ok(path)
}

pub fn growth(small: &Path, large: &Path, size: Size) -> anyhow::Result<Vec<Row>> {
    let (few, many) = (Child::serve(small)?, Child::serve(large)?);
    Ok(vec![lookups(&few, &many, size)?, events(&few, &many, size)?])
}

fn lookups(few: &Child, many: &Child, size: Size) -> anyhow::Result<Row> {
    let time = |child: &Child, contacts, turn| -> anyhow::Result<f64> {
        let scripts = (0..CONNECTIONS).map(|k| Lookups::new(NAMING, contacts, turn * CONNECTIONS + k)).collect();
        Ok(1e6 / closed::run(child.address, scripts, WARM_UP, size.turn)?.per_second())
    };
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for turn in 0..size.turns as u64 {
        short.push(time(few, FEW_CONTACTS, turn)?);
        long.push(time(many, size.large, turn)?);
    }
    Ok(row("time of a lookup, 1,000 to 1,000,000 contacts", median(&short), median(&long)))
}

fn events(few: &Child, many: &Child, size: Size) -> anyhow::Result<Row> {
    let time = |child: &Child, turn| -> anyhow::Result<f64> {
        let scripts = Calls::share(NAMING, 100 + turn, CONNECTIONS, CALLS);
        Ok(1e6 / closed::run(child.address, scripts, Duration::ZERO, LONG)?.per_second())
    };
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for turn in 0..size.turns as u64 {
        short.push(time(few, turn)?);
        long.push(time(many, turn)?);
    }
    Ok(row("time of an event, 10,000 to 1,000,000 stored calls", median(&short), median(&long)))
}

fn row(what: &'static str, short: f64, long: f64) -> Row {
    Row {
        name: "growth",
        what,
        unit: "times",
        better: Better::Lower,
        measured: long / short,
        must: 1.3,
        aim: 1.1,
        note: format!("{short:.1} µs to {long:.1} µs"),
    }
}
