//! The centres of the histories. The straight one: many agents in few groups each, a queue for each strategy, most of which share agents, and a
//! number for each queue. The [wide] one has every other door.

mod wide;

use hookflash::domain::spec::{Application, Strategy};
use serde_json::json;

pub use wide::wide;

/// What a history is lived in.
#[derive(Clone)]
pub struct Centre {
    pub spec: Application,
    pub people: usize,
    /// The numbers that are called, and who calls.
    pub dids: Vec<String>,
    pub callers: Vec<String>,
    /// When it begins, seconds after a house opens.
    pub begins_s: i64,
}

pub const APP: i64 = 809;
pub const LOGIN: &str = "centre";
/// Left alone after a refusal, seconds.
pub const COOL_S: i64 = 7;

pub fn agent(n: usize) -> String {
    format!("a{n:03}")
}

fn number(queue: usize) -> String {
    format!("+74955550{queue:03}")
}

fn queues() -> usize {
    Strategy::ALL.len() + 2
}

/// A third of the agents is on duty at the beginning.
pub fn straight(agents: usize) -> Centre {
    let strategies = Strategy::ALL;
    let draws = |q: usize| strategies.get(q).is_some_and(|s| matches!(s, Strategy::Random | Strategy::WeightedRandom));
    let agent = |n: usize| {
        let status = ["AVAILABLE", "NOT_AVAILABLE", "OFFLINE"][n % 3];
        json!({
            "id": agent(n), "name": format!("Agent {n}"), "extension": (1_000 + n).to_string(), "manual_status": status, "weight": 1 + n % 4,
            "skills": [format!("roses:{}", 1 + n % 5)],
        })
    };
    // The last tenth of the agents draws lots, and is in no other group.
    let shared = agents - agents / 10;
    let group = |q: usize| {
        let members: Vec<String> = match draws(q) {
            true => (shared..agents).filter(|n| n % 2 == q % 2).map(self::agent).collect(),
            false => (0..shared).filter(|n| n % queues() == q || (n * 7 + 3) % queues() == q).map(self::agent).collect(),
        };
        json!({"id": format!("g{q:02}"), "name": format!("Group {q}"), "agents": members})
    };
    let queue = |q: usize| {
        let strategy = strategies.get(q).copied().unwrap_or(Strategy::LongestIdle);
        let backup = if draws(q) || q % 2 == 1 { vec![] } else { vec![format!("g{:02}", (q + 3) % 6)] };
        let mut queue = json!({
            "id": format!("q{q:02}"), "name": format!("Queue {q}"), "strategy": strategy, "primary_groups": [format!("g{q:02}")],
            "backup_groups": backup, "route_to_backup_groups_after": 5, "wrap_up_time_limit": 4, "maximum_queue_size": 100,
            "maximum_queue_wait_time": 0, "wait_agent_answer_timeout": 12, "ring_at_once": 3, "ring_step_s": 4, "window_s": 600,
            "priority": if draws(q) { 0 } else { q % 3 }, "priority_age_s": 3,
        });
        if strategy == Strategy::HighestSkill {
            queue["skills"] = json!(["roses:2"]);
        }
        match q % 5 {
            1 => queue["maximum_queue_wait_time"] = json!(15),
            2 => queue["maximum_queue_size"] = json!(2),
            3 => queue["overflow_no_staff"] = json!("hangup"),
            _ => {}
        }
        if q == strategies.len() {
            (queue["schedule"], queue["business_hours_id"]) = (json!(2), json!("day"));
        }
        queue
    };
    let value = json!({
        "id": APP, "name": "Centre", "pbx": "asterisk", "login": LOGIN, "country": "RU", "timezone": "Europe/Moscow",
        "routing": {"responsible": [], "cool_down_s": {"no_answer": COOL_S, "busy": COOL_S, "rejected": COOL_S, "unreachable": COOL_S}},
        // It begins at 12:20 of a Monday, and closes 20 minutes later.
        "business_hours": [{"id": "day", "name": "Day", "weekly": [{"day": 1, "from": "09:00", "to": "12:40"}]}],
        "agent": (0..agents).map(agent).collect::<Vec<_>>(), "group": (0..queues()).map(group).collect::<Vec<_>>(),
        "queue": (0..queues()).map(queue).collect::<Vec<_>>(),
        "number": (0..queues()).map(|q| json!({"number": number(q), "queue": format!("q{q:02}")})).collect::<Vec<_>>(),
    });
    let spec = serde_json::from_value(value).expect("the centre's declaration");
    Centre { spec, people: agents, dids: (0..queues()).map(number).collect(), callers: vec!["+79990001101".into()], begins_s: 0 }
}
