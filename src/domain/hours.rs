//! Business hours: when a queue is open (Stringee page, section 12).
//!
//! A span is given in the wall time of its zone, so that a shift from nine to six is one on the days of a change of clocks too; one whose
//! end is not after its beginning runs over midnight into the next day. An exception replaces all spans that begin on its date.

use jiff::Span;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;
use super::validate::{self, Problem};

/// `[[application.business_hours]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BusinessHours {
    #[serde(default)]
    pub id: String,
    pub name: String,
    /// Absent: the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(default)]
    pub weekly: Vec<WeeklySpan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WeeklySpan {
    /// 1 Monday to 7 Sunday.
    pub day: i8,
    /// `HH:MM`
    pub from: String,
    /// `HH:MM`; `24:00` is the end of the day.
    pub to: String,
}

/// A day that is not like the others of its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// `YYYY-MM-DD`
    pub date: String,
    #[serde(default)]
    pub closed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl BusinessHours {
    /// Whether it is open at `at`. `zone`: the application's, for hours that name none. What cannot be read is closed; [`problems`] told it.
    pub fn is_open(&self, at: Timestamp, zone: &str) -> bool {
        let Ok(zone) = TimeZone::get(self.timezone.as_deref().unwrap_or(zone)) else { return false };
        let Ok(instant) = jiff::Timestamp::from_microsecond(at.micros()) else { return false };
        let wall = instant.to_zoned(zone).datetime();
        let today = wall.date();
        // A span over midnight began the day before.
        today.yesterday().into_iter().chain([today]).any(|day| self.spans(day).into_iter().any(|span| holds(day, span, wall)))
    }

    /// The spans that begin on a day.
    fn spans(&self, day: Date) -> Vec<(Time, End)> {
        let exceptions: Vec<&Exception> = self.exceptions.iter().filter(|e| e.date.parse::<Date>().is_ok_and(|d| d == day)).collect();
        if !exceptions.is_empty() {
            let open = exceptions.iter().filter(|e| !e.closed);
            return open.filter_map(|e| span(e.from.as_deref().unwrap_or("00:00"), e.to.as_deref().unwrap_or("24:00"))).collect();
        }
        let weekday = day.weekday().to_monday_one_offset();
        self.weekly.iter().filter(|w| w.day == weekday).filter_map(|w| span(&w.from, &w.to)).collect()
    }
}

/// Where a span ends: on its own day or on the next one.
#[derive(Clone, Copy)]
struct End {
    time: Time,
    next_day: bool,
}

fn span(from: &str, to: &str) -> Option<(Time, End)> {
    let from = clock(from)?;
    if to == "24:00" {
        return Some((from, End { time: Time::midnight(), next_day: true }));
    }
    let time = clock(to)?;
    Some((from, End { time, next_day: time <= from }))
}

/// `HH:MM`, and nothing else.
fn clock(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

/// Whether the wall clock stands in the span, as people read it: a time that a change of clocks leaves out never comes, and one that comes
/// twice counts both times.
fn holds(day: Date, (from, end): (Time, End), wall: DateTime) -> bool {
    let last = if end.next_day { day.checked_add(Span::new().days(1)).ok() } else { Some(day) };
    day.to_datetime(from) <= wall && last.is_some_and(|last| wall < last.to_datetime(end.time))
}

/// What is wrong with it, by field.
pub fn problems(hours: &BusinessHours) -> Vec<Problem> {
    let mut found = Vec::new();
    validate::name("name", &hours.name, &mut found);
    if let Some(zone) = hours.timezone.as_deref().filter(|z| TimeZone::get(z).is_err()) {
        found.push(Problem::new("timezone", format!("{zone:?} is no time zone; use a name such as Europe/Moscow")));
    }
    let mut time = |path: String, text: &str, end: bool| {
        if clock(text).is_none() && !(end && text == "24:00") {
            found.push(Problem::new(path, format!("{text:?} is no time of day; write HH:MM, such as 09:00")));
        }
    };
    for (i, span) in hours.weekly.iter().enumerate() {
        time(format!("weekly[{i}].from"), &span.from, false);
        time(format!("weekly[{i}].to"), &span.to, true);
    }
    for (i, e) in hours.exceptions.iter().enumerate() {
        e.from.iter().for_each(|t| time(format!("exceptions[{i}].from"), t, false));
        e.to.iter().for_each(|t| time(format!("exceptions[{i}].to"), t, true));
    }
    for (i, span) in hours.weekly.iter().enumerate().filter(|(_, s)| !(1..=7).contains(&s.day)) {
        found.push(Problem::new(format!("weekly[{i}].day"), format!("{} is no day; use 1 (Monday) to 7 (Sunday)", span.day)));
    }
    for (i, e) in hours.exceptions.iter().enumerate() {
        let at = |field: &str| format!("exceptions[{i}].{field}");
        if e.date.parse::<Date>().is_err() || e.date.len() != 10 {
            found.push(Problem::new(at("date"), format!("{:?} is no date; write YYYY-MM-DD", e.date)));
        }
        if e.closed && (e.from.is_some() || e.to.is_some()) {
            found.push(Problem::new(at("closed"), "a day that is closed has no from and to"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hours(zone: &str, weekly: serde_json::Value, exceptions: serde_json::Value) -> BusinessHours {
        let value = json!({"id": "h", "name": "Hours", "timezone": zone, "weekly": weekly, "exceptions": exceptions});
        let hours = serde_json::from_value(value).expect("hours");
        assert_eq!(problems(&hours), vec![]);
        hours
    }

    /// Each instant with whether it is open.
    fn check(hours: &BusinessHours, table: &[(&str, bool)]) {
        for (at, open) in table {
            assert_eq!(hours.is_open(Timestamp::parse_rfc3339(at).expect("a time"), "UTC"), *open, "{at}");
        }
    }

    fn every_day(from: &str, to: &str) -> serde_json::Value {
        (1..=7).map(|day| json!({"day": day, "from": from, "to": to})).collect()
    }

    #[test]
    fn a_shift_is_one_of_wall_time_on_both_days_of_a_change_of_clocks() {
        // Berlin: forward on 29 March 2026 at 02:00, back on 25 October 2026 at 03:00.
        check(
            &hours("Europe/Berlin", every_day("09:00", "18:00"), json!([])),
            &[
                ("2026-03-28T08:00:00Z", true),
                ("2026-03-28T07:59:59Z", false),
                ("2026-03-29T07:00:00Z", true),
                ("2026-03-29T06:59:59Z", false),
                ("2026-03-29T15:59:59Z", true),
                ("2026-03-29T16:00:00Z", false),
                ("2026-10-25T08:00:00Z", true),
                ("2026-10-25T07:59:59Z", false),
                ("2026-10-25T16:59:59Z", true),
                ("2026-10-25T17:00:00Z", false),
            ],
        );
    }

    #[test]
    fn hours_are_what_the_clock_on_the_wall_shows_also_where_it_leaves_an_hour_out_or_shows_it_twice() {
        check(
            &hours("Europe/Berlin", every_day("02:30", "04:00"), json!([])),
            &[
                // After 01:59:59 the clock shows 03:00.
                ("2026-03-29T00:59:59Z", false),
                ("2026-03-29T01:00:00Z", true),
                ("2026-03-29T01:59:59Z", true),
                ("2026-03-29T02:00:00Z", false),
                // After 02:59:59 it shows 02:00 once more.
                ("2026-10-25T00:29:59Z", false),
                ("2026-10-25T00:30:00Z", true),
                ("2026-10-25T00:59:59Z", true),
                ("2026-10-25T01:00:00Z", false),
                ("2026-10-25T01:30:00Z", true),
                ("2026-10-25T02:59:59Z", true),
                ("2026-10-25T03:00:00Z", false),
            ],
        );
        // A shift that ends in the hour that is left out ends with the change, and one that ends in the hour that comes twice ends twice.
        check(
            &hours("Europe/Berlin", every_day("22:00", "02:30"), json!([])),
            &[
                ("2026-03-29T00:59:59Z", true),
                ("2026-03-29T01:00:00Z", false),
                ("2026-10-25T00:29:59Z", true),
                ("2026-10-25T00:30:00Z", false),
                ("2026-10-25T01:00:00Z", true),
                ("2026-10-25T01:30:00Z", false),
            ],
        );
    }

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_on_which_it_begins() {
        // Fridays at night only.
        let friday = hours("Europe/Moscow", json!([{"day": 5, "from": "22:00", "to": "06:00"}]), json!([]));
        check(
            &friday,
            &[
                ("2026-11-20T18:59:59Z", false),
                ("2026-11-20T19:00:00Z", true),
                ("2026-11-21T02:59:59Z", true),
                ("2026-11-21T03:00:00Z", false),
                ("2026-11-21T19:00:00Z", false),
                ("2026-11-20T02:00:00Z", false),
            ],
        );
        // Over the change of clocks the night is an hour shorter.
        let night = hours("Europe/Berlin", json!([{"day": 6, "from": "22:00", "to": "06:00"}]), json!([]));
        check(&night, &[("2026-03-29T03:59:59Z", true), ("2026-03-29T04:00:00Z", false)]);
    }

    #[test]
    fn a_holiday_replaces_the_spans_that_begin_on_it() {
        let exceptions = json!([{"date": "2026-12-25", "closed": true}, {"date": "2026-12-26", "from": "10:00", "to": "12:00"}]);
        check(
            &hours("UTC", every_day("22:00", "06:00"), exceptions),
            &[
                // The night before still runs out.
                ("2026-12-25T05:00:00Z", true),
                ("2026-12-25T23:00:00Z", false),
                ("2026-12-26T05:00:00Z", false),
                ("2026-12-26T11:00:00Z", true),
                ("2026-12-26T23:00:00Z", false),
                ("2026-12-27T23:00:00Z", true),
            ],
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_by_field_and_mend() {
        let wrong: BusinessHours = serde_json::from_value(json!({
            "name": " ", "timezone": "Mars/Base", "weekly": [{"day": 8, "from": "9:00", "to": "25:00"}],
            "exceptions": [{"date": "25.12.2026", "closed": true, "from": "10:00"}],
        }))
        .expect("hours");
        let paths: Vec<String> = problems(&wrong).into_iter().map(|p| p.path).collect();
        let expected =
            ["name", "timezone", "weekly[0].from", "weekly[0].to", "weekly[0].day", "exceptions[0].date", "exceptions[0].closed"];
        assert_eq!(paths, expected);
        assert!(!wrong.is_open(Timestamp(0), "UTC"));
    }
}
