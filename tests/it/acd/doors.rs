//! The doors of queues, the responsible chain, the keys of an IVR, and strategies that ring several.

use serde_json::json;

use super::support::{Caller, MAIN, OTHER, also, queue, with_desk};
use super::{ONE, THREE, TWO};

#[actix_web::test]
async fn a_full_queue_sends_the_next_caller_where_it_says() {
    let small = |app: &mut toml::Table| queue(app, "main", "maximum_queue_size = 1\noverflow_full = \"queue:other\"");
    with_desk(small, async |desk| {
        desk.set_status("ann", "NOT_AVAILABLE").await;
        desk.set_status("bob", "NOT_AVAILABLE").await;
        let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN));
        assert_eq!(one.ask().await["place"], "main");
        let dial = two.ask().await;
        assert_eq!((Caller::dialled(&dial), &dial["place"]), ("eve".into(), &json!("other")));
        assert_eq!(desk.outcomes("c2").await, ["full", "open"]);
        // With somebody free there is always room.
        desk.set_status("ann", "AVAILABLE").await;
        one.ask().await;
        assert_eq!(desk.is("ann").await, "reserved");
    })
    .await;
}

#[actix_web::test]
async fn a_queue_without_a_waiting_room_takes_a_call_only_when_somebody_is_free() {
    let none = |app: &mut toml::Table| queue(app, "main", "maximum_queue_size = 0\nenable_voicemail = true");
    with_desk(none, async |desk| {
        let mut calls: Vec<_> = ["c1", "c2", "c3"].map(|c| desk.caller(c, ONE, MAIN)).into();
        assert_eq!(Caller::dialled(&calls[0].ask().await), "ann");
        assert_eq!(Caller::dialled(&calls[1].ask().await), "bob");
        let left = calls[2].ask().await;
        assert_eq!((&left["action"], &left["context"], &left["exten"]), (&json!("goto"), &json!("hookflash-voicemail"), &json!("main")));
        assert_eq!(calls[2].ask().await, left, "told the same again");
        assert_eq!(desk.outcomes("c3").await, ["full"]);
    })
    .await;
}

#[actix_web::test]
async fn who_waits_too_long_leaves_and_keeps_his_rank_in_the_next_queue() {
    let short = |app: &mut toml::Table| queue(app, "main", "maximum_queue_wait_time = 3\noverflow_timeout = \"queue:other\"");
    with_desk(short, async |desk| {
        for agent in ["ann", "bob", "eve"] {
            desk.set_status(agent, "NOT_AVAILABLE").await;
        }
        let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, OTHER));
        one.ask().await;
        desk.pass_s(2).await;
        two.ask().await;
        one.ask().await;
        desk.pass_s(1).await;
        assert_eq!(one.ask().await["place"], "other");
        two.ask().await;
        assert_eq!(desk.outcomes("c1").await, ["overflowed", "open"]);
        desk.set_status("eve", "AVAILABLE").await;
        assert_eq!(two.ask().await["action"], "wait", "the other has waited longer");
        assert_eq!(Caller::dialled(&one.ask().await), "eve");
    })
    .await;
}

#[actix_web::test]
async fn outside_business_hours_nobody_is_offered_also_to_those_who_wait_already() {
    // The house opens at 12:20 in Moscow, a Monday.
    let closing = |app: &mut toml::Table| {
        queue(app, "main", "schedule = 2\nbusiness_hours_id = \"day\"");
        queue(app, "other", "schedule = 2\nbusiness_hours_id = \"never\"\noverflow_closed = \"number:+79990009999\"");
        also(
            app,
            r#"business_hours = [
                { id = "day", name = "Day", weekly = [{ day = 1, from = "09:00", to = "12:21" }] },
                { id = "never", name = "Never" },
            ]"#,
        );
    };
    with_desk(closing, async |desk| {
        let mut other = desk.caller("c9", ONE, OTHER);
        let sent = other.ask().await;
        assert_eq!((&sent["action"], &sent["exten"]), (&json!("goto"), &json!("+79990009999")));
        desk.set_status("ann", "NOT_AVAILABLE").await;
        desk.set_status("bob", "NOT_AVAILABLE").await;
        let mut one = desk.caller("c1", ONE, MAIN);
        for _ in 0..59 {
            assert_eq!(one.ask().await["action"], "wait");
            desk.house.pass_s(1);
        }
        desk.set_status("ann", "AVAILABLE").await;
        desk.house.pass_s(1);
        assert_eq!(one.ask().await, json!({"action": "hangup", "cause": 17}));
        assert_eq!(desk.outcomes("c1").await, ["closed_hours"]);
    })
    .await;
}

#[actix_web::test]
async fn backup_groups_come_in_after_their_time_and_a_queue_without_staff_says_so() {
    let backed = |app: &mut toml::Table| {
        queue(app, "main", "backup_groups = [\"help\"]\nroute_to_backup_groups_after = 3");
        queue(app, "other", "primary_groups = [\"night\"]\noverflow_no_staff = \"hangup\"");
    };
    with_desk(backed, async |desk| {
        let mut calls: Vec<_> = ["c1", "c2", "c3"].map(|c| desk.caller(c, ONE, MAIN)).into();
        for (call, agent) in calls.iter_mut().zip(["ann", "bob"]) {
            assert_eq!(Caller::dialled(&call.ask().await), agent);
        }
        for _ in 0..3 {
            assert_eq!(calls[2].ask().await["action"], "wait");
            desk.pass_s(1).await;
        }
        assert_eq!(Caller::dialled(&calls[2].ask().await), "eve");
        assert_eq!(desk.caller("c9", ONE, OTHER).ask().await, json!({"action": "hangup", "cause": 17}));
        assert_eq!(desk.outcomes("c9").await, ["no_staff"]);
    })
    .await;
}

#[actix_web::test]
async fn priority_goes_first_until_age_has_made_up_for_it() {
    let ranked = |app: &mut toml::Table| queue(app, "other", "priority = 2\npriority_age_s = 10\nprimary_groups = [\"sales\"]");
    with_desk(ranked, async |desk| {
        desk.set_status("ann", "NOT_AVAILABLE").await;
        desk.set_status("bob", "NOT_AVAILABLE").await;
        let (mut old, mut urgent, mut late) =
            (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, OTHER), desk.caller("c3", THREE, OTHER));
        old.ask().await;
        for second in 0..22 {
            for call in [&mut old, &mut urgent] {
                call.ask().await;
            }
            if second == 21 {
                late.ask().await;
            }
            desk.house.pass_s(1);
        }
        desk.set_status("ann", "AVAILABLE").await;
        assert_eq!(late.ask().await["action"], "wait");
        assert_eq!(old.ask().await["action"], "wait");
        assert_eq!(Caller::dialled(&urgent.ask().await), "ann");
        desk.set_status("bob", "AVAILABLE").await;
        // Two points are worth twenty seconds; the other came twenty-one earlier.
        assert_eq!(late.ask().await["action"], "wait");
        assert_eq!(Caller::dialled(&old.ask().await), "bob");
    })
    .await;
}

#[actix_web::test]
async fn ring_all_reserves_together_and_the_one_who_answers_frees_the_others() {
    let all = |app: &mut toml::Table| queue(app, "main", "strategy = \"ring_all\"");
    with_desk(all, async |desk| {
        let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN));
        let dial = one.ask().await;
        assert_eq!((&dial["device"], &dial["agent"]), (&json!("PJSIP/101&PJSIP/102"), &json!("ann,bob")));
        assert_eq!(one.ask().await, dial);
        assert_eq!(two.ask().await["action"], "wait");
        desk.pass_s(2).await;
        one.answered_by("102").await;
        assert_eq!((desk.is("ann").await, desk.is("bob").await), ("available", "on_call"));
        let states: Vec<String> = desk.offers("c1").await.into_iter().map(|o| o.state).collect();
        assert_eq!(states, ["rescinded", "accepted"]);
        assert_eq!(desk.state("ann").await.cool_cause, None);
        assert_eq!(Caller::dialled(&two.ask().await), "ann");
        desk.pass_s(15).await;
        assert_eq!(two.then("NOANSWER").await["action"], "wait");
        one.hangs_up("ANSWER", 13).await;
        assert_eq!(desk.entries("c1").await[0].agent.as_deref(), Some("bob"));
    })
    .await;
}

#[actix_web::test]
async fn ring_all_names_the_same_phones_in_the_same_order_again() {
    let all = |app: &mut toml::Table| queue(app, "main", "strategy = \"ring_all\"");
    with_desk(all, async |desk| {
        let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN));
        one.ask().await;
        desk.pass_s(2).await;
        one.answered_by("101").await;
        desk.pass_s(5).await;
        one.hangs_up("ANSWER", 5).await;
        desk.pass_s(60).await;
        // Bob is idle for longer now, and so the first choice.
        let dial = two.ask().await;
        assert_eq!(dial["device"], "PJSIP/102&PJSIP/101");
        assert_eq!(two.ask().await, dial);
    })
    .await;
}

#[actix_web::test]
async fn ring_progressively_adds_one_more_every_few_seconds() {
    let slowly = |app: &mut toml::Table| {
        queue(app, "main", "strategy = \"ring_progressively\"\nring_step_s = 5\nprimary_groups = [\"sales\", \"help\"]");
    };
    with_desk(slowly, async |desk| {
        let mut one = desk.caller("c1", ONE, MAIN);
        let first = one.ask().await;
        assert_eq!((&first["device"], &first["timeout"]), (&json!("PJSIP/101"), &json!(5)));
        desk.pass_s(5).await;
        let second = one.then("NOANSWER").await;
        assert_eq!((&second["device"], &second["timeout"]), (&json!("PJSIP/101&PJSIP/102"), &json!(5)));
        desk.pass_s(5).await;
        let (third, decision) = desk.route(&format!("call=c1&from=%2B{}&to={MAIN}&offer={}&status=NOANSWER", &ONE[1..], one.offer)).await;
        one.offer = third["offer"].as_str().unwrap().to_owned();
        let told = desk.explained(&decision).await;
        assert_eq!(told, "Queue Main rings Ann Lee, Bob Ray, Eve Fox (one after the other).", "those who ring already are not refused");
        assert_eq!(third["device"], "PJSIP/101&PJSIP/102&PJSIP/103");
        assert_eq!(desk.state("ann").await.cool_cause, None, "he is rung still");
        desk.pass_s(5).await;
        let fourth = one.then("NOANSWER").await;
        assert_eq!(fourth["device"], "PJSIP/102&PJSIP/103", "the first had his fifteen seconds");
        assert_eq!(desk.is("ann").await, "available");
        desk.pass_s(1).await;
        one.answered_by("103").await;
        assert_eq!((desk.is("bob").await, desk.is("eve").await), ("available", "on_call"));
    })
    .await;
}

#[actix_web::test]
async fn the_chain_asks_each_for_his_time_and_then_the_queue() {
    let chained = |app: &mut toml::Table| {
        also(
            app,
            r#"number = [ { number = "+74955550100", queue = "other", responsible = true } ]
            [routing]
            responsible = [ { to = "owner", wait_s = 4 }, "deputy", { to = "queue:main", wait_s = 2 }, { to = "number:+79990009999", wait_s = 25 } ]
            [asterisk]
            outside_device = "PJSIP/{number}@trunk""#,
        );
        queue(app, "other", "primary_groups = [\"help\"]");
    };
    with_desk(chained, async |desk| {
        let mut one = desk.caller("c1", "+79995550101", MAIN);
        desk.set_status("ann", "NOT_AVAILABLE").await;
        for _ in 0..4 {
            assert_eq!(one.ask().await["place"], "owner");
            desk.pass_s(1).await;
        }
        let dial = one.ask().await;
        assert_eq!((Caller::dialled(&dial), &dial["place"], &dial["timeout"]), ("bob".into(), &json!("deputy"), &json!(20)));
        desk.pass_s(3).await;
        assert_eq!(one.then("BUSY").await, json!({"action": "wait", "seconds": 1, "place": "main"}));
        desk.pass_s(1).await;
        assert_eq!(one.ask().await["place"], "main");
        desk.pass_s(1).await;
        let outside = one.ask().await;
        assert_eq!((&outside["device"], &outside["timeout"]), (&json!("PJSIP/+79990009999@trunk"), &json!(25)));
        assert_eq!(one.ask().await, outside);
        desk.pass_s(25).await;
        let last = one.then("NOANSWER").await;
        assert_eq!((Caller::dialled(&last), &last["place"]), ("eve".into(), &json!("other")));
        assert_eq!(desk.outcomes("c1").await, ["timed_out", "open"]);
        // Who has no manager goes through the chain at once.
        let (answer, decision) = desk.route(&format!("call=c2&from=%2B79990001102&to={MAIN}")).await;
        assert_eq!(answer["place"], "main");
        let told = desk.explained(&decision).await;
        assert!(told.starts_with("The number asks for the responsible manager first. The step owner names nobody."), "{told}");
    })
    .await;
}

#[actix_web::test]
async fn the_keys_of_an_ivr_lead_on() {
    let menu = |app: &mut toml::Table| {
        also(
            app,
            r#"number = [ { number = "+74955550100", enable_ivr = true, ivr_menu = "menu" }, { number = "+74955550200", queue = "other" } ]
            ivr_tree = [ { id = "menu", tree_name = "Menu", root_node = "hello" } ]
            ivr_node = [
                { id = "hello", tree = "menu", node_name = "Hello", node_play_mode = "talk", node_play_content = "Press 1" },
                { id = "more", tree = "menu", node_name = "More", node_play_mode = "play", node_play_content = "more.wav", keypress_timeout = 9 },
            ]
            ivr_key = [
                { id = "k1", node = "hello", node_key = "1", action = 2, queue_id = "main" },
                { id = "k2", node = "hello", node_key = "2", action = 4, next_node = "more" },
                { id = "k3", node = "hello", node_key = "3", action = 3, to_phone_number = "+79990009999" },
                { id = "k4", node = "more", node_key = "EMPTY_KEY", action = 4, next_node = "hello" },
                { id = "k5", node = "more", node_key = "INVALID_KEY", action = 6 },
            ]
            blacklist = [ { number = "+79990000666" }, { number = "+79990000667", ivr_blocked = false } ]"#,
        );
    };
    with_desk(menu, async |desk| {
        let mut one = desk.caller("c1", ONE, MAIN);
        let hello = one.ask().await;
        assert_eq!(
            (&hello["context"], &hello["exten"], &hello["prompt"], &hello["mode"]),
            (&json!("hookflash-ivr"), &json!("hello"), &json!("Press 1"), &json!("talk"))
        );
        assert_eq!(one.ask().await, hello, "a retry");
        let more = one.ask_with("&digits=2").await;
        assert_eq!((&more["exten"], &more["key_timeout"]), (&json!("more"), &json!(9)));
        // What was pressed at the prompt before is stale now.
        let stale =
            desk.route(&format!("call=c1&from=%2B79990001101&to={MAIN}&offer={}&digits=2", hello["offer"].as_str().unwrap())).await.0;
        assert_eq!(stale, more);
        assert_eq!(one.ask_with("&digits=").await["exten"], "hello", "no key in time");
        assert_eq!(Caller::dialled(&one.ask_with("&digits=1").await), "ann");
        // Three more chances, then the end.
        let mut two = desk.caller("c2", TWO, MAIN);
        two.ask().await;
        for _ in 0..3 {
            assert_eq!(two.ask_with("&digits=7").await["exten"], "hello");
        }
        assert_eq!(two.ask_with("&digits=7").await, json!({"action": "hangup", "cause": 16}));
        let mut three = desk.caller("c3", THREE, MAIN);
        three.ask().await;
        assert_eq!(three.ask_with("&digits=3").await["exten"], "+79990009999");
        let mut four = desk.caller("c4", THREE, MAIN);
        four.ask().await;
        four.ask_with("&digits=2").await;
        assert_eq!(four.ask_with("&digits=8").await["action"], "hangup");
        for (call, number, to) in [("c5", "+79990000666", MAIN), ("c6", "+79990000667", OTHER)] {
            assert_eq!(desk.caller(call, number, to).ask().await, json!({"action": "hangup", "cause": 21}));
        }
        // Round and round ends with the fiftieth prompt.
        let mut dizzy = desk.caller("c7", ONE, MAIN);
        dizzy.ask().await;
        let mut heard = 1;
        loop {
            let answer = dizzy.ask_with(if heard % 2 == 1 { "&digits=2" } else { "&digits=" }).await;
            if answer["action"] != "goto" {
                break;
            }
            heard += 1;
        }
        assert_eq!(heard, 50);
    })
    .await;
}
