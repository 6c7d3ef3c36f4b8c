//! Every integration test in one binary, so that it links once.

mod acd;
mod ami;
mod api;
mod architecture;
mod asterisk;
mod call_log;
mod centre;
mod cli;
mod clock;
mod crash;
mod gateway;
mod history;
mod hooks;
mod ingest;
mod invariants;
mod lab;
mod logs;
mod lookup;
mod prepared;
mod presence;
mod provision;
mod simulated;
mod store;
mod support;
mod telphin;
mod two_nodes;
