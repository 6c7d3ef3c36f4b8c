//! What follows from a choice of status for the phone that rings.

use crate::domain::agent::{AgentState, ManualStatus, OfferState};
use crate::domain::agent_choice::Choice;
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::store::{Conn, Result, offers};

/// Follows a choice, in the transaction that saves the state after it: whoever goes off duty is not rung on.
pub fn take(conn: &mut Conn, app: &App, state: &mut AgentState, choice: Choice<'_>, now: Timestamp) -> Result<()> {
    state.choose(choice, now);
    if state.manual_status != ManualStatus::Available {
        rescind(conn, app, state, now)?;
        state.settle_next(now);
    }
    Ok(())
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
