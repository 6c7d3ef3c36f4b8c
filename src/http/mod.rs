//! Everything actix of the server.

pub mod hooks;
pub mod operations;
pub mod peer;
