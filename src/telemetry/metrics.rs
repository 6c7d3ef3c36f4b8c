//! Numbers for Prometheus: their names in one place, and the text that `/metrics` answers with.

use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Names of our metrics; labels in brackets. Labels come from short fixed lists, never from a request.
pub mod metric {
    /// Hook requests answered \[pbx, hook, status\].
    pub const HOOK_REQUESTS: &str = "hookflash_hook_requests_total";
    /// Seconds from a hook's request to its answer \[pbx, hook\].
    pub const HOOK_SECONDS: &str = "hookflash_hook_seconds";
    /// Events read from hooks \[pbx, outcome: applied, duplicate, unreadable, failed\].
    pub const EVENTS: &str = "hookflash_events_total";
    /// Routing decisions \[pbx, outcome: agent, nobody, list\].
    pub const DECISIONS: &str = "hookflash_decisions_total";
    /// Routing decisions that could not be recorded \[pbx\].
    pub const DECISIONS_FORGOTTEN: &str = "hookflash_decisions_forgotten_total";
    /// Routing decisions that the deadline cut short \[pbx\].
    pub const DECISIONS_LATE: &str = "hookflash_decisions_late_total";
    /// REST requests answered \[status\].
    pub const API_REQUESTS: &str = "hookflash_api_requests_total";
    /// Jobs that wait for the database's writer.
    pub const WRITE_QUEUE: &str = "hookflash_write_queue_jobs";
    /// Connections that take events of PBXs at this server.
    pub const AMI_CONNECTIONS: &str = "hookflash_ami_connections";
    /// Legs whose end was never heard of and that the watchdog gave up.
    pub const LEGS_LOST: &str = "hookflash_legs_lost_total";
    /// Rows of the call log that were added or corrected from a PBX's history.
    pub const HISTORY_REPAIRS: &str = "hookflash_history_repairs_total";
    /// Log lines that overload or a failing disk dropped.
    pub const LOG_DROPPED: &str = "hookflash_log_dropped_total";
}

/// Upper bounds of the histograms of seconds: around a routing answer's millisecond, up to its deadline and beyond.
const SECONDS: [f64; 12] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// How often samples that nobody scraped are folded into their histograms.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Everything counted so far, in Prometheus' text format.
pub fn render_metrics() -> String {
    handle().map(PrometheusHandle::render).unwrap_or_default()
}

/// Keeps unscraped samples from piling up until it is dropped.
pub struct Upkeep(#[expect(dead_code, reason = "the thread ends when its sender is gone")] Sender<()>);

pub(super) fn install() -> Upkeep {
    let (end, ended) = channel::<()>();
    if let Some(handle) = handle() {
        let work = move || {
            while ended.recv_timeout(UPKEEP) == Err(RecvTimeoutError::Timeout) {
                handle.run_upkeep();
            }
        };
        // Without the thread, scraping does its work.
        let _ = std::thread::Builder::new().name("metrics".into()).spawn(work);
    }
    Upkeep(end)
}

/// `None` only when another recorder was installed before ours.
fn handle() -> Option<&'static PrometheusHandle> {
    let installed = HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS).ok()?;
        let handle = builder.install_recorder().ok()?;
        describe();
        Some(handle)
    });
    installed.as_ref()
}

fn describe() {
    describe_counter!(metric::HOOK_REQUESTS, "Hook requests answered");
    describe_histogram!(metric::HOOK_SECONDS, Unit::Seconds, "Time from a hook's request to its answer");
    describe_counter!(metric::EVENTS, "Events read from hooks, by what became of them");
    describe_counter!(metric::DECISIONS, "Routing decisions, by outcome");
    describe_counter!(metric::DECISIONS_FORGOTTEN, "Routing decisions that were not recorded because the database was away for too long");
    describe_counter!(metric::DECISIONS_LATE, "Routing decisions that the deadline cut short");
    describe_counter!(metric::API_REQUESTS, "REST requests answered");
    describe_gauge!(metric::WRITE_QUEUE, "Jobs that wait for the database's writer");
    describe_gauge!(metric::AMI_CONNECTIONS, "Connections that take events of PBXs at this server");
    describe_counter!(metric::LEGS_LOST, "Legs whose end was never heard of and that the watchdog gave up");
    describe_counter!(metric::HISTORY_REPAIRS, "Rows of the call log added or corrected from a PBX's history");
    describe_counter!(metric::LOG_DROPPED, "Log lines that overload or a failing disk dropped");
    // A counter that exists from the start shows its first increase.
    metrics::counter!(metric::LOG_DROPPED).absolute(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_its_description() {
        install();
        metrics::counter!(metric::EVENTS, "pbx" => "telphin", "outcome" => "duplicate").increment(3);
        metrics::histogram!(metric::HOOK_SECONDS, "pbx" => "telphin", "hook" => "event").record(0.002);
        let text = render_metrics();
        for line in [
            "# HELP hookflash_events_total Events read from hooks, by what became of them",
            "# TYPE hookflash_events_total counter",
            "hookflash_events_total{pbx=\"telphin\",outcome=\"duplicate\"} 3",
            "# TYPE hookflash_hook_seconds histogram",
            "hookflash_hook_seconds_bucket{pbx=\"telphin\",hook=\"event\",le=\"0.001\"} 0",
            "hookflash_hook_seconds_bucket{pbx=\"telphin\",hook=\"event\",le=\"0.0025\"} 1",
            "hookflash_log_dropped_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
