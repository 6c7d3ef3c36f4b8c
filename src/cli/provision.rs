//! `hookflash provision`: the PBX is set up for us over its API, or what its administrator has to paste there is printed.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::paste::{self, Part, Paste};
use super::serve::runtime;
use super::tools::{Failure, Outcome, missing, quiet};
use crate::app::Hookflash;
use crate::config::Settings;
use crate::domain::id;
use crate::pbx::setup::{Hooks, Sign};
use crate::pbx::{Pbx, asterisk};
use crate::provision::{self, Provision as Work, Stop, Task};
use crate::roster::{App, secret_context};

/// Set the PBX up: over its API, or by printing what to paste there
///
/// What is there is compared with what the application needs, and only what differs is changed; a second run changes nothing. Others'
/// subscriptions and rules are never touched. What the PBX does not allow is said with what to enter by hand, which holds the hooks' key.
/// The server need not run. Status 1 when something is left to do.
///
/// For an Asterisk, whose files are its administrator's: prints the dialplan and the manager.conf user filled in, with their secrets, and
/// where each goes. With AMI access declared, it then checks that they work, as check --live does.
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
    /// Asterisk: the dialplan for versions before 18.24, 20.9 and 21.4, which have no JSON_DECODE
    #[arg(long)]
    plain: bool,
    /// Asterisk: print this part alone, as its file takes it
    #[arg(long, value_enum, conflicts_with = "off")]
    part: Option<Part>,
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
            if let Pbx::Asterisk(asterisk) = &app.pbx {
                self.paste(&hookflash, &app, asterisk, &hooks, out)?;
                if self.off || self.part.is_some() || self.dry_run || asterisk.ami().is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
                let (gateway, link) = (&hookflash.gateway, &hookflash.link);
                let report = Work { gateway, link, db: &hookflash.db, clock: &hookflash.clock, app: &app, hooks }.check().await;
                return paste::checked(&report, out);
            }
            if self.plain || self.part.is_some() {
                return Err(Failure::Usage("--plain and --part are for an Asterisk".into()));
            }
            let work =
                Work { gateway: &hookflash.gateway, link: &hookflash.link, db: &hookflash.db, clock: &hookflash.clock, app: &app, hooks };
            let mut print = Print { out, dry_run: self.dry_run, counts: [0; 3], troubles: 0, failed: None };
            let each = |outcome: provision::Outcome| print.outcome(&outcome);
            let ended = if self.dry_run { work.plan(task, each).await } else { work.carry_out(task, each).await };
            print.end(ended)
        })
    }
}

impl Provision {
    fn paste(
        &self,
        hookflash: &Hookflash,
        app: &App,
        settings: &asterisk::Settings,
        hooks: &Hooks,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let secret = manager_secret(hookflash, app, settings)?;
        let fresh = secret.is_none();
        let secret = secret.unwrap_or_else(|| SecretString::from(id::hex(&rand::random::<[u8; 16]>())));
        let paste = Paste { application: app.id(), settings, hooks, plain: self.plain, secret: secret.expose_secret(), fresh };
        match (self.off, self.part) {
            (true, _) => paste.off(out)?,
            (false, Some(part)) => paste.part(part, out)?,
            (false, None) => paste.all(out)?,
        }
        Ok(())
    }
}

/// The secret of the manager's user, where one is declared.
fn manager_secret(hookflash: &Hookflash, app: &App, settings: &asterisk::Settings) -> Result<Option<SecretString>, Failure> {
    if settings.ami_secret.is_empty() {
        return Ok(None);
    }
    let context = secret_context(app.id(), "asterisk.ami_secret");
    let revealed = hookflash.vault.reveal(&context, &settings.ami_secret);
    revealed.map(Some).map_err(|e| Failure::Failed(format!("asterisk.ami_secret: {e}; set it for this process too, or declare it anew")))
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
