//! The lights go out: what the core holds must agree with what was seen.

use std::collections::HashMap;

use super::day::Day;
use super::plan::{APP, BEGIN, id_of};
use crate::domain::agent::{OfferState, State};
use crate::domain::agent_time::{self, Mark};
use crate::domain::queue::EntryOutcome;
use crate::store::calls::LegRow;
use crate::store::offers::Offer;
use crate::store::routed::QueueEntry;
use crate::store::{Conn, Result, agents, calls, offers, routed, times};
use crate::timers;

/// So many calls are read at once.
const AT_ONCE: usize = 500;

/// What the core says of a call.
struct Told {
    entries: Vec<QueueEntry>,
    offers: Vec<Offer>,
    legs: Vec<LegRow>,
}

impl Day<'_> {
    pub(super) async fn close(&mut self) -> anyhow::Result<()> {
        while let Some(replayed) = self.replays.join_next().await {
            self.judge(replayed?);
        }
        // Long enough for any claim, and for the wrap-up after the last talk.
        self.clock.advance((600 + self.plan.wrap_up_s) * 1_000_000);
        timers::sweep(&self.hookflash).await;
        self.hookflash.db.flush().await;
        self.everybody_is_free().await?;
        self.times_add_up().await?;
        let mut of_call: HashMap<String, Vec<Offer>> = HashMap::new();
        for offer in self.hookflash.db.read(|conn| offers::since(conn, APP, "")).await? {
            of_call.entry(offer.call_id.clone()).or_default().push(offer);
        }
        for first in (0..self.world.calls.len()).step_by(AT_ONCE) {
            let ids: Vec<String> = (first..self.world.calls.len()).take(AT_ONCE).map(id_of).collect();
            let offers = ids.iter().map(|id| of_call.remove(id).unwrap_or_default()).collect();
            let told = self.hookflash.db.read(move |conn| read(conn, &ids, offers)).await?;
            for (n, told) in (first..).zip(told) {
                self.one_outcome(n, &told);
                self.ends_of_offers(n, &told);
            }
        }
        for (call, offers) in of_call {
            self.world.fault(3, self.end(), format!("call {call} never was, and has {offers:?}"));
        }
        Ok(())
    }

    fn end(&self) -> i64 {
        self.clock.now().0 - BEGIN.0
    }

    /// Invariant 3.
    async fn everybody_is_free(&mut self) -> anyhow::Result<()> {
        let (now, end) = (self.clock.now(), self.end());
        let states = self.hookflash.db.read(|conn| agents::all(conn, APP)).await?;
        self.world.checks(3, states.len());
        for state in states.iter().filter(|s| s.at(now).0 != State::Available) {
            self.world.fault(3, end, format!("{} is {} when all is over", state.agent, state.at(now).0));
        }
        Ok(())
    }

    /// Invariant 14: no gap, no overlap, and as long at work as the room saw.
    async fn times_add_up(&mut self) -> anyhow::Result<()> {
        let (now, end) = (self.clock.now(), self.end());
        let people: Vec<(String, i64)> = self.world.people.iter().map(|(agent, person)| (agent.clone(), person.busy_us)).collect();
        for (agent, busy_us) in people {
            let of = agent.clone();
            let marks: Vec<Mark> = self.hookflash.db.read(move |conn| times::between(conn, APP, &of, BEGIN, now)).await?;
            let spans = agent_time::spans(&marks, BEGIN, now);
            let joined = spans.windows(2).all(|pair| pair[0].until == pair[1].since);
            let of = |is: fn(State) -> bool| spans.iter().filter(|s| is(s.state)).map(|s| s.until.since(s.since)).sum::<i64>();
            let (all, busy) = (of(|_| true), of(|state| state != State::Available));
            self.world.checks(14, spans.len());
            if !joined || all != end || busy != busy_us {
                let what = format!("{agent} was at work for {busy} of {all} µs; seen were {busy_us} of {end}");
                self.world.fault(14, end, what);
            }
        }
        Ok(())
    }

    /// Invariants 13 and 9: one time in the queue with the outcome that was seen, and one row in the log, however many were rung.
    fn one_outcome(&mut self, call: usize, told: &Told) {
        let (seen, end) = (&self.world.calls[call], self.end());
        let (outcome, kind, agent, answered) = match seen.answered {
            Some(at) => (EntryOutcome::Answered, "leg", seen.answered_by.clone(), Some(at + BEGIN.0)),
            None => (EntryOutcome::Abandoned, "missed", None, None),
        };
        let joined = seen.joined + BEGIN.0;
        let agrees = matches!(told.entries.as_slice(), [one] if one.outcome() == Some(outcome) && one.agent == agent
            && one.answered_at == answered && one.joined_at == joined);
        let is_missed = seen.answered.is_none();
        self.world.checks(13, 1);
        self.world.checks(9, usize::from(is_missed));
        if !agrees {
            let stored = &told.entries;
            self.world.fault(13, end, format!("call {call} was {outcome} by {agent:?} at {answered:?}; stored is {stored:?}"));
        }
        let logged: Vec<&LegRow> = told.legs.iter().filter(|leg| leg.logged_at.is_some()).collect();
        if !matches!(logged.as_slice(), [one] if one.kind == kind && one.agent == agent) {
            self.world.fault(if is_missed { 9 } else { 13 }, end, format!("call {call} was {outcome}; logged is {logged:?}"));
        }
    }

    /// Invariants 2, 3 and 9: who answered is the winner and the only one; who refused has refused; the others were let go.
    fn ends_of_offers(&mut self, call: usize, told: &Told) {
        let (seen, end) = (&self.world.calls[call], self.end());
        let mut seen_ends: Vec<(String, End)> = seen.ends.iter().map(|(agent, state)| (agent.clone(), End::of(*state))).collect();
        let mut stored: Vec<(String, End)> = told.offers.iter().map(|offer| (offer.agent.clone(), End::of(offer.state()))).collect();
        seen_ends.sort();
        stored.sort();
        let open = told.offers.iter().filter(|offer| offer.ended_at.is_none()).count();
        let was_answered = seen.answered.is_some();
        self.world.checks(2, usize::from(was_answered));
        self.world.checks(3, told.offers.len());
        if open > 0 {
            self.world.fault(3, end, format!("{open} offers of call {call} have no end"));
        }
        if seen_ends != stored {
            let what = format!("the offers of call {call} ended as {stored:?}, and were seen to end as {seen_ends:?}");
            self.world.fault(if was_answered { 2 } else { 9 }, end, what);
        }
    }
}

/// What an offer came to, as the room can tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Won,
    Refused,
    LetGo,
    Open,
}

impl End {
    fn of(state: OfferState) -> End {
        match state {
            OfferState::Accepted => End::Won,
            OfferState::Pending => End::Open,
            state if state.counts_as_tried() => End::Refused,
            _ => End::LetGo,
        }
    }
}

/// What is told of these calls, whose offers are read already.
fn read(conn: &mut Conn, ids: &[String], offers: Vec<Vec<Offer>>) -> Result<Vec<Told>> {
    let mut legs: HashMap<String, Vec<LegRow>> = HashMap::new();
    for leg in calls::legs_of(conn, APP, ids)? {
        legs.entry(leg.call_id.clone()).or_default().push(leg);
    }
    let told = |(id, offers): (&String, Vec<Offer>)| {
        Ok(Told { entries: routed::entries_of(conn, APP, id)?, offers, legs: legs.remove(id).unwrap_or_default() })
    };
    ids.iter().zip(offers).map(told).collect()
}
