//! Every integration test in one binary, so that it links once.

mod api;
mod architecture;
mod call_log;
mod cli;
mod hooks;
mod ingest;
mod store;
mod support;
