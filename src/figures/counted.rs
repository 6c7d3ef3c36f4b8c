//! The counters of one application, and how they follow the tables.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::agent::OfferState;
use crate::domain::id;
use crate::domain::queue::EntryOutcome;
use crate::domain::queue_stats::SHORT_S;
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::store::offers::{self, Offer};
use crate::store::routed::{self, QueueEntry};
use crate::store::{Conn, Result};

/// A row that becomes visible later than this after its time is not counted, seconds.
const LATE_S: i64 = 60;

/// How a call left a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Of(EntryOutcome),
    /// Abandoned at once.
    Short,
}

impl End {
    pub fn all() -> impl Iterator<Item = End> {
        EntryOutcome::ALL.iter().map(|o| End::Of(*o)).chain([End::Short])
    }

    pub fn as_str(self) -> &'static str {
        match self {
            End::Of(outcome) => outcome.as_str(),
            End::Short => "short_abandoned",
        }
    }
}

/// Waits, told apart by the second, so that there is a bucket for whatever limit is wanted: limits are whole seconds.
#[derive(Debug, Default)]
pub struct Waits {
    /// By seconds, rounded up.
    by_second: BTreeMap<i64, u64>,
    pub sum_us: i64,
    pub count: u64,
}

impl Waits {
    /// Longer waits are told apart no more.
    const LONGEST_S: i64 = 86_400;

    fn add(&mut self, us: i64) {
        let second = us.saturating_add(999_999) / 1_000_000;
        *self.by_second.entry(second.min(Waits::LONGEST_S + 1)).or_default() += 1;
        self.sum_us += us;
        self.count += 1;
    }

    /// How many were not longer than this.
    pub fn within(&self, seconds: i64) -> u64 {
        self.by_second.range(..=seconds).map(|(_, n)| n).sum()
    }
}

/// What was seen and must be looked at again, and what was counted and may be read again.
#[derive(Debug)]
struct Seen<K> {
    open: BTreeSet<K>,
    counted: BTreeMap<K, Timestamp>,
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Seen { open: BTreeSet::new(), counted: BTreeMap::new() }
    }
}

impl<K: Ord> Seen<K> {
    /// True when it is to be counted now.
    fn take(&mut self, key: K, at: Timestamp, ended: bool) -> bool {
        if self.counted.contains_key(&key) {
            return false;
        }
        if ended {
            self.open.remove(&key);
            self.counted.insert(key, at);
        } else {
            self.open.insert(key);
        }
        ended
    }

    fn forget_before(&mut self, at: Timestamp) {
        self.counted.retain(|_, counted| *counted >= at);
    }
}

#[derive(Debug)]
pub struct Counted {
    start: Timestamp,
    /// Everything that was there before is known.
    from: Timestamp,
    seen_entries: Seen<(String, i32)>,
    seen_offers: Seen<String>,
    pub calls: BTreeMap<(String, End), u64>,
    /// Of those who were answered, and of those who gave up.
    pub waits: BTreeMap<(String, End), Waits>,
    pub offers: BTreeMap<OfferState, u64>,
}

impl Counted {
    pub fn new(start: Timestamp) -> Counted {
        Counted {
            start,
            from: start,
            seen_entries: Seen::default(),
            seen_offers: Seen::default(),
            calls: BTreeMap::new(),
            waits: BTreeMap::new(),
            offers: BTreeMap::new(),
        }
    }

    /// Counts what has ended since.
    pub fn follow(&mut self, conn: &mut Conn, app: &App, now: Timestamp) -> Result<()> {
        let mut entries: Vec<QueueEntry> = Vec::new();
        for (call, entry) in &self.seen_entries.open {
            entries.extend(routed::entry(conn, app.id(), call, *entry)?);
        }
        // Whatever was deleted meanwhile ends no more.
        self.seen_entries.open.clear();
        for queue in &app.spec.queue {
            entries.extend(routed::entries_since(conn, app.id(), &queue.id, self.from)?);
        }
        let open: Vec<String> = std::mem::take(&mut self.seen_offers.open).into_iter().collect();
        let mut made = offers::of_ids(conn, app.id(), &open)?;
        made.extend(offers::since(conn, app.id(), &id::floor(self.from))?.into_iter().filter(|o| o.made_at >= self.start.0));
        entries.iter().for_each(|entry| self.entry(entry));
        made.iter().for_each(|offer| self.offer(offer));
        self.from = self.start.max(now.plus_s(-LATE_S));
        let kept = self.from.plus_s(-LATE_S);
        self.seen_entries.forget_before(kept);
        self.seen_offers.forget_before(kept);
        Ok(())
    }

    fn entry(&mut self, entry: &QueueEntry) {
        let (key, joined) = ((entry.call_id.clone(), entry.entry), Timestamp(entry.joined_at));
        let outcome = entry.outcome();
        if !self.seen_entries.take(key, joined, outcome.is_some()) {
            return;
        }
        let Some(outcome) = outcome else { return };
        let wait_us = Timestamp(entry.ended_at.unwrap_or(entry.joined_at)).since(joined);
        let short = outcome == EntryOutcome::Abandoned && wait_us < SHORT_S * 1_000_000;
        let end = if short { End::Short } else { End::Of(outcome) };
        *self.calls.entry((entry.queue.clone(), end)).or_default() += 1;
        if matches!(end, End::Of(EntryOutcome::Answered | EntryOutcome::Abandoned)) {
            self.waits.entry((entry.queue.clone(), end)).or_default().add(wait_us);
        }
    }

    fn offer(&mut self, offer: &Offer) {
        let state = offer.state();
        if self.seen_offers.take(offer.id.clone(), Timestamp(offer.made_at), state != OfferState::Pending) {
            *self.offers.entry(state).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(call: &str, joined_s: i64, end: Option<(i64, EntryOutcome)>) -> QueueEntry {
        QueueEntry {
            application: 808,
            call_id: call.into(),
            entry: 1,
            queue: "main".into(),
            number: String::new(),
            did: None,
            joined_at: joined_s * 1_000_000,
            ended_at: end.map(|(s, _)| s * 1_000_000),
            outcome: end.map(|(_, outcome)| outcome.as_str().into()),
            agent: None,
            answered_at: None,
            talk_us: 0,
        }
    }

    #[test]
    fn a_call_counts_once_when_it_has_ended_however_often_it_is_seen() {
        let mut counted = Counted::new(Timestamp(0));
        let answered = entry("a", 0, Some((20, EntryOutcome::Answered)));
        for seen in [&entry("a", 0, None), &answered, &answered, &entry("b", 1, Some((4, EntryOutcome::Abandoned)))] {
            counted.entry(seen);
        }
        counted.entry(&entry("c", 0, Some((30, EntryOutcome::Answered))));
        let calls: Vec<(&str, u64)> = counted.calls.iter().map(|((_, end), n)| (end.as_str(), *n)).collect();
        assert_eq!(calls, [("answered", 2), ("short_abandoned", 1)]);
        let waits = &counted.waits[&("main".to_owned(), End::Of(EntryOutcome::Answered))];
        assert_eq!((waits.within(19), waits.within(20), waits.within(30), waits.count, waits.sum_us), (0, 1, 2, 2, 50_000_000));
    }

    #[test]
    fn a_wait_of_a_little_more_than_the_limit_is_beyond_it() {
        let mut waits = Waits::default();
        [20_000_000, 20_000_001, i64::MAX / 2].iter().for_each(|us| waits.add(*us));
        assert_eq!((waits.within(20), waits.within(21), waits.within(Waits::LONGEST_S), waits.count), (1, 2, 2, 3));
    }
}
