//! How agents and offers follow a call.
//!
//! An agent's counts of live legs are counted again from the rows, never stepped. An offer moves by what happened to its leg: the rules are
//! the pure function [`moves`]; [`follow`] applies them.

use std::collections::BTreeMap;

use super::fold::Change;
use crate::domain::agent::{AgentState, ManualStatus, OfferState};
use crate::domain::call_log::LegView;
use crate::domain::event::{Direction, EndStatus, Phase, Source, What};
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::store::offers::{self, Offer};
use crate::store::{Conn, Result, agents, live, routed, times};

/// What has to be done about one agent.
#[derive(Default)]
struct Work {
    recount: bool,
    /// A call of his ended after he talked; wrap-up counts from its arrival here.
    talked_until: Option<Timestamp>,
    /// The claim of this call is over, and how.
    released: Option<OfferState>,
}

pub fn follow(conn: &mut Conn, app: &App, change: &Change<'_>, extensions: &[String], now: Timestamp) -> Result<()> {
    let mut work: BTreeMap<String, Work> = BTreeMap::new();
    for agent in extensions.iter().filter_map(|e| app.agent_of(e)) {
        work.entry(agent.id.clone()).or_default().recount = true;
    }
    for leg in &change.after.legs {
        if ended_after_talk(change, leg)
            && let Some(agent) = leg.extension.as_deref().and_then(|e| app.agent_of(e))
        {
            work.entry(agent.id.clone()).or_default().talked_until = Some(now);
        }
    }
    let (open, over): (Vec<Offer>, Vec<Offer>) =
        offers::in_hand(conn, app.id(), change.call)?.into_iter().partition(|offer| offer.ended_at.is_none());
    // A PBX that asks again has said that these are over before their last events were heard, over another line.
    let over = if app.pbx.asks_again() { over } else { Vec::new() };
    for (offer, to) in moves(&open, &over, change) {
        if offers::set_state(conn, offer, to.state, to.ended.then_some(now))? && to.ended {
            work.entry(offer.agent.clone()).or_default().released = Some(to.state);
        }
    }
    for (agent, work) in work {
        if let Some(mut state) = agents::lock(conn, app.id(), &agent)? {
            let now = state.no_earlier(now);
            let before = state.outlook(now);
            let declared = app.agent(&agent);
            let counts = match declared {
                Some(declared) if work.recount => Some(live::count(conn, app.id(), declared.lines())?),
                _ => None,
            };
            let wrap_up = if work.talked_until.is_some() { wrap_up(conn, app, change.call)? } else { WrapUp::default() };
            settle(&mut state, app, change.call, &work, counts, wrap_up.seconds, now);
            agents::save(conn, app.id(), declared.and_then(|a| a.line()), &state)?;
            if state.outlook(now) != before {
                times::record_after(conn, app.id(), &state, now, times::PHONE, wrap_up.queue)?;
            }
        }
    }
    Ok(())
}

/// True when this ended a leg on which the agent had talked. Wrap-up follows what we saw him doing: a call that the history tells of when it
/// is long over gives him none.
fn ended_after_talk(change: &Change<'_>, leg: &LegView) -> bool {
    let before = change.before.legs.iter().find(|l| l.key == leg.key);
    let ended_before = before.is_some_and(|l| !l.live && l.was_answered());
    let seen = before.is_some_and(|l| l.live) || change.events.iter().any(|e| e.source == Source::Events);
    !leg.is_missed_row() && !leg.live && leg.occupies && leg.was_answered() && !ended_before && seen
}

fn settle(state: &mut AgentState, app: &App, call: &str, work: &Work, counts: Option<(i32, i32)>, wrap_s: i64, now: Timestamp) {
    let before = (state.ringing, state.talking, state.claim.is_some());
    if let Some((ringing, talking)) = counts {
        (state.ringing, state.talking) = (ringing, talking);
    }
    if let Some(end) = work.talked_until {
        state.wrap_until = state.wrap_until.max(end.plus_s(wrap_s));
    }
    if state.talking > 0 {
        state.misses = 0;
    }
    if let Some(how) = work.released {
        offer_ended(state, app, call, how, now);
    }
    if before != (state.ringing, state.talking, state.claim.is_some()) {
        state.engaged_since = now;
    }
    state.settle_next(now);
}

/// The wrap-up after a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapUp<'a> {
    pub seconds: i64,
    /// The queue that the call came from.
    pub queue: Option<&'a str>,
}

/// Wrap-up after a call: that of the queue in which it was answered, else the application's.
pub fn wrap_up<'a>(conn: &mut Conn, app: &'a App, call: &str) -> Result<WrapUp<'a>> {
    let row = if app.pbx.asks_again() { routed::get(conn, app.id(), call)? } else { None };
    let entry = match row {
        Some(row) => routed::entry(conn, app.id(), call, row.entry)?.filter(|entry| entry.may_be_answered()),
        None => None,
    };
    let queue = entry.and_then(|entry| app.spec.queue.iter().find(|q| q.id == entry.queue));
    let seconds = queue.map_or(app.spec.routing.wrap_up_s, |q| q.wrap_up_s());
    Ok(WrapUp { seconds, queue: queue.map(|q| q.id.as_str()) })
}

/// The claim of a call that is over goes, and what the agent let fail leaves him alone for a while. One who lets too many ring out in a row
/// is taken off duty.
pub fn offer_ended(state: &mut AgentState, app: &App, call: &str, how: OfferState, now: Timestamp) {
    let rules = &app.spec.routing;
    if state.claim.as_ref().is_some_and(|c| c.call == call) {
        state.claim = None;
        state.engaged_since = now;
    }
    if let Some(cause) = how.cool_down() {
        let until = now.plus_s(rules.cool_down_s.seconds(cause));
        if until > state.cool_until {
            (state.cool_until, state.cool_cause) = (until, Some(cause));
        }
    }
    match how {
        OfferState::Accepted => state.misses = 0,
        OfferState::NoAnswer => state.misses += 1,
        _ => {}
    }
    if rules.no_answer_limit > 0 && state.misses >= rules.no_answer_limit && state.manual_status == ManualStatus::Available {
        tracing::warn!(app = app.id(), agent = state.agent, status = %rules.no_answer_status, "an agent let too many calls ring out");
        (state.manual_status, state.manual_reason) = (rules.no_answer_status, Some("no answer".into()));
        (state.status_by, state.status_since, state.misses) = (Some(times::ROUTER.into()), now, 0);
    }
    state.settle_next(now);
}

/// Where an offer goes: its state, and whether that is its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub state: OfferState,
    pub ended: bool,
}

/// Where each open offer of the call goes with this event (contract, section 2: "A claim ends at the first of …"). What is heard of the phone
/// of an offer that is `over` is late news of that one, and no sign that the call has gone elsewhere.
pub fn moves<'o>(open: &'o [Offer], over: &[Offer], change: &Change<'_>) -> Vec<(&'o Offer, Move)> {
    let news = |(offer, to): &(&Offer, Move)| to.ended || to.state != offer.state();
    open.iter().filter_map(|offer| Some((offer, move_of(offer, open, over, change)?))).filter(news).collect()
}

fn move_of(offer: &Offer, open: &[Offer], over: &[Offer], change: &Change<'_>) -> Option<Move> {
    let arrived = |leg: &LegView| leg.heard.map_or(0, |t| t.0);
    // Legs that were there before the offer belong to an earlier ring of the same phone.
    let mine = |leg: &&LegView| {
        leg.direction == Direction::In && leg.extension.as_deref() == Some(&offer.extension) && arrived(leg) >= offer.made_at
    };
    let end = |state| Some(Move { state, ended: true });
    let legs: Vec<&LegView> = change.after.legs.iter().filter(mine).collect();
    if legs.iter().any(|l| l.live) {
        let talking = legs.iter().any(|l| l.live && l.answered_at.is_some());
        return talking.then_some(Move { state: OfferState::Accepted, ended: false });
    }
    if legs.iter().any(|l| l.was_answered()) {
        return end(OfferState::Accepted);
    }
    match legs.iter().max_by_key(|l| l.end_arrived) {
        Some(last) => end(match last.end {
            Some(EndStatus::Busy) => OfferState::Busy,
            Some(EndStatus::Rejected) => OfferState::Rejected,
            Some(EndStatus::Unreachable | EndStatus::Failed | EndStatus::Other) => OfferState::Unreachable,
            Some(EndStatus::Cancelled) => OfferState::Canceled,
            Some(EndStatus::NoAnswer | EndStatus::Answered) | None => OfferState::NoAnswer,
        }),
        None => change.events.iter().find_map(|event| match &event.what {
            What::PlaceEnd(place) if !place.queue || place.bridged == Some(false) => end(OfferState::Canceled),
            What::Over => end(OfferState::Canceled),
            What::Leg(leg) if event.source == Source::Events && leg.direction.value == Direction::In => match leg.phase {
                Phase::Answer => end(OfferState::Rescinded),
                // Where several are rung at once, one after the other begins to ring.
                Phase::Begin if !open.iter().chain(over).any(|o| leg.extension.as_ref().is_some_and(|e| e.value == o.extension)) => {
                    end(OfferState::Rescinded)
                }
                _ => None,
            },
            _ => None,
        }),
    }
}
