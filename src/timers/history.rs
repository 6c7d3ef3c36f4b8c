//! The PBX's call history is compared from time to time, and after a start.

use std::sync::Arc;

use metrics::counter;

use crate::app::Hookflash;
use crate::reconcile::schedule::Turn;
use crate::telemetry::metric;

/// Starts what is due. A run takes as long as it takes; nothing waits for it.
pub fn sweep(server: &Arc<Hookflash>) {
    for turn in server.schedule.due(&server.roster, server.clock.now()) {
        let server = server.clone();
        tokio::spawn(async move { run(&server, turn).await });
    }
}

async fn run(server: &Hookflash, turn: Turn) {
    let app = turn.app.id();
    let (report, stopped) = match turn.run(&server.reconciler).await {
        Ok(ended) => ended,
        Err(error) => return tracing::warn!(app, %error, "the call history could not be compared"),
    };
    counter!(metric::HISTORY_REPAIRS).increment((report.added + report.missed + report.corrected + report.withdrawn) as u64);
    if !report.is_quiet() || report.unreadable > 0 {
        tracing::warn!(
            app,
            records = report.records,
            calls = report.new_calls,
            legs = report.added,
            missed = report.missed,
            corrected = report.corrected,
            withdrawn = report.withdrawn,
            unreadable = report.unreadable,
            "events were lost; the call log was repaired from the PBX's history"
        );
    }
    if let Some(reason) = stopped {
        tracing::warn!(app, %reason, until = %report.reached.rfc3339(), "the call history was not read to its end; it is tried again");
    }
}
