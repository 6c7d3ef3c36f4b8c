//! Agents with two telephones: what is rung for them is their own phone number, behind the line to the outside, and a desk phone is theirs too.

use serde_json::json;

use super::support::{Caller, Desk, MAIN, away, mobile, with_desk};
use super::{ONE, TWO};

/// What the printed dialplan tells of the channel on which the agent was rung; the line to the outside is called `trunk`.
async fn tells(desk: &Desk<'_>, caller: &Caller<'_, '_>, more: &str) {
    let number = caller.number.trim_start_matches('+');
    let of_call = format!("call={}&from=%2B{number}&offer={}&peer=PJSIP%2Ftrunk-0000002a", caller.name, caller.offer);
    desk.event(&format!("{of_call}&peerid={}.9{more}", caller.name)).await;
}

#[actix_web::test]
async fn who_answers_on_his_own_telephone_talks_until_he_hangs_up() {
    with_desk(mobile, async |desk| {
        away(desk, &["bob"]).await;
        let (mut one, mut two) = (desk.caller("c1", ONE, MAIN), desk.caller("c2", TWO, MAIN));
        let dial = one.ask().await;
        assert_eq!((Caller::dialled(&dial), &dial["device"]), ("ann".into(), &json!("PJSIP/+79995550177@trunk")));
        desk.pass_s(4).await;
        tells(desk, &one, "&event=answer").await;
        let ann = desk.client.get("/api/v1/apps/808/agents/ann").await.ok();
        assert_eq!((&ann["state"], ann["call_id"].is_string()), (&json!("on_call"), true), "{ann}");
        assert_eq!(two.ask().await["action"], "wait");
        desk.pass_s(5).await;
        assert_eq!(two.ask().await["action"], "wait");
        two.hangs_up("", 0).await;
        desk.pass_s(55).await;
        tells(desk, &one, "&place=main&dialstatus=ANSWER&answeredms=60000&dialedms=64000").await;
        assert_eq!(desk.is("ann").await, "wrap_up");
        let entry = &desk.entries("c1").await[0];
        assert_eq!((entry.agent.as_deref(), entry.talk_us, entry.outcome.as_deref()), (Some("ann"), 60_000_000, Some("answered")));
        assert_eq!(desk.offers("c1").await[0].state, "accepted");
    })
    .await;
}

#[actix_web::test]
async fn a_talk_at_one_telephone_keeps_the_other_from_being_rung() {
    with_desk(mobile, async |desk| {
        away(desk, &["bob"]).await;
        desk.event("event=answer&call=d1&from=%2B79990001109&to=%2B74955550300&peer=PJSIP%2F101-00000001&peerid=d1.9").await;
        assert_eq!(desk.is("ann").await, "on_call");
        let mut one = desk.caller("c1", ONE, MAIN);
        assert_eq!(one.ask().await["action"], "wait");
        // What is rung for her from now on is what she talks at.
        let ann = json!({"name": "Ann Lee", "extension": "101", "phone_number": "+79995550177", "routing_type": 1});
        desk.client.put("/api/v1/apps/808/agents/ann", ann).await.ok();
        assert_eq!(desk.is("ann").await, "on_call");
        desk.event("event=hangup&call=d1&peer=PJSIP%2F101-00000001&peerid=d1.9&dialstatus=ANSWER&answeredms=5000").await;
        assert_eq!((desk.is("ann").await, Caller::dialled(&one.ask().await)), ("available", "ann".into()));
    })
    .await;
}

#[actix_web::test]
async fn a_ring_at_one_telephone_whose_end_is_lost_ends_no_talk_at_the_other() {
    with_desk(mobile, async |desk| {
        away(desk, &["bob"]).await;
        let mut one = desk.caller("c1", ONE, MAIN);
        one.ask().await;
        tells(desk, &one, "&event=answer").await;
        desk.event("event=ringing&call=d1&from=%2B79990001109&to=%2B74955550300&peer=PJSIP%2F101-00000001&peerid=d1.9").await;
        let engaged = async || {
            let ann = desk.state("ann").await;
            (ann.ringing, ann.talking)
        };
        assert_eq!(engaged().await, (1, 1));
        desk.pass_s(121).await;
        assert_eq!(engaged().await, (0, 1), "a ring of two minutes is taken for lost");
        tells(desk, &one, "&place=main&dialstatus=ANSWER&answeredms=121000").await;
        assert_eq!((engaged().await, desk.is("ann").await), ((0, 0), "wrap_up"));
    })
    .await;
}
