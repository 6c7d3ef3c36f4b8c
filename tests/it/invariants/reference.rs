//! A router that is slow and obviously right, written from the routing reference alone: who is rung for a call that asks now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookflash::domain::agent::{AgentState, ManualStatus};
use hookflash::domain::spec::{Application, Queue, Strategy};
use hookflash::domain::time::Timestamp;

/// A call that waits, or would if nobody were free.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: String,
    pub queue: String,
    pub rank_at: i64,
    pub joined_at: i64,
    /// Agents whom it has tried in vain, and how often.
    pub tries: BTreeMap<String, u32>,
    /// Its PBX still asks, and nobody is being rung for it.
    pub wants: bool,
    pub is_new: bool,
}

/// The room at one instant.
pub struct Room<'a> {
    pub spec: &'a Application,
    pub states: &'a HashMap<String, AgentState>,
    /// Calls of queues, and microseconds of talk, of each agent within the window.
    pub tallies: &'a HashMap<String, (i64, i64)>,
    pub waiting: &'a [Waiting],
    /// Queues with hours are closed from here on.
    pub closing: Timestamp,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These, in this order.
    Rings(Vec<String>),
    /// One of these: a lot is drawn.
    RingsOneOf(BTreeSet<String>),
    /// One of these, or nobody: lots of others are drawn before.
    RingsOneOfOr(BTreeSet<String>, Box<Expected>),
    Waits,
    Leaves,
}

impl Room<'_> {
    fn queue(&self, id: &str) -> &Queue {
        self.spec.queue.iter().find(|q| q.id == id).expect("a queue")
    }

    fn members(&self, groups: &[String]) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for group in &self.spec.group {
            for agent in &group.agents {
                if groups.contains(&group.id) && !found.contains(&agent.as_str()) {
                    found.push(agent);
                }
            }
        }
        found
    }

    fn is_closed(&self, queue: &Queue) -> bool {
        queue.schedule == 2 && self.now >= self.closing
    }

    fn skill(&self, agent: &str, name: &str) -> i64 {
        let agent = self.spec.agent.iter().find(|a| a.id == agent).expect("an agent");
        let level = |s: &String| match s.split_once(':') {
            Some((n, level)) if n == name => level.parse().expect("a level"),
            None if s == name => 1,
            _ => 0,
        };
        agent.skills.iter().map(level).max().unwrap_or(0)
    }

    fn is_free(&self, agent: &str) -> bool {
        let s = &self.states[agent];
        let claimed = s.claim.as_ref().is_some_and(|c| c.until > self.now);
        s.manual_status == ManualStatus::Available
            && s.next_status.is_none()
            && s.talking == 0
            && s.ringing == 0
            && !claimed
            && s.wrap_until <= self.now
            && s.cool_until <= self.now
    }

    fn on_duty(&self, agent: &str) -> bool {
        let s = &self.states[agent];
        s.next_status.as_ref().map_or(s.manual_status, |n| n.0) == ManualStatus::Available
    }

    /// Everybody who can take the call, the best first.
    pub fn eligible(&self, call: &Waiting) -> Vec<String> {
        let queue = self.queue(&call.queue);
        if self.is_closed(queue) {
            return Vec::new();
        }
        let first = self.members(&queue.primary_groups);
        let mut second = self.members(&queue.backup_groups);
        second.retain(|a| !first.contains(a));
        let waited_s = (self.now.0 - call.joined_at) as f64 / 1e6;
        let second_open = waited_s >= queue.route_to_backup_groups_after as f64 || !first.iter().any(|a| self.on_duty(a));
        let mut found: Vec<(u32, usize, i64, i64, String)> = Vec::new();
        for (level, place, agent) in
            first.iter().enumerate().map(|(n, a)| (0, n, *a)).chain(second.iter().enumerate().map(|(n, a)| (1, n, *a)))
        {
            let skilled = queue.skills.iter().all(|s| {
                let (name, wanted) = s.split_once(':').map_or((s.as_str(), 1), |(n, l)| (n, l.parse().expect("a level")));
                self.skill(agent, name) >= wanted
            });
            if !self.is_free(agent) || !skilled || (level == 1 && !second_open) {
                continue;
            }
            let s = &self.states[agent];
            let tally = self.tallies.get(agent).copied().unwrap_or_default();
            let key = match queue.strategy {
                Strategy::LongestIdle | Strategy::RingAll | Strategy::RingProgressively => {
                    s.engaged_since.0.max(s.wrap_until.0).max(s.last_offered_at.0)
                }
                Strategy::RoundRobin => s.last_offered_at.0,
                Strategy::TopDown => place as i64,
                Strategy::FewestCalls => tally.0,
                Strategy::LeastTalkTime => tally.1,
                Strategy::HighestSkill => {
                    -queue.skills.iter().map(|k| self.skill(agent, k.split(':').next().expect("a name"))).sum::<i64>()
                }
                Strategy::Random | Strategy::WeightedRandom => 0,
            };
            found.push((call.tries.get(agent).copied().unwrap_or(0), level, key, s.last_offered_at.0, agent.to_owned()));
        }
        found.sort();
        let fewest = found.first().map(|f| f.0);
        found.into_iter().filter(|f| Some(f.0) == fewest).map(|f| f.4).collect()
    }

    fn at_once(&self, queue: &Queue) -> usize {
        if queue.strategy == Strategy::RingAll { queue.ring_at_once as usize } else { 1 }
    }

    /// What a call shall be told that rings nobody yet.
    pub fn expected(&self, call: &Waiting) -> Expected {
        let queue = self.queue(&call.queue);
        let eligible = self.eligible(call);
        if self.is_closed(queue) {
            return Expected::Leaves;
        }
        let nobody = || {
            let waited_s = (self.now.0 - call.joined_at) as f64 / 1e6;
            let too_long = queue.maximum_queue_wait_time > 0 && waited_s >= queue.maximum_queue_wait_time as f64;
            let everybody = self.members(&queue.primary_groups).into_iter().chain(self.members(&queue.backup_groups));
            let no_staff = queue.overflow_no_staff.is_some() && !everybody.into_iter().any(|a| self.on_duty(a));
            // Those being rung for have their place too.
            let others = self.waiting.iter().filter(|w| w.queue == call.queue && w.id != call.id).count() as i64;
            let full = call.is_new && others >= queue.maximum_queue_size;
            if too_long || no_staff || full { Expected::Leaves } else { Expected::Waits }
        };
        if eligible.is_empty() {
            return nobody();
        }
        let mut older: Vec<&Waiting> =
            self.waiting.iter().filter(|w| w.id != call.id && w.wants && (w.rank_at, &w.id) < (call.rank_at, &call.id)).collect();
        older.sort_by_key(|w| (w.rank_at, &w.id));
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for other in &older {
            let free: Vec<String> = self.eligible(other).into_iter().filter(|a| !kept.contains(a)).collect();
            kept.extend(free.into_iter().take(self.at_once(self.queue(&other.queue))));
        }
        if matches!(queue.strategy, Strategy::Random | Strategy::WeightedRandom) {
            // Such queues have agents of their own here; which of them the older calls draw is not known.
            let rivals = older.iter().filter(|w| w.queue == call.queue).count();
            let any = eligible.iter().cloned().collect();
            return if rivals == 0 { Expected::RingsOneOf(any) } else { Expected::RingsOneOfOr(any, Box::new(nobody())) };
        }
        let mine: Vec<String> = eligible.into_iter().filter(|a| !kept.contains(a)).take(self.at_once(queue)).collect();
        // Who is kept for older calls is not free for this one.
        if mine.is_empty() { nobody() } else { Expected::Rings(mine) }
    }
}
