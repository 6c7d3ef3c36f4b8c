//! Agents: their declaration, and what they do now.

use hookflash::auth::Role;
use hookflash::domain::id;
use hookflash::store::{Conn, Durability, agents};
use serde_json::{Value, json};

use super::shop;
use crate::support::{House, SHOP, START, on_both};

/// Ann is rung by, talks on, and ends a call.
fn call(event: &str, at: i64, more: &str) -> String {
    let at = START.0 + at * 1_000_000;
    format!(
        "EventType={event}&EventTime={at}&CallID=c1&SubCallID=s1&CallFlow=IN&CallerIDNum=%2B79990001122&CalledDID=74955550100\
         &CalledExtension=0047*101{more}"
    )
}

async fn ann(house: &House) -> Value {
    house.client().await.get(&shop("/agents/ann")).await.ok()
}

fn fields(agent: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| agent[*name].clone()).collect()
}

const STATE: [&str; 4] = ["state", "system_status", "call_id", "since"];

/// The fields of a declaration.
const DECLARED: [&str; 9] = ["id", "name", "extension", "phone_number", "routing_type", "manual_status", "skills", "weight", "crm_user"];

#[actix_web::test]
async fn an_agent_shows_every_field_of_the_contract() {
    on_both(async |house| {
        let expected = json!({
            "id": "ann", "name": "Ann Lee", "extension": "101", "phone_number": "+79995550101", "routing_type": 1,
            "manual_status": "AVAILABLE", "manual_reason": null, "next_status": null, "system_status": 1, "state": "available",
            "since": "2025-12-29T09:20:00.000Z", "reachability": "unknown", "reachability_since": null, "call_id": null,
            "groups": ["sales"], "skills": ["roses"], "weight": 1, "crm_user": "42"
        });
        assert_eq!(ann(house).await, expected);
        let all = house.client().await.every(&shop("/agents"), 1).await;
        assert_eq!((all.0[0].clone(), all.0[1]["id"].clone(), all.1), (expected, json!("bob"), 2));
    })
    .await;
}

#[actix_web::test]
async fn the_state_follows_the_calls() {
    on_both(async |house| {
        let call_id = id::call_id(SHOP, "c1");
        house.pass_s(5);
        house.event(&call("dial-in", 5, "&CallStatus=CALLING")).await;
        assert_eq!(fields(&ann(house).await, &STATE), json!(["ringing", 0, call_id, "2025-12-29T09:20:05.000Z"]));
        house.pass_s(5);
        house.event(&call("answer", 10, "&CallStatus=ANSWER")).await;
        assert_eq!(fields(&ann(house).await, &STATE), json!(["on_call", 0, call_id, "2025-12-29T09:20:10.000Z"]));
        house.pass_s(20);
        house.event(&call("hangup", 30, "&CallStatus=ANSWER&Duration=25000000")).await;
        assert_eq!(fields(&ann(house).await, &STATE), json!(["wrap_up", 2, null, "2025-12-29T09:20:30.000Z"]));
        assert_eq!(ann(house).await["wrap_up_until"], "2025-12-29T09:21:00.000Z");
        house.pass_s(12);
        let done =
            house.client().await.send(house.client().await.request(actix_web::http::Method::POST, &shop("/agents/ann/wrap-up/done"))).await;
        let done = done.ok();
        assert_eq!(fields(&done, &STATE), json!(["available", 1, null, "2025-12-29T09:20:42.000Z"]));
        assert_eq!(done.get("wrap_up_until"), None);
    })
    .await;
}

#[actix_web::test]
async fn a_claim_names_its_call_and_a_callback_of_his_own_names_none() {
    on_both(async |house| {
        let call_id = id::call_id(SHOP, "c2");
        for (name, shown) in [(call_id.clone(), json!(call_id)), ("callback-0190".into(), Value::Null)] {
            let (now, until) = (house.hookflash.clock.now(), house.hookflash.clock.now().plus_s(20));
            let claim = move |conn: &mut Conn| agents::reserve(conn, SHOP, "ann", &name, now, until);
            assert!(house.hookflash.db.write(Durability::Process, claim).await.expect("written"));
            let agent = ann(house).await;
            assert_eq!(fields(&agent, &["state", "system_status", "call_id"]), json!(["reserved", 0, shown]));
            house.pass_s(21);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_status_is_set_now_or_when_the_work_in_hand_ends() {
    on_both(async |house| {
        let client = house.client().await;
        let path = shop("/agents/ann/status");
        let status = ["manual_status", "manual_reason", "next_status", "state"];
        house.pass_s(5);
        let lunch = client.put(&path, json!({"manual_status": "NOT_AVAILABLE", "reason": "lunch"})).await.ok();
        assert_eq!(fields(&lunch, &status), json!(["NOT_AVAILABLE", "lunch", null, "not_available"]));
        assert_eq!(lunch["since"], "2025-12-29T09:20:05.000Z");
        let back = client.put(&path, json!({"manual_status": "AVAILABLE", "when": "next"})).await.ok();
        assert_eq!(fields(&back, &status), json!(["AVAILABLE", null, null, "available"]), "he was free");

        house.event(&call("dial-in", 5, "&CallStatus=CALLING")).await;
        let queued = client.put(&path, json!({"manual_status": "OFFLINE", "when": "next"})).await.ok();
        assert_eq!(fields(&queued, &status), json!(["AVAILABLE", null, "OFFLINE", "ringing"]));
        house.event(&call("answer", 6, "&CallStatus=ANSWER")).await;
        house.event(&call("hangup", 9, "&CallStatus=ANSWER&Duration=3000000")).await;
        assert_eq!(fields(&ann(house).await, &status), json!(["AVAILABLE", null, "OFFLINE", "wrap_up"]), "wrap-up is work in hand");
        house.pass_s(31);
        assert_eq!(ann(house).await["state"], "offline");
        // The end of wrap-up applies what waits for it.
        client.post(&shop("/agents/ann/wrap-up/done"), json!({})).await.ok();
        assert_eq!(fields(&ann(house).await, &status), json!(["OFFLINE", null, null, "offline"]));
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_status_is_named() {
    on_both(async |house| {
        let client = house.client().await;
        for (body, field) in [
            (json!({}), "manual_status"),
            (json!({"manual_status": "BUSY"}), "manual_status"),
            (json!({"manual_status": "OFFLINE", "when": "later"}), "when"),
            (json!({"manual_status": "OFFLINE", "until": "noon"}), "until"),
            (json!({"manual_status": "OFFLINE", "reason": "x".repeat(201)}), "reason"),
        ] {
            assert_eq!(client.put(&shop("/agents/ann/status"), body.clone()).await.refused(422), [field], "{body}");
        }
        client.put(&shop("/agents/eve/status"), json!({"manual_status": "OFFLINE"})).await.refused(404);
        client.post(&shop("/agents/eve/wrap-up/done"), json!({})).await.refused(404);
        assert_eq!(ann(house).await["manual_status"], "AVAILABLE");
    })
    .await;
}

#[actix_web::test]
async fn an_agent_is_declared_changed_and_removed() {
    on_both(async |house| {
        let client = house.client().await;
        let eve = json!({"name": "Eve Fox", "extension": "103", "manual_status": "OFFLINE"});
        let made = client.post(&shop("/agents"), eve.clone()).await;
        assert_eq!((made.status, made.body["state"].as_str()), (201, Some("offline")), "{}", made.body);
        let path = made.header("location").expect("a location").to_owned();
        assert_eq!(client.get(&path).await.ok(), made.body);
        // A change of the declaration leaves the status alone, and follows the extension.
        client.put(&format!("{path}/status"), json!({"manual_status": "NOT_AVAILABLE"})).await.ok();
        house.event(&call("dial-in", 5, "&CallStatus=CALLING").replace("0047*101", "0047*104")).await;
        let moved = client.put(&path, json!({"name": "Eve Fox", "extension": "104"})).await.ok();
        assert_eq!(fields(&moved, &["extension", "manual_status", "state"]), json!(["104", "NOT_AVAILABLE", "ringing"]));
        let refused = client.delete(&path).await;
        assert_eq!(refused.status, 409, "a phone of his rings: {}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap_or_default().contains("the call that the agent has in hand"), "{}", refused.body);
        assert_eq!(client.delete(&format!("{path}?force=true")).await.status, 204);
        client.get(&path).await.refused(404);
        client.post(&shop("/agents"), json!({"id": "ann", "name": "Another Ann"})).await.refused(409);
    })
    .await;
}

#[actix_web::test]
async fn what_is_read_of_an_agent_can_be_written_back() {
    on_both(async |house| {
        let client = house.client().await;
        let full = json!({
            "id": "eve", "name": "Eve Fox", "extension": "103", "phone_number": "+79995550103", "routing_type": 2, "manual_status": "OFFLINE",
            "skills": ["german:2"], "weight": 7, "crm_user": "43"
        });
        assert_eq!(full.as_object().expect("an object").len(), DECLARED.len());
        let made = client.post(&shop("/agents"), full.clone()).await.ok();
        let read: Value = DECLARED.iter().map(|field| ((*field).to_owned(), made[*field].clone())).collect();
        assert_eq!(read, full);
        assert_eq!(client.put(&shop("/agents/eve"), read).await.ok(), made);
    })
    .await;
}

#[actix_web::test]
async fn agents_are_listed_by_group_and_by_their_user_of_the_crm() {
    on_both(async |house| {
        let client = house.client().await;
        for (query, expected) in [
            ("", vec!["ann", "bob"]),
            ("?group=sales", vec!["ann"]),
            ("?group=none", vec![]),
            ("?crm_user=42", vec!["ann"]),
            ("?crm_user=42&group=sales&limit=1", vec!["ann"]),
            ("?crm_user=4", vec![]),
        ] {
            let page = client.get(&shop(&format!("/agents{query}"))).await.ok();
            let ids: Vec<&str> = page["items"].as_array().expect("items").iter().map(|a| a["id"].as_str().expect("an id")).collect();
            assert_eq!((ids, &page["next_cursor"]), (expected, &Value::Null), "{query}");
        }
        assert_eq!(client.get(&shop("/agents?team=x")).await.refused(400), ["team"]);
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_declaration_is_named() {
    on_both(async |house| {
        let client = house.client().await;
        for (body, field) in [
            (json!({"id": "x"}), "name"),
            (json!({"name": " "}), "name"),
            (json!({"id": "ä", "name": "X"}), "id"),
            (json!({"name": "X", "extension": "0047*105"}), "extension"),
            (json!({"name": "X", "extension": "101"}), "extension"),
            (json!({"name": "X", "phone_number": "89995550101"}), "phone_number"),
            (json!({"name": "X", "routing_type": 2}), "phone_number"),
            (json!({"name": "X", "routing_type": 3}), "routing_type"),
            (json!({"name": "X", "manual_status": "AWAY"}), "manual_status"),
            (json!({"name": "X", "skills": [1]}), "skills[0]"),
            (json!({"name": "X", "state": "available"}), "state"),
        ] {
            assert_eq!(client.post(&shop("/agents"), body.clone()).await.refused(422), [field], "{body}");
        }
        assert_eq!(client.put(&shop("/agents/bob"), json!({"name": "Bob", "extension": "101"})).await.refused(422), ["extension"]);
        let taken = client.post(&shop("/agents"), json!({"name": "X", "extension": "099"})).await;
        assert_eq!(taken.refused(422), ["extension[0].type"], "099 is an IVR");
    })
    .await;
}

#[actix_web::test]
async fn an_agent_whom_others_need_goes_only_by_force() {
    on_both(async |house| {
        let client = house.client().await;
        let contact = json!({"name": "Client One", "phones": ["+79990001122"], "owner": "ann", "deputy": "bob"});
        let contact = client.post(&shop("/contacts"), contact).await;
        let contact = contact.header("location").expect("a location").to_owned();
        let his = client.with(&house.token(Role::Agent, Some(SHOP), Some("ann")).await);
        his.get(&shop("/agents/ann")).await.ok();
        let refused = client.delete(&shop("/agents/ann")).await;
        let detail = refused.body["detail"].as_str().unwrap_or_default().to_owned();
        refused.refused(409);
        assert!(["group sales", "contact ", "token "].iter().all(|who| detail.contains(who)), "{detail}");
        assert_eq!(client.delete(&shop("/agents/ann?force=true")).await.status, 204);
        assert_eq!(client.get(&shop("/groups/sales")).await.ok()["agents"], json!([]));
        assert_eq!(fields(&client.get(&contact).await.ok(), &["owner", "deputy"]), json!([null, "bob"]));
        his.get(&shop("/agents/ann")).await.refused(401);
    })
    .await;
}
