//! Counts of the call log, against a recount that looks at every row.

use std::collections::BTreeMap;

use hookflash::auth::Role;
use hookflash::domain::time::Timestamp;
use hookflash::simulator::telphin::{Cast, Row, Spelling, scenario};
use hookflash::store::calls::{self, LegRow};
use hookflash::store::log;
use jiff::tz::TimeZone;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use serde_json::Value;

use super::shop;
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, House, SHOP, on_both};

const ZONE: &str = "Europe/Berlin";

/// Days around the autumn's change of clocks, with calls at any time.
async fn busy(backend: Backend, seed: u64) -> House {
    let house = House::open_with(backend, |_| {}, |app| app.timezone = ZONE.into()).await;
    let begin = Timestamp::parse_rfc3339("2025-10-23T00:00:00Z").unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    for n in 0..80 {
        let row = *Row::ALL.choose(&mut rng).unwrap();
        let at = begin.plus_s(rng.random_range(0..8 * 86_400));
        for step in scenario(row, &Cast::sample(), at, seed * 1_000 + n) {
            house.clock.advance(1_000);
            // Some are lost.
            if rng.random_bool(0.95) {
                house.event(&step.event.form(Spelling::default())).await;
            }
        }
    }
    house.pass_s(10);
    house
}

/// Everything that is stored of legs.
async fn rows(house: &House) -> Vec<LegRow> {
    house
        .read(|conn| {
            let all = log::calls(conn, SHOP, &log::Filter::default(), None, 10_000)?;
            let ids: Vec<String> = all.into_iter().map(|c| c.id).collect();
            calls::legs_of(conn, SHOP, &ids)
        })
        .await
}

/// The interval that an instant is in, as the zone's clock says it.
fn named(us: i64, interval: &str) -> String {
    let at = jiff::Timestamp::from_microsecond(us).unwrap().to_zoned(TimeZone::get(ZONE).unwrap());
    match interval {
        "hour" => at.strftime("%Y-%m-%d %H %z").to_string(),
        "day" => at.strftime("%Y-%m-%d").to_string(),
        "week" => at.strftime("%G-%V").to_string(),
        "month" => at.strftime("%Y-%m").to_string(),
        _ => "all".into(),
    }
}

type Counts = BTreeMap<(String, String), [i64; 4]>;

/// Row by row: incoming, outgoing, unanswered rings, microseconds of talk.
fn recount(rows: &[LegRow], within: impl Fn(i64) -> bool, interval: &str) -> Counts {
    let mut counts = Counts::new();
    let mut add = |at: i64, extension: &Option<String>, n: usize, by: i64| {
        counts.entry((named(at, interval), extension.clone().unwrap_or_default())).or_default()[n] += by;
    };
    for leg in rows.iter().filter(|l| l.kind == "leg" && l.logged_at.is_some() && within(l.started_at)) {
        add(leg.started_at, &leg.extension, if leg.direction == "in" { 0 } else { 1 }, 1);
        add(leg.started_at, &leg.extension, 3, leg.talk_us);
    }
    for missed in rows.iter().filter(|l| l.kind == "missed" && within(l.started_at)) {
        let rings = rows.iter().filter(|l| l.call_id == missed.call_id && l.kind == "leg" && l.direction == "in");
        for ring in rings.filter(|l| l.answered_at.is_none() && l.status != "answered") {
            add(missed.started_at, &ring.extension, 2, 1);
        }
    }
    counts.retain(|_, counts| *counts != [0; 4]);
    counts
}

fn at(value: &Value) -> i64 {
    Timestamp::parse_rfc3339(value.as_str().unwrap()).unwrap().0
}

#[rstest]
#[tokio::test]
async fn counts_are_those_of_a_recount(#[values(Sqlite, Postgres)] backend: Backend, #[values(1, 2, 3)] seed: u64) {
    let house = busy(backend, seed).await;
    let client = house.client().await;
    let rows = rows(&house).await;
    let instant = |text: &str| Timestamp::parse_rfc3339(text).unwrap().0;
    for (from, to, range) in [
        ("2025-10-23", "2025-10-31", ("2025-10-22T22:00:00Z", "2025-10-30T23:00:00Z")),
        ("2025-10-26", "2025-10-27", ("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z")),
        ("2025-10-25T13:17", "2025-10-28T00:00:01%2B01:00", ("2025-10-25T11:17:00Z", "2025-10-27T23:00:01Z")),
    ] {
        let within = |us: i64| (instant(range.0)..instant(range.1)).contains(&us);
        for interval in ["hour", "day", "week", "month", ""] {
            let and = if interval.is_empty() { String::new() } else { format!("&interval={interval}") };
            let body = client.get(&shop(&format!("/stats/extensions?from={from}&to={to}{and}"))).await.ok();
            assert_eq!((at(&body["from"]), at(&body["to"]), &body["timezone"]), (instant(range.0), instant(range.1), &ZONE.into()));
            let mut got: BTreeMap<(String, String), [i64; 4]> = BTreeMap::new();
            for item in body["items"].as_array().unwrap() {
                assert!(at(&item["from"]) < at(&item["to"]));
                let key = (named(at(&item["from"]), interval), item["extension"].as_str().unwrap_or_default().to_owned());
                let numbers = ["incoming", "outgoing", "unanswered", "talk_ms"].map(|n| item[n].as_i64().unwrap());
                assert_eq!(got.insert(key, numbers), None, "one item an interval and extension");
            }
            let want: Counts = recount(&rows, within, interval).into_iter().map(|(k, [a, b, c, us])| (k, [a, b, c, us / 1_000])).collect();
            assert_eq!(got, want, "{from} to {to} by {interval:?}");

            let body = client.get(&shop(&format!("/stats/places?from={from}&to={to}{and}"))).await.ok();
            let mut places = BTreeMap::new();
            for item in body["items"].as_array().unwrap() {
                let place = item["place"].as_str().unwrap();
                assert_eq!(
                    item["type"],
                    if place.ends_with("099") {
                        "ivr"
                    } else if place.ends_with("200") {
                        "queue"
                    } else {
                        "phone"
                    }
                );
                places.insert((named(at(&item["from"]), interval), place.to_owned()), item["missed"].as_u64().unwrap() as usize);
            }
            let mut want = BTreeMap::new();
            for missed in rows.iter().filter(|l| l.kind == "missed" && within(l.started_at)) {
                *want.entry((named(missed.started_at, interval), missed.place.clone().unwrap())).or_default() += 1;
            }
            assert_eq!(places, want, "{from} to {to} by {interval:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_period_is_named() {
    on_both(async |house| {
        let client = house.client().await;
        for (query, field) in [
            ("", "from"),
            ("from=2025-01-01", "to"),
            ("from=soon&to=2025-01-01", "from"),
            ("from=2025-01-01&to=2025-13-01", "to"),
            ("from=2025-01-02&to=2025-01-02", "to"),
            ("from=2025-01-02&to=2025-01-01", "to"),
            ("from=2025-01-01&to=2025-02-01&interval=minute", "interval"),
            ("from=2025-01-01&to=2025-03-01&interval=hour", "interval"),
            ("from=2025-01-01&to=2025-02-01&zone=UTC", "zone"),
        ] {
            for what in ["extensions", "places"] {
                assert_eq!(client.get(&shop(&format!("/stats/{what}?{query}"))).await.refused(400), [field], "{what}?{query}");
            }
        }
        // The hours of the longest month.
        client.get(&shop("/stats/extensions?from=2025-10-01&to=2025-11-01&interval=hour")).await.ok();
        let agent = house.token(Role::Agent, Some(SHOP), Some("ann")).await;
        client.with(&agent).get(&shop("/stats/places?from=2025-10-01&to=2025-11-01")).await.refused(403);
    })
    .await;
}
