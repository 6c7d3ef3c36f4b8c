use serde_json::json;

use super::*;

const START: &str = "/extension/700099/ivr/context/1/options/start/rules/";

fn actions(list: &Value) -> Vec<(u64, String, u64)> {
    let one = |r: &Value| (r["id"].as_u64().unwrap(), r["action"].as_str().unwrap().to_owned(), r["position"].as_u64().unwrap());
    list.as_array().unwrap().iter().map(one).collect()
}

#[actix_web::test]
async fn an_ivr_has_contexts_options_and_ordered_rules() {
    let b = bench().await;
    assert_eq!(b.get("/extension/700099/ivr/").await.1["entry_context"], 1);
    assert_eq!(b.get("/extension/700099/ivr/context/").await, (200, json!([{"id": 1, "name": "Main"}])));
    assert_eq!(b.get("/extension/700099/ivr/context/1/options/").await, (200, json!([{"option": "start"}])));
    let (_, before) = b.get(START).await;
    assert_eq!(actions(&before), [(501, "play_sound".into(), 1), (502, "transfer".into(), 2)]);
    let rule = json!({"action": "transfer_from_variable", "transfer_variable": "managerExt"});
    let (status, made) = b.api("POST", START, Some(rule.clone())).await;
    assert_eq!((status, made["position"].as_u64()), (201, Some(3)), "what is made goes to the end");
    let one = format!("{START}{}", made["id"]);
    let moved = json!({"action": "transfer_from_variable", "transfer_variable": "managerExt", "position": 1});
    assert_eq!(b.api("PUT", &one, Some(moved.clone())).await.0, 200);
    assert_eq!(
        actions(&b.get(START).await.1),
        [(503, "transfer_from_variable".into(), 1), (501, "play_sound".into(), 2), (502, "transfer".into(), 3)]
    );
    b.pbx.change(|c| c.put_position = false);
    let last = json!({"action": "transfer_from_variable", "transfer_variable": "managerExt", "position": 3});
    assert_eq!(b.api("PUT", &one, Some(last)).await.1["position"], 1);
    assert_eq!(b.api("DELETE", &one, None).await.0, 204);
    assert_eq!(b.api("DELETE", &one, None).await.0, 404);
    assert_eq!(b.get(START).await.1, before);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_rule_has_the_fields_of_its_action_and_no_other() {
    let b = bench().await;
    for bad in [
        json!({}),
        json!({"action": "dance"}),
        json!({"action": "call_interactive", "call_interactive_url": "https://crm.example/"}),
        json!({"action": "call_interactive", "call_interactive_url": "crm.example", "call_interactive_method": "POST"}),
        json!({"action": "call_interactive", "call_interactive_url": "https://crm.example/", "call_interactive_method": "post"}),
        json!({"action": "transfer_from_variable"}),
        json!({"action": "transfer_from_variable", "transfer_variable": "a", "url": "b"}),
        json!({"action": "transfer", "transfer_dst": (0..11).map(|n| n.to_string()).collect::<Vec<_>>()}),
        json!({"action": "hangup", "position": 9}),
        json!({"action": "hangup", "position": 0}),
    ] {
        let (status, reply) = b.api("POST", START, Some(bad.clone())).await;
        assert_eq!((status, reply["message"].is_string()), (400, true), "{bad}");
    }
    for path in [
        "/extension/700101/ivr/",
        "/extension/700099/ivr",
        "/extension/700099/ivr/context/9/options/start/rules/",
        "/extension/700099/ivr/context/1/options/begin/rules/",
    ] {
        assert_eq!(b.get(path).await.0, 404, "{path}");
    }
    b.pbx.change(|c| c.forbidden = vec!["ivr".into()]);
    assert_eq!(b.get(START).await, (403, json!({"status": "forbidden", "message": "Access denied"})));
    assert_eq!(b.get("/user/").await.1["access"], "call_api");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_call_goes_by_the_rules_that_were_made_over_the_api() {
    let b = bench().await;
    for rule in [
        json!({"action": "set_variable", "set_variable_name": "who", "set_variable_value": "0047*103"}),
        json!({"action": "transfer_from_variable", "transfer_variable": "who"}),
    ] {
        b.api("POST", "/extension/700099/ivr/context/1/options/1/rules/", Some(rule)).await;
    }
    let jump = json!({"action": "jump_to_context", "context": 1, "context_option": "1"});
    let (_, made) = b.api("POST", START, Some(jump.clone())).await;
    let mut first = jump;
    first["position"] = 1.into();
    b.api("PUT", &format!("{START}{}", made["id"]), Some(first)).await;
    let call = b.pbx.incoming_call(Incoming::new("+79995550101", "74955550100")).unwrap();
    assert_eq!(call.finished().await.unwrap().answered_by.as_deref(), Some("103"));
    b.pbx.stop().await;
}
