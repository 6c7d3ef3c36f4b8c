//! Hookflash: the server between a company's telephone system (PBX) and its CRM.

pub mod domain;
pub mod net;
pub mod simulator;
