//! `hookflash serve`: the server, until it is told to stop.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::tools::{Failure, Outcome};
use crate::config::Settings;
use crate::domain::time::Clock;
use crate::telemetry::{self, Output};
use crate::{demo, server};

/// Run the server
#[derive(Args)]
pub struct Serve {}

impl Serve {
    pub fn run(self, settings: Settings, _: &mut dyn Write) -> Outcome {
        let clock = Clock::system();
        let _telemetry = log(&settings, Output::Stdout, &clock)?;
        runtime()?.block_on(server::run(settings, clock)).map_err(|e| Failure::Failed(format!("{e:#}")))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Show the whole product: a throw-away database and a simulated PBX that makes calls
#[derive(Args)]
pub struct Demo {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Calls a minute, in the time of the simulated people
    #[arg(long, default_value_t = 1.2)]
    rate: f64,
    /// How many times faster than life the simulated people talk
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Another seed makes other calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A real Asterisk beside it, for softphones on this machine; in a source tree, as root on Debian
    #[arg(long)]
    with_asterisk: bool,
}

impl Demo {
    /// The log of the server goes to standard error, warnings only: standard output shows the calls.
    pub fn run(self, mut settings: Settings, _: &mut dyn Write) -> Outcome {
        settings.log.level = "warn".into();
        let _telemetry = log(&settings, Output::Stderr, &Clock::system())?;
        let (calls_per_minute, with_asterisk) = (self.rate, self.with_asterisk);
        let options = demo::Options { port: self.port, calls_per_minute, speed: self.speed, seed: self.seed, with_asterisk };
        runtime()?.block_on(demo::run(options)).map_err(|e| Failure::Failed(format!("{e:#}")))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn log(settings: &Settings, output: Output, clock: &Clock) -> Result<telemetry::Telemetry, Failure> {
    telemetry::init(&settings.log, output, clock.clone()).map_err(|e| Failure::Failed(format!("{e:#}")))
}

pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Output)
}
