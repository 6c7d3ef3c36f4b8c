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

fn logs_of(name: &str) -> Vec<Vec<String>> {
    let settings = Settings::default();
    let notes = notes(&mut Board::default(), &fixture(name), &settings);
    logs(&facts(&notes, &settings))
}

#[test]
fn each_scenario_of_a_real_asterisk_is_logged_as_it_was() {
    for (name, _) in SCENARIOS {
        println!("(\"{name}\", &{:#?}),", logs_of(name));
    }
    for (name, expected) in SCENARIOS {
        let found = logs_of(name);
        let expected: Vec<Vec<String>> = expected.iter().map(|call| call.iter().map(|row| (*row).to_owned()).collect()).collect();
        assert_eq!(found, expected, "{name}");
    }
}

const SCENARIOS: &[(&str, &[&[&str]])] = &[
    ("answered", &[]),
    ("answered_caller_hangs_up", &[]),
    ("no_answer", &[]),
    ("busy", &[]),
    ("declined", &[]),
    ("unreachable", &[]),
    ("abandoned_while_ringing", &[]),
    ("ring_all", &[]),
    ("three_in_turn", &[]),
    ("queue_answered", &[]),
    ("queue_abandoned", &[]),
    ("blind_transfer", &[]),
    ("blind_transfer_outside", &[]),
    ("attended_transfer", &[]),
    ("forwarded_by_phone", &[]),
    ("hold", &[]),
    ("local_channel", &[]),
    ("agent_calls_agent", &[]),
    ("outside_call_by_agent", &[]),
    ("originate_answered", &[]),
    ("originate_agent_busy", &[]),
    ("originate_destination_busy", &[]),
    ("originate_no_answer_of_agent", &[]),
];
