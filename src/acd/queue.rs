//! A call in a queue: it joins, waits for its turn, is offered, or leaves by one of the doors.

use std::collections::{BTreeSet, HashMap};

use super::offer::{View, ring, wait};
use super::position::{InQueue, Left, Place};
use super::turn::{Turn, go};
use super::walk::Walk;
use super::{REJECTED, ROUNDS, USER_BUSY, fair, sentence};
use crate::domain::queue::{Door, EntryOutcome, Queue, Target};
use crate::domain::time::Timestamp;
use crate::lookup::people;
use crate::routing::choose::Stage;
use crate::routing::entrance::{self, Gate, Limits, Next};
use crate::routing::record::keep;
use crate::store::Result;
use crate::store::routed::{self, QueueEntry};

pub fn queue(walk: &mut Walk<'_>, at: InQueue) -> Result<Turn> {
    let app = walk.app;
    let Some(queue) = app.spec.queue.iter().find(|q| q.id == at.id) else {
        close_entry(walk, EntryOutcome::Overflowed)?;
        let why = format!("The queue {} is not there any more.", at.id);
        if let Some((step, _)) = at.step {
            return Ok(Turn::Go(Place::Chain(step + 1), why));
        }
        return Ok(Turn::Say(walk.leave(Left::Default, why)?));
    };
    let is_new = !walk.row.waiting || walk.row.queue.as_deref() != Some(queue.id.as_str());
    if is_new {
        if !walk.queues.insert((queue.id.clone(), at.step.map(|(step, _)| step))) {
            let why = format!("The queue {} had sent the call on, and it came back there.", queue.name);
            return Ok(Turn::Say(walk.leave(Left::Hangup(USER_BUSY), why)?));
        }
        if app.spec.blacklist.iter().any(|b| b.number == walk.row.caller && b.queue_blocked) {
            return Ok(Turn::Say(walk.leave(Left::Hangup(REJECTED), "The caller is on the blacklist for queues.".into())?));
        }
        join(walk, queue)?;
    }
    // A step of the chain that has no waiting time asks everybody once.
    let (is_step_over, is_once) = at.step.map_or((false, false), |(_, until)| (until <= walk.now, until <= walk.position.since));
    let stage = Stage { again: !is_once, ..Stage::queue(&app.spec, queue, walk.now) };
    let tallies = people::tallies(walk.conn, app, queue, walk.now)?;
    let waited_us = walk.now.since(Timestamp(walk.row.joined_at));
    let mut round = 0;
    loop {
        round += 1;
        let mut states = HashMap::new();
        people::load(walk.conn, app, &stage, &mut states)?;
        let mut choice = View { stage: &stage, states: &states, tallies: &tallies, waited_us }.choose(walk);
        let (id, now) = (queue.id.as_str(), walk.now);
        let mut kept = BTreeSet::new();
        if !choice.eligible.is_empty() {
            kept = fair::kept(walk.conn, app, &walk.row, &stage, &mut states, now)?;
            keep(&mut choice, &kept);
        }
        // Who is kept for an older call is not free for this one.
        let someone_free = !choice.eligible.is_empty();
        let waiting = if is_new && !someone_free { routed::count_waiting(walk.conn, app.id(), id, now)? } else { 0 };
        let limits = Limits::of(queue);
        let gate = Gate { limits, closed: stage.closed, waited_us, waiting, is_new, someone_free, staffed: choice.staffed };
        let mut look = View { stage: &stage, states: &states, tallies: &tallies, waited_us }.look(walk, &choice, &kept);
        look.gate = Some(gate);
        if let Some(door) = entrance::door(&gate) {
            walk.goes_on(look, choice.candidates);
            return depart(walk, queue, &at, door);
        }
        if let Some((step, _)) = at.step.filter(|_| is_step_over && !(is_once && someone_free)) {
            close_entry(walk, EntryOutcome::TimedOut)?;
            let why = if someone_free {
                format!("The time of the step queue:{id} is over.")
            } else {
                sentence::nobody(app, &stage.name, &choice.candidates)
            };
            walk.goes_on(look, choice.candidates);
            return Ok(Turn::Go(Place::Chain(step + 1), why));
        }
        if choice.eligible.is_empty() || round > ROUNDS {
            let ahead = ahead(walk, queue)?;
            return Ok(Turn::Say(wait(walk, look, choice, ahead, queue.wait_greeting.clone())));
        }
        if let Some(decided) = ring(walk, look, choice, queue.wait_agent_answer_timeout, Some(queue))? {
            return Ok(Turn::Say(decided));
        }
    }
}

fn join(walk: &mut Walk<'_>, queue: &Queue) -> Result<()> {
    let now = walk.now;
    let first = walk.position.joined.get_or_insert(now).0.min(now.0);
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
    // Others are counted and chosen for from the rows: this call is none of those it competes with, wherever it comes next.
    walk.row.waiting = false;
    routed::save(walk.conn, &walk.row)
}

/// By one of the queue's doors: back to the chain that the call came from, or where the queue says.
fn depart(walk: &mut Walk<'_>, queue: &Queue, at: &InQueue, door: Door) -> Result<Turn> {
    let target = queue.overflow(door).unwrap_or(Target::Hangup);
    // A step of the chain leads to the next one, wherever the queue would.
    let moved = at.step.is_none() && matches!(target, Target::Queue(_) | Target::Number(_));
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

fn ahead(walk: &mut Walk<'_>, queue: &Queue) -> Result<i64> {
    let waiting = routed::waiting(walk.conn, walk.app.id(), &queue.id, walk.now, 1_000)?;
    let mine = (walk.row.rank_at, walk.row.call_id.as_str());
    Ok(waiting.iter().filter(|c| (c.rank_at, c.call_id.as_str()) < mine).count() as i64)
}
