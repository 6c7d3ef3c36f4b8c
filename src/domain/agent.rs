//! An agent's state: four axes with one owner each (routing reference, section 1), and what is derived from them.
//!
//! Nobody steps a state machine here. The row keeps what is known (manual status, live legs, the claim, the deadlines), and
//! [`AgentState::at`] says what that means at an instant. A lost event can therefore strand nobody for longer than its deadline.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use crate::text_enum;

text_enum! {
    /// What the agent, or a supervisor in his name, has chosen.
    pub enum ManualStatus {
        Available = "AVAILABLE",
        NotAvailable = "NOT_AVAILABLE",
        Offline = "OFFLINE",
    }
}

text_enum! {
    /// The derived state, in the order in which the first that holds is taken.
    pub enum State {
        OnCall = "on_call",
        Ringing = "ringing",
        Reserved = "reserved",
        WrapUp = "wrap_up",
        Offline = "offline",
        NotAvailable = "not_available",
        Available = "available",
    }
}

impl State {
    /// 0 on a call (or about to be), 1 free, 2 wrap-up.
    pub fn system_status(self) -> i32 {
        match self {
            State::OnCall | State::Ringing | State::Reserved => 0,
            State::WrapUp => 2,
            State::Offline | State::NotAvailable | State::Available => 1,
        }
    }
}

text_enum! {
    /// What the PBX says of an agent: whether its queues ring him (Telphin page, section 6), or whether it can reach his phone.
    pub enum QueueLogin {
        Available = "available",
        LoggedOut = "logged_out",
        /// His phone is not registered.
        Unreachable = "unreachable",
    }
}

impl QueueLogin {
    /// What a manual status means to the PBX's queues.
    pub fn of(status: ManualStatus) -> QueueLogin {
        match status {
            ManualStatus::Available => QueueLogin::Available,
            ManualStatus::NotAvailable | ManualStatus::Offline => QueueLogin::LoggedOut,
        }
    }
}

text_enum! {
    /// Whether the PBX can reach the agent. Unknown is not offline.
    pub enum Reachability {
        Online = "online",
        Offline = "offline",
        Unknown = "unknown",
    }
}

text_enum! {
    /// Why the router leaves an agent alone for a while.
    pub enum CoolDown {
        NoAnswer = "no_answer",
        Busy = "busy",
        Rejected = "rejected",
        Unreachable = "unreachable",
    }
}

text_enum! {
    /// An offer of an agent to a call: pending, then exactly one of the others (routing reference, section 2).
    pub enum OfferState {
        Pending = "pending",
        Accepted = "accepted",
        NoAnswer = "no_answer",
        Rejected = "rejected",
        Busy = "busy",
        Unreachable = "unreachable",
        /// The caller left.
        Canceled = "canceled",
        /// The router withdrew it, or no leg ever came of it.
        Rescinded = "rescinded",
        Lost = "lost",
    }
}

impl OfferState {
    /// The call has tried this agent; it is not offered to him again.
    pub fn counts_as_tried(self) -> bool {
        matches!(self, OfferState::NoAnswer | OfferState::Rejected | OfferState::Busy | OfferState::Unreachable)
    }

    pub fn cool_down(self) -> Option<CoolDown> {
        match self {
            OfferState::NoAnswer => Some(CoolDown::NoAnswer),
            OfferState::Rejected => Some(CoolDown::Rejected),
            OfferState::Busy => Some(CoolDown::Busy),
            OfferState::Unreachable => Some(CoolDown::Unreachable),
            _ => None,
        }
    }
}

/// A live claim on an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub call: String,
    pub until: Timestamp,
}

/// Everything known about an agent that changes while he works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    pub agent: String,
    pub manual_status: ManualStatus,
    pub manual_reason: Option<String>,
    /// Who chose it; `None`: it is as declared.
    pub status_by: Option<String>,
    /// Applied when the work in hand ends.
    pub next_status: Option<(ManualStatus, Option<String>)>,
    /// Who chose that.
    pub next_by: Option<String>,
    pub status_since: Timestamp,
    /// Live legs on the extension that ring, and that are answered.
    pub ringing: i32,
    pub talking: i32,
    pub claim: Option<Claim>,
    pub wrap_until: Timestamp,
    pub cool_until: Timestamp,
    pub cool_cause: Option<CoolDown>,
    pub last_offered_at: Timestamp,
    /// When the engagement last changed.
    pub engaged_since: Timestamp,
    /// Offers that he let ring out, one after the other.
    pub misses: i32,
    /// What the PBX last said of him as one of its queue agents, and since when.
    pub queue_login: Option<(QueueLogin, Timestamp)>,
    /// What we last told the PBX about that; `None`: nothing, or it did not take it.
    pub mirror_to: Option<QueueLogin>,
    /// When that was, or before when it is not tried again.
    pub mirror_at: Timestamp,
}

/// So long may one who changes an agent have waited for another who does, microseconds.
const OVERTAKEN_US: i64 = 10_000_000;

impl AgentState {
    /// A free agent with a manual status.
    pub fn new(agent: impl Into<String>, manual_status: ManualStatus, now: Timestamp) -> Self {
        Self {
            agent: agent.into(),
            manual_status,
            manual_reason: None,
            status_by: None,
            next_status: None,
            next_by: None,
            status_since: now,
            ringing: 0,
            talking: 0,
            claim: None,
            wrap_until: Timestamp(0),
            cool_until: Timestamp(0),
            cool_cause: None,
            last_offered_at: Timestamp(0),
            engaged_since: now,
            misses: 0,
            queue_login: None,
            mirror_to: None,
            mirror_at: Timestamp(0),
        }
    }

    /// What device reports say, and since when.
    pub fn reachability(&self) -> (Reachability, Option<Timestamp>) {
        match self.queue_login {
            None => (Reachability::Unknown, None),
            Some((QueueLogin::Available, since)) => (Reachability::Online, Some(since)),
            Some((QueueLogin::LoggedOut | QueueLogin::Unreachable, since)) => (Reachability::Offline, Some(since)),
        }
    }

    /// The PBX says that it cannot ring his phone.
    pub fn phone_is_away(&self) -> bool {
        matches!(self.queue_login, Some((QueueLogin::Unreachable, _)))
    }

    /// The manual status that holds, or will when the work in hand ends.
    pub fn chosen_status(&self) -> ManualStatus {
        self.next_status.as_ref().map_or(self.manual_status, |(next, _)| *next)
    }

    /// Why that status was chosen, and by whom.
    pub fn chosen_why(&self) -> (Option<&str>, Option<&str>) {
        match &self.next_status {
            Some((_, reason)) => (reason.as_deref(), self.next_by.as_deref()),
            None => (self.manual_reason.as_deref(), self.status_by.as_deref()),
        }
    }

    pub fn live_claim(&self, now: Timestamp) -> Option<&Claim> {
        self.claim.as_ref().filter(|c| c.until > now)
    }

    /// On a call, rung, or claimed: work in hand that a queued next status waits for, as it does for wrap-up.
    pub fn engaged(&self, now: Timestamp) -> bool {
        self.talking > 0 || self.ringing > 0 || self.live_claim(now).is_some()
    }

    /// The state at `now`, and since when.
    pub fn at(&self, now: Timestamp) -> (State, Timestamp) {
        if self.talking > 0 {
            (State::OnCall, self.engaged_since)
        } else if self.ringing > 0 {
            (State::Ringing, self.engaged_since)
        } else if self.live_claim(now).is_some() {
            (State::Reserved, self.engaged_since)
        } else if self.wrap_until > now {
            (State::WrapUp, self.engaged_since)
        } else {
            let claim_end = self.claim.as_ref().map_or(Timestamp(0), |c| c.until);
            let free_since = self.engaged_since.max(self.wrap_until).max(claim_end);
            let (status, changed) = match (&self.next_status, self.manual_status) {
                (Some((next, _)), _) => (*next, free_since),
                (None, status) => (status, self.status_since),
            };
            let state = match status {
                ManualStatus::Offline => State::Offline,
                ManualStatus::NotAvailable => State::NotAvailable,
                ManualStatus::Available => State::Available,
            };
            (state, free_since.max(changed))
        }
    }

    /// The state at `now` and, where a deadline ends it, when and in what.
    pub fn outlook(&self, now: Timestamp) -> (State, Option<(Timestamp, State)>) {
        let is = self.at(now).0;
        let end = match is {
            State::Reserved => self.live_claim(now).map(|c| c.until),
            State::WrapUp => Some(self.wrap_until),
            _ => None,
        };
        (is, end.map(|at| (at, self.at(at).0)))
    }

    /// When a change of his happens that was begun at `now`: not before his last one, for which it may have had to wait. A clock that was set
    /// back by more than [`OVERTAKEN_US`] is believed.
    pub fn no_earlier(&self, now: Timestamp) -> Timestamp {
        let last = self.engaged_since.max(self.status_since);
        if last.since(now) <= OVERTAKEN_US { now.max(last) } else { now }
    }

    /// The key of the longest-idle order: the earlier of two agents is the one who was neither busy nor offered a call for longer.
    pub fn idle_since(&self) -> Timestamp {
        self.engaged_since.max(self.wrap_until).max(self.last_offered_at)
    }
}

/// Why an agent cannot take a call now: the first reason that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    OnCall,
    Ringing,
    Reserved,
    WrapUp,
    Offline,
    NotAvailable(Option<String>),
    CoolingDown(Option<CoolDown>),
    Tried,
    IsTheCaller,
    NoExtension,
    /// The PBX's queues do not ring him.
    LoggedOut,
    /// The PBX cannot reach his phone.
    PhoneAway,
}

impl Refusal {
    /// A word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::OnCall => "on_call",
            Refusal::Ringing => "ringing",
            Refusal::Reserved => "reserved",
            Refusal::WrapUp => "wrap_up",
            Refusal::Offline => "offline",
            Refusal::NotAvailable(_) => "not_available",
            Refusal::CoolingDown(_) => "cooling_down",
            Refusal::Tried => "tried",
            Refusal::IsTheCaller => "is_the_caller",
            Refusal::NoExtension => "no_extension",
            Refusal::LoggedOut => "logged_out",
            Refusal::PhoneAway => "phone_away",
        }
    }

    /// The rest of a sentence that begins with the agent's name.
    pub fn sentence(&self) -> String {
        match self {
            Refusal::OnCall => "is on a call".into(),
            Refusal::Ringing => "is being rung".into(),
            Refusal::Reserved => "was just named to another call".into(),
            Refusal::WrapUp => "is in wrap-up".into(),
            Refusal::Offline => "is offline".into(),
            Refusal::NotAvailable(None) => "is not available".into(),
            Refusal::NotAvailable(Some(reason)) => format!("is not available ({reason})"),
            Refusal::CoolingDown(cause) => match cause {
                Some(CoolDown::NoAnswer) => "did not answer a moment ago".into(),
                Some(CoolDown::Busy) => "was busy a moment ago".into(),
                Some(CoolDown::Rejected) => "rejected a call a moment ago".into(),
                Some(CoolDown::Unreachable) => "could not be reached a moment ago".into(),
                None => "is left alone for a moment".into(),
            },
            Refusal::Tried => "was tried by this call already".into(),
            Refusal::IsTheCaller => "is the caller himself".into(),
            Refusal::NoExtension => "has no extension".into(),
            Refusal::LoggedOut => "is logged out of the PBX's queues".into(),
            Refusal::PhoneAway => "has a phone that the PBX cannot reach: it is not registered".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_000_000_000_000);

    fn free() -> AgentState {
        AgentState { engaged_since: NOW.plus_s(-30), ..AgentState::new("ann", ManualStatus::Available, NOW.plus_s(-600)) }
    }

    /// Section 1 of the reference: of several that hold, the first of this order is what he is.
    #[test]
    fn an_agent_is_the_first_of_what_holds() {
        let wrapping = AgentState { wrap_until: NOW.plus_s(5), ..free() };
        let claim = Some(Claim { call: "c".into(), until: NOW.plus_s(20) });
        let claimed = AgentState { claim, ..wrapping.clone() };
        let rung = AgentState { ringing: 1, ..claimed.clone() };
        let talking = AgentState { talking: 2, ..rung.clone() };
        let since = NOW.plus_s(-30);
        for (state, is) in [(&wrapping, State::WrapUp), (&claimed, State::Reserved), (&rung, State::Ringing), (&talking, State::OnCall)] {
            assert_eq!(state.at(NOW), (is, since));
            assert_eq!(state.engaged(NOW), is != State::WrapUp);
        }
        assert_eq!(claimed.outlook(NOW), (State::Reserved, Some((NOW.plus_s(20), State::Available))));
        assert_eq!(wrapping.at(NOW.plus_s(5)), (State::Available, NOW.plus_s(5)), "a deadline is over at its instant");
        assert_eq!(claimed.at(NOW.plus_s(20)), (State::Available, NOW.plus_s(20)));
    }

    #[test]
    fn only_what_an_agent_lets_fail_leaves_him_alone_for_a_while() {
        let of = |state: OfferState| (state.cool_down(), state.counts_as_tried());
        assert_eq!(of(OfferState::NoAnswer), (Some(CoolDown::NoAnswer), true));
        assert_eq!(of(OfferState::Rejected), (Some(CoolDown::Rejected), true));
        assert_eq!(of(OfferState::Busy), (Some(CoolDown::Busy), true));
        assert_eq!(of(OfferState::Unreachable), (Some(CoolDown::Unreachable), true));
        for state in [OfferState::Pending, OfferState::Accepted, OfferState::Canceled, OfferState::Rescinded, OfferState::Lost] {
            assert_eq!(of(state), (None, false), "{state:?}");
        }
    }
}
