//! A lookup that comes to a queue: the queue's own strategy, levels, skills and hours, as for calls that wait; and its record.

use hookflash::domain::spec::Application;
use hookflash::routing::record;
use hookflash::timers;
use serde_json::{Value, json};

use crate::support::hooks::leg;
use crate::support::{Backend, House};

const STRANGER: &str = "+79990001101";

/// The house with `queue:main` as its only step; `queue` has the queue's keys.
async fn with_queue(queue: Value, test: impl AsyncFn(&House)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}:");
        let edit = |app: &mut Application| {
            let mut value = serde_json::to_value(&*app).expect("JSON");
            value["contact"] = json!([{"name": "Client One", "phones": ["+79995550101"], "owner": "ann", "deputy": "bob"}]);
            value["agent"][1]["skills"] = json!(["roses:3"]);
            value["agent"][2]["skills"] = json!(["roses:1"]);
            value["group"] =
                json!([{"id": "late", "name": "Late", "agents": ["eve", "bob"]}, {"id": "early", "name": "Early", "agents": ["ann"]}]);
            value["business_hours"] = json!([{"id": "day", "name": "Day", "weekly": [{"day": 1, "from": "09:00", "to": "12:21"}]}]);
            value["queue"] = json!([{"id": "main", "name": "Main"}]);
            value["queue"][0].as_object_mut().expect("a queue").extend(queue.as_object().expect("keys").clone());
            value["routing"]["responsible"] = json!(["owner", "queue:main"]);
            *app = serde_json::from_value(value).expect("an application");
        };
        test(&House::open_with(backend, |_| {}, edit).await).await;
    }
}

/// Who is named for a call, and why; what is recorded makes the decision again.
async fn named(house: &House, call: &str, caller: &str) -> (Option<String>, String) {
    let decision = house.lookup(Some(call), caller).await.decision.expect("a decision");
    let again = record::replay(&decision.caller, &decision.inputs).expect("a record");
    assert_eq!((&again.agents, &again.candidates), (&decision.agents, &decision.candidates));
    (decision.agents.first().cloned(), decision.reason)
}

#[actix_web::test]
async fn the_queue_s_strategy_says_who_comes_first() {
    with_queue(json!({"strategy": "top_down", "primary_groups": ["late"]}), async |house| {
        let mut order = Vec::new();
        for call in ["c1", "c2"] {
            house.pass_s(1);
            order.extend(named(house, call, STRANGER).await.0);
        }
        assert_eq!(order, ["eve", "bob"], "in the order of the list, not of idleness");
        assert_eq!(named(house, "c3", STRANGER).await.0, None);
    })
    .await;
}

#[actix_web::test]
async fn skills_are_asked_for_and_the_best_is_named_first() {
    with_queue(json!({"strategy": "highest_skill", "skills": ["roses"], "primary_groups": ["late", "early"]}), async |house| {
        assert_eq!(named(house, "c1", STRANGER).await.0.as_deref(), Some("bob"));
        assert_eq!(named(house, "c2", STRANGER).await.0.as_deref(), Some("eve"));
        let (agent, reason) = named(house, "c3", STRANGER).await;
        assert_eq!(agent, None);
        assert_eq!(
            reason,
            "Nobody can take the call: Ann Lee (queue:main) lacks the skill roses, Eve Fox (queue:main) was just named to another call, \
             Bob Ray (queue:main) was just named to another call."
        );
    })
    .await;
}

#[actix_web::test]
async fn a_backup_group_is_named_when_nobody_of_the_first_is_on_duty() {
    with_queue(json!({"primary_groups": ["early"], "backup_groups": ["late"]}), async |house| {
        assert_eq!(named(house, "c1", STRANGER).await.0.as_deref(), Some("ann"));
        let (agent, reason) = named(house, "c2", STRANGER).await;
        assert_eq!(agent, None, "she is on duty, only busy");
        assert!(reason.contains("Eve Fox (queue:main) belongs to a backup group that is asked later"), "{reason}");
        let client = house.client().await;
        client.put("/api/v1/apps/807/agents/ann/status", json!({"manual_status": "OFFLINE"})).await.ok();
        house.pass_s(60);
        assert_eq!(named(house, "c3", STRANGER).await.0.as_deref(), Some("bob"));
    })
    .await;
}

#[actix_web::test]
async fn a_closed_queue_names_nobody_and_a_manager_is_named_all_the_same() {
    let hours = json!({"primary_groups": ["late"], "schedule": 2, "business_hours_id": "day"});
    with_queue(hours, async |house| {
        assert!(named(house, "c1", STRANGER).await.0.is_some(), "it closes in a minute");
        house.pass_s(60);
        let (agent, reason) = named(house, "c2", STRANGER).await;
        assert_eq!(
            (agent, reason.as_str()),
            (
                None,
                "Nobody can take the call: Eve Fox (queue:main) works for a queue that is closed at this hour, Bob Ray (queue:main) works for a \
                 queue that is closed at this hour."
            )
        );
        assert_eq!(named(house, "c3", "+79995550101").await.0.as_deref(), Some("ann"));
    })
    .await;
}

#[actix_web::test]
async fn whom_a_queue_cannot_ring_is_named_by_a_later_step() {
    for queue in [
        json!({"primary_groups": ["early"], "skills": ["roses:9"]}),
        json!({"primary_groups": ["early"], "schedule": 2, "business_hours_id": "day"}),
    ] {
        with_queue(queue, async |house| {
            house.pass_s(60);
            let mut app = house.app().spec.clone();
            app.routing.responsible.push(serde_json::from_value(json!("group:early")).unwrap());
            house.declare_application(app).await;
            let (agent, reason) = named(house, "c1", STRANGER).await;
            assert_eq!(agent.as_deref(), Some("ann"), "{reason}");
        })
        .await;
    }
}

#[actix_web::test]
async fn a_lot_is_drawn_from_the_call_and_drawn_again_alike() {
    with_queue(json!({"strategy": "random", "primary_groups": ["late", "early"]}), async |house| {
        let mut first = std::collections::BTreeSet::new();
        for n in 0..12 {
            first.extend(named(house, &format!("c{n}"), STRANGER).await.0);
            house.pass_s(30);
        }
        assert!(first.len() > 1, "{first:?}");
    })
    .await;
}

#[actix_web::test]
async fn a_manager_who_is_named_whatever_his_state_is_recorded_too() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let house = House::open_with(backend, |_| {}, |app| app.routing.only_available = false).await;
        assert_eq!(named(&house, "c1", "+79995550101").await, (Some("ann".into()), "Ann Lee (owner) is named whatever his state.".into()));
    }
}

#[actix_web::test]
async fn who_talks_at_the_extension_that_was_named_is_busy_whatever_telephone_is_his_own() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let own = |app: &mut Application| (app.agent[0].routing_type, app.agent[0].phone_number) = (2, Some("+79995550177".into()));
        let house = House::open_with(backend, |_| {}, own).await;
        assert_eq!(named(&house, "c1", "+79995550101").await.0.as_deref(), Some("ann"));
        for (kind, second) in [("dial-in", 1), ("answer", 3)] {
            house.event(&leg(kind, "c1", "101", second, "")).await;
        }
        house.pass_s(30);
        timers::sweep(&house.hookflash).await;
        assert_eq!(named(&house, "c2", "+79995550101").await.0.as_deref(), Some("bob"), "her claim is over, her talk is not");
        let client = house.client().await;
        let ann = client.get("/api/v1/apps/807/agents/ann").await.ok();
        assert_eq!((&ann["state"], ann["call_id"].is_string()), (&json!("on_call"), true), "{ann}");
    }
}
