//! Who comes first where several places want the same agents, and whom nobody waits for.

use serde_json::json;

use super::support::{Caller, MAIN, OTHER, away, chained, queue, with_desk};
use super::{ONE, THREE, TWO};

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
