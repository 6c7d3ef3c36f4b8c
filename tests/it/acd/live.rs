//! Those who listen to what happens.

use hookflash::app::Hookflash;
use hookflash::auth::Role;
use serde_json::{Value, json};

use super::support::{APP, Caller, Desk, MAIN, with_desk};
use super::{ONE, TWO};
use crate::support::client::listen;
use crate::support::{ADMIN, SHOP};

/// Of what was heard: one field of each event of a kind.
fn told(heard: &[(String, Value)], kind: &str, field: &str) -> Vec<Value> {
    heard.iter().filter(|(what, _)| what == kind).map(|(_, data)| data[field].clone()).collect()
}

/// Ann takes a call, talks for a minute and has her wrap-up.
async fn one_call(desk: &Desk<'_>, name: &str, number: &str) {
    let mut call = desk.caller(name, number, MAIN);
    assert_eq!(Caller::dialled(&call.ask().await), "ann");
    desk.pass_s(4).await;
    call.answered_by("101").await;
    desk.pass_s(60).await;
    call.hangs_up("ANSWER", 60).await;
}

#[actix_web::test]
async fn a_call_is_told_from_its_offer_to_the_wrap_up() {
    with_desk(
        |_| {},
        async |desk| {
            let mut all = desk.house.listen(APP, ADMIN, None).await.expect("let in");
            assert_eq!(all.next().await.expect("a first word").0, "heartbeat");
            let mut call = desk.caller("c1", ONE, MAIN);
            call.ask().await;
            let rung = all.until("queue", |q| q["calls"][0]["offered_to"] == json!(["ann"])).await;
            assert_eq!((told(&rung, "offer", "state"), told(&rung, "offer", "agent")), (vec![json!("pending")], vec![json!("ann")]));
            assert_eq!((told(&rung, "call", "status"), told(&rung, "call", "number")), (vec![json!("ringing")], vec![json!(ONE)]));
            assert_eq!((told(&rung, "agent", "id"), told(&rung, "agent", "state")), (vec![json!("ann")], vec![json!("reserved")]));
            desk.pass_s(4).await;
            call.answered_by("101").await;
            let talks = all.until("queue", |q| q["waiting"] == 0).await;
            assert_eq!((told(&talks, "call", "status"), told(&talks, "leg", "agent")), (vec![json!("talking")], vec![json!("ann")]));
            assert_eq!((told(&talks, "agent", "state"), told(&talks, "offer", "state")), (vec![json!("on_call")], vec![json!("accepted")]));
            desk.pass_s(60).await;
            call.hangs_up("ANSWER", 60).await;
            let ends = all.until("agent", |a| a["state"] == "wrap_up").await;
            assert_eq!((told(&ends, "call", "status"), told(&ends, "leg", "talk_ms")), (vec![json!("answered")], vec![json!(60_000)]));
            assert!(told(&ends, "offer", "ended_at").iter().all(Value::is_string), "{ends:?}");
            // The end of wrap-up is no event of anybody's: a deadline.
            desk.pass_s(10).await;
            let free = all.until("agent", |a| a["state"] == "available").await;
            assert_eq!(free.iter().filter(|(kind, _)| kind != "heartbeat").count(), 1, "{free:?}");
        },
    )
    .await;
}

#[actix_web::test]
async fn an_agent_hears_of_his_own_calls_and_of_nobody_elses() {
    with_desk(
        |_| {},
        async |desk| {
            let token = async |role, app, agent| desk.house.token(role, app, agent).await;
            let mut ann = desk.house.listen(APP, &token(Role::Agent, Some(APP), Some("ann")).await, None).await.expect("let in");
            let mut bob = desk.house.listen(APP, &token(Role::Agent, Some(APP), Some("bob")).await, None).await.expect("let in");
            one_call(desk, "c1", ONE).await;
            let heard = ann.until("agent", |a| a["state"] == "wrap_up").await;
            assert!(!told(&heard, "call", "id").is_empty() && !told(&heard, "offer", "id").is_empty());
            assert_eq!(told(&heard, "queue", "queue"), Vec::<Value>::new(), "queues are for supervisors");
            desk.set_status("bob", "NOT_AVAILABLE").await;
            let heard = bob.until("agent", |a| a["id"] == "bob").await;
            let kinds: Vec<&str> = heard.iter().map(|(kind, _)| kind.as_str()).filter(|kind| *kind != "heartbeat").collect();
            assert_eq!(kinds, ["agent"]);

            desk.house.listen(APP, &token(Role::Supervisor, Some(APP), None).await, None).await.expect("let in");
            assert_eq!(desk.house.listen(APP, &token(Role::Supervisor, Some(SHOP), None).await, None).await.err(), Some(403));
            assert_eq!(desk.house.listen(APP, &token(Role::Integration, Some(APP), None).await, None).await.err(), Some(403));
            assert_eq!(desk.house.listen(APP, "nobody's", None).await.err(), Some(401));
            assert_eq!(desk.house.listen(809, ADMIN, None).await.err(), Some(404));
        },
    )
    .await;
}

#[actix_web::test]
async fn who_comes_back_misses_nothing_that_is_held_and_is_told_when_it_is_not() {
    with_desk(
        |_| {},
        async |desk| {
            let mut first = desk.house.listen(APP, ADMIN, None).await.expect("let in");
            let mut other = desk.house.listen(APP, ADMIN, None).await.expect("let in");
            first.next().await.expect("a first word");
            let id = first.id.clone();
            drop(first);
            one_call(desk, "c1", ONE).await;
            let missed = other.until("agent", |a| a["state"] == "wrap_up").await;
            let mut back = desk.house.listen(APP, ADMIN, Some(&id)).await.expect("let in");
            let heard = back.until("agent", |a| a["state"] == "wrap_up").await;
            let events = |heard: &[(String, Value)]| heard.iter().filter(|(kind, _)| kind != "heartbeat").cloned().collect::<Vec<_>>();
            assert_eq!(events(&heard), events(&missed));
            for gone in ["0-1", "nonsense"] {
                let mut lost = desk.house.listen(APP, ADMIN, Some(gone)).await.expect("let in");
                assert_eq!(lost.next().await.expect("a first word").0, "reset", "{gone}");
                assert_eq!(lost.id, other.id, "and goes on from now");
            }
            desk.house.hookflash.live.close();
            while let Some((kind, _)) = back.next().await {
                assert_eq!(kind, "heartbeat");
            }
        },
    )
    .await;
}

#[actix_web::test]
async fn another_node_tells_of_what_this_one_does() {
    with_desk(
        |_| {},
        async |desk| {
            let house = &desk.house.hookflash;
            let node = Hookflash::open(house.settings.clone(), desk.house.clock.clone()).await.expect("a second node");
            let mut all = listen(&node, APP, ADMIN, None).await.expect("let in");
            one_call(desk, "c1", TWO).await;
            let heard = all.until("agent", |a| a["state"] == "wrap_up").await;
            assert!(told(&heard, "call", "number").contains(&json!(TWO)), "{heard:?}");
            assert!(told(&heard, "offer", "state").contains(&json!("accepted")), "{heard:?}");
        },
    )
    .await;
}
