//! Everything actix of the server.

pub mod hooks;
pub mod operations;
pub mod peer;

use actix_web::web::{self, ServiceConfig};

/// Every route.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.route("/cid/{app}/{hook}/{login}", web::route().to(hooks::hook))
        .route("/healthz", web::get().to(operations::healthz))
        .route("/readyz", web::get().to(operations::readyz))
        .route("/metrics", web::get().to(operations::metrics));
}
