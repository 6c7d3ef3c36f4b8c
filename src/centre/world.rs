//! The centre as somebody in the room sees it, and what must hold there (routing reference, section 4).

use std::collections::{BTreeMap, BTreeSet};

use super::people::{Call, Person, Stage};
use crate::domain::agent::OfferState;
use crate::domain::queue::Strategy;
use crate::domain::spec::{Application, Queue};

/// After so many faults no more are told; one is enough to look into.
const MOST_FAULTS: usize = 20;

pub struct World {
    pub people: BTreeMap<String, Person>,
    pub calls: Vec<Call>,
    pub waiting: BTreeSet<usize>,
    pub faults: Vec<String>,
    /// How often each invariant had something to hold in, by its number in `docs/INVARIANTS.md`.
    pub checked: BTreeMap<u8, u64>,
    /// Each queue with its own agents and those of its backup groups.
    queues: Vec<(Queue, Vec<String>, Vec<String>)>,
    cool_s: [i64; 4],
}

impl World {
    pub fn new(app: &Application) -> World {
        let members = |ids: &[String]| {
            let groups = app.group.iter().filter(|g| ids.contains(&g.id));
            groups.flat_map(|g| g.agents.clone()).collect::<Vec<_>>()
        };
        let cool = &app.routing.cool_down_s;
        World {
            people: app.agent.iter().map(|a| (a.id.clone(), Person::default())).collect(),
            calls: Vec::new(),
            waiting: Default::default(),
            faults: Vec::new(),
            checked: (1..=16).map(|invariant| (invariant, 0)).collect(),
            queues: app.queue.iter().map(|q| (q.clone(), members(&q.primary_groups), members(&q.backup_groups))).collect(),
            cool_s: [cool.no_answer, cool.busy, cool.rejected, cool.unreachable],
        }
    }

    pub fn checks(&mut self, invariant: u8, times: usize) {
        *self.checked.entry(invariant).or_default() += times as u64;
    }

    /// An invariant does not hold.
    pub fn fault(&mut self, invariant: u8, now: i64, what: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(format!("{invariant}, at {:.3} s: {what}", now as f64 / 1e6));
        }
    }

    fn at_once(&self, queue: usize) -> usize {
        let q = &self.queues[queue].0;
        if q.strategy == Strategy::RingAll { q.ring_at_once as usize } else { 1 }
    }

    fn free_in(&self, queue: usize, now: i64) -> usize {
        self.queues[queue].1.iter().filter(|a| self.people[*a].is_free(now)).count()
    }

    /// How many of the queue's own agents the call could ring: of those who are free the ones whom it has tried most seldom. Nobody is rung
    /// again while somebody else is free, and be he kept for an older call.
    fn free_for(&self, call: usize, now: i64) -> usize {
        let me = &self.calls[call];
        let (queue, own, backup) = &self.queues[me.queue];
        let tries =
            |agents: &[String]| -> Vec<u32> { agents.iter().filter(|a| self.people[*a].is_free(now)).map(|a| me.tried(a)).collect() };
        let widens = own.is_empty() || now - me.joined >= queue.route_to_backup_groups_after * 1_000_000;
        let (own, backup) = (tries(own), if widens { tries(backup) } else { Vec::new() });
        let fewest = own.iter().chain(&backup).min().copied();
        own.iter().filter(|tries| Some(**tries) == fewest).count()
    }

    /// How many agents those would take who go first: of the same queue, or of any.
    fn older_want(&self, call: usize, same: bool) -> usize {
        let me = &self.calls[call];
        let older = |c: &&usize| {
            let other = &self.calls[**c];
            // Who was rung in vain would rather have somebody else than the same again.
            let same_wish = !same || (other.queue == me.queue && other.rings == 0);
            same_wish && (self.rank(**c), **c) < (self.rank(call), call)
        };
        self.waiting.iter().filter(older).map(|c| self.at_once(self.calls[*c].queue)).sum()
    }

    /// The core rings these for a call.
    pub fn rings(&mut self, call: usize, agents: &[String], now: i64) {
        let queue = self.calls[call].queue;
        let new: Vec<String> = agents.iter().filter(|a| self.people[*a].call != Some(call)).cloned().collect();
        for agent in &new {
            let person = &self.people[agent];
            if !person.is_free(now) {
                let what = format!("{agent} is rung for call {call} and is not free: {person:?}");
                self.fault(if person.call.is_some() { 1 } else { 4 }, now, what);
            }
        }
        self.checks(1, new.len());
        self.checks(4, new.len());
        self.untried_first(call, &new, now);
        let older = self.older_want(call, true);
        // Whoever is next wants one of the queue's own agents first; those of the backup groups are left for the younger.
        let own = new.iter().any(|a| self.queues[queue].1.contains(a));
        if own && older > 0 && self.at_once(queue) == 1 {
            self.checks(5, 1);
            if self.free_in(queue, now) <= older {
                self.fault(5, now, format!("call {call} is served before one of its queue that came earlier"));
            }
        }
        for agent in &new {
            if let Some(person) = self.people.get_mut(agent) {
                (person.call, person.talking, person.busy_since) = (Some(call), false, now);
            }
        }
        self.waiting.remove(&call);
        (self.calls[call].stage, self.calls[call].rung) = (Stage::Ringing, agents.to_vec());
    }

    /// Nobody rings again for a call while somebody of its queue is free whom it has not tried as often.
    fn untried_first(&mut self, call: usize, new: &[String], now: i64) {
        let (me, own) = (&self.calls[call], &self.queues[self.calls[call].queue].1);
        let Some(again) = new.iter().max_by_key(|a| me.tried(a)).filter(|_| !me.tries.is_empty()) else { return };
        let other = own.iter().find(|a| !new.contains(a) && me.tried(a) < me.tried(again) && self.people[*a].is_free(now));
        let what = other.map(|other| format!("{again} is rung for call {call} again, and {other} is free"));
        self.checks(8, 1);
        if let Some(what) = what {
            self.fault(8, now, what);
        }
    }

    /// When a waiting call would have come if its priority were none: whoever is earlier goes first.
    pub fn rank(&self, call: usize) -> i64 {
        let (call, queue) = (&self.calls[call], &self.queues[self.calls[call].queue].0);
        call.joined - queue.priority * queue.priority_age_s * 1_000_000
    }

    /// The core lets a call wait.
    pub fn waits(&mut self, call: usize, now: i64) {
        let free = self.free_for(call, now);
        let older = self.older_want(call, false);
        // An older one of its queue has somebody whom this one could have had.
        let comes_first = self.older_want(call, true) > 0 && self.at_once(self.calls[call].queue) == 1;
        self.checks(5, usize::from(free > 0 && comes_first));
        self.checks(7, 1);
        if free > older {
            self.fault(
                7,
                now,
                format!("call {call} waits while {free} agents of its queue are free for it, and {older} are kept for older calls"),
            );
        }
        self.calls[call].stage = Stage::Waiting;
        self.waiting.insert(call);
    }

    /// The dialling of a call ended without an answer for this agent.
    pub fn stops_ringing(&mut self, call: usize, agent: &str, how: OfferState, now: i64) {
        let cool_s = match how {
            OfferState::NoAnswer => self.cool_s[0],
            OfferState::Busy => self.cool_s[1],
            OfferState::Rejected => self.cool_s[2],
            OfferState::Unreachable => self.cool_s[3],
            _ => 0,
        };
        if let Some(person) = self.people.get_mut(agent).filter(|p| p.call == Some(call)) {
            person.call = None;
            person.busy_us += now - person.busy_since;
            person.cool_until = person.cool_until.max(now + cool_s * 1_000_000);
            let call = &mut self.calls[call];
            call.ends.push((agent.to_owned(), how));
            if how.counts_as_tried() {
                *call.tries.entry(agent.to_owned()).or_default() += 1;
            }
        }
    }

    pub fn answers(&mut self, call: usize, agent: &str, now: i64) {
        for other in self.calls[call].rung.clone().iter().filter(|a| *a != agent) {
            self.stops_ringing(call, other, OfferState::Rescinded, now);
        }
        if let Some(person) = self.people.get_mut(agent) {
            person.talking = true;
        }
        let record = &mut self.calls[call];
        (record.stage, record.answered, record.answered_by) = (Stage::Talking, Some(now), Some(agent.to_owned()));
        record.ends.push((agent.to_owned(), OfferState::Accepted));
    }

    /// The call is over, by whomever.
    pub fn ends(&mut self, call: usize, now: i64) {
        let record = self.calls[call].clone();
        let wrap_us = self.queues[record.queue].0.wrap_up_s() * 1_000_000;
        for agent in &record.rung {
            if record.answered_by.as_ref() == Some(agent) {
                if let Some(person) = self.people.get_mut(agent) {
                    person.call = None;
                    person.wrap_until = now + wrap_us;
                    person.busy_us += now - person.busy_since + wrap_us;
                }
            } else {
                self.stops_ringing(call, agent, OfferState::Canceled, now);
            }
        }
        self.waiting.remove(&call);
        (self.calls[call].stage, self.calls[call].ended) = (Stage::Over, Some(now));
        self.calls[call].step += 1;
    }
}
