//! The contact centre on a virtual clock: its report is a snapshot, and on any day, however bad the PBX and the machine, what must hold holds.

use hookflash::centre::{Chaos, Plan, Report, run};
use hookflash::domain::spec::Strategy as Way;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;

use crate::support::{Backend, database};

fn plan() -> Plan {
    Plan {
        agents: 12,
        queues: 1,
        strategy: Way::LongestIdle,
        calls_per_hour: 300.0,
        hours: 0.5,
        talk_s: 100.0,
        wrap_up_s: 10,
        patience_s: 90.0,
        answer_s: 8.0,
        ignored: 0.05,
        rejected: 0.05,
        answer_within_s: 20,
        poll_s: 1,
        seed: 1,
        probed: 0.05,
        chaos: Chaos::default(),
    }
}

fn live(plan: &Plan, backend: Backend) -> Report {
    let (url, _place) = database(backend);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(run(plan, url, |_| {})).expect("a day")
}

#[test]
fn a_day_is_the_same_for_the_same_seed() {
    let report = live(&plan(), Backend::Sqlite);
    insta::assert_snapshot!(report.figures());
    assert_eq!((report.faults.as_slice(), report.offered), (&[][..], report.answered + report.abandoned));
    assert_eq!(live(&plan(), Backend::Postgres).figures(), report.figures());
}

/// Also where it is tried on every occasion, and where on none: the day is the same.
#[test]
fn a_day_is_the_same_however_often_it_is_tried_and_every_invariant_is_looked_at() {
    for strategy in [Way::TopDown, Way::RingAll] {
        let restless = Plan { ignored: 0.5, rejected: 0.2, queues: 2, agents: 8, calls_per_hour: 150.0, hours: 0.5, ..plan() };
        let plan = Plan { strategy, ..restless };
        let never = live(&Plan { probed: 0.0, ..plan.clone() }, Backend::Sqlite);
        let always = live(&Plan { probed: 1.0, ..plan }, Backend::Sqlite);
        assert_eq!((always.figures(), always.faults.as_slice()), (never.figures(), &[][..]));
        // Where several ring at once, it is not told from one ringing who was served first.
        let unlooked: &[u8] = if strategy == Way::RingAll { &[5] } else { &[] };
        let none: Vec<u8> = always.checked.iter().filter(|(_, times)| **times == 0).map(|(invariant, _)| *invariant).collect();
        assert_eq!(none, unlooked, "{always}");
    }
}

#[test]
fn what_must_hold_holds_with_every_strategy() {
    for (n, way) in Way::ALL.iter().enumerate() {
        let report = live(&Plan { strategy: *way, hours: 0.2, queues: 1 + n % 2, seed: n as u64, ..plan() }, Backend::Sqlite);
        assert_eq!(report.faults, Vec::<String>::new(), "{way}");
        assert!(report.answered > 20, "{way}: {}", report.figures());
    }
}

/// Days on which the room once saw faults that were its own.
#[rstest]
#[case::whom_a_call_has_tried_is_not_free_for_it(
    Plan { strategy: Way::TopDown, agents: 8, talk_s: 115.0, patience_s: 200.0, ignored: 0.5, rejected: 0.3, ..short() }
)]
#[case::a_pbx_that_asks_seldom_still_asks(Plan { poll_s: 10, queues: 2, ..short() })]
#[case::a_wrap_up_outlasts_the_last_caller(Plan { wrap_up_s: 700, ..short() })]
fn the_room_sees_no_fault_that_is_none(#[case] day: Plan) {
    let report = live(&day, Backend::Sqlite);
    assert!(report.faults.is_empty(), "{report}");
}

fn short() -> Plan {
    Plan { calls_per_hour: 200.0, hours: 0.4, seed: 5, ..plan() }
}

/// Erlang C speaks of a centre without impatience, where answering takes no time.
#[test]
fn the_simulation_agrees_with_erlang_c_where_its_conditions_hold() {
    let calm = Plan { patience_s: 1e9, ignored: 0.0, rejected: 0.0, answer_s: 1.0, agents: 8, calls_per_hour: 200.0, hours: 3.0, ..plan() };
    let report = live(&calm, Backend::Sqlite);
    assert_eq!((report.faults.as_slice(), report.abandoned), (&[][..], 0));
    let predicted = report.erlang_level();
    assert!((report.service_level() - predicted).abs() < 0.12, "{} {predicted}\n{}", report.service_level(), report.figures());
}

/// Questions and events that come twice, components thrown away and opened anew, any strategy, agents who come short.
#[test]
fn what_must_hold_holds_on_any_day() {
    let people = (2usize..10, 1usize..4, 0..Way::ALL.len(), 60.0f64..400.0, 1i64..12);
    let any = (people, 0.0f64..0.6, 0.0f64..0.4, any::<u64>(), 0.0f64..0.3, 0u64..80);
    let mut runner = TestRunner::new(Config { cases: 10, max_shrink_iters: 40, ..Config::default() });
    let result = runner.run(&any, |((agents, queues, way, calls_per_hour, poll_s), ignored, rejected, seed, twice, restart)| {
        let restart_every = if restart < 20 { 0 } else { restart };
        let day = Plan {
            agents: agents.max(queues),
            queues,
            strategy: Way::ALL[way],
            calls_per_hour,
            hours: 0.1,
            ignored,
            rejected,
            poll_s,
            seed,
            chaos: Chaos { twice, restart_every },
            ..plan()
        };
        let backend = if seed % 6 == 0 { Backend::Postgres } else { Backend::Sqlite };
        let report = live(&day, backend);
        prop_assert!(report.faults.is_empty(), "{day:?}\n{report}");
        Ok(())
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}
