//! Calls, the call log and explanations.

use std::collections::BTreeSet;

use hookflash::auth::Role;
use hookflash::domain::decision::{Candidate, Decision, Outcome};
use hookflash::domain::id;
use serde_json::{Value, json};

use super::shop;
use crate::support::client::Client;
use crate::support::{House, SHOP, START, on_both};

struct Ring {
    call: &'static str,
    out: bool,
    extension: &'static str,
    number: &'static str,
    did: &'static str,
    answered: bool,
}

const ANN: Ring = Ring { call: "IN-Ann", out: false, extension: "101", number: "79990001122", did: "74955550100", answered: true };
const BOB: Ring = Ring { call: "out-bob", out: true, extension: "102", number: "79990001133", did: "", answered: true };
const LOST: Ring = Ring { call: "lost", out: false, extension: "102", number: "79990001144", did: "74955550200", answered: false };

/// A call of twenty seconds, ten of them talk when it is answered, recorded under its own name.
async fn play(house: &House, ring: &Ring) {
    let (flow, first) = if ring.out { ("OUT", "dial-out") } else { ("IN", "dial-in") };
    let side = if ring.out {
        format!("CallerExtension=0047*{}&CalledNumber=%2B{}", ring.extension, ring.number)
    } else {
        format!("CalledExtension=0047*{}&CallerIDNum=%2B{}&CalledDID={}", ring.extension, ring.number, ring.did)
    };
    let send = async |event: &str, more: &str| {
        let at = house.hookflash.clock.now().0;
        let form = format!("EventType={event}&EventTime={at}&CallID={}&SubCallID=s-{}&CallFlow={flow}&{side}{more}", ring.call, ring.call);
        house.event(&form).await;
    };
    send(first, "&CallStatus=CALLING").await;
    house.pass_s(10);
    if ring.answered {
        send("answer", "&CallStatus=ANSWER").await;
    }
    house.pass_s(10);
    let end = format!("&CallStatus=ANSWER&Duration=20000000&BridgedDuration=10000000&RecID=rec-{}", ring.call);
    send("hangup", if ring.answered { &end } else { "&CallStatus=CANCEL&Duration=20000000" }).await;
}

async fn played(house: &House) -> Client {
    for ring in [&ANN, &BOB, &LOST] {
        play(house, ring).await;
    }
    house.pass_s(10);
    house.client().await
}

fn pbx_ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|i| i["pbx_call_id"].as_str().expect("an id")).collect()
}

#[actix_web::test]
async fn a_call_shows_everything_about_it() {
    on_both(async |house| {
        let client = played(house).await;
        let call = id::call_id(SHOP, "in-ann");
        let leg = id::leg_id(&call, &client.get(&shop("/legs?agent=ann")).await.ok()["items"][0]["id"].as_str().expect("an id")[33..]);
        let expected_leg = json!({
            "id": leg, "call_id": call, "pbx_call_id": "IN-Ann", "sub_call_id": "s-IN-Ann", "kind": "leg", "direction": "in",
            "status": "answered", "number": "+79990001122", "did": "+74955550100", "extension": "101", "agent": "ann", "place": null,
            "started_at": "2025-12-29T09:20:00.000Z", "answered_at": "2025-12-29T09:20:10.000Z", "ended_at": "2025-12-29T09:20:20.000Z",
            "talk_ms": 10_000, "duration_ms": 20_000, "transferred": false, "record_id": "rec-IN-Ann", "callback_id": null,
            "source": "events"
        });
        let expected = json!({
            "id": call, "pbx_call_id": "IN-Ann", "direction": "in", "status": "answered", "number": "+79990001122", "did": "+74955550100",
            "started_at": "2025-12-29T09:20:00.000Z", "ended_at": "2025-12-29T09:20:20.000Z", "legs": [expected_leg.clone()],
            "offers": [], "decisions": [],
            "recordings": [{"id": "rec-IN-Ann", "leg_id": leg, "agent": "ann", "started_at": "2025-12-29T09:20:00.000Z", "talk_ms": 10_000}]
        });
        assert_eq!(client.get(&shop(&format!("/calls/{call}"))).await.ok(), expected);
        assert_eq!(client.get(&shop("/calls?agent=ann")).await.ok(), json!({"items": [expected], "next_cursor": null}));
        assert_eq!(client.get(&shop("/legs?agent=ann")).await.ok(), json!({"items": [expected_leg], "next_cursor": null}));
        client.get(&shop("/calls/none")).await.refused(404);
    })
    .await;
}

#[actix_web::test]
async fn the_call_log_has_what_was_logged_newest_logged_first() {
    on_both(async |house| {
        let client = played(house).await;
        let (legs, _) = client.every(&shop("/legs"), 500).await;
        assert_eq!(pbx_ids(&legs), ["lost", "out-bob", "IN-Ann"]);
        assert_eq!(
            (legs[0]["kind"].clone(), legs[0]["place"].clone(), legs[0]["sub_call_id"].clone()),
            (json!("missed"), json!("102"), Value::Null)
        );
        // The leg that nobody answered is not in the log, and is in its call.
        let lost = client.get(&shop(&format!("/calls/{}", id::call_id(SHOP, "lost")))).await.ok();
        let statuses: BTreeSet<&str> =
            lost["legs"].as_array().expect("legs").iter().map(|l| l["status"].as_str().expect("a status")).collect();
        assert_eq!(statuses, BTreeSet::from(["missed", "cancelled"]));
    })
    .await;
}

#[actix_web::test]
async fn a_missed_call_appears_when_its_wait_is_over() {
    on_both(async |house| {
        play(house, &LOST).await;
        let client = house.client().await;
        house.pass_s(2);
        assert!(client.every(&shop("/legs"), 500).await.0.is_empty());
        house.pass_s(1);
        assert_eq!(pbx_ids(&client.every(&shop("/legs"), 500).await.0), ["lost"]);
    })
    .await;
}

#[actix_web::test]
async fn filters_narrow() {
    on_both(async |house| {
        let client = played(house).await;
        for (filter, legs, calls) in [
            ("direction=in", vec!["lost", "IN-Ann"], vec!["lost", "IN-Ann"]),
            ("direction=out", vec!["out-bob"], vec!["out-bob"]),
            ("status=missed", vec!["lost"], vec!["lost"]),
            ("status=answered", vec!["out-bob", "IN-Ann"], vec!["out-bob", "IN-Ann"]),
            ("agent=bob", vec!["out-bob"], vec!["lost", "out-bob"]),
            ("number=+79990001122", vec!["IN-Ann"], vec!["IN-Ann"]),
            ("number=%2B79990001133", vec!["out-bob"], vec!["out-bob"]),
            ("did=+74955550200", vec!["lost"], vec!["lost"]),
            ("tag.team=sales", vec!["IN-Ann"], vec!["IN-Ann"]),
            ("tag.team=sales&tag.region=centre", vec!["IN-Ann"], vec!["IN-Ann"]),
            ("tag.team=sales&tag.region=north", vec![], vec![]),
            ("tag.team=sales&did=+74955550200", vec![], vec![]),
            ("from=2025-12-29T09:20:40Z", vec!["lost"], vec!["lost"]),
            ("from=2025-12-29T12:20:20+03:00&to=2025-12-29T09:20:40Z", vec!["out-bob"], vec!["out-bob"]),
            ("to=2025-12-29", vec![], vec![]),
        ] {
            assert_eq!(pbx_ids(&client.every(&shop(&format!("/legs?{filter}")), 500).await.0), legs, "legs {filter}");
            assert_eq!(pbx_ids(&client.every(&shop(&format!("/calls?{filter}")), 500).await.0), calls, "calls {filter}");
        }
    })
    .await;
}

#[actix_web::test]
async fn pages_have_neither_gap_nor_double_even_for_rows_of_one_instant() {
    on_both(async |house| {
        for n in 0..17 {
            // Three rows to an instant.
            if n % 3 == 0 {
                house.pass_s(1);
            }
            let at = house.hookflash.clock.now().0;
            for event in ["dial-out", "hangup"] {
                let form = format!("EventType={event}&EventTime={at}&CallID=c{n}&SubCallID=s{n}&CallFlow=OUT&CallerExtension=0047*101&CalledNumber=%2B7999000{n:04}&CallStatus=BUSY");
                house.event(&form).await;
            }
        }
        let client = house.client().await;
        for list in ["/legs", "/calls"] {
            let (whole, _) = client.every(&shop(list), 500).await;
            assert_eq!(whole.len(), 17, "{list}");
            for limit in [1, 2, 5, 17] {
                let (paged, pages) = client.every(&shop(list), limit).await;
                assert_eq!(paged, whole, "{list} by {limit}");
                assert_eq!(pages, 17usize.div_ceil(limit), "{list} by {limit}");
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn an_agent_sees_his_own_calls_only() {
    on_both(async |house| {
        let client = played(house).await;
        let bob = client.with(&house.token(Role::Agent, Some(SHOP), Some("bob")).await);
        assert_eq!(pbx_ids(&bob.every(&shop("/calls"), 500).await.0), ["lost", "out-bob"]);
        assert_eq!(pbx_ids(&bob.every(&shop("/legs"), 500).await.0), ["out-bob"]);
        let path = |call: &str| shop(&format!("/calls/{}", id::call_id(SHOP, call)));
        assert_eq!(bob.get(&path("out-bob")).await.ok()["pbx_call_id"], "out-bob");
        for hidden in [path("in-ann"), path("in-ann") + "/explain"] {
            bob.get(&hidden).await.refused(404);
        }
        bob.get(&shop("/calls?agent=ann")).await.refused(403);
        let crm = client.with(&house.token(Role::Integration, Some(SHOP), None).await);
        assert_eq!(crm.every(&shop("/calls"), 500).await.0.len(), 3);
    })
    .await;
}

#[actix_web::test]
async fn an_explanation_is_there_as_soon_as_the_decision_is_made() {
    on_both(async |house| {
        play(house, &ANN).await;
        let call = id::call_id(SHOP, "in-ann");
        let decision = Decision {
            outcome: Outcome::Agent,
            agents: vec!["ann".into()],
            reason: "ann is the last agent who spoke with the caller".into(),
            candidates: vec![Candidate { agent: "ann".into(), step: "last_agent".into(), eligible: true, reason: "is free".into() }],
            inputs: String::new(),
            took_us: 180,
            ..Decision::begin(SHOP, Some("IN-Ann"), "+79990001122", START)
        };
        let expected = json!([{
            "id": decision.id, "at": "2025-12-29T09:20:00.000Z", "caller": "+79990001122", "outcome": "agent", "agents": ["ann"],
            "reason": "ann is the last agent who spoke with the caller",
            "candidates": [{"agent": "ann", "step": "last_agent", "eligible": true, "reason": "is free"}],
            "took_us": 180, "late": false
        }]);
        house.hookflash.db.decide_later(decision, SHOP);
        let client = house.client().await;
        let explained = client.get(&shop(&format!("/calls/{call}/explain"))).await.ok();
        assert_eq!(explained, json!({"call_id": call, "decisions": expected}));
        assert_eq!(client.get(&shop(&format!("/calls/{call}"))).await.ok()["decisions"], expected);
    })
    .await;
}

#[actix_web::test]
async fn a_deleted_recording_is_not_shown_with_its_call() {
    on_both(async |house| {
        play(house, &ANN).await;
        let now = house.hookflash.clock.now();
        let delete =
            move |conn: &mut hookflash::store::Conn| hookflash::store::records::mark_deleted(conn, SHOP, &["rec-IN-Ann".into()], now);
        house.hookflash.db.write(hookflash::store::Durability::Full, delete).await.expect("written");
        let call = house.client().await.get(&shop(&format!("/calls/{}", id::call_id(SHOP, "in-ann")))).await.ok();
        assert_eq!(call["recordings"], json!([]));
    })
    .await;
}
