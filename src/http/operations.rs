//! What watches the server: alive, ready, and the numbers.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::Hookflash;
use crate::store::{Durability, migrate};
use crate::telemetry::{metric, render_metrics};

/// How long a write may take before the server counts as not ready.
const PROBE: Duration = Duration::from_secs(2);

/// The process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// The database answers, its schema is this program's, and writes are taken.
pub async fn readyz(server: Data<Hookflash>) -> HttpResponse {
    let not_ready =
        |why: String| HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(format!("not ready: {why}\n"));
    if !server.db.is_alive() {
        return not_ready("the database's writer has stopped".into());
    }
    // An empty job shows that the writer takes its turn; a database that another holds locked does not.
    let probe = server.db.write(Durability::Process, |_| Ok(()));
    match tokio::time::timeout(PROBE, probe).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return not_ready(error.to_string()),
        Err(_) => return not_ready("the database takes no writes".into()),
    }
    match server.db.read(migrate::is_current).await {
        Ok(true) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Ok(false) => not_ready("the database's schema is that of another version of this program".into()),
        Err(error) => not_ready(error.to_string()),
    }
}

pub async fn metrics(server: Data<Hookflash>) -> HttpResponse {
    ::metrics::gauge!(metric::WRITE_QUEUE).set(server.db.waiting_writes() as f64);
    ::metrics::gauge!(metric::AMI_CONNECTIONS).set(server.link.connections() as f64);
    // Without the database the rest is told all the same: that is when somebody looks.
    let figures = server.figures.text(&server.db, &server.roster, server.clock.now()).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "queues, offers and agents are missing in the metrics");
        String::new()
    });
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(render_metrics() + &figures)
}
