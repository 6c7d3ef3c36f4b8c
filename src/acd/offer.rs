//! Offers: who can take a call, his reservation, and what the PBX dials.

use std::collections::HashMap;

use super::position::Place;
use super::queue::keep;
use super::walk::{Decided, Walk, tries_of};
use super::{SLACK_S, fair, sentence};
use crate::domain::agent::{AgentState, OfferState};
use crate::domain::queue::{BackupMode, Queue, Strategy};
use crate::domain::time::Timestamp;
use crate::pbx::action::Action;
use crate::routing::choose::{Choice, People, Seeker, Stage, Tally, choose};
use crate::store::offers::{self, Offer};
use crate::store::{Result, agents};

pub fn look(
    walk: &Walk<'_>,
    stage: &Stage,
    states: &HashMap<String, AgentState>,
    tallies: &HashMap<String, Tally>,
    waited_us: i64,
) -> Choice {
    let people = People { agent: &|id| walk.app.agent(id), states, tallies };
    let tries = tries_of(&walk.offers);
    choose(
        stage,
        &people,
        &Seeker {
            caller: &walk.row.caller,
            tries: &tries,
            waited_us,
            seed: &seed_of(&walk.row.call_id, &walk.offers),
            only_reachable: walk.app.spec.routing.only_reachable,
            now: walk.now,
        },
    )
}

/// Lots are drawn anew after each offer, and not in between: what an older call would take is what it takes.
pub fn seed_of(call: &str, offers: &[Offer]) -> String {
    format!("{call}.{}", offers.len())
}

pub fn wait(walk: &Walk<'_>, stage: &Stage, choice: Choice, ahead: i64, greeting: Option<String>) -> Decided {
    let reason = sentence::waits(walk.app, &stage.name, ahead, &choice.candidates);
    let action = Action::Wait { seconds: walk.app.pbx.poll_s(), place: place_of(&stage.name), greeting };
    Decided { action, reason, candidates: choice.candidates, agents: Vec::new(), again: false }
}

/// As the PBX says it back in its events: a queue by its id.
fn place_of(stage: &str) -> String {
    stage.strip_prefix("queue:").unwrap_or(stage).to_owned()
}

/// Reserves and rings; `None`: others were quicker with everybody.
pub fn ring(walk: &mut Walk<'_>, stage: &Stage, choice: Choice, ring_s: i64, queue: Option<&Queue>) -> Result<Option<Decided>> {
    let until = walk.now.plus_s(ring_s + SLACK_S);
    let mut wanted = choice.eligible.clone();
    if stage.at_once() > 1 {
        wanted.truncate(stage.at_once());
        // Locks are taken in the order of ids: two calls that ring the same people do not wait for each other.
        wanted.sort();
    }
    let mut made = Vec::new();
    for agent in &wanted {
        made.extend(reserve(walk, agent, until)?);
        if made.len() == stage.at_once() {
            break;
        }
    }
    if made.is_empty() {
        return Ok(None);
    }
    made.sort_by_key(|o| choice.eligible.iter().position(|a| *a == o.agent));
    let agents: Vec<String> = made.iter().map(|o| o.agent.clone()).collect();
    let timeout_s = match queue {
        Some(queue) if stage.strategy == Strategy::RingProgressively => queue.ring_step_s.min(ring_s),
        _ => ring_s,
    };
    let token = if let [one] = made.as_slice() { one.id.clone() } else { walk.asked.decision.clone() };
    let caller_id = queue.and_then(|q| q.from_number_callout_to_agent.clone());
    let action = walk.dial(&made, timeout_s, place_of(&stage.name), caller_id, token);
    let reason = sentence::rings(walk.app, &stage.name, stage.strategy, &agents, &choice.candidates);
    Ok(Some(Decided { action, reason, candidates: choice.candidates, agents, again: false }))
}

fn reserve(walk: &mut Walk<'_>, agent: &str, until: Timestamp) -> Result<Option<Offer>> {
    let Some(line) = walk.app.agent(agent).and_then(|a| a.line()) else { return Ok(None) };
    if !agents::reserve(walk.conn, walk.app.id(), agent, &walk.row.call_id, walk.now, until)? {
        return Ok(None);
    }
    let offer = Offer {
        application: walk.app.id(),
        call_id: walk.row.call_id.clone(),
        id: format!("{}.{agent}", walk.asked.decision),
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
    let queue = match &walk.position.place {
        Place::Queue(at) => app.spec.queue.iter().find(|q| q.id == at.id),
        _ => None,
    };
    let left_s = |offers: &[Offer]| {
        let end = offers.iter().map(|o| o.until).min().unwrap_or(walk.now.0);
        ((end - walk.now.0) / 1_000_000 - SLACK_S).max(1)
    };
    let place = queue.map_or_else(String::new, |q| q.id.clone());
    let caller_id = queue.and_then(|q| q.from_number_callout_to_agent.clone());
    let progressive = queue.filter(|q| q.strategy == Strategy::RingProgressively);
    let step_over = walk.position.is_current(walk.asked.report.offer.as_deref()) && walk.asked.report.outcome.is_some();
    let timeout_s = left_s(&standing).min(progressive.map_or(i64::MAX, |q| q.ring_step_s));
    let Some(queue) = progressive.filter(|_| step_over) else {
        let token = walk.position.token.clone().unwrap_or_default();
        return Ok(Decided::again(walk.dial(&standing, timeout_s, place, caller_id, token)));
    };
    let stage = Stage { mode: BackupMode::Widen, ..Stage::queue(&app.spec, queue) };
    let mut states = HashMap::new();
    fair::load(walk.conn, app, &stage, &mut states)?;
    let waited_us = walk.now.since(Timestamp(walk.row.joined_at));
    let mut choice = look(walk, &stage, &states, &HashMap::new(), waited_us);
    let kept = fair::kept(walk.conn, app, &walk.row, &stage, &mut states, walk.now)?;
    keep(&mut choice, &kept);
    if (standing.len() as i64) < queue.ring_at_once {
        let until = walk.now.plus_s(queue.wait_agent_answer_timeout + SLACK_S);
        for agent in choice.eligible.clone() {
            if let Some(more) = reserve(walk, &agent, until)? {
                standing.push(more);
                break;
            }
        }
    }
    let agents: Vec<String> = standing.iter().map(|o| o.agent.clone()).collect();
    let token = walk.asked.decision.clone();
    let action = walk.dial(&standing, timeout_s, place, caller_id, token);
    let reason = sentence::rings(app, &stage.name, stage.strategy, &agents, &choice.candidates);
    Ok(Decided { action, reason, candidates: choice.candidates, agents, again: false })
}
