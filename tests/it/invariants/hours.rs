//! Business hours as people read them, minute by minute from the clock on the wall: the slow reference of `domain::hours`.
//!
//! A span is walked from the minute at which it begins to the one at which it ends, over midnight if need be; a day with an exception has the
//! exception's spans alone. What an instant shows on the wall comes from the zone's offset and from counting days and years.

use std::cell::Cell;
use std::collections::HashSet;

use hookflash::domain::hours::{BusinessHours, problems};
use hookflash::domain::time::Timestamp;
use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

const DAY: i64 = 1_440;

/// Days since 1970, and the minute of the day.
pub type Wall = (i64, i64);

/// What the clock on the wall shows.
pub fn wall(at: Timestamp, zone: &TimeZone) -> Wall {
    let offset_s = zone.to_offset(jiff::Timestamp::from_microsecond(at.0).expect("an instant")).seconds();
    let minutes = (at.0.div_euclid(1_000_000) + i64::from(offset_s)).div_euclid(60);
    (minutes.div_euclid(DAY), minutes.rem_euclid(DAY))
}

/// `YYYY-MM-DD` of a day since 1970.
pub fn date(mut day: i64) -> String {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        (day, month) = (day - days, month + 1);
    }
    format!("{year:04}-{month:02}-{:02}", day + 1)
}

/// 1 Monday to 7 Sunday; 1970 began on a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7) + 1
}

fn minute(text: &str) -> i64 {
    let (hours, minutes) = text.split_once(':').expect("HH:MM");
    hours.parse::<i64>().expect("hours") * 60 + minutes.parse::<i64>().expect("minutes")
}

/// Every minute of the wall at which it is open, of spans that begin on these days.
pub fn open_minutes(hours: &BusinessHours, days: impl Iterator<Item = i64>) -> HashSet<Wall> {
    let mut open = HashSet::new();
    for begins in days {
        let special: Vec<_> = hours.exceptions.iter().filter(|e| e.date == date(begins)).collect();
        let mut spans: Vec<(&str, &str)> = Vec::new();
        if special.is_empty() {
            spans.extend(hours.weekly.iter().filter(|w| i64::from(w.day) == weekday(begins)).map(|w| (w.from.as_str(), w.to.as_str())));
        }
        for e in special.iter().filter(|e| !e.closed) {
            spans.push((e.from.as_deref().unwrap_or("00:00"), e.to.as_deref().unwrap_or("24:00")));
        }
        for (from, to) in spans {
            let (mut day, mut now) = (begins, minute(from));
            loop {
                open.insert((day, now));
                now += 1;
                if now == DAY {
                    (day, now) = (day + 1, 0);
                }
                if now == minute(to) % DAY {
                    break;
                }
            }
        }
    }
    open
}

/// Whether it is open at an instant.
pub fn is_open(hours: &BusinessHours, at: Timestamp, zone: &str) -> bool {
    let zone = TimeZone::get(hours.timezone.as_deref().unwrap_or(zone)).expect("a zone");
    let shown = wall(at, &zone);
    open_minutes(hours, shown.0 - 1..=shown.0).contains(&shown)
}

/// With an hour or half of one at a change of clocks, at midnight too, or none; one that has left a day out.
const ZONES: [&str; 14] = [
    "Europe/Moscow",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "Atlantic/Azores",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "UTC",
];

/// Minutes of a day; those after midnight, when clocks change, come often.
fn any_minute() -> impl Strategy<Value = i64> {
    prop_oneof![2 => 0..DAY, 2 => (0..16i64).prop_map(|q| q * 15), 1 => Just(0), 1 => 22 * 60..DAY]
}

fn any_span() -> impl Strategy<Value = (String, String)> {
    let text = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
    (any_minute(), prop_oneof![8 => any_minute(), 1 => Just(DAY)]).prop_map(move |(from, to)| (text(from), text(to)))
}

/// Hours, with exceptions on days about `around`.
fn any_hours(around: i64) -> impl Strategy<Value = BusinessHours> {
    let weekly = vec((1..8i8, any_span()), 0..7);
    let exception = (-2..3i64, prop_oneof![1 => Just(None), 2 => any_span().prop_map(Some)]);
    (weekly, vec(exception, 0..4)).prop_map(move |(weekly, exceptions)| {
        let weekly: Vec<_> = weekly.into_iter().map(|(day, (from, to))| json!({"day": day, "from": from, "to": to})).collect();
        let exceptions: Vec<_> = exceptions
            .into_iter()
            .map(|(day, span)| match span {
                None => json!({"date": date(around + day), "closed": true}),
                Some((from, to)) => json!({"date": date(around + day), "from": from, "to": to}),
            })
            .collect();
        let hours: BusinessHours =
            serde_json::from_value(json!({"id": "h", "name": "Hours", "weekly": weekly, "exceptions": exceptions})).expect("hours");
        assert_eq!(problems(&hours), vec![]);
        hours
    })
}

/// A zone and an instant: of those with changes of clocks mostly one of them.
fn any_moment() -> impl Strategy<Value = (&'static str, i64)> {
    // From 2011, in the last days of which Apia left one out.
    (select(ZONES.to_vec()), 1_293_840_000..2_000_000_000i64, any::<bool>()).prop_map(|(zone, s, at_change)| {
        let from = jiff::Timestamp::from_second(s).expect("an instant");
        let tz = TimeZone::get(zone).expect("a zone");
        let change = tz.following(from).next().filter(|_| at_change);
        (zone, change.map_or(s, |c| c.timestamp().as_second()).div_euclid(60) * 60)
    })
}

/// Invariant 19: for a day and a half about an instant, minute by minute, at its first and at its last microsecond.
#[test]
fn hours_are_those_of_a_clock_on_the_wall_that_is_read_minute_by_minute() {
    let moment = any_moment().prop_flat_map(|(zone, s)| (Just(zone), Just(s), any_hours(s / 86_400)));
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let (seen_open, seen_shut, changes) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = runner.run(&moment, |(zone, s, hours)| {
        let tz = TimeZone::get(zone).expect("a zone");
        let day = wall(Timestamp(s * 1_000_000), &tz).0;
        let open = open_minutes(&hours, day - 4..=day + 3);
        let mut before = None;
        for minute in -1_080..1_080 {
            let begins = Timestamp((s + minute * 60) * 1_000_000);
            let shown = wall(begins, &tz);
            let expected = open.contains(&shown);
            for at in [begins, Timestamp(begins.0 + 59_999_999)] {
                proptest::prop_assert_eq!(hours.is_open(at, zone), expected, "{} in {}, {:?}", at.rfc3339(), zone, shown);
            }
            let counted = if expected { &seen_open } else { &seen_shut };
            counted.set(counted.get() + 1);
            let is_change = before.is_some_and(|(d, m): Wall| d * DAY + m + 1 != shown.0 * DAY + shown.1);
            changes.set(changes.get() + u32::from(is_change));
            before = Some(shown);
        }
        Ok(())
    });
    if let Err(e) = result {
        panic!("{e}");
    }
    assert!(seen_open.get() > 1_000 && seen_shut.get() > 1_000 && changes.get() > 5, "{seen_open:?} {seen_shut:?} {changes:?}");
}
