//! IVR trees as they are declared: nodes that speak, keys that lead on (Stringee page, section 3.7).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::queue::{Door, Target};
use super::spec::Application;
use super::validate::Problem;
use crate::text_enum;

text_enum! {
    /// How a node speaks.
    pub enum PlayMode {
        /// Text to speech.
        Talk = "talk",
        /// A file.
        Play = "play",
    }
}

/// `[[application.ivr_tree]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IvrTree {
    #[serde(default)]
    pub id: String,
    pub tree_name: String,
    /// Where it begins; absent: at the first of its nodes, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_node: Option<String>,
}

/// `[[application.ivr_node]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IvrNode {
    #[serde(default)]
    pub id: String,
    pub tree: String,
    pub node_name: String,
    pub node_play_mode: PlayMode,
    /// The text, or the file's name.
    pub node_play_content: String,
    /// A key ends the prompt.
    #[serde(default = "yes")]
    pub barge_in: bool,
    /// How many times the prompt plays, 1 to 10.
    #[serde(default = "one")]
    pub loop_count: i64,
    /// Milliseconds of silence before the prompt.
    #[serde(default)]
    pub sched: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// -3 to 3; talk only.
    #[serde(default)]
    pub speed: i64,
    /// Seconds that a key is waited for after the prompt, 1 to 60.
    #[serde(default = "five")]
    pub keypress_timeout: i64,
}

fn yes() -> bool {
    true
}

fn one() -> i64 {
    1
}

fn five() -> i64 {
    5
}

/// No key was pressed.
pub const EMPTY_KEY: &str = "EMPTY_KEY";
/// A key that leads nowhere.
pub const INVALID_KEY: &str = "INVALID_KEY";

/// What a key does, by its number in the declaration.
pub mod action {
    pub const VOICEMAIL: i32 = 1;
    pub const QUEUE: i32 = 2;
    pub const NUMBER: i32 = 3;
    pub const NODE: i32 = 4;
    pub const STOP: i32 = 6;
}

/// `[[application.ivr_key]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IvrKey {
    #[serde(default)]
    pub id: String,
    pub node: String,
    /// `0` to `9`, `*`, `#`, `EMPTY_KEY` (none in time) or `INVALID_KEY` (one that leads nowhere).
    pub node_key: String,
    /// 1 voicemail, 2 queue, 3 phone number, 4 another node, 6 end of the call.
    pub action: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_phone_number: Option<String>,
}

/// What is allowed and hardly meant: nodes that no caller reaches, rounds that a caller makes who presses nothing, and queues that send on to
/// each other whom they cannot take.
pub fn doubts(app: &Application) -> Vec<Problem> {
    let mut found = Vec::new();
    for tree in &app.ivr_tree {
        let nodes: Vec<&IvrNode> = app.ivr_node.iter().filter(|n| n.tree == tree.id).collect();
        if nodes.is_empty() {
            found.push(Problem::new(format!("ivr_tree {:?}", tree.id), "has no node: nobody can be led to it"));
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
            found.push(Problem::new(format!("ivr_node[{i}]"), "is never reached: no tree begins with it, and no key leads to it"));
        }
        if walk(next(&node.id, true), |node| next(node, true)).contains(&node.id) {
            let reason = "comes round again to a caller who presses nothing; lead EMPTY_KEY out of the round";
            found.push(Problem::new(format!("ivr_node[{i}]"), reason));
        }
    }
    let sends_on = |id: &str| {
        let queue = app.queue.iter().find(|q| q.id == id);
        let doors = [Door::Full, Door::Closed, Door::NoStaff].into_iter().filter_map(move |door| queue?.overflow(door));
        doors.filter_map(|to| if let Target::Queue(id) = to { Some(id) } else { None }).collect::<Vec<_>>()
    };
    for (i, queue) in app.queue.iter().enumerate() {
        if walk(sends_on(&queue.id), sends_on).contains(&queue.id) {
            let reason = "sends calls on that come back to it, and are hung up then: lead overflow_full, overflow_closed or overflow_no_staff out of the round";
            found.push(Problem::new(format!("queue[{i}]"), reason));
        }
        let has_agents = |id: &String| app.group.iter().any(|g| g.id == *id && !g.agents.is_empty());
        let is_empty = !queue.primary_groups.iter().chain(&queue.backup_groups).any(has_agents);
        if is_empty && queue.maximum_queue_wait_time == 0 && queue.overflow_no_staff.is_none() {
            let reason = "has no agents, and lets its callers wait without end: give it a group, or a maximum_queue_wait_time";
            found.push(Problem::new(format!("queue[{i}]"), reason));
        }
    }
    found
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

/// The node where a tree begins.
pub fn entry<'a>(app: &'a Application, tree: &IvrTree) -> Option<&'a IvrNode> {
    match &tree.root_node {
        Some(id) => app.ivr_node.iter().find(|n| n.id == *id && n.tree == tree.id),
        None => app.ivr_node.iter().filter(|n| n.tree == tree.id).min_by_key(|n| &n.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let told: Vec<(String, bool)> = doubts(&app).into_iter().map(|p| (p.path, p.reason.contains("never reached"))).collect();
        let expected = [("ivr_tree \"empty\"", false), ("ivr_node[1]", false), ("ivr_node[2]", false), ("ivr_node[3]", true)];
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
        let told: Vec<String> = doubts(&app).into_iter().map(|p| p.path).collect();
        assert_eq!(told, ["queue[0]", "queue[1]", "queue[2]"]);
    }
}
