//! Each field that can be wrong is told by its path, and a good application by silence.

use serde_json::{Value, json};

use super::*;

fn shop() -> Value {
    json!({
        "id": 807, "name": "Flower shop", "pbx": "asterisk", "login": "pbx1", "country": "RU", "timezone": "Europe/Moscow",
        "allowed_origins": ["https://crm.example.com"],
        "routing": {"responsible": ["owner", "group:sales", {"to": "queue:main", "wait_s": 10}, "number:+79990001100"]},
        "agent": [
            {"id": "ann", "name": "Ann Lee", "extension": "101", "skills": ["german:2"]},
            {"id": "bob", "name": "Bob Ray", "extension": "102", "routing_type": 2, "phone_number": "+79990000002"},
        ],
        "extension": [{"number": "099", "type": "ivr"}],
        "group": [{"id": "sales", "name": "Sales", "agents": ["ann"]}, {"id": "help", "name": "Help", "agents": ["bob"]}],
        "queue": [{
            "id": "main", "name": "Main", "primary_groups": ["sales"], "backup_groups": ["help"], "schedule": 2, "business_hours_id": "day",
            "overflow_full": "voicemail", "overflow_timeout": "number:+79990001100", "overflow_closed": "queue:late",
        }, {"id": "late", "name": "Late"}],
        "number": [{"number": "+74955550100", "enable_ivr": true, "ivr_menu": "menu", "queue": "main"}],
        "business_hours": [{"id": "day", "name": "Day", "weekly": [{"day": 1, "from": "09:00", "to": "18:00"}]}],
        "ivr_tree": [{"id": "menu", "tree_name": "Menu", "root_node": "hello"}],
        "ivr_node": [{"id": "hello", "tree": "menu", "node_name": "Hello", "node_play_mode": "talk", "node_play_content": "Press 1"}],
        "ivr_key": [{"id": "one", "node": "hello", "node_key": "1", "action": 2, "queue_id": "main"}],
        "blacklist": [{"number": "+79990000666"}],
        "contact": [{"name": "Jane", "phones": ["+79990001101"], "owner": "ann", "deputy": "bob"}],
    })
}

/// What is wrong with the shop once the value at `pointer` is another.
fn problems(pointer: &str, value: Value) -> Vec<Problem> {
    let mut shop = shop();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match shop.pointer_mut(parent).expect("a place in the shop") {
        Value::Object(fields) => drop(fields.insert(key.into(), value)),
        Value::Array(list) => list[key.parse::<usize>().expect("a place in a list")] = value,
        other => panic!("{other} holds nothing"),
    }
    application(&serde_json::from_value(shop).expect("an application"))
}

/// Their paths alone.
fn wrong(pointer: &str, value: Value) -> Vec<String> {
    problems(pointer, value).into_iter().map(|p| p.path).collect()
}

#[test]
fn a_good_application_has_nothing_wrong() {
    assert_eq!(wrong("/name", json!("Flower shop")), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_told_by_its_path() {
    let long = "x".repeat(201);
    for (pointer, value, path) in [
        ("/id", json!(0), "id"),
        ("/login", json!("a/b"), "login"),
        ("/name", json!(" "), "name"),
        ("/name", json!(long), "name"),
        ("/name", json!("Flower\nshop"), "name"),
        ("/agent/0/name", json!("Ann\u{1b}[31m"), "agent[0].name"),
        ("/queue/0/name", json!("Main\tqueue"), "queue[0].name"),
        ("/group/1/name", json!(" sales "), "group[1].name"),
        ("/country", json!("XX"), "country"),
        ("/timezone", json!("Mars/Base"), "timezone"),
        ("/allowed_origins/0", json!("crm.example.com"), "allowed_origins[0]"),
        ("/allowed_origins/0", json!("https://crm.example.com/x"), "allowed_origins[0]"),
        ("/routing/wrap_up_s", json!(3_601), "routing.wrap_up_s"),
        ("/routing/deadline_ms", json!(49), "routing.deadline_ms"),
        ("/routing/cool_down_s", json!({"busy": -1}), "routing.cool_down_s.busy"),
        ("/routing/fallback", json!("PJSIP/101"), "routing.fallback"),
        ("/routing/responsible/0", json!("boss"), "routing.responsible[0]"),
        ("/routing/responsible/1", json!("group:none"), "routing.responsible[1]"),
        ("/routing/responsible/1", json!("queue:none"), "routing.responsible[1]"),
        ("/routing/responsible/3", json!("number:8 999"), "routing.responsible[3]"),
        ("/routing/responsible/2", json!({"to": "owner", "wait_s": -1}), "routing.responsible[2].wait_s"),
        ("/agent/0/id", json!("Ann Lee"), "agent[0].id"),
        ("/agent/0/name", json!(""), "agent[0].name"),
        ("/agent/0/extension", json!("10a"), "agent[0].extension"),
        ("/agent/1/extension", json!("101"), "agent[1].extension"),
        ("/agent/0/routing_type", json!(3), "agent[0].routing_type"),
        ("/agent/0/routing_type", json!(2), "agent[0].phone_number"),
        ("/agent/1/phone_number", json!("8999"), "agent[1].phone_number"),
        ("/agent/0/weight", json!(0), "agent[0].weight"),
        ("/agent/0/skills/0", json!("german:0"), "agent[0].skills[0]"),
        ("/agent/0/crm_user", json!(long), "agent[0].crm_user"),
        ("/agent/0/crm_user", json!("4\n2"), "agent[0].crm_user"),
        ("/extension/0/number", json!("IVR"), "extension[0].number"),
        ("/extension/0/number", json!("101"), "extension[0].type"),
        ("/group/0/id", json!(""), "group[0].id"),
        ("/group/0/name", json!("  "), "group[0].name"),
        ("/group/1/name", json!("Sales"), "group[1].name"),
        ("/group/1/name", json!(long), "group[1].name"),
        ("/group/0/agents/0", json!("eve"), "group[0].agents[0]"),
        ("/queue/0/name", json!(""), "queue[0].name"),
        ("/queue/0/primary_groups/0", json!("none"), "queue[0].primary_groups[0]"),
        ("/queue/0/backup_groups/0", json!("none"), "queue[0].backup_groups[0]"),
        ("/queue/0/wait_greeting", json!(long), "queue[0].wait_greeting"),
        ("/queue/0/hold_greeting", json!("a\0b"), "queue[0].hold_greeting"),
        ("/queue/0/wait_agent_answer_timeout", json!(121), "queue[0].wait_agent_answer_timeout"),
        ("/queue/0/maximum_queue_size", json!(-1), "queue[0].maximum_queue_size"),
        ("/queue/0/business_hours_id", json!("night"), "queue[0].business_hours_id"),
        ("/queue/0/business_hours_id", json!(null), "queue[0].business_hours_id"),
        ("/queue/0/overflow_full", json!("queue:main"), "queue[0].overflow_full"),
        ("/queue/0/overflow_full", json!("queue:none"), "queue[0].overflow_full"),
        ("/queue/0/overflow_full", json!("number:8"), "queue[0].overflow_full"),
        ("/queue/0/overflow_full", json!("the moon"), "queue[0].overflow_full"),
        ("/number/0/number", json!("8 495"), "number[0].number"),
        ("/number/0/queue", json!("none"), "number[0].queue"),
        ("/number/0/ivr_menu", json!("none"), "number[0].ivr_menu"),
        ("/number/0/ivr_menu", json!(null), "number[0].ivr_menu"),
        ("/number/0/nickname", json!("Main\nline"), "number[0].nickname"),
        ("/number/0/tags", json!({"team": long}), "number[0].tags.team"),
        ("/number/0/tags", json!({"team": "a\tb"}), "number[0].tags.team"),
        ("/number/0/tags", json!({"te\u{7}am": "sales"}), "number[0].tags"),
        ("/number/0/tags", json!({long.as_str(): "sales"}), "number[0].tags"),
        ("/ivr_tree/0/tree_name", json!(""), "ivr_tree[0].tree_name"),
        ("/ivr_tree/0/tree_name", json!(long), "ivr_tree[0].tree_name"),
        ("/ivr_tree/0/root_node", json!("none"), "ivr_tree[0].root_node"),
        ("/ivr_node/0/node_name", json!(""), "ivr_node[0].node_name"),
        ("/ivr_node/0/node_name", json!("Hel\nlo"), "ivr_node[0].node_name"),
        ("/ivr_node/0/node_play_content", json!(" "), "ivr_node[0].node_play_content"),
        ("/ivr_node/0/voice", json!("fe\u{1b}male"), "ivr_node[0].voice"),
        ("/ivr_node/0/speed", json!(4), "ivr_node[0].speed"),
        ("/ivr_node/0/loop_count", json!(0), "ivr_node[0].loop_count"),
        ("/ivr_key/0/node", json!("none"), "ivr_key[0].node"),
        ("/ivr_key/0/node_key", json!("12"), "ivr_key[0].node_key"),
        ("/ivr_key/0/action", json!(5), "ivr_key[0].action"),
        ("/ivr_key/0/queue_id", json!("none"), "ivr_key[0].queue_id"),
        ("/ivr_key/0/queue_id", json!(null), "ivr_key[0].queue_id"),
        ("/ivr_key/0/next_node", json!("hello"), "ivr_key[0].next_node"),
        ("/blacklist/0/number", json!("unknown"), "blacklist[0].number"),
        ("/business_hours/0/name", json!(long), "business_hours[0].name"),
        ("/business_hours/0/name", json!("Day\r"), "business_hours[0].name"),
        ("/business_hours/0/weekly/0/day", json!(8), "business_hours[0].weekly[0].day"),
        ("/contact/0/phones/0", json!("8999"), "contact[0].phones[0]"),
        ("/contact/0/phones", json!([]), "contact[0].phones"),
        ("/contact/0/owner", json!("eve"), "contact[0].owner"),
        ("/contact/0/deputy", json!("eve"), "contact[0].deputy"),
        ("/contact/0/name", json!(long), "contact[0].name"),
    ] {
        let told = wrong(pointer, value.clone());
        assert!(told.iter().any(|told| told == path), "{pointer} = {value}: {told:?}");
    }
}

#[test]
fn what_may_be_there_once_is_not_there_twice() {
    let shop = shop();
    for (list, path) in [
        ("agent", "agent[2]"),
        ("extension", "extension[1]"),
        ("group", "group[2]"),
        ("queue", "queue[2]"),
        ("number", "number[1]"),
        ("blacklist", "blacklist[1]"),
        ("business_hours", "business_hours[1]"),
        ("ivr_tree", "ivr_tree[1]"),
        ("ivr_node", "ivr_node[1]"),
        ("ivr_key", "ivr_key[1].node_key"),
        ("contact", "contact[1].phones[0]"),
    ] {
        let mut items = shop[list].as_array().expect("a list").clone();
        items.push(items[0].clone());
        let told = wrong(&format!("/{list}"), Value::Array(items));
        assert!(told.iter().any(|told| told == path), "{list}: {told:?}");
    }
    let telephone = json!({"id": "eve", "name": "Eve", "routing_type": 2, "phone_number": "+79990000002"});
    let mut agents = shop["agent"].as_array().expect("agents").clone();
    agents.push(telephone);
    assert_eq!(wrong("/agent", Value::Array(agents)), ["agent[2].phone_number"], "one telephone is rung for one agent");
}

#[test]
fn a_list_names_each_once() {
    for (pointer, value, path, named) in [
        ("/group/0/agents", json!(["ann", "bob", "ann"]), "group[0].agents[2]", "\"ann\""),
        ("/queue/0/primary_groups", json!(["sales", "sales"]), "queue[0].primary_groups[1]", "\"sales\""),
        ("/queue/0/backup_groups", json!(["help", "help"]), "queue[0].backup_groups[1]", "\"help\""),
        ("/agent/0/skills", json!(["german:2", "german"]), "agent[0].skills[1]", "\"german\""),
        ("/queue/0/skills", json!(["german", "french", "german"]), "queue[0].skills[2]", "\"german\""),
    ] {
        let told = problems(pointer, value);
        assert!(told.len() == 1 && told[0].path == path && told[0].reason.contains(named), "{pointer}: {told:?}");
    }
    assert_eq!(wrong("/queue/0/backup_groups", json!(["sales"])), Vec::<String>::new(), "both first and as backup is a matter of taste");
}

#[test]
fn a_contact_has_fifty_phones_at_the_most() {
    let phones = |n: usize| (0..n).map(|i| format!("+7999000{i:04}")).collect::<Vec<_>>();
    assert_eq!(wrong("/contact/0/phones", json!(phones(50))), Vec::<String>::new());
    assert_eq!(wrong("/contact/0/phones", json!(phones(51))), ["contact[0].phones"]);
}

#[test]
fn a_file_has_neither_voice_nor_speed() {
    let play = |field: &str, value: Value| {
        let mut node = shop()["ivr_node"][0].clone();
        (node["node_play_mode"], node[field]) = (json!("play"), value);
        wrong("/ivr_node/0", node)
    };
    assert_eq!(play("voice", json!("female")), ["ivr_node[0].voice"]);
    assert_eq!(play("speed", json!(1)), ["ivr_node[0].voice"]);
    assert_eq!(play("speed", json!(0)), Vec::<String>::new());
}

#[test]
fn a_menu_is_one_that_is_there_whether_a_caller_meets_it_or_not() {
    let asleep = json!({"number": "+74955550100", "enable_ivr": false, "ivr_menu": "none"});
    assert_eq!(wrong("/number/0", asleep), ["number[0].ivr_menu"]);
}

#[test]
fn a_menu_without_a_node_leads_nobody() {
    let mut shop = shop();
    (shop["ivr_node"], shop["ivr_key"]) = (json!([]), json!([]));
    shop["ivr_tree"][0]["root_node"] = json!(null);
    let paths = |shop: &Value| -> Vec<String> {
        application(&serde_json::from_value(shop.clone()).expect("an application")).into_iter().map(|p| p.path).collect()
    };
    assert_eq!(paths(&shop), ["number[0].ivr_menu"]);
    shop["number"][0]["enable_ivr"] = json!(false);
    assert_eq!(paths(&shop), Vec::<String>::new());
}
