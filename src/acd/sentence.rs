//! Decisions of queues and chains in one sentence, as a supervisor would say it.

use crate::domain::decision::Candidate;
use crate::domain::queue::{Door, Strategy};
use crate::roster::App;

/// So many who cannot are told by name.
const TOLD: usize = 5;

/// `Queue Main`, `The step owner`.
pub fn place(app: &App, name: &str) -> String {
    let queue = name.strip_prefix("queue:").and_then(|id| app.spec.queue.iter().find(|q| q.id == id));
    queue.map_or_else(|| format!("The step {name}"), |q| format!("Queue {}", q.name))
}

fn who(app: &App, agent: &str) -> String {
    app.agent(agent).map_or(agent, |a| a.name.as_str()).to_owned()
}

/// `Ann Lee is on a call, Bob Ray is in wrap-up, and 3 more cannot`; empty when nobody was refused.
fn refused(app: &App, candidates: &[Candidate]) -> String {
    let all: Vec<String> = candidates.iter().filter(|c| !c.eligible).map(|c| format!("{} {}", who(app, &c.agent), c.reason)).collect();
    match all.len().saturating_sub(TOLD) {
        0 => all.join(", "),
        more => format!("{}, and {more} more cannot take it", all[..TOLD].join(", ")),
    }
}

fn because(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::LongestIdle => "free for the longest time",
        Strategy::RoundRobin => "next in turn",
        Strategy::TopDown => "the first who is free",
        Strategy::RingAll => "all who are free",
        Strategy::RingProgressively => "one after the other",
        Strategy::FewestCalls => "with the fewest calls",
        Strategy::LeastTalkTime => "with the least talk time",
        Strategy::Random | Strategy::WeightedRandom => "drawn by lot",
        Strategy::HighestSkill => "the best at it",
    }
}

pub fn rings(app: &App, stage: &str, strategy: Strategy, agents: &[String], candidates: &[Candidate]) -> String {
    let names: Vec<String> = agents.iter().map(|a| who(app, a)).collect();
    let others = refused(app, candidates);
    let others = if others.is_empty() { String::new() } else { format!("; {others}") };
    format!("{} rings {} ({}){others}.", place(app, stage), names.join(", "), because(strategy))
}

pub fn waits(app: &App, stage: &str, ahead: i64, candidates: &[Candidate]) -> String {
    let others = refused(app, candidates);
    let why = if others.is_empty() { "it has no agents".to_owned() } else { others };
    match stage.starts_with("queue:") {
        true => format!("{} lets the caller wait as number {}: {why}.", place(app, stage), ahead + 1),
        false => format!("{} lets the caller wait: {why}.", place(app, stage)),
    }
}

pub fn leaves(app: &App, queue: &str, door: Door, to: &str) -> String {
    let why = match door {
        Door::Full => "has no room for another caller",
        Door::Timeout => "has let the caller wait for as long as it may",
        Door::Closed => "is closed at this hour",
        Door::NoStaff => "has nobody on duty",
    };
    format!("{} {why}; the call goes to {to}.", place(app, &format!("queue:{queue}")))
}

pub fn nobody(app: &App, stage: &str, candidates: &[Candidate]) -> String {
    let others = refused(app, candidates);
    let why = if others.is_empty() { "names nobody for this caller".to_owned() } else { format!("finds nobody: {others}") };
    format!("{} {why}.", place(app, stage))
}
