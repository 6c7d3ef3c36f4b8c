//! What the PBX says of the answer before: how the offer ended.
//!
//! Only the offer of the last answer counts; a stale one changes nothing. The offers' ends are compare-and-set, so that an event that tells
//! the same, and comes first, is not done again. This is a transaction of its own: the one that reserves then holds no locks of agents.

use super::position::{Place, Position};
use super::{Left, SLACK_S};
use crate::domain::agent::OfferState;
use crate::domain::queue::{EntryOutcome, Queue, Strategy};
use crate::domain::time::Timestamp;
use crate::ingest::engagement;
use crate::pbx::action::Report;
use crate::roster::App;
use crate::store::offers::{self, Offer};
use crate::store::{Conn, Result, agents, routed, times};

pub fn report(conn: &mut Conn, app: &App, call: &str, report: &Report, now: Timestamp) -> Result<()> {
    let Some(how) = report.outcome else { return Ok(()) };
    offers::lock_call(conn, call)?;
    let Some(mut row) = routed::get(conn, app.id(), call)? else { return Ok(()) };
    let mut position = Position::read(&row.place);
    if !position.is_current(report.offer.as_deref()) {
        return Ok(());
    }
    let pending: Vec<Offer> =
        offers::in_hand(conn, app.id(), call)?.into_iter().filter(|o| o.ended_at.is_none() && o.state() == OfferState::Pending).collect();
    let queue = row.queue.as_deref().and_then(|id| app.spec.queue.iter().find(|q| q.id == id));
    for offer in &pending {
        let how = match how {
            // Of several who rang only one has answered, and this does not say who.
            OfferState::Accepted if pending.len() > 1 => OfferState::Canceled,
            // The PBX keeps the cause of one who declined; whoever has rung to the end since has not.
            OfferState::Rejected if now.plus_s(SLACK_S).0 >= offer.until => OfferState::NoAnswer,
            how => how,
        };
        if how != OfferState::NoAnswer || rang_out(queue, &position, offer, now) {
            end(conn, app, offer, how, now)?;
        }
    }
    if how == OfferState::Accepted {
        // The talk is over: a PBX that asks again after it only wants to know how to end.
        if let Some(mut entry) = routed::entry(conn, app.id(), call, row.entry)?.filter(|e| row.waiting && e.outcome.is_none()) {
            // Nothing has told when he answered: he rang from here on, and the rest was the talk.
            let answered_at = pending.first().map_or(now.0, |offer| offer.made_at);
            entry.outcome = Some(EntryOutcome::Answered.as_str().into());
            (entry.ended_at, entry.answered_at, entry.talk_us) = (Some(answered_at), Some(answered_at), now.0 - answered_at);
            entry.agent = if let [one] = pending.as_slice() { Some(one.agent.clone()) } else { None };
            routed::save_entry(conn, &entry)?;
        }
        position.go(Place::Left(Left::Hangup(super::NORMAL_CLEARING)), now);
        (row.place, row.waiting, row.ended_at) = (position.write(), false, Some(now.0));
        routed::save(conn, &row)?;
    }
    Ok(())
}

/// Where one more agent rings every few seconds, an offer lasts longer than the dialling that tells of it.
fn rang_out(queue: Option<&Queue>, position: &Position, offer: &Offer, now: Timestamp) -> bool {
    match (queue, &position.place) {
        (Some(queue), Place::Queue(_)) if queue.strategy == Strategy::RingProgressively => {
            now.since(Timestamp(offer.made_at)) + 500_000 >= queue.wait_agent_answer_timeout * 1_000_000
        }
        _ => true,
    }
}

/// Ends one offer and lets its agent follow.
pub fn end(conn: &mut Conn, app: &App, offer: &Offer, how: OfferState, now: Timestamp) -> Result<()> {
    if !offers::set_state(conn, offer, how, Some(now))? {
        return Ok(());
    }
    let Some(mut state) = agents::lock(conn, app.id(), &offer.agent)? else { return Ok(()) };
    let now = state.no_earlier(now);
    let mut queue = None;
    if how == OfferState::Accepted {
        let wrap_up = engagement::wrap_up(conn, app, &offer.call_id)?;
        state.wrap_until = state.wrap_until.max(now.plus_s(wrap_up.seconds));
        queue = wrap_up.queue;
    }
    engagement::offer_ended(&mut state, app, &offer.call_id, how, now);
    agents::save(conn, app.id(), app.agent(&offer.agent).and_then(|a| a.line()), &state)?;
    times::record_after(conn, app.id(), &state, now, times::ROUTER, queue)
}
