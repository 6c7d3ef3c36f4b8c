//! Who of a queue's agents gets a call: the levels that are open, the strategy's order, and of each agent the first reason that fails.
//!
//! The order is always total: how often this call has tried the agent, his level, the strategy's key, when he was last offered a call, his
//! id. "Tried" leads it, so that a call rings nobody again while somebody untried is free, and begins anew when nobody is left. Chance
//! comes from a seed that is recorded with the decision: the same inputs give the same choice.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{entrance, refusal};
use crate::domain::agent::{AgentState, ManualStatus};
use crate::domain::decision::Candidate;
use crate::domain::id;
use crate::domain::queue::{BackupMode, Queue, Strategy, skill};
use crate::domain::spec::{Agent, Application};
use crate::domain::time::Timestamp;

/// Where a call looks for an agent: a queue, or one step of the responsible chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// As candidates are told of it: `queue:main`, `owner`.
    pub name: String,
    /// Whom to ask first, and whom after a wait.
    pub levels: Vec<Level>,
    #[serde(default = "widen", skip_serializing_if = "is_widen")]
    pub mode: BackupMode,
    pub strategy: Strategy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// How many ring together at the most, where the strategy rings several.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ring_at_once: usize,
    /// Outside business hours: nobody is offered.
    #[serde(default, skip_serializing_if = "is_no")]
    pub closed: bool,
    /// When everybody was tried the round begins anew. A chain goes on instead.
    #[serde(default, skip_serializing_if = "is_no")]
    pub again: bool,
    /// Its agents are named whatever their state, which is not even read.
    #[serde(default, skip_serializing_if = "is_no")]
    pub regardless: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    pub agents: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after_s: i64,
}

fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

fn is_no(b: &bool) -> bool {
    !b
}

pub(super) fn is_zero(n: &i64) -> bool {
    *n == 0
}

fn widen() -> BackupMode {
    BackupMode::Widen
}

fn is_widen(mode: &BackupMode) -> bool {
    *mode == BackupMode::Widen
}

impl Stage {
    /// A queue's groups as levels, closed or not as it is at `now`. Who is in two is in the earlier one.
    pub fn queue(app: &Application, queue: &Queue, now: Timestamp) -> Stage {
        let primary = super::members(app, &queue.primary_groups);
        let mut backup = super::members(app, &queue.backup_groups);
        if !backup.is_empty() {
            let first: HashSet<&str> = primary.iter().map(String::as_str).collect();
            backup.retain(|agent| !first.contains(agent.as_str()));
        }
        let mut levels = vec![Level { agents: primary, after_s: 0 }];
        if !backup.is_empty() {
            levels.push(Level { agents: backup, after_s: queue.route_to_backup_groups_after });
        }
        Stage {
            levels,
            mode: queue.backup_mode,
            strategy: queue.strategy,
            skills: queue.skills.clone(),
            ring_at_once: queue.ring_at_once.max(1) as usize,
            closed: !entrance::is_open(app, queue, now),
            again: true,
            ..Stage::of(format!("queue:{}", queue.id), Vec::new())
        }
    }

    /// Persons who are named, in this order.
    pub fn persons(name: &str, agents: Vec<String>) -> Stage {
        Stage { strategy: Strategy::TopDown, ..Stage::of(name.to_owned(), agents) }
    }

    /// Anybody of a group: who is idle longest.
    pub fn group(name: &str, agents: Vec<String>) -> Stage {
        Stage::of(name.to_owned(), agents)
    }

    fn of(name: String, agents: Vec<String>) -> Stage {
        Stage {
            name,
            levels: vec![Level { agents, after_s: 0 }],
            mode: BackupMode::Widen,
            strategy: Strategy::LongestIdle,
            skills: Vec::new(),
            ring_at_once: 1,
            closed: false,
            again: false,
            regardless: false,
        }
    }

    pub fn agents(&self) -> impl Iterator<Item = &String> {
        self.levels.iter().flat_map(|level| &level.agents)
    }

    /// How many agents one offer rings.
    pub fn at_once(&self) -> usize {
        if self.strategy == Strategy::RingAll { self.ring_at_once } else { 1 }
    }
}

/// What an agent has done lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: i64,
    pub talk_us: i64,
}

/// The people as they are now.
pub struct People<'a> {
    pub agent: &'a dyn Fn(&str) -> Option<&'a Agent>,
    pub states: &'a HashMap<String, AgentState>,
    /// Of the queue's window; empty where the strategy does not count.
    pub tallies: &'a HashMap<String, Tally>,
}

/// One call that looks for an agent.
pub struct Seeker<'a> {
    pub caller: &'a str,
    /// How often it has tried each agent in vain.
    pub tries: &'a BTreeMap<String, u32>,
    pub waited_us: i64,
    /// What chance is drawn from.
    pub seed: &'a str,
    /// Whom the PBX says to be logged out is not asked.
    pub only_reachable: bool,
    /// The PBX can be told an extension only, no outside number.
    pub extensions_only: bool,
    pub now: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Everybody who was looked at: those who can take the call in their order, then the others.
    pub candidates: Vec<Candidate>,
    pub eligible: Vec<String>,
    /// Refused by the stage and not for anything of their own: another stage may ring them.
    pub only_here: BTreeSet<String>,
    /// Somebody of some level is on duty: free, or busy with another call.
    pub staffed: bool,
}

/// Looks at everybody of a stage.
pub fn choose(stage: &Stage, people: &People<'_>, seeker: &Seeker<'_>) -> Choice {
    let open = open_levels(stage, people, seeker.waited_us);
    if stage.regardless {
        return regardless(stage, people);
    }
    let (mut free, mut refused) = (Vec::new(), Vec::new());
    let mut only_here = BTreeSet::new();
    let mut staffed = false;
    for (level, place, id) in
        stage.levels.iter().enumerate().flat_map(|(l, level)| level.agents.iter().enumerate().map(move |(n, a)| (l, n, a)))
    {
        let known = (people.agent)(id).zip(people.states.get(id));
        staffed |= known.is_some_and(|(_, state)| on_duty(state));
        let tries = seeker.tries.get(id).copied().unwrap_or(0);
        let own = match known {
            None => Some("is not an agent of this application any more".to_owned()),
            Some(_) if stage.closed => None,
            Some((agent, state)) => refusal(agent, state, seeker, tries > 0 && !stage.again).map(|r| r.sentence()),
        };
        let of_stage = match known {
            Some((agent, _)) if own.is_none() => refusal_of(stage, agent, level, &open),
            _ => None,
        };
        if of_stage.is_some() {
            only_here.insert(id.clone());
        }
        let reason = own.or(of_stage);
        match (reason, known) {
            (None, Some((agent, state))) => {
                let key = key(stage, agent, people, place, seeker.seed, state);
                free.push(((tries, level, key, state.last_offered_at, id.clone()), tries));
            }
            (reason, _) => refused.push(candidate(stage, id, false, reason.unwrap_or_default())),
        }
    }
    free.sort();
    let fewest = free.first().map_or(0, |(_, tries)| *tries);
    let mut choice = Choice { staffed, only_here, ..Choice::default() };
    for ((.., id), tries) in free {
        // Whoever was tried already is asked again only when nobody else is left.
        if tries > fewest {
            choice.candidates.push(candidate(stage, &id, false, "was tried by this call already".into()));
        } else {
            choice.candidates.push(candidate(stage, &id, true, "is free".into()));
            choice.eligible.push(id);
        }
    }
    choice.candidates.extend(refused);
    choice
}

/// The application wants the responsible person named, free or not.
fn regardless(stage: &Stage, people: &People<'_>) -> Choice {
    let named = |id: &&String| (people.agent)(id).is_some_and(|a| a.extension.is_some());
    let eligible: Vec<String> = stage.agents().filter(named).cloned().collect();
    let candidates = eligible.iter().map(|id| candidate(stage, id, true, "is named whatever his state".into())).collect();
    Choice { candidates, eligible, staffed: true, ..Choice::default() }
}

fn candidate(stage: &Stage, agent: &str, eligible: bool, reason: String) -> Candidate {
    Candidate { agent: agent.to_owned(), step: stage.name.clone(), eligible, reason }
}

/// He takes calls, now or when the one in hand is over.
fn on_duty(state: &AgentState) -> bool {
    state.next_status.as_ref().map_or(state.manual_status, |(next, _)| *next) == ManualStatus::Available
}

/// Which levels are asked now (routing reference, section 3, "Group routing").
fn open_levels(stage: &Stage, people: &People<'_>, waited_us: i64) -> Vec<bool> {
    let any = |level: &Level, is: fn(&AgentState) -> bool| level.agents.iter().any(|a| people.states.get(a).is_some_and(is));
    let logged_in = |state: &AgentState| state.manual_status != ManualStatus::Offline;
    let mut open = vec![false; stage.levels.len()];
    let mut served = false;
    for (i, level) in stage.levels.iter().enumerate() {
        open[i] = i == 0 || !served || waited_us >= level.after_s.saturating_mul(1_000_000);
        // A level where nobody is logged in takes nothing over.
        if open[i] && stage.mode == BackupMode::Replace && any(level, logged_in) {
            open[..i].fill(false);
        }
        served |= any(level, on_duty);
    }
    open
}

/// Why the stage does not ring one who could take the call.
fn refusal_of(stage: &Stage, agent: &Agent, level: usize, open: &[bool]) -> Option<String> {
    if stage.closed {
        return Some("works for a queue that is closed at this hour".into());
    }
    let lacks = lacks(agent, &stage.skills).map(|skill| format!("lacks the skill {skill}"));
    lacks.or_else(|| (!open[level]).then(|| closed_level(level, open).to_owned()))
}

fn closed_level(level: usize, open: &[bool]) -> &'static str {
    if open[level..].contains(&true) {
        "belongs to a group that others have replaced"
    } else {
        "belongs to a backup group that is asked later"
    }
}

/// The first of the skills that the agent has not, or not well enough.
fn lacks<'s>(agent: &Agent, skills: &'s [String]) -> Option<&'s str> {
    skills.iter().find(|wanted| level_of(agent, skill(wanted).0) < skill(wanted).1).map(String::as_str)
}

fn level_of(agent: &Agent, name: &str) -> i64 {
    agent.skills.iter().map(|s| skill(s)).filter(|(n, _)| *n == name).map(|(_, level)| level).max().unwrap_or(0)
}

/// The strategy's own key: the smaller goes first.
fn key(stage: &Stage, agent: &Agent, people: &People<'_>, place: usize, seed: &str, state: &AgentState) -> i64 {
    let tally = || people.tallies.get(&agent.id).copied().unwrap_or_default();
    let drawn = || id::digest(&[seed.as_bytes(), agent.id.as_bytes()]);
    match stage.strategy {
        Strategy::LongestIdle | Strategy::RingAll | Strategy::RingProgressively => state.idle_since().0,
        Strategy::RoundRobin => state.last_offered_at.0,
        Strategy::TopDown => place as i64,
        Strategy::FewestCalls => tally().calls,
        Strategy::LeastTalkTime => tally().talk_us,
        Strategy::Random => drawn(),
        Strategy::WeightedRandom => waiting_time(drawn(), agent.weight),
        Strategy::HighestSkill => -stage.skills.iter().map(|s| level_of(agent, skill(s).0)).sum::<i64>(),
    }
}

/// How long a clock of rate `weight` takes to strike: of several the first is each in proportion to its weight.
fn waiting_time(drawn: i64, weight: i32) -> i64 {
    let uniform = ((drawn as u64 >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
    (-uniform.ln() / f64::from(weight.max(1)) * 1e15) as i64
}

/// Whom each of the calls that have waited longer would take, given what they may take in their order: nobody is named twice. What is left
/// is for the younger ones (invariant 5).
pub fn kept_for_older(older: &[(Vec<String>, usize)]) -> std::collections::BTreeSet<String> {
    let mut kept = std::collections::BTreeSet::new();
    for (eligible, at_once) in older {
        let mine: Vec<String> = eligible.iter().filter(|a| !kept.contains(*a)).take(*at_once).cloned().collect();
        kept.extend(mine);
    }
    kept
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
