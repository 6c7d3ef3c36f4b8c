//! `hookflash reconcile`: what the events did not tell is read back from the PBX's call history.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;

use super::progress::Progress;
use super::serve::runtime;
use super::tail::ago;
use super::tools::{Failure, Outcome, Tools};
use crate::config::Settings;
use crate::domain::call_log::LegView;
use crate::domain::event::Direction;
use crate::domain::interval;
use crate::domain::time::Timestamp;
use crate::gateway::Gateway;
use crate::ingest::history::Repair;
use crate::net::{self, Http};
use crate::reconcile::{Asked, Listener, Reconciler, Report};
use crate::roster::App;

/// Repair gaps in the call log from the PBX's own call history
///
/// Adds legs and missed calls that no event told of, and corrects ends that are missing; what the events told stays, and running it again
/// changes nothing. Each row that needed it says `"source": "history"`. It may run while the server does: the server does the same after a
/// start and every `reconcile_s` of the application. Status 1 when it could not read the history to its end.
#[derive(Args)]
pub struct Reconcile {
    /// The application
    app: i64,
    /// From when on: RFC 3339, a date or a date with a time in the application's time zone, or how long ago: 90m, 2h, 3d
    #[arg(long, value_name = "T")]
    since: String,
    /// Until when; now without it
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// Only say what would be repaired
    #[arg(long)]
    dry_run: bool,
}

impl Reconcile {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let tools = Tools::open(&settings)?;
        let app = tools.app(self.app)?;
        let now = tools.clock.now();
        let from = instant("--since", &self.since, &app, now)?;
        let to = self.until.as_deref().map_or(Ok(now), |text| instant("--until", text, &app, now))?.min(now);
        if from >= to {
            return Err(Failure::Usage(format!("--since {} is not before {}", from.rfc3339(), to.rfc3339())));
        }
        net::install_tls();
        let http = Http::new(settings.outbound.allow_private.clone(), settings.outbound.timeout());
        let gateway = Gateway::new(http, tools.db.clone(), tools.vault.clone(), tools.clock.clone(), settings.outbound.timeout());
        let reconciler = Reconciler::new(tools.db.clone(), gateway, tools.clock.clone());
        let asked = Asked { from, to, dry_run: self.dry_run };
        let progress = Progress::new(1_000, "the history of application {msg}{wide_bar} {percent}%");
        let mut told = Told { app: self.app, progress, lines: Vec::new() };
        let (report, stopped) = runtime()?.block_on(reconciler.run(&app, asked, &mut told));
        for line in &told.lines {
            writeln!(out, "{line}")?;
        }
        drop(told);
        summary(self.app, &report, self.dry_run, out)?;
        match stopped {
            None => Ok(ExitCode::SUCCESS),
            Some(reason) => {
                let again = format!("go on with --since {}", report.reached.rfc3339());
                Err(Failure::Failed(format!("application {}: the history was not read to its end: {reason}; {again}", self.app)))
            }
        }
    }
}

/// A time of the command line.
fn instant(option: &str, text: &str, app: &App, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Some(seconds) = ago(text) {
        return Ok(now.plus_s(-seconds));
    }
    let zone = TimeZone::get(&app.spec.timezone).unwrap_or(TimeZone::UTC);
    let wrong = || {
        Failure::Usage(format!(
            "{option} {text:?} is no time; write 2026-11-19, 2026-11-19T08:00, 2026-11-19T08:00:00Z, or how long ago: 2h, 3d"
        ))
    };
    interval::instant(text, &zone).ok_or_else(wrong)
}

struct Told {
    app: i64,
    progress: Progress,
    lines: Vec<String>,
}

impl Listener for Told {
    fn repaired(&mut self, repair: &Repair) {
        let kinds = [("added", &repair.added), ("corrected", &repair.corrected), ("withdrawn", &repair.withdrawn)];
        for (word, rows) in kinds {
            self.lines.extend(rows.iter().map(|row| format!("{} {} {word}: {}", self.app, repair.call, brief(row))));
        }
    }

    fn unreadable(&mut self, reason: &str) {
        self.progress.tell(&format!("application {}: a record is left out: {reason}", self.app));
    }

    fn at(&mut self, share: f64) {
        self.progress.at((share * 1_000.0) as u64);
    }
}

/// A row in words, without the number: standard output is often kept.
fn brief(row: &LegView) -> String {
    let at = row.started_at.rfc3339();
    match &row.place {
        Some(place) => format!("missed at {place}, {at}"),
        None => {
            let direction = if row.direction == Direction::In { "in" } else { "out" };
            let extension = row.extension.as_deref().unwrap_or("-");
            format!("{direction} {} on {extension}, {at}, talked {} s", row.status, row.talk_us / 1_000_000)
        }
    }
}

fn summary(app: i64, report: &Report, dry_run: bool, out: &mut dyn Write) -> io::Result<()> {
    let would = if dry_run { "would be " } else { "" };
    write!(
        out,
        "application {app}: {} calls compared; {would}added: {} legs, {} missed calls; {would}corrected: {}",
        report.records, report.added, report.missed, report.corrected
    )?;
    for (n, what) in [(report.withdrawn, "withdrawn"), (report.other, "completed beside the log")] {
        if n > 0 {
            write!(out, "; {would}{what}: {n}")?;
        }
    }
    if report.unreadable > 0 {
        write!(out, "; unreadable: {}", report.unreadable)?;
    }
    writeln!(out)
}
