//! `hookflash replay`: the journal is the truth, and the calls are compared with it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::progress::Progress;
use super::tools::{Outcome, Tools, missing};
use crate::config::Settings;
use crate::domain::time::Timestamp;
use crate::ingest::replay::{self, Report};
use crate::store::facts;

/// Rebuild calls from the journal and report every difference
///
/// Compares calls, legs and missed calls whose journal is still kept. Agents, callbacks and deliveries are never touched. Status 1 when
/// there is a difference that was not repaired.
#[derive(Args)]
pub struct Replay {
    /// Applications; all when none is named
    #[arg(value_name = "APP")]
    apps: Vec<i64>,
    /// Repair what differs, a call a transaction
    #[arg(long)]
    write: bool,
}

impl Replay {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let tools = Tools::open(&settings)?;
        let snapshot = tools.roster()?;
        let mut ids = self.apps;
        if ids.is_empty() {
            ids = snapshot.apps.keys().copied().chain(snapshot.broken.iter().map(|(id, _)| *id)).collect();
        }
        ids.sort_unstable();
        ids.dedup();
        let mut whole = true;
        for id in ids {
            let app = snapshot.apps.get(&id).ok_or_else(|| missing(&snapshot, id))?;
            let pruned = tools.db.read_blocking(|conn| facts::get(conn, &format!("journal_pruned_before/{id}")))?;
            let since = Timestamp(pruned.and_then(|text| text.parse().ok()).unwrap_or(0));
            let mut progress = Progress::new(1, &format!("application {id} {{wide_bar}} {{percent}}%"));
            let report = replay::run(&tools.db, app, since, self.write, |done, all| progress.of(done, all))?;
            drop(progress);
            print(id, &report, self.write, out)?;
            whole &= is_whole(&report, self.write);
        }
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn differing(report: &Report) -> usize {
    report.differences.iter().map(|d| d.call.as_str()).collect::<BTreeSet<_>>().len()
}

fn is_whole(report: &Report, write: bool) -> bool {
    differing(report) == if write { report.repaired } else { 0 }
}

fn print(id: i64, report: &Report, write: bool, out: &mut dyn Write) -> std::io::Result<()> {
    for difference in &report.differences {
        writeln!(out, "{id} {} {}", difference.call, difference.what)?;
    }
    write!(out, "application {id}: {} calls compared, {} differ", report.calls, differing(report))?;
    if write {
        write!(out, ", {} repaired", report.repaired)?;
    }
    if report.skipped > 0 {
        write!(out, ", {} left out because they changed meanwhile", report.skipped)?;
    }
    if report.unreadable > 0 {
        write!(out, ", {} events unreadable", report.unreadable)?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::replay::Difference;

    #[test]
    fn a_difference_that_stays_is_a_failure() {
        let difference = |call: &str| Difference { call: call.into(), what: "x".into() };
        let report = Report { differences: vec![difference("a"), difference("a"), difference("b")], repaired: 2, ..Report::default() };
        assert!(is_whole(&report, true));
        assert!(!is_whole(&Report { repaired: 1, ..report.clone() }, true));
        assert!(!is_whole(&Report { repaired: 0, ..report }, false));
        assert!(is_whole(&Report { calls: 5, skipped: 1, ..Report::default() }, false));
    }
}
