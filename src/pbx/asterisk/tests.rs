//! What the dialplan writes, and what it is answered.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Settings, reply, webhook};
use crate::domain::agent::OfferState;
use crate::domain::event::{CallEvent, Direction, EndStatus, Phase, What};
use crate::domain::phone::{Numbering, Party};
use crate::domain::spec::ExtensionType;
use crate::pbx::action::{Action, Dial, Line};
use crate::pbx::{Context, Raw, RoutingRequest};

fn with_context<T>(work: impl FnOnce(&Context<'_>) -> T) -> T {
    let numbering = Numbering { country: Some("RU"), prefix: None, is_extension: &|e| e == "101", code_without_plus: false };
    let agent_line = |id: &str| (id == "ann").then(|| "101".to_owned());
    let extension_type = |e: &str| (e == "108").then_some(ExtensionType::Phone);
    work(&Context { numbering, extension_type: &extension_type, agent_line: &agent_line, is_agents: &|line| line == "101" })
}

fn events(body: &str) -> Result<Vec<CallEvent>, String> {
    let raw = Raw { hook: "event", query: "", content_type: "", body: body.as_bytes() };
    with_context(|c| webhook::events(raw, c)).map(|r| r.events).map_err(|e| e.to_string())
}

fn asked(query: &str) -> RoutingRequest {
    let raw = Raw { hook: "route", query, content_type: "", body: b"" };
    with_context(|c| webhook::routing_request(raw, c)).expect("readable")
}

#[test]
fn a_question_is_read_with_what_it_says_of_the_answer_before() {
    let question = asked("call=17.1&from=8%20999%20000-11-01&to=%2B74955550100&offer=d.ann&status=CHANUNAVAIL&digits=&format=plain");
    assert_eq!((question.call.as_deref(), question.did.as_deref()), (Some("17.1"), Some("+74955550100")));
    let report = &question.report;
    assert_eq!((report.offer.as_deref(), report.outcome, report.plain), (Some("d.ann"), Some(OfferState::Unreachable), true));
    assert_eq!(report.digits.as_deref(), Some(""), "no key in time is news; no digits at all are none");
    assert_eq!(asked("call=1&status=").report.outcome, None);
    for (status, outcome) in [
        ("NOANSWER", OfferState::NoAnswer),
        ("busy", OfferState::Busy),
        ("Rejected", OfferState::Rejected),
        ("CANCEL", OfferState::Canceled),
    ] {
        assert_eq!(asked(&format!("status={status}")).report.outcome, Some(outcome));
    }
}

#[test]
fn an_answer_is_of_the_peer_or_of_the_agent_whom_the_offer_names() {
    for body in [
        "event=answer&call=1&offer=d.ann&from=%2B79990001101",
        "event=answer&call=1&offer=d&peer=PJSIP/101-0000002a&from=%2B79990001101",
        r#"{"Event": "Answer", "Call": 1, "Offer": "d.ann", "from": "+79990001101", "peer": null}"#,
    ] {
        let found = events(body).expect("readable");
        let What::Leg(leg) = &found[0].what else { panic!("{found:?}") };
        assert_eq!(
            (leg.phase.clone(), leg.extension.as_ref().map(|e| e.value.as_str()), leg.key.as_str()),
            (Phase::Answer, Some("101"), "d/101"),
            "{body}"
        );
        assert_eq!(found[0].client.as_ref().map(|c| &c.value), Some(&Party::External("+79990001101".into())));
    }
    // A line to the outside is nobody's phone; one of ours that picked the call up is whose it is.
    for (peer, line) in [("trunk-0000002a", "101"), ("108-0000002a", "108")] {
        let found = events(&format!("event=answer&call=1&offer=d.ann&peer=PJSIP/{peer}")).expect("readable");
        assert!(matches!(&found[0].what, What::Leg(leg) if leg.extension.as_ref().is_some_and(|e| e.value == line)), "{found:?}");
    }
    assert!(events("event=answer&call=1&offer=d.nobody").is_err());
}

#[test]
fn a_hangup_ends_the_leg_and_the_call() {
    let found = events("call=1&offer=d.ann&place=main&dialstatus=ANSWER&answeredtime=60&dialedtime=65").expect("readable");
    let What::Leg(leg) = &found[0].what else { panic!("{found:?}") };
    let Phase::End(end) = &leg.phase else { panic!("{leg:?}") };
    assert_eq!((end.status, end.talk_us, end.duration_us), (Some(EndStatus::Answered), Some(60_000_000), Some(65_000_000)));
    let What::PlaceEnd(place) = &found[1].what else { panic!("{found:?}") };
    assert_eq!((place.place.as_str(), place.bridged, &found[2].what), ("main", Some(true), &What::Over));
    let lost = events("call=1&place=main&dialstatus=CANCEL&answeredtime=0").expect("readable");
    assert!(matches!(&lost[0].what, What::PlaceEnd(p) if p.bridged == Some(false)), "{lost:?}");
    assert_eq!(events("event=hangup&call=1&by=silence").expect("readable").len(), 1, "a call that was only silent may come back");
    for (body, reason) in
        [("event=hangup", "call is missing"), ("event=dance&call=1", "not known"), ("{", "no JSON"), (r#"{"call": []}"#, "must be a text")]
    {
        assert!(events(body).is_err_and(|e| e.contains(reason)), "{body}");
    }
}

/// The dialplan that is printed names channels: a leg is then what the PBX's own events call it, measured to the millisecond.
#[test]
fn a_leg_is_called_by_its_channel_where_the_dialplan_knows_it() {
    let told = "call=1.1&from=%2B79990001101&offer=d.ann&peer=PJSIP%2F101-0000002a&peerid=1.2";
    let leg = |body: &str| match &events(body).expect("readable")[0].what {
        What::Leg(leg) => leg.clone(),
        other => panic!("{other:?}"),
    };
    let answered = leg(&format!("event=answer&{told}"));
    assert_eq!((answered.key.as_str(), answered.sub_call_id.as_deref(), answered.exact), ("1.2", Some("1.2"), true));
    let end = format!("event=hangup&{told}&dialstatus=ANSWER&answeredms=2005&dialedms=3013&answeredtime=2&record=808-1.1-7.wav");
    let Phase::End(end) = leg(&end).phase else { panic!("an end") };
    assert_eq!((end.talk_us, end.duration_us, end.record_id.as_deref()), (Some(2_005_000), Some(3_013_000), Some("808-1.1-7.wav")));
    for (status, record) in [("ANSWER", "..%2Fpasswd"), ("ANSWER", ".hidden"), ("ANSWER", "a%00"), ("CANCEL", "808-1.1-7.wav")] {
        let body = format!("event=hangup&{told}&dialstatus={status}&record={record}");
        let kept = events(&body).ok().and_then(|e| if let What::Leg(leg) = &e[0].what { Some(leg.phase.clone()) } else { None });
        assert!(!matches!(kept, Some(Phase::End(end)) if end.record_id.is_some()), "{status} {record}");
    }
    // On the PBX's own route a phone may have been rung, or a line to somewhere.
    assert_eq!(leg("event=hangup&call=1&peer=PJSIP%2F105-00000001&dialstatus=ANSWER").extension.map(|e| e.value).as_deref(), Some("105"));
    assert!(matches!(
        events("event=hangup&call=1&peer=PJSIP%2Ftrunk-00000001&dialstatus=ANSWER").expect("readable")[0].what,
        What::PlaceEnd(_)
    ));
}

#[test]
fn a_recording_of_a_click_is_of_the_leg_that_called() {
    let body = "event=recorded&call=hookflash-c1&peer=PJSIP%2F101-00000013&peerid=hookflash-c1&to=%2B79990001122&record=808-c1-7.wav";
    for (status, kept) in [("ANSWER", true), ("NOANSWER", false)] {
        let found = events(&format!("{body}&dialstatus={status}")).expect("readable");
        let What::Leg(leg) = &found[0].what else { panic!("{found:?}") };
        let Phase::End(end) = &leg.phase else { panic!("{leg:?}") };
        assert_eq!((leg.key.as_str(), leg.direction.value, end.record_id.is_some()), ("hookflash-c1", Direction::Out, kept));
        assert_eq!(leg.number.as_ref().map(|n| &n.value), Some(&Party::External("+79990001122".into())));
        assert_eq!(found[0].did, None, "whom somebody calls is no number of ours");
    }
}

#[test]
fn settings_name_what_is_wrong_with_them() {
    let read = |table: Value| Settings::read(Some(&table)).err().map(|p| p.into_iter().map(|p| p.path).collect::<Vec<_>>());
    assert_eq!(read(json!({})), None);
    for address in ["192.0.2.1:5038", "[2001:db8::1]:5038", "pbx.example.com:5038"] {
        assert_eq!(read(json!({"ami_address": address, "ami_user": "hookflash", "ami_secret": "env:X"})), None, "{address}");
    }
    for (table, path) in [
        (json!({"device": "PJSIP/101"}), "asterisk.device"),
        (json!({"device": "PJSIP/{extension}|x"}), "asterisk.device"),
        (json!({"outside_device": "PJSIP/trunk"}), "asterisk.outside_device"),
        (json!({"default_context": "a b"}), "asterisk.default_context"),
        (json!({"device": "PJSIP/{extension}${X}"}), "asterisk.device"),
        (json!({"outbound_context": "a,b"}), "asterisk.outbound_context"),
        (json!({"outside_caller_id": "x"}), "asterisk.outside_caller_id"),
        (json!({"record_format": "w;v"}), "asterisk.record_format"),
        (json!({"recordings_url": "ftp://x"}), "asterisk.recordings_url"),
        (json!({"recordings_url": "https://u:p@x/"}), "asterisk.recordings_url"),
        (json!({"recordings_user": "u"}), "asterisk.recordings_password"),
        (json!({"poll_s": 0}), "asterisk.poll_s"),
        (json!({"poll_s": "1"}), "asterisk.poll_s"),
        (json!({"ami_address": "pbx.example.com", "ami_user": "u", "ami_secret": "s"}), "asterisk.ami_address"),
        (json!({"ami_address": "::1:5038", "ami_user": "u", "ami_secret": "s"}), "asterisk.ami_address"),
        (json!({"ami_address": "192.0.2.1:0", "ami_user": "u", "ami_secret": "s"}), "asterisk.ami_address"),
        (json!({"ami_address": "192.0.2.1:5038", "ami_secret": "s"}), "asterisk.ami_user"),
        (json!({"ami_address": "192.0.2.1:5038", "ami_user": "u"}), "asterisk.ami_secret"),
        (json!({"ami_user": "a b"}), "asterisk.ami_user"),
        (json!({"ami_contexts": ["from trunk"]}), "asterisk.ami_contexts"),
    ] {
        assert_eq!(read(table.clone()), Some(vec![path.to_owned()]), "{table}");
    }
}

#[test]
fn a_call_that_is_none_of_ours_goes_where_the_pbx_has_it() {
    let settings = Settings { default_context: "from-trunk".into(), ..Settings::default() };
    let question = asked("call=1&to=200");
    let body: Value = serde_json::from_str(&reply::reply(&settings, &Action::Default, &question).body).expect("JSON");
    assert_eq!((&body["action"], &body["context"], &body["exten"]), (&json!("goto"), &json!("from-trunk"), &json!("200")));
    assert_eq!(reply::reply(&Settings::default(), &Action::Default, &question).body, r#"{"action":"none"}"#);
}

/// A call that waits is asked about again before it is given up: what we say when we cannot tell is no answer.
#[test]
fn what_is_said_without_knowing_is_not_the_last_word() {
    let settings = Settings { default_context: "from-trunk".into(), ..Settings::default() };
    for (question, expected) in [("call=1&to=200", r#"{"action":"none","again":true}"#), ("call=1&to=200&format=plain", "none|true")] {
        assert_eq!(reply::reply(&settings, &Action::Name(None), &asked(question)).body, expected);
    }
}

/// To dial nothing would end the call.
#[test]
fn whoever_cannot_be_dialled_is_left_to_the_pbx() {
    let dial = Dial {
        lines: vec![Line::Number("+79990001122".into())],
        agents: vec!["ann".into()],
        timeout_s: 15,
        offer: "o".into(),
        place: "main".into(),
        caller_id: None,
        record: true,
    };
    let said = |settings: &Settings| reply::reply(settings, &Action::Dial(dial.clone()), &asked("call=1&to=200")).body;
    assert_eq!(said(&Settings::default()), r#"{"action":"none"}"#);
    let outside = Settings { outside_device: "PJSIP/{number}@trunk".into(), ..Settings::default() };
    assert!(said(&outside).contains("PJSIP/+79990001122@trunk"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(query in "\\PC{0,80}", body in prop::collection::vec(any::<u8>(), 0..80)) {
        for hook in ["route", "event"] {
            let raw = Raw { hook, query: &query, content_type: "", body: &body };
            with_context(|c| { let _ = (webhook::routing_request(raw, c), webhook::events(raw, c)); });
        }
    }

    /// The plain form is one line, whose parts are where they belong.
    #[test]
    fn no_text_breaks_the_plain_form(agent in "\\PC{0,20}", place in "[\\PC|\n]{0,20}") {
        let dial = Dial { lines: vec![Line::Extension("101".into())], agents: vec![agent], timeout_s: 15, offer: "o".into(), record: true, place, caller_id: None };
        let said = reply::reply(&Settings::default(), &Action::Dial(dial), &asked("format=plain")).body;
        prop_assert_eq!(said.split('|').count(), 7);
        prop_assert!(said.starts_with("dial|PJSIP/101|15|o|") && !said.contains('\n'), "{}", said);
    }
}
