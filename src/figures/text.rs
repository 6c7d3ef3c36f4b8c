//! The counters and gauges as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::Now;
use super::counted::{Counted, End};
use crate::domain::agent::OfferState;
use crate::domain::queue::EntryOutcome;
use crate::roster::App;

/// Upper bounds of every histogram of waits, seconds; the limits of the queues' service levels come to these.
const SECONDS: [i64; 9] = [5, 10, 20, 30, 60, 120, 300, 600, 1_800];

pub fn write(apps: &[(&App, Now)], counted: &BTreeMap<i64, Counted>) -> String {
    let mut out = String::new();
    let edges: BTreeSet<i64> =
        apps.iter().flat_map(|(app, _)| app.spec.queue.iter().map(|q| q.sla_answered_within)).filter(|s| *s > 0).chain(SECONDS).collect();
    family(&mut out, "hookflash_queue_calls_total", "counter", "Calls that left a queue, by how");
    each_queue(apps, counted, |app, queue, counted| {
        for end in End::all() {
            let n = counted.calls.get(&(queue.to_owned(), end)).copied().unwrap_or(0);
            line(&mut out, "hookflash_queue_calls_total", &labels(app, &[("queue", queue), ("outcome", end.as_str())]), n as f64);
        }
    });
    family(&mut out, "hookflash_queue_wait_seconds", "histogram", "Time in a queue until the answer, or until the caller gave up");
    each_queue(apps, counted, |app, queue, counted| {
        for end in [EntryOutcome::Answered, EntryOutcome::Abandoned].map(End::Of) {
            let waits = counted.waits.get(&(queue.to_owned(), end));
            let own = |more: &str| {
                let mut all = labels(app, &[("queue", queue), ("outcome", end.as_str())]);
                if !more.is_empty() {
                    let _ = write!(all, ",le=\"{more}\"");
                }
                all
            };
            for edge in &edges {
                let n = waits.map_or(0, |w| w.within(*edge));
                line(&mut out, "hookflash_queue_wait_seconds_bucket", &own(&edge.to_string()), n as f64);
            }
            let count = waits.map_or(0, |w| w.count) as f64;
            line(&mut out, "hookflash_queue_wait_seconds_bucket", &own("+Inf"), count);
            line(&mut out, "hookflash_queue_wait_seconds_sum", &own(""), waits.map_or(0.0, |w| w.sum_us as f64 / 1e6));
            line(&mut out, "hookflash_queue_wait_seconds_count", &own(""), count);
        }
    });
    family(&mut out, "hookflash_offers_total", "counter", "Offers of agents to calls, by what became of them");
    for (app, _) in apps {
        for state in OfferState::ALL.iter().filter(|s| **s != OfferState::Pending) {
            let n = counted.get(&app.id()).and_then(|c| c.offers.get(state)).copied().unwrap_or(0);
            line(&mut out, "hookflash_offers_total", &labels(app.id(), &[("outcome", state.as_str())]), n as f64);
        }
    }
    family(&mut out, "hookflash_queue_waiting", "gauge", "Callers who wait in a queue");
    for (app, now) in apps {
        for (queue, (waiting, _)) in &now.waiting {
            line(&mut out, "hookflash_queue_waiting", &labels(app.id(), &[("queue", queue)]), *waiting as f64);
        }
    }
    family(&mut out, "hookflash_queue_longest_wait_seconds", "gauge", "How long the one who waits longest in a queue has waited");
    for (app, now) in apps {
        for (queue, (_, longest_us)) in &now.waiting {
            line(&mut out, "hookflash_queue_longest_wait_seconds", &labels(app.id(), &[("queue", queue)]), *longest_us as f64 / 1e6);
        }
    }
    family(&mut out, "hookflash_agents", "gauge", "Agents by state");
    for (app, now) in apps {
        for (state, n) in &now.agents {
            line(&mut out, "hookflash_agents", &labels(app.id(), &[("state", state.as_str())]), *n as f64);
        }
    }
    out
}

fn each_queue(apps: &[(&App, Now)], counted: &BTreeMap<i64, Counted>, mut tell: impl FnMut(i64, &str, &Counted)) {
    for (app, _) in apps {
        if let Some(counted) = counted.get(&app.id()) {
            app.spec.queue.iter().for_each(|queue| tell(app.id(), &queue.id, counted));
        }
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(app: i64, more: &[(&str, &str)]) -> String {
    let mut all = format!("app=\"{app}\"");
    for (name, value) in more {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(all, ",{name}=\"{value}\"");
    }
    all
}

fn line(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(out, "{name}{{{labels}}} {value}");
}
