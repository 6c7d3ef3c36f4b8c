//! How what the PBX's history tells and what its events told make one picture of a call.
//!
//! The history is a second witness of the same call, and a coarser one: it writes whole seconds, and it does not know what the events call
//! a leg. So its facts are kept beside those of the events ([`CallFacts::past`]), each a join for itself, and [`together`] draws one from
//! both whenever it is asked: it is a pure function, so whatever comes first, and however often, the picture is the same. In it
//! - a leg of the history is the leg of the events that was on the same extension, in the same direction, at that time;
//! - what an event told holds, and the history fills what no event told: a begin, an answer, an end, a recording, the outside party of a
//!   leg that was handed over;
//! - a leg that no event told of stands for itself, with the history's name;
//! - two times less than [`RESOLUTION_US`] apart are the same time.

use std::collections::{BTreeMap, BTreeSet};

use super::call::{CallFacts, LegFacts, Stamp, Unbridged};
use super::event::{Direction, Ranked};
use super::time::Timestamp;

/// The history's times are whole seconds, cut off.
pub const RESOLUTION_US: i64 = 1_000_000;
/// An event of a leg may lie so far outside of the leg's time in the history.
const SLACK_US: i64 = 3_000_000;

/// One picture's facts.
pub struct Together {
    pub facts: CallFacts,
    /// By the leg's name in `facts`: its name among the events' legs, where they told of it.
    pub told: BTreeMap<String, String>,
    /// The history says that the call is over: legs whose end nobody wrote down ended with it.
    pub over: Option<Stamp>,
}

/// The facts of `events` with those of `past`, the history's.
pub fn together(events: &CallFacts, past: &CallFacts) -> Together {
    let pairs = pairs(events, past);
    let mut legs = BTreeMap::new();
    let mut told = BTreeMap::new();
    for (event_key, past_key) in &pairs {
        let (e, p) = (&events.legs[*event_key], &past.legs[*past_key]);
        // Whoever was heard first gave the row its name, and it keeps it.
        let key = if arrived(p) < arrived(e) { past_key } else { event_key };
        legs.insert((*key).clone(), leg(e, p));
        told.insert((*key).clone(), (*event_key).clone());
    }
    for (key, e) in events.legs.iter().filter(|(key, _)| !pairs.contains_key(key)) {
        legs.insert(key.clone(), e.clone());
        told.insert(key.clone(), key.clone());
    }
    let taken: BTreeSet<&String> = pairs.values().copied().collect();
    legs.extend(past.legs.iter().filter(|(key, _)| !taken.contains(key)).map(|(key, p)| (key.clone(), p.clone())));
    let facts = CallFacts {
        spelled: events.spelled.clone().or_else(|| past.spelled.clone()),
        seen: earliest(events.seen, past.seen),
        client: ranked(&events.client, &past.client),
        did: events.did.clone().or_else(|| past.did.clone()),
        touched: events.touched || past.touched,
        // A place that says "nobody took it" knows better than a summary of the whole call (Telphin page, 5.3 rule 1).
        bridged: events.bridged || (past.bridged && events.unbridged.is_none()),
        unbridged: lost(events.unbridged.as_ref(), past.unbridged.as_ref()),
        closed: latest(events.closed, past.closed),
        over: events.over,
        legs,
        past: None,
    };
    Together { facts, told, over: past.closed }
}

fn arrived(leg: &LegFacts) -> Option<Timestamp> {
    leg.seen.map(|s| s.arrived)
}

/// The earlier of two times, and of two that are the same the event's.
fn earliest(event: Option<Stamp>, past: Option<Stamp>) -> Option<Stamp> {
    match (event, past) {
        (Some(e), Some(p)) if p.at.micros() + RESOLUTION_US <= e.at.micros() => Some(Stamp { at: p.at, ..e }),
        (e, p) => e.or(p),
    }
}

fn latest(event: Option<Stamp>, past: Option<Stamp>) -> Option<Stamp> {
    match (event, past) {
        (Some(e), Some(p)) if p.at.micros() >= e.at.micros() + RESOLUTION_US => Some(Stamp { at: p.at, ..e }),
        (e, p) => e.or(p),
    }
}

/// What is to be believed more; the event's of two that are equal.
fn ranked<T: Clone>(event: &Option<Ranked<T>>, past: &Option<Ranked<T>>) -> Option<Ranked<T>> {
    match (event, past) {
        (Some(e), Some(p)) if p.rank > e.rank => Some(p.clone()),
        (e, p) => e.clone().or_else(|| p.clone()),
    }
}

fn lost(event: Option<&Unbridged>, past: Option<&Unbridged>) -> Option<Unbridged> {
    let (Some(e), Some(p)) = (event, past) else { return event.or(past).cloned() };
    let later = p.told.1.micros() >= e.told.1.micros() + RESOLUTION_US && p.told.2 != e.told.2;
    let told = if (p.told.0, later) > (e.told.0, false) { &p.told } else { &e.told };
    let last_at = if p.last_at.micros() >= e.last_at.micros() + RESOLUTION_US { p.last_at } else { e.last_at };
    Some(Unbridged { first_arrived: e.first_arrived, last_at, told: told.clone() })
}

fn leg(e: &LegFacts, p: &LegFacts) -> LegFacts {
    LegFacts {
        sub_call_id: e.sub_call_id.clone(),
        direction: e.direction,
        extension: e.extension.clone(),
        number: ranked(&e.number, &p.number),
        did: e.did.clone().or_else(|| p.did.clone()),
        seen: earliest(e.seen, p.seen),
        begun: e.begun.or(p.begun),
        answered: e.answered.or(p.answered),
        ended: e.ended.or(p.ended),
        status: e.status.or(p.status),
        ended_answered: e.ended_answered.or(p.ended_answered),
        // Two times of events measure better than the history's whole seconds.
        duration_us: e.duration_us.or(if e.begun.is_some() && e.ended.is_some() { None } else { p.duration_us }),
        talk_us: e.talk_us.or(if e.answered.is_some() && e.ended.is_some() { None } else { p.talk_us }),
        record_id: e.record_id.clone().or_else(|| p.record_id.clone()),
        transferred: e.transferred || p.transferred,
        on_behalf: e.on_behalf,
        via_place: e.via_place || p.via_place,
        exact: e.exact,
    }
}

/// Which leg of the events is which of the history: the nearest first, each once.
fn pairs<'a>(events: &'a CallFacts, past: &'a CallFacts) -> BTreeMap<&'a String, &'a String> {
    let mut near: Vec<(i64, &String, &String)> = Vec::new();
    for (event_key, e) in &events.legs {
        near.extend(past.legs.iter().filter_map(|(past_key, p)| Some((distance(e, p)?, event_key, past_key))));
    }
    near.sort_unstable();
    let mut pairs = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (_, event_key, past_key) in near {
        if !pairs.contains_key(event_key) && taken.insert(past_key) {
            pairs.insert(event_key, past_key);
        }
    }
    pairs
}

/// How far apart two legs are in time; `None` when they cannot be the same. The same recording is the same leg.
fn distance(e: &LegFacts, p: &LegFacts) -> Option<i64> {
    if e.record_id.is_some() && e.record_id == p.record_id {
        return Some(-1);
    }
    let same = |e: Option<&str>, p: Option<&str>| e.is_none() || p.is_none() || e == p;
    let extension = |l: &LegFacts| l.extension.as_ref().map(|x| x.value.clone());
    let direction = |l: &LegFacts| l.direction.map(|d| if d.value == Direction::In { "in" } else { "out" });
    if !same(extension(e).as_deref(), extension(p).as_deref()) || !same(direction(e), direction(p)) {
        return None;
    }
    let at = |s: Option<Stamp>| s.map(|s| s.at.micros());
    let (begin, end) = (at(p.begun.or(p.seen))?, at(p.ended).unwrap_or(i64::MAX));
    let inside = |t: &i64| (begin - SLACK_US..=end.saturating_add(SLACK_US)).contains(t);
    if !at(e.begun).iter().chain(&at(e.answered)).chain(&at(e.ended)).all(inside) {
        return None;
    }
    let apart = |e: Option<Stamp>, p: Option<Stamp>| Some((at(e)? - at(p)?).abs());
    let known = apart(e.begun, p.begun).or_else(|| apart(e.ended, p.ended)).or_else(|| apart(e.answered, p.answered));
    // No moment of the one is known of the other: the time lies inside, and that is all.
    Some(known.unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(second: i64, arrived: i64) -> Option<Stamp> {
        Some(Stamp { at: Timestamp(second * 1_000_000), arrived: Timestamp(arrived), ours: false })
    }

    fn leg_of(begun: i64, ended: Option<i64>) -> LegFacts {
        LegFacts {
            direction: Some(Ranked::new(3, Direction::In)),
            extension: Some(Ranked::new(3, "101".into())),
            seen: stamp(begun, 1),
            begun: stamp(begun, 1),
            ended: ended.and_then(|s| stamp(s, 1)),
            ..LegFacts::default()
        }
    }

    fn call(legs: &[(&str, LegFacts)]) -> CallFacts {
        CallFacts { legs: legs.iter().map(|(k, l)| ((*k).to_owned(), l.clone())).collect(), ..CallFacts::default() }
    }

    #[test]
    fn a_phone_that_rang_twice_is_paired_by_time() {
        let events = call(&[("e1", leg_of(100, Some(115))), ("e2", leg_of(116, None))]);
        let past = call(&[("h1", leg_of(100, Some(115))), ("h2", leg_of(116, Some(125)))]);
        let facts = together(&events, &past).facts;
        assert_eq!(facts.legs.len(), 2);
        assert_eq!(facts.legs["e2"].ended.map(|s| s.at), Some(Timestamp(125_000_000)));
        // The first ring was never told of: the second is still the second.
        let facts = together(&call(&[("e2", leg_of(116, None))]), &past).facts;
        assert_eq!(facts.legs.keys().collect::<Vec<_>>(), ["e2", "h1"]);
    }

    #[test]
    fn an_end_alone_finds_its_leg() {
        let end = LegFacts { begun: None, seen: stamp(125, 1), ended: stamp(125, 1), ..leg_of(0, None) };
        let past = call(&[("h1", leg_of(100, Some(115))), ("h2", leg_of(116, Some(125)))]);
        let facts = together(&call(&[("e2", end)]), &past).facts;
        assert_eq!(facts.legs["e2"].begun.map(|s| s.at), Some(Timestamp(116_000_000)));
    }

    #[test]
    fn a_row_keeps_the_name_under_which_it_was_first_heard_of() {
        let late = LegFacts { seen: stamp(100, 9), ..leg_of(100, None) };
        let facts = together(&call(&[("e", late)]), &call(&[("h", leg_of(100, Some(110)))])).facts;
        assert_eq!(facts.legs.keys().collect::<Vec<_>>(), ["h"]);
    }

    #[test]
    fn a_begin_that_the_history_knows_to_be_earlier_holds_from_a_whole_second_on() {
        let begun = |event: i64, past: i64| earliest(stamp(event, 1), stamp(past, 9)).map(|s| (s.at.0 / 1_000_000, s.arrived.0));
        assert_eq!(begun(101, 100), Some((100, 1)), "heard of when the event was");
        assert_eq!(begun(100, 100), Some((100, 1)));
        assert_eq!(begun(100, 101), Some((100, 1)));
        let close = earliest(Some(Stamp { at: Timestamp(100_999_999), arrived: Timestamp(1), ours: false }), stamp(100, 9));
        assert_eq!(close.map(|s| s.at), Some(Timestamp(100_999_999)), "less than a second apart is the same time");
    }

    #[test]
    fn of_two_that_are_believed_alike_the_event_s_holds() {
        let party = |rank, number: &str| Some(Ranked::new(rank, number.to_owned()));
        assert_eq!(ranked(&party(1, "b"), &party(1, "a")), party(1, "b"));
        assert_eq!(ranked(&party(1, "b"), &party(2, "a")), party(2, "a"));
        assert_eq!(ranked(&None, &party(0, "a")), party(0, "a"));
    }

    #[test]
    fn the_place_that_lost_a_call_is_the_history_s_when_it_is_another_and_later_by_a_second() {
        let at = |second: i64, place: &str, queue| {
            let told = (queue, Timestamp(second * 1_000_000), place.to_owned());
            Unbridged { first_arrived: Timestamp(1), last_at: Timestamp(second * 1_000_000), told }
        };
        let place = |event: &Unbridged, past: &Unbridged| {
            let both = lost(Some(event), Some(past)).expect("lost");
            (both.told.2, both.last_at.0 / 1_000_000)
        };
        assert_eq!(place(&at(10, "a", true), &at(11, "b", true)), ("b".into(), 11));
        assert_eq!(place(&at(10, "a", true), &at(10, "b", true)), ("a".into(), 10), "the same second");
        assert_eq!(place(&at(10, "a", true), &at(11, "b", false)), ("a".into(), 11), "a queue beats an IVR");
        assert_eq!(place(&at(10, "a", false), &at(9, "b", true)), ("b".into(), 10));
        assert_eq!(lost(None, Some(&at(9, "b", true))).map(|l| l.told.2), Some("b".into()));
    }
}
