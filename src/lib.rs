//! Hookflash: the server between a company's telephone system (PBX) and its CRM.

pub mod app;
pub mod cli;
pub mod config;
pub mod declare;
pub mod domain;
pub mod ingest;
pub mod net;
pub mod pbx;
pub mod roster;
pub mod secrets;
pub mod store;
pub mod telemetry;
