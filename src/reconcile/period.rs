//! Which periods a PBX's history is asked for.

use jiff::ToSpan;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// `from..to` as periods of whole seconds, both ends included, none longer than the PBX allows: its end lies at most on the last day of the
/// month after its start (Telphin page, section 8).
pub fn periods(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let second = |t: Timestamp| t.micros().div_euclid(1_000_000);
    let (mut start, last) = (second(from), second(to));
    let mut periods = Vec::new();
    while start <= last {
        let end = last_second(start).clamp(start, last);
        periods.push((Timestamp(start * 1_000_000), Timestamp(end * 1_000_000)));
        start = end + 1;
    }
    periods
}

/// The last second of the month after the one that the second `start` lies in, UTC.
fn last_second(start: i64) -> i64 {
    let end = jiff::Timestamp::from_second(start).ok().and_then(|t| {
        let first = t.to_zoned(TimeZone::UTC).date().first_of_month();
        let after = DateTime::from(first).checked_add(2.months()).ok()?;
        Some(after.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second() - 1)
    });
    end.unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_period_ends_with_the_month_after_its_begin() {
        let texts = |from, to| {
            let all = periods(at(from), at(to));
            all.iter().map(|(a, b)| format!("{} {}", &a.rfc3339()[..19], &b.rfc3339()[..19])).collect::<Vec<_>>()
        };
        assert_eq!(texts("2025-11-30T10:00:00.7Z", "2025-12-02T00:00:00Z"), ["2025-11-30T10:00:00 2025-12-02T00:00:00"]);
        assert_eq!(
            texts("2025-11-30T10:00:00Z", "2026-02-01T00:00:00Z"),
            ["2025-11-30T10:00:00 2025-12-31T23:59:59", "2026-01-01T00:00:00 2026-02-01T00:00:00"]
        );
        assert_eq!(periods(at("2025-12-02T00:00:00Z"), at("2025-12-01T00:00:00Z")), []);
    }

    proptest! {
        #[test]
        fn periods_cover_all_and_leave_no_gap(from in 0i64..4_000_000_000, length in 0i64..100_000_000) {
            let all = periods(Timestamp(from * 1_000_000), Timestamp((from + length) * 1_000_000));
            prop_assert_eq!(all[0].0.micros(), from * 1_000_000);
            prop_assert_eq!(all.last().unwrap().1.micros(), (from + length) * 1_000_000);
            prop_assert!(all.windows(2).all(|w| w[0].1.micros() + 1_000_000 == w[1].0.micros()));
            prop_assert!(all.iter().all(|(a, b)| a <= b));
        }
    }
}
