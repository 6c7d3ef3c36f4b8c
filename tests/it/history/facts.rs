//! The sequences of section 5.4 with any of their events lost, and the call's record of the history at any moment.

use hookflash::domain::call::CallFacts;
use hookflash::domain::call_log::{LegView, Projection, project};
use hookflash::domain::event::{CallEvent, Source};
use hookflash::domain::phone::Numbering;
use hookflash::domain::spec::ExtensionType;
use hookflash::domain::time::Timestamp;
use hookflash::pbx::telphin::webhook;
use hookflash::pbx::{Context, HISTORY_HOOK, Raw};
use hookflash::simulator::telphin::{Cast, Event, Row, Spelling, record, scenario};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_767_000_000_123_456);

fn types(extension: &str) -> Option<ExtensionType> {
    match extension {
        "101" | "102" | "103" => Some(ExtensionType::Phone),
        "200" => Some(ExtensionType::Queue),
        "099" => Some(ExtensionType::Ivr),
        _ => None,
    }
}

fn read(hook: &str, body: &str) -> Vec<CallEvent> {
    let is_extension = |e: &str| types(e).is_some();
    let numbering = Numbering { country: Some("RU"), prefix: Some("0047"), is_extension: &is_extension, code_without_plus: true };
    let context = Context { numbering, extension_type: &types, agent_line: &|_| None, is_agents: &|_| false };
    let raw = Raw { hook, query: "", content_type: "", body: body.as_bytes() };
    webhook::events(raw, &context).expect("the simulator writes what can be read").events
}

fn told(event: &Event) -> Vec<CallEvent> {
    read("event", &event.form(Spelling::default()))
}

fn written(events: &[Event]) -> Vec<CallEvent> {
    record(events, 4700).map(|r| read(HISTORY_HOOK, &r.to_string())).unwrap_or_default()
}

/// Folds groups of events; the n-th arrives n milliseconds after the start.
fn fold(groups: &[Vec<CallEvent>]) -> CallFacts {
    let mut facts = CallFacts::default();
    for (n, group) in groups.iter().enumerate() {
        for event in group {
            facts.join(event, START.plus_ms(n as i64)).expect("few legs");
        }
    }
    facts
}

fn picture(facts: &CallFacts) -> Projection {
    project(facts, 3_000)
}

fn events(row: Row, seed: u64) -> Vec<Event> {
    scenario(row, &Cast::sample(), START, seed).into_iter().filter(|s| !s.optional).map(|s| s.event).collect()
}

fn logged(picture: &Projection) -> Vec<&LegView> {
    let mut rows: Vec<&LegView> = picture.legs.iter().filter(|l| l.logged_at.is_some()).collect();
    rows.sort_by_key(|l| (l.extension.clone(), l.direction, l.started_at.micros() / 2_000_000));
    rows
}

/// Equal in everything but what the history does not know: the leg's name, and fractions of a second.
fn same_but_for_fractions(a: &Projection, b: &Projection) -> Result<(), TestCaseError> {
    let (a, b) = (logged(a), logged(b));
    prop_assert_eq!(a.len(), b.len(), "{:#?} {:#?}", a, b);
    let near = |a: i64, b: i64| (a - b).abs() <= 1_000_000;
    let near_time = |a: Option<Timestamp>, b: Option<Timestamp>| match (a, b) {
        (Some(a), Some(b)) => near(a.micros(), b.micros()),
        (a, b) => a == b,
    };
    for (a, b) in a.into_iter().zip(b) {
        let times = LegView { started_at: b.started_at, answered_at: b.answered_at, ended_at: b.ended_at, ..a.clone() };
        let whole = LegView { talk_us: b.talk_us, duration_us: b.duration_us, sub_call_id: b.sub_call_id.clone(), end: b.end, ..times };
        prop_assert!(whole.says(b), "{:#?} {:#?}", a, b);
        prop_assert!(near(a.started_at.micros(), b.started_at.micros()), "{:#?} {:#?}", a, b);
        prop_assert!(near_time(a.answered_at, b.answered_at) && near_time(a.ended_at, b.ended_at), "{:#?} {:#?}", a, b);
        prop_assert!(near(a.talk_us, b.talk_us) && near(a.duration_us, b.duration_us), "{:#?} {:#?}", a, b);
    }
    Ok(())
}

#[test]
fn where_nothing_was_lost_the_history_tells_nothing_new() {
    for row in Row::ALL {
        for seed in 0..30 {
            let events = events(row, seed);
            let groups: Vec<_> = events.iter().map(told).collect();
            let whole = fold(&groups);
            let mut both = groups.clone();
            both.push(written(&events));
            assert_eq!(picture(&fold(&both)), picture(&whole), "row {} with seed {seed}", row.letter());
        }
    }
}

#[test]
fn a_call_of_which_nothing_was_told_is_restored_and_says_so() {
    for row in Row::ALL {
        for seed in 0..30 {
            let events = events(row, seed);
            let whole = picture(&fold(&events.iter().map(told).collect::<Vec<_>>()));
            let restored = picture(&fold(&[written(&events)]));
            same_but_for_fractions(&restored, &whole).unwrap_or_else(|e| panic!("row {} with seed {seed}: {e}", row.letter()));
            assert!(logged(&restored).iter().all(|l| l.source == Source::History));
            assert_eq!((restored.call.status, &restored.call.number), (whole.call.status, &whole.call.number), "row {}", row.letter());
            assert_eq!(restored.call.pbx_call_id, whole.call.pbx_call_id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_lost_is_restored(
        row in proptest::sample::select(Row::ALL.to_vec()), seed in 0u64..200, kept in any::<u32>(), place in any::<prop::sample::Index>(),
        swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12),
    ) {
        let events = events(row, seed);
        prop_assume!(!events.is_empty());
        let whole = picture(&fold(&events.iter().map(told).collect::<Vec<_>>()));
        let mut groups: Vec<_> = events.iter().enumerate().filter(|(n, _)| kept & (1 << n) != 0).map(|(_, e)| told(e)).collect();
        for (a, b) in swaps {
            if !groups.is_empty() {
                let (a, b) = (a.index(groups.len()), b.index(groups.len()));
                groups.swap(a, b);
            }
        }
        // The rest may come before the record, after it, or around it.
        let record = written(&events);
        groups.insert(place.index(groups.len() + 1), record.clone());
        let restored = picture(&fold(&groups));
        same_but_for_fractions(&restored, &whole)?;
        prop_assert!(restored.legs.iter().all(|l| !l.live || whole.legs.iter().any(|w| w.live)), "{:#?}", restored);
        // The same record again, wherever.
        groups.push(record);
        prop_assert_eq!(picture(&fold(&groups)), restored);
    }
}
