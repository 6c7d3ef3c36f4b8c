//! Every integration test in one binary, so that it links once.

mod api;
mod architecture;
mod call_log;
mod cli;
mod crash;
mod hooks;
mod ingest;
mod logs;
mod store;
mod support;
