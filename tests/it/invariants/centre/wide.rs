//! A centre whose doors come from a seed: numbers that lead to queues, IVRs and the chain; queues that overflow to each other, to numbers and to
//! voicemail; hours with a holiday and a night over midnight, in which the histories live.

use hookflash::domain::spec::Strategy;
use serde_json::{Value, json};

use super::{APP, COOL_S, Centre, LOGIN, agent};

const QUEUES: u64 = 8;
const GROUPS: u64 = 7;
const TREES: u64 = 3;
/// Nodes of a tree.
const NODES: u64 = 3;
const OUTSIDE: [&str; 2] = ["+79990009991", "+79990009992"];

/// Chance that a seed repeats.
struct Lot(u64);

impl Lot {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn of<T: Clone>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u64) as usize].clone()
    }

    fn queue(&mut self) -> String {
        format!("q{}", self.below(QUEUES))
    }

    fn group(&mut self) -> String {
        format!("g{}", self.below(GROUPS))
    }

    /// Where a queue sends on; not to itself.
    fn overflow(&mut self, from: u64) -> Value {
        match self.below(6) {
            0 | 1 => json!(format!("queue:q{}", (from + 1 + self.below(QUEUES - 1)) % QUEUES)),
            2 => json!(format!("number:{}", self.of(&OUTSIDE))),
            3 => json!("voicemail"),
            4 => json!("hangup"),
            _ => Value::Null,
        }
    }

    fn step(&mut self) -> Value {
        let to = match self.below(9) {
            0 | 1 => "owner".to_owned(),
            2 => "deputy".to_owned(),
            3 => "last_agent".to_owned(),
            4 | 5 => format!("group:{}", self.group()),
            6 | 7 => format!("queue:{}", self.queue()),
            _ => format!("number:{}", self.of(&OUTSIDE)),
        };
        match self.of(&[0, 0, 2, 4, 7, 12, 25]) {
            0 => json!(to),
            wait_s => json!({"to": to, "wait_s": wait_s}),
        }
    }

    fn key(&mut self, tree: u64, node: u64, key: &str) -> Value {
        let mut value = json!({"id": format!("k{tree}{node}{}", key.replace('#', "h").replace('*', "s")), "node": format!("n{tree}{node}"), "node_key": key});
        let more = match self.below(9) {
            0 => json!({"action": 1}),
            1 | 2 => json!({"action": 2, "queue_id": self.queue()}),
            3 => json!({"action": 3, "to_phone_number": self.of(&OUTSIDE)}),
            // On, back, or the same once more.
            4..=7 => json!({"action": 4, "next_node": format!("n{tree}{}", self.below(NODES))}),
            _ => json!({"action": 6}),
        };
        value.as_object_mut().expect("a key").extend(more.as_object().expect("keys").clone());
        value
    }
}

fn declared_queue(lot: &mut Lot, n: u64) -> Value {
    // Lots are drawn in the straight histories, where each such queue has agents of its own: here nobody could tell whom an older call draws.
    let strategy = lot.of(&[
        Strategy::LongestIdle,
        Strategy::LongestIdle,
        Strategy::RoundRobin,
        Strategy::TopDown,
        Strategy::RingAll,
        Strategy::RingProgressively,
        Strategy::FewestCalls,
        Strategy::LeastTalkTime,
        Strategy::HighestSkill,
    ]);
    let mut queue = json!({
        "id": format!("q{n}"), "name": format!("Queue {n}"), "strategy": strategy, "primary_groups": [lot.group()],
        "route_to_backup_groups_after": lot.of(&[0, 2, 5, 9]), "backup_mode": lot.of(&["widen", "replace"]),
        "wait_agent_answer_timeout": lot.of(&[5, 8, 12]), "wrap_up_time_limit": lot.of(&[0, 3]), "ring_at_once": 1 + lot.below(4),
        "ring_step_s": lot.of(&[3, 4]), "window_s": 600, "priority": lot.below(3), "priority_age_s": 3,
        "maximum_queue_size": lot.of(&[0, 2, 100, 100]), "maximum_queue_wait_time": lot.of(&[0, 4, 8, 15]),
        "enable_voicemail": lot.below(2) == 0, "overflow_full": lot.overflow(n), "overflow_timeout": lot.overflow(n),
        "overflow_closed": lot.overflow(n), "overflow_no_staff": lot.overflow(n),
    });
    if lot.below(3) > 0 {
        queue["backup_groups"] = json!([lot.group()]);
    }
    if strategy == Strategy::HighestSkill {
        queue["skills"] = json!(["roses:2"]);
    }
    if lot.below(4) == 0 {
        queue["wait_greeting"] = json!(format!("welcome{n}"));
    }
    if lot.below(3) == 0 {
        (queue["schedule"], queue["business_hours_id"]) = (json!(2), json!(lot.of(&["day", "night", "feast"])));
    }
    queue
}

fn caller(n: u64) -> String {
    format!("+7999000110{n}")
}

/// Who calls: clients with and without an owner, one who is on the blacklist for queues, one for IVRs, and an agent.
pub fn wide(agents: usize, seed: u64) -> Centre {
    let lot = &mut Lot(seed);
    let some = |lot: &mut Lot| agent(lot.below(agents as u64) as usize);
    let declared_agent = |n: usize| {
        let status = ["AVAILABLE", "AVAILABLE", "AVAILABLE", "NOT_AVAILABLE", "OFFLINE"][n % 5];
        json!({
            "id": agent(n), "name": format!("Agent {n}"), "extension": (1_000 + n).to_string(), "phone_number": format!("+7999100{n:04}"),
            "manual_status": status, "skills": [format!("roses:{}", 1 + n % 5)],
        })
    };
    let group = |lot: &mut Lot, g: u64| {
        // One of them is a single agent, one is nobody.
        let count = [1, 0].get(g as usize).copied().unwrap_or(2 + lot.below(agents as u64 / 2));
        let mut members: Vec<String> = (0..count).map(|_| some(lot)).collect();
        members.sort();
        members.dedup();
        json!({"id": format!("g{g}"), "name": format!("Group {g}"), "agents": members})
    };
    let keys = |lot: &mut Lot, tree: u64, node: u64| -> Vec<Value> {
        let mut keys = Vec::new();
        for key in ["1", "2", "3", "*", "#", "EMPTY_KEY", "INVALID_KEY"] {
            if lot.below(4) > 0 {
                keys.push(lot.key(tree, node, key));
            }
        }
        keys
    };
    let places: Vec<(u64, u64)> = (0..TREES).flat_map(|t| (0..NODES).map(move |n| (t, n))).collect();
    let node = |(t, n): &(u64, u64)| {
        json!({"id": format!("n{t}{n}"), "tree": format!("t{t}"), "node_name": format!("Node {t}.{n}"), "node_play_mode": if n % 2 == 0 { "talk" } else { "play" },
            "node_play_content": format!("node{t}{n}")})
    };
    let did = |n: u64| format!("+7495555{n:04}");
    let number = |lot: &mut Lot, n: u64| match n % 6 {
        0 => json!({"number": did(n), "queue": lot.queue()}),
        1 => json!({"number": did(n), "responsible": true, "queue": lot.queue()}),
        2 => json!({"number": did(n), "enable_ivr": true, "ivr_menu": format!("t{}", lot.below(TREES)), "queue": lot.queue()}),
        3 => json!({"number": did(n), "responsible": true, "queue": lot.queue()}),
        4 if n > 6 => json!({"number": did(n), "responsible": true}),
        _ => json!({"number": did(n), "queue": lot.queue()}),
    };
    let contact = |lot: &mut Lot, n: u64| {
        let mut contact = json!({"name": format!("Client {n}"), "phones": [caller(n)]});
        if n % 3 != 2 {
            contact["owner"] = json!(some(lot));
        }
        if n.is_multiple_of(2) {
            contact["deputy"] = json!(some(lot));
        }
        contact
    };
    let mut callers: Vec<String> = (0..9).map(caller).collect();
    callers.push(format!("+7999100{:04}", lot.below(agents as u64)));
    let value = json!({
        "id": APP, "name": "Centre", "pbx": "asterisk", "login": LOGIN, "country": "RU", "timezone": "Europe/Moscow",
        "asterisk": {"outside_device": "PJSIP/{number}@trunk"},
        "routing": {
            "responsible": (0..3 + lot.below(4)).map(|_| lot.step()).collect::<Vec<_>>(),
            "cool_down_s": {"no_answer": COOL_S, "busy": COOL_S, "rejected": COOL_S, "unreachable": COOL_S},
        },
        // The evening of a Wednesday; the Thursday is a holiday, on which the night before runs out and a span of its own begins.
        "business_hours": [
            {"id": "day", "name": "Day", "weekly": [{"day": 3, "from": "09:00", "to": "23:58"}, {"day": 4, "from": "00:00", "to": "24:00"}],
                "exceptions": [{"date": "2026-01-01", "closed": true}]},
            {"id": "night", "name": "Night", "weekly": [{"day": 3, "from": "22:00", "to": "00:03"}]},
            {"id": "feast", "name": "Feast", "weekly": [{"day": 4, "from": "00:00", "to": "24:00"}],
                "exceptions": [{"date": "2026-01-01", "from": "00:01", "to": "00:05"}]},
        ],
        "agent": (0..agents).map(declared_agent).collect::<Vec<_>>(), "group": (0..GROUPS).map(|g| group(lot, g)).collect::<Vec<_>>(),
        "queue": (0..QUEUES).map(|n| declared_queue(lot, n)).collect::<Vec<_>>(),
        "number": (0..12).map(|n| number(lot, n)).collect::<Vec<_>>(),
        "ivr_tree": (0..TREES).map(|t| if t == 0 { json!({"id": "t0", "tree_name": "Tree 0"}) } else {
            json!({"id": format!("t{t}"), "tree_name": format!("Tree {t}"), "root_node": format!("n{t}{}", lot.below(NODES))})
        }).collect::<Vec<_>>(),
        "ivr_node": places.iter().map(node).collect::<Vec<_>>(),
        "ivr_key": places.iter().flat_map(|(t, n)| keys(lot, *t, *n)).collect::<Vec<_>>(),
        "blacklist": [{"number": caller(7), "ivr_blocked": false}, {"number": caller(8), "queue_blocked": false}],
        "contact": (0..6).map(|n| contact(lot, n)).collect::<Vec<_>>(),
    });
    // From 23:56 of the Wednesday on, or within a few seconds of one of the edges.
    let begins_s = [0, 110, 230, 290, 410, 530].map(|s| 2 * 86_400 + 41_760 + s)[lot.below(6) as usize];
    let mut dids: Vec<String> = (0..12).map(did).collect();
    dids.push("+74955559999".into());
    Centre { spec: serde_json::from_value(value).expect("the wide centre's declaration"), people: agents, dids, callers, begins_s }
}
