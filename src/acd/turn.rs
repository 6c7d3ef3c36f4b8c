//! What comes next for a call in each place that it can be in.

use std::collections::{BTreeSet, HashMap};

use super::position::{InQueue, Left, Place};
use super::walk::{Decided, Walk, tries_of};
use super::{NORMAL_CLEARING, REJECTED, SLACK_S, USER_BUSY, fair, sentence, settle};
use crate::crm;
use crate::domain::agent::{AgentState, OfferState};
use crate::domain::ivr::PlayMode;
use crate::domain::queue::{BackupMode, Door, EntryOutcome, Queue, Strategy, Target};
use crate::domain::spec::StepDecl;
use crate::domain::time::Timestamp;
use crate::pbx::action::{Action, Dial, Line, Prompt};
use crate::routing::choose::{Choice, People, Seeker, Stage, Tally, choose};
use crate::routing::entrance::{self, Gate, MOST_FAULTS, MOST_VISITS, Next};
use crate::routing::{self, Known};
use crate::store::offers::{self, Offer};
use crate::store::routed::{self, QueueEntry};
use crate::store::{Result, agents, calls};

/// How often a call that lost its agent to another one looks again.
const ROUNDS: usize = 8;

pub enum Turn {
    Say(Decided),
    /// On to another place, and why.
    Go(Place, String),
}

pub fn next(walk: &mut Walk<'_>) -> Result<Turn> {
    match walk.position.place.clone() {
        Place::Start => {
            let (next, why) = entrance::enter(&walk.app.spec, walk.row.did.as_deref(), &walk.row.caller);
            go(walk, next, why)
        }
        Place::Node(node) => prompt(walk, &node),
        Place::Chain(step) => chain(walk, step),
        Place::Queue(at) => queue(walk, at),
        Place::Left(left) => Ok(Turn::Say(walk.leave(left, String::new())?)),
    }
}

fn go(walk: &mut Walk<'_>, next: Next, why: String) -> Result<Turn> {
    let left = match next {
        Next::Node(node) => return Ok(Turn::Go(Place::Node(node), why)),
        Next::Chain => return Ok(Turn::Go(Place::Chain(0), why)),
        Next::To(Target::Queue(id)) => return Ok(Turn::Go(Place::Queue(InQueue { id, step: None }), why)),
        Next::To(Target::Number(number)) => Left::Forward(number),
        Next::To(Target::Voicemail) => Left::Voicemail(walk.row.queue.clone().or(walk.row.did.clone()).unwrap_or_default()),
        Next::To(Target::Hangup) => Left::Hangup(NORMAL_CLEARING),
        Next::Blocked => Left::Hangup(REJECTED),
        Next::Default => Left::Default,
    };
    Ok(Turn::Say(walk.leave(left, why)?))
}

// --- IVR -----------------------------------------------------------------------------------------------------------------------------------

/// The keys that were pressed at a node, when the PBX tells of them; `None`: the call goes on from its place.
pub fn keys(walk: &mut Walk<'_>, node: &str) -> Result<Option<Decided>> {
    let report = &walk.asked.report;
    let Some(digits) = report.digits.clone().filter(|_| report.offer.is_none() || walk.position.is_current(report.offer.as_deref())) else {
        return Ok(None);
    };
    let pressed = if digits.is_empty() { "pressed no key".to_owned() } else { format!("pressed {digits}") };
    let Some(next) = entrance::pressed(&walk.app.spec, node, &digits) else {
        walk.position.faults += 1;
        if walk.position.faults > MOST_FAULTS {
            return walk
                .leave(Left::Hangup(NORMAL_CLEARING), format!("The caller {pressed} at {node}, once more without a way on."))
                .map(Some);
        }
        // The prompt is played again, under a token of its own.
        walk.position.token = None;
        walk.passed.push(format!("The caller {pressed} at {node}, which leads nowhere."));
        return Ok(None);
    };
    match go(walk, next, format!("The caller {pressed} at {node}."))? {
        Turn::Say(decided) => Ok(Some(decided)),
        Turn::Go(place, why) => {
            walk.passed.push(why);
            walk.position.go(place, walk.now);
            Ok(None)
        }
    }
}

fn prompt(walk: &mut Walk<'_>, id: &str) -> Result<Turn> {
    let Some(node) = walk.app.spec.ivr_node.iter().find(|n| n.id == id) else {
        let why = format!("The IVR node {id} is not there any more.");
        return Ok(Turn::Say(walk.leave(Left::Default, why)?));
    };
    let again = walk.position.token.clone();
    if again.is_none() {
        walk.position.visits += 1;
        if walk.position.visits > MOST_VISITS {
            let why = format!("The caller has heard {MOST_VISITS} prompts.");
            return Ok(Turn::Say(walk.leave(Left::Hangup(NORMAL_CLEARING), why)?));
        }
    }
    let offer = again.clone().unwrap_or_else(|| walk.fresh_token());
    let action = Action::Prompt(Prompt {
        node: node.id.clone(),
        mode: if node.node_play_mode == PlayMode::Talk { "talk" } else { "play" },
        content: node.node_play_content.clone(),
        barge_in: node.barge_in,
        loops: node.loop_count,
        pause_ms: node.sched,
        timeout_s: node.keypress_timeout,
        voice: node.voice.clone(),
        speed: node.speed,
        offer,
    });
    if again.is_some() {
        return Ok(Turn::Say(Decided::again(action)));
    }
    Ok(Turn::Say(Decided::plain(action, format!("The caller hears {}.", node.node_name))))
}

// --- the responsible chain -----------------------------------------------------------------------------------------------------------------

fn chain(walk: &mut Walk<'_>, step: usize) -> Result<Turn> {
    let app = walk.app;
    let Some(decl) = app.spec.routing.responsible.get(step) else {
        let number = app.spec.number.iter().find(|n| Some(&n.number) == walk.row.did.as_ref());
        let (next, why) = number.map_or((Next::Default, String::new()), entrance::after_chain);
        return go(walk, next, why);
    };
    let on = |why: String| Ok(Turn::Go(Place::Chain(step + 1), why));
    match decl.to().split_once(':') {
        Some(("number", number)) => return outside(walk, step, number, decl.wait_s()),
        Some(("queue", id)) if decl.wait_s() > 0 => {
            let until = walk.now.plus_s(decl.wait_s());
            return Ok(Turn::Go(Place::Queue(InQueue { id: id.to_owned(), step: Some((step, until)) }), String::new()));
        }
        _ => {}
    }
    let Some(named) = step_of(walk, decl)? else { return on(format!("The step {} names nobody.", decl.to())) };
    let stage = Stage::step(named);
    let waited_s = walk.now.since(walk.position.since) / 1_000_000;
    for _ in 0..ROUNDS {
        let mut states = HashMap::new();
        fair::load(walk.conn, app, &stage, &mut states)?;
        let mut choice = look(walk, &stage, &states, &HashMap::new(), 0);
        // A chain goes on from somebody who was rung in vain; only a queue comes back to him.
        let tries = tries_of(&walk.offers);
        for candidate in choice.candidates.iter_mut().filter(|c| c.eligible && tries.contains_key(&c.agent)) {
            (candidate.eligible, candidate.reason) = (false, "was tried by this call already".into());
        }
        choice.eligible.retain(|a| !tries.contains_key(a));
        if choice.eligible.is_empty() {
            if waited_s < decl.wait_s() {
                return Ok(Turn::Say(wait(walk, &stage, choice, 0, None)));
            }
            return on(sentence::nobody(app, &stage.name, &choice.candidates));
        }
        let ring_s = settle::ring_s(None, decl.wait_s());
        if let Some(decided) = ring(walk, &stage, choice, ring_s, None)? {
            return Ok(Turn::Say(decided));
        }
    }
    on(format!("Everybody of the step {} was taken by other calls at the same instant.", decl.to()))
}

fn step_of(walk: &mut Walk<'_>, decl: &StepDecl) -> Result<Option<routing::Step>> {
    let (app, caller) = (walk.app, walk.row.caller.as_str());
    let mut known = Known::default();
    match decl.to() {
        "owner" | "deputy" => {
            if let Some(found) = crm::responsible(walk.conn, app, caller)? {
                (known.owner, known.deputy) = (found.owner, found.deputy);
            }
        }
        "last_agent" => {
            let since = walk.now.plus_s(-app.spec.routing.last_agent_days * 86_400);
            known.last_agent = calls::last_agent(walk.conn, app.id(), caller, since)?;
        }
        _ => {}
    }
    Ok(routing::step(&app.spec, decl, &known))
}

/// A step that rings an outside number.
fn outside(walk: &mut Walk<'_>, step: usize, number: &str, wait_s: i64) -> Result<Turn> {
    let report = &walk.asked.report;
    if walk.position.is_current(report.offer.as_deref()) && report.outcome.is_some_and(|o| o != OfferState::Accepted) {
        return Ok(Turn::Go(Place::Chain(step + 1), format!("{number} did not take the call.")));
    }
    let again = walk.position.token.clone();
    let offer = again.clone().unwrap_or_else(|| walk.fresh_token());
    let action = Action::Dial(Dial {
        lines: vec![Line::Number(number.to_owned())],
        agents: Vec::new(),
        timeout_s: settle::ring_s(None, wait_s),
        offer,
        place: format!("number:{number}"),
        caller_id: None,
    });
    Ok(Turn::Say(if again.is_some() { Decided::again(action) } else { Decided::plain(action, format!("The chain rings {number}.")) }))
}

// --- queues --------------------------------------------------------------------------------------------------------------------------------

fn queue(walk: &mut Walk<'_>, at: InQueue) -> Result<Turn> {
    let app = walk.app;
    let Some(queue) = app.spec.queue.iter().find(|q| q.id == at.id) else {
        close_entry(walk, EntryOutcome::Overflowed)?;
        let why = format!("The queue {} is not there any more.", at.id);
        return Ok(Turn::Say(walk.leave(Left::Default, why)?));
    };
    let is_new = !walk.row.waiting || walk.row.queue.as_deref() != Some(queue.id.as_str());
    if is_new {
        if app.spec.blacklist.iter().any(|b| b.number == walk.row.caller && b.queue_blocked) {
            return Ok(Turn::Say(walk.leave(Left::Hangup(REJECTED), "The caller is on the blacklist for queues.".into())?));
        }
        join(walk, queue)?;
    }
    let stage = Stage::queue(&app.spec, queue);
    let tallies = tallies(walk, queue)?;
    let waited_us = walk.now.since(Timestamp(walk.row.joined_at));
    for _ in 0..ROUNDS {
        let mut states = HashMap::new();
        fair::load(walk.conn, app, &stage, &mut states)?;
        let mut choice = look(walk, &stage, &states, &tallies, waited_us);
        let someone_free = !choice.eligible.is_empty();
        let (id, now) = (queue.id.as_str(), walk.now);
        let waiting = if is_new && !someone_free { routed::count_waiting(walk.conn, app.id(), id, now)? } else { 0 };
        let gate = Gate { waited_us, waiting, is_new, someone_free, staffed: choice.staffed, now };
        if let Some(door) = entrance::door(&app.spec, queue, gate) {
            return depart(walk, queue, &at, door);
        }
        if let Some((step, _)) = at.step.filter(|(_, until)| *until <= now && !someone_free) {
            close_entry(walk, EntryOutcome::TimedOut)?;
            return Ok(Turn::Go(Place::Chain(step + 1), sentence::nobody(app, &stage.name, &choice.candidates)));
        }
        if someone_free {
            let kept = fair::kept(walk.conn, app, &walk.row, &stage, &mut states, now)?;
            keep(&mut choice, &kept);
        }
        if choice.eligible.is_empty() {
            let ahead = ahead(walk, queue)?;
            return Ok(Turn::Say(wait(walk, &stage, choice, ahead, queue.wait_greeting.clone())));
        }
        if let Some(decided) = ring(walk, &stage, choice, settle::ring_s(Some(queue), 0), Some(queue))? {
            return Ok(Turn::Say(decided));
        }
    }
    let choice = Choice::default();
    Ok(Turn::Say(wait(walk, &stage, choice, 0, None)))
}

fn join(walk: &mut Walk<'_>, queue: &Queue) -> Result<()> {
    let now = walk.now;
    let first = if walk.row.entry == 0 { now.0 } else { walk.row.joined_at.min(now.0) };
    let row = &mut walk.row;
    (row.queue, row.waiting, row.joined_at) = (Some(queue.id.clone()), true, now.0);
    row.entry += 1;
    // Who comes over from another queue has waited already.
    row.rank_at = first - queue.priority * queue.priority_age_s * 1_000_000;
    let entry = QueueEntry {
        application: row.application,
        call_id: row.call_id.clone(),
        entry: row.entry,
        queue: queue.id.clone(),
        number: row.caller.clone(),
        did: row.did.clone(),
        joined_at: now.0,
        ended_at: None,
        outcome: None,
        agent: None,
        answered_at: None,
        talk_us: 0,
    };
    routed::put_entry(walk.conn, &entry)
}

fn close_entry(walk: &mut Walk<'_>, outcome: EntryOutcome) -> Result<()> {
    if let Some(mut entry) = routed::entry(walk.conn, walk.app.id(), &walk.row.call_id, walk.row.entry)?.filter(|e| e.outcome.is_none()) {
        (entry.outcome, entry.ended_at) = (Some(outcome.as_str().into()), Some(walk.now.0));
        routed::save_entry(walk.conn, &entry)?;
    }
    walk.row.waiting = false;
    Ok(())
}

/// By one of the queue's doors: back to the chain that the call came from, or where the queue says.
fn depart(walk: &mut Walk<'_>, queue: &Queue, at: &InQueue, door: Door) -> Result<Turn> {
    let target = queue.overflow(door).unwrap_or(Target::Hangup);
    let moved = matches!(target, Target::Queue(_) | Target::Number(_));
    close_entry(
        walk,
        match door {
            Door::Full => EntryOutcome::Full,
            Door::Timeout if moved => EntryOutcome::Overflowed,
            Door::Timeout => EntryOutcome::TimedOut,
            Door::Closed => EntryOutcome::ClosedHours,
            Door::NoStaff => EntryOutcome::NoStaff,
        },
    )?;
    if let Some((step, _)) = at.step {
        let why = sentence::leaves(walk.app, &queue.id, door, "the next step");
        return Ok(Turn::Go(Place::Chain(step + 1), why));
    }
    let why = sentence::leaves(walk.app, &queue.id, door, &target.to_string());
    match target {
        Target::Hangup => Ok(Turn::Say(walk.leave(Left::Hangup(USER_BUSY), why)?)),
        target => go(walk, Next::To(target), why),
    }
}

fn tallies(walk: &mut Walk<'_>, queue: &Queue) -> Result<HashMap<String, Tally>> {
    if !matches!(queue.strategy, Strategy::FewestCalls | Strategy::LeastTalkTime) {
        return Ok(HashMap::new());
    }
    let counted = routed::tallies(walk.conn, walk.app.id(), walk.now.plus_s(-queue.window_s))?;
    Ok(counted.into_iter().map(|(agent, (calls, talk_us))| (agent, Tally { calls, talk_us })).collect())
}

fn ahead(walk: &mut Walk<'_>, queue: &Queue) -> Result<i64> {
    let waiting = routed::waiting(walk.conn, walk.app.id(), &queue.id, walk.now, 1_000)?;
    let mine = (walk.row.rank_at, walk.row.call_id.as_str());
    Ok(waiting.iter().filter(|c| (c.rank_at, c.call_id.as_str()) < mine).count() as i64)
}

fn keep(choice: &mut Choice, kept: &BTreeSet<String>) {
    for candidate in choice.candidates.iter_mut().filter(|c| c.eligible && kept.contains(&c.agent)) {
        (candidate.eligible, candidate.reason) = (false, "is kept for a caller who has waited longer".into());
    }
    choice.eligible.retain(|a| !kept.contains(a));
}

// --- offers --------------------------------------------------------------------------------------------------------------------------------

fn look(walk: &Walk<'_>, stage: &Stage, states: &HashMap<String, AgentState>, tallies: &HashMap<String, Tally>, waited_us: i64) -> Choice {
    let people = People { agent: &|id| walk.app.agent(id), states, tallies };
    let tries = tries_of(&walk.offers);
    choose(stage, &people, &Seeker { caller: &walk.row.caller, tries: &tries, waited_us, seed: &walk.asked.decision, now: walk.now })
}

fn wait(walk: &Walk<'_>, stage: &Stage, choice: Choice, ahead: i64, greeting: Option<String>) -> Decided {
    let reason = sentence::waits(walk.app, &stage.name, ahead, &choice.candidates);
    let action = Action::Wait { seconds: walk.app.pbx.poll_s(), place: place_of(&stage.name), greeting };
    Decided { action, reason, candidates: choice.candidates, agents: Vec::new(), again: false }
}

/// As the PBX says it back in its events: a queue by its id.
fn place_of(stage: &str) -> String {
    stage.strip_prefix("queue:").unwrap_or(stage).to_owned()
}

/// Reserves and rings; `None`: others were quicker with everybody.
fn ring(walk: &mut Walk<'_>, stage: &Stage, choice: Choice, ring_s: i64, queue: Option<&Queue>) -> Result<Option<Decided>> {
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
        let end = offers.iter().map(|o| o.until).min().unwrap_or(walk_now(walk));
        ((end - walk_now(walk)) / 1_000_000 - SLACK_S).max(1)
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

fn walk_now(walk: &Walk<'_>) -> i64 {
    walk.now.0
}
