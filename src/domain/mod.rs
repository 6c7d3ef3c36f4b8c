//! Plain types and rules: no IO, no vendor, no web framework, no SQL.

pub mod agent;
pub mod agent_choice;
pub mod agent_stats;
pub mod agent_time;
pub mod call;
pub mod call_log;
pub mod callback;
pub mod decision;
pub mod declared;
pub mod doubts;
pub mod erlang;
pub mod event;
pub mod health;
pub mod hours;
pub mod id;
pub mod interval;
pub mod ivr;
pub mod outage;
pub mod past;
pub mod phone;
pub mod queue;
pub mod queue_stats;
pub mod spec;
mod text_enum;
pub mod time;
pub mod validate;
