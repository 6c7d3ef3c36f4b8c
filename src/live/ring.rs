//! The last events, as many as there is room for.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Kind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    /// The agents whose business it is; `None`: nobody's in particular, so it is not for an agent's eyes.
    pub agents: Option<Vec<String>>,
    /// JSON.
    pub data: String,
}

/// Numbers events from 1 on, and forgets the oldest.
#[derive(Debug, Default)]
pub struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    newest: u64,
}

impl Ring {
    pub const MOST: usize = 4_096;
    const MOST_BYTES: usize = 8 << 20;

    pub fn push(&mut self, event: Event) {
        self.bytes += event.data.len();
        self.newest += 1;
        self.events.push_back(Arc::new(event));
        while self.events.len() > Ring::MOST || (self.bytes > Ring::MOST_BYTES && self.events.len() > 1) {
            self.bytes -= self.events.pop_front().map_or(0, |e| e.data.len());
        }
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// True when everything after this event is here.
    pub fn holds_after(&self, place: u64) -> bool {
        (self.newest - self.events.len() as u64..=self.newest).contains(&place)
    }

    /// What came after this event, at most so many; `None`: a part of it is gone.
    pub fn after(&self, place: u64, most: usize) -> Option<Vec<(u64, Arc<Event>)>> {
        let first = self.newest - self.events.len() as u64;
        let skipped = self.holds_after(place).then(|| (place - first) as usize)?;
        Some(self.events.iter().skip(skipped).take(most).zip(place + 1..).map(|(e, n)| (n, e.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize) -> Event {
        Event { kind: Kind::Call, agents: None, data: "x".repeat(bytes) }
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        let mut ring = Ring::default();
        (0..Ring::MOST + 10).for_each(|_| ring.push(event(1)));
        assert_eq!((ring.events.len(), ring.holds_after(9), ring.holds_after(10)), (Ring::MOST, false, true));
        (0..10).for_each(|_| ring.push(event(Ring::MOST_BYTES / 4)));
        assert!(ring.bytes <= Ring::MOST_BYTES && ring.events.len() <= 5, "{}", ring.events.len());
        ring.push(event(Ring::MOST_BYTES * 2));
        assert_eq!(ring.after(ring.newest() - 1, 10).map(|e| e.len()), Some(1), "the newest is always here");
    }
}
