//! What a day is made of: what a person may choose, and the application that follows from it.

use anyhow::Context;

use crate::domain::id;
use crate::domain::spec::{Application, Strategy};
use crate::domain::time::Timestamp;

/// When the day begins: 2026-01-05T08:00:00Z, a Monday.
pub(super) const BEGIN: Timestamp = Timestamp(1_767_600_000_000_000);
pub(super) const APP: i64 = 1;

/// What a person may choose.
#[derive(Clone, Debug)]
pub struct Plan {
    pub agents: usize,
    pub queues: usize,
    pub strategy: Strategy,
    pub calls_per_hour: f64,
    pub hours: f64,
    pub talk_s: f64,
    pub wrap_up_s: i64,
    /// How long a caller waits, on the mean.
    pub patience_s: f64,
    /// How long an agent takes to answer at the most.
    pub answer_s: f64,
    /// The parts of the offers that agents let ring out, and reject.
    pub ignored: f64,
    pub rejected: f64,
    pub answer_within_s: i64,
    pub poll_s: i64,
    pub seed: u64,
    /// The part of the occasions at which it is tried whether what must change nothing does so.
    pub probed: f64,
    pub chaos: Chaos,
}

/// What a PBX and a machine do wrong on some days.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chaos {
    /// The part of questions and events that come twice.
    pub twice: f64,
    /// The components are thrown away and opened anew after so many steps; 0: never.
    pub restart_every: u64,
}

/// The application: its agents in one group a queue; each queue has the group of the next one as backup. Every other queue goes first by a
/// point of priority, the first one does not.
pub(super) fn centre(plan: &Plan) -> anyhow::Result<Application> {
    let queues = plan.queues.max(1);
    let agent =
        |n: usize| serde_json::json!({"id": format!("agent-{n:04}"), "name": format!("Agent {n}"), "extension": (1_000 + n).to_string()});
    let group = |q: usize| {
        let members: Vec<String> = (0..plan.agents).filter(|n| n % queues == q).map(|n| format!("agent-{n:04}")).collect();
        serde_json::json!({"id": format!("g{q}"), "name": format!("Group {q}"), "agents": members})
    };
    let queue = |q: usize| {
        let backup: Vec<String> = if queues > 1 { vec![format!("g{}", (q + 1) % queues)] } else { Vec::new() };
        serde_json::json!({
            "id": format!("q{q}"), "name": format!("Queue {q}"), "strategy": plan.strategy, "primary_groups": [format!("g{q}")],
            "backup_groups": backup, "route_to_backup_groups_after": 20, "wrap_up_time_limit": plan.wrap_up_s, "maximum_queue_size": 1_000,
            "maximum_queue_wait_time": 0, "sla_answered_within": plan.answer_within_s,
            "priority": q % 2,
        })
    };
    let value = serde_json::json!({
        "id": APP, "name": "Contact centre", "pbx": "asterisk", "login": "centre", "asterisk": {"poll_s": plan.poll_s},
        "routing": {"responsible": []},
        "agent": (0..plan.agents).map(agent).collect::<Vec<_>>(), "group": (0..queues).map(group).collect::<Vec<_>>(),
        "queue": (0..queues).map(queue).collect::<Vec<_>>(),
        "number": (0..queues).map(|q| serde_json::json!({"number": number(q), "queue": format!("q{q}")})).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).context("the centre's declaration")
}

pub(super) fn number(queue: usize) -> String {
    format!("+7495555{queue:04}")
}

/// Our id of a call.
pub(super) fn id_of(call: usize) -> String {
    id::call_id(APP, &format!("call-{call}"))
}

pub(super) fn caller(call: usize) -> String {
    format!("+7999{:07}", call % 10_000_000)
}
