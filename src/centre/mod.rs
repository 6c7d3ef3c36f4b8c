//! A contact centre on a virtual clock: a day of callers and agents through the real core, in the time that the core needs for it.
//!
//! There is no PBX and no socket, and nothing else is simulated: each question goes through `acd::ask`, each answer and hang-up through
//! `ingest`, each deadline through `timers`, over a real database. The people are drawn by lot from a seed: the same seed, the same day.
//! [`world`] is what a person standing in the room would see. It is kept apart from the core's own state and compared with it at each step:
//! nobody is rung who is busy, whoever came first is served first, nobody waits while somebody is free. What does not hold is reported.

mod chance;
pub mod cli;
mod day;
mod report;
mod world;

pub use day::{Chaos, Plan, run};
pub use report::Report;
