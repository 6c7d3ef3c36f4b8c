//! Erlang C: what a queue does to its callers when nobody gives up (routing reference, section 6).

/// A queue in balance: calls come at random, talk is exponential, and who waits stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErlangC {
    pub agents: u32,
    /// Calls that would be in hand at once if nobody waited: calls a second times seconds of handling.
    pub traffic: f64,
    pub handling_s: f64,
}

impl ErlangC {
    /// The part of the callers who wait at all: 1 when more comes than the agents can do.
    pub fn waits(&self) -> f64 {
        let (n, a) = (f64::from(self.agents), self.traffic);
        if a >= n {
            return 1.0;
        }
        // Erlang B by its recursion, which no factorial overflows; C from B.
        let blocked = (1..=self.agents).fold(1.0, |b, k| a * b / (f64::from(k) + a * b));
        n * blocked / (n - a * (1.0 - blocked))
    }

    /// The part of the callers who are answered within `seconds`.
    pub fn answered_within(&self, seconds: f64) -> f64 {
        let spare = f64::from(self.agents) - self.traffic;
        if spare <= 0.0 { 0.0 } else { 1.0 - self.waits() * (-spare * seconds / self.handling_s).exp() }
    }

    /// The mean wait of all callers, seconds; without end when the agents cannot do the work.
    pub fn mean_wait_s(&self) -> f64 {
        let spare = f64::from(self.agents) - self.traffic;
        if spare <= 0.0 { f64::INFINITY } else { self.waits() * self.handling_s / spare }
    }

    /// The fewest agents with whom so many of the callers are answered within `seconds`.
    pub fn agents_for(traffic: f64, handling_s: f64, part: f64, seconds: f64) -> u32 {
        let least = traffic.ceil().max(1.0) as u32;
        (least..).find(|n| ErlangC { agents: *n, traffic, handling_s }.answered_within(seconds) >= part).unwrap_or(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the published tables of the waiting probability, to three digits.
    #[test]
    fn the_part_that_waits_is_that_of_the_tables() {
        for (agents, traffic, expected) in
            [(1, 0.5, 0.5), (2, 1.0, 0.333), (3, 2.0, 0.444), (5, 4.0, 0.554), (10, 8.0, 0.409), (20, 16.0, 0.256), (14, 10.0, 0.174)]
        {
            let waits = ErlangC { agents, traffic, handling_s: 180.0 }.waits();
            assert!((waits - expected).abs() < 0.001, "{agents} {traffic}: {waits}");
        }
    }

    #[test]
    fn staffing_of_a_hundred_calls_an_hour() {
        // 200 calls an hour of three minutes: 10 erlang; 14 agents answer 88.8 % within 20 s, with a mean wait of 7.8 s.
        let centre = ErlangC { agents: 14, traffic: 10.0, handling_s: 180.0 };
        assert!((centre.answered_within(20.0) - 0.888).abs() < 0.001, "{}", centre.answered_within(20.0));
        assert!((centre.mean_wait_s() - 7.8).abs() < 0.05, "{}", centre.mean_wait_s());
        assert_eq!(ErlangC::agents_for(10.0, 180.0, 0.8, 20.0), 14);
    }

    #[test]
    fn more_work_than_hands_never_ends() {
        let centre = ErlangC { agents: 10, traffic: 10.0, handling_s: 180.0 };
        assert_eq!((centre.waits(), centre.answered_within(1e6), centre.mean_wait_s()), (1.0, 0.0, f64::INFINITY));
    }
}
