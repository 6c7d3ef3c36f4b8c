//! The invariants of routing (`docs/INVARIANTS.md`), each under its name.
//!
//! Long histories are lived once and judged by all: two on SQLite with hundreds of agents, one on PostgreSQL. Each test below looks at what was
//! found against its own invariant, and that the histories gave it something to hold in. Short ones follow, whose steps shrink to the few that
//! matter when something does not hold.

mod centre;
mod chain;
mod history;
mod hours;
mod journey;
mod reference;
mod wide;

use std::sync::OnceLock;

use hookflash::domain::spec::Strategy as Way;
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::Backend;
use centre::straight;
use history::{Outcome, Step, any_step, live};

/// Agents and steps of the long histories.
const LONG: [(Backend, usize, usize, u8); 3] =
    [(Backend::Sqlite, 240, 2_500, 1), (Backend::Sqlite, 120, 2_500, 2), (Backend::Postgres, 60, 500, 3)];

fn steps(step: impl Strategy<Value = Step>, count: usize, seed: u8) -> Vec<Step> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    vec(step, count).new_tree(&mut runner).expect("steps").current()
}

/// In straight centres.
fn lived() -> &'static Vec<Outcome> {
    static LIVED: OnceLock<Vec<Outcome>> = OnceLock::new();
    LIVED.get_or_init(|| {
        let threads = LONG.map(|(backend, people, count, seed)| {
            std::thread::spawn(move || live(backend, straight(people), steps(any_step(), count, seed)))
        });
        threads.map(|thread| thread.join().expect("a history")).into()
    })
}

/// Nothing was found against the invariant, and it was met at least so often.
#[track_caller]
fn held(lived: &[Outcome], invariant: u8, at_least: u64) {
    let found: Vec<&String> = lived.iter().filter_map(|o| o.faults.get(&invariant)).flatten().collect();
    assert!(found.is_empty(), "{found:#?}");
    let met: u64 = lived.iter().filter_map(|o| o.met.get(&invariant)).sum();
    assert!(met >= at_least, "it was met {met} times only, in {:?} questions", lived.iter().map(|o| o.asked).collect::<Vec<_>>());
}

#[track_caller]
fn holds(invariant: u8, at_least: u64) {
    held(lived(), invariant, at_least);
}

#[test]
fn answers_are_those_of_the_slow_reference() {
    holds(0, 2_000);
}

#[test]
fn invariant_01_an_agent_has_one_offer_and_none_beside_a_live_leg() {
    holds(1, 300);
}

#[test]
fn invariant_02_a_call_has_one_winner() {
    holds(2, 100);
}

#[test]
fn invariant_03_every_reservation_ends() {
    holds(3, 20);
}

#[test]
fn invariant_04_no_offer_in_wrap_up_cool_down_a_break_or_closed_hours() {
    holds(4, 300);
}

#[test]
fn invariant_05_first_come_first_served_across_queues() {
    holds(5, 5);
}

#[test]
fn invariant_06_age_raises_rank() {
    holds(6, 500);
}

#[test]
fn invariant_07_nobody_waits_while_his_agent_is_free() {
    holds(7, 300);
}

#[test]
fn invariant_08_nobody_is_tried_again_while_an_untried_agent_is_free() {
    holds(8, 20);
}

#[test]
fn invariant_09_an_abandon_is_no_miss() {
    holds(9, 20);
}

#[test]
fn invariant_10_the_same_again_changes_nothing() {
    holds(10, 50);
}

#[test]
fn invariant_11_a_stale_outcome_has_no_effect() {
    holds(11, 20);
}

#[test]
fn invariant_12_an_answer_that_is_heard_of_late_is_joined() {
    holds(12, 10);
}

#[test]
fn invariant_13_what_was_offered_is_what_became_of_it() {
    holds(13, 300);
}

#[test]
fn invariant_14_the_times_in_state_add_up() {
    holds(14, 1_000);
}

#[test]
fn invariant_15_a_decision_is_made_again_from_its_record() {
    holds(15, 1_000);
}

#[test]
fn invariant_16_a_status_frees_nobody_and_nobody_undoes_it() {
    holds(16, 5);
}

#[test]
fn invariant_22_a_removal_leaves_no_reservation() {
    holds(22, 5);
}

#[test]
fn short_histories_shrink_to_what_matters() {
    let mut runner = TestRunner::new(Config { cases: 8, max_shrink_iters: 60, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(3usize..14, vec(any_step(), 20..90)), |(people, steps)| {
        let outcome = live(Backend::Sqlite, straight(people * 2), steps);
        proptest::prop_assert!(outcome.faults.is_empty(), "{:#?}", outcome.faults);
        Ok(())
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}

/// The centre has a queue for each strategy.
#[test]
fn every_strategy_is_lived() {
    let app = straight(24).spec;
    assert!(Way::ALL.iter().all(|way| app.queue.iter().any(|q| q.strategy == *way)));
}
