//! Who can take a call: pure rules over agents' states. No clock, no store, no chance.
//!
//! [`step`] turns one step of an application's responsible chain into a list of agents; [`evaluate`] looks at the list and says of each
//! agent whether he can take the call, with the first reason that fails. That is for PBXs that ask once. [`choose`] does both for calls that
//! wait: levels, strategies, who was tried. [`entrance`] says where a caller begins, and where the keys of an IVR lead.

pub mod choose;
pub mod entrance;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::agent::{AgentState, ManualStatus, Reachability, Refusal};
use crate::domain::decision::Candidate;
use crate::domain::spec::{Agent, Application, Queue, StepDecl};
use crate::domain::time::Timestamp;

/// One step of the chain for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As it is declared: `owner`, `group:sales`.
    pub name: String,
    pub agents: Vec<String>,
    /// A person was named (owner, deputy, last agent), not anybody of a group.
    pub personal: bool,
}

/// What is known of who is responsible for a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub owner: Option<String>,
    pub deputy: Option<String>,
    pub last_agent: Option<String>,
}

/// One step of an application's chain as it is for one caller; `None` when it names nobody.
pub fn step(app: &Application, decl: &StepDecl, known: &Known) -> Option<Step> {
    let (personal, agents) = match decl.to().split_once(':') {
        None => (true, person(known, decl.to()).iter().cloned().collect()),
        Some(("group", id)) => (false, members(app, std::slice::from_ref(&id.to_owned()))),
        Some(("queue", id)) => (false, app.queue.iter().find(|q| q.id == id).map(|q| queue_agents(app, q)).unwrap_or_default()),
        Some(_) => (false, Vec::new()),
    };
    (!agents.is_empty()).then(|| Step { name: decl.to().to_owned(), agents, personal })
}

fn person<'k>(known: &'k Known, word: &str) -> &'k Option<String> {
    match word {
        "owner" => &known.owner,
        "deputy" => &known.deputy,
        "last_agent" => &known.last_agent,
        _ => &None,
    }
}

/// The primary groups' agents; the backup groups' where there is no primary one. Which of them are free is seen later.
fn queue_agents(app: &Application, queue: &Queue) -> Vec<String> {
    let mut agents = members(app, &queue.primary_groups);
    for more in members(app, &queue.backup_groups) {
        if !agents.contains(&more) {
            agents.push(more);
        }
    }
    agents
}

fn members(app: &Application, groups: &[String]) -> Vec<String> {
    let mut agents = Vec::new();
    for group in app.group.iter().filter(|g| groups.contains(&g.id)) {
        for agent in &group.agents {
            if !agents.contains(agent) {
                agents.push(agent.clone());
            }
        }
    }
    agents
}

/// What the eligibility of an agent depends on, beside his own state.
pub struct Call<'a> {
    /// The caller in E.164.
    pub caller: &'a str,
    /// Agents that this call has tried.
    pub tried: &'a BTreeSet<String>,
    /// Whether the application wants agents whom the PBX's queues ring, too.
    pub only_reachable: bool,
    pub now: Timestamp,
}

/// The first reason for which an agent cannot take the call; `None`: he can.
pub fn refusal(agent: &Agent, state: &AgentState, call: &Call<'_>) -> Option<Refusal> {
    refusal_on(agent, state, call, agent.extension.is_some())
}

/// [`refusal`] where it was seen already whether the PBX has something to ring for him.
pub fn refusal_on(agent: &Agent, state: &AgentState, call: &Call<'_>, reachable: bool) -> Option<Refusal> {
    let now = call.now;
    if state.talking > 0 {
        Some(Refusal::OnCall)
    } else if state.ringing > 0 {
        Some(Refusal::Ringing)
    } else if state.live_claim(now).is_some() {
        Some(Refusal::Reserved)
    } else if state.wrap_until > now {
        Some(Refusal::WrapUp)
    } else if let Some(refusal) = manual(state) {
        Some(refusal)
    } else if state.phone_is_away() && agent.line() == agent.extension.as_deref() {
        Some(Refusal::PhoneAway)
    } else if call.only_reachable && state.reachability().0 == Reachability::Offline {
        Some(Refusal::LoggedOut)
    } else if call.tried.contains(&agent.id) {
        Some(Refusal::Tried)
    } else if state.cool_until > now {
        Some(Refusal::CoolingDown(state.cool_cause))
    } else if !reachable {
        Some(Refusal::NoExtension)
    } else if agent.phone_number.as_deref() == Some(call.caller) {
        Some(Refusal::IsTheCaller)
    } else {
        None
    }
}

/// A queued next status is as good as set: no work is in hand when this is asked.
fn manual(state: &AgentState) -> Option<Refusal> {
    let (status, reason) = match &state.next_status {
        Some((status, reason)) => (*status, reason),
        None => (state.manual_status, &state.manual_reason),
    };
    match status {
        ManualStatus::Available if state.next_status.is_some() => Some(Refusal::NotAvailable(Some("coming back".into()))),
        ManualStatus::Available => None,
        ManualStatus::NotAvailable => Some(Refusal::NotAvailable(reason.clone())),
        ManualStatus::Offline => Some(Refusal::Offline),
    }
}

/// What a step came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Everybody who was looked at, in order.
    pub candidates: Vec<Candidate>,
    /// Those who can take the call, the best first: in the order named, or in a group the longest idle first (then by id).
    pub eligible: Vec<String>,
}

/// Looks at one step. Agents that the application no longer has, or that have no state, are left out with that reason.
pub fn evaluate(app: &dyn Fn(&str) -> Option<Agent>, step: &Step, states: &[AgentState], call: &Call<'_>) -> Evaluated {
    let by_id: BTreeMap<&str, &AgentState> = states.iter().map(|s| (s.agent.as_str(), s)).collect();
    let mut order: Vec<&String> = step.agents.iter().collect();
    if !step.personal {
        order.sort_by_key(|id| (by_id.get(id.as_str()).map_or(Timestamp(i64::MAX), |s| s.idle_since()), id.as_str()));
    }
    let mut result = Evaluated::default();
    for id in order {
        let (eligible, reason) = match (app(id), by_id.get(id.as_str())) {
            (Some(agent), Some(state)) => match refusal(&agent, state, call) {
                None => (true, "is free".to_owned()),
                Some(refusal) => (false, refusal.sentence()),
            },
            _ => (false, "is not an agent of this application any more".to_owned()),
        };
        if eligible {
            result.eligible.push(id.clone());
        }
        result.candidates.push(Candidate { agent: id.clone(), step: step.name.clone(), eligible, reason });
    }
    result
}
