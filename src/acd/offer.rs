//! Offers: who can take a call, his reservation, and what the PBX dials.

use std::collections::{BTreeSet, HashMap};

use super::position::Place;
use super::walk::{Decided, Walk, tries_of};
use super::{SLACK_S, fair, sentence};
use crate::domain::agent::{AgentState, OfferState};
use crate::domain::queue::{BackupMode, Queue, Strategy};
use crate::domain::time::Timestamp;
use crate::lookup::people;
use crate::pbx::action::Action;
use crate::routing::choose::{Choice, People, Seeker, Stage, Tally, choose};
use crate::routing::record::{Look, keep, rings, take};
use crate::store::offers::{self, Offer};
use crate::store::{Result, agents};

/// A stage with its people as they are, for the call of a walk.
pub struct View<'a> {
    pub stage: &'a Stage,
    pub states: &'a HashMap<String, AgentState>,
    pub tallies: &'a HashMap<String, Tally>,
    pub waited_us: i64,
}

impl View<'_> {
    pub fn choose(&self, walk: &Walk<'_>) -> Choice {
        self.seen(walk, |people, seeker| choose(self.stage, people, seeker))
    }

    /// What was seen, for the record, and what it came to.
    pub fn look(&self, walk: &Walk<'_>, choice: &Choice, kept: &BTreeSet<String>) -> Look {
        self.seen(walk, |people, seeker| Look::new(self.stage, people, seeker, choice, kept))
    }

    fn seen<T>(&self, walk: &Walk<'_>, see: impl FnOnce(&People<'_>, &Seeker<'_>) -> T) -> T {
        let people = People { agent: &|id| walk.app.agent(id), states: self.states, tallies: self.tallies };
        let seeker = Seeker {
            caller: &walk.row.caller,
            tries: &tries_of(&walk.offers),
            waited_us: self.waited_us,
            seed: &seed_of(&walk.row.call_id, &walk.offers),
            only_reachable: walk.app.spec.routing.only_reachable,
            extensions_only: false,
            now: walk.now,
        };
        see(&people, &seeker)
    }
}

/// Lots are drawn anew after each offer, and not in between: what an older call would take is what it takes.
pub fn seed_of(call: &str, offers: &[Offer]) -> String {
    format!("{call}.{}", offers.len())
}

pub fn wait(walk: &mut Walk<'_>, mut look: Look, mut choice: Choice, ahead: i64, greeting: Option<String>) -> Decided {
    // After the last round, those who seem free were lost to others again and again.
    for agent in choice.eligible.clone() {
        look.taken(&agent);
        take(&mut choice, &agent);
    }
    let stage = &look.stage;
    let reason = sentence::waits(walk.app, &stage.name, ahead, &choice.candidates);
    let action = Action::Wait { seconds: walk.app.pbx.poll_s(), place: place_of(&stage.name), greeting };
    walk.looks.push(look);
    Decided { action, reason, candidates: choice.candidates, agents: Vec::new(), again: false }
}

/// As the PBX says it back in its events: a queue by its id.
fn place_of(stage: &str) -> String {
    stage.strip_prefix("queue:").unwrap_or(stage).to_owned()
}

/// Reserves and rings; `None`: others were quicker with everybody.
pub fn ring(walk: &mut Walk<'_>, mut look: Look, mut choice: Choice, ring_s: i64, queue: Option<&Queue>) -> Result<Option<Decided>> {
    let stage = look.stage.clone();
    let until = walk.now.plus_s(ring_s + SLACK_S);
    let order = choice.eligible.clone();
    let mut wanted = order.clone();
    if stage.at_once() > 1 {
        wanted.truncate(stage.at_once());
        // Locks are taken in the order of ids: two calls that ring the same people do not wait for each other.
        wanted.sort();
    }
    let mut made = Vec::new();
    for agent in &wanted {
        let place = order.iter().position(|a| a == agent).filter(|_| stage.at_once() > 1);
        match reserve(walk, agent, until, place)? {
            Some(offer) => made.push(offer),
            None => {
                look.taken(agent);
                take(&mut choice, agent);
            }
        }
        if made.len() == stage.at_once() {
            break;
        }
    }
    if made.is_empty() {
        return Ok(None);
    }
    made.sort_by_key(|o| order.iter().position(|a| *a == o.agent));
    let agents: Vec<String> = made.iter().map(|o| o.agent.clone()).collect();
    let timeout_s = match queue {
        Some(queue) if stage.strategy == Strategy::RingProgressively => queue.ring_step_s.min(ring_s),
        _ => ring_s,
    };
    let token = if let [one] = made.as_slice() { one.id.clone() } else { walk.asked.decision.clone() };
    let caller_id = queue.and_then(|q| q.from_number_callout_to_agent.clone());
    let action = walk.dial(&made, timeout_s, place_of(&stage.name), caller_id, token);
    let reason = sentence::rings(walk.app, &stage.name, stage.strategy, &agents, &choice.candidates);
    walk.looks.push(look);
    Ok(Some(Decided { action, reason, candidates: choice.candidates, agents, again: false }))
}

/// `place`: of several that are rung together, where he stands among them. Offers are read in the order of their ids, so that a question which
/// comes again is told the same order.
fn reserve(walk: &mut Walk<'_>, agent: &str, until: Timestamp, place: Option<usize>) -> Result<Option<Offer>> {
    let Some(line) = walk.app.agent(agent).and_then(|a| a.line()) else { return Ok(None) };
    if !agents::reserve(walk.conn, walk.app.id(), agent, &walk.row.call_id, walk.now, until)? {
        return Ok(None);
    }
    let decision = &walk.asked.decision;
    let offer = Offer {
        application: walk.app.id(),
        call_id: walk.row.call_id.clone(),
        id: place.map_or_else(|| format!("{decision}.{agent}"), |n| format!("{decision}{n:02}.{agent}")),
        agent: agent.to_owned(),
        extension: line.to_owned(),
        state: OfferState::Pending.as_str().into(),
        made_at: walk.now.0,
        until: until.0,
        ended_at: None,
    };
    offers::insert(walk.conn, &offer)?;
    Ok(Some(offer))
}

/// A question while somebody is rung: the same again, or one more rings where the queue does so and the step is over.
pub fn ring_on(walk: &mut Walk<'_>, mut standing: Vec<Offer>) -> Result<Decided> {
    let app = walk.app;
    let queue = walk.queue();
    let left_s = |offers: &[Offer]| {
        let end = offers.iter().map(|o| o.until).min().unwrap_or(walk.now.0);
        ((end - walk.now.0) / 1_000_000 - SLACK_S).max(1)
    };
    let place = match &walk.position.place {
        Place::Chain(step) => app.spec.routing.responsible.get(*step).map_or_else(String::new, |step| place_of(step.to())),
        _ => queue.map_or_else(String::new, |q| q.id.clone()),
    };
    let caller_id = queue.and_then(|q| q.from_number_callout_to_agent.clone());
    let progressive = queue.filter(|q| q.strategy == Strategy::RingProgressively);
    let step_over = walk.position.is_current(walk.asked.report.offer.as_deref()) && walk.asked.report.outcome.is_some();
    let timeout_s = left_s(&standing).min(progressive.map_or(i64::MAX, |q| q.ring_step_s));
    let Some(queue) = progressive.filter(|_| step_over) else {
        let token = walk.position.token.clone().unwrap_or_default();
        return Ok(Decided::again(walk.dial(&standing, timeout_s, place, caller_id, token)));
    };
    let stage = Stage { mode: BackupMode::Widen, ..Stage::queue(&app.spec, queue, walk.now) };
    let mut states = HashMap::new();
    people::load(walk.conn, app, &stage, &mut states)?;
    let waited_us = walk.now.since(Timestamp(walk.row.joined_at));
    let kept = fair::kept(walk.conn, app, &walk.row, &stage, &mut states, walk.now)?;
    let view = View { stage: &stage, states: &states, tallies: &HashMap::new(), waited_us };
    let mut choice = view.choose(walk);
    keep(&mut choice, &kept);
    let mut look = view.look(walk, &choice, &kept);
    let ringing: Vec<String> = standing.iter().map(|o| o.agent.clone()).collect();
    rings(&mut choice, &ringing);
    look.ringing(ringing);
    if (standing.len() as i64) < queue.ring_at_once {
        let until = walk.now.plus_s(queue.wait_agent_answer_timeout + SLACK_S);
        for agent in choice.eligible.clone() {
            if let Some(more) = reserve(walk, &agent, until, None)? {
                standing.push(more);
                break;
            }
            look.taken(&agent);
            take(&mut choice, &agent);
        }
    }
    let agents: Vec<String> = standing.iter().map(|o| o.agent.clone()).collect();
    let token = walk.asked.decision.clone();
    let action = walk.dial(&standing, timeout_s, place, caller_id, token);
    let reason = sentence::rings(app, &stage.name, stage.strategy, &agents, &choice.candidates);
    walk.looks.push(look);
    Ok(Decided { action, reason, candidates: choice.candidates, agents, again: false })
}
