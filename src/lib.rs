//! Hookflash: the server between a company's telephone system (PBX) and its CRM.

pub mod acd;
pub mod app;
pub mod auth;
pub mod centre;
pub mod cli;
pub mod config;
pub mod crm;
pub mod declare;
pub mod demo;
pub mod dial;
pub mod domain;
pub mod gateway;
pub mod http;
pub mod ingest;
pub mod lookup;
pub mod net;
pub mod pbx;
pub mod records;
pub mod roster;
pub mod routing;
pub mod secrets;
pub mod server;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod timers;
