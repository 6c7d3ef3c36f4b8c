//! What an agent chooses to be, or a supervisor in his name; and what follows for the phone that rings for him.

use crate::domain::agent::{AgentState, ManualStatus, OfferState};
use crate::domain::time::Timestamp;
use crate::ingest::engagement::settle_next;
use crate::roster::App;
use crate::store::{Conn, Result, offers};

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

/// Follows a choice, in the transaction that saves the state after it: whoever goes off duty is not rung on.
pub fn take(conn: &mut Conn, app: &App, state: &mut AgentState, choice: Choice<'_>, now: Timestamp) -> Result<()> {
    choose(state, choice, now);
    if state.manual_status != ManualStatus::Available {
        rescind(conn, app, state, now)?;
        settle_next(state, now);
    }
    Ok(())
}

/// Writes a choice into the state. One for now also replaces one that was queued.
fn choose(state: &mut AgentState, choice: Choice<'_>, now: Timestamp) {
    let Choice { status, reason, is_next, by } = choice;
    if is_next {
        (state.next_status, state.next_by) = (Some((status, reason)), Some(by.to_owned()));
        settle_next(state, now);
        return;
    }
    if state.manual_status != status {
        state.status_since = now;
    }
    (state.manual_status, state.manual_reason, state.next_status) = (status, reason, None);
    (state.status_by, state.next_by) = (Some(by.to_owned()), None);
}

/// An agent who goes off duty is not rung on: his pending offer is taken back.
fn rescind(conn: &mut Conn, app: &App, state: &mut AgentState, now: Timestamp) -> Result<()> {
    let Some(claim) = state.claim.clone() else { return Ok(()) };
    for offer in offers::in_hand(conn, app.id(), &claim.call)? {
        let his = offer.agent == state.agent && offer.ended_at.is_none() && offer.state() == OfferState::Pending;
        if his && offers::set_state(conn, &offer, OfferState::Rescinded, Some(now))? {
            (state.claim, state.engaged_since) = (None, now);
            // Nobody tells his phone, which may ring on for as long as it was to; where the PBX tells of phones that ring, that is known anyway.
            let rings_until = Timestamp(offer.until).plus_s(-super::SLACK_S);
            if app.pbx.asks_again() && app.pbx.ami().is_none() && rings_until > state.cool_until {
                (state.cool_until, state.cool_cause) = (rings_until, None);
            }
        }
    }
    Ok(())
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
        choose(&mut state, choice(ManualStatus::NotAvailable, true), Timestamp(5));
        assert_eq!((state.manual_status, state.at(Timestamp(5)).0), (ManualStatus::Available, State::OnCall));
        choose(&mut state, choice(ManualStatus::Offline, false), Timestamp(6));
        assert_eq!((state.manual_status, state.next_status.clone(), state.status_since), (ManualStatus::Offline, None, Timestamp(6)));
        assert_eq!(state.at(Timestamp(6)).0, State::OnCall, "a choice frees nobody from a call");
    }

    #[test]
    fn a_next_status_of_a_free_agent_holds_at_once() {
        let mut state = AgentState::new("ann", ManualStatus::Available, Timestamp(0));
        choose(&mut state, choice(ManualStatus::NotAvailable, true), Timestamp(5));
        assert_eq!(
            (state.manual_status, state.manual_reason.as_deref(), state.next_status),
            (ManualStatus::NotAvailable, Some("lunch"), None)
        );
    }

    #[test]
    fn the_same_choice_again_does_not_begin_it_anew() {
        let mut state = AgentState::new("ann", ManualStatus::Available, Timestamp(0));
        choose(&mut state, choice(ManualStatus::Available, false), Timestamp(5));
        assert_eq!(state.status_since, Timestamp(0));
    }
}
