//! What every PBX's events are turned into. An adapter's `parse` makes these; nothing behind it knows a vendor.

use serde::{Deserialize, Serialize};

use super::phone::Party;
use super::time::Timestamp;

crate::text_enum! {
    /// How we know.
    pub enum Source {
        /// The PBX told it when it happened.
        Events = "events",
        /// Read back later, from what the PBX wrote down.
        History = "history",
    }
}

/// One fact that a PBX told about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    pub source: Source,
    /// The PBX's id of the whole call, as written.
    pub call: String,
    /// When it happened by the PBX's clock; `None` when the PBX did not say or said nonsense.
    pub at: Option<Timestamp>,
    /// The client's number as far as this event tells, with how much it is to be believed (higher wins).
    pub client: Option<Ranked<Party>>,
    /// The public number through which the call came.
    pub did: Option<String>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// About one leg: one ring attempt on one extension.
    Leg(LegEvent),
    /// An IVR or a queue ended its part.
    PlaceEnd(PlaceEnd),
    /// An IVR or a queue had a part in the call; nothing more is known.
    Touched,
    /// Somebody took the call, anywhere in the PBX.
    Taken,
    /// The whole call is over, and with it every leg that it still has.
    Over,
}

impl What {
    /// The PBX's id of the leg, where this is about one.
    pub fn sub_call_id(&self) -> Option<&str> {
        match self {
            What::Leg(leg) => leg.sub_call_id.as_deref(),
            _ => None,
        }
    }

    /// A word for the log.
    pub fn name(&self) -> &'static str {
        match self {
            What::Leg(leg) => match (&leg.phase, leg.direction.value) {
                (Phase::Begin, Direction::In) => "dial-in",
                (Phase::Begin, Direction::Out) => "dial-out",
                (Phase::Answer, _) => "answer",
                (Phase::Outcome(_), _) => "outcome",
                (Phase::End(_), _) => "hangup",
            },
            What::PlaceEnd(_) => "place-end",
            What::Touched => "place",
            What::Taken => "taken",
            What::Over => "over",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegEvent {
    /// What tells the legs of a call apart; two events with equal keys are of one leg.
    pub key: String,
    /// The PBX's id of the leg as written, where it has one.
    pub sub_call_id: Option<String>,
    pub phase: Phase,
    pub direction: Ranked<Direction>,
    /// The short form of the extension that the leg is on.
    pub extension: Option<Ranked<String>>,
    /// The other party of *this* leg.
    pub number: Option<Ranked<Party>>,
    /// Made by forwarding or transfer.
    pub transferred: bool,
    /// Made on behalf of the extension without occupying it (a website callback).
    pub on_behalf: bool,
    /// An IVR or a queue passed the call on to this leg.
    pub via_place: bool,
    /// The key is the PBX's own name of the leg. Of the legs on one extension in a call those that are named so hold: any other is one of
    /// them, told of without its name. And where begin, answer and end were told, they measure better than told durations do.
    pub exact: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Begin,
    Answer,
    /// What one attempt of the leg came to, before its end.
    Outcome(EndStatus),
    End(LegEnd),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegEnd {
    /// `None` when the PBX did not say.
    pub status: Option<EndStatus>,
    /// The whole leg, microseconds.
    pub duration_us: Option<i64>,
    /// Talk only, microseconds.
    pub talk_us: Option<i64>,
    /// The PBX's id of the recording.
    pub record_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceEnd {
    /// The PBX's name of the IVR or queue (`0047*200`).
    pub place: String,
    pub queue: bool,
    /// When the call came to it.
    pub begun: Option<Timestamp>,
    /// Whether a phone took the call anywhere in the PBX; `None` when the PBX did not say.
    pub bridged: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    In,
    Out,
}

/// How a leg ended. The order is the rank: of two reports about one leg the greater holds, whatever came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndStatus {
    #[serde(rename = "o")]
    Other,
    /// The target was not registered.
    #[serde(rename = "u")]
    Unreachable,
    #[serde(rename = "f")]
    Failed,
    /// The caller gave up, or somebody else answered.
    #[serde(rename = "c")]
    Cancelled,
    #[serde(rename = "n")]
    NoAnswer,
    #[serde(rename = "r")]
    Rejected,
    #[serde(rename = "b")]
    Busy,
    #[serde(rename = "a")]
    Answered,
}

/// A value with how much it is to be believed. Joining keeps the higher rank, and the smaller value of equal ranks: any order gives the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked<T> {
    #[serde(rename = "r")]
    pub rank: u8,
    #[serde(rename = "v")]
    pub value: T,
}

impl<T: Ord> Ranked<T> {
    pub fn new(rank: u8, value: T) -> Self {
        Self { rank, value }
    }

    pub fn join(mine: &mut Option<Self>, other: Option<Self>) {
        if let Some(other) = other {
            let better = mine.as_ref().is_none_or(|m| other.rank > m.rank || (other.rank == m.rank && other.value < m.value));
            if better {
                *mine = Some(other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_rank_holds_and_of_two_alike_the_smaller_value_whatever_comes_first() {
        let joined = |values: &[(u8, i32)]| {
            let mut mine = None;
            values.iter().for_each(|(rank, value)| Ranked::join(&mut mine, Some(Ranked::new(*rank, *value))));
            Ranked::join(&mut mine, None);
            mine.map(|m| (m.rank, m.value))
        };
        for (values, expected) in [([(1, 5), (2, 9)], (2, 9)), ([(1, 5), (1, 9)], (1, 5)), ([(0, 1), (3, 7)], (3, 7))] {
            let [a, b] = values;
            assert_eq!((joined(&[a, b]), joined(&[b, a]), joined(&[a, b, a])), (Some(expected), Some(expected), Some(expected)));
        }
        assert_eq!(joined(&[]), None);
    }
}
