//! Business hours as people read them, minute by minute from the clock on the wall: the slow reference of `domain::hours`.
//!
//! A span is walked from the minute at which it begins to the one at which it ends, over midnight if need be; a day with an exception has the
//! exception's spans alone. What an instant shows on the wall comes from the zone's offset and from counting days and years.

use std::collections::HashSet;

use hookflash::domain::hours::BusinessHours;
use hookflash::domain::time::Timestamp;
use jiff::tz::TimeZone;

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
