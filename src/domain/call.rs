//! A call as the order-free fold of its events.
//!
//! [`CallFacts`] is a join: each field merges by a rule that is commutative, associative and idempotent (the earliest time, the higher
//! rank, the smaller text), so any order and any duplication of a call's events ends in the same facts. What clients see (`call_log`) is a
//! pure function of the facts. The field names are short because the facts are stored with each call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{CallEvent, Direction, EndStatus, LegEvent, Phase, PlaceEnd, Ranked, Source, What};
use super::id;
use super::phone::Party;
use super::time::Timestamp;

/// How much the dialplan of a PBX is to be believed of whose phone a channel is that the PBX's own events tell of too.
pub const DIALPLAN_S_RANK: u8 = 0;

/// More legs than this under one call id are no call but a fault; the event is kept in the journal with this reason.
pub const MAX_LEGS: usize = 4_000;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the call has {MAX_LEGS} legs already")]
pub struct TooManyLegs;

/// A moment twice: by the PBX's clock, and when it reached us. Each keeps its minimum; of two clocks the PBX's is the one for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    #[serde(rename = "t")]
    pub at: Timestamp,
    #[serde(rename = "a")]
    pub arrived: Timestamp,
    /// The PBX did not say when it was: both are ours.
    #[serde(rename = "o", default, skip_serializing_if = "is_false")]
    pub ours: bool,
}

impl Stamp {
    fn join(mine: &mut Option<Stamp>, other: Stamp) {
        *mine = Some(match mine {
            None => other,
            Some(m) => {
                let (ours, at) = (m.ours, m.at).min((other.ours, other.at));
                Stamp { at, arrived: m.arrived.min(other.arrived), ours }
            }
        });
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFacts {
    /// The PBX's call id as it first wrote it.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub spelled: Option<(Timestamp, String)>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub seen: Option<Stamp>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Ranked<Party>>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    /// An IVR or a queue had a part in the call.
    #[serde(rename = "x", default, skip_serializing_if = "is_false")]
    pub touched: bool,
    /// A place said that a phone took the call.
    #[serde(rename = "b", default, skip_serializing_if = "is_false")]
    pub bridged: bool,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub unbridged: Option<Unbridged>,
    /// An IVR ended, or the history says that the call did.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Stamp>,
    /// The whole call is over.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Stamp>,
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub legs: BTreeMap<String, LegFacts>,
    /// The same of what was read back from the PBX's history, kept apart: [`super::past`] says how the two make one picture.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Box<CallFacts>>,
}

/// What places said that lost the call (`Bridged=no`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbridged {
    /// When the first of them reached us.
    #[serde(rename = "a")]
    pub first_arrived: Timestamp,
    #[serde(rename = "t")]
    pub last_at: Timestamp,
    /// The place that is told: a queue beats an IVR, the last queue wins.
    #[serde(rename = "w")]
    pub told: (bool, Timestamp, String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegFacts {
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub sub_call_id: Option<(Timestamp, String)>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Ranked<Direction>>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Ranked<String>>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Ranked<Party>>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub seen: Option<Stamp>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Stamp>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Stamp>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Stamp>,
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<EndStatus>,
    /// When the first end that said "answered" reached us.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub ended_answered: Option<Timestamp>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<i64>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub talk_us: Option<i64>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    #[serde(rename = "f", default, skip_serializing_if = "is_false")]
    pub transferred: bool,
    #[serde(rename = "w", default, skip_serializing_if = "is_false")]
    pub on_behalf: bool,
    #[serde(rename = "v", default, skip_serializing_if = "is_false")]
    pub via_place: bool,
    /// Told of by the PBX's own name of it.
    #[serde(rename = "k", default, skip_serializing_if = "is_false")]
    pub exact: bool,
}

fn is_false(b: &bool) -> bool {
    !*b
}

impl CallFacts {
    /// Merges one event that reached us at `arrived`.
    ///
    /// # Errors
    /// [`TooManyLegs`]: the event names one more leg than a call can have; nothing is changed.
    pub fn join(&mut self, event: &CallEvent, arrived: Timestamp) -> Result<(), TooManyLegs> {
        match event.source {
            Source::Events => self.join_here(event, arrived),
            Source::History => self.past.get_or_insert_default().join_here(event, arrived),
        }
    }

    /// When the call was first heard of, by an event or from the history.
    pub fn first_arrived(&self) -> Option<Timestamp> {
        let past = self.past.as_ref().and_then(|p| p.seen);
        self.seen.into_iter().chain(past).map(|s| s.arrived).min()
    }

    fn join_here(&mut self, event: &CallEvent, arrived: Timestamp) -> Result<(), TooManyLegs> {
        let stamp = Stamp { at: event.at.unwrap_or(arrived), arrived, ours: event.at.is_none() };
        if let What::Leg(leg) = &event.what {
            let key = id::leg_key(&leg.key);
            if self.legs.len() >= MAX_LEGS && !self.legs.contains_key(&key) {
                return Err(TooManyLegs);
            }
            self.legs.entry(key).or_default().join(leg, event.did.as_deref(), stamp);
        }
        join_first(&mut self.spelled, arrived, &event.call);
        Stamp::join(&mut self.seen, stamp);
        Ranked::join(&mut self.client, event.client.clone());
        join_min(&mut self.did, event.did.as_deref());
        match &event.what {
            What::Leg(leg) => self.touched |= leg.via_place,
            What::PlaceEnd(end) => self.join_place(end, event.source, stamp),
            What::Touched => self.touched = true,
            What::Taken => self.bridged = true,
            What::Over => {
                Stamp::join(&mut self.closed, stamp);
                // What the history knows of the end is weighed when the two are put together.
                if event.source == Source::Events {
                    Stamp::join(&mut self.over, stamp);
                }
            }
        }
        Ok(())
    }

    fn join_place(&mut self, end: &PlaceEnd, source: Source, stamp: Stamp) {
        self.touched = true;
        if let Some(at) = end.begun {
            Stamp::join(&mut self.seen, Stamp { at, ours: false, ..stamp });
        }
        // The history has a word of its own for the end of a call.
        if !end.queue && source == Source::Events {
            Stamp::join(&mut self.closed, stamp);
        }
        match end.bridged {
            Some(true) => self.bridged = true,
            Some(false) => {
                let told = (end.queue, stamp.at, end.place.clone());
                self.unbridged = Some(match self.unbridged.take() {
                    None => Unbridged { first_arrived: stamp.arrived, last_at: stamp.at, told },
                    Some(u) => Unbridged {
                        first_arrived: u.first_arrived.min(stamp.arrived),
                        last_at: u.last_at.max(stamp.at),
                        told: u.told.max(told),
                    },
                });
            }
            None => {}
        }
    }
}

impl LegFacts {
    /// The PBX's own events told of it, and not its dialplan alone, which does not hear of each end: those know less surely whose phone it is.
    pub fn is_the_pbx_s(&self) -> bool {
        self.extension.as_ref().is_some_and(|e| e.rank > DIALPLAN_S_RANK)
    }

    fn join(&mut self, leg: &LegEvent, did: Option<&str>, stamp: Stamp) {
        if let Some(sub) = &leg.sub_call_id {
            join_first(&mut self.sub_call_id, stamp.arrived, sub);
        }
        Ranked::join(&mut self.direction, Some(leg.direction));
        Ranked::join(&mut self.extension, leg.extension.clone());
        Ranked::join(&mut self.number, leg.number.clone());
        join_min(&mut self.did, did);
        Stamp::join(&mut self.seen, stamp);
        self.transferred |= leg.transferred;
        self.on_behalf |= leg.on_behalf;
        self.via_place |= leg.via_place;
        self.exact |= leg.exact;
        match &leg.phase {
            Phase::Begin => Stamp::join(&mut self.begun, stamp),
            Phase::Answer => Stamp::join(&mut self.answered, stamp),
            Phase::Outcome(status) => self.status = self.status.max(Some(*status)),
            Phase::End(end) => {
                Stamp::join(&mut self.ended, stamp);
                self.status = self.status.max(end.status);
                if end.status == Some(EndStatus::Answered) {
                    self.ended_answered = Some(self.ended_answered.map_or(stamp.arrived, |t| t.min(stamp.arrived)));
                }
                self.duration_us = self.duration_us.max(end.duration_us);
                self.talk_us = self.talk_us.max(end.talk_us);
                join_min(&mut self.record_id, end.record_id.as_deref());
            }
        }
    }
}

fn join_min(mine: &mut Option<String>, other: Option<&str>) {
    if let Some(other) = other
        && mine.as_deref().is_none_or(|m| other < m)
    {
        *mine = Some(other.to_owned());
    }
}

fn join_first(mine: &mut Option<(Timestamp, String)>, arrived: Timestamp, text: &str) {
    let text = id::spelling(text);
    if mine.as_ref().is_none_or(|(at, t)| (arrived, text) < (*at, t.as_str())) {
        *mine = Some((arrived, text.to_owned()));
    }
}
