//! The call log of the protocol page's sequences A to N (section 5.4), in any order and with any duplication.

use hookflash::domain::call::CallFacts;
use hookflash::domain::call_log::{Projection, project};
use hookflash::domain::phone::Numbering;
use hookflash::domain::spec::ExtensionType;
use hookflash::domain::time::Timestamp;
use hookflash::pbx::telphin::webhook;
use hookflash::pbx::{Context, Raw};
use hookflash::simulator::telphin::{Cast, Row, scenario};
use hookflash::simulator::telphin::{Event, Spelling};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_767_000_000_000_000);

/// Which extensions the application has declared; the log must not depend on it.
fn declared(all: bool) -> impl Fn(&str) -> Option<ExtensionType> {
    move |e| match e {
        "101" | "102" | "103" => Some(ExtensionType::Phone),
        "200" if all => Some(ExtensionType::Queue),
        "099" if all => Some(ExtensionType::Ivr),
        "300" if all => Some(ExtensionType::Fax),
        _ => None,
    }
}

fn read(event: &Event, spelling: Spelling) -> Vec<hookflash::domain::event::CallEvent> {
    let types = declared(true);
    let is_extension = |e: &str| types(e).is_some();
    let context = Context {
        numbering: Numbering { country: Some("RU"), prefix: Some("0047"), is_extension: &is_extension, code_without_plus: true },
        extension_type: &types,
        agent_line: &|_| None,
        is_agents: &|_| false,
    };
    let form = event.form(spelling);
    let raw = Raw { hook: "event", query: "", content_type: "application/x-www-form-urlencoded", body: form.as_bytes() };
    webhook::events(raw, &context).expect("the simulator writes readable events").events
}

/// Folds the events in this order; the n-th arrives n milliseconds after the start.
fn fold(events: &[Event], spelling: Spelling) -> CallFacts {
    let mut facts = CallFacts::default();
    for (n, event) in events.iter().enumerate() {
        for read in read(event, spelling) {
            facts.join(&read, START.plus_ms(n as i64)).expect("few legs");
        }
    }
    facts
}

fn events(row: Row, seed: u64, optional: bool) -> Vec<Event> {
    let list = scenario(row, &Cast::sample(), START, seed);
    list.into_iter().filter(|s| optional || !s.optional).map(|s| s.event).collect()
}

/// The log in words: `in answered 101 +79995550101`, `missed 0047*200 +79995550101`.
fn log(picture: &Projection) -> Vec<String> {
    let mut rows: Vec<_> = picture.legs.iter().filter(|l| l.logged_at.is_some()).collect();
    rows.sort_by_key(|l| l.started_at);
    rows.iter()
        .map(|l| {
            let number = l.number.as_deref().unwrap_or("-");
            match &l.place {
                Some(place) => format!("missed {place} {number}"),
                None => {
                    let direction = if l.direction == hookflash::domain::event::Direction::In { "in" } else { "out" };
                    let marks = if l.transferred { " transferred" } else { "" };
                    format!("{direction} {} {} {number}{marks}", l.status, l.extension.as_deref().unwrap_or("-"))
                }
            }
        })
        .collect()
}

fn expected(row: Row, seed: u64) -> Vec<String> {
    let client = "+79995550101";
    let rows: &[&str] = match row {
        Row::OutgoingAnswered | Row::ClickToCall => &["out answered 101 C"],
        Row::OutgoingUnanswered => [&["out busy 101 C"], &["out no_answer 101 C"], &["out cancelled 101 C"]][(seed % 3) as usize],
        Row::ManagerAnswers => &["in answered 101 C"],
        Row::ManagerThenQueue => &["in answered 102 C"],
        Row::ParallelRing => &["in answered 102 C"],
        Row::MissedInQueue => &["missed 0047*200 C"],
        Row::HangupInGreeting => &["missed 0047*099 C"],
        Row::BlindTransfer | Row::AttendedTransfer => &["in answered 101 C", "in answered 102 C transferred"],
        Row::Forwarded => &["out answered 101 +79995550199 transferred"],
        Row::WebsiteCallback => &["missed 0047*200 C"],
        Row::Internal | Row::Fax => &[],
    };
    rows.iter().map(|r| r.replace('C', client)).collect()
}

#[rstest::rstest]
fn every_sequence_of_the_page_gives_its_log(#[values(0, 1, 2)] seed: u64, #[values(false, true)] optional: bool) {
    for row in Row::ALL {
        let picture = project(&fold(&events(row, seed, optional), Spelling::default()), 3_000);
        assert_eq!(log(&picture), expected(row, seed), "row {}", row.letter());
    }
}

/// Live legs that keep somebody busy after the whole sequence.
fn busy(picture: &Projection) -> Vec<&str> {
    picture.legs.iter().filter(|l| l.live && l.occupies).filter_map(|l| l.extension.as_deref()).collect()
}

/// The picture without what depends on when things reached us.
fn timeless(mut picture: Projection) -> Projection {
    for leg in &mut picture.legs {
        leg.logged_at = leg.logged_at.map(|_| Timestamp(0));
        leg.end_arrived = leg.end_arrived.map(|_| Timestamp(0));
        (leg.heard, leg.answer_heard) = (None, None);
    }
    picture
}

fn any_row() -> impl Strategy<Value = Row> {
    proptest::sample::select(Row::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_duplication_gives_the_same_log_and_frees_every_phone(
        row in any_row(), seed in 0u64..50, order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..30), lower: bool,
    ) {
        let list = events(row, seed, true);
        prop_assume!(!list.is_empty());
        let straight = timeless(project(&fold(&list, Spelling::default()), 3_000));
        let mut shuffled = list.clone();
        shuffled.extend(order.iter().map(|i| i.get(&list).clone()));
        for (a, b) in swaps {
            let (a, b) = (a.index(shuffled.len()), b.index(shuffled.len()));
            shuffled.swap(a, b);
        }
        let spelling = Spelling { lower_flow: lower, ..Spelling::default() };
        let picture = timeless(project(&fold(&shuffled, spelling), 3_000));
        prop_assert_eq!(&picture, &straight);
        prop_assert_eq!(busy(&picture), Vec::<&str>::new());
    }

    #[test]
    fn facts_survive_being_stored(row in any_row(), seed in 0u64..50) {
        let facts = fold(&events(row, seed, true), Spelling::default());
        let stored = serde_json::to_string(&facts).unwrap();
        prop_assert_eq!(serde_json::from_str::<CallFacts>(&stored).unwrap(), facts);
    }
}
