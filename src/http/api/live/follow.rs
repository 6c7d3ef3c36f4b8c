//! What has changed since the last look.
//!
//! The journal says which calls were told of, the index of offers which were made; what is known of them is compared with what they are now,
//! so that whoever changed them, on any node, it is told once. Rows that become visible a little late are found by looking at the last
//! seconds again. What is remembered is bounded: a call that has ended is forgotten after a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use crate::domain::agent::AgentState;
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::http::api::view::{AgentView, LegView, OfferView};
use crate::http::api::waiting::QueueNow;
use crate::live::{Event, Kind};
use crate::roster::App;
use crate::store::calls::{self, CallRow, LegRow};
use crate::store::live::{self, LiveLeg};
use crate::store::offers::{self, Offer};
use crate::store::{Conn, Result, agents, journal};

/// Seconds that are read again.
const OVERLAP_S: i64 = 10;
/// Entries of the journal that one look reads; the rest is read by the next.
const PAGE: i64 = 5_000;
/// Calls whose rows are read together.
const TOGETHER: usize = 200;
/// A call of which nothing was heard for so long is forgotten, seconds.
const KEPT_S: i64 = 6 * 3_600;
/// The same, of one that has ended.
const ENDED_KEPT_S: i64 = 600;

/// A call, without what has events of its own.
#[derive(Serialize)]
struct CallNow<'a> {
    id: &'a str,
    pbx_call_id: &'a str,
    direction: &'a str,
    status: &'a str,
    number: Option<&'a str>,
    did: Option<&'a str>,
    started_at: String,
    ended_at: Option<String>,
}

#[derive(Serialize)]
struct OfferNow {
    call_id: String,
    #[serde(flatten)]
    offer: OfferView,
}

/// What was told of a call.
struct Known {
    told: u64,
    legs: HashMap<String, u64>,
    /// Whose business it is.
    agents: BTreeSet<String>,
    ended: bool,
    heard: Timestamp,
}

pub struct Follower {
    start: Timestamp,
    journal_from: Timestamp,
    offers_from: Timestamp,
    read: HashMap<(i64, i64), i64>,
    calls: HashMap<String, Known>,
    /// Calls that are to be looked at.
    changed: BTreeSet<String>,
    /// Calls with a row of the log that is published later, by when that is.
    due: BTreeSet<(i64, String)>,
    /// Offers that are not over, and those that may be read again.
    offers: BTreeMap<String, (u64, bool)>,
    live: Option<BTreeSet<(String, String, bool)>>,
    agents: HashMap<String, u64>,
    queues: HashMap<String, u64>,
    /// The first look only learns how things are.
    began: bool,
}

impl Follower {
    /// Tells of what happens from `start` on.
    pub fn new(start: Timestamp) -> Follower {
        Follower {
            start,
            journal_from: start,
            offers_from: start,
            read: HashMap::new(),
            calls: HashMap::new(),
            changed: BTreeSet::new(),
            due: BTreeSet::new(),
            offers: BTreeMap::new(),
            live: None,
            agents: HashMap::new(),
            queues: HashMap::new(),
            began: false,
        }
    }

    /// Adds what is new. When a part cannot be read, what was found before is told, and the rest with a later look.
    pub fn look(&mut self, conn: &mut Conn, app: &App, now: Timestamp, told: &mut Vec<Event>) -> Result<()> {
        let legs = live::all(conn, app.id())?;
        self.offers(conn, app, now, told)?;
        let changed = self.changed_calls(conn, app, &legs, now)?;
        self.changed.extend(changed);
        let changed: Vec<String> = self.changed.iter().cloned().collect();
        for some in changed.chunks(TOGETHER) {
            self.some_calls(conn, app, some, now, told)?;
            self.changed.retain(|call| !some.contains(call));
        }
        self.agents(&agents::all(conn, app.id())?, app, &legs, now, told);
        for queue in &app.spec.queue {
            self.queue(QueueNow::read(conn, app.id(), &queue.id, now)?, told);
        }
        self.calls.retain(|_, call| now.since(call.heard) < 1_000_000 * if call.ended { ENDED_KEPT_S } else { KEPT_S });
        self.began = true;
        Ok(())
    }

    fn offers(&mut self, conn: &mut Conn, app: &App, now: Timestamp, told: &mut Vec<Event>) -> Result<()> {
        let open: Vec<String> = self.offers.iter().filter(|(_, (_, open))| *open).map(|(id, _)| id.clone()).collect();
        let mut found = offers::of_ids(conn, app.id(), &open)?;
        found.extend(offers::since(conn, app.id(), &id::floor(self.offers_from))?.into_iter().filter(|o| !open.contains(&o.id)));
        for offer in found {
            self.offer(offer, now, told);
        }
        self.offers_from = self.start.max(now.plus_s(-OVERLAP_S));
        let floor = id::floor(self.offers_from);
        self.offers.retain(|id, (_, open)| *open || *id >= floor);
        Ok(())
    }

    fn offer(&mut self, offer: Offer, now: Timestamp, told: &mut Vec<Event>) {
        let (id, agent, call, open) = (offer.id.clone(), offer.agent.clone(), offer.call_id.clone(), offer.ended_at.is_none());
        let data = json(&OfferNow { call_id: offer.call_id.clone(), offer: OfferView::from(offer) });
        let print = fingerprint(&data);
        let known = self.offers.insert(id, (print, open));
        if known.is_some_and(|(before, _)| before == print) {
            return;
        }
        self.known(&call, now).agents.insert(agent.clone());
        told.push(Event { kind: Kind::Offer, agents: Some(vec![agent]), data });
    }

    fn known(&mut self, call: &str, now: Timestamp) -> &mut Known {
        let fresh = || Known { told: 0, legs: HashMap::new(), agents: BTreeSet::new(), ended: false, heard: now };
        self.calls.entry(call.to_owned()).or_insert_with(fresh)
    }

    /// Calls that somebody told of, whose legs are others than before, or of which a row is published now.
    fn changed_calls(&mut self, conn: &mut Conn, app: &App, legs: &[LiveLeg], now: Timestamp) -> Result<BTreeSet<String>> {
        let arrivals = journal::arrivals(conn, app.id(), self.journal_from, PAGE)?;
        let is_full = arrivals.len() as i64 == PAGE;
        let last = arrivals.last().map(|(received, ..)| *received);
        let mut changed = BTreeSet::new();
        for (received, at, digest, call) in arrivals {
            if self.read.insert((at, digest), received).is_none() {
                changed.extend(call);
            }
        }
        // Of a full page the rest comes next; an instant with more rows than that would hold us up for ever.
        let next = match last.filter(|_| is_full) {
            Some(last) if last > self.journal_from.0 => Timestamp(last),
            Some(last) => Timestamp(last + 1),
            None => self.journal_from.max(now.plus_s(-OVERLAP_S)),
        };
        self.journal_from = next;
        self.read.retain(|_, received| *received >= next.0);
        let up: BTreeSet<(String, String, bool)> = legs.iter().map(|l| (l.call_id.clone(), l.leg.clone(), l.answered)).collect();
        if let Some(before) = self.live.replace(up.clone()) {
            changed.extend(before.symmetric_difference(&up).map(|(call, ..)| call.clone()));
        }
        while let Some((at, call)) = self.due.pop_first() {
            if at > now.0 {
                self.due.insert((at, call));
                break;
            }
            changed.insert(call);
        }
        Ok(changed)
    }

    fn some_calls(&mut self, conn: &mut Conn, app: &App, ids: &[String], now: Timestamp, told: &mut Vec<Event>) -> Result<()> {
        let mut legs: HashMap<String, Vec<LegRow>> = HashMap::new();
        for leg in calls::legs_of(conn, app.id(), ids)? {
            legs.entry(leg.call_id.clone()).or_default().push(leg);
        }
        for id in ids {
            if let Some(row) = calls::get(conn, app.id(), id)? {
                self.call(&row, legs.remove(id).unwrap_or_default(), now, told);
            }
        }
        Ok(())
    }

    fn call(&mut self, row: &CallRow, legs: Vec<LegRow>, now: Timestamp, told: &mut Vec<Event>) {
        let time = |us: i64| Timestamp(us).rfc3339();
        let data = json(&CallNow {
            id: &row.id,
            pbx_call_id: &row.pbx_call_id,
            direction: &row.direction,
            status: &row.status,
            number: row.number.as_deref(),
            did: row.did.as_deref(),
            started_at: time(row.started_at),
            ended_at: row.ended_at.map(time),
        });
        let mut later = None;
        let known = self.known(&row.id, now);
        (known.ended, known.heard) = (row.ended_at.is_some(), now);
        known.agents.extend(legs.iter().filter_map(|l| l.agent.clone()));
        let agents = Some(known.agents.iter().cloned().collect::<Vec<_>>());
        let print = fingerprint(&data);
        if std::mem::replace(&mut known.told, print) != print {
            told.push(Event { kind: Kind::Call, agents: agents.clone(), data });
        }
        for leg in legs {
            if let Some(at) = leg.logged_at.filter(|at| *at > now.0 && leg.kind != "leg") {
                later = Some(at);
                continue;
            }
            let key = leg.leg.clone();
            let data = json(&LegView::new(leg, row.pbx_call_id.clone()));
            let print = fingerprint(&data);
            if known.legs.insert(key, print) != Some(print) {
                told.push(Event { kind: Kind::Leg, agents: agents.clone(), data });
            }
        }
        self.due.extend(later.map(|at| (at, row.id.clone())));
    }

    fn agents(&mut self, states: &[AgentState], app: &App, legs: &[LiveLeg], now: Timestamp, told: &mut Vec<Event>) {
        let states: HashMap<&str, &AgentState> = states.iter().map(|s| (s.agent.as_str(), s)).collect();
        for agent in &app.spec.agent {
            let Some(state) = states.get(agent.id.as_str()) else { continue };
            let data = json(&AgentView::new(agent, &app.spec.group, Some(state), legs, now));
            let print = fingerprint(&data);
            if self.agents.insert(agent.id.clone(), print) != Some(print) && self.began {
                told.push(Event { kind: Kind::Agent, agents: Some(vec![agent.id.clone()]), data });
            }
        }
    }

    fn queue(&mut self, queue: QueueNow, told: &mut Vec<Event>) {
        // That time goes by is no news.
        let calls: Vec<_> = queue.calls.iter().map(|c| (&c.call_id, &c.joined_at, &c.offered_to)).collect();
        let print = fingerprint(&calls);
        if self.queues.insert(queue.queue.clone(), print) != Some(print) && self.began {
            told.push(Event { kind: Kind::Queue, agents: None, data: json(&queue) });
        }
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn fingerprint<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
