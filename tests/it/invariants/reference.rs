//! A router that is slow and obviously right, written from the routing reference alone: who is rung for a call that asks now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookflash::domain::agent::{AgentState, ManualStatus};
use hookflash::domain::queue::{BackupMode, Door};
use hookflash::domain::spec::{Application, Queue, Strategy};
use hookflash::domain::time::Timestamp;

/// A call that waits, or would if nobody were free.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: String,
    pub caller: String,
    pub queue: String,
    pub rank_at: i64,
    pub joined_at: i64,
    /// Agents whom it has tried in vain, and how often.
    pub tries: BTreeMap<String, u32>,
    /// Its PBX still asks, and nobody is being rung for it.
    pub wants: bool,
    pub is_new: bool,
    /// It asks nobody whom it has tried.
    pub once: bool,
}

/// The room at one instant.
pub struct Room<'a> {
    pub spec: &'a Application,
    pub states: &'a HashMap<String, AgentState>,
    /// Calls of queues, and microseconds of talk, of each agent within the window.
    pub tallies: &'a HashMap<String, (i64, i64)>,
    pub waiting: &'a [Waiting],
    /// Queues that are closed at this hour.
    pub closed: &'a BTreeSet<String>,
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
    Leaves(Door),
}

impl Room<'_> {
    pub fn queue(&self, id: &str) -> &Queue {
        self.spec.queue.iter().find(|q| q.id == id).expect("a queue")
    }

    pub fn members(&self, groups: &[String]) -> Vec<&str> {
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

    /// There is a phone of his that this caller can be put through to.
    pub fn can_ever(&self, agent: &str, caller: &str) -> bool {
        let agent = self.spec.agent.iter().find(|a| a.id == agent);
        agent.is_some_and(|a| a.extension.is_some() && a.phone_number.as_deref() != Some(caller))
    }

    pub fn can_now(&self, agent: &str, caller: &str) -> bool {
        self.can_ever(agent, caller) && self.is_free(agent)
    }

    /// Of two agents the one with the earlier time was neither busy nor offered a call for longer.
    pub fn idle_since(&self, agent: &str) -> i64 {
        let s = &self.states[agent];
        s.engaged_since.0.max(s.wrap_until.0).max(s.last_offered_at.0)
    }

    fn on_duty(&self, agent: &str) -> bool {
        let s = &self.states[agent];
        s.next_status.as_ref().map_or(s.manual_status, |n| n.0) == ManualStatus::Available
    }

    /// Everybody who can take the call, the best first.
    pub fn eligible(&self, call: &Waiting) -> Vec<String> {
        let queue = self.queue(&call.queue);
        if self.closed.contains(&queue.id) {
            return Vec::new();
        }
        let first = self.members(&queue.primary_groups);
        let mut second = self.members(&queue.backup_groups);
        second.retain(|a| !first.contains(a));
        let waited_s = (self.now.0 - call.joined_at) as f64 / 1e6;
        let second_open = waited_s >= queue.route_to_backup_groups_after as f64 || !first.iter().any(|a| self.on_duty(a));
        // A group where nobody is logged in takes nothing over.
        let logged_in = second.iter().any(|a| self.states[*a].manual_status != ManualStatus::Offline);
        let first_open = !(second_open && logged_in && queue.backup_mode == BackupMode::Replace);
        let mut found: Vec<(u32, usize, i64, i64, String)> = Vec::new();
        for (level, place, agent) in
            first.iter().enumerate().map(|(n, a)| (0, n, *a)).chain(second.iter().enumerate().map(|(n, a)| (1, n, *a)))
        {
            let skilled = queue.skills.iter().all(|s| {
                let (name, wanted) = s.split_once(':').map_or((s.as_str(), 1), |(n, l)| (n, l.parse().expect("a level")));
                self.skill(agent, name) >= wanted
            });
            let tries = call.tries.get(agent).copied().unwrap_or(0);
            let open = if level == 0 { first_open } else { second_open };
            if !self.can_now(agent, &call.caller) || !skilled || !open || (call.once && tries > 0) {
                continue;
            }
            let s = &self.states[agent];
            let tally = self.tallies.get(agent).copied().unwrap_or_default();
            let key = match queue.strategy {
                Strategy::LongestIdle | Strategy::RingAll | Strategy::RingProgressively => self.idle_since(agent),
                Strategy::RoundRobin => s.last_offered_at.0,
                Strategy::TopDown => place as i64,
                Strategy::FewestCalls => tally.0,
                Strategy::LeastTalkTime => tally.1,
                Strategy::HighestSkill => {
                    -queue.skills.iter().map(|k| self.skill(agent, k.split(':').next().expect("a name"))).sum::<i64>()
                }
                Strategy::Random | Strategy::WeightedRandom => 0,
            };
            found.push((tries, level, key, s.last_offered_at.0, agent.to_owned()));
        }
        found.sort();
        let fewest = found.first().map(|f| f.0);
        found.into_iter().filter(|f| Some(f.0) == fewest).map(|f| f.4).collect()
    }

    fn at_once(&self, queue: &Queue) -> usize {
        if queue.strategy == Strategy::RingAll { queue.ring_at_once as usize } else { 1 }
    }

    /// Those for whom a call that has waited longer asks next.
    pub fn kept(&self, rank_at: i64, id: &str) -> BTreeSet<String> {
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for other in self.older(rank_at, id) {
            let free: Vec<String> = self.eligible(other).into_iter().filter(|a| !kept.contains(a)).collect();
            kept.extend(free.into_iter().take(self.at_once(self.queue(&other.queue))));
        }
        kept
    }

    fn older(&self, rank_at: i64, id: &str) -> Vec<&Waiting> {
        let mut older: Vec<&Waiting> =
            self.waiting.iter().filter(|w| w.id != id && w.wants && (w.rank_at, w.id.as_str()) < (rank_at, id)).collect();
        older.sort_by_key(|w| (w.rank_at, &w.id));
        older
    }

    /// What a call in a queue shall be told that rings nobody yet.
    pub fn expected(&self, call: &Waiting) -> Expected {
        let queue = self.queue(&call.queue);
        let eligible = self.eligible(call);
        if self.closed.contains(&queue.id) {
            return Expected::Leaves(Door::Closed);
        }
        let nobody = || {
            let waited_s = (self.now.0 - call.joined_at) as f64 / 1e6;
            let mut everybody = self.members(&queue.primary_groups).into_iter().chain(self.members(&queue.backup_groups));
            // Those being rung for have their place too.
            let others = self.waiting.iter().filter(|w| w.queue == call.queue && w.id != call.id).count() as i64;
            if queue.maximum_queue_wait_time > 0 && waited_s >= queue.maximum_queue_wait_time as f64 {
                Expected::Leaves(Door::Timeout)
            } else if queue.overflow_no_staff.is_some() && !everybody.any(|a| self.on_duty(a)) {
                Expected::Leaves(Door::NoStaff)
            } else if call.is_new && others >= queue.maximum_queue_size {
                Expected::Leaves(Door::Full)
            } else {
                Expected::Waits
            }
        };
        if eligible.is_empty() {
            return nobody();
        }
        if matches!(queue.strategy, Strategy::Random | Strategy::WeightedRandom) {
            // Such queues have agents of their own here; which of them the older calls draw is not known.
            let rivals = self.older(call.rank_at, &call.id).into_iter().filter(|w| w.queue == call.queue).count();
            let any = eligible.iter().cloned().collect();
            return if rivals == 0 { Expected::RingsOneOf(any) } else { Expected::RingsOneOfOr(any, Box::new(nobody())) };
        }
        let kept = self.kept(call.rank_at, &call.id);
        let mine: Vec<String> = eligible.into_iter().filter(|a| !kept.contains(a)).take(self.at_once(queue)).collect();
        // Who is kept for older calls is not free for this one.
        if mine.is_empty() { nobody() } else { Expected::Rings(mine) }
    }
}
