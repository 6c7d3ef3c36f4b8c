//! What is measured, and in which order: the scenarios that share a small database first, then those that need a large one.

mod beside;
mod footprint;
mod growth;
mod routing;
mod throughput;

use std::time::Duration;

use anyhow::bail;

use crate::child::Child;
use crate::report;
use crate::stage::Stage;

/// Contacts of the scenarios that do not say otherwise.
pub const CONTACTS: u64 = 100_000;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Turns that a measurement and its reference take.
    pub turns: usize,
    /// Length of a turn.
    pub turn: Duration,
    /// Rows of the large database, of contacts and of calls each.
    pub large: u64,
}

pub const WARM_UP: Duration = Duration::from_millis(500);

const NAMES: [&str; 12] =
    ["lookup", "claim", "latency", "events", "choice", "reserve", "nodes", "offer", "day", "growth", "memory", "start"];

pub fn run(only: &[String], quick: bool) -> anyhow::Result<()> {
    if let Some(unknown) = only.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no scenario {unknown:?}; there are {}", NAMES.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    let size = match quick {
        true => Size { turns: 1, turn: Duration::from_secs(1), large: 100_000 },
        false => Size { turns: 3, turn: Duration::from_secs(3), large: 1_000_000 },
    };
    let stage = Stage::new()?;
    let mut rows = Vec::new();
    println!("load average before: {}", report::load_average());
    if ["lookup", "claim", "latency", "events"].into_iter().any(wanted) {
        let database = told("filling a database", || stage.database("main", CONTACTS))?;
        let server = Child::serve(&database)?;
        if wanted("lookup") {
            rows.push(told("lookups against the bare hello", || throughput::lookup(&server, size))?);
        }
        if wanted("claim") {
            rows.push(told("lookups that claim", || throughput::claim(&server, &database, size))?);
        }
        if wanted("latency") {
            rows.extend(told("lookups beside events", || beside::latency(&server, size))?);
        }
        if wanted("events") {
            rows.push(told("events against the bare ingest", || throughput::events(&server, &database, &stage, size))?);
        }
    }
    if wanted("choice") {
        rows.extend(told("choices", || routing::choice(size))?);
    }
    if wanted("reserve") {
        rows.push(told("decisions that reserve", || routing::reserve(&stage, size))?);
    }
    if wanted("nodes") {
        rows.push(told("two processes on one PostgreSQL", || routing::nodes(size))?);
    }
    if wanted("offer") {
        let server = Child::serve(&stage.waiting()?)?;
        rows.push(told("first questions", || routing::offer(&server, size))?);
    }
    if wanted("day") {
        rows.push(told("a day of a contact centre", || routing::day(&stage.path("day"), size))?);
    }
    if ["growth", "memory", "start"].into_iter().any(wanted) {
        let small = told("filling a small database", || growth::database(&stage, "small", 1_000, 10_000))?;
        let large = told("filling a large database", || growth::database(&stage, "large", size.large, size.large))?;
        if wanted("growth") {
            rows.extend(told("growth", || growth::growth(&small, &large, size))?);
        }
        if wanted("memory") {
            rows.extend(told("memory", || footprint::memory(&small, &large, size))?);
        }
        if wanted("start") {
            rows.push(told("cold starts", || footprint::start(&large))?);
        }
    }
    report::print(&rows);
    Ok(())
}

fn told<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    use std::io::Write;
    print!("{what} …");
    let _ = std::io::stdout().flush();
    let started = std::time::Instant::now();
    let result = work();
    println!(" {:.1} s", started.elapsed().as_secs_f64());
    result
}

/// The middle one: a turn that something else disturbed does not count.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
