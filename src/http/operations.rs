//! What watches the server: alive, ready, and the numbers.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::Hookflash;
use crate::store::migrate;
use crate::telemetry::render_metrics;

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
    match server.db.read(migrate::is_current).await {
        Ok(true) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Ok(false) => not_ready("the database's schema is older than this program".into()),
        Err(error) => not_ready(error.to_string()),
    }
}

pub async fn metrics() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(render_metrics())
}
