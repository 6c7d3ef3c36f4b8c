//! Click-to-call: the states of a request, and what a call says about it.

use super::call_log::{LegStatus, LegView, Projection};
use super::event::{Direction, EndStatus};
use crate::text_enum;

text_enum! {
    pub enum CallbackStatus {
        /// The PBX was asked, or is about to be.
        Accepted = "accepted",
        RingingSource = "ringing_source",
        RingingDestination = "ringing_destination",
        Talking = "talking",
        Done = "done",
        Failed = "failed",
    }
}

impl CallbackStatus {
    pub fn is_final(self) -> bool {
        matches!(self, CallbackStatus::Done | CallbackStatus::Failed)
    }
}

/// How far the call of a callback has come: the status, with a reason when it failed. `None`: the call says nothing about it yet.
pub fn progress(call: &Projection, extension: &str) -> Option<(CallbackStatus, Option<&'static str>)> {
    let on_source = |l: &&LegView| !l.is_missed_row() && l.extension.as_deref() == Some(extension);
    let out: Vec<&LegView> = call.legs.iter().filter(on_source).filter(|l| l.direction == Direction::Out).collect();
    if out.iter().any(|l| l.live && l.answered_at.is_some()) {
        return Some((CallbackStatus::Talking, None));
    }
    if out.iter().any(|l| l.live) {
        return Some((CallbackStatus::RingingDestination, None));
    }
    if let Some(last) = out.iter().max_by_key(|l| (l.started_at, l.key.clone())) {
        return Some(if out.iter().any(|l| l.status == LegStatus::Answered) {
            (CallbackStatus::Done, None)
        } else {
            (CallbackStatus::Failed, Some(why(last.status)))
        });
    }
    let source: Vec<&LegView> = call.legs.iter().filter(on_source).collect();
    if source.iter().any(|l| l.live) {
        return Some((CallbackStatus::RingingSource, None));
    }
    let last = source.iter().max_by_key(|l| (l.started_at, l.key.clone()))?;
    let answered = source.iter().any(|l| l.was_answered());
    // A phone that was rung to be called from: nobody was called.
    let only_rung = source.iter().all(|l| l.internal_number.as_deref() == Some(extension));
    match (answered, only_rung) {
        (true, false) => Some((CallbackStatus::Done, None)),
        (true, true) => Some((CallbackStatus::Failed, Some("the source picked up, and no call to the destination followed"))),
        (false, _) => Some((CallbackStatus::Failed, Some(why_source(last.end)))),
    }
}

fn why_source(end: Option<EndStatus>) -> &'static str {
    match end {
        Some(EndStatus::Busy) => "the source was busy",
        Some(EndStatus::Rejected) => "the source declined",
        Some(EndStatus::Unreachable | EndStatus::Failed) => "the source could not be reached",
        _ => "the source did not answer",
    }
}

fn why(status: LegStatus) -> &'static str {
    match status {
        LegStatus::Busy => "the destination was busy",
        LegStatus::NoAnswer => "the destination did not answer",
        LegStatus::Cancelled => "the source hung up",
        _ => "the destination could not be reached",
    }
}
