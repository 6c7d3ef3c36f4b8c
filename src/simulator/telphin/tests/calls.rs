use std::collections::BTreeMap;

use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const DID: &str = "74955550100";
const CALLER: &str = "+79995550101";

/// A bench whose IVR asks an integration that always answers with `reply`, and whose events go there, too.
async fn asking(reply: ResponseTemplate, method: Method) -> (Bench, MockServer) {
    let (b, server) = (bench().await, MockServer::start().await);
    Mock::given(wiremock::matchers::path("/ask")).respond_with(reply).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    b.pbx.directory(|d| d.ask_first("099", format!("{}/ask", server.uri()), method, "managerExt", "200"));
    b.pbx.subscribe_all(&format!("{}/ev", server.uri()));
    (b, server)
}

fn names(manager: &str) -> ResponseTemplate {
    let xml = format!("<?xml version=\"1.0\"?><Response><SetVar name=\"managerExt\">{manager}</SetVar></Response>");
    ResponseTemplate::new(200).set_body_string(xml)
}

/// `101 answer`, `101 hangup BUSY`, `099 hangup yes`: what was delivered of one call.
fn story(b: &Bench, call_id: &str) -> Vec<String> {
    let read = |form: &str| serde_urlencoded::from_str::<BTreeMap<String, String>>(form).unwrap();
    let line = |d: &Delivery| {
        let f = read(&d.form);
        let extension = b.pbx.directory(|dir| dir.by_id(d.extension_id).unwrap().number.clone());
        let how = match (d.event_type.as_str(), f.get("Bridged")) {
            ("hangup", Some(bridged)) => format!(" {bridged}"),
            ("hangup", None) => format!(" {}", f["CallStatus"]),
            _ => String::new(),
        };
        let remote = f.get("RemoteNumber").map(|r| format!(" for {r}")).unwrap_or_default();
        format!("{extension} {}{how}{remote}", d.event_type)
    };
    b.pbx.deliveries().iter().filter(|d| d.call_id == call_id).map(line).collect()
}

async fn call(b: &Bench, call: Incoming) -> (CallReport, Vec<String>) {
    let report = b.pbx.incoming_call(call).unwrap().finished().await.unwrap();
    let story = story(b, &report.call_id);
    (report, story)
}

#[actix_web::test]
async fn the_manager_whom_the_integration_names_is_rung() {
    for (method, form) in [(Method::Post, "0047*101"), (Method::Get, "101")] {
        let (b, server) = asking(names(form), method).await;
        let (report, story) = call(&b, Incoming::new(CALLER, DID).phone("101", Behaviour::answers(3_000, 60_000))).await;
        assert_eq!(report.answered_by.as_deref(), Some("101"));
        assert_eq!(story, ["101 dial-in", "101 answer", "101 hangup ANSWER", "099 hangup yes"]);
        let asked = server.received_requests().await.unwrap().into_iter().find(|r| r.url.path() == "/ask").unwrap();
        let form = if method == Method::Get { asked.url.query().unwrap().to_owned() } else { String::from_utf8(asked.body).unwrap() };
        assert!(form.starts_with(&format!("EventType=call_interactive&CallID={}&CallerIDNum=%2B79995550101&", report.call_id)), "{form}");
        assert!(form.contains("&CalledDID=74955550100&CalledExtension=0047%2A099&CalledExtensionID=700099&CallStatus=ANSWER&CallFlow=IN"));
        assert_eq!(form.split('&').count(), 11, "an external call names no calling extension: {form}");
        b.pbx.stop().await;
    }
}

#[actix_web::test]
async fn times_in_events_are_those_of_the_call() {
    let (b, _server) = asking(names("101"), Method::Post).await;
    call(&b, Incoming::new(CALLER, DID).phone("101", Behaviour::answers(3_000, 60_000))).await;
    let time = |d: &Delivery| d.form.split('&').nth(1).unwrap()[10..].parse::<i64>().unwrap();
    let times: Vec<i64> = b.pbx.deliveries().iter().map(time).collect();
    assert_eq!([times[1] - times[0], times[2] - times[1]], [3_000_000, 60_000_000]);
    assert!(b.pbx.deliveries()[2].form.contains("&Duration=63000000&RecID=700101-"));
    b.pbx.stop().await;
}

#[rstest::rstest]
#[case(ResponseTemplate::new(500).set_body_string("<Response><SetVar name=\"managerExt\">103</SetVar></Response>"))]
#[case(ResponseTemplate::new(200))]
#[case(ResponseTemplate::new(200).set_body_string("<Response><SetVar name=\"managerExt\">103</SetVar>"))]
#[case(ResponseTemplate::new(200).set_body_string("<Response><Dial>103</Dial></Response>"))]
#[case(names("103").set_delay(Duration::from_secs(20)))]
#[actix_web::test]
async fn an_answer_that_is_none_leads_to_the_next_rule(#[case] reply: ResponseTemplate) {
    let (b, _server) = asking(reply, Method::Post).await;
    b.pbx.change(|c| c.interactive_limit_ms = 300);
    let (report, story) = call(&b, Incoming::new(CALLER, DID)).await;
    assert!(report.asked[0].refused.is_some(), "{:?}", report.asked);
    assert_eq!(story, ["101 dial-in", "101 answer", "101 hangup ANSWER", "200 hangup yes", "099 hangup yes"]);
    b.pbx.stop().await;
}

#[rstest::rstest]
#[case(ResponseTemplate::new(200).set_body_string("<Response></Response>"))]
#[case(names(""))]
#[case(names("555"))]
#[case(ResponseTemplate::new(200).set_body_string("<Response><SetVar name=\"other\">103</SetVar></Response>"))]
#[actix_web::test]
async fn nobody_named_leads_to_the_next_rule(#[case] reply: ResponseTemplate) {
    let (b, _server) = asking(reply, Method::Post).await;
    let (report, _) = call(&b, Incoming::new(CALLER, DID)).await;
    assert_eq!((report.asked[0].refused.as_deref(), report.answered_by.as_deref()), (None, Some("101")));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_manager_who_does_not_answer_leaves_the_call_to_the_queue() {
    let (b, _server) = asking(names("103"), Method::Post).await;
    let spec = Incoming::new(CALLER, DID).phone("103", Behaviour::NoAnswer).phone("101", Behaviour::Unreachable);
    let (report, story) = call(&b, spec).await;
    assert_eq!(
        story,
        [
            "103 dial-in",
            "103 hangup NOANSWER",
            "101 dial-in",
            "101 hangup CHANUNAVAIL",
            "102 dial-in",
            "102 answer",
            "102 hangup ANSWER",
            "200 hangup yes",
            "099 hangup yes"
        ]
    );
    assert_eq!(report.answered_by.as_deref(), Some("102"));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_missed_call_ends_with_the_ivr_and_then_the_queue() {
    let b = bench().await;
    b.pbx.subscribe_all("http://127.0.0.1:1/");
    let (report, story) = call(&b, Incoming::new(CALLER, DID).others(Behaviour::NoAnswer).patience_ms(25_000)).await;
    assert_eq!(story, ["101 dial-in", "101 hangup NOANSWER", "102 dial-in", "102 hangup CANCEL", "099 hangup no", "200 hangup no"]);
    assert_eq!(report.answered_by, None);
    let (_, story) = call(&b, Incoming::new(CALLER, DID).patience_ms(1_000)).await;
    assert_eq!(story, ["099 hangup no"]);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_queue_rings_all_and_the_first_wins() {
    let b = bench().await;
    b.pbx.subscribe_all("http://127.0.0.1:1/");
    b.pbx.directory(|d| d.queues.values_mut().for_each(|q| q.ring_all = true));
    let spec = Incoming::new(CALLER, DID).phone("102", Behaviour::answers(1_000, 5_000)).others(Behaviour::answers(2_000, 5_000));
    let (_, story) = call(&b, spec).await;
    assert_eq!(
        story,
        [
            "101 dial-in",
            "102 dial-in",
            "103 dial-in",
            "102 answer",
            "101 hangup CANCEL",
            "103 hangup CANCEL",
            "102 hangup ANSWER",
            "200 hangup yes",
            "099 hangup yes"
        ]
    );
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_blind_transfer_is_a_second_leg_of_the_same_call() {
    let (b, _server) = asking(names("101"), Method::Post).await;
    let passes_on = Behaviour::Answers { after_ms: 1_000, talk_ms: 9_000, transfer_to: Some("102".into()) };
    let (_, story) = call(&b, Incoming::new(CALLER, DID).phone("101", passes_on)).await;
    assert_eq!(
        story,
        [
            "101 dial-in",
            "101 answer",
            "101 hangup ANSWER",
            "102 dial-in for +79995550101",
            "102 answer",
            "102 hangup ANSWER",
            "099 hangup yes"
        ]
    );
    b.pbx.stop().await;
}

#[actix_web::test]
async fn each_verb_does_what_it_says() {
    let xml = |inner: &str| ResponseTemplate::new(200).set_body_string(format!("<Response>{inner}</Response>"));
    let (b, _server) = asking(xml("<Hangup/>"), Method::Post).await;
    assert_eq!(call(&b, Incoming::new(CALLER, DID)).await.1, ["099 hangup no"]);
    b.pbx.stop().await;

    let (b, _server) = asking(xml("<SetCaller name=\"Client One\" number=\"+79995550111\"/>"), Method::Post).await;
    call(&b, Incoming::new(CALLER, DID)).await;
    assert!(b.pbx.deliveries().iter().all(|d| d.form.contains("CallerIDNum=%2B79995550111&CallerIDName=Client+One")));
    b.pbx.stop().await;

    let (b, _server) = asking(xml("<PlaySound where=\"background\" digitvar=\"managerExt\">menu.wav</PlaySound>"), Method::Post).await;
    let report = call(&b, Incoming { digits: "103".into(), ..Incoming::new(CALLER, DID) }).await.0;
    assert_eq!(report.answered_by.as_deref(), Some("103"));
    b.pbx.stop().await;

    let (b, _server) = asking(xml("<Jump context=\"2\" option=\"start\"/>"), Method::Post).await;
    b.pbx.directory(|d| {
        d.ivrs.get_mut("099").unwrap().set(2, "start", vec![Rule::Transfer { to: "102".into() }]);
    });
    assert_eq!(call(&b, Incoming::new(CALLER, DID)).await.0.answered_by.as_deref(), Some("102"));
    b.pbx.stop().await;

    let (b, _server) = asking(xml("<Jump context=\"1\" option=\"start\"/>"), Method::Post).await;
    assert_eq!(call(&b, Incoming::new(CALLER, DID)).await.0.asked.len(), 21, "it does not go round for ever");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_phone_in_use_is_busy_until_its_call_is_hung_up() {
    let (b, _server) = asking(names("101"), Method::Post).await;
    b.pbx.change(|c| c.speed = 1.0);
    let talk = Behaviour::answers(0, 3_600_000);
    let dial = || Outgoing { phone: "101".into(), to: CALLER.into(), called: Some(talk.clone()) };
    let outgoing = b.pbx.outgoing_call(dial()).unwrap();
    assert_eq!(b.pbx.occupied(), ["101"]);
    assert_eq!(b.pbx.outgoing_call(dial()).err(), Some(CallError::PhoneInUse("101".into())));

    let (report, story) = call(&b, Incoming::new("+79995550102", DID).others(Behaviour::answers(0, 0))).await;
    assert_eq!(report.answered_by.as_deref(), Some("102"));
    assert_eq!(story[..2], ["101 dial-in", "101 hangup BUSY"]);
    assert_eq!(b.pbx.rung_while_busy(), 1);

    let (_, current) = b.get("/client/@me/current_calls/").await;
    assert_eq!(current.as_array().map(Vec::len), Some(1));
    assert_eq!((&current[0]["call_flow"], &current[0]["caller_extension"]), (&json!("out"), &json!(["0047*101"])));
    assert_eq!(b.get("/extension/700102/current_calls/").await.1, json!([]));
    let one = format!("current_calls/{}", current[0]["call_api_id"].as_str().unwrap());
    assert_eq!(b.api("DELETE", &format!("/extension/700102/{one}"), None).await.0, 404);
    assert_eq!(b.api("DELETE", &format!("/extension/700101/{one}"), None).await.0, 204);
    let report = outgoing.finished().await.unwrap();
    assert_eq!(report.rung.len(), 1);
    assert_eq!(b.pbx.occupied(), Vec::<String>::new());
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_blocked_phone_cannot_be_reached() {
    let (b, _server) = asking(names("101"), Method::Post).await;
    b.pbx.directory(|d| d.extensions.iter_mut().filter(|e| e.number == "101").for_each(|e| e.blocked = true));
    let (report, story) = call(&b, Incoming::new(CALLER, DID)).await;
    assert_eq!((story[..2].join("|").as_str(), report.answered_by.as_deref()), ("101 dial-in|101 hangup CHANUNAVAIL", Some("102")));
    assert_eq!(b.get("/client/@me/extension/700101").await.1["status"], "blocked");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn phones_dial_out_and_each_other() {
    let b = bench().await;
    b.pbx.subscribe_all("http://127.0.0.1:1/");
    for (called, last) in [
        (Behaviour::answers(1_000, 5_000), "101 hangup ANSWER"),
        (Behaviour::Busy, "101 hangup BUSY"),
        (Behaviour::NoAnswer, "101 hangup NOANSWER"),
        (Behaviour::Unreachable, "101 hangup CONGESTION"),
    ] {
        let spec = Outgoing { phone: "101".into(), to: CALLER.into(), called: Some(called) };
        let report = b.pbx.outgoing_call(spec).unwrap().finished().await.unwrap();
        assert_eq!(story(&b, &report.call_id).last().map(String::as_str), Some(last));
    }
    let spec = Outgoing { phone: "101".into(), to: "0047*102".into(), called: None };
    let report = b.pbx.outgoing_call(spec).unwrap().finished().await.unwrap();
    assert_eq!(
        story(&b, &report.call_id),
        ["101 dial-out", "102 dial-in", "102 answer", "101 answer", "101 hangup ANSWER", "102 hangup ANSWER"]
    );
    let unknown = Outgoing { phone: "099".into(), to: CALLER.into(), called: None };
    assert_eq!(b.pbx.outgoing_call(unknown).err(), Some(CallError::UnknownNumber("099".into())));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn calls_are_started_and_read_over_the_control_api() {
    let b = bench().await;
    b.pbx.subscribe_all("http://127.0.0.1:1/");
    let url = format!("{}/_sim", b.pbx.base_url());
    let post = |path: &str, body: Value| b.send(Request::post_json(format!("{url}/{path}"), &body));
    let put = Request { method: "PUT", ..Request::post_json(format!("{url}/behaviour/101"), &json!("busy")) };
    assert_eq!(b.send(put).await.status, 204);
    for bad in [json!({"from": CALLER}), json!({"from": CALLER, "did": "1"}), json!({"from": CALLER, "did": DID, "who": 1})] {
        assert_eq!(post("call", bad.clone()).await.status, 400, "{bad}");
    }
    let started = post("call", json!({"from": CALLER, "did": DID, "phones": {"102": {"answers": {"after_ms": 1, "talk_ms": 1}}}})).await;
    assert_eq!(started.status, 202);
    let id = started.json::<Value>().unwrap()["call_id"].as_str().unwrap().to_owned();
    // A call has ended when its report is there.
    let report = loop {
        let calls: Value = b.send(Request::get(format!("{url}/calls"))).await.json().unwrap();
        if let Some(report) = calls.as_array().unwrap().iter().find(|r| r["call_id"] == id.as_str()) {
            break report.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&report["answered_by"], &report["rung"][0]["status"]), (&json!("102"), &json!("BUSY")));
    let deliveries: Value = b.send(Request::get(format!("{url}/deliveries?call_id={id}"))).await.json().unwrap();
    assert_eq!((deliveries.as_array().map(Vec::len), &deliveries[0]["outcome"]), (Some(7), &json!("failed")));
    assert_eq!(post("scenario", json!({"row": "Z", "client": CALLER})).await.status, 400);
    assert_eq!(post("scenario", json!({"row": "A", "client": CALLER})).await.status, 202);
    assert_eq!(b.send(Request::get(format!("{url}/nothing"))).await.status, 404);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn traffic_ends_every_leg_that_it_begins_and_uses_no_phone_twice() {
    let (b, _server) = asking(names("102"), Method::Post).await;
    b.pbx.change(|c| c.speed = 5_000.0);
    let callers = (1..=5).map(|n| format!("+799955501{n:02}")).collect();
    let traffic = b.pbx.traffic(Traffic { per_minute: 20.0, seed: 5, callers, calls: Some(60) });
    assert_eq!(traffic.finished().await, 60);
    assert_eq!(b.pbx.occupied(), Vec::<String>::new());
    let (mut begun, mut ended) = (BTreeMap::new(), BTreeMap::new());
    for d in b.pbx.deliveries() {
        let form: BTreeMap<String, String> = serde_urlencoded::from_str(&d.form).unwrap();
        let Some(leg) = form.get("SubCallID") else { continue };
        match d.event_type.as_str() {
            "dial-in" | "dial-out" => *begun.entry(leg.clone()).or_insert(0) += 1,
            "hangup" => *ended.entry(leg.clone()).or_insert(0) += 1,
            _ => {}
        }
    }
    assert_eq!(begun, ended);
    assert!(begun.values().all(|n| *n == 1) && begun.len() > 40, "{} legs", begun.len());
    let reports = b.pbx.reports();
    assert!(reports.iter().any(|r| r.answered_by.is_some()) && reports.iter().any(|r| r.rung.iter().any(|l| l.status != "ANSWER")));
    b.pbx.stop().await;
}
