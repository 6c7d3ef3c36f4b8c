//! A small morning, every figure of which was worked out by hand.
//!
//! It lasts 210 s from 09:28:20 UTC, so that a quarter of an hour ends after 100 s. Only Ann works.
//!
//! | call | queue | joins | its end |
//! |---|---|---|---|
//! | c1 | main | 0 | Ann is rung at once, answers at 4, talks 60, and has wrap-up from 64 to 74 |
//! | c2 | main | 10 | gives up at 13 |
//! | c3 | main | 20 | gives up at 50 |
//! | c4 | main | 70 | Ann is rung at 75 and rejects at 78; gives up at 80 |
//! | c5 | main | 120 | Ann is rung; gives up at 123 |
//! | c6 | main | 130 | Ann is rung, does not answer until 145; gives up at 148 |
//! | c7 | other | 150 | nobody is there; after 10 s it has waited too long |
//! | c8 | main | 200 | Ann is at lunch from 190; it waits still |

use hookflash::auth::Role;
use hookflash::domain::time::Timestamp;
use hookflash::store::{Conn, Durability, agent_sums};
use serde_json::{Value, json};

use super::support::{APP, Caller, Desk, MAIN, OTHER, queue, with_desk};
use crate::support::START;

const BEGIN: Timestamp = Timestamp(START.0 + 500_000_000);

/// Lets the time pass up to a second of the morning; who waits goes on asking.
async fn until(desk: &Desk<'_>, second: i64, waiting: &mut [&mut Caller<'_, '_>]) {
    let mut left = second - desk.house.clock.now().since(BEGIN) / 1_000_000;
    while left > 0 {
        let step = left.min(5);
        desk.pass_s(step).await;
        left -= step;
        for caller in waiting.iter_mut() {
            caller.ask().await;
        }
    }
}

pub async fn morning(desk: &Desk<'_>) {
    for agent in ["bob", "eve"] {
        desk.set_status(agent, "NOT_AVAILABLE").await;
    }
    desk.pass_s(500).await;
    let call = |name: &'static str, to| desk.caller(name, &format!("+799900011{}{}", name.len(), &name[1..]), to);
    let (mut c1, mut c2, mut c3, mut c4) = (call("c1", MAIN), call("c2", MAIN), call("c3", MAIN), call("c4", MAIN));
    let (mut c5, mut c6, mut c7, mut c8) = (call("c5", MAIN), call("c6", MAIN), call("c7", OTHER), call("c8", MAIN));
    assert_eq!(Caller::dialled(&c1.ask().await), "ann");
    until(desk, 4, &mut []).await;
    c1.answered_by("101").await;
    until(desk, 10, &mut []).await;
    c2.ask().await;
    until(desk, 13, &mut [&mut c2]).await;
    c2.hangs_up("", 0).await;
    until(desk, 20, &mut []).await;
    c3.ask().await;
    until(desk, 50, &mut [&mut c3]).await;
    c3.hangs_up("", 0).await;
    until(desk, 64, &mut []).await;
    c1.hangs_up("ANSWER", 60).await;
    until(desk, 70, &mut []).await;
    assert_eq!(c4.ask().await["action"], "wait");
    desk.pass_s(5).await;
    assert_eq!(Caller::dialled(&c4.ask().await), "ann");
    until(desk, 78, &mut []).await;
    assert_eq!(c4.then("rejected").await["action"], "wait");
    until(desk, 80, &mut []).await;
    c4.hangs_up("", 0).await;
    until(desk, 120, &mut []).await;
    assert_eq!(Caller::dialled(&c5.ask().await), "ann");
    until(desk, 123, &mut []).await;
    c5.hangs_up("CANCEL", 0).await;
    until(desk, 130, &mut []).await;
    assert_eq!(Caller::dialled(&c6.ask().await), "ann");
    until(desk, 145, &mut []).await;
    assert_eq!(c6.then("NOANSWER").await["action"], "wait");
    until(desk, 148, &mut []).await;
    c6.hangs_up("", 0).await;
    until(desk, 150, &mut []).await;
    c7.ask().await;
    desk.pass_s(5).await;
    c7.ask().await;
    desk.pass_s(5).await;
    assert_eq!(c7.ask().await["action"], "hangup");
    c7.hangs_up("", 0).await;
    until(desk, 190, &mut []).await;
    desk.set_status("ann", "NOT_AVAILABLE").await;
    until(desk, 200, &mut []).await;
    c8.ask().await;
    until(desk, 210, &mut [&mut c8]).await;
}

/// The items of one kind of statistics of the morning.
async fn figures(desk: &Desk<'_>, what: &str, more: &str) -> Vec<Value> {
    let (from, to) = (BEGIN.rfc3339(), BEGIN.plus_s(210).rfc3339());
    let body = desk.client.get(&format!("/api/v1/apps/{APP}/stats/{what}?from={from}&to={to}{more}")).await.ok();
    body["items"].as_array().expect("items").clone()
}

/// The item of a name has these fields.
#[track_caller]
fn has(items: &[Value], key: &str, name: &str, fields: Value) {
    let item = items.iter().find(|item| item[key] == name).unwrap_or_else(|| panic!("no {key} {name} in {items:?}"));
    for (field, value) in fields.as_object().expect("an object") {
        assert_eq!(&item[field], value, "{field} of {name}: {item}");
    }
}

/// A queue that does not let wait, and numbers with tags.
pub fn lunch_break(app: &mut toml::Table) {
    queue(app, "other", "maximum_queue_wait_time = 10");
    for (number, team) in app["number"].as_array_mut().expect("numbers").iter_mut().zip(["sales", "help"]) {
        let tags = toml::Table::from_iter([("team".into(), team.into()), ("region".into(), "centre".into())]);
        number.as_table_mut().expect("a table").insert("tags".into(), tags.into());
    }
}

#[actix_web::test]
async fn every_figure_of_a_morning_is_the_one_worked_out_by_hand() {
    with_desk(lunch_break, async |desk| {
        morning(desk).await;
        let main = json!({
            "queued": 7, "offered": 5, "answered": 1, "abandoned": 3, "short_abandoned": 2, "overflowed": 0, "timed_out": 0,
            "closed_hours": 0, "full": 0, "no_staff": 0, "waiting": 1, "answered_in_time": 1, "abandoned_late": 1,
            "service_level": 0.5, "abandonment_rate": 3.0 / 7.0, "asa_ms": 4_000, "longest_wait_ms": 30_000, "talk_ms": 60_000,
        });
        let queues = figures(desk, "queues", "").await;
        has(&queues, "queue", "main", main.clone());
        has(&queues, "queue", "main", json!({"answered_within_s": 20, "wrap_up_ms": 10_000, "aht_ms": 70_000}));
        has(
            &queues,
            "queue",
            "other",
            json!({"queued": 1, "offered": 1, "timed_out": 1, "service_level": null, "aht_ms": null, "longest_wait_ms": 10_000}),
        );
        let strict = figures(desk, "queues", "&within_s=3&short_s=0").await;
        has(
            &strict,
            "queue",
            "main",
            json!({"answered_within_s": 3, "answered_in_time": 0, "abandoned": 5, "short_abandoned": 0, "offered": 7,
            "abandoned_late": 3, "service_level": 0.0}),
        );

        let quarters = figures(desk, "queues", "&interval=quarter_hour").await;
        let row = |n: usize| -> Vec<i64> {
            ["offered", "answered", "abandoned", "short_abandoned", "waiting", "wrap_up_ms"]
                .map(|f| quarters[n][f].as_i64().expect(f))
                .into()
        };
        assert_eq!((quarters[0]["to"].as_str(), row(0)), (Some("2025-12-29T09:30:00.000Z"), vec![3, 1, 2, 1, 0, 10_000]));
        assert_eq!((quarters[1]["queue"].as_str(), row(1), quarters.len()), (Some("main"), vec![2, 0, 1, 1, 1, 0], 3));

        let ann = json!({
            "offers": 4, "offers_by_state": {"accepted": 1, "rejected": 1, "canceled": 1, "no_answer": 1}, "pick_up_rate": 0.25,
            "pick_up_rate_without_canceled": 1.0 / 3.0, "incoming": 1, "outgoing": 0, "handled": 1, "talk_ms": 60_000, "aht_ms": 70_000,
            "times_ms": {"reserved": 25_000, "on_call": 60_000, "wrap_up": 10_000, "available": 95_000, "not_available": 20_000},
            "occupancy": 0.5,
        });
        let agents = figures(desk, "agents", "").await;
        has(&agents, "agent", "ann", ann);
        has(&agents, "agent", "bob", json!({"offers": 0, "pick_up_rate": null, "times_ms": {"not_available": 210_000}, "occupancy": null}));
        let quarters = figures(desk, "agents", "&interval=quarter_hour").await;
        let of_ann: Vec<&Value> = quarters.iter().filter(|q| q["agent"] == "ann").map(|q| &q["times_ms"]).collect();
        assert_eq!(
            of_ann,
            [
                &json!({"reserved": 7_000, "on_call": 60_000, "wrap_up": 10_000, "available": 23_000}),
                &json!({"reserved": 18_000, "available": 72_000, "not_available": 20_000}),
            ]
        );

        let groups = figures(desk, "groups", "").await;
        has(
            &groups,
            "group",
            "sales",
            json!({"agents": ["ann", "bob"], "offers": 4, "handled": 1, "occupancy": 0.5, "times_ms":
            {"reserved": 25_000, "on_call": 60_000, "wrap_up": 10_000, "available": 95_000, "not_available": 230_000}}),
        );
        has(&groups, "group", "help", json!({"offers": 0, "handled": 0, "times_ms": {"not_available": 420_000}}));

        let numbers = figures(desk, "numbers", "").await;
        has(&numbers, "number", "+74955550100", json!({"calls": 6, "talked": 1, "completion": 1.0 / 6.0, "up_time": null, "queues": main}));
        has(&numbers, "number", "+74955550200", json!({"calls": 1, "talked": 0, "completion": 0.0}));
        let tags = figures(desk, "tags", "").await;
        has(&tags, "value", "sales", json!({"tag": "team", "numbers": ["+74955550100"], "calls": 6, "talked": 1, "queues": main}));
        has(&tags, "value", "centre", json!({"tag": "region", "calls": 7, "talked": 1, "completion": 1.0 / 7.0}));
        let centre = tags.iter().find(|t| t["value"] == "centre").expect("a region");
        assert_eq!((&centre["queues"]["offered"], &centre["queues"]["timed_out"]), (&json!(6), &json!(1)));
    })
    .await;
}

/// Adds up the half hours that are long over, as the server does by itself.
async fn sum_up(desk: &Desk<'_>) -> usize {
    let (agents, now): (Vec<String>, _) = (["ann", "bob", "eve", "dan"].map(String::from).into(), desk.house.clock.now());
    for halves in 0.. {
        let agents = agents.clone();
        let Some(half) = desk.house.read(move |conn| agent_sums::next(conn, APP, &agents, now)).await else { return halves };
        let kept = desk.house.hookflash.db.write(Durability::Full, move |conn| agent_sums::keep(conn, APP, &half));
        kept.await.expect("kept");
    }
    unreachable!("the loop returns")
}

#[actix_web::test]
async fn half_hours_that_were_added_up_tell_the_same_as_the_marks() {
    with_desk(lunch_break, async |desk| {
        morning(desk).await;
        desk.house.pass_s(3 * 3_600);
        let asked = async || {
            let mut all = Vec::new();
            for period in
                ["from=2025-12-29T12:00&to=2025-12-29T13:30", "from=2025-12-29T12:20&to=2025-12-29T12:31", "from=2025-12-29&to=2025-12-30"]
            {
                for cut in ["", "&interval=quarter_hour", "&interval=hour"] {
                    for what in ["agents", "groups", "queues"] {
                        all.push(desk.client.get(&format!("/api/v1/apps/{APP}/stats/{what}?{period}{cut}")).await.ok());
                    }
                }
            }
            all
        };
        let before = asked().await;
        let now = desk.house.clock.now();
        assert_eq!((sum_up(desk).await, sum_up(desk).await), (5, 0), "from 09:00 to 11:30, an hour before {}", now.rfc3339());
        // Marks of what was added up are not looked at again.
        let only = |c: &mut Conn| {
            c.execute("DELETE FROM agent_marks WHERE application = 808 AND at >= 1767000600000000 AND at < 1767001000000000")
        };
        let hour = "from=2025-12-29T12:00&to=2025-12-29T13:30";
        for (one, other) in before.iter().zip(&asked().await) {
            assert_eq!(one, other);
        }
        desk.house.hookflash.db.write(Durability::Full, only).await.expect("deleted");
        assert_eq!(desk.client.get(&format!("/api/v1/apps/{APP}/stats/agents?{hour}")).await.ok(), before[0]);
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_question_is_named() {
    with_desk(
        |_| {},
        async |desk| {
            let ask = async |client: &crate::support::client::Client, what: &str, query: &str| {
                client.get(&format!("/api/v1/apps/{APP}/stats/{what}?{query}")).await
            };
            for what in ["queues", "groups", "agents", "numbers", "tags"] {
                for (query, field) in [
                    ("", "from"),
                    ("from=2025-01-01", "to"),
                    ("from=2025-01-02&to=2025-01-01", "to"),
                    ("from=2025-01-01&to=2025-02-01&interval=minute", "interval"),
                    ("from=2025-01-01&to=2025-02-01&interval=quarter_hour", "interval"),
                    ("from=2025-01-01&to=2025-02-01&within=5", "within"),
                ] {
                    assert_eq!(ask(&desk.client, what, query).await.refused(400), [field], "{what}?{query}");
                }
            }
            let unknown = ask(&desk.client, "queues", "from=2025-01-01&to=2025-02-01&within=5").await;
            assert_eq!(unknown.body["errors"][0]["reason"], "is not known; there are from, to, interval, within_s, short_s");
            assert_eq!(ask(&desk.client, "queues", "from=2025-01-01&to=2025-02-01&within_s=-1").await.refused(400), ["within_s"]);
            let agent = desk.client.with(&desk.house.token(Role::Agent, Some(APP), Some("ann")).await);
            ask(&agent, "agents", "from=2025-01-01&to=2025-02-01").await.refused(403);
        },
    )
    .await;
}

#[actix_web::test]
async fn a_talk_of_which_only_the_next_question_tells_is_no_wait() {
    with_desk(
        |_| {},
        async |desk| {
            desk.set_status("bob", "NOT_AVAILABLE").await;
            desk.set_status("ann", "NOT_AVAILABLE").await;
            let mut one = desk.caller("c1", "+79990001101", MAIN);
            one.ask().await;
            desk.pass_s(3).await;
            desk.set_status("ann", "AVAILABLE").await;
            assert_eq!(Caller::dialled(&one.ask().await), "ann");
            desk.pass_s(15).await;
            assert_eq!(one.then("ANSWER").await["action"], "hangup");
            let stats = desk.client.get(&format!("/api/v1/apps/{APP}/stats/queues?from=2025-12-29&to=2025-12-30")).await.ok();
            let waited = json!({"answered": 1, "asa_ms": 3_000, "longest_wait_ms": 3_000, "talk_ms": 15_000, "answered_in_time": 1});
            has(stats["items"].as_array().expect("items"), "queue", "main", waited);
        },
    )
    .await;
}
