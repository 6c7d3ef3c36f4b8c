//! How much gets through, against a bare reference in turns with it.

use std::path::Path;

use anyhow::ensure;

use super::{CONTACTS, Size, WARM_UP, median};
use crate::child::Child;
use crate::closed::{self, Script};
use crate::fill;
use crate::report::{Better, Row};
use crate::stage::{CLAIMING, NAMING, Stage};
use crate::telphin::{Calls, Claims, Hellos, Lookups, Part};

/// Connections that ask; a PBX keeps some tens open.
const ASKING: u64 = 64;
/// Connections that tell: as many as share one commit.
const TELLING: u64 = 256;

pub fn lookup(server: &Child, size: Size) -> anyhow::Result<Row> {
    let reference = Child::hello()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for turn in 0..size.turns as u64 {
        bare.push(speed(&reference, (0..ASKING).map(|_| Hellos).collect(), size)?);
        let scripts = (0..ASKING).map(|k| Lookups::new(NAMING, CONTACTS, turn * ASKING + k)).collect();
        ours.push(speed(server, scripts, size)?);
    }
    let (ours, bare) = (median(&ours), median(&bare));
    Ok(Row {
        name: "lookup",
        what: "lookup that names a manager, against a bare hello",
        unit: "",
        better: Better::Higher,
        measured: ours / bare,
        must: 0.35,
        aim: 0.60,
        note: format!("{ours:.0}/s of {bare:.0}/s"),
    })
}

/// Two requests a claim: the lookup, and the IVR's hangup that frees the agent again.
pub fn claim(server: &Child, database: &Path, size: Size) -> anyhow::Result<Row> {
    let mut speeds = Vec::new();
    for turn in 0..size.turns as u64 {
        speeds.push(speed(server, Claims::share(CLAIMING, CONTACTS, 10 + turn, TELLING, Part::Both), size)?);
    }
    let held = fill::count(database, "agent_states WHERE claim_call IS NOT NULL")?;
    ensure!(held == 0, "{held} agents are still claimed although every call has ended");
    Ok(Row {
        name: "claim",
        what: "lookups that claim, each freed by the IVR's hangup",
        unit: "/s",
        better: Better::Higher,
        measured: median(&speeds),
        must: 10_000.0,
        aim: 25_000.0,
        note: "as many events stored and applied beside them".into(),
    })
}

pub fn events(server: &Child, database: &Path, stage: &Stage, size: Size) -> anyhow::Result<Row> {
    let reference = Child::ingest(&stage.path("reference"))?;
    let legs = || fill::count(database, "legs WHERE status = 'answered' AND logged_at IS NOT NULL");
    let entries = || fill::count(database, "journal");
    let (legs_before, entries_before) = (legs()?, entries()?);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for turn in 0..size.turns as u64 {
        bare.push(speed(&reference, Calls::share(CLAIMING, 20 + turn, TELLING, u64::MAX), size)?);
        ours.push(speed(server, Calls::share(CLAIMING, 20 + turn, TELLING, u64::MAX), size)?);
    }
    let (calls, told) = (legs()? - legs_before, entries()? - entries_before);
    ensure!(told == 4 * calls && calls > 0, "{told} events are stored, and {calls} legs: every call has four and one");
    let open = fill::count(database, "live_legs")?;
    ensure!(open == 0, "{open} legs are still live although every call has ended");
    let (ours, bare) = (median(&ours), median(&bare));
    Ok(Row {
        name: "events",
        what: "events acknowledged and applied, against bare durable ingest",
        unit: "",
        better: Better::Higher,
        measured: ours / bare,
        must: 0.25,
        aim: 0.50,
        note: format!("{ours:.0}/s of {bare:.0}/s; {calls} legs found"),
    })
}

fn speed<S: Script + 'static>(child: &Child, scripts: Vec<S>, size: Size) -> anyhow::Result<f64> {
    Ok(closed::run(child.address, scripts, WARM_UP, size.turn)?.per_second())
}
