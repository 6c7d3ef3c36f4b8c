//! Periods cut into intervals of a time zone: the hours, days, weeks and months that people there speak of.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;

use super::time::Timestamp;
use crate::text_enum;

text_enum! {
    /// Begins on the clock of the application's time zone: a day at its midnight, a week on Monday.
    pub enum Interval {
        Quarter = "quarter_hour",
        Hour = "hour",
        Day = "day",
        Week = "week",
        Month = "month",
    }
}

/// An instant as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// With its offset: it is the same everywhere.
    Instant(Timestamp),
    /// What a clock shows.
    Clock(DateTime),
}

impl Written {
    /// Reads RFC 3339, or a date, or a date with a time.
    pub fn parse(text: &str) -> Option<Written> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Written::Instant(Timestamp(at.as_microsecond())));
        }
        text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(Into::into)).ok().map(Written::Clock)
    }

    /// When that is for those whose clock is in `zone`; a date is its midnight. `None`: before 1970 or beyond what is stored.
    pub fn on(self, zone: &TimeZone) -> Option<Timestamp> {
        let at = match self {
            Written::Instant(at) => at,
            Written::Clock(civil) => Timestamp(civil.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond()),
        };
        (0..=Timestamp::MAX.0).contains(&at.0).then_some(at)
    }
}

/// An instant as written in an option, on the clock of `zone`.
pub fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    Written::parse(text)?.on(zone)
}

/// `from..to` in parts that meet and fill it: whole intervals, the first and the last cut by the period. `None`: more than `most`.
pub fn parts(from: Timestamp, to: Timestamp, interval: Interval, zone: &TimeZone, most: usize) -> Option<Vec<(Timestamp, Timestamp)>> {
    let mut parts = Vec::new();
    let mut start = from;
    while start < to {
        if parts.len() == most {
            return None;
        }
        let end = next(start, interval, zone).filter(|next| *next > start).map_or(to, |next| next.min(to));
        parts.push((start, end));
        start = end;
    }
    Some(parts)
}

/// When the interval ends that `at` lies in; `None` at the end of the calendar.
fn next(at: Timestamp, interval: Interval, zone: &TimeZone) -> Option<Timestamp> {
    let date = jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned(zone.clone()).date();
    let day = || date.tomorrow().ok();
    // An hour is an hour, also when the clock is put back; it ends with its day at the latest.
    let of_day = |seconds: i64| {
        let (start, end) = (midnight(date, zone)?, midnight(day()?, zone)?);
        Some(start.plus_s((at.since(start) / (seconds * 1_000_000) + 1) * seconds).min(end))
    };
    match interval {
        Interval::Quarter => of_day(900),
        Interval::Hour => of_day(3_600),
        Interval::Day => midnight(day()?, zone),
        Interval::Week => midnight(date.nth_weekday(1, Weekday::Monday).ok()?, zone),
        Interval::Month => midnight(date.first_of_month().checked_add(1.month()).ok()?, zone),
    }
}

/// The first instant of a day: not everywhere and always 00:00.
fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    Some(Timestamp(date.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn cut(from: &str, to: &str, interval: Interval, name: &str) -> Vec<i64> {
        let (zone, at) = (zone(name), |text: &str| instant(text, &zone(name)).unwrap());
        let all = parts(at(from), at(to), interval, &zone, 1_000).unwrap();
        all.iter().map(|(a, b)| (b.micros() - a.micros()) / 3_600_000_000).collect()
    }

    #[test]
    fn days_follow_the_clocks_of_the_zone() {
        assert_eq!(cut("2026-03-28", "2026-03-31", Interval::Day, "Europe/Berlin"), [24, 23, 24]);
        assert_eq!(cut("2026-10-24", "2026-10-27", Interval::Day, "Europe/Berlin"), [24, 25, 24]);
        assert_eq!(cut("2026-10-25", "2026-10-26", Interval::Hour, "Europe/Berlin").len(), 25);
        assert_eq!(cut("2026-03-29", "2026-03-30", Interval::Hour, "Europe/Berlin").len(), 23);
        assert_eq!(cut("2026-10-25", "2026-10-26", Interval::Quarter, "Europe/Berlin").len(), 100);
        // Midnight itself may not exist.
        assert_eq!(cut("2018-11-03", "2018-11-05T00:00", Interval::Day, "America/Sao_Paulo"), [24, 23]);
    }

    #[test]
    fn weeks_begin_on_monday_and_the_period_cuts_the_ends() {
        assert_eq!(cut("2026-01-01", "2026-01-13", Interval::Week, "Europe/Moscow"), [4 * 24, 7 * 24, 24]);
        assert_eq!(cut("2026-01-05", "2026-01-12", Interval::Week, "Europe/Moscow"), [7 * 24]);
        assert_eq!(cut("2026-01-31", "2026-03-02", Interval::Month, "Europe/Moscow"), [24, 28 * 24, 24]);
    }

    #[test]
    fn too_many_parts_are_none() {
        assert_eq!(parts(Timestamp(0), Timestamp(10_000_000_000_000), Interval::Hour, &TimeZone::UTC, 1_000), None);
        assert_eq!(parts(Timestamp(5), Timestamp(5), Interval::Hour, &TimeZone::UTC, 1), Some(vec![]));
    }

    proptest! {
        #[test]
        fn parts_fill_the_period_and_begin_on_the_clock(
            from in 0i64..4_000_000_000, length in 1i64..3_000_000, interval in proptest::sample::select(Interval::ALL.to_vec()),
            name in proptest::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
        ) {
            let (from, to, zone) = (Timestamp(from * 1_000_000), Timestamp((from + length) * 1_000_000), zone(name));
            let all = parts(from, to, interval, &zone, 10_000).unwrap();
            prop_assert_eq!((all[0].0, all[all.len() - 1].1), (from, to));
            prop_assert!(all.windows(2).all(|w| w[0].1 == w[1].0) && all.iter().all(|(a, b)| a < b));
            for (_, boundary) in &all[..all.len() - 1] {
                let at = jiff::Timestamp::from_microsecond(boundary.micros()).unwrap();
                let (now, before) = (at.to_zoned(zone.clone()), (at - 1.second()).to_zoned(zone.clone()));
                let begins = match interval {
                    Interval::Quarter | Interval::Hour => true,
                    Interval::Day => now.date() != before.date(),
                    Interval::Week => now.date() != before.date() && now.weekday() == Weekday::Monday,
                    Interval::Month => now.date().first_of_month() != before.date().first_of_month(),
                };
                prop_assert!(begins, "{}", now);
            }
        }
    }
}
