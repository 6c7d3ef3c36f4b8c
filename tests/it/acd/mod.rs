//! Calls that wait: queues through the `route` hook, as a dialplan asks it.

mod authors;
mod doors;
mod figures;
mod killed;
mod lines;
mod live;
mod metrics;
mod order;
mod reports;
mod rough;
mod steps;
mod support;

use hookflash::domain::time::Timestamp;
use serde_json::{Value, json};

use support::{Caller, MAIN, OTHER, also, queue, with_desk};

const ONE: &str = "+79990001101";
const TWO: &str = "+79990001102";
const THREE: &str = "+79990001103";

fn dialled(answer: &Value) -> String {
    Caller::dialled(answer)
}

#[actix_web::test]
async fn a_caller_waits_gets_an_agent_loses_him_to_a_refusal_and_gets_the_next() {
    with_desk(
        |_| {},
        async |desk| {
            desk.set_status("ann", "NOT_AVAILABLE").await;
            desk.set_status("bob", "NOT_AVAILABLE").await;
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(one.ask().await, json!({"action": "wait", "seconds": 1, "place": "main"}));
            desk.pass_s(1).await;
            assert_eq!(one.ask().await["action"], "wait");
            desk.set_status("bob", "AVAILABLE").await;
            desk.pass_s(1).await;
            let dial = one.ask().await;
            assert_eq!(
                (&dial["device"], &dial["agent"], &dial["timeout"], &dial["place"]),
                (&json!("PJSIP/102"), &json!("bob"), &json!(15), &json!("main"))
            );
            assert_eq!((desk.is("bob").await, one.ask().await), ("reserved", dial), "a retry is told the same");
            desk.set_status("ann", "AVAILABLE").await;
            desk.pass_s(2).await;
            assert_eq!(dialled(&one.then("rejected").await), "ann");
            assert_eq!((desk.is("bob").await, desk.is("ann").await), ("available", "reserved"));
            desk.pass_s(3).await;
            one.answered_by("101").await;
            assert_eq!(desk.is("ann").await, "on_call");
            desk.pass_s(60).await;
            assert_eq!(desk.is("ann").await, "on_call");
            one.hangs_up("ANSWER", 60).await;
            assert_eq!(desk.is("ann").await, "wrap_up");
            desk.pass_s(10).await;
            assert_eq!(desk.is("ann").await, "available");
            let entries = desk.entries("c1").await;
            assert_eq!(entries.len(), 1);
            assert_eq!(
                (entries[0].outcome.as_deref(), entries[0].agent.as_deref(), entries[0].talk_us),
                (Some("answered"), Some("ann"), 60_000_000)
            );
            assert_eq!((entries[0].answered_at.unwrap() - entries[0].joined_at) / 1_000_000, 7, "from the first question to the answer");
        },
    )
    .await;
}

#[actix_web::test]
async fn three_refusals_for_three_reasons_read_like_a_sentence() {
    let more = |app: &mut toml::Table| {
        also(
            app,
            r#"group = [ { id = "sales", name = "Sales", agents = ["ann", "bob", "eve"] }, { id = "help", name = "Help", agents = ["eve"] } ]"#,
        )
    };
    with_desk(more, async |desk| {
        let mut one = desk.caller("c1", ONE, MAIN);
        for (agent, status) in [("ann", "NOANSWER"), ("bob", "BUSY"), ("eve", "rejected")] {
            let dial = one.ask().await;
            assert_eq!(dialled(&dial), agent);
            desk.pass_s(3).await;
            desk.route(&format!("call=c1&from=%2B79990001101&to={MAIN}&offer={}&status={status}", one.offer)).await;
        }
        let (answer, decision) = desk.route(&format!("call=c1&from=%2B79990001101&to={MAIN}")).await;
        assert_eq!(answer["action"], "wait");
        assert_eq!(
            desk.explained(&decision).await,
            "Queue Main lets the caller wait as number 1: Ann Lee did not answer a moment ago, Bob Ray was busy a moment ago, \
             Eve Fox rejected a call a moment ago."
        );
        // One after the other comes back, and a second round begins.
        desk.pass_s(10).await;
        assert_eq!(dialled(&one.ask().await), "bob");
    })
    .await;
}

#[actix_web::test]
async fn a_stale_offer_has_no_effect() {
    with_desk(
        |_| {},
        async |desk| {
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(dialled(&one.ask().await), "ann");
            let first = one.offer.clone();
            desk.pass_s(1).await;
            assert_eq!(dialled(&one.then("BUSY").await), "bob");
            for stale in [first.as_str(), "nonsense", "", "0198.bob"] {
                let (answer, _) = desk.route(&format!("call=c1&from=%2B79990001101&to={MAIN}&offer={stale}&status=NOANSWER")).await;
                assert_eq!((dialled(&answer), answer["offer"].as_str()), ("bob".into(), Some(one.offer.as_str())), "{stale}");
            }
            let states: Vec<String> = desk.offers("c1").await.into_iter().map(|o| o.state).collect();
            assert_eq!((states, desk.is("bob").await), (vec!["busy".into(), "pending".into()], "reserved"));
        },
    )
    .await;
}

#[actix_web::test]
async fn who_came_first_is_served_first_also_over_queues_that_share_agents() {
    with_desk(
        |_| {},
        async |desk| {
            for agent in ["ann", "bob", "eve"] {
                desk.set_status(agent, "NOT_AVAILABLE").await;
            }
            let (mut one, mut two, mut three) =
                (desk.caller("c1", ONE, OTHER), desk.caller("c2", TWO, MAIN), desk.caller("c3", THREE, MAIN));
            for call in [&mut one, &mut two, &mut three] {
                assert_eq!(call.ask().await["action"], "wait");
                desk.pass_s(1).await;
            }
            // They keep their places however often they ask.
            for call in [&mut three, &mut two, &mut one] {
                call.ask().await;
            }
            desk.set_status("bob", "AVAILABLE").await;
            assert_eq!(three.ask().await["action"], "wait");
            let (answer, decision) = desk.route(&format!("call=c2&from=%2B79990001102&to={MAIN}")).await;
            assert_eq!(answer["action"], "wait");
            assert!(desk.explained(&decision).await.contains("Bob Ray is kept for a caller who has waited longer"));
            // The first has another queue, and may take somebody else there: then Bob is free for the second.
            desk.set_status("eve", "AVAILABLE").await;
            assert_eq!(two.ask().await["action"], "wait", "Bob has been idle for as long as Eve, and his name comes first");
            assert_eq!(dialled(&one.ask().await), "bob");
            desk.set_status("ann", "AVAILABLE").await;
            assert_eq!(three.ask().await["action"], "wait");
            assert_eq!(dialled(&two.ask().await), "ann");
        },
    )
    .await;
}

#[actix_web::test]
async fn a_call_that_is_not_asked_about_any_more_leaves_the_queue_as_abandoned_and_may_come_back() {
    with_desk(
        |_| {},
        async |desk| {
            desk.set_status("ann", "NOT_AVAILABLE").await;
            desk.set_status("bob", "NOT_AVAILABLE").await;
            let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN));
            one.ask().await;
            desk.pass_s(1).await;
            two.ask().await;
            desk.pass_s(4).await;
            two.ask().await;
            assert_eq!(desk.outcomes("c1").await, ["open"]);
            desk.pass_s(2).await;
            assert_eq!((desk.outcomes("c1").await, desk.outcomes("c2").await), (vec!["abandoned".into()], vec!["open".into()]));
            let legs = desk.client.get("/api/v1/apps/808/legs").await.ok();
            assert_eq!(legs["items"].as_array().map(Vec::len), Some(0), "a missed call waits for later news");
            desk.pass_s(3).await;
            let legs = desk.client.get("/api/v1/apps/808/legs").await.ok();
            assert_eq!(
                (&legs["items"][0]["kind"], &legs["items"][0]["place"], &legs["items"][0]["number"]),
                (&json!("missed"), &json!("main"), &json!(ONE))
            );
            // The PBX was only slow.
            desk.set_status("bob", "AVAILABLE").await;
            assert_eq!(dialled(&one.ask().await), "bob");
            assert_eq!(desk.outcomes("c1").await, ["abandoned", "open"]);
        },
    )
    .await;
}

#[actix_web::test]
async fn an_abandon_while_it_rings_is_no_miss_of_the_agent_and_one_of_the_caller() {
    with_desk(
        |_| {},
        async |desk| {
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(dialled(&one.ask().await), "ann");
            desk.pass_s(4).await;
            one.hangs_up("CANCEL", 0).await;
            let ann = desk.state("ann").await;
            assert_eq!((desk.is("ann").await, ann.cool_cause, ann.misses), ("available", None, 0));
            assert_eq!((desk.outcomes("c1").await, desk.offers("c1").await[0].state.as_str()), (vec!["abandoned".into()], "canceled"));
            one.hangs_up("CANCEL", 0).await;
            desk.pass_s(4).await;
            let legs = desk.client.get("/api/v1/apps/808/legs").await.ok();
            assert_eq!(legs["items"].as_array().map(Vec::len), Some(1), "{legs}");
        },
    )
    .await;
}

#[actix_web::test]
async fn a_dialling_that_nothing_follows_frees_its_agent() {
    with_desk(
        |_| {},
        async |desk| {
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(dialled(&one.ask().await), "ann");
            desk.pass_s(19).await;
            assert_eq!(desk.is("ann").await, "reserved");
            desk.pass_s(2).await;
            assert_eq!((desk.is("ann").await, desk.outcomes("c1").await), ("available", vec!["abandoned".to_owned()]));
            // It was answered all the same: the news of it was slow.
            one.hangs_up("ANSWER", 12).await;
            assert_eq!((desk.outcomes("c1").await, desk.is("ann").await), (vec!["answered".to_owned()], "wrap_up"));
        },
    )
    .await;
}

#[actix_web::test]
async fn going_off_duty_takes_the_offer_back_and_too_many_misses_take_the_agent_off_duty() {
    let strict = |app: &mut toml::Table| {
        also(app, "[routing]\nno_answer_limit = 2\ncool_down_s = { no_answer = 0 }");
        queue(app, "main", "wait_agent_answer_timeout = 5");
    };
    with_desk(strict, async |desk| {
        let mut one = desk.caller("c1", ONE, MAIN);
        assert_eq!(dialled(&one.ask().await), "ann");
        desk.set_status("ann", "OFFLINE").await;
        assert_eq!((desk.is("ann").await, desk.offers("c1").await[0].state.as_str()), ("offline", "rescinded"));
        assert_eq!(dialled(&one.then("NOANSWER").await), "bob");
        assert_eq!(desk.state("ann").await.misses, 0);
        for _ in 0..2 {
            desk.pass_s(5).await;
            one.then("NOANSWER").await;
        }
        let bob = desk.state("bob").await;
        assert_eq!((desk.is("bob").await, bob.manual_reason.as_deref()), ("not_available", Some("no answer")));
    })
    .await;
}

#[actix_web::test]
async fn the_plain_form_says_the_same() {
    with_desk(
        |_| {},
        async |desk| {
            let reply = desk.client.hook_get("/cid/808/route/pbx1", &format!("call=c1&from=%2B79990001101&to={MAIN}&format=plain")).await;
            let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
            let offer = text.split('|').nth(3).unwrap();
            assert_eq!(text, format!("dial|PJSIP/101|15|{offer}|ann|main|"), "no other number is shown");
            let reply = desk.client.hook_get("/cid/808/route/pbx1", "call=c2&from=%2B79990001101&to=999&format=plain").await;
            assert_eq!(&reply.bytes[..], b"none");
        },
    )
    .await;
}

#[actix_web::test]
async fn the_times_in_state_add_up_and_say_who_did_it() {
    with_desk(
        |_| {},
        async |desk| {
            desk.pass_s(10).await;
            let mut one = desk.caller("c1", ONE, MAIN);
            assert_eq!(dialled(&one.ask().await), "ann");
            desk.pass_s(5).await;
            one.answered_by("101").await;
            desk.pass_s(60).await;
            one.hangs_up("ANSWER", 60).await;
            desk.pass_s(30).await;
            desk.set_status("ann", "NOT_AVAILABLE").await;
            desk.pass_s(15).await;
            let times = desk.client.get("/api/v1/apps/808/agents/ann/times").await.ok();
            let told: Vec<(String, String, i64)> = times["times"]
                .as_array()
                .expect("times")
                .iter()
                .map(|t| {
                    let at = |field: &str| Timestamp::parse_rfc3339(t[field].as_str().expect("a time")).expect("a time").0;
                    (t["state"].as_str().unwrap().into(), t["by"].as_str().unwrap().into(), (at("until") - at("since")) / 1_000_000)
                })
                .collect();
            let expected = [
                ("available", "router", 10),
                ("reserved", "router", 5),
                ("on_call", "phone", 60),
                ("wrap_up", "phone", 10),
                ("available", "time", 20),
                ("not_available", "auth.admin_token", 15),
            ];
            assert_eq!(told, expected.map(|(state, by, s)| (state.to_owned(), by.to_owned(), s)));
            assert_eq!(
                times["total_ms"],
                json!({"available": 30_000, "not_available": 15_000, "on_call": 60_000, "reserved": 5_000, "wrap_up": 10_000})
            );
            // A reservation that nothing follows ends by itself.
            let mut two = desk.caller("c2", TWO, MAIN);
            assert_eq!(dialled(&two.ask().await), "bob");
            desk.pass_s(50).await;
            let times = desk.client.get("/api/v1/apps/808/agents/bob/times").await.ok();
            assert_eq!(times["total_ms"], json!({"available": 150_000, "reserved": 20_000}));
        },
    )
    .await;
}

#[actix_web::test]
async fn a_queue_shows_who_waits_and_what_it_has_done() {
    with_desk(|_| {}, async |desk| {
        let (mut one, mut two, mut three) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN), desk.caller("c3", THREE, MAIN));
        one.ask().await;
        desk.pass_s(2).await;
        one.answered_by("101").await;
        desk.set_status("bob", "NOT_AVAILABLE").await;
        two.ask().await;
        desk.pass_s(1).await;
        three.ask().await;
        desk.pass_s(1).await;
        desk.set_status("bob", "AVAILABLE").await;
        assert_eq!(dialled(&two.ask().await), "bob");
        let now = desk.client.get("/api/v1/apps/808/queues/main/waiting").await.ok();
        assert_eq!((&now["waiting"], &now["longest_wait_ms"]), (&json!(2), &json!(2_000)));
        let shown: Vec<Value> = now["calls"].as_array().expect("calls").iter().map(|c| json!([c["number"], c["waits_ms"], c["offered_to"]])).collect();
        assert_eq!(shown, [json!([TWO, 2_000, ["bob"]]), json!([THREE, 1_000, []])]);
        for _ in 0..6 {
            desk.house.pass_s(1);
            three.ask().await;
        }
        three.hangs_up("", 0).await;
        two.hangs_up("CANCEL", 0).await;
        one.hangs_up("ANSWER", 8).await;
        let stats = desk.client.get("/api/v1/apps/808/stats/queues?from=2025-12-29&to=2025-12-30").await.ok();
        let main = &stats["items"][0];
        let expected = json!({"queue": "main", "offered": 3, "answered": 1, "abandoned": 2, "waiting": 0, "asa_ms": 2_000, "service_level": 1.0, "talk_ms": 8_000});
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&main[field], value, "{field}: {main}");
        }
    })
    .await;
}
