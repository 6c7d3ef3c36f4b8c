//! Groups, queues, numbers and extensions: what holds for every list of declarations.

use serde_json::{Value, json};

use super::shop;
use crate::support::on_both;

/// A list with a new entry, what a change makes of it, and a body for each thing that can be wrong: (body, field).
struct List {
    path: &'static str,
    key: &'static str,
    new: Value,
    changed: Value,
    wrong: Vec<(Value, &'static str)>,
}

fn lists() -> Vec<List> {
    vec![
        List {
            path: "/groups",
            key: "id",
            new: json!({"id": "night", "name": "Night", "agents": ["bob"]}),
            changed: json!({"id": "night", "name": "Night shift", "agents": ["bob", "ann"]}),
            wrong: vec![
                (json!({"id": "x"}), "name"),
                (json!({"id": "no spaces", "name": "X"}), "id"),
                (json!({"name": "X", "agents": ["ann", "eve"]}), "agents[1]"),
                (json!({"name": "X", "agents": "ann"}), "agents"),
                (json!({"name": "X", "agents": ["ann", "bob", "ann"]}), "agents[2]"),
                (json!({"name": "X", "members": []}), "members"),
            ],
        },
        List {
            path: "/queues",
            key: "id",
            new: json!({
                "id": "vip", "name": "VIP", "strategy": "longest_idle", "wait_agent_answer_timeout": 15, "wrap_up_time_limit": 10,
                "primary_groups": ["sales"], "backup_groups": []
            }),
            changed: json!({
                "id": "vip", "name": "VIP", "strategy": "top_down", "wait_agent_answer_timeout": 20, "wrap_up_time_limit": 0,
                "primary_groups": [], "backup_groups": ["sales"]
            }),
            wrong: vec![
                (json!({}), "name"),
                (json!({"name": "X", "strategy": "loudest"}), "strategy"),
                (json!({"name": "X", "wait_agent_answer_timeout": 2}), "wait_agent_answer_timeout"),
                (json!({"name": "X", "wrap_up_time_limit": 3601}), "wrap_up_time_limit"),
                (json!({"name": "X", "primary_groups": ["none"]}), "primary_groups[0]"),
                (json!({"name": "X", "backup_groups": ["none"]}), "backup_groups[0]"),
                (json!({"name": "X", "maxWaitTime": 1}), "maxWaitTime"),
                (json!({"name": "X", "schedule": 2}), "business_hours_id"),
                (json!({"name": "X", "business_hours_id": "none"}), "business_hours_id"),
                (json!({"name": "X", "maximum_queue_size": 1001}), "maximum_queue_size"),
                (json!({"name": "X", "maximum_queue_wait_time": 86401}), "maximum_queue_wait_time"),
                (json!({"id": "x", "name": "X", "overflow_full": "queue:x"}), "overflow_full"),
                (json!({"name": "X", "overflow_closed": "the moon"}), "overflow_closed"),
                (json!({"name": "X", "overflow_timeout": "number:101"}), "overflow_timeout"),
                (json!({"name": "X", "skills": ["english:0"]}), "skills[0]"),
            ],
        },
        List {
            path: "/numbers",
            key: "number",
            new: json!({"number": "+74955550300"}),
            changed: json!({"number": "+74955550300", "queue": "main", "tags": {"team": "sales"}}),
            wrong: vec![
                (json!({}), "number"),
                (json!({"number": "84955550400"}), "number"),
                (json!({"number": "+74955550400", "queue": "none"}), "queue"),
                (json!({"number": "+74955550400", "tags": {"team": 1}}), "tags.team"),
                (json!({"number": "+74955550400", "tag": {}}), "tag"),
                (json!({"number": "+74955550400", "enable_ivr": true}), "ivr_menu"),
                (json!({"number": "+74955550400", "ivr_menu": "none"}), "ivr_menu"),
            ],
        },
        List {
            path: "/extensions",
            key: "number",
            new: json!({"number": "300", "type": "fax"}),
            changed: json!({"number": "300", "type": "queue"}),
            wrong: vec![
                (json!({"number": "301"}), "type"),
                (json!({"number": "301", "type": "lamp"}), "type"),
                (json!({"number": "3o1", "type": "ivr"}), "number"),
                (json!({"number": "101", "type": "ivr"}), "type"),
                (json!({"number": "301", "type": "ivr", "name": "x"}), "name"),
            ],
        },
        List {
            path: "/business-hours",
            key: "id",
            new: json!({"id": "day", "name": "Day", "weekly": [{"day": 1, "from": "09:00", "to": "18:00"}]}),
            changed: json!({"id": "day", "name": "Day", "timezone": "Asia/Omsk", "exceptions": [{"date": "2026-12-25", "closed": true}]}),
            wrong: vec![
                (json!({"name": "X", "weekly": [{"day": 0, "from": "09:00", "to": "18:00"}]}), "weekly[0].day"),
                (json!({"name": "X", "weekly": [{"day": 1, "from": "9", "to": "18:00"}]}), "weekly[0].from"),
                (json!({"name": "X", "timezone": "Here"}), "timezone"),
                (json!({"name": "X", "exceptions": [{"date": "tomorrow"}]}), "exceptions[0].date"),
            ],
        },
        List {
            path: "/ivr-trees",
            key: "id",
            new: json!({"id": "menu", "tree_name": "Menu"}),
            changed: json!({"id": "menu", "tree_name": "Main menu"}),
            wrong: vec![(json!({}), "tree_name"), (json!({"tree_name": "X", "root_node": "none"}), "root_node")],
        },
        List {
            path: "/blacklist",
            key: "number",
            new: json!({"number": "+79990000666"}),
            changed: json!({"number": "+79990000666", "ivr_blocked": false, "outbound_blocked": true}),
            wrong: vec![
                (json!({}), "number"),
                (json!({"number": "666"}), "number"),
                (json!({"number": "+79990000667", "why": "x"}), "why"),
            ],
        },
    ]
}

/// Every field that was given is there, as it was given; the others have their defaults.
#[track_caller]
fn holds(shown: &Value, given: &Value) {
    for (field, value) in given.as_object().expect("an object") {
        assert_eq!(shown.get(field), Some(value), "{field} of {shown}");
    }
}

#[actix_web::test]
async fn groups_serve_queues_first_or_as_backup() {
    on_both(async |house| {
        let client = house.client().await;
        let at = |id: &str| shop(&format!("/group-routing/{id}"));
        let known = json!({"id": "main.sales", "queue_id": "main", "group_id": "sales", "primary_group": 1});
        assert_eq!(client.get(&shop("/group-routing?queue=main")).await.ok()["items"], json!([known]));
        assert_eq!(client.get(&shop("/group-routing?queue=none")).await.ok()["items"], json!([]));
        client.post(&shop("/groups"), json!({"id": "night", "name": "Night"})).await;
        let new = |queue: &str, group: &str, flag: i64| json!({"queue_id": queue, "group_id": group, "primary_group": flag});
        for (body, field) in
            [(new("none", "night", 1), "queue_id"), (new("main", "none", 1), "group_id"), (new("main", "night", 2), "primary_group")]
        {
            assert_eq!(client.post(&shop("/group-routing"), body).await.refused(422), [field]);
        }
        let made = client.post(&shop("/group-routing"), new("main", "night", 0)).await;
        assert_eq!((made.status, &made.body["id"], &made.body["primary_group"]), (201, &json!("main.night"), &json!(0)));
        client.post(&shop("/group-routing"), new("main", "night", 1)).await.refused(409);
        let queue = client.get(&shop("/queues/main")).await.ok();
        assert_eq!((&queue["primary_groups"], &queue["backup_groups"]), (&json!(["sales"]), &json!(["night"])));
        client.put(&at("main.night"), json!({"primary_group": 1})).await.ok();
        assert_eq!(client.get(&shop("/queues/main")).await.ok()["primary_groups"], json!(["sales", "night"]));
        assert_eq!(client.get(&at("main.night")).await.ok()["primary_group"], 1);
        assert_eq!(client.delete(&at("main.night")).await.status, 204);
        client.get(&at("main.night")).await.refused(404);
        assert_eq!(client.get(&shop("/queues/main")).await.ok()["primary_groups"], json!(["sales"]));
    })
    .await;
}

/// A tree with two nodes, whose keys lead to each other and to a queue; each part is needed by the next.
#[actix_web::test]
async fn an_ivr_is_built_part_by_part_and_nothing_dangles() {
    on_both(async |house| {
        let client = house.client().await;
        let node = |id: &str| json!({"id": id, "tree": "menu", "node_name": id, "node_play_mode": "talk", "node_play_content": "Press 1"});
        let key = |id: &str, more: Value| {
            let mut key = json!({"id": id, "node": "hello", "node_key": "1"});
            key.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            key
        };
        assert_eq!(client.post(&shop("/ivr-nodes"), node("hello")).await.refused(422), ["tree"]);
        client.post(&shop("/ivr-trees"), json!({"id": "menu", "tree_name": "Menu"})).await;
        let number = json!({"number": "+74955550100", "enable_ivr": true, "ivr_menu": "menu"});
        assert_eq!(client.put(&shop("/numbers/%2B74955550100"), number.clone()).await.refused(422), ["ivr_menu"]);
        for id in ["hello", "bye"] {
            assert_eq!(client.post(&shop("/ivr-nodes"), node(id)).await.status, 201);
        }
        client.put(&shop("/numbers/%2B74955550100"), number).await.ok();
        for (more, field) in [
            (json!({"action": 4}), "next_node"),
            (json!({"action": 4, "next_node": "none"}), "next_node"),
            (json!({"action": 2, "queue_id": "none"}), "queue_id"),
            (json!({"action": 6, "queue_id": "main"}), "queue_id"),
            (json!({"action": 3, "to_phone_number": "101"}), "to_phone_number"),
            (json!({"action": 5}), "action"),
            (json!({"action": 6, "node_key": "12"}), "node_key"),
            (json!({"action": 6, "node": "none"}), "node"),
        ] {
            assert_eq!(client.post(&shop("/ivr-keys"), key("k", more.clone())).await.refused(422), [field], "{more}");
        }
        assert_eq!(client.post(&shop("/ivr-keys"), key("one", json!({"action": 4, "next_node": "bye"}))).await.status, 201);
        assert_eq!(client.post(&shop("/ivr-keys"), key("again", json!({"action": 6}))).await.refused(422), ["node_key"]);
        for (path, expected) in [
            ("/ivr-nodes?tree=menu", vec!["bye", "hello"]),
            ("/ivr-nodes?tree=menu&limit=500", vec!["bye", "hello"]),
            ("/ivr-nodes?tree=none", vec![]),
            ("/ivr-keys?node=hello", vec!["one"]),
            ("/ivr-keys?node=bye", vec![]),
        ] {
            let page = client.get(&shop(path)).await.ok();
            let ids: Vec<&str> = page["items"].as_array().expect("items").iter().map(|i| i["id"].as_str().expect("an id")).collect();
            assert_eq!(ids, expected, "{path}");
        }
        let one = client.get(&shop("/ivr-nodes?tree=menu&limit=1")).await.ok();
        let rest = client.get(&shop(&format!("/ivr-nodes?tree=menu&cursor={}", one["next_cursor"].as_str().expect("a cursor")))).await.ok();
        assert_eq!(
            (&one["items"][0]["id"], &rest["items"][0]["id"], rest["items"].as_array().map(Vec::len)),
            (&json!("bye"), &json!("hello"), Some(1))
        );
        assert_eq!(client.get(&shop("/ivr-trees?tree=menu")).await.refused(400), ["tree"]);
        client.delete(&shop("/ivr-nodes/bye")).await.refused(409);
        assert_eq!(client.delete(&shop("/ivr-nodes/bye?force=true")).await.status, 204);
        client.get(&shop("/ivr-keys/one")).await.refused(404);
        client.delete(&shop("/ivr-trees/menu")).await.refused(409);
        assert_eq!(client.delete(&shop("/ivr-trees/menu?force=true")).await.status, 204);
        client.get(&shop("/ivr-nodes/hello")).await.refused(404);
        assert_eq!(client.get(&shop("/numbers/%2B74955550100")).await.ok()["enable_ivr"], false);
    })
    .await;
}

#[actix_web::test]
async fn an_entry_is_made_read_changed_and_deleted() {
    on_both(async |house| {
        let client = house.client().await;
        for list in lists() {
            let key = list.new[list.key].as_str().expect("a key").to_owned();
            let one = shop(&format!("{}/{}", list.path, key.replace('+', "%2B")));
            client.get(&one).await.refused(404);
            client.put(&one, list.new.clone()).await.refused(404);
            let made = client.post(&shop(list.path), list.new.clone()).await;
            assert_eq!((made.status, made.header("location")), (201, Some(one.as_str())), "{}", made.body);
            holds(&made.body, &list.new);
            client.post(&shop(list.path), list.new.clone()).await.refused(409);
            holds(&client.get(&one).await.ok(), &list.new);
            let changed = client.put(&one, list.changed.clone()).await.ok();
            holds(&changed, &list.changed);
            assert_eq!(client.get(&one).await.ok(), changed);
            let (all, _) = client.every(&shop(list.path), 500).await;
            assert!(all.contains(&changed), "{all:?}");
            assert_eq!(client.delete(&one).await.status, 204);
            client.get(&one).await.refused(404);
            client.delete(&one).await.refused(404);
        }
    })
    .await;
}

#[actix_web::test]
async fn what_is_wrong_is_named_and_nothing_is_written() {
    on_both(async |house| {
        let client = house.client().await;
        for list in lists() {
            let (before, _) = client.every(&shop(list.path), 500).await;
            for (body, field) in list.wrong {
                assert_eq!(client.post(&shop(list.path), body.clone()).await.refused(422), [field], "{} {body}", list.path);
            }
            assert_eq!(client.every(&shop(list.path), 500).await.0, before);
        }
    })
    .await;
}

#[actix_web::test]
async fn the_name_stands_in_the_path_and_cannot_be_changed() {
    on_both(async |house| {
        let client = house.client().await;
        let renamed = json!({"id": "other", "name": "Sales"});
        assert_eq!(client.put(&shop("/groups/sales"), renamed).await.refused(422), ["id"]);
        let group = client.put(&shop("/groups/sales"), json!({"name": "Sellers"})).await.ok();
        assert_eq!(group, json!({"id": "sales", "name": "Sellers", "agents": []}));
        // A plus that was not escaped is a plus in a path.
        assert_eq!(client.get(&shop("/numbers/+74955550100")).await.ok()["queue"], "main");
    })
    .await;
}

#[actix_web::test]
async fn an_entry_without_an_id_gets_one() {
    on_both(async |house| {
        let client = house.client().await;
        let made = client.post(&shop("/groups"), json!({"name": "Nameless"})).await;
        let id = made.body["id"].as_str().expect("an id").to_owned();
        assert_eq!(made.header("location").map(str::to_owned), Some(shop(&format!("/groups/{id}"))));
        assert_eq!(client.get(&shop(&format!("/groups/{id}"))).await.ok()["name"], "Nameless");
    })
    .await;
}

#[actix_web::test]
async fn what_others_refer_to_goes_only_by_force_and_takes_the_references_along() {
    on_both(async |house| {
        let client = house.client().await;
        for (path, who) in [("/groups/sales", ["queue main", "group:sales"]), ("/queues/main", ["number +74955550100", "queue:main"])] {
            let refused = client.delete(&shop(path)).await;
            let detail = refused.body["detail"].as_str().unwrap_or_default().to_owned();
            refused.refused(409);
            assert!(who.iter().all(|w| detail.contains(w)), "{detail}");
            assert_eq!(client.delete(&shop(&format!("{path}?force=true"))).await.status, 204);
            client.get(&shop(path)).await.refused(404);
        }
        let app = client.get(&shop("")).await.ok();
        assert_eq!(app["routing"]["responsible"], json!(["owner", "deputy", "last_agent"]));
        assert_eq!(client.get(&shop("/numbers/+74955550100")).await.ok().get("queue"), None);
    })
    .await;
}

#[actix_web::test]
async fn a_list_is_read_whole_page_by_page() {
    on_both(async |house| {
        let client = house.client().await;
        for n in 0..23 {
            client.post(&shop("/groups"), json!({"id": format!("g{n:02}"), "name": format!("Group {n}")})).await.ok();
        }
        let (whole, pages) = client.every(&shop("/groups"), 500).await;
        assert_eq!((whole.len(), pages), (24, 1));
        for limit in [1, 5, 24] {
            let (paged, pages) = client.every(&shop("/groups"), limit).await;
            assert_eq!(paged, whole, "limit {limit}");
            assert_eq!(pages, 24usize.div_ceil(limit), "limit {limit}");
        }
    })
    .await;
}

#[actix_web::test]
async fn of_many_who_make_the_same_entry_at_once_one_does() {
    on_both(async |house| {
        let client = house.client().await;
        let make = |n: usize| {
            let (client, body) = (client.clone(), json!({"id": "once", "name": format!("G{n}")}));
            async move { client.post(&shop("/groups"), body).await.status }
        };
        let mut statuses = futures_util::future::join_all((0..8).map(make)).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    })
    .await;
}
