//! What must hold when all is over, by the numbers of `docs/INVARIANTS.md`.

use std::collections::{BTreeMap, BTreeSet};

use hookflash::domain::agent::OfferState::{Accepted, Busy, Canceled, NoAnswer, Rejected};
use hookflash::domain::id;
use hookflash::store::offers::Offer;
use hookflash::store::{agents, live, offers, routed};

use super::callers::{End, History, QUEUES, Story};
use super::{AGENTS, APP};
use crate::support::House;
use crate::support::process::command;

pub async fn all(house: &House, history: &History) {
    assert_eq!(history.nodes.nobody_is_bound_twice().len(), AGENTS, "1 and 21: and everybody had his calls");
    let stories = std::mem::take(&mut *history.stories.lock().unwrap());
    met(&stories);
    every_word_is_kept(house, history).await;
    everybody_is_free(house).await;
    for story in &stories {
        offers_are_those_that_were_seen(house, story).await;
    }
    each_call_ended_once(house, &stories).await;
    the_log_tells_each_call_once(house, &stories).await;
}

/// The history had something of everything.
fn met(stories: &[Story]) {
    let some = |what: &str, is: fn(&Story) -> bool| {
        assert!(stories.iter().any(is), "none of {} calls {what}", stories.len());
    };
    some("were answered", |s| matches!(s.end, End::AnsweredBy(_)));
    some("were given up while they rang", |s| matches!(&s.end, End::Abandoned(rung) if !rung.is_empty()));
    some("were given up in the queue", |s| s.end == End::Abandoned(Vec::new()));
    some("found no place", |s| s.end == End::Full);
    some("were refused", |s| !s.refused_by.is_empty());
    some("waited and were answered", |s| s.waited && matches!(s.end, End::AnsweredBy(_)));
}

/// 20: what was acknowledged is in the journal, word for word, and what is stored follows from that.
async fn every_word_is_kept(house: &House, history: &History) {
    let told = std::mem::take(&mut *history.told.lock().unwrap());
    let text = |raw: Vec<u8>| String::from_utf8(raw).expect("text").trim_start_matches('\n').to_owned();
    let journal = house.journal_of(APP).await.into_iter().filter(|e| e.hook == "event").map(|e| text(e.raw));
    let kept: Vec<String> = journal.collect();
    assert_eq!(kept.len(), told.len(), "20: each once");
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), told, "20");
    let output = command(house, &["replay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

/// 3: no reservation is left, and no phone rings.
async fn everybody_is_free(house: &House) {
    assert_eq!(house.read(|conn| live::all(conn, APP)).await, vec![]);
    let now = house.clock.now();
    for agent in house.read(|conn| agents::all(conn, APP)).await {
        assert!(!agent.engaged(now), "3: {agent:?}");
    }
}

/// 2, 3 and 9: one winner, the one who answered; every offer has its end; nobody has missed what he did not refuse.
async fn offers_are_those_that_were_seen(house: &House, story: &Story) {
    let call = id::call_id(APP, &story.call);
    let offers: Vec<Offer> = house.read(move |conn| offers::of_calls(conn, APP, &[call])).await;
    let of = |state| offers.iter().filter(|o| o.state() == state).map(|o| o.agent.clone()).collect::<Vec<_>>();
    assert!(offers.iter().all(|o| o.ended_at.is_some()), "3: {story:?}: {offers:?}");
    let winner: Vec<String> = if let End::AnsweredBy(by) = &story.end { vec![by.clone()] } else { Vec::new() };
    assert_eq!(of(Accepted), winner, "2: {story:?}: {offers:?}");
    let missed = [NoAnswer, Busy, Rejected].into_iter().flat_map(of);
    assert!(missed.into_iter().all(|agent| story.refused_by.contains(&agent)), "9: {story:?}: {offers:?}");
    if let End::Abandoned(rung) = &story.end {
        assert_eq!(BTreeSet::from_iter(of(Canceled)), BTreeSet::from_iter(rung.clone()), "9: {story:?}: {offers:?}");
    }
}

/// 13: one outcome a call, the one that the caller saw, and the figures are made of these.
async fn each_call_ended_once(house: &House, stories: &[Story]) {
    let mut seen: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for story in stories {
        let call = id::call_id(APP, &story.call);
        let entries = house.read(move |conn| routed::entries_of(conn, APP, &call)).await;
        let (outcome, by) = match &story.end {
            End::AnsweredBy(by) => ("answered", Some(by.as_str())),
            End::Abandoned(_) => ("abandoned", None),
            End::Full => ("full", None),
        };
        let stored: Vec<_> = entries.iter().map(|e| (e.queue.as_str(), e.outcome.as_deref(), e.agent.as_deref())).collect();
        assert_eq!(stored, [(story.queue, Some(outcome), by)], "13: {story:?}");
        *seen.entry((story.queue, outcome)).or_default() += 1;
    }
    let path = format!("/api/v1/apps/{APP}/stats/queues?from=2020-01-01T00:00:00Z&to=2120-01-01T00:00:00Z");
    let figures = house.client().await.get(&path).await.ok();
    for queue in QUEUES {
        let stats = figures["items"].as_array().expect("queues").iter().find(|q| q["queue"] == queue).expect("the queue");
        let n = |field: &str| stats[field].as_i64().expect("a number");
        let of = |outcome| seen.get(&(queue, outcome)).copied().unwrap_or(0);
        assert_eq!(
            [n("answered"), n("abandoned") + n("short_abandoned"), n("full"), n("waiting")],
            [of("answered"), of("abandoned"), of("full"), 0],
            "13: {stats}"
        );
        assert_eq!(n("queued"), n("answered") + n("abandoned") + n("short_abandoned") + n("full"), "13: {stats}");
    }
}

/// 9 and 20: an answered call is one row of the log, and so is a missed one, whoever and how many were rung.
async fn the_log_tells_each_call_once(house: &House, stories: &[Story]) {
    let mut logged: Vec<(String, String, Option<String>)> =
        house.call_log(APP).await.into_iter().map(|row| (row.call_id, row.kind, row.agent)).collect();
    let mut expected: Vec<(String, String, Option<String>)> = Vec::new();
    for story in stories {
        let (kind, agent) = match &story.end {
            End::AnsweredBy(by) => ("leg", Some(by.clone())),
            End::Abandoned(_) | End::Full => ("missed", None),
        };
        expected.push((id::call_id(APP, &story.call), kind.to_owned(), agent));
    }
    logged.sort();
    expected.sort();
    assert_eq!(logged, expected, "20");
}
