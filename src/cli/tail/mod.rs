//! `hookflash tail`: what happens in one application, as it happens.
//!
//! It follows the tables, so it works beside a running server, on any node. Rows may become visible a little out of order (a transaction
//! that began earlier commits later, a decision is written behind its answer), so each look reads the last seconds again and leaves out
//! what was shown.

mod follow;
mod line;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};

use self::follow::Follow;
use super::tools::{Failure, Outcome, Tools};
use crate::config::Settings;
use crate::domain::interval::Written;
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::store::ami_links::{self, AmiLink};
use crate::store::{StoreError, decisions, journal};

/// How long nothing new is waited for before looking again.
const PAUSE: Duration = Duration::from_millis(500);

/// Follow one application's events and decisions, until Ctrl-C
#[derive(Args)]
pub struct Tail {
    /// The application
    app: i64,
    /// Only this PBX account
    #[arg(long)]
    login: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Begin with what happened since then: 2026-01-02T03:04:05Z, 2026-01-02, or 90s, 15m, 2h, 3d ago
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Begin with so many of the last lines
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "since")]
    lines: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    At(Written),
    /// Seconds before now.
    Ago(i64),
}

fn since(text: &str) -> Result<Since, String> {
    if let Some(at) = Written::parse(text) {
        return Ok(Since::At(at));
    }
    ago(text).map(Since::Ago).ok_or_else(|| "write a time such as 2026-01-02T03:04:05Z, or how long ago: 90s, 15m, 2h, 3d".into())
}

/// `90s`, `15m`, `2h` or `3d` in seconds.
pub fn ago(text: &str) -> Option<i64> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    units.iter().find_map(|(unit, seconds)| text.strip_suffix(unit)?.parse::<u32>().ok().map(|n| i64::from(n) * seconds))
}

impl Tail {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let tools = Tools::open(&settings)?;
        let app = tools.app(self.app)?;
        if let Some(login) = self.login.as_ref().filter(|login| **login != app.spec.login) {
            return Err(Failure::Usage(format!("application {} has the login {:?}, not {login:?}", self.app, app.spec.login)));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.follow(&tools, app, out))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn follow(&self, tools: &Tools, app: Arc<App>, out: &mut dyn Write) -> Result<(), Failure> {
        let now = tools.clock.now();
        let start = match self.since {
            Some(Since::At(at)) => {
                let zone = TimeZone::get(&app.spec.timezone).unwrap_or(TimeZone::UTC);
                at.on(&zone).ok_or_else(|| Failure::Usage("--since is beyond the times that can be stored".into()))?
            }
            Some(Since::Ago(seconds)) => now.plus_s(-seconds),
            None => self.first_of_last(tools, now).await?,
        };
        let mut follow = Follow::new(start);
        // From here on Ctrl-C is ours, also while the first rows are read.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut failing = false;
        let mut shown = None;
        loop {
            let (id, from, limit) = (app.id(), follow.from(), follow.limit());
            let look = tools.db.read(move |conn| {
                let events = journal::since(conn, id, from, limit)?;
                Ok((events, decisions::since(conn, id, &crate::domain::id::floor(from), limit)?, ami_links::get(conn, id)?))
            });
            let caught_up = match look.await {
                Ok((events, decisions, link)) => {
                    failing = false;
                    let state = link.as_ref().map(AmiLink::state).filter(|_| app.pbx.ami().is_some());
                    if let Some(state) = state.filter(|state| shown.as_ref() != Some(state)) {
                        line::link(&state, &app, self.json, out)?;
                        shown = Some(state);
                    }
                    let (rows, caught_up) = follow.take(events, decisions);
                    for row in rows {
                        line::write(&row, &app, self.json, out)?;
                    }
                    out.flush()?;
                    caught_up
                }
                Err(error @ StoreError::Unreadable(_)) => return Err(error.into()),
                Err(error) => {
                    if !failing {
                        eprintln!("{}; still trying", Failure::from(error));
                    }
                    failing = true;
                    true
                }
            };
            let pause = if caught_up { PAUSE } else { Duration::ZERO };
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// When the first of the last `lines` rows was written.
    async fn first_of_last(&self, tools: &Tools, now: Timestamp) -> Result<Timestamp, Failure> {
        let (app, lines) = (self.app, i64::from(self.lines));
        let read = tools.db.read(move |conn| {
            let mut times = journal::newest(conn, app, lines)?;
            times.extend(decisions::newest(conn, app, lines)?);
            Ok(times)
        });
        let mut times = read.await?;
        times.sort_unstable();
        let first = times.len().checked_sub(self.lines as usize).map_or_else(|| times.first(), |i| times.get(i));
        Ok(first.copied().unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_both_ways() {
        assert_eq!(since("15m"), Ok(Since::Ago(900)));
        assert_eq!(since("2d"), Ok(Since::Ago(172_800)));
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Since::At(Written::Instant(Timestamp(1_000_000)))));
        assert!(matches!(since("2026-01-02"), Ok(Since::At(Written::Clock(_)))), "a midnight of the application's clock");
        assert!(["", "m", "-5m", "5w", "yesterday"].iter().all(|text| since(text).is_err()));
    }
}
