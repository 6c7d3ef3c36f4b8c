//! What clients see of a call: a pure function of its [`CallFacts`].
//!
//! The rules are those of the Telphin page, sections 2 (requirements 9 to 11) and 5, in terms that hold for every PBX:
//! - a leg is logged at its own end: an incoming one if it was answered, an outgoing one always, a local one never;
//! - a call that a place lost (`Bridged=no`) is one missed call, told of the last queue, else of the IVR, unless a phone took it after all;
//! - a call that only ever touched phones is missed when no leg of it was answered;
//! - what the PBX's history tells fills what no event told ([`past`]), and each row says whether it needed that;
//! - the end of a lost call ends its legs that had begun by then, but for those whose own end is still to be told; forwarding ends the ringing
//!   of the phone that forwards.

use std::collections::BTreeSet;

use super::call::{CallFacts, LegFacts, Stamp};
use super::event::{Direction, EndStatus, Source};
use super::id;
use super::past;
use super::phone::Party;
use super::time::Timestamp;
use crate::text_enum;

text_enum! {
    pub enum LegStatus {
        Ringing = "ringing",
        Talking = "talking",
        Answered = "answered",
        NoAnswer = "no_answer",
        Busy = "busy",
        Cancelled = "cancelled",
        Failed = "failed",
        Missed = "missed",
    }
}

text_enum! {
    pub enum CallStatus {
        Ringing = "ringing",
        Talking = "talking",
        Answered = "answered",
        Missed = "missed",
        Failed = "failed",
    }
}

text_enum! {
    pub enum CallDirection {
        In = "in",
        Out = "out",
        /// Between extensions of the same PBX; not logged.
        Internal = "internal",
    }
}

/// A call as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    pub pbx_call_id: String,
    pub direction: CallDirection,
    pub status: CallStatus,
    /// The client's number, E.164.
    pub number: Option<String>,
    pub did: Option<String>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A leg, or the missed-call row of a call (`key` is [`id::MISSED`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegView {
    pub key: String,
    pub sub_call_id: Option<String>,
    pub direction: Direction,
    pub status: LegStatus,
    /// The outside party of this leg, E.164.
    pub number: Option<String>,
    /// The extension at the other end, when the leg is between extensions.
    pub internal_number: Option<String>,
    pub did: Option<String>,
    pub extension: Option<String>,
    pub place: Option<String>,
    pub started_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub talk_us: i64,
    pub duration_us: i64,
    pub transferred: bool,
    pub record_id: Option<String>,
    /// When the row appears in the call log; for a missed call this may lie ahead. `None`: not a row of the log.
    pub logged_at: Option<Timestamp>,
    /// The phone is ringing or in use now.
    pub live: bool,
    /// A live leg of this kind keeps its extension busy.
    pub occupies: bool,
    /// When the leg's end reached us.
    pub end_arrived: Option<Timestamp>,
    /// How it ended, in the field's full detail.
    pub end: Option<EndStatus>,
    /// When the leg, and its answer, first reached us.
    pub heard: Option<Timestamp>,
    pub answer_heard: Option<Timestamp>,
    /// `History` when any of this is known only from there.
    pub source: Source,
}

impl LegView {
    pub fn is_missed_row(&self) -> bool {
        self.key == id::MISSED
    }

    /// True when both tell clients the same, whatever they are called and whenever they reached us.
    pub fn says(&self, other: &LegView) -> bool {
        let plain = |leg: &LegView| LegView {
            key: String::new(),
            logged_at: leg.logged_at.map(|_| Timestamp(0)),
            end_arrived: None,
            heard: None,
            answer_heard: None,
            source: Source::Events,
            ..leg.clone()
        };
        plain(self) == plain(other)
    }

    pub fn was_answered(&self) -> bool {
        self.answered_at.is_some() || self.end == Some(EndStatus::Answered)
    }
}

/// The whole picture of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    pub call: CallView,
    pub legs: Vec<LegView>,
}

/// Draws the picture. `missed_wait_ms`: how long after its first sign a missed call is published (Telphin page, 5.3 rule 4).
pub fn project(facts: &CallFacts, missed_wait_ms: i64) -> Projection {
    let told = picture(facts, None, missed_wait_ms);
    let Some(past) = &facts.past else { return told };
    let both = past::together(facts, past);
    let mut whole = picture(&both.facts, both.over, missed_wait_ms);
    for row in &mut whole.legs {
        let key = if row.is_missed_row() { Some(&row.key) } else { both.told.get(&row.key) };
        let by_events = key.and_then(|key| told.legs.iter().find(|t| t.key == *key));
        row.source = if by_events.is_some_and(|t| t.says(row)) { Source::Events } else { Source::History };
    }
    whole
}

/// `over`: a leg whose end nobody wrote down ended then.
fn picture(facts: &CallFacts, over: Option<Stamp>, missed_wait_ms: i64) -> Projection {
    let named: BTreeSet<&str> = facts.legs.values().filter(|leg| leg.exact).filter_map(on).collect();
    // One that was told of without its name is one of those on the same extension that were told of with theirs.
    let known = facts.legs.iter().filter(|(_, leg)| leg.exact || !on(leg).is_some_and(|extension| named.contains(extension)));
    let mut legs: Vec<LegView> = known.map(|(key, leg)| leg_view(key, leg, facts, over)).collect();
    let missed = missed_row(facts, &legs, missed_wait_ms);
    let call = call_view(facts, &legs, missed.is_some());
    legs.extend(missed);
    Projection { call, legs }
}

fn on(leg: &LegFacts) -> Option<&str> {
    leg.extension.as_ref().map(|e| e.value.as_str())
}

fn leg_view(key: &str, leg: &LegFacts, call: &CallFacts, over: Option<Stamp>) -> LegView {
    // The end of the whole call is the end of each leg of which no other is known. A leg that the PBX tells of by its own name from its begin
    // on, and on which somebody talks, is not over with the caller: the others may talk on, and its own end will be told.
    let own_end = leg.exact && leg.is_the_pbx_s() && leg.begun.is_some() && leg.answered.is_some();
    let with_call = call.over.filter(|_| leg.ended.is_none() && !own_end).map(|over| LegFacts { ended: Some(over), ..leg.clone() });
    let leg = with_call.as_ref().unwrap_or(leg);
    let seen = leg.seen.map(|s| s.at).unwrap_or_default();
    let started_at = leg.begun.map_or(seen, |b| b.at);
    let open = leg.ended.is_none();
    let lost = lost_with_call(call, started_at).filter(|_| !own_end);
    let gone = lost.or_else(|| forwarded(call, leg, started_at)).or(over).filter(|_| open);
    let ended_at = leg.ended.or(gone).map(|e| e.at);
    let answered = leg.answered.is_some() || leg.status == Some(EndStatus::Answered);
    let number = leg.number.as_ref().map(|n| &n.value);
    let direction = leg.direction.map_or(Direction::In, |d| d.value);
    let local = number.is_some_and(Party::is_internal);
    // What is measured between two moments of the leg, by one clock, is better than a duration that is told.
    let by_one_clock = |(from, to): (Stamp, Stamp)| from.ours == to.ours;
    let measured = |from: Option<Stamp>| leg.exact && from.zip(leg.ended).is_some_and(by_one_clock);
    let told_duration_us = leg.duration_us.filter(|_| !measured(leg.begun));
    let told_talk_us = leg.talk_us.filter(|_| !measured(leg.answered));
    let duration_us = told_duration_us.unwrap_or_else(|| ended_at.map_or(0, |e| e.since(started_at)));
    let talk_us = match (told_talk_us, leg.answered, leg.ended) {
        (Some(talk), ..) => talk,
        (None, Some(a), Some(e)) => e.at.since(a.at),
        (None, None, Some(_)) if leg.status == Some(EndStatus::Answered) => duration_us,
        _ => 0,
    };
    LegView {
        key: key.to_owned(),
        sub_call_id: leg.sub_call_id.as_ref().map(|(_, s)| s.clone()),
        direction,
        status: leg_status(leg, ended_at.is_some()),
        number: number.and_then(Party::external).map(str::to_owned),
        internal_number: number.and_then(|n| if let Party::Internal(e) = n { Some(e.clone()) } else { None }),
        did: leg.did.clone(),
        extension: leg.extension.as_ref().map(|e| e.value.clone()),
        place: None,
        started_at,
        answered_at: leg.answered.map(|a| a.at),
        ended_at,
        talk_us,
        duration_us,
        transferred: leg.transferred,
        record_id: leg.record_id.clone(),
        logged_at: if local { None } else { logged_at(leg, direction, answered) },
        live: ended_at.is_none(),
        occupies: !leg.on_behalf,
        end_arrived: leg.ended.or(gone).map(|e| e.arrived),
        end: leg.ended.and(leg.status),
        heard: leg.seen.map(|s| s.arrived),
        answer_heard: leg.answered.map(|s| s.arrived),
        source: Source::Events,
    }
}

/// The end of a lost call ends its legs that had begun by then.
fn lost_with_call(call: &CallFacts, started_at: Timestamp) -> Option<Stamp> {
    let lost = call.unbridged.as_ref().filter(|u| started_at <= u.last_at)?;
    Some(Stamp { at: lost.last_at, arrived: lost.first_arrived, ours: false })
}

/// A phone that passes a ringing call on rings no more: the leg that it makes for that takes its place.
fn forwarded(call: &CallFacts, leg: &LegFacts, started_at: Timestamp) -> Option<Stamp> {
    if leg.answered.is_some() || leg.direction.is_some_and(|d| d.value == Direction::Out) {
        return None;
    }
    let on = leg.extension.as_ref().map(|e| &e.value)?;
    let passes_on = |l: &&LegFacts| {
        l.transferred && l.direction.is_some_and(|d| d.value == Direction::Out) && l.extension.as_ref().is_some_and(|e| &e.value == on)
    };
    call.legs.values().filter(passes_on).filter_map(|l| l.begun.or(l.seen)).filter(|s| s.at >= started_at).min_by_key(|s| (s.at, s.arrived))
}

fn leg_status(leg: &LegFacts, ended: bool) -> LegStatus {
    match (ended, leg.status, leg.answered.is_some()) {
        (false, _, true) => LegStatus::Talking,
        (false, _, false) => LegStatus::Ringing,
        (true, Some(EndStatus::Answered), _) | (true, None, true) => LegStatus::Answered,
        (true, Some(EndStatus::Busy | EndStatus::Rejected), _) => LegStatus::Busy,
        (true, Some(EndStatus::NoAnswer), _) => LegStatus::NoAnswer,
        (true, Some(EndStatus::Cancelled), _) => LegStatus::Cancelled,
        (true, Some(EndStatus::Failed | EndStatus::Unreachable | EndStatus::Other), _) => LegStatus::Failed,
        (true, None, false) => {
            if leg.ended.is_some() {
                LegStatus::NoAnswer
            } else {
                LegStatus::Cancelled
            }
        }
    }
}

/// When the leg became a row of the log: by our arrival times, so that whoever reads the newest rows misses none.
fn logged_at(leg: &LegFacts, direction: Direction, answered: bool) -> Option<Timestamp> {
    let ended = leg.ended?.arrived;
    match direction {
        Direction::Out => Some(ended),
        Direction::In if answered => {
            let by_answer = leg.answered.map(|a| a.arrived.max(ended));
            match (leg.ended_answered, by_answer) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        }
        Direction::In => None,
    }
}

fn missed_row(facts: &CallFacts, legs: &[LegView], wait_ms: i64) -> Option<LegView> {
    let outside_in = |l: &&LegView| l.direction == Direction::In && l.occupies && l.internal_number.is_none();
    let (place, ended_at, sign) = match &facts.unbridged {
        Some(lost) => {
            if facts.bridged || legs.iter().filter(outside_in).any(LegView::was_answered) {
                return None;
            }
            // A place without a name is the PBX itself: the phone that rang last, or the number that was called.
            let phone = || legs.iter().filter(outside_in).max_by_key(|l| (l.started_at, l.key.clone()))?.extension.clone();
            let place = Some(lost.told.2.clone()).filter(|place| !place.is_empty()).or_else(phone).or_else(|| facts.did.clone());
            (place.unwrap_or_default(), lost.last_at, lost.first_arrived)
        }
        None => {
            if facts.touched || facts.bridged || legs.iter().any(|l| l.live || l.was_answered()) {
                return None;
            }
            let last = legs.iter().filter(outside_in).max_by_key(|l| (l.started_at, l.key.clone()))?;
            let ended_at = legs.iter().filter_map(|l| l.ended_at).max()?;
            let sign = legs.iter().filter_map(|l| l.end_arrived).max()?;
            (last.extension.clone().unwrap_or_default(), ended_at, sign)
        }
    };
    let started_at = facts.seen.map(|s| s.at).unwrap_or(ended_at);
    Some(LegView {
        key: id::MISSED.to_owned(),
        sub_call_id: None,
        direction: Direction::In,
        status: LegStatus::Missed,
        number: client_number(facts),
        internal_number: None,
        did: facts.did.clone(),
        extension: None,
        place: Some(place),
        started_at,
        answered_at: None,
        ended_at: Some(ended_at),
        talk_us: 0,
        duration_us: ended_at.since(started_at),
        transferred: false,
        record_id: None,
        logged_at: Some(sign.plus_ms(wait_ms)),
        live: false,
        occupies: false,
        end_arrived: Some(sign),
        end: None,
        heard: Some(sign),
        answer_heard: None,
        source: Source::Events,
    })
}

fn client_number(facts: &CallFacts) -> Option<String> {
    facts.client.as_ref().and_then(|c| c.value.external()).map(str::to_owned)
}

fn call_view(facts: &CallFacts, legs: &[LegView], missed: bool) -> CallView {
    let outside = |l: &&LegView| l.internal_number.is_none();
    let incoming = facts.unbridged.is_some() || legs.iter().filter(outside).any(|l| l.direction == Direction::In);
    let direction = if incoming {
        CallDirection::In
    } else if legs.iter().any(|l| outside(&l)) {
        CallDirection::Out
    } else if legs.is_empty() {
        CallDirection::In
    } else {
        CallDirection::Internal
    };
    let answered = facts.bridged || legs.iter().any(LegView::was_answered);
    let live = legs.iter().any(|l| l.live);
    // Between two rings of an IVR or a queue no leg is live, and the call is not over.
    let waiting =
        facts.touched && !facts.bridged && !answered && facts.closed.is_none() && facts.unbridged.is_none() && facts.over.is_none();
    let status = if legs.iter().any(|l| l.live && l.answered_at.is_some()) {
        CallStatus::Talking
    } else if live || waiting {
        CallStatus::Ringing
    } else if missed {
        CallStatus::Missed
    } else if answered {
        CallStatus::Answered
    } else if direction == CallDirection::In {
        CallStatus::Missed
    } else {
        CallStatus::Failed
    };
    let last = legs
        .iter()
        .filter_map(|l| l.ended_at)
        .chain(facts.unbridged.iter().map(|u| u.last_at))
        .chain(facts.closed.map(|c| c.at))
        .chain(facts.over.map(|o| o.at));
    CallView {
        pbx_call_id: facts.spelled.as_ref().map(|(_, s)| s.clone()).unwrap_or_default(),
        direction,
        status,
        number: client_number(facts),
        did: facts.did.clone(),
        started_at: facts.seen.map(|s| s.at).unwrap_or_default(),
        ended_at: if live || waiting { None } else { last.max() },
    }
}

#[cfg(test)]
#[path = "call_log_tests.rs"]
mod tests;
