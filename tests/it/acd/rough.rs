//! The `route` hook under hostile questions, questions that bind nobody, and what is removed while it rings.

use serde_json::{Value, json};

use super::support::{Caller, MAIN, OTHER, with_desk};
use super::{ONE, TWO};

#[actix_web::test]
async fn whatever_is_asked_is_answered_with_something_that_a_dialplan_obeys() {
    with_desk(
        |_| {},
        async |desk| {
            let long = "x".repeat(3_000);
            for query in [
                "".to_owned(),
                "call=".into(),
                format!("to={MAIN}"),
                format!("call={long}&from={long}&to={MAIN}&offer={long}&status={long}&digits={long}"),
                "call=c%00&to=1".into(),
                "call=%FF%FE".into(),
                format!("call=c1&call=c2&from=101&to={MAIN}"),
                format!("call=c3&from=%2B79990001101&to={MAIN}&status=ANSWER&offer="),
                format!("call=c4&from=anonymous&to={MAIN}&digits=1&format=xml"),
                "call=c5&to=%2B74955559999&from=%2B79990001101".into(),
                "=&&&=;".into(),
            ] {
                let (answer, decision) = desk.route(&query).await;
                let action = answer["action"].as_str().unwrap_or_default();
                assert!(["dial", "wait", "goto", "hangup", "none"].contains(&action) && decision.len() == 32, "{query}: {answer}");
            }
            let reply = desk.client.hook_post("/cid/808/event/pbx1", "application/json", r#"{"event": "answer", "call": "c9"}"#).await;
            assert_eq!(reply.status, 400, "an answer by nobody");
            let reply = desk
                .client
                .hook_post("/cid/808/event/pbx1", "application/json", r#"{"event": "hangup", "call": "c9", "answeredtime": 3}"#)
                .await;
            assert_eq!(reply.status, 200, "of a call that nobody asked about");
            assert_eq!(desk.client.hook_get("/cid/808/route/other", "call=c1").await.status, 404);
        },
    )
    .await;
}

#[actix_web::test]
async fn a_dry_run_says_where_a_call_would_go_and_binds_nobody() {
    with_desk(
        |_| {},
        async |desk| {
            let explain = |query: &str| format!("/api/v1/apps/808/explain?{query}");
            let would = desk.client.get(&explain("number=%2B79990001101")).await.ok();
            assert_eq!((&would["outcome"], &would["agents"]), (&json!("agent"), &json!(["ann"])));
            assert_eq!(would["reason"], "The number leads to queue main. Queue Main rings Ann Lee (free for the longest time).");
            let other = desk.client.get(&explain(&format!("number=%2B79990001101&to={OTHER}"))).await.ok();
            assert_eq!(other["agents"], json!(["bob"]));
            assert_eq!((desk.is("ann").await, desk.is("bob").await), ("available", "available"));
            let calls = desk.client.get("/api/v1/apps/808/calls").await.ok();
            assert_eq!(calls["items"], Value::Array(vec![]), "nothing is recorded");
        },
    )
    .await;
}

#[actix_web::test]
async fn removing_an_agent_or_a_queue_while_it_rings_leaves_nothing_behind() {
    with_desk(
        |_| {},
        async |desk| {
            let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN));
            assert_eq!(Caller::dialled(&one.ask().await), "ann");
            assert_eq!(desk.client.delete("/api/v1/apps/808/agents/ann?force=true").await.status, 204);
            assert_eq!(Caller::dialled(&one.then("NOANSWER").await), "bob");
            assert_eq!(two.ask().await["action"], "wait");
            assert_eq!(desk.client.delete("/api/v1/apps/808/queues/main?force=true").await.status, 204);
            assert_eq!(two.ask().await["action"], "none", "the PBX's own route");
            assert_eq!(desk.outcomes("c2").await, ["overflowed"]);
            one.answered_by("102").await;
            one.hangs_up("ANSWER", 9).await;
            assert_eq!((desk.is("bob").await, desk.outcomes("c1").await), ("available", vec!["answered".to_owned()]));
            desk.pass_s(60).await;
            assert!(desk.offers("c1").await.iter().all(|o| o.ended_at.is_some()));
        },
    )
    .await;
}
