//! What an agent, or a group of them, has done in some time (routing reference, section 6): offers, calls and times in state.

use std::collections::BTreeMap;

use super::agent::{OfferState, State};
use super::queue_stats::{mean, rate};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Offers by what became of them; an offer counts where it was made.
    pub offers: BTreeMap<OfferState, i64>,
    /// Calls from outside that were taken, and calls to the outside, answered or not; a call counts where its leg began.
    pub incoming: i64,
    pub outgoing: i64,
    /// Of both: with talk; and the talk, microseconds.
    pub handled: i64,
    pub talk_us: i64,
    /// Microseconds by state, as far as they lie in the time.
    pub times_us: BTreeMap<State, i64>,
}

impl Figures {
    /// Adds those of another member of the group.
    pub fn join(&mut self, other: &Figures) {
        for (state, n) in &other.offers {
            *self.offers.entry(*state).or_default() += n;
        }
        for (state, us) in &other.times_us {
            *self.times_us.entry(*state).or_default() += us;
        }
        self.incoming += other.incoming;
        self.outgoing += other.outgoing;
        self.handled += other.handled;
        self.talk_us += other.talk_us;
    }

    pub fn offers_of(&self, state: OfferState) -> i64 {
        self.offers.get(&state).copied().unwrap_or(0)
    }

    /// Offers made, those left out of which nothing became yet.
    pub fn offers_made(&self) -> i64 {
        self.offers.iter().filter(|(state, _)| **state != OfferState::Pending).map(|(_, n)| n).sum()
    }

    /// Offers answered, of those made.
    pub fn pick_up_rate(&self) -> Option<f64> {
        rate(self.offers_of(OfferState::Accepted), self.offers_made())
    }

    /// The same without the offers whose caller left while they rang: never the agent's fault.
    pub fn pick_up_rate_without_canceled(&self) -> Option<f64> {
        rate(self.offers_of(OfferState::Accepted), self.offers_made() - self.offers_of(OfferState::Canceled))
    }

    pub fn time_us(&self, state: State) -> i64 {
        self.times_us.get(&state).copied().unwrap_or(0)
    }

    /// Mean talk and wrap-up of a call with talk (AHT), microseconds.
    pub fn handling_us(&self) -> Option<i64> {
        mean(self.talk_us + self.time_us(State::WrapUp), self.handled)
    }

    /// Time on contacts (reserved, rung, on a call, in wrap-up), of that and of the time free for one.
    pub fn occupancy(&self) -> Option<f64> {
        let busy: i64 = [State::Reserved, State::Ringing, State::OnCall, State::WrapUp].map(|s| self.time_us(s)).iter().sum();
        rate(busy, busy + self.time_us(State::Available))
    }

    /// True when there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Figures::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Figures {
        Figures {
            offers: BTreeMap::from([
                (OfferState::Accepted, 6),
                (OfferState::NoAnswer, 1),
                (OfferState::Rejected, 1),
                (OfferState::Canceled, 2),
                (OfferState::Pending, 1),
            ]),
            incoming: 6,
            outgoing: 3,
            handled: 8,
            talk_us: 1_600,
            times_us: BTreeMap::from([
                (State::OnCall, 1_600),
                (State::WrapUp, 160),
                (State::Ringing, 200),
                (State::Reserved, 40),
                (State::Available, 2_000),
                (State::NotAvailable, 9_000),
            ]),
        }
    }

    #[test]
    fn the_rates_are_those_of_the_reference() {
        let f = ann();
        assert_eq!((f.offers_made(), f.pick_up_rate(), f.pick_up_rate_without_canceled()), (10, Some(0.6), Some(0.75)));
        assert_eq!((f.handling_us(), f.occupancy()), (Some(220), Some(0.5)), "a break is no idle time");
        let none = Figures::default();
        assert_eq!((none.pick_up_rate(), none.handling_us(), none.occupancy(), none.is_empty()), (None, None, None, true));
    }

    #[test]
    fn a_group_is_the_sum_of_its_members_and_not_the_mean_of_their_rates() {
        let bob = Figures {
            offers: BTreeMap::from([(OfferState::NoAnswer, 10)]),
            incoming: 2,
            outgoing: 1,
            handled: 3,
            talk_us: 400,
            times_us: BTreeMap::from([(State::Available, 500)]),
        };
        let mut both = ann();
        both.join(&bob);
        assert_eq!((both.offers_made(), both.pick_up_rate()), (20, Some(0.3)));
        assert_eq!((both.incoming, both.outgoing, both.handled, both.talk_us), (8, 4, 11, 2_000));
        let times_us = ann().times_us.into_iter().map(|(state, us)| (state, if state == State::Available { 2_500 } else { us }));
        assert_eq!(both.times_us, times_us.collect());
    }
}
