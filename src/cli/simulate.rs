//! `hookflash simulate`: simulated PBXs, for trying an integration without an account.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;

use super::serve::runtime;
use super::tools::{Failure, Outcome};
use crate::config::Settings;
use crate::simulator::telphin::cli as telphin;

/// Simulate a PBX
#[derive(Subcommand)]
pub enum Simulate {
    /// A Telphin PBX: its API, its events and its calls
    Telphin(telphin::Args),
}

impl Simulate {
    pub fn run(self, _: Settings, _: &mut dyn Write) -> Outcome {
        let Simulate::Telphin(args) = self;
        runtime()?.block_on(telphin::run(args)).map_err(|e| Failure::Failed(format!("{e:#}")))?;
        Ok(ExitCode::SUCCESS)
    }
}
