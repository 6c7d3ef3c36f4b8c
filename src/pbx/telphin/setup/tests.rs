//! The planner alone: what differs, and the next step, from rules and subscriptions as they are.

use rstest::rstest;

use super::*;
use crate::pbx::setup::{Sign, Step};
use events::Subscription;
use rules::Rule;

fn settings() -> Settings {
    Settings {
        api_url: "https://pbx.example".into(),
        client_prefix: "0047".into(),
        provision_ivr: vec!["099".into()],
        ..Settings::default()
    }
}

fn hooks() -> Hooks {
    Hooks::new("https://here.example", 807, "TLP55522", Some("s3".into()))
}

fn extension(kind: &str, number: &str) -> api::Extension {
    api::Extension { id: 9, name: format!("0047*{number}"), kind: kind.into() }
}

fn rules_of(number: &str) -> Rules {
    Rules::new(&settings(), &hooks(), &extension("ivr", number))
}

/// `C`: ours with the right URL; `c`: ours with an old key; `F`: asks another server; `T`: transfers from our variable; `U`: from
/// another; `x`: anything else. Ids from 1 in this order.
fn rules(text: &str) -> Vec<Rule> {
    let rule = |c: char| match c {
        'C' | 'c' | 'F' => Rule {
            action: "call_interactive".into(),
            call_interactive_url: Some(match c {
                'C' => "https://here.example/cid/807/getmanager/TLP55522?key=s3".into(),
                'c' => "https://here.example/cid/807/getmanager/TLP55522?key=old".into(),
                _ => "https://stranger.example/cid/807/getmanager/TLP55522".into(),
            }),
            call_interactive_method: Some("POST".into()),
            ..Rule::default()
        },
        'T' | 'U' => Rule {
            action: "transfer_from_variable".into(),
            transfer_variable: Some(if c == 'T' { "managerExt" } else { "other" }.into()),
            ..Rule::default()
        },
        _ => Rule { action: "play_sound".into(), ..Rule::default() },
    };
    text.chars().zip(1..).map(|(c, id)| Rule { id, ..rule(c) }).collect()
}

fn shown(steps: &[Step]) -> String {
    let place = |step: &Step| {
        let (method, url) = (step.request.method, step.request.url.rsplit("rules/").next().unwrap_or_default().to_owned());
        let body: serde_json::Value = step.request.body.as_ref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default();
        let what = match body["action"].as_str() {
            Some("call_interactive") => " C",
            Some(_) => " T",
            None => "",
        };
        let to = body["position"].as_i64().map(|p| format!(" to {p}")).unwrap_or_default();
        format!("{method} {url}{what}{to}").replace("  ", " ")
    };
    steps.iter().map(place).collect::<Vec<_>>().join(", ")
}

#[rstest]
#[case::nothing_of_ours("xx", "POST C")]
#[case::the_question_alone("xxC", "POST T")]
#[case::both_at_the_end("xxCT", "PUT 4 T to 1")]
#[case::the_transfer_is_up("TxxC", "PUT 4 C to 1")]
#[case::in_place("CTx", "")]
#[case::pushed_down_by_another("xCTx", "PUT 3 T to 1")]
#[case::an_old_key("cTx", "PUT 1 C")]
#[case::another_server_first("FTx", "POST C")]
#[case::anothers_transfer_is_not_taken_for_ours("CFTx", "POST T")]
#[case::anothers_variable("CUx", "POST T")]
fn the_next_step_to_both_rules_at_the_top(#[case] there: &str, #[case] step: &str) {
    // In the fourth the transfer's id is known from its making.
    let known = Memory { begun: there == "TxxC", ours: if there == "TxxC" { [1].into() } else { [].into() }, ..Memory::default() };
    let plan = rules_of("099").difference("7", &rules(there), &known, true);
    assert_eq!((shown(&plan.next).as_str(), plan.trouble), (step, None));
    assert_eq!(plan.changes.is_empty(), step.is_empty(), "{:?}", plan.changes);
}

#[rstest]
#[case::both("CTx", "DELETE 1")]
#[case::the_question_is_gone_and_the_transfer_remembered("Tx", "DELETE 1")]
#[case::moved_apart("CxT", "DELETE 1")]
#[case::an_old_key("cx", "DELETE 1")]
#[case::nothing_of_ours("FUx", "")]
fn the_next_step_away(#[case] there: &str, #[case] step: &str) {
    let known = match there {
        "Tx" => Memory { ours: [1].into(), begun: true, ..Memory::default() },
        "CxT" => Memory { ours: [3].into(), begun: true, ..Memory::default() },
        _ => Memory::default(),
    };
    let plan = rules_of("099").difference("7", &rules(there), &known, false);
    assert_eq!((shown(&plan.next).as_str(), plan.trouble), (step, None));
    if there == "CxT" {
        assert_eq!(plan.changes.len(), 2, "the transfer is found where it was moved to");
    }
}

#[test]
fn without_a_rule_to_follow_ours_are_not_added_and_those_that_are_there_go() {
    let fresh = rules_of("099").difference("7", &rules(""), &Memory::default(), true);
    assert!(fresh.next.is_empty() && fresh.trouble.is_some_and(|t| t.to_string().contains("must not be the last")));
    let left = rules_of("099").difference("7", &rules("CT"), &Memory::default(), true);
    assert_eq!(shown(&left.next), "DELETE 1");
    assert!(left.trouble.is_some());
}

#[test]
fn two_rules_that_ask_us_are_one_too_many_to_choose_from() {
    for wanted in [true, false] {
        let plan = rules_of("099").difference("7", &rules("CTCTx"), &Memory::default(), wanted);
        assert!(plan.next.is_empty() && plan.trouble.is_some(), "{plan:?}");
    }
}

#[test]
fn a_lost_reply_is_known_by_what_was_there_before() {
    let known = Memory { begun: true, making: true, others: [3].into(), ..Memory::default() };
    let plan = rules_of("099").difference("7", &rules("CxTxT"), &known, true);
    assert_eq!((plan.memory.ours, plan.memory.making), ([5].into(), false));
}

#[test]
fn an_ivr_that_is_not_named_wants_nothing() {
    assert!(rules_of("099").wanted() && !rules_of("098").wanted());
}

#[test]
fn subscriptions_are_added_changed_and_only_then_removed() {
    let of = |id, url: &str, event_type: &str, method: &str| Subscription {
        id,
        url: url.into(),
        event_type: event_type.into(),
        method: method.into(),
    };
    let (right, old) = ("https://here.example/cid/807/event/TLP55522?key=s3", "https://here.example/cid/807/event/TLP55522");
    let there = [
        of(1, right, "hangup", "POST"),
        of(2, "https://stranger.example/", "dial-in", "POST"),
        of(3, old, "dial-in", "POST"),
        of(4, right, "message-in", "POST"),
        of(5, right, "hangup", "POST"),
        of(6, right, "answer", "GET"),
    ];
    let part = Subscriptions::of_extension(&settings(), &hooks(), &extension("phone", "101")).unwrap();
    let did = |steps: Vec<Step>| {
        let last = |s: &Step| s.request.url.rsplit('/').next().unwrap_or_default().to_owned();
        steps.iter().map(|s| format!("{} {}", s.request.method, last(s)).trim_end().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(did(part.difference(&there, true)), ["PUT 3", "POST", "PUT 6", "DELETE 4", "DELETE 5"]);
    assert_eq!(did(part.difference(&there, false)), ["DELETE 1", "DELETE 3", "DELETE 4", "DELETE 5", "DELETE 6"]);
    let signs: Vec<Sign> = part.difference(&[], true).iter().map(|s| s.change.sign).collect();
    assert_eq!(signs, [Sign::Add; 4]);
    assert!(Subscriptions::of_extension(&settings(), &hooks(), &extension("fax", "300")).is_none());
}

#[test]
fn the_survey_pages_the_extensions_then_asks_for_queue_agents() {
    let seen = |status: u16, body: serde_json::Value| Seen {
        status,
        words: String::new(),
        reply: (status == 200).then(|| crate::net::Response { status, headers: vec![], body: body.to_string().into() }),
    };
    let page: Vec<_> = (0..100).map(|n| serde_json::json!({"id": n, "name": format!("0047*{n}"), "type": "phone"})).collect();
    let last = serde_json::json!([{"id": 900, "name": "0047*098", "type": "ivr"}, {"id": 901, "name": "0047*300", "type": "fax"}]);
    let survey = Telphin { settings: settings(), hooks: hooks() };
    let mut all = vec![seen(200, page.into()), seen(200, last)];
    let asked = |seen: &[Seen]| survey.ask(seen).unwrap().map(|r| r.url.replace("https://pbx.example/api/ver1.0", ""));
    assert_eq!(asked(&[]).as_deref(), Some("/client/@me/extension/?page=1&per_page=100"));
    assert_eq!(asked(&all[..1]).as_deref(), Some("/client/@me/extension/?page=2&per_page=100"));
    assert_eq!(asked(&all).as_deref(), Some("/client/@me/agent/local/"));
    all.push(seen(200, serde_json::json!([{"id": 31, "extension": "whatever"}])));
    assert_eq!(asked(&all), None);
    let names: Vec<String> = survey.parts(&all).unwrap().iter().map(|p| p.name()).collect();
    assert_eq!(names.len(), 104);
    assert_eq!(
        names[99..],
        ["events of phone 99", "events of ivr 098", "events of queue agent 31", "rules of IVR 098", "rules of IVR 099"]
    );
    let agent = &survey.parts(&all).unwrap()[101];
    assert_eq!(agent.ask(&[]).unwrap().unwrap().url, "https://pbx.example/api/ver1.0/client/@me/agent/local/31/event/");
    let plan = agent.plan(&[seen(200, serde_json::json!([]))], &Memory::default(), true).unwrap();
    let bodies: Vec<serde_json::Value> =
        plan.next.iter().map(|s| serde_json::from_slice(s.request.body.as_ref().unwrap()).unwrap()).collect();
    assert_eq!(bodies.iter().map(|b| b["event_type"].as_str().unwrap()).collect::<Vec<_>>(), ["agent-login", "agent-logout"]);
    assert_eq!(bodies[0]["url"], "https://here.example/cid/807/agent/TLP55522?key=s3");
    // The last of the parts is an IVR that the declaration names and the PBX does not have.
    assert!(survey.parts(&all).unwrap()[103].plan(&[], &Memory::default(), true).is_err());
    for refusal in [403, 404] {
        all[2] = seen(refusal, serde_json::Value::Null);
        assert_eq!(survey.parts(&all).unwrap().len(), 103, "a PBX without queue agents, or without the right to see them");
    }
    all[2] = seen(500, serde_json::Value::Null);
    assert!(survey.parts(&all).is_err());
}
