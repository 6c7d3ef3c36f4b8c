//! What is allowed in a declaration and hardly meant, each with its mend: parts that no caller reaches, rounds without an end, queues without
//! people, numbers that lead nowhere.

use std::collections::BTreeSet;

use super::ivr::{EMPTY_KEY, entry};
use super::queue::{Door, Target};
use super::spec::{Application, PbxKind};

/// One thing to ask about, where it is, and what whoever did not mean it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub path: String,
    pub reason: &'static str,
    pub mend: &'static str,
}

impl Doubt {
    fn new(list: &str, index: usize, reason: &'static str, mend: &'static str) -> Self {
        Self { path: format!("{list}[{index}]"), reason, mend }
    }
}

/// Every doubt about an application as a whole.
pub fn of(app: &Application) -> Vec<Doubt> {
    let mut found = Vec::new();
    trees(app, &mut found);
    queues(app, &mut found);
    numbers(app, &mut found);
    found
}

fn trees(app: &Application, found: &mut Vec<Doubt>) {
    for (i, tree) in app.ivr_tree.iter().enumerate() {
        if !app.ivr_node.iter().any(|n| n.tree == tree.id) {
            let mend = "declare a node of it, or remove it";
            found.push(Doubt::new("ivr_tree", i, "has no node: nobody can be led to it", mend));
        }
    }
    let next = |node: &str, silent: bool| {
        let keys = app.ivr_key.iter().filter(move |k| k.node == node && (!silent || k.node_key == EMPTY_KEY));
        keys.filter_map(|k| k.next_node.clone()).collect::<Vec<_>>()
    };
    let roots = app.ivr_tree.iter().filter_map(|tree| entry(app, tree)).map(|n| n.id.clone()).collect();
    let reached = walk(roots, |node| next(node, false));
    for (i, node) in app.ivr_node.iter().enumerate() {
        if !reached.contains(&node.id) {
            let reason = "is never reached: no tree begins with it, and no key leads to it";
            found.push(Doubt::new("ivr_node", i, reason, "lead a key to it, or remove it"));
        }
        if walk(next(&node.id, true), |node| next(node, true)).contains(&node.id) {
            let reason = "comes round again to a caller who presses nothing";
            found.push(Doubt::new("ivr_node", i, reason, "lead EMPTY_KEY out of the round"));
        }
    }
}

fn queues(app: &Application, found: &mut Vec<Doubt>) {
    let sends_on = |id: &str| {
        let queue = app.queue.iter().find(|q| q.id == id);
        let doors = [Door::Full, Door::Closed, Door::NoStaff].into_iter().filter_map(move |door| queue?.overflow(door));
        doors.filter_map(|to| if let Target::Queue(id) = to { Some(id) } else { None }).collect::<Vec<_>>()
    };
    for (i, queue) in app.queue.iter().enumerate() {
        if walk(sends_on(&queue.id), sends_on).contains(&queue.id) {
            let mend = "lead overflow_full, overflow_closed or overflow_no_staff out of the round";
            found.push(Doubt::new("queue", i, "sends calls on that come back to it, and are hung up then", mend));
        }
        let has_agents = |id: &String| app.group.iter().any(|g| g.id == *id && !g.agents.is_empty());
        let is_empty = !queue.primary_groups.iter().chain(&queue.backup_groups).any(has_agents);
        if is_empty && queue.maximum_queue_wait_time == 0 && queue.overflow_no_staff.is_none() {
            let reason = "has no agents, and lets its callers wait without end";
            found.push(Doubt::new("queue", i, reason, "give it a group, or a maximum_queue_wait_time"));
        }
    }
}

fn numbers(app: &Application, found: &mut Vec<Doubt>) {
    // Other PBXs only ask for a name, and their numbers are here for their tags.
    if app.queue.is_empty() || app.pbx != PbxKind::Asterisk {
        return;
    }
    for (i, _) in app.number.iter().enumerate().filter(|(_, n)| !n.enable_ivr && !n.responsible && n.queue.is_none()) {
        let reason = "leads nowhere here: its calls take the PBX's own route";
        found.push(Doubt::new("number", i, reason, "give it a queue, an ivr_menu with enable_ivr, or responsible"));
    }
}

/// Everything that is reached from some nodes, they included.
fn walk(mut ahead: Vec<String>, next: impl Fn(&str) -> Vec<String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while let Some(node) = ahead.pop() {
        if seen.insert(node.clone()) {
            ahead.extend(next(&node));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn nodes_that_nobody_reaches_and_rounds_without_a_key_are_told() {
        let node = |id: &str| json!({"id": id, "tree": "m", "node_name": id, "node_play_mode": "talk", "node_play_content": "x"});
        let key =
            |id: &str, node: &str, name: &str, to: &str| json!({"id": id, "node": node, "node_key": name, "action": 4, "next_node": to});
        let app: Application = serde_json::from_value(json!({
            "id": 1, "name": "S", "pbx": "asterisk", "login": "p",
            "ivr_tree": [{"id": "m", "tree_name": "M", "root_node": "a"}, {"id": "empty", "tree_name": "E"}],
            "ivr_node": [node("a"), node("b"), node("c"), node("d")],
            "ivr_key": [key("1", "a", "1", "b"), key("2", "b", "EMPTY_KEY", "c"), key("3", "c", "EMPTY_KEY", "b"), key("4", "c", "0", "a")],
        }))
        .expect("an application");
        let told: Vec<(String, bool)> = of(&app).into_iter().map(|p| (p.path, p.reason.contains("never reached"))).collect();
        let expected = [("ivr_tree[1]", false), ("ivr_node[1]", false), ("ivr_node[2]", false), ("ivr_node[3]", true)];
        assert_eq!(told, expected.map(|(path, unreached)| (path.to_owned(), unreached)));
    }

    #[test]
    fn queues_that_send_on_to_each_other_are_told() {
        let queue = |id: &str, door: &str, to: &str| json!({"id": id, "name": id, door: to});
        let app: Application = serde_json::from_value(json!({
            "id": 1, "name": "S", "pbx": "asterisk", "login": "p",
            "queue": [
                queue("a", "overflow_full", "queue:b"), queue("b", "overflow_closed", "queue:c"), queue("c", "overflow_no_staff", "queue:a"),
                queue("d", "overflow_full", "queue:a"), queue("e", "overflow_timeout", "queue:f"), queue("f", "overflow_timeout", "queue:e"),
            ],
        }))
        .expect("an application");
        let told: Vec<String> = of(&app).into_iter().map(|p| p.path).collect();
        assert_eq!(told, ["queue[0]", "queue[1]", "queue[2]"]);
    }

    #[test]
    fn numbers_that_lead_nowhere_are_told_where_others_lead_to_queues() {
        let told = |pbx: &str, queue: Value| {
            let app: Application = serde_json::from_value(json!({
                "id": 1, "name": "S", "pbx": pbx, "login": "p", "queue": queue,
                "number": [
                    {"number": "+74955550100"}, {"number": "+74955550101", "responsible": true}, {"number": "+74955550102", "queue": "q"},
                    {"number": "+74955550103", "enable_ivr": true, "ivr_menu": "m"}, {"number": "+74955550104", "ivr_menu": "m"},
                ],
            }))
            .expect("an application");
            of(&app).into_iter().map(|d| d.path).collect::<Vec<_>>()
        };
        let queue = json!([{"id": "q", "name": "Q"}]);
        assert_eq!(told("asterisk", queue.clone()), ["number[0]", "number[4]"]);
        assert_eq!(told("telphin", queue), Vec::<String>::new());
        assert_eq!(told("asterisk", json!([])), Vec::<String>::new(), "all of it is the PBX's own");
    }
}
