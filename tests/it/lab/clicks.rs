//! Click-to-call: the agent's phone rings, shows whom he calls, and then calls him.

use hookflash::net::Request;
use serde_json::{Value, json};

use super::Lab;
use super::phone::Scenario;
use super::street::DID;
use crate::support::eventually;

const CLIENT: &str = "+79995550177";

async fn click(lab: &Lab) -> (u16, Value) {
    let reply = lab.send(Request::post_json(lab.api("/callbacks"), &json!({"src_num": "101", "dst_num": CLIENT}))).await;
    (reply.status, reply.json().expect("JSON"))
}

async fn becomes(lab: &Lab, id: &str, status: &str) -> Value {
    eventually(async || lab.get(&format!("/callbacks/{id}")).await["status"] == status).await;
    lab.get(&format!("/callbacks/{id}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_rings_the_agent_who_sees_whom_he_calls_and_then_calls_him() {
    let lab = Lab::open().await;
    let shown = Scenario::default().then("called_showing", &[("shown", "[+]79995550177")]);
    let ann = lab.agent(101, &shown.picks_up(300).hangs_up(1_500), 1).await;
    let client = lab.outside(&Scenario::answers(300).stays()).await;
    let (status, placed) = click(&lab).await;
    assert_eq!((status, &placed["status"]), (202, &json!("accepted")), "{placed}");
    let id = placed["id"].as_str().unwrap();
    becomes(&lab, id, "talking").await;
    assert_eq!(lab.is("ann").await, "on_call");
    for phone in [ann, client] {
        phone.done().await;
    }
    let done = becomes(&lab, id, "done").await;
    lab.at_rest().await;
    let logged = lab.get("/legs").await;
    let rows = logged["items"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "one row, of the call that was placed: {logged}");
    let row = &rows[0];
    assert_eq!((&row["direction"], &row["status"], &row["number"]), (&json!("out"), &json!("answered"), &json!(CLIENT)), "{row}");
    assert_eq!((&row["agent"], &row["callback_id"], &row["call_id"]), (&json!("ann"), &json!(id), &done["call_id"]), "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_that_nobody_takes_says_why() {
    let lab = Lab::open().await;
    for (ann, client, reason) in [
        (Scenario::refuses(486), None, "the source was busy"),
        (Scenario::answers(100).stays(), Some(Scenario::refuses(486)), "the destination was busy"),
    ] {
        let ann = lab.agent(101, &ann, 1).await;
        let client = match client {
            Some(client) => Some(lab.outside(&client).await),
            None => None,
        };
        let (status, placed) = click(&lab).await;
        assert_eq!(status, 202, "{placed}");
        let failed = becomes(&lab, placed["id"].as_str().unwrap(), "failed").await;
        assert_eq!(failed["reason"], reason, "{failed}");
        ann.done().await;
        if let Some(client) = client {
            client.done().await;
        }
        lab.until("ann", "available").await;
    }
    lab.at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_who_talks_is_not_rung_by_a_click() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::answers(0).stays(), 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(2_000)).await;
    lab.until("ann", "on_call").await;
    let (status, problem) = click(&lab).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("Ann Lee (101) is busy")));
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.at_rest().await;
    lab.never_two_at_once();
}
