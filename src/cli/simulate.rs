//! `hookflash simulate`: simulated PBXs, for trying an integration without an account.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;

use super::progress::Progress;
use super::serve::runtime;
use super::table;
use super::tools::{Failure, Outcome, quiet};
use crate::centre::{Report, cli as centre};
use crate::config::Settings;
use crate::simulator::telphin::cli as telphin;

/// Simulate a PBX, or a contact centre
#[derive(Subcommand)]
pub enum Simulate {
    /// A Telphin PBX: its API, its events and its calls
    Telphin(telphin::Args),
    /// A day of a contact centre through the real core, on a virtual clock
    ContactCentre(centre::Args),
}

impl Simulate {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let failed = |e: anyhow::Error| Failure::Failed(format!("{e:#}"));
        match self {
            Simulate::Telphin(args) => runtime()?.block_on(telphin::run(args)).map_err(failed)?,
            Simulate::ContactCentre(args) => {
                let (_, _telemetry) = quiet(&settings)?;
                let mut bar = Progress::new(1_000, "{bar:40} {percent} % of the day");
                let reports = runtime()?.block_on(args.run(|part| bar.at((part * 1_000.0) as u64))).map_err(failed)?;
                drop(bar);
                for report in &reports {
                    writeln!(out, "{report}")?;
                }
                if reports.len() > 1 {
                    let rows: Vec<_> = std::iter::once(Report::COLUMNS.map(str::to_owned)).chain(reports.iter().map(Report::row)).collect();
                    table::write(&rows, "", out)?;
                }
                return Ok(if reports.iter().all(|r| r.faults.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
