//! A contact centre on a virtual clock: a day of callers and agents through the real core, in the time that the core needs for it.
//!
//! There is no PBX and no socket, and nothing else is simulated: each question goes through `acd::ask`, each answer and hang-up through
//! `ingest`, each deadline through `timers`, over a real database. The people are drawn by lot from a seed: the same seed, the same day.
//! [`world`] is what a person standing in the room would see. It is kept apart from the core's own state and compared with it: at each
//! step (nobody is rung who is busy or was tried while another is free, whoever came first is served first, nobody waits while somebody is
//! free) and when all is over ([`closing`]: outcomes, offers, the log, times in state). What the room cannot show is tried on some
//! occasions ([`probe`]): that what comes again, late or with a stale offer changes nothing. What does not hold is reported, with the
//! number that it has in `docs/INVARIANTS.md`, and so is how often each of 1 to 16 had an occasion; what is not looked at shows 0.
//!
//! Not among them are those that have no occasion here: no hook has a deadline (17), no manager is responsible (18), the queues are
//! always open (19), and one process lives the whole day (20, 21). Nobody is removed (22): he would be missing for the rest of the day,
//! which would then be another one.

mod chance;
pub mod cli;
mod closing;
mod day;
mod events;
mod people;
mod plan;
mod probe;
mod questions;
mod report;
mod world;

pub use day::run;
pub use plan::{Chaos, Plan};
pub use report::Report;
