//! What a choice was made from, kept with the decision; and the same choice made again from that.
//!
//! A record is made of what [`choose`] was given, as it was given. It is bounded: of a stage with more than [`MOST`] agents those are kept who
//! were told of first (the choice is among them) and, of each level, one on duty and one logged in, so that the levels open as they did. The
//! choice from what is kept is the choice from everybody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::choose::{Choice, People, Seeker, Stage, Tally, choose, is_zero};
use super::entrance::{Gate, door};
use crate::domain::agent::{AgentState, Claim, CoolDown, ManualStatus, QueueLogin};
use crate::domain::decision::Candidate;
use crate::domain::queue::{Door, Strategy};
use crate::domain::spec::Agent;
use crate::domain::time::Timestamp;

/// So many agents of a stage are kept, and told of, at the most.
pub const MOST: usize = 50;

/// One look at a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    pub stage: Stage,
    pub now: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    seed: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    waited_us: i64,
    #[serde(default, skip_serializing_if = "is_no")]
    only_reachable: bool,
    #[serde(default, skip_serializing_if = "is_no")]
    extensions_only: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    people: Vec<Person>,
    /// Kept for callers who have waited longer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    kept: BTreeSet<String>,
    /// Were free, and taken by other calls before they could be claimed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    taken: BTreeSet<String>,
    /// Ring for this call already, and go on ringing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ringing: Vec<String>,
    /// The call went on from here: nobody was rung, free or not.
    #[serde(default, skip_serializing_if = "is_no")]
    over: bool,
    /// What the queue's doors were judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// What matters of an agent: of his declaration, his state, what he has done lately, and with this call. What is absent is nothing, or never.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Person {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "is_app")]
    own_phone: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skills: Vec<String>,
    #[serde(skip_serializing_if = "is_zero32")]
    weight: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<(ManualStatus, Option<String>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<(ManualStatus, Option<String>)>,
    #[serde(skip_serializing_if = "is_zero32")]
    ringing: i32,
    #[serde(skip_serializing_if = "is_zero32")]
    talking: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_never")]
    wrap_until: Timestamp,
    #[serde(skip_serializing_if = "is_never")]
    cool_until: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    cool_cause: Option<CoolDown>,
    #[serde(skip_serializing_if = "is_never")]
    offered: Timestamp,
    #[serde(skip_serializing_if = "is_never")]
    engaged: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<QueueLogin>,
    #[serde(skip_serializing_if = "is_zero")]
    calls: i64,
    #[serde(skip_serializing_if = "is_zero")]
    talk_us: i64,
    #[serde(skip_serializing_if = "is_zero32u")]
    tries: u32,
}

fn is_no(b: &bool) -> bool {
    !b
}

fn is_app(own_phone: &bool) -> bool {
    !own_phone
}

fn is_zero32(n: &i32) -> bool {
    *n == 0
}

fn is_zero32u(n: &u32) -> bool {
    *n == 0
}

fn is_never(t: &Timestamp) -> bool {
    t.0 == 0
}

/// What a record comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Of every look, in order.
    pub candidates: Vec<Candidate>,
    /// Who is named: those of the last look.
    pub agents: Vec<String>,
    /// The doors by which the call left queues on its way.
    pub doors: Vec<Door>,
}

impl Look {
    /// Keeps a look and what it came to, those left out that are kept for callers who have waited longer.
    pub fn new(stage: &Stage, people: &People<'_>, seeker: &Seeker<'_>, choice: &Choice, for_older: &BTreeSet<String>) -> Look {
        let kept = worth_keeping(stage, people, choice);
        let mut stage = stage.clone();
        if let Some(kept) = &kept {
            stage.levels.iter_mut().for_each(|level| level.agents.retain(|a| kept.contains(a.as_str())));
        }
        let draws = matches!(stage.strategy, Strategy::Random | Strategy::WeightedRandom);
        let of = |id: &String| -> Option<Person> {
            let agent = (people.agent)(id)?;
            let counts = people.tallies.get(id).copied().unwrap_or_default();
            let tries = seeker.tries.get(id).copied().unwrap_or(0);
            match people.states.get(id) {
                Some(state) => Some(Person::new(agent, state, counts, tries)),
                None if stage.regardless => Some(Person { id: id.clone(), extension: agent.extension.clone(), ..Person::default() }),
                None => None,
            }
        };
        Look {
            now: seeker.now,
            seed: if draws { seeker.seed.to_owned() } else { String::new() },
            waited_us: seeker.waited_us,
            only_reachable: seeker.only_reachable,
            extensions_only: seeker.extensions_only,
            people: stage.agents().filter_map(of).collect(),
            kept: stage.agents().filter(|a| for_older.contains(*a)).cloned().collect(),
            taken: BTreeSet::new(),
            ringing: Vec::new(),
            over: false,
            gate: None,
            stage,
        }
    }

    /// This one was free, and was taken by another call.
    pub fn taken(&mut self, agent: &str) {
        self.taken.insert(agent.to_owned());
    }

    /// These ring for the call already.
    pub fn ringing(&mut self, agents: Vec<String>) {
        self.ringing = agents;
    }

    /// The call goes on from here, and rings nobody.
    pub fn over(&mut self) {
        self.over = true;
    }

    fn again(&self, caller: &str) -> (Choice, Vec<String>) {
        let of = |p: &Person| (p.id.clone(), p.agent());
        let agents: HashMap<String, Agent> = self.people.iter().map(of).collect();
        let states = self.people.iter().map(|p| (p.id.clone(), p.state())).collect();
        let tallies = self.people.iter().map(|p| (p.id.clone(), Tally { calls: p.calls, talk_us: p.talk_us })).collect();
        let tries: BTreeMap<String, u32> = self.people.iter().map(|p| (p.id.clone(), p.tries)).collect();
        let seeker = Seeker {
            caller,
            tries: &tries,
            waited_us: self.waited_us,
            seed: &self.seed,
            only_reachable: self.only_reachable,
            extensions_only: self.extensions_only,
            now: self.now,
        };
        let mut choice = choose(&self.stage, &People { agent: &|id| agents.get(id), states: &states, tallies: &tallies }, &seeker);
        keep(&mut choice, &self.kept);
        rings(&mut choice, &self.ringing);
        let named = self.named(&choice);
        for agent in &self.taken {
            take(&mut choice, agent);
        }
        (choice, named)
    }

    fn named(&self, choice: &Choice) -> Vec<String> {
        let at_once = self.stage.at_once();
        let free = |a: &&String| !self.taken.contains(*a);
        if self.over {
            return Vec::new();
        }
        if !self.ringing.is_empty() {
            let room = self.ringing.len() < self.stage.ring_at_once;
            return self.ringing.iter().chain(choice.eligible.iter().filter(free).take(usize::from(room))).cloned().collect();
        }
        match at_once {
            1 => choice.eligible.iter().find(free).into_iter().cloned().collect(),
            // Those who were chosen together and are lost are not made up for.
            _ => choice.eligible.iter().take(at_once).filter(free).cloned().collect(),
        }
    }
}

/// Leaves these to callers who have waited longer.
pub fn keep(choice: &mut Choice, kept: &BTreeSet<String>) {
    for candidate in choice.candidates.iter_mut().filter(|c| c.eligible && kept.contains(&c.agent)) {
        (candidate.eligible, candidate.reason) = (false, "is kept for a caller who has waited longer".into());
    }
    choice.eligible.retain(|a| !kept.contains(a));
}

/// These ring for this very call.
pub fn rings(choice: &mut Choice, ringing: &[String]) {
    for candidate in choice.candidates.iter_mut().filter(|c| ringing.contains(&c.agent)) {
        (candidate.eligible, candidate.reason) = (true, "rings already".into());
    }
}

/// Another call was quicker with this one.
pub fn take(choice: &mut Choice, agent: &str) {
    choice.candidates.iter_mut().filter(|c| c.agent == agent && c.eligible).for_each(taken);
    choice.eligible.retain(|a| a != agent);
}

pub fn taken(candidate: &mut Candidate) {
    (candidate.eligible, candidate.reason) = (false, "was taken by another call at the same instant".into());
}

/// Of a large stage, whom to keep; `None`: everybody.
fn worth_keeping<'c>(stage: &'c Stage, people: &People<'_>, choice: &'c Choice) -> Option<BTreeSet<&'c str>> {
    if choice.candidates.len() <= MOST {
        return None;
    }
    let mut kept: BTreeSet<&str> = choice.candidates.iter().take(MOST).map(|c| c.agent.as_str()).collect();
    kept.extend(choice.eligible.iter().take(MOST).map(String::as_str));
    for level in &stage.levels {
        let first = |is: fn(&AgentState) -> bool| level.agents.iter().find(|a| people.states.get(*a).is_some_and(is));
        kept.extend(
            [first(|s| s.chosen_status() == ManualStatus::Available), first(|s| s.manual_status != ManualStatus::Offline)]
                .into_iter()
                .flatten()
                .map(String::as_str),
        );
    }
    Some(kept)
}

/// The looks of a decision as they are stored.
pub fn write(looks: &[Look]) -> String {
    if looks.is_empty() { String::new() } else { serde_json::to_string(looks).unwrap_or_default() }
}

/// Makes a decision again from what was stored; `None`: no agents were looked at, or a newer version wrote it.
pub fn replay(caller: &str, inputs: &str) -> Option<Replayed> {
    let looks: Vec<Look> = serde_json::from_str(inputs).ok()?;
    let mut replayed = Replayed::default();
    for look in &looks {
        let (choice, named) = look.again(caller);
        replayed.candidates.extend(choice.candidates.into_iter().take(MOST));
        replayed.agents = named;
        replayed.doors.extend(look.gate.as_ref().and_then(door));
    }
    Some(replayed)
}

impl Person {
    fn new(agent: &Agent, state: &AgentState, tally: Tally, tries: u32) -> Person {
        let on_duty = state.manual_status == ManualStatus::Available && state.manual_reason.is_none();
        Person {
            id: agent.id.clone(),
            extension: agent.extension.clone(),
            phone_number: agent.phone_number.clone(),
            own_phone: agent.routing_type == 2,
            skills: agent.skills.clone(),
            weight: if agent.weight == 1 { 0 } else { agent.weight },
            status: (!on_duty).then(|| (state.manual_status, state.manual_reason.clone())),
            next: state.next_status.clone(),
            ringing: state.ringing,
            talking: state.talking,
            claimed_until: state.claim.as_ref().map(|c| c.until),
            wrap_until: state.wrap_until,
            cool_until: state.cool_until,
            cool_cause: state.cool_cause,
            offered: state.last_offered_at,
            engaged: state.engaged_since,
            login: state.queue_login.map(|(login, _)| login),
            calls: tally.calls,
            talk_us: tally.talk_us,
            tries,
        }
    }

    fn agent(&self) -> Agent {
        Agent {
            id: self.id.clone(),
            name: self.id.clone(),
            extension: self.extension.clone(),
            phone_number: self.phone_number.clone(),
            routing_type: if self.own_phone { 2 } else { 1 },
            manual_status: ManualStatus::Available,
            skills: self.skills.clone(),
            weight: self.weight.max(1),
            crm_user: None,
        }
    }

    fn state(&self) -> AgentState {
        let (manual_status, manual_reason) = self.status.clone().unwrap_or((ManualStatus::Available, None));
        AgentState {
            manual_status,
            manual_reason,
            next_status: self.next.clone(),
            ringing: self.ringing,
            talking: self.talking,
            claim: self.claimed_until.map(|until| Claim { call: String::new(), until }),
            wrap_until: self.wrap_until,
            cool_until: self.cool_until,
            cool_cause: self.cool_cause,
            last_offered_at: self.offered,
            engaged_since: self.engaged,
            queue_login: self.login.map(|login| (login, Timestamp(0))),
            ..AgentState::new(self.id.clone(), ManualStatus::Available, Timestamp(0))
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
