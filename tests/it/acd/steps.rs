//! How long a step of the chain has a call, and where the call is once it has gone on.

use hookflash::routing::record;
use hookflash::store::decisions;
use serde_json::json;

use super::ONE;
use super::support::{APP, Caller, MAIN, OTHER, also, away, chained, queue, with_desk};

#[actix_web::test]
async fn a_queue_as_a_step_counts_and_lasts_as_a_queue_does() {
    with_desk(
        |app| {
            chained(app, "[\"queue:main\"]");
            queue(app, "main", "wait_agent_answer_timeout = 7\nrecord_calls = false");
            also(app, "blacklist = [ { number = \"+79990000666\", ivr_blocked = false } ]");
        },
        async |desk| {
            let mut one = desk.caller("c1", ONE, OTHER);
            for agent in ["ann", "bob"] {
                let dial = one.then("NOANSWER").await;
                assert_eq!((Caller::dialled(&dial), &dial["timeout"], &dial["record"]), (agent.into(), &json!(7), &json!(false)));
                desk.pass_s(7).await;
            }
            let dial = one.then("NOANSWER").await;
            assert_eq!((Caller::dialled(&dial), &dial["place"]), ("eve".into(), &json!("other")), "each is asked once");
            assert_eq!(dial.get("record"), None, "the queue that is left says nothing of this one");
            assert_eq!(desk.outcomes("c1").await, ["timed_out", "open"]);
            let blocked = desk.caller("c2", "+79990000666", OTHER).ask().await;
            assert_eq!(blocked, json!({"action": "hangup", "cause": 21}));
        },
    )
    .await;
}

#[actix_web::test]
async fn whoever_is_on_the_blacklist_rings_nobody_of_the_chain() {
    with_desk(
        |app| {
            chained(app, "[\"group:sales\"]");
            also(app, r#"blacklist = [ { number = "+79990000666" }, { number = "+79990000667", queue_blocked = false } ]"#);
        },
        async |desk| {
            let blocked = desk.caller("c1", "+79990000666", OTHER).ask().await;
            assert_eq!(blocked, json!({"action": "hangup", "cause": 21}));
            assert_eq!((desk.is("ann").await, desk.outcomes("c1").await), ("available", Vec::<String>::new()));
            assert_eq!(Caller::dialled(&desk.caller("c2", "+79990000667", OTHER).ask().await), "ann", "turned away at IVRs only");
        },
    )
    .await;
}

#[actix_web::test]
async fn a_queue_as_a_step_overflows_to_nowhere() {
    with_desk(
        |app| {
            chained(app, "[{ to = \"queue:main\", wait_s = 30 }]");
            queue(app, "main", "maximum_queue_wait_time = 2\noverflow_timeout = \"number:+79990009999\"");
        },
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let mut one = desk.caller("c1", ONE, OTHER);
            for place in ["main", "main", "other"] {
                assert_eq!(one.ask().await["place"], place);
                desk.pass_s(1).await;
            }
            assert_eq!(desk.outcomes("c1").await, ["timed_out", "open"]);
        },
    )
    .await;
}

#[actix_web::test]
async fn a_call_that_goes_on_from_a_step_into_the_same_queue_does_not_fill_it_itself() {
    with_desk(
        |app| {
            chained(app, "[{ to = \"queue:main\", wait_s = 2 }]");
            queue(app, "main", "maximum_queue_size = 1");
            also(app, "number = [ { number = \"+74955550200\", responsible = true, queue = \"main\" } ]");
        },
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let mut one = desk.caller("c1", ONE, OTHER);
            for outcomes in [vec!["open"], vec!["open"], vec!["timed_out", "open"]] {
                assert_eq!(one.ask().await["place"], "main");
                assert_eq!(desk.outcomes("c1").await, outcomes);
                desk.pass_s(1).await;
            }
        },
    )
    .await;
}

#[actix_web::test]
async fn nobody_is_kept_for_the_place_that_the_call_itself_has_left() {
    with_desk(
        |app| {
            chained(app, "[{ to = \"queue:main\", wait_s = 2 }]");
            queue(app, "main", "priority = 5");
            queue(app, "other", "primary_groups = [\"sales\"]");
        },
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let mut one = desk.caller("c1", ONE, OTHER);
            for _ in 0..2 {
                assert_eq!(one.ask().await["place"], "main");
                desk.pass_s(1).await;
            }
            // The time of the step is over, and so is its priority.
            desk.set_status("ann", "AVAILABLE").await;
            let dial = one.ask().await;
            assert_eq!((Caller::dialled(&dial), &dial["place"]), ("ann".into(), &json!("other")));
        },
    )
    .await;
}

#[actix_web::test]
async fn a_step_lasts_no_longer_than_it_may_whoever_rings_and_no_longer_than_somebody_can_be_rung() {
    with_desk(
        |app| chained(app, "[{ to = \"group:sales\", wait_s = 30 }]"),
        async |desk| {
            let mut one = desk.caller("c1", ONE, OTHER);
            let dial = one.ask().await;
            assert_eq!((Caller::dialled(&dial), &dial["timeout"]), ("ann".into(), &json!(20)));
            desk.pass_s(20).await;
            let dial = one.then("NOANSWER").await;
            assert_eq!((Caller::dialled(&dial), &dial["timeout"]), ("bob".into(), &json!(10)), "what is left of the step");
            desk.pass_s(10).await;
            assert_eq!(one.then("NOANSWER").await["place"], "other");
        },
    )
    .await;
    with_desk(
        |app| chained(app, "[{ to = \"owner\", wait_s = 30 }]"),
        async |desk| {
            let mut one = desk.caller("c1", "+79995550101", OTHER);
            let dial = one.ask().await;
            assert_eq!((Caller::dialled(&dial), &dial["timeout"]), ("ann".into(), &json!(30)), "he alone has all of it");
            assert_eq!(one.ask().await, dial, "the same question has the same answer");
            desk.pass_s(2).await;
            let on = one.then("REJECTED").await;
            assert_eq!(on["place"], "other", "nobody is left whom this step could ring: {on}");
            // And how the API shows one who is left alone for it.
            let ann = desk.client.get("/api/v1/apps/808/agents/ann").await.ok();
            assert_eq!((&ann["state"], &ann["cool_down_cause"]), (&json!("available"), &json!("rejected")), "{ann}");
            assert!(
                ann["cool_down_until"].is_string()
                    && desk.client.get("/api/v1/apps/808/agents/eve").await.ok().get("cool_down_until").is_none()
            );
            // Who gives up while the step rings is missed at the number that he called, not at the step.
            let mut two = desk.caller("c2", "+79995550101", OTHER);
            two.ask().await;
            desk.event(&format!("event=hangup&call=c2&from=%2B79995550101&to={OTHER}&place=owner&dialstatus=CANCEL")).await;
            desk.pass_s(10).await;
            let legs = desk.client.get("/api/v1/apps/808/legs").await.ok();
            let missed: Vec<&str> = legs["items"].as_array().unwrap().iter().filter_map(|leg| leg["place"].as_str()).collect();
            assert_eq!(missed, ["+74955550200"], "{legs}");
        },
    )
    .await;
}

#[actix_web::test]
async fn nobody_is_rung_for_the_last_seconds_of_a_step() {
    with_desk(
        |app| {
            chained(app, "[{ to = \"group:sales\", wait_s = 20 }]");
            also(app, "number = [ { number = \"+74955550200\", responsible = true } ]");
        },
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let mut one = desk.caller("c1", ONE, OTHER);
            for _ in 0..16 {
                assert_eq!(one.ask().await["place"], "group:sales");
                desk.pass_s(1).await;
            }
            desk.set_status("ann", "AVAILABLE").await;
            let (answer, decision) = desk.route(&format!("call=c1&from=%2B79990001101&to={OTHER}")).await;
            assert_eq!((&answer["action"], &answer["place"]), (&json!("none"), &json!(null)), "she is free, and not rung");
            // So it is when the decision is made again.
            desk.house.hookflash.db.flush().await;
            let made = desk.house.read(move |conn| decisions::get(conn, APP, &decision)).await.expect("recorded");
            let again = record::replay(&made.caller, &made.inputs).expect("a record");
            assert_eq!((&made.agents, &again.agents, &again.candidates), (&vec![], &vec![], &made.candidates));
        },
    )
    .await;
}

#[actix_web::test]
async fn a_step_does_not_wait_for_one_whom_it_can_never_ring() {
    with_desk(
        |app| {
            chained(app, "[{ to = \"owner\", wait_s = 10 }, { to = \"last_agent\", wait_s = 10 }]");
            app["agent"].as_array_mut().expect("agents")[0]
                .as_table_mut()
                .expect("Ann")
                .insert("phone_number".into(), "+79995550199".into());
            also(app, "contact = [ { name = \"Ann at home\", phones = [\"+79995550199\"], owner = \"ann\" } ]");
        },
        async |desk| {
            let dial = desk.caller("c1", "+79995550199", OTHER).ask().await;
            assert_eq!((Caller::dialled(&dial), &dial["place"]), ("bob".into(), &json!("other")), "she calls her own company");
            desk.house.pass_s(30);
            let mut two = desk.caller("c2", ONE, MAIN);
            assert_eq!(Caller::dialled(&two.ask().await), "ann");
            two.answered_by("101").await;
            two.hangs_up("ANSWER", 3).await;
            desk.house.pass_s(30);
            away(desk, &["ann"]).await;
            assert_eq!(desk.caller("c3", ONE, OTHER).ask().await["place"], "last_agent", "she may come back");
            desk.client.delete("/api/v1/apps/808/agents/ann?force=true").await;
            assert_eq!(desk.caller("c4", ONE, OTHER).ask().await["place"], "other", "she is no agent any more");
        },
    )
    .await;
}

#[actix_web::test]
async fn a_call_that_is_answered_after_it_has_left_a_queue_gives_no_wrap_up_of_it() {
    with_desk(
        |app| chained(app, "[{ to = \"queue:main\", wait_s = 2 }, \"owner\"]"),
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let mut one = desk.caller("c1", "+79995550101", OTHER);
            for _ in 0..2 {
                assert_eq!(one.ask().await["place"], "main");
                desk.pass_s(1).await;
            }
            desk.set_status("ann", "AVAILABLE").await;
            let dial = one.ask().await;
            assert_eq!(
                (Caller::dialled(&dial), &dial["place"], desk.outcomes("c1").await),
                ("ann".into(), &json!("owner"), vec!["timed_out".into()])
            );
            one.answered_by("101").await;
            desk.pass_s(60).await;
            one.hangs_up("ANSWER", 60).await;
            assert_eq!(desk.is("ann").await, "available");
            // It is the same when only the next question tells of the answer.
            let mut two = desk.caller("c2", "+79995550101", OTHER);
            away(desk, &["ann"]).await;
            two.ask().await;
            desk.pass_s(2).await;
            desk.set_status("ann", "AVAILABLE").await;
            assert_eq!(two.ask().await["place"], "owner");
            desk.pass_s(5).await;
            two.then("ANSWER").await;
            assert_eq!(desk.is("ann").await, "available");
            desk.pass_s(10).await;
            let stats = desk.client.get("/api/v1/apps/808/stats/queues?from=2025-12-29&to=2025-12-30").await.ok();
            assert_eq!((&stats["items"][0]["queue"], &stats["items"][0]["wrap_up_ms"]), (&json!("main"), &json!(0)), "{stats}");
        },
    )
    .await;
}
