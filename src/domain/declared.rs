//! What an application declares lists of, as one thing: how each is named, and what refers to it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::spec::{Agent, Application, Extension, Group, Number, Queue};

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

impl Declared for Agent {
    const WHAT: &'static str = "agent";
    const KEY: &'static str = "id";

    fn list(app: &Application) -> &Vec<Agent> {
        &app.agent
    }

    fn list_mut(app: &mut Application) -> &mut Vec<Agent> {
        &mut app.agent
    }

    fn key(&self) -> &str {
        &self.id
    }

    fn set_key(&mut self, key: String) {
        self.id = key;
    }

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        app.group.iter().filter(|g| names(&g.agents, key)).map(|g| format!("group {}", g.id)).collect()
    }

    fn unlink(app: &mut Application, key: &str) {
        app.group.iter_mut().for_each(|g| g.agents.retain(|a| a != key));
    }
}

impl Declared for Group {
    const WHAT: &'static str = "group";
    const KEY: &'static str = "id";

    fn list(app: &Application) -> &Vec<Group> {
        &app.group
    }

    fn list_mut(app: &mut Application) -> &mut Vec<Group> {
        &mut app.group
    }

    fn key(&self) -> &str {
        &self.id
    }

    fn set_key(&mut self, key: String) {
        self.id = key;
    }

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
    const WHAT: &'static str = "queue";
    const KEY: &'static str = "id";

    fn list(app: &Application) -> &Vec<Queue> {
        &app.queue
    }

    fn list_mut(app: &mut Application) -> &mut Vec<Queue> {
        &mut app.queue
    }

    fn key(&self) -> &str {
        &self.id
    }

    fn set_key(&mut self, key: String) {
        self.id = key;
    }

    fn referrers(app: &Application, key: &str) -> Vec<String> {
        let numbers = app.number.iter().filter(|n| n.queue.as_deref() == Some(key));
        numbers.map(|n| format!("number {}", n.number)).chain(step_of(app, "queue", key)).collect()
    }

    fn unlink(app: &mut Application, key: &str) {
        for number in app.number.iter_mut().filter(|n| n.queue.as_deref() == Some(key)) {
            number.queue = None;
        }
        remove_step(app, "queue", key);
    }
}

impl Declared for Number {
    const WHAT: &'static str = "number";
    const KEY: &'static str = "number";

    fn list(app: &Application) -> &Vec<Number> {
        &app.number
    }

    fn list_mut(app: &mut Application) -> &mut Vec<Number> {
        &mut app.number
    }

    fn key(&self) -> &str {
        &self.number
    }

    fn set_key(&mut self, key: String) {
        self.number = key;
    }
}

impl Declared for Extension {
    const WHAT: &'static str = "extension";
    const KEY: &'static str = "number";

    fn list(app: &Application) -> &Vec<Extension> {
        &app.extension
    }

    fn list_mut(app: &mut Application) -> &mut Vec<Extension> {
        &mut app.extension
    }

    fn key(&self) -> &str {
        &self.number
    }

    fn set_key(&mut self, key: String) {
        self.number = key;
    }
}

fn names(list: &[String], key: &str) -> bool {
    list.iter().any(|id| id == key)
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
            "queue": [{"id": "main", "name": "Main", "primary_groups": ["sales"], "backup_groups": ["sales"]}],
            "number": [{"number": "+74955550100", "queue": "main"}],
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
        check::<Queue>("main", &["number +74955550100", "the step queue:main of routing.responsible"]);
        check::<Number>("+74955550100", &[]);
        check::<Extension>("099", &[]);
    }
}
