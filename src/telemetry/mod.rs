//! What the process says about itself: one line per event, and numbers for Prometheus.
//!
//! What it promises: a line is one line and a field is one field, whatever a caller puts in it ([`line`]); the thread that logs
//! never waits for a disk or a terminal: it formats into a buffer of its own and appends to a bounded queue, what does not fit
//! is dropped and counted ([`writer`]); every line whose field `app` is 807 goes to `807.log` too when the operator wants it
//! ([`files`]); phone numbers show their last four digits only, if callers write them through [`mask`].
//!
//! The fields of a line stand in the order in which the caller gives them:
//! `tracing::info!(path, app, login, call, leg, decision, took_ms, "routed")`. A field that is `None` is left out. `app` names a file:
//! give it only for an application that exists (the path of a request to any other says enough).

mod files;
mod layer;
mod line;
mod mask;
mod metrics;
mod writer;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::Log;
use crate::domain::time::Clock;

pub use mask::{Masked, mask};
pub use metrics::{metric, render_metrics};

/// Bytes of lines that wait for the writer before further ones are dropped: 25,000 lines of 300 bytes.
const QUEUE_BYTES: usize = 8 << 20;

/// How long the end of the process waits for the last lines to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Where the main log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A server's log.
    Stdout,
    /// The log of a command whose result is on standard output.
    Stderr,
}

/// Keeps the log going; when it is dropped, what waits is written.
#[must_use = "the log ends when this is dropped"]
pub struct Telemetry {
    queue: Arc<writer::Queue>,
    _upkeep: metrics::Upkeep,
}

/// Sets up logs and metrics of this process. Call it once, first of all.
pub fn init(log: &Log, output: Output, clock: Clock) -> anyhow::Result<Telemetry> {
    let upkeep = metrics::install();
    mask::set(log.mask_numbers);
    let files = match log.per_application {
        true => Some(files::AppFiles::new(&log.dir, log.keep_days).with_context(|| format!("log.dir {}", log.dir.display()))?),
        false => None,
    };
    let main: Box<dyn Write + Send> = match output {
        Output::Stdout => Box::new(std::io::stdout()),
        Output::Stderr => Box::new(std::io::stderr()),
    };
    let dropped = ::metrics::counter!(metric::LOG_DROPPED);
    let queue = writer::start(main, files, QUEUE_BYTES, dropped, clock.clone()).context("the thread that writes logs")?;
    let levels: Targets = log.level.parse().with_context(|| format!("log.level {:?}", log.level))?;
    let lines = layer::Lines::new(queue.clone(), log.format, clock);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(levels).with(lines))?;
    Ok(Telemetry { queue, _upkeep: upkeep })
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.queue.close(FLUSH_LIMIT);
    }
}

/// A duration as `took_ms` is logged: milliseconds with two decimals.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests;
