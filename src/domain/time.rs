//! Instants as microseconds since 1970-01-01 UTC: the unit of the PBX's events and of every stored time.
//!
//! `now` is always a parameter below `app`; only [`Clock`] reads a clock, so that a test owns the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// An instant: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The last instant that every time zone can write with a year of four digits.
    pub const MAX: Timestamp = Timestamp(253_402_127_999_999_999);

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub fn plus(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(d.as_micros() as i64))
    }

    pub fn plus_s(self, seconds: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// Microseconds from `earlier` to `self`; never negative, so that a clock that jumped cannot make a negative duration.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    /// RFC 3339 in UTC with milliseconds, as the REST API writes times.
    pub fn rfc3339(self) -> String {
        let clamped = self.0.clamp(0, Self::MAX.0) / 1000 * 1000;
        match jiff::Timestamp::from_microsecond(clamped) {
            Ok(t) => format!("{t:.3}"),
            Err(_) => "1970-01-01T00:00:00.000Z".into(),
        }
    }

    /// Reads RFC 3339, any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()))
    }
}

/// Where `now` comes from: a monotonic clock anchored at start (a wall clock that jumps cannot reorder our deadlines), or a hand that a test moves.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    Anchored { wall: i64, at: Instant, correction: AtomicI64 },
    Manual(AtomicI64),
}

impl Clock {
    /// The process clock.
    pub fn system() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
        Clock(Arc::new(Source::Anchored { wall, at: Instant::now(), correction: AtomicI64::new(0) }))
    }

    /// A clock that stands still until it is moved.
    pub fn manual(start: Timestamp) -> Clock {
        Clock(Arc::new(Source::Manual(AtomicI64::new(start.0))))
    }

    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::Anchored { wall, at, correction } => {
                Timestamp(wall + at.elapsed().as_micros() as i64 + correction.load(Ordering::Relaxed))
            }
            Source::Manual(t) => Timestamp(t.load(Ordering::SeqCst)),
        }
    }

    /// Moves the clock: a test's hand.
    pub fn advance(&self, by_us: i64) {
        match &*self.0 {
            Source::Anchored { correction, .. } => correction.fetch_add(by_us, Ordering::Relaxed),
            Source::Manual(t) => t.fetch_add(by_us, Ordering::SeqCst),
        };
    }

    /// Corrects a process clock: nodes that share a PostgreSQL follow its clock. A manual clock is right by definition.
    pub fn correct(&self, by_us: i64) {
        if matches!(&*self.0, Source::Anchored { .. }) {
            self.advance(by_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_rfc3339() {
        let t = Timestamp(1_767_000_000_100_200);
        assert_eq!(t.rfc3339(), "2025-12-29T09:20:00.100Z");
        assert_eq!(Timestamp::parse_rfc3339("2025-12-29T12:20:00.1002+03:00"), Some(t));
        for none in ["2025-12-29", "yesterday"] {
            assert_eq!(Timestamp::parse_rfc3339(none), None);
        }
    }

    #[test]
    fn far_times_are_written_at_the_edge_and_durations_never_go_below_zero() {
        assert_eq!(Timestamp(i64::MAX).rfc3339(), "9999-12-29T23:59:59.999Z");
        assert_eq!(Timestamp(5).since(Timestamp(9)), 0);
    }
}
