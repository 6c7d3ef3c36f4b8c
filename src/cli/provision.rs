//! `hookflash provision`: the PBX is set up for us over its API.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::serve::runtime;
use super::tools::{Failure, Outcome, missing, quiet};
use crate::app::Hookflash;
use crate::config::Settings;
use crate::pbx::setup::Sign;
use crate::provision::{self, Provision as Work, Stop, Task};
use crate::roster::App;

/// Set the PBX up over its API: subscriptions, IVR rules
///
/// What is there is compared with what the application needs, and only what differs is changed; a second run changes nothing. Others'
/// subscriptions and rules are never touched. What the PBX does not allow is said with what to enter by hand, which holds the hooks' key.
/// The server need not run. Status 1 when something is left to do.
#[derive(Args)]
pub struct Provision {
    /// Number of the application
    #[arg(value_name = "APP")]
    app: i64,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what is ours, and nothing else
    #[arg(long)]
    off: bool,
}

impl Provision {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let (clock, _telemetry) = quiet(&settings)?;
        let url = public_url(&settings)?;
        let task = if self.off { Task::Off } else { Task::On };
        runtime()?.block_on(async {
            let hookflash = Hookflash::open(settings, clock).await.map_err(|e| Failure::Failed(format!("{e:#}")))?;
            let app = app(&hookflash, self.app)?;
            let hooks = provision::hooks(&app, &url).map_err(|e| Failure::Failed(format!("application {}: {e}", self.app)))?;
            let work = Work { gateway: &hookflash.gateway, db: &hookflash.db, clock: &hookflash.clock, app: &app, hooks };
            let mut print = Print { out, dry_run: self.dry_run, counts: [0; 3], troubles: 0, failed: None };
            let each = |outcome: provision::Outcome| print.outcome(&outcome);
            let ended = if self.dry_run { work.plan(task, each).await } else { work.carry_out(task, each).await };
            print.end(ended)
        })
    }
}

/// Where the PBX reaches us: it must have been said, because what we listen on is not what others see.
pub fn public_url(settings: &Settings) -> Result<String, Failure> {
    match settings.server.public_url {
        Some(_) => Ok(settings.server.base_url()),
        None => Err(Failure::Failed(
            "server.public_url is not set, and the PBX has to be told where it reaches this server: set it, such as https://pbx.example.com".into(),
        )),
    }
}

pub fn app(hookflash: &Hookflash, id: i64) -> Result<Arc<App>, Failure> {
    hookflash.roster.app(id).ok_or_else(|| missing(&hookflash.roster.snapshot(), id))
}

struct Print<'o> {
    out: &'o mut dyn Write,
    dry_run: bool,
    /// Added, changed, removed.
    counts: [usize; 3],
    troubles: usize,
    failed: Option<std::io::Error>,
}

impl Print<'_> {
    /// A line a part as it is done, so that a long run shows where it is.
    fn outcome(&mut self, outcome: &provision::Outcome) {
        if let Err(e) = self.write(outcome) {
            self.failed.get_or_insert(e);
        }
    }

    fn write(&mut self, outcome: &provision::Outcome) -> std::io::Result<()> {
        if outcome.changes.is_empty() && outcome.trouble.is_none() {
            return Ok(());
        }
        writeln!(self.out, "{}", outcome.part)?;
        for change in &outcome.changes {
            let (sign, n) = match change.sign {
                Sign::Add => ('+', 0),
                Sign::Change => ('~', 1),
                Sign::Remove => ('-', 2),
            };
            self.counts[n] += 1;
            writeln!(self.out, "  {sign} {}", change.text)?;
        }
        if let Some(trouble) = &outcome.trouble {
            self.troubles += 1;
            writeln!(self.out, "  ! {trouble}")?;
        }
        for line in outcome.by_hand.iter().flat_map(|text| text.lines()) {
            writeln!(self.out, "    {line}")?;
        }
        Ok(())
    }

    fn end(self, ended: Result<(), Stop>) -> Outcome {
        if let Some(e) = self.failed {
            return Err(e.into());
        }
        let [added, changed, removed] = self.counts;
        match (self.counts == [0; 3], self.dry_run) {
            (true, false) => writeln!(self.out, "nothing changed")?,
            (true, true) => writeln!(self.out, "nothing to change")?,
            (false, false) => writeln!(self.out, "{added} added, {changed} changed, {removed} removed")?,
            (false, true) => writeln!(self.out, "{added} to add, {changed} to change, {removed} to remove; nothing was done")?,
        }
        match (ended, self.troubles) {
            (Err(stop @ Stop::NoApi(_)), _) => Err(Failure::Failed(stop.to_string())),
            (Err(stop), _) => Err(Failure::Failed(format!("{stop}\nwhat was not reached is as it was; run it again"))),
            (Ok(()), 0) => Ok(ExitCode::SUCCESS),
            (Ok(()), n) => {
                writeln!(self.out, "{n} left to do by hand, marked with !")?;
                Ok(ExitCode::FAILURE)
            }
        }
    }
}
