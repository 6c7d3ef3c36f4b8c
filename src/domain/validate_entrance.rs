//! What makes queues, numbers, IVR trees, blacklists and business hours wrong (Stringee page, section 12).

use std::collections::BTreeSet;

use super::{Problem, identifier, known, length, line, name, range, unique};
use crate::domain::hours;
use crate::domain::ivr::{EMPTY_KEY, INVALID_KEY, IvrKey, IvrNode, PlayMode, action};
use crate::domain::phone;
use crate::domain::queue::{Queue, Target, skill};
use crate::domain::spec::Application;

/// Everything wrong with one queue; paths begin at the queue.
pub fn queue(app: &Application, queue: &Queue, groups: &BTreeSet<&str>, queues: &BTreeSet<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    identifier("id", &queue.id, &mut problems);
    name("name", &queue.name, &mut problems);
    known("primary_groups", "group", &queue.primary_groups, groups, &mut problems);
    known("backup_groups", "group", &queue.backup_groups, groups, &mut problems);
    for (field, file) in [("wait_greeting", &queue.wait_greeting), ("hold_greeting", &queue.hold_greeting)] {
        line(field, file.as_deref().unwrap_or_default(), &mut problems);
    }
    for (field, value, least, most) in [
        ("wait_agent_answer_timeout", queue.wait_agent_answer_timeout, 3, 120),
        ("wrap_up_time_limit", queue.wrap_up_time_limit, 0, 3_600),
        ("route_to_backup_groups_after", queue.route_to_backup_groups_after, 0, 86_400),
        ("priority", queue.priority, -100, 100),
        ("priority_age_s", queue.priority_age_s, 1, 3_600),
        ("maximum_queue_size", queue.maximum_queue_size, 0, 1_000),
        ("maximum_queue_wait_time", queue.maximum_queue_wait_time, 0, 86_400),
        ("ring_at_once", queue.ring_at_once, 1, 50),
        ("ring_step_s", queue.ring_step_s, 3, 120),
        ("window_s", queue.window_s, 60, 2_592_000),
        ("sla_target_percent", queue.sla_target_percent, 0, 100),
        ("sla_answered_within", queue.sla_answered_within, 0, 86_400),
        ("schedule", queue.schedule.into(), 1, 2),
    ] {
        range(field, value, least, most, &mut problems);
    }
    skills("skills", &queue.skills, &mut problems);
    match &queue.business_hours_id {
        Some(id) if !app.business_hours.iter().any(|h| h.id == *id) => {
            problems.push(Problem::new("business_hours_id", format!("there is no business_hours {id:?}; declare it first")));
        }
        None if queue.schedule == 2 => problems.push(Problem::new("business_hours_id", "is needed when schedule is 2")),
        _ => {}
    }
    for (field, to) in queue.overflows() {
        let Some(text) = to else { continue };
        let reason = match Target::parse(text) {
            Some(Target::Queue(id)) if id == queue.id => Some("is this queue itself; name another".to_owned()),
            Some(Target::Queue(id)) if !queues.contains(id.as_str()) => Some(format!("there is no queue {id:?}; declare it first")),
            Some(Target::Number(n)) if !phone::is_e164(&n) => Some(format!("{n:?} is not a number of the form +79990001122")),
            Some(_) => None,
            None => Some(format!("{text:?} leads nowhere; use queue:ID, number:+…, voicemail or hangup")),
        };
        problems.extend(reason.map(|r| Problem::new(field, r)));
    }
    number_field("from_number_callout_to_agent", queue.from_number_callout_to_agent.as_deref(), &mut problems);
    problems
}

pub fn skills(path: &str, skills: &[String], problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (n, text) in skills.iter().enumerate() {
        let (name, level) = skill(text);
        if name.trim().is_empty() || name.len() > 100 || !(1..=100).contains(&level) {
            let reason = format!("{text:?} is no skill; write its name, or name:level with a level of 1 to 100");
            problems.push(Problem::new(format!("{path}[{n}]"), reason));
        } else if !seen.insert(name) {
            problems.push(Problem::new(format!("{path}[{n}]"), format!("{name:?} is in the list already; name it once")));
        }
    }
}

fn number_field(path: &str, number: Option<&str>, problems: &mut Vec<Problem>) {
    if let Some(number) = number.filter(|n| !phone::is_e164(n)) {
        problems.push(Problem::new(path, format!("{number:?} is not a number of the form +79990001122")));
    }
}

/// Everything wrong with an application's numbers, hours, blacklist and trees.
pub fn application(app: &Application, queues: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
    for (i, number) in app.number.iter().enumerate() {
        let at = |field: &str| format!("number[{i}].{field}");
        number_field(&at("number"), Some(&number.number), problems);
        if let Some(queue) = number.queue.as_deref().filter(|q| !queues.contains(q)) {
            problems.push(Problem::new(at("queue"), format!("there is no queue {queue:?}; declare it first")));
        }
        line(&at("nickname"), number.nickname.as_deref().unwrap_or_default(), problems);
        for (tag, value) in &number.tags {
            line(&at("tags"), tag, problems);
            line(&at(&format!("tags.{tag}")), value, problems);
        }
        let has_node = |tree: &str| app.ivr_node.iter().any(|n| n.tree == tree);
        match number.ivr_menu.as_deref() {
            Some(tree) if !app.ivr_tree.iter().any(|t| t.id == tree) => {
                problems.push(Problem::new(at("ivr_menu"), format!("there is no ivr_tree {tree:?}; declare it first")));
            }
            Some(tree) if number.enable_ivr && !has_node(tree) => {
                problems.push(Problem::new(at("ivr_menu"), format!("ivr_tree {tree:?} has no node yet; declare one first")));
            }
            None if number.enable_ivr => problems.push(Problem::new(at("ivr_menu"), "is needed when enable_ivr is true")),
            _ => {}
        }
    }
    unique("blacklist", app.blacklist.iter().map(|b| b.number.as_str()), problems);
    for (i, b) in app.blacklist.iter().enumerate() {
        number_field(&format!("blacklist[{i}].number"), Some(&b.number), problems);
    }
    unique("business_hours", app.business_hours.iter().map(|h| h.id.as_str()), problems);
    for (i, h) in app.business_hours.iter().enumerate() {
        identifier(&format!("business_hours[{i}].id"), &h.id, problems);
        problems.extend(hours::problems(h).into_iter().map(|p| Problem::new(format!("business_hours[{i}].{}", p.path), p.reason)));
    }
    trees(app, queues, problems);
}

fn trees(app: &Application, queues: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
    unique("ivr_tree", app.ivr_tree.iter().map(|t| t.id.as_str()), problems);
    unique("ivr_node", app.ivr_node.iter().map(|n| n.id.as_str()), problems);
    unique("ivr_key", app.ivr_key.iter().map(|k| k.id.as_str()), problems);
    for (i, tree) in app.ivr_tree.iter().enumerate() {
        let at = |field: &str| format!("ivr_tree[{i}].{field}");
        identifier(&at("id"), &tree.id, problems);
        name(&at("tree_name"), &tree.tree_name, problems);
        if let Some(root) = tree.root_node.as_deref().filter(|r| !app.ivr_node.iter().any(|n| n.id == **r && n.tree == tree.id)) {
            problems.push(Problem::new(at("root_node"), format!("this tree has no node {root:?}; declare it first")));
        }
    }
    for (i, n) in app.ivr_node.iter().enumerate() {
        problems.extend(node(app, n).into_iter().map(|p| Problem::new(format!("ivr_node[{i}].{}", p.path), p.reason)));
    }
    let mut pairs = BTreeSet::new();
    for (i, k) in app.ivr_key.iter().enumerate() {
        problems.extend(key(app, k, queues).into_iter().map(|p| Problem::new(format!("ivr_key[{i}].{}", p.path), p.reason)));
        if !pairs.insert((&k.node, &k.node_key)) {
            let reason = format!("node {:?} has the key {} already", k.node, k.node_key);
            problems.push(Problem::new(format!("ivr_key[{i}].node_key"), reason));
        }
    }
}

fn node(app: &Application, node: &IvrNode) -> Vec<Problem> {
    let mut problems = Vec::new();
    identifier("id", &node.id, &mut problems);
    if !app.ivr_tree.iter().any(|t| t.id == node.tree) {
        problems.push(Problem::new("tree", format!("there is no ivr_tree {:?}; declare it first", node.tree)));
    }
    name("node_name", &node.node_name, &mut problems);
    if node.node_play_content.trim().is_empty() {
        problems.push(Problem::new("node_play_content", "must not be empty"));
    }
    length("node_play_content", &node.node_play_content, 4_000, &mut problems);
    line("voice", node.voice.as_deref().unwrap_or_default(), &mut problems);
    range("loop_count", node.loop_count, 1, 10, &mut problems);
    range("sched", node.sched, 0, 60_000, &mut problems);
    range("speed", node.speed, -3, 3, &mut problems);
    range("keypress_timeout", node.keypress_timeout, 1, 60, &mut problems);
    if node.node_play_mode == PlayMode::Play && (node.voice.is_some() || node.speed != 0) {
        problems.push(Problem::new("voice", "voice and speed are for node_play_mode \"talk\""));
    }
    problems
}

fn key(app: &Application, key: &IvrKey, queues: &BTreeSet<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    identifier("id", &key.id, &mut problems);
    let is_node = |id: &str| app.ivr_node.iter().any(|n| n.id == id);
    if !is_node(&key.node) {
        problems.push(Problem::new("node", format!("there is no ivr_node {:?}; declare it first", key.node)));
    }
    let one = key.node_key.len() == 1 && key.node_key.chars().all(|c| c.is_ascii_digit() || "*#".contains(c));
    if !one && key.node_key != EMPTY_KEY && key.node_key != INVALID_KEY {
        let reason = format!("{:?} is no key; use 0 to 9, *, #, EMPTY_KEY or INVALID_KEY", key.node_key);
        problems.push(Problem::new("node_key", reason));
    }
    let needs = [
        (action::QUEUE, "queue_id", &key.queue_id, "queue"),
        (action::NUMBER, "to_phone_number", &key.to_phone_number, "number"),
        (action::NODE, "next_node", &key.next_node, "ivr_node"),
    ];
    if ![action::VOICEMAIL, action::QUEUE, action::NUMBER, action::NODE, action::STOP].contains(&key.action) {
        let reason = format!("{} is no action; use 1 voicemail, 2 queue, 3 number, 4 node or 6 end", key.action);
        problems.push(Problem::new("action", reason));
    }
    for (action, field, value, what) in needs {
        match value {
            None if key.action == action => problems.push(Problem::new(field, format!("is needed when action is {action}"))),
            Some(_) if key.action != action => problems.push(Problem::new(field, format!("is for action {action} only"))),
            Some(id) if what == "queue" && !queues.contains(id.as_str()) || what == "ivr_node" && !is_node(id) => {
                problems.push(Problem::new(field, format!("there is no {what} {id:?}; declare it first")));
            }
            _ => {}
        }
    }
    number_field("to_phone_number", key.to_phone_number.as_deref(), &mut problems);
    problems
}
