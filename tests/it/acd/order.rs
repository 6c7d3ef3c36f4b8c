//! Who comes first where several places want the same agents, for how long a place has a call, and whom nobody waits for.

use hookflash::routing::record;
use hookflash::store::decisions;
use serde_json::json;

use super::support::{APP, Caller, Desk, MAIN, OTHER, also, queue, with_desk};
use super::{ONE, THREE, TWO};

/// The number of `other` goes through these steps first.
fn chained(app: &mut toml::Table, steps: &str) {
    also(
        app,
        &format!(
            r#"number = [ {{ number = "+74955550100", queue = "main" }}, {{ number = "+74955550200", responsible = true, queue = "other" }} ]
            [routing]
            responsible = {steps}"#
        ),
    );
}

async fn away(desk: &Desk<'_>, agents: &[&str]) {
    for agent in agents {
        desk.set_status(agent, "NOT_AVAILABLE").await;
    }
}

#[actix_web::test]
async fn a_group_s_step_takes_nobody_for_whom_somebody_has_waited_longer_and_the_one_who_is_responsible_is_rung_at_once() {
    for (steps, place) in [("[\"group:sales\"]", "group:sales"), ("[\"queue:main\"]", "main")] {
        with_desk(
            |app| chained(app, steps),
            async |desk| {
                away(desk, &["ann", "bob", "eve"]).await;
                let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, OTHER));
                assert_eq!(one.ask().await["place"], "main");
                desk.pass_s(1).await;
                desk.set_status("ann", "AVAILABLE").await;
                assert_eq!(two.ask().await["place"], "other", "ann is kept for the first");
                assert_eq!(Caller::dialled(&one.ask().await), "ann");
                let mut three = desk.caller("c3", THREE, OTHER);
                desk.set_status("bob", "AVAILABLE").await;
                let dial = three.ask().await;
                assert_eq!((Caller::dialled(&dial), &dial["place"]), ("bob".into(), &json!(place)), "nobody waits for bob in main");
            },
        )
        .await;
    }
    with_desk(
        |app| chained(app, "[\"owner\"]"),
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let (mut one, mut client) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", "+79995550101", OTHER));
            one.ask().await;
            desk.set_status("ann", "AVAILABLE").await;
            assert_eq!(Caller::dialled(&client.ask().await), "ann");
        },
    )
    .await;
}

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
async fn nobody_waits_for_one_who_hears_a_greeting_or_whose_offer_was_taken_back() {
    with_desk(
        |app| {
            queue(app, "main", "wait_greeting = \"welcome\"");
            queue(app, "other", "primary_groups = [\"sales\"]");
        },
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, OTHER));
            assert_eq!(one.ask().await["greeting"], "welcome");
            desk.pass_s(1).await;
            desk.set_status("ann", "AVAILABLE").await;
            assert_eq!(Caller::dialled(&two.ask().await), "ann", "the first hears the greeting");
            // After it he is waited for like anybody, though the answer names the greeting again.
            desk.pass_s(10).await;
            assert_eq!(one.ask().await["action"], "wait");
            desk.set_status("bob", "AVAILABLE").await;
            assert_eq!(desk.caller("c3", THREE, OTHER).ask().await["action"], "wait");
            // Ann goes off duty while she is rung: her phone rings on, and the second cannot ask before that is over.
            let dial = one.ask().await;
            assert_eq!(Caller::dialled(&dial), "bob");
            desk.set_status("bob", "NOT_AVAILABLE").await;
            desk.set_status("bob", "AVAILABLE").await;
            assert_eq!(desk.state("bob").await.live_claim(desk.house.clock.now()), None);
            let mut four = desk.caller("c4", "+79990001144", OTHER);
            assert_eq!(four.ask().await["action"], "wait", "his phone may ring until then");
            away(desk, &["ann"]).await;
            desk.pass_s(15).await;
            assert_eq!(four.ask().await["action"], "wait", "and now the first asks again");
            assert_eq!(Caller::dialled(&one.then("NOANSWER").await), "bob");
        },
    )
    .await;
}

#[actix_web::test]
async fn who_hears_the_greeting_after_a_phone_rang_in_vain_is_not_taken_for_gone() {
    with_desk(
        |app| {
            queue(app, "main", "wait_greeting = \"welcome\"");
        },
        async |desk| {
            away(desk, &["bob"]).await;
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(Caller::dialled(&one.ask().await), "ann");
            desk.pass_s(3).await;
            assert_eq!(one.then("BUSY").await["greeting"], "welcome");
            away(desk, &["ann"]).await;
            // The answer was lost: asked again at once, and only then heard.
            desk.pass_s(1).await;
            one.ask().await;
            desk.pass_s(20).await;
            assert_eq!(desk.outcomes("c1").await, ["open"]);
            // Later the greeting is named again and not heard again.
            one.ask().await;
            desk.pass_s(7).await;
            assert_eq!(desk.outcomes("c1").await, ["abandoned"]);
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
async fn queues_that_send_on_to_each_other_let_a_call_go_after_one_round() {
    with_desk(
        |app| {
            queue(app, "main", "maximum_queue_size = 0\noverflow_full = \"queue:other\"");
            queue(app, "other", "maximum_queue_size = 0\noverflow_full = \"queue:main\"");
        },
        async |desk| {
            away(desk, &["ann", "bob", "eve"]).await;
            let (answer, decision) = desk.route(&format!("call=c1&from=%2B79990001101&to={MAIN}")).await;
            assert_eq!(answer, json!({"action": "hangup", "cause": 17}));
            assert_eq!(desk.outcomes("c1").await, ["full", "full"], "each queue has turned it away once");
            let told = desk.explained(&decision).await;
            assert!(told.ends_with("The queue Main had sent the call on, and it came back there."), "{told}");
        },
    )
    .await;
}

#[actix_web::test]
async fn who_is_kept_for_an_older_call_makes_no_room_for_a_new_one() {
    with_desk(
        |app| {
            queue(app, "other", "primary_groups = [\"sales\"]\nmaximum_queue_size = 0");
        },
        async |desk| {
            away(desk, &["ann", "bob"]).await;
            let mut one = desk.caller("c1", ONE, MAIN);
            one.ask().await;
            desk.pass_s(1).await;
            desk.set_status("ann", "AVAILABLE").await;
            assert_eq!(desk.caller("c2", TWO, OTHER).ask().await["action"], "hangup");
            assert_eq!(desk.outcomes("c2").await, ["full"]);
            assert_eq!(Caller::dialled(&one.ask().await), "ann");
        },
    )
    .await;
}

#[actix_web::test]
async fn what_was_waited_counts_in_each_queue_that_follows() {
    with_desk(
        |app| {
            queue(app, "main", "maximum_queue_wait_time = 3\noverflow_timeout = \"queue:mid\"");
            let mid = r#"id = "mid"
                name = "Mid"
                primary_groups = ["night"]
                maximum_queue_wait_time = 3
                overflow_timeout = "queue:other""#;
            let mid: toml::Table = toml::from_str(mid).expect("TOML");
            app["queue"].as_array_mut().expect("queues").push(mid.into());
        },
        async |desk| {
            away(desk, &["ann", "bob", "eve"]).await;
            let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, OTHER));
            for second in 0..6 {
                one.ask().await;
                if second >= 2 {
                    two.ask().await;
                }
                desk.pass_s(1).await;
            }
            assert_eq!(one.ask().await["place"], "other");
            two.ask().await;
            assert_eq!(desk.outcomes("c1").await, ["overflowed", "overflowed", "open"]);
            desk.set_status("eve", "AVAILABLE").await;
            assert_eq!(two.ask().await["action"], "wait", "two seconds less in all, though longer here");
            assert_eq!(Caller::dialled(&one.ask().await), "eve");
        },
    )
    .await;
}

#[actix_web::test]
async fn a_late_word_that_somebody_has_answered_makes_one_winner() {
    with_desk(
        |app| queue(app, "main", "strategy = \"ring_all\"\nring_at_once = 2\nwrap_up_time_limit = 30"),
        async |desk| {
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(Caller::dialled(&one.ask().await), "ann,bob");
            desk.pass_s(15).await;
            assert_eq!(one.then("ANSWER").await, json!({"action": "hangup", "cause": 16}));
            let states: Vec<String> = desk.offers("c1").await.into_iter().map(|o| o.state).collect();
            assert_eq!(states, ["canceled", "canceled"], "who it was is not told");
            assert_eq!((desk.is("ann").await, desk.is("bob").await), ("available", "available"));
            let entry = desk.entries("c1").await.remove(0);
            assert_eq!((entry.outcome.as_deref(), entry.agent, entry.talk_us), (Some("answered"), None, 15_000_000));
        },
    )
    .await;
    with_desk(
        |app| queue(app, "main", "wrap_up_time_limit = 30"),
        async |desk| {
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(Caller::dialled(&one.ask().await), "ann");
            desk.pass_s(15).await;
            one.then("ANSWER").await;
            assert_eq!(desk.is("ann").await, "wrap_up");
            let entry = desk.entries("c1").await.remove(0);
            assert_eq!((entry.agent.as_deref(), entry.answered_at, entry.talk_us), (Some("ann"), Some(entry.joined_at), 15_000_000));
        },
    )
    .await;
}

#[actix_web::test]
async fn one_who_rang_to_the_end_has_not_declined_and_an_agent_who_calls_is_not_rung_himself() {
    with_desk(
        |_| {},
        async |desk| {
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(Caller::dialled(&one.ask().await), "ann");
            desk.pass_s(2).await;
            assert_eq!(Caller::dialled(&one.then("REJECTED").await), "bob");
            // The PBX keeps the cause of the one who declined.
            desk.pass_s(15).await;
            one.then("REJECTED").await;
            let states: Vec<String> = desk.offers("c1").await.into_iter().map(|o| o.state).collect();
            assert_eq!(states, ["rejected", "no_answer"]);
            desk.pass_s(60).await;
            desk.set_status("bob", "NOT_AVAILABLE").await;
            let (answer, decision) = desk.route(&format!("call=c2&from=101&to={MAIN}")).await;
            assert_eq!(answer["action"], "wait");
            assert!(desk.explained(&decision).await.contains("Ann Lee"), "told why");
        },
    )
    .await;
}
