//! The open loop: requests leave at their times, whether or not the answers to earlier ones are there.
//!
//! Each connection has a thread, because a thread sleeps to some 50 µs and an async timer to a millisecond. A request whose connection still
//! waits for an answer leaves late, and its latency counts from when it should have left.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::closed::Script;
use crate::wire::Line;

/// When requests leave.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub start: Instant,
    pub per_second: f64,
    pub lasts: Duration,
}

/// Latencies in microseconds, sorted.
pub struct Latencies(Vec<u64>);

impl Latencies {
    /// `share` of all were at most this, milliseconds.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let at = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len().max(1)) - 1;
        self.0.get(at).copied().unwrap_or_default() as f64 / 1_000.0
    }
}

/// Runs the scripts in turn at a steady pace; the first quarter warms up and is left out of what is returned.
///
/// # Errors
/// A connection broke, or an answer was wrong.
pub fn run<S: Script + Send>(address: SocketAddr, scripts: Vec<S>, pace: Pace) -> anyhow::Result<Latencies> {
    let interval = Duration::from_secs_f64(1.0 / pace.per_second);
    let stride = interval * scripts.len() as u32;
    let mut all = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(scripts)
            .map(|(k, script)| scope.spawn(move || talk(address, script, pace.start + interval * k, stride, pace)))
            .collect();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow!("a load thread panicked"))??);
        }
        all.sort_unstable();
        Ok(Latencies(all))
    })
}

fn talk(address: SocketAddr, mut script: impl Script, first: Instant, stride: Duration, pace: Pace) -> anyhow::Result<Vec<u64>> {
    let mut line = Line::open(address)?;
    let mut request = Vec::with_capacity(1024);
    let mut latencies = Vec::new();
    let mut due = first;
    loop {
        request.clear();
        if script.next(due >= pace.start + pace.lasts, &mut request).is_none() {
            return Ok(latencies);
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let response = line.ask(&request)?;
        let latency = due.elapsed();
        script.answered(response.status, response.body).map_err(anyhow::Error::msg)?;
        if due >= pace.start + pace.lasts / 4 {
            latencies.push(latency.as_micros() as u64);
        }
        due += stride;
    }
}
