//! Histories in centres with every door: what a call meets before, between and after queues.
//!
//! The reference says all that a call is told, but for these: who of a queue that draws lots is drawn (such queues live in the straight
//! histories), and who rings next where one more rings every few seconds, of whom only is judged that nobody stops ringing for it.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;

use super::centre::wide;
use super::history::{Outcome, live, wide_step};
use super::{held, steps};
use crate::support::Backend;

/// Agents and steps of the long histories.
const LONG: [(Backend, usize, usize, u8); 7] = [
    (Backend::Sqlite, 30, 600, 1),
    (Backend::Sqlite, 14, 600, 2),
    (Backend::Sqlite, 22, 600, 3),
    (Backend::Sqlite, 40, 600, 4),
    (Backend::Sqlite, 18, 600, 6),
    (Backend::Sqlite, 26, 600, 7),
    (Backend::Postgres, 20, 250, 5),
];

fn lived() -> &'static Vec<Outcome> {
    static LIVED: OnceLock<Vec<Outcome>> = OnceLock::new();
    LIVED.get_or_init(|| {
        let lives = |(backend, people, count, seed)| live(backend, wide(people, u64::from(seed)), steps(wide_step(), count, seed));
        let threads = LONG.map(|long| std::thread::spawn(move || lives(long)));
        threads.map(|thread| thread.join().expect("a history")).into()
    })
}

/// The number of the invariant, and how often at least it was met; 0: what is told is what the reference says.
#[rstest]
#[case::answers_are_those_of_the_slow_reference(0, 1_000)]
#[case::invariant_01(1, 100)]
#[case::invariant_02(2, 50)]
#[case::invariant_03(3, 20)]
#[case::invariant_04(4, 100)]
#[case::invariant_05(5, 5)]
#[case::invariant_06(6, 100)]
#[case::invariant_07(7, 100)]
#[case::invariant_08(8, 10)]
#[case::invariant_09(9, 20)]
#[case::invariant_10(10, 50)]
#[case::invariant_11(11, 20)]
#[case::invariant_12(12, 5)]
#[case::invariant_13(13, 200)]
#[case::invariant_14(14, 300)]
#[case::invariant_15(15, 300)]
#[case::invariant_16(16, 3)]
#[case::invariant_22(22, 5)]
fn holds_behind_every_door(#[case] invariant: u8, #[case] at_least: u64) {
    held(lived(), invariant, at_least);
}

/// They are told everything that a call can be told.
#[test]
fn every_answer_is_lived() {
    for word in ["dial", "wait", "prompt", "forward", "voicemail", "hangup", "default"] {
        let told: u64 = lived().iter().filter_map(|o| o.told.get(word)).sum();
        assert!(told >= 10, "{word}: {told} times, of {:?}", lived().iter().map(|o| &o.told).collect::<Vec<_>>());
    }
}

#[test]
fn short_wide_histories_shrink_to_what_matters() {
    let mut runner = TestRunner::new(Config { cases: 16, max_shrink_iters: 80, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(3usize..14, 0u64..1_000, vec(wide_step(), 20..90)), |(people, seed, steps)| {
        let outcome = live(Backend::Sqlite, wide(people * 2, seed), steps);
        proptest::prop_assert!(outcome.faults.is_empty(), "{:#?}", outcome.faults);
        Ok(())
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}
