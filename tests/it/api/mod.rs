//! The REST API over HTTP.

mod agents;
mod apps;
mod calls;
mod contacts;
mod declared;
mod openapi;
mod protocol;
mod roles;
mod stats;
mod tokens;

/// A path of the flower shop's.
fn shop(path: &str) -> String {
    format!("/api/v1/apps/807{path}")
}
