//! Who can take a call: pure rules over agents' states. No clock, no store, no chance.
//!
//! One engine answers PBXs that ask once and those whose calls wait. [`stage`] turns one step of an application's responsible chain into a
//! stage: whom to look at, in which order. [`choose`] looks at a stage (levels, strategies, who was tried) and says of each agent whether he
//! can take the call, with the first reason that fails. [`entrance`] says where a caller begins, and where the keys of an IVR lead.
//! [`record`] keeps what a choice was made from, and makes it again.

pub mod choose;
pub mod entrance;
pub mod record;

use std::collections::HashSet;

use crate::domain::agent::{AgentState, ManualStatus, Reachability, Refusal};
use crate::domain::spec::{Agent, Application, StepDecl};
use crate::domain::time::Timestamp;
use choose::{Seeker, Stage};

/// What is known of who is responsible for a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub owner: Option<String>,
    pub deputy: Option<String>,
    pub last_agent: Option<String>,
}

/// One step of an application's chain as it is for one caller; `None` when it names nobody.
pub fn stage(app: &Application, decl: &StepDecl, known: &Known, now: Timestamp) -> Option<Stage> {
    let stage = match decl.to().split_once(':') {
        None => Stage::persons(decl.to(), person(known, decl.to()).iter().cloned().collect()),
        Some(("group", id)) => Stage::group(decl.to(), members(app, std::slice::from_ref(&id.to_owned()))),
        Some(("queue", id)) => Stage::queue(app, app.queue.iter().find(|q| q.id == id)?, now),
        Some(_) => return None,
    };
    let names_somebody = stage.agents().next().is_some();
    names_somebody.then_some(stage)
}

fn person<'k>(known: &'k Known, word: &str) -> &'k Option<String> {
    match word {
        "owner" => &known.owner,
        "deputy" => &known.deputy,
        "last_agent" => &known.last_agent,
        _ => &None,
    }
}

fn members(app: &Application, groups: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let of_groups = app.group.iter().filter(|g| groups.contains(&g.id)).flat_map(|g| &g.agents);
    of_groups.filter(|agent| seen.insert(agent.as_str())).cloned().collect()
}

/// The first reason for which an agent cannot take the call; `None`: he can. `tried`: the call has tried him, and does not come back to him.
pub fn refusal(agent: &Agent, state: &AgentState, call: &Seeker<'_>, tried: bool) -> Option<Refusal> {
    let line = if call.extensions_only { agent.extension.as_deref() } else { agent.line() };
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
    } else if state.phone_is_away() && line.is_some() && line == agent.extension.as_deref() {
        Some(Refusal::PhoneAway)
    } else if call.only_reachable && state.reachability().0 == Reachability::Offline {
        Some(Refusal::LoggedOut)
    } else if tried {
        Some(Refusal::Tried)
    } else if state.cool_until > now {
        Some(Refusal::CoolingDown(state.cool_cause))
    } else if line.is_none() {
        Some(Refusal::NoExtension)
    } else if is_the_caller(agent, call.caller) {
        Some(Refusal::IsTheCaller)
    } else {
        None
    }
}

/// An agent who cannot take the call now may do so later: he has a line to be rung on, and is not the caller himself.
pub fn may_later(agent: &Agent, caller: &str) -> bool {
    agent.line().is_some() && !is_the_caller(agent, caller)
}

fn is_the_caller(agent: &Agent, caller: &str) -> bool {
    [&agent.phone_number, &agent.extension].into_iter().any(|own| own.as_deref() == Some(caller))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::agent::QueueLogin;

    const NOW: Timestamp = Timestamp(1_767_000_000_000_000);

    fn app() -> Application {
        let agent = |id: &str| serde_json::json!({"id": id, "name": id, "extension": format!("10{id}"), "phone_number": "+79990000001"});
        let agents = ["a", "b", "c"].map(agent);
        let value = serde_json::json!({
            "id": 1, "name": "A", "pbx": "asterisk", "login": "a", "agent": agents,
            "group": [{"id": "one", "name": "One", "agents": ["b", "c"]}, {"id": "two", "name": "Two", "agents": ["c", "a"]}],
            "queue": [{"id": "q", "name": "Q", "primary_groups": ["one"], "backup_groups": ["one", "two"]}],
        });
        serde_json::from_value(value).expect("an application")
    }

    #[test]
    fn a_step_of_the_chain_names_whom_it_says_each_once() {
        let known = Known { owner: Some("a".into()), deputy: Some("b".into()), last_agent: Some("c".into()) };
        let named = |to: &str, known: &Known| {
            let stage = stage(&app(), &StepDecl::Plain(to.into()), known, NOW)?;
            Some(stage.agents().cloned().collect::<Vec<_>>())
        };
        let who = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(named("owner", &known), who(&["a"]));
        assert_eq!(named("deputy", &known), who(&["b"]));
        assert_eq!(named("last_agent", &known), who(&["c"]));
        assert_eq!(named("group:two", &known), who(&["c", "a"]));
        assert_eq!(named("queue:q", &known), who(&["b", "c", "a"]), "who is in both is asked in the first level");
        for nobody in ["owner", "number:+79990000002", "queue:none", "group:none"] {
            assert_eq!(named(nobody, &Known::default()), None, "{nobody}");
        }
    }

    #[test]
    fn whoever_has_no_line_or_calls_himself_can_never_be_rung() {
        let ann = app().agent[0].clone();
        let nowhere = Agent { extension: None, ..ann.clone() };
        assert!(may_later(&ann, "+79990001101"));
        assert!(!may_later(&ann, "+79990000001") && !may_later(&ann, "10a"), "he calls himself");
        assert!(!may_later(&nowhere, "+79990001101"), "he has no phone");
    }

    #[test]
    fn a_phone_that_is_away_matters_to_whoever_is_rung_on_it() {
        let app = app();
        let tries = Default::default();
        let call = Seeker {
            caller: "+79990001101",
            tries: &tries,
            waited_us: 0,
            seed: "",
            only_reachable: false,
            extensions_only: false,
            now: NOW,
        };
        let state = AgentState { queue_login: Some((QueueLogin::Unreachable, NOW)), ..AgentState::new("a", ManualStatus::Available, NOW) };
        assert_eq!(refusal(&app.agent[0], &state, &call, false), Some(Refusal::PhoneAway));
        let mobile = Agent { routing_type: 2, ..app.agent[0].clone() };
        assert_eq!(refusal(&mobile, &state, &call, false), None, "he is rung on another phone");
        assert_eq!(refusal(&mobile, &state, &Seeker { only_reachable: true, ..call }, false), Some(Refusal::LoggedOut));
    }
}
