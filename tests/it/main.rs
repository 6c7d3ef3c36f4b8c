//! Every integration test in one binary, so that it links once.

mod acd;
mod api;
mod architecture;
mod call_log;
mod centre;
mod cli;
mod clock;
mod crash;
mod hooks;
mod ingest;
mod logs;
mod simulated;
mod store;
mod support;
mod telphin;
