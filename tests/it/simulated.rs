//! The server and the simulated PBX, over real HTTP: calls that live, with events doubled, out of order and lost.

use std::collections::{BTreeMap, VecDeque};

use hookflash::domain::agent::State;
use hookflash::domain::spec::Application;
use hookflash::simulator::telphin::{
    Behaviour, CallReport, Conditions, Config, Directory, Incoming, LiveCall, Method, Outgoing, Simulator,
};
use hookflash::store::calls::LegRow;
use hookflash::store::{live, log};
use hookflash::timers;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::{Backend, House, SHOP, eventually, no_differences};

const CALLS: usize = 30;
const DID: &str = "74955550100";

/// A PBX whose IVR asks the server first and whose extensions tell it everything.
async fn pbx(served: &Served, conditions: Conditions, seed: u64) -> Simulator {
    let mut directory = Directory::sample();
    directory.ask_first("099", format!("{}{ASK}", served.running.url()), Method::Post, "managerExt", "200");
    let pbx = Simulator::start(Config { directory, conditions, seed: Some(seed), ..Config::default() }).await.unwrap();
    pbx.subscribe_all(&format!("{}{EVENT}", served.running.url()));
    pbx
}

/// Makes the calls, some at once, and returns what the PBX says of them.
async fn calls(pbx: &Simulator, seed: u64) -> Vec<CallReport> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut living, mut reports) = (Vec::new(), Vec::new());
    for n in 0..CALLS {
        let number = format!("+79995550{:03}", 100 + rng.random_range(0..20));
        let talks = Behaviour::answers(rng.random_range(1_000..9_000), rng.random_range(5_000..60_000));
        let call = match rng.random_range(0..10) {
            0..5 => pbx.incoming_call(Incoming::new(&number, DID).others(talks)),
            5 => pbx.incoming_call(Incoming::new(&number, DID).others(Behaviour::NoAnswer).patience_ms(25_000)),
            6 => pbx.incoming_call(Incoming::new(&number, DID).others(talks).phone("101", Behaviour::NoAnswer)),
            7 => {
                let passes = Behaviour::Answers { after_ms: 2_000, talk_ms: 9_000, transfer_to: Some("103".into()) };
                pbx.incoming_call(Incoming::new(&number, DID).others(talks).phone("101", passes))
            }
            _ => {
                let phone = format!("10{}", rng.random_range(1..4));
                pbx.outgoing_call(Outgoing { phone, to: number, called: Some(talks) })
            }
        };
        // A phone that is in use dials nothing.
        living.extend(call.ok());
        if n % 3 == 2 {
            for call in living.drain(..) {
                reports.extend(call.finished().await);
            }
        }
    }
    for call in living {
        reports.extend(call.finished().await);
    }
    reports
}

async fn logged(house: &House) -> Vec<LegRow> {
    let now = house.clock.now().plus_s(60);
    house.read(move |conn| log::legs(conn, SHOP, &log::Filter::default(), None, now, 500)).await
}

/// What the log must hold: by leg, how it ended; and the calls that nobody took.
fn expected(reports: &[CallReport]) -> (BTreeMap<String, &'static str>, usize) {
    let mut legs = BTreeMap::new();
    let mut missed = 0;
    for report in reports {
        let incoming = report.from.starts_with('+');
        for rang in &report.rung {
            let status = match rang.status.as_str() {
                "ANSWER" => "answered",
                "BUSY" => "busy",
                "NOANSWER" => "no_answer",
                "CANCEL" => "cancelled",
                _ => "failed",
            };
            if status == "answered" || !incoming {
                legs.insert(rang.leg.clone(), status);
            }
        }
        missed += usize::from(incoming && report.answered_by.is_none());
    }
    (legs, missed)
}

#[rstest]
#[case::at_once(0.0, Conditions::default())]
#[case::at_speed(1_000.0, Conditions::default())]
#[case::doubled(0.0, Conditions { duplicate: 0.5, ..Conditions::default() })]
#[case::out_of_order(0.0, Conditions { reorder: 0.5, ..Conditions::default() })]
#[case::late(0.0, Conditions { delay: 0.3, delay_ms: 30_000, ..Conditions::default() })]
#[case::doubled_and_out_of_order_at_speed(1_000.0, Conditions { duplicate: 0.3, reorder: 0.3, lower_flow: true, bare_plus: true, ..Conditions::default() })]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_event_lost_the_log_is_what_the_pbx_reports(
    #[case] speed: f64,
    #[case] conditions: Conditions,
    #[values(Sqlite, Postgres)] backend: Backend,
) {
    let house = House::live(backend, |_| {}, |app| app.routing.wrap_up_s = 0).await;
    let served = house.serve();
    let pbx = pbx(&served, Conditions { speed, fault_seed: 7, ..conditions.clone() }, 7).await;
    let reports = calls(&pbx, 7).await;
    assert!(reports.len() > CALLS / 2);
    assert!(pbx.deliveries().iter().all(|d| d.is_accepted()), "every event was taken");
    assert!(reports.iter().flat_map(|r| &r.asked).all(|a| a.refused.is_none()), "every answer could be obeyed");

    let (legs, missed) = expected(&reports);
    eventually(async || logged(&house).await.iter().filter(|r| r.kind == "leg").count() >= legs.len()).await;
    let rows = logged(&house).await;
    let got: BTreeMap<String, &str> = rows.iter().filter_map(|r| Some((r.sub_call_id.clone()?, r.status.as_str()))).collect();
    assert_eq!(got.len(), rows.iter().filter(|r| r.kind == "leg").count(), "each leg once");
    assert_eq!(got, legs);
    assert_eq!(rows.iter().filter(|r| r.kind == "missed").count(), missed);
    assert_eq!(house.read(|conn| live::all(conn, SHOP)).await, vec![], "everybody is free");
    no_differences(&house).await;
    pbx.stop().await;
    served.stop().await;
}

/// Here phones ring because the server named them, and for no other reason: it knows of all that it must not name.
#[rstest]
#[case::at_once(0.0, Conditions::default())]
#[case::at_speed(1_000.0, Conditions::default())]
#[case::disturbed(0.0, Conditions { duplicate: 0.4, reorder: 0.4, delay: 0.2, delay_ms: 20_000, ..Conditions::default() })]
#[case::disturbed_at_speed(1_000.0, Conditions { duplicate: 0.4, reorder: 0.4, delay: 0.2, delay_ms: 20_000, ..Conditions::default() })]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_named_while_he_is_busy(
    #[case] speed: f64,
    #[case] conditions: Conditions,
    #[values(Sqlite, Postgres)] backend: Backend,
) {
    let none = |app: &mut Application| app.routing.cool_down_s.no_answer = 0;
    let house = House::live(backend, |_| {}, none).await;
    let served = house.serve();
    let pbx = pbx(&served, Conditions { speed, fault_seed: 3, ..conditions }, 3).await;
    pbx.directory(|directory| directory.queues.values_mut().for_each(|queue| (queue.phones, queue.max_wait_ms) = (Vec::new(), 100)));
    let mut rng = StdRng::seed_from_u64(3);
    let mut living: VecDeque<LiveCall> = VecDeque::new();
    let mut reports = Vec::new();
    for n in 0..2 * CALLS {
        let does = if rng.random_bool(0.2) {
            Behaviour::NoAnswer
        } else {
            Behaviour::answers(rng.random_range(500..9_000), rng.random_range(1_000..60_000))
        };
        living.push_back(pbx.incoming_call(Incoming::new(&format!("+79995550{:03}", 100 + n), DID).others(does)).unwrap());
        if living.len() == 6
            && let Some(call) = living.pop_front()
        {
            reports.extend(call.finished().await);
        }
    }
    for call in living {
        reports.extend(call.finished().await);
    }
    assert_eq!(reports.len(), 2 * CALLS);
    assert_eq!(pbx.rung_while_busy(), 0);
    assert!(reports.iter().filter(|r| r.answered_by.is_some()).count() >= 3, "somebody was named");
    assert!(reports.iter().any(|r| r.rung.is_empty()), "and there were calls when nobody could be");
    pbx.stop().await;
    served.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_events_lost_nobody_is_stranded(#[values(Sqlite, Postgres)] backend: Backend, #[values(1, 2, 3)] seed: u64) {
    let house = House::live(backend, |_| {}, |_| {}).await;
    let served = house.serve();
    let faults = Conditions { loss: 0.3, duplicate: 0.2, reorder: 0.2, fault_seed: seed, ..Conditions::instant() };
    let pbx = pbx(&served, faults, seed).await;
    calls(&pbx, seed).await;
    assert!(pbx.deliveries().iter().any(|d| !d.is_accepted()), "something was lost");
    no_differences(&house).await;
    pbx.stop().await;
    served.stop().await;
    // Longer than the longest call, with nobody to ask at the PBX.
    house.pass_s(5 * 3_600);
    timers::sweep(&house.hookflash).await;
    for agent in ["ann", "bob", "eve"] {
        let state = house.state(agent).await;
        assert_eq!((state.at(house.clock.now()).0, state.ringing, state.talking), (State::Available, 0, 0), "{state:?}");
    }
    assert_eq!(house.lookup(Some("after"), "+79995550101").await.extension.as_deref(), Some("101"));
}
