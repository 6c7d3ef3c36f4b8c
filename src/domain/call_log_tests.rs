use super::*;
use crate::domain::event::{CallEvent, LegEnd, LegEvent, Phase, PlaceEnd, Ranked, What};

const SECOND: i64 = 1_000_000;

/// An event of a leg on 101 at a second of the PBX's clock; `None`: the PBX did not say when.
fn told(key: &str, exact: bool, at_s: Option<i64>, phase: Phase) -> CallEvent {
    CallEvent {
        source: Source::Events,
        call: "c".into(),
        at: at_s.map(|s| Timestamp(s * SECOND)),
        client: None,
        did: None,
        what: What::Leg(LegEvent {
            key: key.into(),
            sub_call_id: Some(key.into()),
            phase,
            direction: Ranked::new(1, Direction::In),
            extension: Some(Ranked::new(1, "101".into())),
            number: Some(Ranked::new(1, Party::External("+79990001122".into()))),
            transferred: false,
            on_behalf: false,
            via_place: false,
            exact,
        }),
    }
}

fn legs(events: &[CallEvent]) -> Vec<LegView> {
    let mut facts = CallFacts::default();
    for (n, event) in events.iter().enumerate() {
        facts.join(event, Timestamp(1_000 * SECOND + n as i64)).expect("joined");
    }
    project(&facts, 0).legs.into_iter().filter(|leg| !leg.is_missed_row()).collect()
}

fn end(talk_s: Option<i64>) -> Phase {
    Phase::End(LegEnd {
        status: Some(EndStatus::Answered),
        talk_us: talk_s.map(|s| s * SECOND),
        duration_us: talk_s.map(|s| s * SECOND),
        record_id: None,
    })
}

#[test]
fn a_leg_that_was_told_of_without_its_name_gives_way_to_the_one_on_the_same_extension() {
    let vague = [told("d/101", false, Some(12), Phase::Answer), told("d/101", false, Some(20), end(Some(9)))];
    let alone = legs(&vague);
    assert_eq!((alone.len(), alone[0].talk_us), (1, 9 * SECOND), "alone it stands, with what was told of it");
    let named =
        [told("17.2", true, Some(10), Phase::Begin), told("17.2", true, Some(12), Phase::Answer), told("17.2", true, Some(20), end(None))];
    for events in [[vague.to_vec(), named.to_vec()].concat(), [named.to_vec(), vague.to_vec()].concat()] {
        let found = legs(&events);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].sub_call_id.as_deref(), found[0].talk_us), (Some("17.2"), 8 * SECOND));
    }
}

#[test]
fn what_lies_between_two_moments_is_better_than_a_told_duration_and_that_than_nothing() {
    let begin = told("17.2", true, Some(10), Phase::Begin);
    let answer = told("17.2", true, Some(12), Phase::Answer);
    let found = legs(&[begin, answer.clone(), told("17.2", true, Some(20), end(Some(7)))]);
    assert_eq!((found[0].talk_us, found[0].duration_us), (8 * SECOND, 10 * SECOND));
    let found = legs(&[answer, told("17.2", true, Some(20), end(Some(7)))]);
    assert_eq!((found[0].talk_us, found[0].duration_us), (8 * SECOND, 7 * SECOND), "nobody told of its begin");
}

#[test]
fn the_pbx_s_clock_is_believed_before_ours_whatever_comes_first() {
    let (by_us, by_it) = (told("17.2", true, None, Phase::Answer), told("17.2", true, Some(5_000), Phase::Answer));
    for events in [[by_us.clone(), by_it.clone()], [by_it, by_us]] {
        assert_eq!(legs(&events)[0].answered_at, Some(Timestamp(5_000 * SECOND)));
    }
}

/// A leg of one direction from its begin (at 10 s) to its end (at 20 s), with an outside party.
fn leg(key: &str, direction: Direction, end: LegEnd) -> [CallEvent; 2] {
    [(10, Phase::Begin), (20, Phase::End(end))].map(|(at, phase)| {
        let mut event = told(key, true, Some(at), phase);
        if let What::Leg(leg) = &mut event.what {
            leg.direction = Ranked::new(1, direction);
        }
        event
    })
}

fn ended(status: Option<EndStatus>) -> LegEnd {
    LegEnd { status, ..LegEnd::default() }
}

/// The same with the other party inside.
fn inside(events: [CallEvent; 2]) -> [CallEvent; 2] {
    events.map(|mut event| {
        if let What::Leg(leg) = &mut event.what {
            leg.number = Some(Ranked::new(1, Party::Internal("102".into())));
        }
        event
    })
}

fn place(at_s: i64, queue: bool, bridged: Option<bool>) -> CallEvent {
    let what = What::PlaceEnd(PlaceEnd { place: if queue { "q" } else { "ivr" }.into(), queue, begun: None, bridged });
    CallEvent { what, ..of_call(at_s, What::Touched) }
}

fn of_call(at_s: i64, what: What) -> CallEvent {
    CallEvent { what, ..told("", true, Some(at_s), Phase::Begin) }
}

/// The picture of events that came one after the other, ten microseconds apart; a missed call is published a second after its sign.
fn drawn(events: &[CallEvent]) -> Projection {
    let mut facts = CallFacts::default();
    for (n, event) in events.iter().enumerate() {
        facts.join(event, arrival(n)).expect("joined");
    }
    project(&facts, 1_000)
}

fn arrival(n: usize) -> Timestamp {
    Timestamp(1_000 * SECOND + 10 * n as i64)
}

#[test]
fn a_call_is_what_its_legs_and_places_make_of_it() {
    use CallDirection::{In, Internal, Out};
    use CallStatus::{Answered, Failed, Missed, Ringing, Talking};
    let begin = || told("17.2", true, Some(10), Phase::Begin);
    let answer = || told("17.2", true, Some(12), Phase::Answer);
    let incoming = |status| leg("17.2", Direction::In, ended(status)).to_vec();
    let outgoing = |status| leg("17.3", Direction::Out, ended(status)).to_vec();
    let local = |status| inside(leg("17.4", Direction::Out, ended(status))).to_vec();
    let at = |s: i64| Some(Timestamp(s * SECOND));
    type Case = (&'static str, Vec<CallEvent>, CallDirection, CallStatus, Option<Timestamp>);
    let cases: Vec<Case> = vec![
        ("a phone rings", vec![begin()], In, Ringing, None),
        ("a phone was picked up", vec![begin(), answer()], In, Talking, None),
        ("it was hung up", incoming(Some(EndStatus::Answered)), In, Answered, at(20)),
        ("nobody picked up", incoming(Some(EndStatus::NoAnswer)), In, Missed, at(20)),
        ("a call to the outside", outgoing(Some(EndStatus::Answered)), Out, Answered, at(20)),
        ("a call to the outside that failed", outgoing(Some(EndStatus::Busy)), Out, Failed, at(20)),
        ("one that a client's call was passed on by", [incoming(None), outgoing(None)].concat(), In, Missed, at(20)),
        ("between extensions", local(Some(EndStatus::Answered)), Internal, Answered, at(20)),
        ("between extensions, and nobody picked up", local(Some(EndStatus::NoAnswer)), Internal, Failed, at(20)),
        ("to the outside, with a word to a colleague", [local(None), outgoing(Some(EndStatus::Answered))].concat(), Out, Answered, at(20)),
        ("an IVR plays", vec![of_call(5, What::Touched)], In, Ringing, None),
        ("an IVR's call was taken somewhere", vec![of_call(5, What::Touched), of_call(6, What::Taken)], In, Answered, None),
        ("an IVR's call is over", vec![of_call(5, What::Touched), of_call(9, What::Over)], In, Missed, at(9)),
        ("an IVR ended and did not say how", vec![place(7, false, None)], In, Missed, at(7)),
        ("a queue passed the call on and did not say how", vec![place(7, true, None)], In, Ringing, None),
        ("a place lost it", vec![place(7, true, Some(false))], In, Missed, at(7)),
        (
            "a place lost it, and an extension's call to another belongs to it",
            [vec![place(7, true, Some(false))], local(None)].concat(),
            In,
            Missed,
            at(20),
        ),
        (
            "a phone took it before a place lost it",
            [incoming(Some(EndStatus::Answered)), vec![place(30, true, Some(false))]].concat(),
            In,
            Answered,
            at(30),
        ),
    ];
    for (what, events, direction, status, ended_at) in cases {
        let forwards = drawn(&events).call;
        let backwards: Vec<CallEvent> = events.iter().rev().cloned().collect();
        for call in [forwards, drawn(&backwards).call] {
            assert_eq!((call.direction, call.status, call.ended_at), (direction, status, ended_at), "{what}");
        }
    }
}

#[test]
fn a_leg_is_logged_when_its_end_and_what_makes_it_a_row_have_reached_us() {
    let begin = told("17.2", true, Some(10), Phase::Begin);
    let answer = told("17.2", true, Some(12), Phase::Answer);
    let [_, unsaid] = leg("17.2", Direction::In, ended(None));
    let [_, answered] = leg("17.2", Direction::In, ended(Some(EndStatus::Answered)));
    let [_, dialled] = leg("17.2", Direction::Out, ended(None));
    let cases: Vec<(&str, Vec<CallEvent>, Option<Timestamp>)> = vec![
        ("it still rings", vec![begin.clone(), answer.clone()], None),
        ("nobody picked up", vec![begin.clone(), unsaid.clone()], None),
        ("picked up and hung up", vec![answer.clone(), unsaid.clone()], Some(arrival(1))),
        ("the answer came late", vec![unsaid.clone(), answer.clone()], Some(arrival(1))),
        ("the end says that it was answered", vec![begin.clone(), answered.clone(), answer.clone()], Some(arrival(1))),
        ("the answer came before that end", vec![unsaid, answer, answered], Some(arrival(1))),
        ("an outgoing one needs no answer", vec![dialled], Some(arrival(0))),
    ];
    for (what, events, logged_at) in cases {
        let leg = drawn(&events).legs.into_iter().find(|l| !l.is_missed_row()).expect("the leg");
        assert_eq!(leg.logged_at, logged_at, "{what}");
    }
    for local in inside(leg("17.2", Direction::Out, ended(Some(EndStatus::Answered)))) {
        assert_eq!(drawn(&[local]).legs[0].logged_at, None, "between extensions nothing is logged");
    }
}

#[test]
fn a_missed_call_is_one_row_of_the_place_that_lost_it() {
    let missed = |events: &[CallEvent]| {
        let rows: Vec<LegView> = drawn(events).legs.into_iter().filter(LegView::is_missed_row).collect();
        assert!(rows.len() <= 1, "{rows:?}");
        rows.into_iter().next()
    };
    let rang = leg("17.2", Direction::In, ended(Some(EndStatus::NoAnswer))).to_vec();
    let row = missed(&rang).expect("a phone's own missed call");
    assert_eq!((row.place.as_deref(), row.logged_at), (Some("101"), Some(arrival(1).plus_ms(1_000))));
    assert_eq!((row.started_at, row.ended_at), (Timestamp(10 * SECOND), Some(Timestamp(20 * SECOND))));
    assert_eq!(row.duration_us, 10 * SECOND);
    let row = missed(&[rang.clone(), vec![place(21, true, Some(false)), place(25, false, Some(false))]].concat()).expect("a queue's");
    assert_eq!((row.place.as_deref(), row.ended_at), (Some("q"), Some(Timestamp(25 * SECOND))), "a queue beats the IVR");
    assert_eq!(row.logged_at, Some(arrival(2).plus_ms(1_000)), "by the first sign");
    for taken in [of_call(22, What::Taken), told("17.2", true, Some(12), Phase::Answer), place(22, false, Some(true))] {
        assert_eq!(missed(&[rang.clone(), vec![place(21, true, Some(false)), taken]].concat()), None);
    }
    assert_eq!(missed(&rang[..1]), None, "it rings");
    assert_eq!(missed(&[of_call(5, What::Touched)]), None, "an IVR plays");
    assert_eq!(missed(&inside(leg("17.4", Direction::In, ended(None)))), None, "between extensions");
}

#[test]
fn whoever_talks_on_after_the_caller_is_on_the_call_until_the_own_end() {
    let talk = [told("17.2", true, Some(10), Phase::Begin), told("17.2", true, Some(12), Phase::Answer)];
    for end_of_call in [of_call(20, What::Over), place(20, false, Some(false)), place(20, true, Some(true))] {
        let on = drawn(&[&talk[..], std::slice::from_ref(&end_of_call)].concat()).legs.remove(0);
        assert!(on.live, "{end_of_call:?}");
        let gone = drawn(&[&talk[..], &[end_of_call, told("17.2", true, Some(30), end(None))]].concat()).legs.remove(0);
        assert_eq!((gone.live, gone.talk_us), (false, 18 * SECOND));
    }
    let rings = drawn(&[talk[0].clone(), of_call(20, What::Over)]).legs.remove(0);
    assert_eq!(rings.ended_at, Some(Timestamp(20 * SECOND)), "a phone that rings does so for the caller");
    let by_dialplan = |mut event: CallEvent| {
        if let What::Leg(leg) = &mut event.what {
            leg.extension = Some(Ranked::new(crate::domain::call::DIALPLAN_S_RANK, "101".into()));
        }
        event
    };
    let heard = [talk.clone().map(by_dialplan).to_vec(), vec![of_call(20, What::Over)]].concat();
    assert_eq!(drawn(&heard).legs.remove(0).ended_at, Some(Timestamp(20 * SECOND)), "its dialplan may not hear of the own end");
    let unnamed = drawn(&[told("d/101", false, Some(12), Phase::Answer), of_call(20, What::Over)]).legs.remove(0);
    assert_eq!(unnamed.ended_at, Some(Timestamp(20 * SECOND)), "its own end may never be told");
}

#[test]
fn between_two_clocks_nothing_is_measured() {
    let answer = told("17.2", true, None, Phase::Answer);
    let found = legs(&[answer.clone(), told("17.2", true, Some(20), end(Some(7)))]);
    assert_eq!(found[0].talk_us, 7 * SECOND);
    let found = legs(&[answer, told("17.2", true, None, end(Some(7)))]);
    assert_eq!(found[0].talk_us, 1, "by our clock alone");
}

#[test]
fn two_rows_say_the_same_whatever_they_are_called_and_whenever_they_came() {
    let row = legs(&leg("17.2", Direction::Out, ended(Some(EndStatus::Answered)))).remove(0);
    let other = LegView {
        key: "another".into(),
        logged_at: Some(Timestamp(7)),
        end_arrived: Some(Timestamp(8)),
        heard: Some(Timestamp(9)),
        answer_heard: Some(Timestamp(9)),
        source: Source::History,
        ..row.clone()
    };
    assert!(row.says(&other));
    assert!(!row.says(&LegView { logged_at: None, ..row.clone() }), "one that is not logged");
    assert!(!row.says(&LegView { talk_us: row.talk_us + 1, ..row.clone() }));
}

#[test]
fn what_one_event_says_of_a_leg_is_not_unsaid_by_another() {
    let [begin, mut end] = leg("17.2", Direction::In, ended(None));
    if let What::Leg(leg) = &mut end.what {
        (leg.transferred, leg.on_behalf, leg.via_place, leg.exact) = (true, true, true, true);
    }
    let mut plain = begin;
    if let What::Leg(leg) = &mut plain.what {
        leg.exact = false;
    }
    for events in [[plain.clone(), end.clone()], [end, plain]] {
        let mut facts = CallFacts::default();
        for event in &events {
            facts.join(event, Timestamp(1)).expect("joined");
        }
        let leg = facts.legs.values().next().expect("the leg");
        assert!(leg.transferred && leg.on_behalf && leg.via_place && leg.exact && facts.touched, "{leg:?}");
    }
}

#[test]
fn the_client_is_the_one_who_is_believed_most_and_outside() {
    let of = |rank, party| CallEvent { client: Some(Ranked::new(rank, party)), ..of_call(5, What::Touched) };
    let (one, other) = (Party::External("+79990001122".into()), Party::External("+79990001133".into()));
    for events in [[of(1, one.clone()), of(2, other.clone())], [of(2, other.clone()), of(1, one.clone())]] {
        assert_eq!(drawn(&events).call.number.as_deref(), Some("+79990001133"));
    }
    assert_eq!(drawn(&[of(1, other), of(1, one)]).call.number.as_deref(), Some("+79990001122"), "of two the smaller");
    assert_eq!(drawn(&[of(1, Party::Internal("101".into()))]).call.number, None);
    assert_eq!(drawn(&[of_call(5, What::Touched)]).call.number, None);
    let lost = drawn(&[of(1, Party::External("+79990001122".into())), place(7, true, Some(false))]);
    assert_eq!(lost.legs[0].number.as_deref(), Some("+79990001122"));
}

/// 101 passes the call on to a phone outside, 5 s after it has begun to ring; what ends there is the ring, and no talk and no call of its own.
#[test]
fn a_phone_that_passes_a_call_on_stops_ringing_and_nothing_else() {
    let passed_on = |key: &str, at_s: i64| {
        let mut event = told(key, true, Some(at_s), Phase::Begin);
        if let What::Leg(leg) = &mut event.what {
            (leg.direction, leg.transferred) = (Ranked::new(1, Direction::Out), true);
        }
        event
    };
    let begin = told("17.1", true, Some(10), Phase::Begin);
    let ended_at = |events: &[CallEvent], key: &str| {
        let legs = legs(events);
        legs.iter().find(|l| l.sub_call_id.as_deref() == Some(key)).expect("the leg").ended_at
    };
    assert_eq!(ended_at(&[begin.clone(), passed_on("17.2", 15)], "17.1"), Some(Timestamp(15 * SECOND)));
    assert_eq!(ended_at(&[begin.clone(), passed_on("17.2", 15)], "17.2"), None, "the leg that goes out is the one that rings now");
    let talking = [begin, told("17.1", true, Some(12), Phase::Answer), passed_on("17.2", 15)];
    assert_eq!(ended_at(&talking, "17.1"), None, "whoever talks on 101 goes on talking");
}

#[test]
fn facts_are_stored_without_what_is_not_so_and_read_back_as_they_were() {
    let mut facts = CallFacts::default();
    for event in leg("17.2", Direction::In, ended(Some(EndStatus::NoAnswer))) {
        facts.join(&event, Timestamp(1)).expect("joined");
    }
    let text = serde_json::to_string(&facts).expect("JSON");
    assert!(!text.contains("false") && !text.contains("null"), "{text}");
    assert_eq!(serde_json::from_str::<CallFacts>(&text).expect("facts"), facts);
}
