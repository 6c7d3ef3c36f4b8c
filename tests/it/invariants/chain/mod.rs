//! Invariant 18: a responsible manager who cannot take the call, whatever the reason, is passed over for the first in the chain who can; the
//! decision names each who was passed over, with his reason. For a PBX that asks once, and for one whose calls wait.
//!
//! Each trial is an application of its own: a chain in any order, a contact, a group and a queue of agents in any state.

mod must;
mod trial;

use hookflash::acd;
use hookflash::domain::decision::Decision;
use hookflash::lookup::{self, Mode};
use hookflash::pbx::RoutingRequest;
use hookflash::pbx::action::Action;
use hookflash::store::agents;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;

use crate::support::{Backend, House};
use must::Must;
use trial::{CALLER, DID, any_trial};

/// What has come of it, as a decision and the agents' rows tell.
async fn came(house: &House, id: i64, decision: &Decision, steps: &[&str]) -> Must {
    let now = house.clock.now();
    let states = house.read(move |conn| agents::all(conn, id)).await;
    let bound: Vec<String> =
        states.into_iter().filter(|s| s.live_claim(now).is_some_and(|c| c.call != "another")).map(|s| s.agent).collect();
    assert_eq!(bound, decision.agents, "who is named is bound, and nobody else");
    let refused = decision.candidates.iter().filter(|c| !c.eligible);
    let mut refused: Vec<_> = refused.map(|c| (c.step.clone(), c.agent.clone(), c.reason.clone())).collect();
    refused.sort();
    let told_empty = |step: &&&str| decision.reason.contains(&format!("The step {step} names nobody"));
    Must {
        chosen: decision.agents.first().cloned(),
        refused,
        empty: steps.iter().filter(told_empty).map(|s| (*s).to_owned()).collect(),
        turned_away: decision.reason.contains("on the blacklist"),
    }
}

#[rstest]
#[case(Backend::Sqlite, 50)]
#[case(Backend::Postgres, 12)]
fn whoever_cannot_is_passed_over_for_the_first_who_can_with_his_reason(#[case] backend: Backend, #[case] cases: u32) {
    let system = actix_web::rt::System::new();
    let house = system.block_on(House::shop(backend));
    let next = std::cell::Cell::new(1_000);
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    let result = runner.run(&any_trial(), |trial| {
        system.block_on(async {
            let id = next.replace(next.get() + 2);
            let (db, clock) = (&house.hookflash.db, &house.clock);
            let request = RoutingRequest {
                call: Some("call".into()),
                caller: CALLER.into(),
                did: Some(DID.into()),
                dialled: Some(DID.into()),
                ..RoutingRequest::default()
            };
            trial.declare(&house, id, "telphin").await;
            let app = house.hookflash.roster.app(id).expect("the application");
            let answer = lookup::decide(db, clock, &app, &request, Mode::Live { claim_s: 20 }).await.expect("decided");
            let found = came(&house, id, &answer.decision.expect("a decision"), &[]).await;
            let must = Must { empty: Vec::new(), ..trial.must(true) };
            let phone = must.chosen.as_ref().map(|a| format!("10{}", 1 + a[1..].parse::<usize>().expect("a number")));
            proptest::prop_assert_eq!((answer.extension, found), (phone, must), "by a lookup");

            trial.declare(&house, id + 1, "asterisk").await;
            let app = house.hookflash.roster.app(id + 1).expect("the application");
            let answer = acd::ask(db, clock, &app, &request).await.expect("answered");
            let found = came(&house, id + 1, &answer.decision.expect("a decision"), &trial.chain).await;
            let mut must = trial.must(false);
            // A queue is there without agents too.
            must.empty.retain(|step| step != "queue:q");
            let action = answer.action.expect("an action");
            let fits = match &action {
                Action::Dial(dial) => Some(&dial.agents) == must.chosen.clone().map(|a| vec![a]).as_ref(),
                Action::Hangup { cause: 21 } => must.turned_away,
                Action::Default => must.chosen.is_none() && !must.turned_away,
                _ => false,
            };
            proptest::prop_assert!(fits, "{:?} for {:?}", action, must);
            proptest::prop_assert_eq!(found, must, "by a question");
            Ok(())
        })
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}
