//! Hookflash: the server between a company's telephone system (PBX) and its CRM.

pub mod app;
pub mod auth;
pub mod config;
pub mod declare;
pub mod domain;
pub mod http;
pub mod ingest;
pub mod net;
pub mod pbx;
pub mod roster;
pub mod secrets;
pub mod store;
pub mod telemetry;
