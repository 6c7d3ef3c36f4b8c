//! What an agent chooses to be, or a supervisor in his name: at once, or when the work in hand ends.

use super::agent::{AgentState, ManualStatus};
use super::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Choice<'a> {
    pub status: ManualStatus,
    /// Why: lunch, meeting.
    pub reason: Option<String>,
    /// It holds when the work in hand (a call, a claim, wrap-up) ends; at once when there is none.
    pub is_next: bool,
    /// Who chooses.
    pub by: &'a str,
}

impl AgentState {
    /// Writes a choice into the self. One for now also replaces one that was queued.
    pub fn choose(&mut self, choice: Choice<'_>, now: Timestamp) {
        let Choice { status, reason, is_next, by } = choice;
        if is_next {
            (self.next_status, self.next_by) = (Some((status, reason)), Some(by.to_owned()));
            self.settle_next(now);
            return;
        }
        if self.manual_status != status {
            self.status_since = now;
        }
        (self.manual_status, self.manual_reason, self.next_status) = (status, reason, None);
        (self.status_by, self.next_by) = (Some(by.to_owned()), None);
    }

    /// Applies a queued next status once no work is in hand.
    pub fn settle_next(&mut self, now: Timestamp) {
        if !self.engaged(now)
            && self.wrap_until <= now
            && let Some((next, reason)) = self.next_status.take()
        {
            (self.manual_status, self.manual_reason, self.status_since) = (next, reason, now);
            self.status_by = self.next_by.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::agent::State;

    fn choice(status: ManualStatus, is_next: bool) -> Choice<'static> {
        Choice { status, reason: Some("lunch".into()), is_next, by: "lead" }
    }

    #[test]
    fn a_queued_status_waits_for_the_work_in_hand_and_a_later_choice_for_now_replaces_it() {
        let mut state = AgentState::new("ann", ManualStatus::Available, Timestamp(0));
        state.talking = 1;
        state.choose(choice(ManualStatus::NotAvailable, true), Timestamp(5));
        assert_eq!((state.manual_status, state.at(Timestamp(5)).0), (ManualStatus::Available, State::OnCall));
        state.choose(choice(ManualStatus::Offline, false), Timestamp(6));
        assert_eq!((state.manual_status, state.next_status.clone(), state.status_since), (ManualStatus::Offline, None, Timestamp(6)));
        assert_eq!(state.at(Timestamp(6)).0, State::OnCall, "a choice frees nobody from a call");
    }

    #[test]
    fn a_next_status_of_a_free_agent_holds_at_once() {
        let mut state = AgentState::new("ann", ManualStatus::Available, Timestamp(0));
        state.choose(choice(ManualStatus::NotAvailable, true), Timestamp(5));
        assert_eq!(
            (state.manual_status, state.manual_reason.as_deref(), state.next_status),
            (ManualStatus::NotAvailable, Some("lunch"), None)
        );
    }

    #[test]
    fn the_same_choice_again_does_not_begin_it_anew() {
        let mut state = AgentState::new("ann", ManualStatus::Available, Timestamp(0));
        state.choose(choice(ManualStatus::Available, false), Timestamp(5));
        assert_eq!(state.status_since, Timestamp(0));
    }
}
