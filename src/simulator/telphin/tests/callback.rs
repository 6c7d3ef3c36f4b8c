use serde_json::json;

use super::*;

const PATH: &str = "/extension/700101/callback/";
const TO: &str = "+79995550103";

fn forms(b: &Bench) -> Vec<String> {
    let short = |d: &Delivery| {
        let extension = b.pbx.directory(|dir| dir.by_id(d.extension_id).unwrap().number.clone());
        let status = d.form.split('&').find_map(|p| p.strip_prefix("CallStatus=")).unwrap().to_owned();
        format!("{extension} {} {status}{}", d.event_type, if d.form.contains("CallBackID=") { " callback" } else { "" })
    };
    b.pbx.deliveries().iter().map(short).collect()
}

/// Places a callback and waits until its call has ended.
async fn place(b: &Bench, body: Value) -> CallReport {
    let (status, reply) = b.api("POST", PATH, Some(body)).await;
    assert_eq!(status, 201, "{reply}");
    let id = reply["call_id"].as_str().unwrap();
    assert_eq!((id, id.len()), (id.to_ascii_lowercase().as_str(), 32));
    loop {
        if let Some(report) = b.pbx.reports().into_iter().find(|r| r.call_id == id) {
            return report;
        }
        tokio::task::yield_now().await;
    }
}

async fn subscribed() -> Bench {
    let b = bench().await;
    b.pbx.subscribe_all("http://127.0.0.1:1/");
    b
}

#[actix_web::test]
async fn the_source_picks_up_and_is_connected() {
    for dial_out_first in [true, false] {
        let b = subscribed().await;
        b.pbx.change(|c| c.dial_out_first = dial_out_first);
        let body = json!({"src_num": ["0047*101"], "dst_num": TO, "caller_id_name": TO, "caller_id_number": TO});
        let report = place(&b, body).await;
        assert_eq!(forms(&b), ["101 dial-out CALLING", "101 answer ANSWER", "101 hangup ANSWER"]);
        let first = b.pbx.deliveries().remove(0);
        assert!(first.call_id == report.call_id && first.form.contains("&CalledNumber=%2B79995550103&"), "{}", first.form);
        b.pbx.stop().await;
    }
}

#[actix_web::test]
async fn failures_end_the_legs_that_rang() {
    let b = subscribed().await;
    b.pbx.behave("101", Behaviour::NoAnswer);
    b.pbx.behave("102", Behaviour::Busy);
    place(&b, json!({"src_num": ["101", "102"], "dst_num": TO})).await;
    let expected = ["101 dial-out CALLING", "102 dial-out CALLING", "102 hangup BUSY", "101 hangup NOANSWER"];
    assert_eq!(forms(&b), expected);
    b.pbx.behave("101", Behaviour::answers(1_000, 0));
    b.pbx.behave(TO, Behaviour::Busy);
    place(&b, json!({"src_num": ["101"], "dst_num": TO})).await;
    assert_eq!(forms(&b)[4..], ["101 dial-out CALLING", "101 hangup BUSY"]);
    b.pbx.change(|c| c.dial_out_first = false);
    b.pbx.behave("101", Behaviour::NoAnswer);
    place(&b, json!({"src_num": ["101"], "dst_num": TO})).await;
    assert_eq!(forms(&b).len(), 6, "a source that never picked up has not dialled");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_callback_from_a_website_into_a_queue_can_be_missed() {
    let b = subscribed().await;
    for phone in ["101", "102", "103"] {
        b.pbx.behave(phone, Behaviour::NoAnswer);
    }
    b.pbx.directory(|d| d.queues.values_mut().for_each(|q| q.phones.clear()));
    place(&b, json!({"src_num": [TO], "dst_num": "200"})).await;
    let expected =
        ["101 dial-out CALLING callback", "101 answer ANSWER callback", "101 hangup ANSWER callback", "200 hangup CANCEL callback"];
    assert_eq!(forms(&b), expected);
    assert!(b.pbx.deliveries()[3].form.contains("Bridged=no") && b.pbx.deliveries()[3].form.contains("CallerIDNum=%2B79995550103"));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn what_the_page_does_not_allow_is_refused() {
    let b = subscribed().await;
    let cases = [
        json!({"src_num": "101", "dst_num": TO}),
        json!({"src_num": [], "dst_num": TO}),
        json!({"src_num": ["101"]}),
        json!({"dst_num": TO}),
        json!({"src_num": ["101"], "dst_num": TO, "caller_id": TO}),
        json!({"src_num": ["200"], "dst_num": TO}),
        json!({"src_num": ["0047*099"], "dst_num": TO}),
        json!({"src_num": ["999"], "dst_num": TO}),
        json!({"src_num": ["101"], "dst_num": "999"}),
        json!({"src_num": ["101"], "dst_num": "300"}),
        json!({"src_num": ["101"], "dst_num": TO, "wait_for_pickup": "25"}),
        json!({"src_num": ["101"], "dst_num": TO, "dst_dtmf": "12x"}),
    ];
    for body in cases {
        let (status, reply) = b.api("POST", PATH, Some(body.clone())).await;
        assert_eq!((status, reply["message"].is_string()), (400, true), "{body}");
    }
    let good = json!({"src_num": ["101"], "dst_num": TO});
    assert_eq!(b.api("POST", "/extension/700200/callback/", Some(good.clone())).await.0, 400);
    assert_eq!(b.api("POST", "/extension/700999/callback/", Some(good.clone())).await.0, 404);
    assert_eq!(b.api("POST", "/extension/700101/callback", Some(good.clone())).await.0, 404);
    let text = Request { headers: vec![("authorization", format!("Bearer {}", b.token))], ..b.request("POST", PATH, Some(good)) };
    assert_eq!(b.send(text).await.status, 400, "the body must be sent as JSON");
    assert_eq!(b.pbx.deliveries(), []);
    b.pbx.stop().await;
}
