//! Which rows are new: reads forward in pages, and the last seconds again each time it has caught up.

use std::collections::HashMap;

use crate::domain::decision::Decision;
use crate::domain::time::Timestamp;
use crate::store::journal::Entry;

/// Rows of each table that one look reads.
const PAGE: i64 = 1_000;

/// A row that becomes visible later than this after its time may be missed.
const OVERLAP_S: i64 = 10;

pub enum Row {
    Event(Entry),
    Decision(Decision),
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Event(i64, i64),
    Decision(String),
}

impl Row {
    pub fn at(&self) -> Timestamp {
        match self {
            Row::Event(entry) => Timestamp(entry.received_at),
            Row::Decision(decision) => decision.at,
        }
    }

    fn key(&self) -> Key {
        match self {
            Row::Event(entry) => Key::Event(entry.at, entry.digest),
            Row::Decision(decision) => Key::Decision(decision.id.clone()),
        }
    }
}

pub struct Follow {
    start: Timestamp,
    from: Timestamp,
    newest: Timestamp,
    limit: i64,
    /// What was shown and may be read again.
    shown: HashMap<Key, Timestamp>,
}

impl Follow {
    pub fn new(start: Timestamp) -> Follow {
        Follow { start, from: start, newest: start, limit: PAGE, shown: HashMap::new() }
    }

    /// Both tables are to be read from here,
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// at most so many rows each, oldest first.
    pub fn limit(&self) -> i64 {
        self.limit
    }

    /// What is new in what was read, in the order of time; and whether that was all.
    pub fn take(&mut self, events: Vec<Entry>, decisions: Vec<Decision>) -> (Vec<Row>, bool) {
        let full = |rows: usize| rows as i64 >= self.limit;
        // Beyond the end of a full page there may be rows of that table that come before those of the other.
        let ends = [
            events.last().filter(|_| full(events.len())).map(|e| Timestamp(e.received_at)),
            decisions.last().filter(|_| full(decisions.len())).map(|d| d.at),
        ];
        let horizon = ends.into_iter().flatten().min();
        let all = events.into_iter().map(Row::Event).chain(decisions.into_iter().map(Row::Decision));
        let mut rows: Vec<Row> = all.filter(|row| horizon.is_none_or(|h| row.at() <= h) && row.at() >= self.start).collect();
        rows.sort_by_key(Row::at);
        rows.retain(|row| self.shown.insert(row.key(), row.at()).is_none());
        self.newest = rows.last().map_or(self.newest, |row| self.newest.max(row.at()));
        let window = self.start.max(self.newest.plus_s(-OVERLAP_S));
        self.shown.retain(|_, at| *at >= window);
        match horizon {
            None => (self.from, self.limit) = (window, PAGE),
            Some(h) if h > self.from => (self.from, self.limit) = (h, PAGE),
            // More rows of one instant than a page holds.
            Some(_) => self.limit *= 2,
        }
        (rows, horizon.is_none())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::decision::Outcome;

    fn event(received_at: i64, digest: i64) -> Entry {
        Entry {
            application: 807,
            at: 0,
            digest,
            received_at,
            hook: "event".into(),
            call_id: None,
            content_type: String::new(),
            raw: Vec::new(),
            error: None,
        }
    }

    fn decision(at: i64, n: i64) -> Decision {
        Decision {
            id: n.to_string(),
            at: Timestamp(at),
            call: None,
            pbx_call_id: None,
            caller: String::new(),
            outcome: Outcome::Nobody,
            agents: vec![],
            reason: String::new(),
            candidates: vec![],
            inputs: String::new(),
            took_us: 0,
            late: false,
        }
    }

    /// One look at what is visible, as the tables would answer.
    fn look(follow: &mut Follow, events: &[Entry], decisions: &[Decision]) -> (Vec<Row>, bool) {
        let (from, limit) = (follow.from(), follow.limit() as usize);
        let mut e: Vec<Entry> = events.iter().filter(|e| e.received_at >= from.0).cloned().collect();
        e.sort_by_key(|e| (e.received_at, e.at, e.digest));
        e.truncate(limit);
        let mut d: Vec<Decision> = decisions.iter().filter(|d| d.at >= from).cloned().collect();
        d.sort_by_key(|d| d.at);
        d.truncate(limit);
        follow.take(e, d)
    }

    #[test]
    fn a_row_that_becomes_visible_late_is_shown_once() {
        let mut follow = Follow::new(Timestamp(0));
        let count = |(rows, caught_up): (Vec<Row>, bool)| (rows.len(), caught_up);
        assert_eq!(count(look(&mut follow, &[event(60_000_000, 1)], &[])), (1, true));
        let late = [event(60_000_000, 1), event(55_000_000, 2)];
        assert_eq!(count(look(&mut follow, &late, &[decision(59_000_000, 1)])), (2, true));
        assert_eq!(count(look(&mut follow, &late, &[decision(59_000_000, 1)])), (0, true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is there, however many at an instant: each row once, in the order of time, and it comes to an end.
        #[test]
        fn everything_is_shown_once_and_in_order(times in prop::collection::vec((0i64..20, any::<bool>()), 0..60), many in 0usize..3) {
            let mut events: Vec<Entry> = Vec::new();
            let mut decisions: Vec<Decision> = Vec::new();
            for (n, (at, is_event)) in times.iter().enumerate() {
                match is_event {
                    true => events.push(event(at * 1_000_000, n as i64)),
                    false => decisions.push(decision(at * 1_000_000, n as i64)),
                }
            }
            events.extend((0..many as i64 * 1_500).map(|n| event(7_000_000, 1_000 + n)));
            let mut follow = Follow::new(Timestamp(0));
            let mut shown: Vec<Timestamp> = Vec::new();
            for round in 0.. {
                prop_assert!(round < 100, "it never catches up");
                let (rows, caught_up) = look(&mut follow, &events, &decisions);
                shown.extend(rows.iter().map(Row::at));
                if caught_up {
                    break;
                }
            }
            prop_assert!(shown.is_sorted());
            prop_assert_eq!(shown.len(), events.len() + decisions.len());
            prop_assert_eq!(look(&mut follow, &events, &decisions).0.len(), 0);
        }
    }
}
