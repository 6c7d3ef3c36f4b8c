//! What a queue has done in some time (routing reference, section 6). Raw counts, so that every variant of a rate can be had.
//!
//! A call counts where it joined. Whoever gives up within [`SHORT_S`] is counted apart and is part of no rate.

use super::queue::EntryOutcome;
use super::time::Timestamp;

/// A caller who leaves so soon has not waited, seconds.
pub const SHORT_S: i64 = 5;

/// One time of a call in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    pub joined_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// `None`: it waits still.
    pub outcome: Option<EntryOutcome>,
    pub talk_us: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub offered: i64,
    pub answered: i64,
    pub abandoned: i64,
    pub short_abandoned: i64,
    pub overflowed: i64,
    pub timed_out: i64,
    pub closed_hours: i64,
    pub full: i64,
    pub no_staff: i64,
    pub waiting: i64,
    /// Answered within the limit, and abandoned after it.
    pub answered_in_time: i64,
    pub abandoned_late: i64,
    /// Of the answered.
    pub wait_us: i64,
    pub longest_wait_us: i64,
    pub talk_us: i64,
}

impl Figures {
    /// `within_s`: the limit of the service level.
    pub fn of(visits: impl IntoIterator<Item = Visit>, within_s: i64) -> Figures {
        let mut f = Figures::default();
        for visit in visits {
            let wait_us = visit.ended_at.map_or(0, |end| end.since(visit.joined_at));
            let in_time = wait_us <= within_s * 1_000_000;
            f.offered += 1;
            match visit.outcome {
                None => f.waiting += 1,
                Some(EntryOutcome::Answered) => {
                    f.answered += 1;
                    f.answered_in_time += i64::from(in_time);
                    f.wait_us += wait_us;
                    f.talk_us += visit.talk_us;
                }
                Some(EntryOutcome::Abandoned) if wait_us < SHORT_S * 1_000_000 => f.short_abandoned += 1,
                Some(EntryOutcome::Abandoned) => {
                    f.abandoned += 1;
                    f.abandoned_late += i64::from(!in_time);
                }
                Some(EntryOutcome::Overflowed) => f.overflowed += 1,
                Some(EntryOutcome::TimedOut) => f.timed_out += 1,
                Some(EntryOutcome::ClosedHours) => f.closed_hours += 1,
                Some(EntryOutcome::Full) => f.full += 1,
                Some(EntryOutcome::NoStaff) => f.no_staff += 1,
            }
            f.longest_wait_us = f.longest_wait_us.max(wait_us);
        }
        f
    }

    /// Answered within the limit, of those who were answered or gave up after it; `None` when there is nobody.
    pub fn service_level(&self) -> Option<f64> {
        rate(self.answered_in_time, self.answered + self.abandoned_late)
    }

    /// Of those who joined and did not leave at once.
    pub fn abandonment_rate(&self) -> Option<f64> {
        rate(self.abandoned, self.offered - self.short_abandoned)
    }

    /// Mean wait of the answered, microseconds.
    pub fn mean_wait_us(&self) -> Option<i64> {
        (self.answered > 0).then(|| self.wait_us / self.answered)
    }
}

fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn visit(wait_s: i64, outcome: Option<EntryOutcome>) -> Visit {
        let ended_at = outcome.map(|_| Timestamp(1_000_000).plus_s(wait_s));
        Visit { joined_at: Timestamp(1_000_000), ended_at, outcome, talk_us: 10 }
    }

    #[test]
    fn the_rates_are_those_of_the_reference() {
        let answered = |s| visit(s, Some(EntryOutcome::Answered));
        let abandoned = |s| visit(s, Some(EntryOutcome::Abandoned));
        let f = Figures::of([answered(10), answered(20), answered(30), abandoned(4), abandoned(10), abandoned(40), visit(0, None)], 20);
        assert_eq!((f.offered, f.answered, f.abandoned, f.short_abandoned, f.waiting), (7, 3, 2, 1, 1));
        assert_eq!((f.answered_in_time, f.abandoned_late, f.mean_wait_us(), f.longest_wait_us), (2, 1, Some(20_000_000), 40_000_000));
        assert_eq!((f.service_level(), f.abandonment_rate()), (Some(0.5), Some(2.0 / 6.0)));
        assert_eq!((Figures::default().service_level(), Figures::default().mean_wait_us()), (None, None));
    }

    proptest! {
        /// Whoever was offered to a queue has one end, or waits.
        #[test]
        fn every_call_is_counted_once(kinds in prop::collection::vec((0i64..60, prop::option::of(0..EntryOutcome::ALL.len())), 0..60)) {
            let f = Figures::of(kinds.iter().map(|(s, o)| visit(*s, o.map(|o| EntryOutcome::ALL[o]))), 20);
            let ends = f.answered + f.abandoned + f.short_abandoned + f.overflowed + f.timed_out + f.closed_hours + f.full + f.no_staff;
            prop_assert_eq!((f.offered, f.offered), (kinds.len() as i64, ends + f.waiting));
            prop_assert!(f.answered_in_time <= f.answered && f.abandoned_late <= f.abandoned);
        }
    }
}
