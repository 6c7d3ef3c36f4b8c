//! The REST API over HTTP.

mod declared;
mod openapi;
mod protocol;

/// A path of the flower shop's.
fn shop(path: &str) -> String {
    format!("/api/v1/apps/807{path}")
}
