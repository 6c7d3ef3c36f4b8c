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
    let (mut ours, mut bare) = (Speed::default(), Speed::default());
    for turn in 0..size.turns as u64 {
        bare.turn(&reference, (0..ASKING).map(|_| Hellos).collect(), size)?;
        let scripts = (0..ASKING).map(|k| Lookups::new(NAMING, CONTACTS, turn * ASKING + k)).collect();
        ours.turn(server, scripts, size)?;
    }
    let (measured, note) = ours.against(&bare);
    Ok(Row {
        name: "lookup",
        what: "lookup that names a manager, against a bare hello",
        unit: "",
        better: Better::Higher,
        measured,
        must: 0.35,
        aim: 0.60,
        note,
    })
}

/// Two requests a claim: the lookup, and the IVR's hangup that frees the agent again.
pub fn claim(server: &Child, database: &Path, size: Size) -> anyhow::Result<Row> {
    let mut speed = Speed::default();
    for turn in 0..size.turns as u64 {
        speed.turn(server, Claims::share(CLAIMING, CONTACTS, 10 + turn, TELLING, Part::Both), size)?;
    }
    let held = fill::count(database, "agent_states WHERE claim_call IS NOT NULL")?;
    ensure!(held == 0, "{held} agents are still claimed although every call has ended");
    Ok(Row {
        name: "claim",
        what: "lookups that claim, each freed by the IVR's hangup",
        unit: "/s",
        better: Better::Higher,
        measured: median(&speed.per_second),
        must: 10_000.0,
        aim: 25_000.0,
        note: format!("{:.0} µs of CPU with its event", median(&speed.cpu_us)),
    })
}

pub fn events(server: &Child, database: &Path, stage: &Stage, size: Size) -> anyhow::Result<Row> {
    let reference = Child::ingest(&stage.path("reference"))?;
    let legs = || fill::count(database, "legs WHERE status = 'answered' AND logged_at IS NOT NULL");
    let entries = || fill::count(database, "journal");
    let (legs_before, entries_before) = (legs()?, entries()?);
    let (mut ours, mut bare) = (Speed::default(), Speed::default());
    for turn in 0..size.turns as u64 {
        bare.turn(&reference, Calls::share(CLAIMING, 20 + turn, TELLING, u64::MAX), size)?;
        ours.turn(server, Calls::share(CLAIMING, 20 + turn, TELLING, u64::MAX), size)?;
    }
    let (calls, told) = (legs()? - legs_before, entries()? - entries_before);
    ensure!(told == 4 * calls && calls > 0, "{told} events are stored, and {calls} legs: every call has four and one");
    let open = fill::count(database, "live_legs")?;
    ensure!(open == 0, "{open} legs are still live although every call has ended");
    let (measured, note) = ours.against(&bare);
    Ok(Row {
        name: "events",
        what: "events acknowledged and applied, against bare durable ingest",
        unit: "",
        better: Better::Higher,
        measured,
        must: 0.25,
        aim: 0.50,
        note: format!("{note}; {calls} legs found"),
    })
}

/// What turns came to: how many a second, and the processor time that each took, microseconds. The latter hardly depends on what else the
/// machine does.
#[derive(Default)]
struct Speed {
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Speed {
    fn turn<S: Script + 'static>(&mut self, child: &Child, scripts: Vec<S>, size: Size) -> anyhow::Result<()> {
        let before = child.cpu()?;
        let measured = closed::run(child.address, scripts, WARM_UP, size.turn)?;
        let cpu = child.cpu()? - before;
        self.per_second.push(measured.per_second());
        self.cpu_us.push(cpu.as_secs_f64() * 1e6 / measured.total as f64);
        Ok(())
    }

    fn against(&self, bare: &Speed) -> (f64, String) {
        let (ours, theirs) = (median(&self.per_second), median(&bare.per_second));
        let note = format!("{ours:.0}/s of {theirs:.0}/s; {:.0} µs of CPU, bare {:.0} µs", median(&self.cpu_us), median(&bare.cpu_us));
        (ours / theirs, note)
    }
}
