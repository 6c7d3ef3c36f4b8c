//! Where a call looks for an agent: the steps of the chain, and queues with their doors.

use hookflash::domain::queue::{Door, Queue};
use hookflash::domain::spec::Strategy;

use super::*;

/// How long somebody of a step is rung where nothing says it, seconds.
const RING_S: i64 = 20;
/// Nobody is rung for less, unless the step itself is shorter.
const LEAST_S: i64 = 5;

impl Journey {
    pub(super) fn step(&mut self, room: &Room<'_>, asks: &mut Asks, n: usize) -> Option<Told> {
        let Some(step) = room.spec.routing.responsible.get(n) else { return self.after_chain(room, asks) };
        let (to, wait_s) = (step.to(), step.wait_s());
        let agents: Vec<String> = match to.split_once(':') {
            Some(("queue", id)) => return self.go(room, Place::Queue { id: id.to_owned(), step: Some(n), joined: None }),
            Some(("number", number)) => {
                if std::mem::take(&mut asks.outside_failed) {
                    return self.go(room, Place::Step(n + 1));
                }
                return Some(Told::Outside { number: number.to_owned(), for_s: if wait_s > 0 { wait_s } else { RING_S } });
            }
            Some((_, group)) => room.members(&[group.to_owned()]).into_iter().map(str::to_owned).collect(),
            None if to == "owner" => asks.owner.iter().cloned().collect(),
            None if to == "deputy" => asks.deputy.iter().cloned().collect(),
            None => asks.last_agent.iter().cloned().collect(),
        };
        // What is left of the step in whole seconds, as a PBX is told of them.
        let left_s = wait_s - (room.now.0 - self.since.0) / 1_000_000;
        let untried = |a: &&String| !asks.tries.contains_key(*a);
        let hope = agents.iter().filter(untried).any(|a| room.can_ever(a, &asks.caller));
        let mut free: Vec<&String> = agents.iter().filter(untried).filter(|a| room.can_now(a, &asks.caller)).collect();
        if to.starts_with("group:") {
            let kept = room.kept(self.rank_at, &asks.id);
            free.retain(|a| !kept.contains(*a));
            free.sort_by_key(|a| (room.idle_since(a), room.states[*a].last_offered_at, *a));
        }
        if free.is_empty() && left_s > 0 && hope {
            return Some(Told::Waits { place: to.to_owned(), greeting: None });
        }
        let is_late = wait_s > 0 && left_s < LEAST_S.min(wait_s);
        let Some(first) = free.first().filter(|_| !is_late) else { return self.go(room, Place::Step(n + 1)) };
        let for_s = match agents.len() {
            _ if wait_s == 0 => RING_S,
            1 => left_s,
            _ => left_s.min(RING_S),
        };
        Some(Told::Rings { who: Expected::Rings(vec![(*first).clone()]), for_s, place: to.to_owned() })
    }

    pub(super) fn queue(
        &mut self,
        room: &Room<'_>,
        asks: &Asks,
        been: &mut BTreeSet<(String, Option<usize>)>,
        (id, step, joined): (String, Option<usize>, Option<Timestamp>),
    ) -> Option<Told> {
        let queue = room.queue(&id);
        if joined.is_none() {
            if !been.insert((id.clone(), step)) {
                return Some(self.leave(Told::HangsUp(17)));
            }
            if room.spec.blacklist.iter().any(|b| b.number == asks.caller && b.queue_blocked) {
                return Some(self.leave(Told::HangsUp(21)));
            }
            // Who comes over from another queue has waited already.
            let first = *self.first_joined.get_or_insert(room.now);
            self.rank_at = first.0 - queue.priority * queue.priority_age_s * 1_000_000;
            self.times.push((id.clone(), None));
            self.place = Place::Queue { id: id.clone(), step, joined: Some(room.now) };
        }
        let wait_s = step.map(|n| room.spec.routing.responsible[n].wait_s());
        let once = wait_s == Some(0);
        let is_over = wait_s.is_some_and(|s| room.now.0 >= self.since.0 + s * 1_000_000);
        let call = Waiting { is_new: joined.is_none(), once, ..self.waiting(asks).expect("a queue") };
        let mut found = room.expected(&call);
        if let Expected::RingsOneOfOr(any, otherwise) = found {
            found = if asks.rang { Expected::RingsOneOf(any) } else { *otherwise };
        }
        match found {
            Expected::Leaves(door) => {
                let to = overflow(queue, door);
                self.end_time(match door {
                    Door::Closed => "closed_hours",
                    Door::NoStaff => "no_staff",
                    Door::Full => "full",
                    Door::Timeout if step.is_none() && to.contains(':') => "overflowed",
                    Door::Timeout => "timed_out",
                });
                match step {
                    Some(n) => self.go(room, Place::Step(n + 1)),
                    None => self.sent(room, asks, &to, 17),
                }
            }
            waits if is_over && !(once && waits != Expected::Waits) => {
                self.end_time("timed_out");
                self.go(room, Place::Step(step.expect("a step") + 1))
            }
            Expected::Waits => Some(Told::Waits { place: id, greeting: queue.wait_greeting.clone() }),
            who => {
                let ring_s = queue.wait_agent_answer_timeout;
                let for_s = if queue.strategy == Strategy::RingProgressively { ring_s.min(queue.ring_step_s) } else { ring_s };
                Some(Told::Rings { who, for_s, place: id })
            }
        }
    }
}

fn overflow(queue: &Queue, door: Door) -> String {
    let said = match door {
        Door::Full => &queue.overflow_full,
        Door::Timeout => &queue.overflow_timeout,
        Door::Closed => &queue.overflow_closed,
        Door::NoStaff => &queue.overflow_no_staff,
    };
    said.clone().unwrap_or_else(|| if queue.enable_voicemail { "voicemail" } else { "hangup" }.to_owned())
}
