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

#[cfg(test)]
mod tests {
    use super::CallbackStatus::{Done, Failed, RingingDestination, RingingSource, Talking};
    use super::*;
    use crate::domain::call::CallFacts;
    use crate::domain::call_log::project;
    use crate::domain::event::{CallEvent, LegEnd, LegEvent, Phase, Ranked, Source, What};
    use crate::domain::phone::Party;
    use crate::domain::time::Timestamp;

    fn event(key: &str, extension: &str, direction: Direction, number: Party, at_s: i64, phase: Phase) -> CallEvent {
        CallEvent {
            source: Source::Events,
            call: "c".into(),
            at: Some(Timestamp(at_s * 1_000_000)),
            client: None,
            did: None,
            what: What::Leg(LegEvent {
                key: key.into(),
                sub_call_id: None,
                phase,
                direction: Ranked::new(1, direction),
                extension: Some(Ranked::new(1, extension.into())),
                number: Some(Ranked::new(1, number)),
                transferred: false,
                on_behalf: false,
                via_place: false,
                exact: true,
            }),
        }
    }

    fn client() -> Party {
        Party::External("+79990001122".into())
    }

    fn end(status: EndStatus) -> Phase {
        Phase::End(LegEnd { status: Some(status), ..LegEnd::default() })
    }

    /// What a call of these events says of a callback from 101.
    fn said(events: &[CallEvent]) -> Option<(CallbackStatus, Option<&'static str>)> {
        let mut facts = CallFacts::default();
        for event in events {
            facts.join(event, Timestamp(9_000_000_000)).expect("joined");
        }
        progress(&project(&facts, 0), "101")
    }

    #[test]
    fn the_phone_is_rung_then_the_client_then_they_talk() {
        let source = |at, phase| event("a", "101", Direction::In, client(), at, phase);
        let out = |key, at, phase| event(key, "101", Direction::Out, client(), at, phase);
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[event("x", "102", Direction::In, client(), 1, Phase::Begin)]), None, "another phone of the call");
        let rings = source(1, Phase::Begin);
        assert_eq!(said(std::slice::from_ref(&rings)), Some((RingingSource, None)));
        let dials = [rings.clone(), source(3, end(EndStatus::Answered)), out("b", 4, Phase::Begin)];
        assert_eq!(said(&dials), Some((RingingDestination, None)));
        let talks = [&dials[..], &[out("b", 6, Phase::Answer)]].concat();
        assert_eq!(said(&talks), Some((Talking, None)));
        assert_eq!(said(&[&talks[..], &[out("b", 9, end(EndStatus::Answered))]].concat()), Some((Done, None)));
        for (status, why) in [
            (EndStatus::Busy, "the destination was busy"),
            (EndStatus::NoAnswer, "the destination did not answer"),
            (EndStatus::Cancelled, "the source hung up"),
            (EndStatus::Unreachable, "the destination could not be reached"),
        ] {
            assert_eq!(said(&[&dials[..], &[out("b", 9, end(status))]].concat()), Some((Failed, Some(why))));
        }
        let again = [&dials[..], &[out("b", 9, end(EndStatus::Busy)), out("c", 10, Phase::Begin)]].concat();
        assert_eq!(said(&again), Some((RingingDestination, None)), "a second attempt");
        let both = [&again[..], &[out("c", 12, end(EndStatus::NoAnswer))]].concat();
        assert_eq!(said(&both), Some((Failed, Some("the destination did not answer"))), "the last one tells");
        let reached = [&again[..], &[out("c", 12, end(EndStatus::Answered))]].concat();
        assert_eq!(said(&reached), Some((Done, None)), "one that was answered is enough");
    }

    #[test]
    fn a_phone_that_was_not_picked_up_says_why() {
        for (status, why) in [
            (EndStatus::Busy, "the source was busy"),
            (EndStatus::Rejected, "the source declined"),
            (EndStatus::Unreachable, "the source could not be reached"),
            (EndStatus::Failed, "the source could not be reached"),
            (EndStatus::NoAnswer, "the source did not answer"),
            (EndStatus::Cancelled, "the source did not answer"),
        ] {
            let source = [(1, Phase::Begin), (5, end(status))].map(|(at, phase)| event("a", "101", Direction::In, client(), at, phase));
            assert_eq!(said(&source), Some((Failed, Some(why))));
        }
    }

    #[test]
    fn a_phone_that_was_only_rung_to_be_called_from_called_nobody() {
        let own = Party::Internal("101".into());
        let phases = [(1, Phase::Begin), (2, Phase::Answer), (5, end(EndStatus::Answered))];
        let rung = phases.clone().map(|(at, phase)| event("a", "101", Direction::In, own.clone(), at, phase));
        assert_eq!(said(&rung), Some((Failed, Some("the source picked up, and no call to the destination followed"))));
        let talked = phases.map(|(at, phase)| event("a", "101", Direction::In, client(), at, phase));
        assert_eq!(said(&talked), Some((Done, None)), "the PBX tells of the talk on the phone's own leg");
    }
}
