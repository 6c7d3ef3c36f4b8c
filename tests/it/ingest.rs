//! Events through the store, on both databases: applied once, in any order, freeing everybody, and rebuilt exactly by a replay.

use hookflash::domain::agent::{OfferState, State};
use hookflash::domain::time::Timestamp;
use hookflash::ingest::Accepted;
use hookflash::simulator::telphin::{Cast, Row, Spelling, scenario};
use hookflash::store::{agents, calls, journal, live, log, offers};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::leg;
use crate::support::{Backend, House, START, no_differences};

const CLIENT: &str = "+79995550101";

fn forms(row: Row, seed: u64) -> Vec<String> {
    scenario(row, &Cast::sample(), START, seed).iter().map(|s| s.event.form(Spelling::default())).collect()
}

/// The logged rows as (kind, status, extension or place), oldest first.
async fn logged(house: &House) -> Vec<(String, String, String)> {
    let now = house.clock.now().plus_s(10);
    let mut rows = house.read(move |conn| log::legs(conn, 807, &log::Filter::default(), None, now, 500)).await;
    rows.sort_by_key(|r| (r.started_at, r.leg.clone(), r.place.clone()));
    rows.into_iter().map(|r| (r.kind, r.status, r.place.or(r.extension).unwrap_or_default())).collect()
}

fn row(kind: &str, status: &str, place: &str) -> (String, String, String) {
    (kind.into(), status.into(), place.into())
}

#[rstest]
#[tokio::test]
async fn every_sequence_is_logged_once_and_replays_exactly(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    for (n, row) in Row::ALL.into_iter().enumerate() {
        for form in forms(row, n as u64 * 3) {
            house.clock.advance(1_000);
            assert_eq!(house.event(&form).await, Accepted::Applied, "{form}");
            assert_eq!(house.event(&form).await, Accepted::Duplicate);
        }
    }
    let mut got: Vec<String> = logged(&house).await.into_iter().map(|(_, s, p)| format!("{s} {p}")).collect();
    got.sort();
    let mut want = vec![
        "answered 101",
        "busy 101",
        "answered 101",
        "answered 102",
        "answered 102",
        "missed 0047*200",
        "missed 0047*099",
        "answered 101",
        "answered 102",
        "answered 101",
        "answered 102",
        "answered 101",
        "answered 101",
        "missed 0047*200",
    ];
    want.sort_unstable();
    assert_eq!(got, want);
    no_differences(&house).await;
    for agent in ["ann", "bob", "eve"] {
        assert_eq!(house.state(agent).await.at(house.clock.now()).0, State::Available, "{agent}");
    }
    assert_eq!(house.read(|conn| live::all(conn, 807)).await, vec![]);
}

#[rstest]
#[tokio::test]
async fn a_missed_call_appears_after_its_wait_and_is_withdrawn_by_later_facts(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let lost = "EventType=hangup&EventTime=1767000031000000&CallID=77AA01&CallStatus=CANCEL&CallFlow=IN&Bridged=no&CallerIDNum=%2B79995550102&CalledDID=74955550100&CalledExtension=0047%2A099%40sip.example&Duration=31000000";
    house.event(lost).await;
    let visible = |house: &House| {
        let (db, now) = (house.hookflash.db.clone(), house.clock.now());
        async move { db.read(move |conn| log::legs(conn, 807, &log::Filter::default(), None, now, 10)).await.unwrap() }
    };
    house.clock.advance(2_999_000);
    assert_eq!(visible(&house).await.len(), 0, "three seconds are not over");
    house.clock.advance(1_000);
    let first = visible(&house).await.remove(0);
    assert_eq!(
        (first.place.as_deref(), first.did.as_deref(), first.sub_call_id.as_deref()),
        (Some("0047*099"), Some("+74955550100"), None)
    );
    // A queue's hangup comes late and beats the IVR: the same row, another place.
    house.event(&lost.replace("0047%2A099", "0047%2A200").replace("77AA01", "77aa01")).await;
    let amended = visible(&house).await.remove(0);
    assert_eq!((amended.id(), amended.place.as_deref()), (first.id(), Some("0047*200")));
    assert_eq!(
        house.read(|conn| calls::get(conn, 807, &hookflash::domain::id::call_id(807, "77aa01"))).await.unwrap().pbx_call_id,
        "77AA01"
    );
    // Somebody took it after all.
    house.event(&lost.replace("Bridged=no", "Bridged=yes").replace("EventTime=1767000031", "EventTime=1767000041")).await;
    assert_eq!(visible(&house).await.len(), 0);
    no_differences(&house).await;
}

#[rstest]
#[tokio::test]
async fn a_call_that_only_touched_a_phone_is_missed_there(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let common = "CallID=55&SubCallID=700101-1&CallFlow=IN&CallerIDNum=%2B79995550103&CalledExtension=0047%2A101%40sip.example";
    house.event(&format!("EventType=dial-in&EventTime=1767000000000000&CallStatus=CALLING&{common}")).await;
    house.event(&format!("EventType=hangup&EventTime=1767000020000000&CallStatus=NOANSWER&{common}")).await;
    assert_eq!(logged(&house).await, vec![row("missed", "missed", "101")]);
    no_differences(&house).await;
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_read_is_kept_once_with_its_reason(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    for _ in 0..3 {
        assert!(matches!(house.event("EventType=hangup&Bridged=no").await, Accepted::Unreadable(reason) if reason.contains("CallID")));
    }
    let (count, reason) = house.read(|conn| journal::errors_since(conn, 807, Timestamp(0))).await;
    assert_eq!((count, reason.as_deref()), (1, Some("CallID is missing")));
}

#[rstest]
#[tokio::test]
async fn a_lookup_respects_what_agents_do(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let first = house.lookup(Some("c1"), CLIENT).await;
    assert_eq!(first.extension.as_deref(), Some("101"), "the owner is free");
    let again = house.lookup(Some("C1"), CLIENT).await;
    assert_eq!((again.extension.as_deref(), &again.decision_id), (Some("101"), &first.decision_id), "the same call gets the same answer");
    let other = house.lookup(Some("c2"), CLIENT).await;
    assert_eq!(other.extension.as_deref(), Some("102"), "the owner was just named to another call");
    let third = house.lookup(None, CLIENT).await;
    assert_eq!(third.extension.as_deref(), Some("103"), "owner and deputy are named; the group has one more");
    let fourth = house.lookup(None, CLIENT).await;
    assert_eq!(fourth.extension, None);
    let reason = fourth.decision.unwrap().reason;
    assert_eq!(
        reason,
        "Nobody can take the call: Ann Lee (owner) was just named to another call, Bob Ray (deputy) was just named to another call, \
         Eve Fox (group:sales) was just named to another call."
    );
}

#[rstest]
#[tokio::test]
async fn an_offer_that_failed_cools_the_agent_down_and_counts_as_tried(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    assert_eq!(house.lookup(Some("c1"), CLIENT).await.extension.as_deref(), Some("101"));
    house.event(&leg("dial-in", "c1", "101", 0, "&CallStatus=CALLING")).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Ringing);
    house.event(&leg("hangup", "c1", "101", 20, "&CallStatus=NOANSWER")).await;
    let ann = house.state("ann").await;
    assert_eq!((ann.at(house.clock.now()).0, ann.claim), (State::Available, None));
    assert_eq!(ann.cool_until, house.clock.now().plus_s(30));
    let next = house.lookup(Some("c1"), CLIENT).await;
    assert_eq!(next.extension.as_deref(), Some("102"));
    assert!(next.decision.unwrap().reason.contains("Ann Lee (owner) was tried by this call already"));
    let call = hookflash::domain::id::call_id(807, "c1");
    let states: Vec<OfferState> = house.read(move |conn| offers::of_calls(conn, 807, &[call])).await.iter().map(|o| o.state()).collect();
    assert_eq!(states, vec![OfferState::NoAnswer, OfferState::Pending]);
}

#[rstest]
#[tokio::test]
async fn talking_and_wrap_up_keep_an_agent_from_the_next_call(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open_with(backend, |_| {}, |app| app.routing.wrap_up_s = 10).await;
    house.lookup(Some("c1"), CLIENT).await;
    house.event(&leg("dial-in", "c1", "101", 0, "")).await;
    house.event(&leg("answer", "c1", "101", 5, "&CallStatus=ANSWER")).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::OnCall);
    assert_eq!(house.lookup(Some("c1"), CLIENT).await.extension.as_deref(), Some("101"), "his own call");
    assert_eq!(house.lookup(Some("c2"), CLIENT).await.extension.as_deref(), Some("102"));
    house.clock.advance(60_000_000);
    house.event(&leg("hangup", "c1", "101", 65, "&CallStatus=ANSWER&Duration=65000000")).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::WrapUp);
    let refused = house.lookup(Some("c3"), CLIENT).await.decision.unwrap();
    assert!(refused.reason.contains("Ann Lee (owner) is in wrap-up"), "{}", refused.reason);
    house.clock.advance(10_000_000);
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Available);
    assert_eq!(house.lookup(Some("c4"), CLIENT).await.extension.as_deref(), Some("101"));
}

#[rstest]
#[tokio::test]
async fn a_claim_ends_with_the_call_with_another_phone_or_with_its_time(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let state = |house: &House| {
        let (db, now) = (house.hookflash.db.clone(), house.clock.now());
        async move { db.read(|conn| agents::get(conn, 807, "ann")).await.unwrap().unwrap().at(now).0 }
    };
    house.lookup(Some("c1"), CLIENT).await;
    house.event("EventType=hangup&EventTime=1767000001000000&CallID=c1&Bridged=no&CallStatus=CANCEL&CallFlow=IN&CallerIDNum=%2B79995550101&CalledExtension=0047%2A099").await;
    assert_eq!(state(&house).await, State::Available, "the caller hung up in the greeting");
    house.lookup(Some("c2"), CLIENT).await;
    assert_eq!(state(&house).await, State::Reserved);
    house.event(&leg("dial-in", "c2", "103", 0, "")).await;
    assert_eq!(state(&house).await, State::Available, "the PBX rang somebody else");
    house.lookup(Some("c3"), CLIENT).await;
    house.clock.advance(20_000_000);
    assert_eq!(state(&house).await, State::Available, "no leg came within claim_s");
    hookflash::timers::sweep(&house.hookflash).await;
    let call = hookflash::domain::id::call_id(807, "c3");
    assert_eq!(house.read(move |conn| offers::of_calls(conn, 807, &[call])).await[0].state(), OfferState::Rescinded);
}

#[rstest]
#[tokio::test]
async fn a_lost_hangup_strands_nobody(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    house.event(&leg("dial-in", "c1", "101", 0, "")).await;
    house.clock.advance(119_000_000);
    hookflash::timers::sweep(&house.hookflash).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Ringing);
    house.clock.advance(1_000_000);
    hookflash::timers::sweep(&house.hookflash).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Available);
    // The leg was only slow: an answer brings it back, and four hours are the most that a call may take.
    house.event(&leg("answer", "c1", "101", 121, "&CallStatus=ANSWER")).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::OnCall);
    house.clock.advance(4 * 3_600 * 1_000_000);
    hookflash::timers::sweep(&house.hookflash).await;
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Available);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lookups_at_the_same_instant_never_get_the_same_manager(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = std::sync::Arc::new(House::open(backend).await);
    let asked: Vec<_> = (0..12)
        .map(|n| {
            let house = house.clone();
            tokio::spawn(async move { house.lookup(Some(&format!("c{n}")), CLIENT).await.extension })
        })
        .collect();
    let mut named = Vec::new();
    for answer in asked {
        named.extend(answer.await.unwrap());
    }
    named.sort();
    assert_eq!(named, ["101", "102", "103"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_call_asked_many_times_at_once_gets_one_answer(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = std::sync::Arc::new(House::open(backend).await);
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let house = house.clone();
            tokio::spawn(async move { house.lookup(Some("one"), CLIENT).await })
        })
        .collect();
    let mut answers = std::collections::BTreeSet::new();
    for answer in asked {
        let answer = answer.await.unwrap();
        answers.insert((answer.extension, answer.decision_id));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// Any calls at once, in any order, with any duplication: the log is that of each call alone, everybody is free, a replay agrees.
#[rstest]
fn any_history_ends_with_the_same_log_and_everybody_free(#[values(Sqlite, Postgres)] backend: Backend) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = if backend == Sqlite { 24 } else { 8 };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let history = proptest::collection::vec((proptest::sample::select(Row::ALL.to_vec()), 0u64..1000), 1..6).prop_flat_map(|calls| {
        let mut all: Vec<String> = calls.iter().flat_map(|(row, seed)| forms(*row, *seed)).collect();
        all.extend(all.clone().into_iter().step_by(3));
        (Just(calls), Just(all).prop_shuffle())
    });
    let result = runner.run(&history, |(calls, events)| {
        runtime.block_on(async {
            let house = House::open(backend).await;
            for form in &events {
                house.clock.advance(10);
                house.event(form).await;
            }
            let shuffled = logged(&house).await;
            no_differences(&house).await;
            for agent in ["ann", "bob", "eve"] {
                prop_assert_eq!(house.state(agent).await.at(house.clock.now()).0, State::Available);
            }
            let straight = House::open(backend).await;
            for (row, seed) in &calls {
                for form in forms(*row, *seed) {
                    straight.event(&form).await;
                }
            }
            prop_assert_eq!(logged(&straight).await, shuffled);
            Ok(())
        })
    });
    result.unwrap();
}
