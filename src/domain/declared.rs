//! What an application declares lists of, as one thing: how each is named, and what refers to it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hours::BusinessHours;
use super::ivr::{IvrKey, IvrNode, IvrTree};
use super::spec::{Agent, Application, Blacklisted, Extension, Group, Number, Queue};

/// An entry of one of an application's lists.
pub trait Declared: Clone + PartialEq + Serialize + DeserializeOwned + Send + 'static {
    /// What one is called; the list has the same name in a declaration.
    const WHAT: &'static str;
    /// The field that names it. An `id` is made up when it is not given; any other is needed.
    const KEY: &'static str;

    fn list(app: &Application) -> &Vec<Self>;
    fn list_mut(app: &mut Application) -> &mut Vec<Self>;
    fn key(&self) -> &str;
    fn set_key(&mut self, key: String);

    /// What in the application refers to it, in words: `group sales`.
    fn referrers(_app: &Application, _key: &str) -> Vec<String> {
        Vec::new()
    }

    /// Removes those references.
    fn unlink(_app: &mut Application, _key: &str) {}
}

/// The names of a list and of the field that names its entries.
macro_rules! declared {
    ($what:literal, $key:ident, $list:ident) => {
        const WHAT: &'static str = $what;
        const KEY: &'static str = stringify!($key);

        fn list(app: &Application) -> &Vec<Self> {
            &app.$list
        }

        fn list_mut(app: &mut Application) -> &mut Vec<Self> {
            &mut app.$list
        }

        fn key(&self) -> &str {
            &self.$key
        }

        fn set_key(&mut self, key: String) {
            self.$key = key;
        }
    };
}

impl Declared for Agent {
    declared!("agent", id, agent);

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        app.group.iter().filter(|g| names(&g.agents, key)).map(|g| format!("group {}", g.id)).collect()
    }

    fn unlink(app: &mut Application, key: &str) {
        app.group.iter_mut().for_each(|g| g.agents.retain(|a| a != key));
    }
}

impl Declared for Group {
    declared!("group", id, group);

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        let queues = app.queue.iter().filter(|q| names(&q.primary_groups, key) || names(&q.backup_groups, key));
        queues.map(|q| format!("queue {}", q.id)).chain(step_of(app, "group", key)).collect()
    }

    fn unlink(app: &mut Application, key: &str) {
        for queue in &mut app.queue {
            queue.primary_groups.retain(|g| g != key);
            queue.backup_groups.retain(|g| g != key);
        }
        remove_step(app, "group", key);
    }
}

impl Declared for Queue {
    declared!("queue", id, queue);

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        let here = Some(key);
        let overflow = |q: &&Queue| q.overflows().iter().any(|(_, to)| leads_to(to, key));
        let numbers = app.number.iter().filter(|n| n.queue.as_deref() == here).map(|n| format!("number {}", n.number));
        let keys = app.ivr_key.iter().filter(|k| k.queue_id.as_deref() == here).map(|k| format!("ivr_key {}", k.id));
        let queues = app.queue.iter().filter(|q| q.id != key).filter(overflow).map(|q| format!("queue {}", q.id));
        numbers.chain(keys).chain(queues).chain(step_of(app, "queue", key)).collect()
    }

    fn unlink(app: &mut Application, key: &str) {
        for number in app.number.iter_mut().filter(|n| n.queue.as_deref() == Some(key)) {
            number.queue = None;
        }
        app.ivr_key.retain(|k| k.queue_id.as_deref() != Some(key));
        for queue in &mut app.queue {
            let Queue { overflow_full, overflow_timeout, overflow_closed, overflow_no_staff, .. } = queue;
            for to in [overflow_full, overflow_timeout, overflow_closed, overflow_no_staff] {
                if leads_to(to, key) {
                    *to = None;
                }
            }
        }
        remove_step(app, "queue", key);
    }
}

impl Declared for Number {
    declared!("number", number, number);
}

impl Declared for Extension {
    declared!("extension", number, extension);
}

impl Declared for Blacklisted {
    declared!("blacklist", number, blacklist);
}

impl Declared for BusinessHours {
    declared!("business_hours", id, business_hours);

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        app.queue.iter().filter(|q| q.business_hours_id.as_deref() == Some(key)).map(|q| format!("queue {}", q.id)).collect()
    }

    /// A queue without its hours is always open.
    fn unlink(app: &mut Application, key: &str) {
        for queue in app.queue.iter_mut().filter(|q| q.business_hours_id.as_deref() == Some(key)) {
            (queue.business_hours_id, queue.schedule) = (None, 1);
        }
    }
}

impl Declared for IvrTree {
    declared!("ivr_tree", id, ivr_tree);

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        let numbers = app.number.iter().filter(|n| n.ivr_menu.as_deref() == Some(key)).map(|n| format!("number {}", n.number));
        numbers.chain(app.ivr_node.iter().filter(|n| n.tree == key).map(|n| format!("ivr_node {}", n.id))).collect()
    }

    /// Its nodes go with it; a number that led to it leads to its queue.
    fn unlink(app: &mut Application, key: &str) {
        for number in app.number.iter_mut().filter(|n| n.ivr_menu.as_deref() == Some(key)) {
            (number.ivr_menu, number.enable_ivr) = (None, false);
        }
        let nodes: Vec<String> = app.ivr_node.iter().filter(|n| n.tree == key).map(|n| n.id.clone()).collect();
        app.ivr_node.retain(|n| n.tree != key);
        for node in nodes {
            IvrNode::unlink(app, &node);
        }
    }
}

impl Declared for IvrNode {
    declared!("ivr_node", id, ivr_node);

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        let trees = app.ivr_tree.iter().filter(|t| t.root_node.as_deref() == Some(key)).map(|t| format!("ivr_tree {}", t.id));
        let tree = app.ivr_node.iter().find(|n| n.id == key).map(|n| n.tree.as_str());
        let only = !app.ivr_node.iter().any(|n| n.id != key && Some(n.tree.as_str()) == tree);
        let menus = app.number.iter().filter(|n| only && n.enable_ivr && n.ivr_menu.as_deref() == tree && tree.is_some());
        let trees = trees.chain(menus.map(|n| format!("number {}", n.number)));
        let touches = |k: &&IvrKey| k.node == key || k.next_node.as_deref() == Some(key);
        trees.chain(app.ivr_key.iter().filter(touches).map(|k| format!("ivr_key {}", k.id))).collect()
    }

    /// Its keys go with it, and those that led to it.
    fn unlink(app: &mut Application, key: &str) {
        for tree in app.ivr_tree.iter_mut().filter(|t| t.root_node.as_deref() == Some(key)) {
            tree.root_node = None;
        }
        app.ivr_key.retain(|k| k.node != key && k.next_node.as_deref() != Some(key));
        // A tree without a node is no menu.
        let empty: Vec<String> =
            app.ivr_tree.iter().filter(|t| !app.ivr_node.iter().any(|n| n.tree == t.id && n.id != key)).map(|t| t.id.clone()).collect();
        for number in app.number.iter_mut().filter(|n| n.enable_ivr && n.ivr_menu.as_ref().is_some_and(|t| empty.contains(t))) {
            number.enable_ivr = false;
        }
    }
}

impl Declared for IvrKey {
    declared!("ivr_key", id, ivr_key);
}

fn names(list: &[String], key: &str) -> bool {
    list.iter().any(|id| id == key)
}

fn leads_to(target: &Option<String>, queue: &str) -> bool {
    target.as_deref().and_then(|t| t.strip_prefix("queue:")) == Some(queue)
}

fn step_of(app: &Application, kind: &str, key: &str) -> Option<String> {
    let step = format!("{kind}:{key}");
    app.routing.responsible.iter().any(|s| s.to() == step).then(|| format!("the step {step} of routing.responsible"))
}

fn remove_step(app: &mut Application, kind: &str, key: &str) {
    let step = format!("{kind}:{key}");
    app.routing.responsible.retain(|s| s.to() != step);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::validate;
    use serde_json::json;

    fn shop() -> Application {
        serde_json::from_value(json!({
            "id": 807, "name": "Flower shop", "pbx": "telphin", "login": "TLP55522",
            "routing": {"responsible": ["owner", "group:sales", {"to": "queue:main", "wait_s": 10}]},
            "agent": [{"id": "ann", "name": "Ann Lee"}, {"id": "bob", "name": "Bob Ray"}],
            "group": [{"id": "sales", "name": "Sales", "agents": ["ann"]}],
            "queue": [
                {"id": "main", "name": "Main", "primary_groups": ["sales"], "backup_groups": ["sales"], "schedule": 2, "business_hours_id": "day"},
                {"id": "late", "name": "Late", "overflow_full": "queue:main"},
            ],
            "number": [
                {"number": "+74955550100", "queue": "main"},
                {"number": "+74955550200", "enable_ivr": true, "ivr_menu": "menu", "queue": "late"},
                {"number": "+74955550300", "enable_ivr": true, "ivr_menu": "tongues", "queue": "late"},
            ],
            "business_hours": [{"id": "day", "name": "Day", "weekly": [{"day": 1, "from": "09:00", "to": "18:00"}]}],
            "ivr_tree": [{"id": "menu", "tree_name": "Menu", "root_node": "hello"}, {"id": "tongues", "tree_name": "Tongues", "root_node": "which"}],
            "ivr_node": [
                {"id": "hello", "tree": "menu", "node_name": "Hello", "node_play_mode": "talk", "node_play_content": "Press 1"},
                {"id": "which", "tree": "tongues", "node_name": "Which", "node_play_mode": "talk", "node_play_content": "Press 3"},
                {"id": "wait", "tree": "tongues", "node_name": "Wait", "node_play_mode": "talk", "node_play_content": "Press 4"},
            ],
            "ivr_key": [
                {"id": "one", "node": "hello", "node_key": "1", "action": 2, "queue_id": "main"},
                {"id": "two", "node": "hello", "node_key": "2", "action": 4, "next_node": "hello"},
                {"id": "three", "node": "which", "node_key": "3", "action": 4, "next_node": "wait"},
                {"id": "four", "node": "wait", "node_key": "4", "action": 4, "next_node": "which"},
            ],
            "blacklist": [{"number": "+79990000666"}],
        }))
        .expect("the shop")
    }

    /// Removing an entry with its references leaves a valid application; without, it does not when something refers to it.
    fn check<T: Declared>(key: &str, referrers: &[&str]) {
        let mut app = shop();
        assert_eq!(T::referrers(&app, key), referrers, "{} {key}", T::WHAT);
        T::list_mut(&mut app).retain(|item| item.key() != key);
        assert_eq!(validate::application(&app).is_empty(), referrers.is_empty(), "{} {key}", T::WHAT);
        T::unlink(&mut app, key);
        assert_eq!(validate::application(&app), Vec::new(), "{} {key}", T::WHAT);
        assert!(T::referrers(&app, key).is_empty());
    }

    #[test]
    fn everything_that_refers_is_known_and_can_be_unlinked() {
        check::<Agent>("ann", &["group sales"]);
        check::<Agent>("bob", &[]);
        check::<Group>("sales", &["queue main", "the step group:sales of routing.responsible"]);
        check::<Queue>("main", &["number +74955550100", "ivr_key one", "queue late", "the step queue:main of routing.responsible"]);
        check::<BusinessHours>("day", &["queue main"]);
        check::<IvrTree>("menu", &["number +74955550200", "ivr_node hello"]);
        check::<IvrNode>("hello", &["ivr_tree menu", "number +74955550200", "ivr_key one", "ivr_key two"]);
        check::<IvrNode>("wait", &["ivr_key three", "ivr_key four"]);
        check::<IvrKey>("one", &[]);
        check::<Blacklisted>("+79990000666", &[]);
        check::<Number>("+74955550100", &[]);
        check::<Extension>("099", &[]);
    }
}
