//! A clock that is set: forward and back, by hours, between any two events.

use hookflash::domain::agent::State;
use hookflash::simulator::telphin::{Cast, Row, Spelling, scenario};
use hookflash::store::{calls, log};
use hookflash::timers;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, House, SHOP, START, no_differences};

const HOUR: i64 = 3_600;

#[derive(Clone, Debug)]
enum Step {
    Event(String),
    Ask(String),
    Jump(i64),
    Sweep,
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let calls = prop::collection::vec((prop::sample::select(Row::ALL.to_vec()), 0u64..1_000), 1..5);
    let noise = prop::collection::vec(
        prop_oneof![
            3 => (-6 * HOUR..6 * HOUR).prop_map(Step::Jump),
            2 => (0..6u32).prop_map(|n| Step::Ask(format!("asked{n}"))),
            1 => Just(Step::Sweep),
        ],
        0..30,
    );
    (calls, noise).prop_flat_map(|(calls, noise)| {
        let events = calls.iter().flat_map(|(row, seed)| scenario(*row, &Cast::sample(), START, *seed));
        let steps: Vec<Step> = events.map(|s| Step::Event(s.event.form(Spelling::default()))).chain(noise).collect();
        Just(steps).prop_shuffle()
    })
}

#[rstest]
fn no_jump_of_the_clock_strands_anybody(#[values(Sqlite, Postgres)] backend: Backend) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = if backend == Sqlite { 24 } else { 8 };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&history(), |steps| {
        runtime.block_on(async {
            let house = House::open(backend).await;
            for step in &steps {
                match step {
                    Step::Event(form) => drop(house.event(form).await),
                    Step::Ask(call) => drop(house.lookup(Some(call), "+79995550101").await),
                    Step::Jump(seconds) => house.pass_s(*seconds),
                    Step::Sweep => timers::sweep(&house.hookflash).await,
                }
            }
            let now = house.clock.now().plus_s(1_000 * HOUR);
            for leg in house.read(move |conn| log::legs(conn, SHOP, &log::Filter::default(), None, now, 500)).await {
                assert!(leg.talk_us >= 0 && leg.duration_us >= 0, "{leg:?}");
                assert!(leg.ended_at.is_none_or(|e| e >= leg.started_at), "{leg:?}");
            }
            for call in house.read(move |conn| log::calls(conn, SHOP, &log::Filter::default(), None, 500)).await {
                let call = house.read(move |conn| calls::get(conn, SHOP, &call.id)).await.expect("a call");
                assert!(call.ended_at.is_none_or(|e| e >= call.started_at), "{call:?}");
            }
            no_differences(&house).await;
            // Wherever the clock stood when a deadline was set, the deadline ends.
            house.pass_s(200 * HOUR);
            timers::sweep(&house.hookflash).await;
            for agent in ["ann", "bob", "eve"] {
                let state = house.state(agent).await;
                assert_eq!((state.at(house.clock.now()).0, state.ringing, state.talking), (State::Available, 0, 0), "{state:?}");
                assert_eq!(state.claim, None);
            }
            assert!(house.lookup(Some("after"), "+79995550101").await.extension.is_some());
        });
        Ok(())
    });
    result.unwrap();
}
