//! What a queue has done in some time (routing reference, section 6). Raw counts, so that every variant of a rate can be had.
//!
//! A call counts where it joined. Whoever gives up within [`SHORT_S`] is counted apart, was not offered, and is part of no rate. So
//! offered = answered + abandoned + overflowed + timed out + closed hours + full + no staff + waiting.

use super::queue::EntryOutcome;

/// A caller who leaves so soon has not waited, seconds; a question may name another limit.
pub const SHORT_S: i64 = 5;

/// Calls that came into a queue and met the same end, added up. Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// `None`: they wait still.
    pub outcome: Option<EntryOutcome>,
    pub calls: i64,
    /// Of these: met their end within the service level's limit.
    pub in_time: i64,
    /// Of these: met it sooner than the limit of a short abandon.
    pub short: i64,
    /// From joining to the end, added up; and the longest, of those who wait up to now.
    pub wait_us: i64,
    pub longest_us: i64,
    pub talk_us: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub queued: i64,
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
    /// Wrap-up after calls of the queue.
    pub wrap_up_us: i64,
}

impl Figures {
    pub fn add(&mut self, t: Tally) {
        self.queued += t.calls;
        self.longest_wait_us = self.longest_wait_us.max(t.longest_us);
        match t.outcome {
            None => self.waiting += t.calls,
            Some(EntryOutcome::Answered) => {
                self.answered += t.calls;
                self.answered_in_time += t.in_time;
                self.wait_us += t.wait_us;
                self.talk_us += t.talk_us;
            }
            Some(EntryOutcome::Abandoned) => {
                self.short_abandoned += t.short;
                self.abandoned += t.calls - t.short;
                // Where the limit is shorter than a short abandon, whoever left within it counts once.
                self.abandoned_late += t.calls - t.in_time.max(t.short);
            }
            Some(EntryOutcome::Overflowed) => self.overflowed += t.calls,
            Some(EntryOutcome::TimedOut) => self.timed_out += t.calls,
            Some(EntryOutcome::ClosedHours) => self.closed_hours += t.calls,
            Some(EntryOutcome::Full) => self.full += t.calls,
            Some(EntryOutcome::NoStaff) => self.no_staff += t.calls,
        }
    }

    /// Adds those of another queue.
    pub fn join(&mut self, other: &Figures) {
        self.queued += other.queued;
        self.answered += other.answered;
        self.abandoned += other.abandoned;
        self.short_abandoned += other.short_abandoned;
        self.overflowed += other.overflowed;
        self.timed_out += other.timed_out;
        self.closed_hours += other.closed_hours;
        self.full += other.full;
        self.no_staff += other.no_staff;
        self.waiting += other.waiting;
        self.answered_in_time += other.answered_in_time;
        self.abandoned_late += other.abandoned_late;
        self.wait_us += other.wait_us;
        self.longest_wait_us = self.longest_wait_us.max(other.longest_wait_us);
        self.talk_us += other.talk_us;
        self.wrap_up_us += other.wrap_up_us;
    }

    /// Those who came and did not leave at once.
    pub fn offered(&self) -> i64 {
        self.queued - self.short_abandoned
    }

    /// Answered within the limit, of those who were answered or gave up after it; `None` when there is nobody.
    pub fn service_level(&self) -> Option<f64> {
        rate(self.answered_in_time, self.answered + self.abandoned_late)
    }

    /// Who gave up, but not at once, of all who came.
    pub fn abandonment_rate(&self) -> Option<f64> {
        rate(self.abandoned, self.queued)
    }

    /// Mean wait of the answered (ASA), microseconds.
    pub fn mean_wait_us(&self) -> Option<i64> {
        mean(self.wait_us, self.answered)
    }

    /// Mean talk and wrap-up of the answered (AHT), microseconds. Hold is a part of the talk: no PBX tells it apart.
    pub fn handling_us(&self) -> Option<i64> {
        mean(self.talk_us + self.wrap_up_us, self.answered)
    }
}

/// A part of a whole, 0 to 1; `None` of nothing.
pub fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The share of each of so many; `None` when there is nobody.
pub fn mean(sum: i64, of: i64) -> Option<i64> {
    (of > 0).then(|| sum / of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One call, as the store adds it up with a limit of 20 s.
    fn call(wait_s: i64, outcome: Option<EntryOutcome>) -> Tally {
        Tally {
            outcome,
            calls: 1,
            in_time: i64::from(wait_s <= 20),
            short: i64::from(wait_s < SHORT_S),
            wait_us: wait_s * 1_000_000,
            longest_us: wait_s * 1_000_000,
            talk_us: 60_000_000,
        }
    }

    fn of(calls: impl IntoIterator<Item = Tally>) -> Figures {
        calls.into_iter().fold(Figures::default(), |mut f, t| {
            f.add(t);
            f
        })
    }

    #[test]
    fn the_rates_are_those_of_the_reference() {
        let answered = |s| call(s, Some(EntryOutcome::Answered));
        let abandoned = |s| call(s, Some(EntryOutcome::Abandoned));
        let mut f = of([answered(10), answered(20), answered(30), abandoned(4), abandoned(10), abandoned(40), call(7, None)]);
        f.wrap_up_us = 30_000_000;
        assert_eq!((f.queued, f.offered(), f.answered, f.abandoned, f.short_abandoned, f.waiting), (7, 6, 3, 2, 1, 1));
        assert_eq!((f.answered_in_time, f.abandoned_late, f.longest_wait_us), (2, 1, 40_000_000));
        assert_eq!((f.mean_wait_us(), f.handling_us()), (Some(20_000_000), Some(70_000_000)));
        assert_eq!((f.service_level(), f.abandonment_rate()), (Some(0.5), Some(2.0 / 7.0)));
        let none = Figures::default();
        assert_eq!((none.service_level(), none.abandonment_rate(), none.mean_wait_us(), none.handling_us()), (None, None, None, None));
    }

    #[test]
    fn with_a_limit_below_a_short_abandon_nobody_counts_twice() {
        // Gave up after 3 s where 2 s are the limit: late by the limit, and yet too short to count.
        let f = of([Tally { in_time: 0, short: 1, ..call(3, Some(EntryOutcome::Abandoned)) }]);
        assert_eq!((f.short_abandoned, f.abandoned, f.abandoned_late, f.offered()), (1, 0, 0, 0));
    }

    proptest! {
        /// Whoever was offered to a queue has one end, or waits; and it is the same in whatever portions calls are added up.
        #[test]
        fn every_call_is_counted_once(
            kinds in prop::collection::vec((0i64..60, prop::option::of(0..EntryOutcome::ALL.len())), 0..60), cut in 0usize..60,
        ) {
            let all: Vec<Tally> = kinds.iter().map(|(s, o)| call(*s, o.map(|o| EntryOutcome::ALL[o]))).collect();
            let f = of(all.iter().copied());
            let ends = f.answered + f.abandoned + f.overflowed + f.timed_out + f.closed_hours + f.full + f.no_staff;
            prop_assert_eq!((f.queued, f.offered()), (kinds.len() as i64, ends + f.waiting));
            prop_assert!(f.answered_in_time <= f.answered && f.abandoned_late <= f.abandoned);
            let cut = cut.min(all.len());
            let mut joined = of(all[..cut].iter().copied());
            joined.join(&of(all[cut..].iter().copied()));
            prop_assert_eq!(joined, f);
        }
    }
}
