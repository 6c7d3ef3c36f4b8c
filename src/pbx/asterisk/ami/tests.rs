//! What a real Asterisk 22 told of each scenario (`tests/fixtures/asterisk`), and what the call log is to say of it.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::action::Action;
use super::board::{Board, Note, Rules, device};
use super::wire::{Block, LONGEST_LINE, MOST_LINES, Splitter};
use super::{HOOK, read};
use crate::domain::call::CallFacts;
use crate::domain::call_log::{Projection, project};
use crate::domain::event::Direction;
use crate::domain::phone::Numbering;
use crate::domain::spec::ExtensionType;
use crate::domain::time::Timestamp;
use crate::pbx::asterisk::Settings;
use crate::pbx::{Context, Raw};

fn with_rules<T>(settings: &Settings, work: impl FnOnce(&Rules<'_>) -> T) -> T {
    let is_agents = |line: &str| ["101", "102", "103", "+79995550177"].contains(&line);
    let numbering = Numbering { country: Some("RU"), prefix: None, is_extension: &is_agents, code_without_plus: false };
    let extension_type = |line: &str| (line.len() == 3 && is_agents(line)).then_some(ExtensionType::Phone);
    let context = Context { numbering, extension_type: &extension_type, agent_line: &|_| None, is_agents: &is_agents };
    work(&Rules { settings, context: &context })
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    splitter.push(bytes, |block| found.push(block));
    found
}

fn fixture(name: &str) -> Vec<Block> {
    let path = format!("{}/tests/fixtures/asterisk/{name}.ami", env!("CARGO_MANIFEST_DIR"));
    let found = blocks(&std::fs::read(&path).expect(&path));
    assert!(found.len() > 5, "{path} holds {} blocks", found.len());
    found
}

fn notes(board: &mut Board, events: &[Block], settings: &Settings) -> Vec<Note> {
    with_rules(settings, |rules| events.iter().flat_map(|event| board.look(event, rules)).collect())
}

/// The facts of each call, read from the notes' bytes as a replay reads them.
fn facts(notes: &[Note], settings: &Settings) -> BTreeMap<String, CallFacts> {
    let mut calls: BTreeMap<String, CallFacts> = BTreeMap::new();
    for (n, note) in notes.iter().enumerate() {
        let body = note.block.encode();
        let raw = Raw { hook: HOOK, query: "", content_type: "", body: &body };
        let reading = with_rules(settings, |rules| read::events(raw, rules.context)).expect("a note can be read");
        for event in reading.events {
            assert_eq!(event.call, note.call, "a note is about one call: {note:?}");
            calls.entry(event.call.clone()).or_default().join(&event, Timestamp(n as i64)).expect("joined");
        }
    }
    calls
}

/// What the log says, with times from the first channel on: `101 in answered +7… 610/1506` and `missed 101`.
fn log(call: &Projection) -> Vec<String> {
    let mut legs = call.legs.clone();
    legs.sort_by_key(|leg| (leg.is_missed_row(), leg.started_at, leg.extension.clone()));
    let row = |leg: &crate::domain::call_log::LegView| {
        let number = leg.number.clone().or_else(|| leg.internal_number.clone()).unwrap_or_else(|| "nobody".into());
        if leg.is_missed_row() {
            return format!("missed at {} from {number}", leg.place.clone().unwrap_or_default());
        }
        let direction = if leg.direction == Direction::In { "in" } else { "out" };
        let on = leg.extension.clone().unwrap_or_default();
        let flags = format!("{}{}", if leg.live { " live" } else { "" }, if leg.transferred { " passed on" } else { "" });
        format!("{on} {direction} {} {number} talk {} of {}{flags}", leg.status, leg.talk_us / 1_000, leg.duration_us / 1_000)
    };
    legs.iter().map(row).collect()
}

fn logs(facts: &BTreeMap<String, CallFacts>) -> Vec<Vec<String>> {
    facts.values().map(|facts| log(&project(facts, 0))).collect()
}

/// Every scenario, with the rows of the log of each of its calls. Milliseconds were compared by hand with the streams' own times.
const SCENARIOS: &[(&str, &[&[&str]])] = &[
    ("answered", &[&["101 in answered +79995550199 talk 1505 of 2111"]]),
    ("answered_caller_hangs_up", &[&["101 in answered +79995550199 talk 1510 of 2117"]]),
    ("no_answer", &[&["101 in no_answer +79995550199 talk 0 of 5005", "missed at 101 from +79995550199"]]),
    ("busy", &[&["101 in busy +79995550199 talk 0 of 1", "missed at 101 from +79995550199"]]),
    ("declined", &[&["101 in busy +79995550199 talk 0 of 606", "missed at 101 from +79995550199"]]),
    ("unreachable", &[&["101 in no_answer +79995550199 talk 0 of 5003", "missed at 101 from +79995550199"]]),
    ("abandoned_while_ringing", &[&["101 in cancelled +79995550199 talk 0 of 1206", "missed at 101 from +79995550199"]]),
    (
        "ring_all",
        &[&[
            "101 in cancelled +79995550199 talk 0 of 610",
            "102 in cancelled +79995550199 talk 0 of 610",
            "103 in answered +79995550199 talk 1505 of 2115",
        ]],
    ),
    (
        "three_in_turn",
        &[&[
            "101 in no_answer +79995550199 talk 0 of 2003",
            "102 in busy +79995550199 talk 0 of 1",
            "103 in answered +79995550199 talk 1504 of 2109",
        ]],
    ),
    ("queue_answered", &[&["101 in answered +79995550199 talk 1504 of 2115"]]),
    ("queue_abandoned", &[&["101 in cancelled +79995550199 talk 0 of 704", "missed at main from +79995550199"]]),
    ("blind_transfer", &[&["101 in answered +79995550199 talk 1004 of 1514", "102 in answered +79995550199 talk 1504 of 2113 passed on"]]),
    ("blind_transfer_outside", &[&["101 in answered +79995550199 talk 1004 of 1510"]]),
    (
        "attended_transfer",
        &[
            &["101 in answered +79995550199 talk 2525 of 3032", "102 in answered +79995550199 talk 1997 of 1997 passed on"],
            &["101 out answered 102 talk 1012 of 1522", "102 in answered 101 talk 1008 of 1516"],
        ],
    ),
    ("forwarded_by_phone", &[&["101 in cancelled +79995550199 talk 0 of 1", "102 in answered +79995550199 talk 1509 of 2117 passed on"]]),
    ("hold", &[&["101 in answered +79995550199 talk 2621 of 3128"]]),
    ("local_channel", &[&["101 in answered +79995550199 talk 1505 of 2115"]]),
    ("agent_calls_agent", &[&["102 out answered 103 talk 1509 of 2122", "103 in answered 102 talk 1509 of 2120"]]),
    ("outside_call_by_agent", &[&["102 out answered +79995550177 talk 1506 of 2119"]]),
    (
        "pick_up",
        &[
            &["101 in cancelled +79995550101 talk 0 of 622", "102 in answered +79995550101 talk 2011 of 2011"],
            &["102 out no_answer *8101 talk 0 of 501"],
        ],
    ),
    (
        "conference",
        &[
            &[
                "101 in answered +79995550101 talk 305 of 410",
                "102 out answered +79995550101 talk 4506 of 4506 passed on",
                "103 out answered +79995550101 talk 4509 of 4509 passed on",
            ],
            &["102 out answered 600 talk 0 of 501"],
            &["103 out answered 600 talk 0 of 501"],
        ],
    ),
    (
        "routed_blind_transfer",
        &[&["102 in answered +79995550101 talk 504 of 610", "101 in answered +79995550101 talk 1806 of 2012 passed on"]],
    ),
    (
        "routed_in_turn",
        &[&["101 in busy +79995550101 talk 0 of 2", "102 in no_answer +79995550101 talk 0 of 3004", "missed at 102 from +79995550101"]],
    ),
    ("telephone_of_no_agent", &[&["102 in answered 150 talk 708 of 815"]]),
    ("click_through_our_dialplan", &[&["101 in answered 101 talk 1504 of 1819", "101 out answered +79995550177 talk 1197 of 1502"]]),
    ("originate_answered", &[&["101 in answered 101 talk 2114 of 2624", "101 out answered +79995550177 talk 1506 of 2112"]]),
    ("originate_agent_busy", &[&["101 in busy 101 talk 0 of 2"]]),
    ("originate_destination_busy", &[&["101 in answered 101 talk 5 of 511", "101 out busy +79995550177 talk 0 of 3"]]),
    ("originate_no_answer_of_agent", &[&["101 in no_answer 101 talk 0 of 5007"]]),
];

fn logs_of(name: &str) -> Vec<Vec<String>> {
    let settings = Settings::default();
    logs(&facts(&notes(&mut Board::default(), &fixture(name), &settings), &settings))
}

#[test]
fn each_scenario_of_a_real_asterisk_is_logged_as_it_was() {
    for (name, expected) in SCENARIOS {
        assert_eq!(logs_of(name), *expected, "{name}");
    }
    let fixtures = std::fs::read_dir(format!("{}/tests/fixtures/asterisk", env!("CARGO_MANIFEST_DIR"))).expect("fixtures");
    assert_eq!(fixtures.count(), SCENARIOS.len(), "every stream is a scenario");
}

/// The channel of an event that tells of one, or of the one that is called.
fn channel(event: &Block) -> String {
    event.get("DestUniqueid").or_else(|| event.get("Uniqueid")).unwrap_or_default().to_owned()
}

/// Events in another order, in which those of one channel keep theirs: `picks` says whose turn it is.
fn interleaved(events: &[Block], picks: &[Index]) -> Vec<Block> {
    let mut queues: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    for event in events.iter().rev() {
        queues.entry(channel(event)).or_default().push(event.clone());
    }
    let mut order = Vec::new();
    for pick in picks.iter().cycle() {
        let names: Vec<String> = queues.keys().cloned().collect();
        if names.is_empty() {
            break;
        }
        let name = pick.get(&names);
        let queue = queues.get_mut(name).expect("a queue");
        order.extend(queue.pop());
        if queue.is_empty() {
            queues.remove(name);
        }
    }
    order
}

/// Scenarios whose calls have one way to be told: nobody is passed on by one channel to another.
const ANY_ORDER: &[&str] = &[
    "answered",
    "answered_caller_hangs_up",
    "no_answer",
    "busy",
    "declined",
    "unreachable",
    "abandoned_while_ringing",
    "ring_all",
    "three_in_turn",
    "queue_abandoned",
    "hold",
    "local_channel",
    "routed_in_turn",
    "telephone_of_no_agent",
];

proptest! {
    /// Invariants 10 and 12 of the routing reference.
    #[test]
    fn any_order_and_any_doubles_of_events_give_the_same_log(
        scenario in 0..ANY_ORDER.len(), doubles in prop::collection::vec(any::<Index>(), 0..8), seed in any::<u64>(),
    ) {
        let (name, settings) = (ANY_ORDER[scenario], Settings::default());
        let mut events = fixture(name);
        for double in &doubles {
            let again = double.get(&events).clone();
            events.push(again);
        }
        // Lots that are the same for the same seed.
        let mut lot = seed | 1;
        events.sort_by_cached_key(|_| { lot ^= lot << 13; lot ^= lot >> 7; lot ^= lot << 17; lot });
        let mut board = Board::default();
        let found = logs(&facts(&notes(&mut board, &events, &settings), &settings));
        prop_assert_eq!(found, logs_of(name), "{}", name);
        prop_assert!(board.ids().is_empty(), "{} is left up", name);
    }

    /// What the journal has of any scenario gives its log in whatever order it is folded, and however often.
    #[test]
    fn any_order_and_any_doubles_of_notes_give_the_same_log(
        scenario in 0..SCENARIOS.len(), doubles in prop::collection::vec(any::<Index>(), 0..8), seed in any::<u64>(),
    ) {
        let (name, settings) = (SCENARIOS[scenario].0, Settings::default());
        let mut told = notes(&mut Board::default(), &fixture(name), &settings);
        for double in &doubles {
            let again = double.get(&told).clone();
            told.push(again);
        }
        let mut lot = seed | 1;
        told.sort_by_cached_key(|_| { lot ^= lot << 13; lot ^= lot >> 7; lot ^= lot << 17; lot });
        prop_assert_eq!(logs(&facts(&told, &settings)), logs_of(name), "{}", name);
    }

    /// Where one channel's events follow those of another, each channel's own come in their order.
    #[test]
    fn channels_may_be_told_of_one_after_the_other(scenario in 0..SCENARIOS.len(), picks in prop::collection::vec(any::<Index>(), 40..80)) {
        let (name, expected) = SCENARIOS[scenario];
        let passes = ["transfer", "forwarded", "originate", "click", "pick_up", "conference"].iter().any(|passes| name.contains(passes));
        prop_assume!(!passes);
        let settings = Settings::default();
        let events = interleaved(&fixture(name), &picks);
        let found = logs(&facts(&notes(&mut Board::default(), &events, &settings), &settings));
        prop_assert_eq!(found, expected.iter().map(|c| c.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>()).collect::<Vec<_>>(), "{}", name);
    }

    /// Whatever was told before the connection broke, a look at what is up afterwards ends every leg that is not.
    #[test]
    fn a_gap_at_any_place_leaves_nothing_up(scenario in 0..SCENARIOS.len(), cut in any::<Index>()) {
        let (name, settings) = (SCENARIOS[scenario].0, Settings::default());
        let events = fixture(name);
        let cut = cut.index(events.len());
        let mut board = Board::default();
        let mut told = notes(&mut board, &events[..cut], &settings);
        let before = board.ids();
        told.extend(with_rules(&settings, |rules| board.compare(&[], &before, &[], rules, Timestamp(1))));
        for (call, facts) in facts(&told, &settings) {
            let picture = project(&facts, 0);
            prop_assert!(picture.legs.iter().all(|leg| !leg.live), "{} at {}: {} {:?}", name, cut, call, picture.legs);
            prop_assert!(picture.call.ended_at.is_some(), "{} at {}: {:?}", name, cut, picture.call);
        }
        prop_assert!(board.ids().is_empty());
    }

    #[test]
    fn any_bytes_are_blocks_of_bounded_size_however_they_come_apart(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':')], 0..400), cut in any::<Index>(),
    ) {
        let cut = cut.index(bytes.len() + 1).min(bytes.len());
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        splitter.push(&bytes[..cut], |block| found.push(block));
        splitter.push(&bytes[cut..], |block| found.push(block));
        prop_assert_eq!(&found, &blocks(&bytes));
        let settings = Settings::default();
        notes(&mut Board::default(), &found, &settings);
        let raw = Raw { hook: HOOK, query: "", content_type: "", body: &bytes };
        with_rules(&settings, |rules| { let _ = read::events(raw, rules.context); });
    }

    /// Any values in the keys that the board reads: nothing falls over, and every note can be read again.
    #[test]
    fn any_values_of_events_are_looked_at(
        told in prop::collection::vec((0..12usize, prop::collection::vec((0..14usize, "[0-9a-zA-Z/;<>.:@ -]{0,12}"), 0..10)), 0..20),
    ) {
        const EVENTS: [&str; 12] = [
            "Newchannel", "Newstate", "DialBegin", "DialEnd", "BridgeEnter", "BridgeLeave", "Hangup", "Pickup", "BlindTransfer",
            "LocalBridge", "OriginateResponse", "HangupRequest",
        ];
        const KEYS: [&str; 14] = [
            "Uniqueid", "Linkedid", "Channel", "ChannelState", "DestUniqueid", "DestChannel", "DialStatus", "BridgeUniqueid", "Exten",
            "CallerIDNum", "TargetUniqueid", "TransfereeUniqueid", "Timestamp", "Cause",
        ];
        let events: Vec<Block> = told.iter().map(|(event, values)| {
            values.iter().fold(Block::default().with("Event", EVENTS[*event]), |block, (key, value)| block.with(KEYS[*key], value))
        }).collect();
        let settings = Settings::default();
        facts(&notes(&mut Board::default(), &events, &settings), &settings);
    }

    #[test]
    fn no_value_of_an_action_becomes_another_line(value in "\\PC{0,30}[\r\n\0:]?\\PC{0,30}") {
        let action = Action::new("Originate").field("Channel", &value).field("Exten", "101");
        match action.encode("1") {
            Ok(bytes) => prop_assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 5, "{:?}", value),
            Err(error) => {
                prop_assert!(value.contains(['\r', '\n', '\0']), "{}", error);
            }
        }
    }
}

#[test]
fn the_wire_is_read_with_patience() {
    let found = blocks(
        b"Asterisk Call Manager/11.0.0\r\nResponse: Success\nactionid: 7\n\r\nEvent: X\r\nKey: a\r\nKey:b\r\nno colon\r\n\r\n\r\nhalf",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].get("Response"), found[0].get("ActionID")), (Some("Success"), Some("7")));
    assert_eq!((found[1].event(), found[1].get("key"), found[1].lines().len()), ("X", Some("a"), 4));
    assert_eq!(blocks(b"Event: X\r\nA: <unknown>\r\nB: \r\n\r\n")[0].get("A"), None);
    let long = [b"A: ".to_vec(), vec![b'x'; 10 * LONGEST_LINE], b"\r\n\r\n".to_vec()].concat();
    assert!(blocks(&long)[0].get("A").is_some_and(|a| a.len() <= LONGEST_LINE));
    let many = [b"A: x\r\n".repeat(2 * MOST_LINES), b"\r\n".to_vec()].concat();
    assert_eq!(blocks(&many)[0].lines().len(), MOST_LINES);
    assert!(!format!("{:?}", Action::login("hookflash", "the-secret")).contains("the-secret"));
}

#[test]
fn a_timestamp_is_exact_and_nonsense_is_none() {
    for (text, at) in [
        ("1795546689.389050", Some(1_795_546_689_389_050)),
        ("1795546689.5", Some(1_795_546_689_500_000)),
        ("1795546689", Some(1_795_546_689_000_000)),
        ("", None),
        ("-1.5", None),
        ("1e9", None),
        ("99999999999999999999.1", None),
    ] {
        assert_eq!(read::timestamp(text).map(|t| t.0), at, "{text}");
    }
}

#[test]
fn a_device_says_whether_its_phone_can_be_reached_and_an_unknown_state_says_nothing() {
    let settings = Settings::default();
    let said = |device_name: &str, state: &str| {
        let block = Block::default().with("Event", "DeviceStateChange").with("Device", device_name).with("State", state);
        with_rules(&settings, |rules| device(&block, rules))
    };
    for state in ["NOT_INUSE", "INUSE", "RINGING", "BUSY", "ONHOLD", "RINGINUSE"] {
        assert_eq!(said("PJSIP/101", state), Some(("101".into(), Some(true))), "{state}");
    }
    for state in ["UNAVAILABLE", "INVALID"] {
        assert_eq!(said("PJSIP/101", state), Some(("101".into(), Some(false))), "{state}");
    }
    assert_eq!(said("PJSIP/101", "UNKNOWN"), Some(("101".into(), None)));
    assert_eq!(said("Queue:main_avail", "NOT_INUSE"), None);
    assert_eq!(said("SIP/101", "UNAVAILABLE"), None);
}

#[test]
fn a_phone_that_is_up_when_the_connection_comes_is_a_leg_and_the_caller_is_not() {
    let settings = Settings::default();
    let listed = blocks(
        b"Event: CoreShowChannel\r\nChannel: PJSIP/trunk-0000000a\r\nUniqueid: 50.1\r\nLinkedid: 50.1\r\nChannelState: 6\r\nContext: inbound\r\nExten: 74955550101\r\nCallerIDNum: 79995550199\r\nApplication: Dial\r\nDuration: 00:01:10\r\nBridgeId: b1\r\n\r\n\
          Event: CoreShowChannel\r\nChannel: PJSIP/101-0000000b\r\nUniqueid: 50.2\r\nLinkedid: 50.1\r\nChannelState: 6\r\nConnectedLineNum: 79995550199\r\nApplication: AppDial\r\nDuration: 00:01:05\r\nBridgeId: b1\r\n\r\n\
          Event: CoreShowChannel\r\nChannel: PJSIP/102-0000000c\r\nUniqueid: 51.1\r\nLinkedid: 51.1\r\nChannelState: 4\r\nExten: 89995550188\r\nApplication: Dial\r\nDuration: 00:00:02\r\n\r\n",
    );
    let mut board = Board::default();
    let now = Timestamp(1_000_000_000);
    let found = with_rules(&settings, |rules| board.compare(&listed, &HashSet::new(), &[], rules, now));
    let facts = facts(&found, &settings);
    let pictures: Vec<Projection> = facts.values().map(|f| project(f, 0)).collect();
    assert_eq!(log(&pictures[0]), ["101 in talking +79995550199 talk 0 of 0 live"]);
    assert_eq!(pictures[0].legs[0].started_at, Timestamp(now.0 - 65_000_000));
    assert_eq!(log(&pictures[1]), ["102 out ringing +79995550188 talk 0 of 0 live"]);
    let again = with_rules(&settings, |rules| board.compare(&listed, &board.ids(), &[], rules, now.plus_s(60)));
    assert_eq!(again, [], "what is known is no news");
}

#[test]
fn calls_from_outside_are_ours_only_in_our_contexts_unless_a_phone_of_ours_rings() {
    let mut settings = Settings { ami_contexts: vec!["elsewhere".into()], ..Settings::default() };
    let events = fixture("answered");
    let told: Vec<String> = notes(&mut Board::default(), &events, &settings).iter().map(|n| n.block.event().to_owned()).collect();
    assert!(!told.is_empty() && told[0] == "Newchannel", "{told:?}");
    let before_the_phone =
        &events[..events.iter().position(|e| e.get("Channel").is_some_and(|c| c.starts_with("PJSIP/101"))).expect("it rings")];
    assert_eq!(notes(&mut Board::default(), before_the_phone, &settings), []);
    settings.ami_contexts = vec!["inbound".into()];
    assert_eq!(notes(&mut Board::default(), before_the_phone, &settings).len(), 1);
}
