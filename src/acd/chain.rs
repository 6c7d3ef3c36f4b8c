//! A call at a step of the responsible chain.
//!
//! A step lasts no longer than its waiting time, whoever is rung meanwhile; one without asks each of its people once. The person who is
//! responsible is rung whatever waits elsewhere; a group is one of the places where who has waited longer comes first.

use std::collections::{BTreeSet, HashMap};

use super::offer::{View, ring, wait};
use super::position::{InQueue, Place};
use super::turn::{Turn, go};
use super::walk::{Decided, Walk, tries_of};
use super::{FALLBACK_RING_S, ROUNDS, fair, sentence};
use crate::crm;
use crate::domain::agent::OfferState;
use crate::domain::spec::StepDecl;
use crate::lookup::people;
use crate::pbx::action::{Action, Dial, Line};
use crate::routing::choose::Stage;
use crate::routing::entrance::{self, Next};
use crate::routing::record::keep;
use crate::routing::{self, Known};
use crate::store::{Result, calls};

/// The shortest time that an agent is rung for a step, seconds, unless the step itself is shorter.
const LEAST_RING_S: i64 = 5;

pub fn chain(walk: &mut Walk<'_>, step: usize) -> Result<Turn> {
    let app = walk.app;
    let Some(decl) = app.spec.routing.responsible.get(step) else {
        let number = app.spec.number.iter().find(|n| Some(&n.number) == walk.row.did.as_ref());
        let (next, why) = number.map_or((Next::Default, String::new()), entrance::after_chain);
        return go(walk, next, why);
    };
    let on = |why: String| Ok(Turn::Go(Place::Chain(step + 1), why));
    match decl.to().split_once(':') {
        Some(("number", number)) => return outside(walk, step, number, decl.wait_s()),
        Some(("queue", id)) => {
            let until = walk.now.plus_s(decl.wait_s());
            return Ok(Turn::Go(Place::Queue(InQueue { id: id.to_owned(), step: Some((step, until)) }), String::new()));
        }
        _ => {}
    }
    let Some(stage) = stage_of(walk, decl)? else { return on(format!("The step {} names nobody.", decl.to())) };
    let left_s = decl.wait_s() - walk.now.since(walk.position.since) / 1_000_000;
    // For less nobody is rung: he could not take it in time, and would be left alone for it.
    let is_late = decl.wait_s() > 0 && left_s < LEAST_RING_S.min(decl.wait_s());
    let tried = tries_of(&walk.offers);
    let may = |agent: &String| !tried.contains_key(agent) && app.agent(agent).is_some_and(|a| routing::may_later(a, &walk.row.caller));
    let somebody_may = stage.agents().any(may);
    for _ in 0..ROUNDS {
        let mut states = HashMap::new();
        people::load(walk.conn, app, &stage, &mut states)?;
        let mut choice = View { stage: &stage, states: &states, tallies: &HashMap::new(), waited_us: 0 }.choose(walk);
        let mut kept = BTreeSet::new();
        if decl.to().starts_with("group:") && !choice.eligible.is_empty() {
            kept = fair::kept(walk.conn, app, &walk.row, &stage, &mut states, walk.now)?;
            keep(&mut choice, &kept);
        }
        let look = View { stage: &stage, states: &states, tallies: &HashMap::new(), waited_us: 0 }.look(walk, &choice, &kept);
        if choice.eligible.is_empty() && left_s > 0 && somebody_may {
            return Ok(Turn::Say(wait(walk, look, choice, 0, None)));
        }
        if choice.eligible.is_empty() || is_late {
            let why = if choice.eligible.is_empty() {
                sentence::nobody(app, &stage.name, &choice.candidates)
            } else {
                format!("The time of the step {} is over.", decl.to())
            };
            walk.goes_on(look, choice.candidates);
            return on(why);
        }
        let ring_s = match stage.agents().count() {
            1 if left_s > 0 => left_s,
            _ if left_s > 0 => left_s.min(FALLBACK_RING_S),
            _ => FALLBACK_RING_S,
        };
        if let Some(decided) = ring(walk, look, choice, ring_s, None)? {
            return Ok(Turn::Say(decided));
        }
    }
    on(format!("Everybody of the step {} was taken by other calls at the same instant.", decl.to()))
}

fn stage_of(walk: &mut Walk<'_>, decl: &StepDecl) -> Result<Option<Stage>> {
    let (app, caller) = (walk.app, walk.row.caller.as_str());
    let mut known = Known::default();
    match decl.to() {
        "owner" | "deputy" => {
            if let Some(found) = crm::responsible(walk.conn, app, caller)? {
                (known.owner, known.deputy) = (found.owner, found.deputy);
            }
        }
        "last_agent" => {
            let since = walk.now.plus_s(-app.spec.routing.last_agent_days * 86_400);
            known.last_agent = calls::last_agent(walk.conn, app.id(), caller, since)?;
        }
        _ => {}
    }
    // A chain goes on from somebody who was rung in vain; only a queue where the call waits comes back to him.
    Ok(routing::stage(&app.spec, decl, &known, walk.now).map(|stage| Stage { again: false, ..stage }))
}

/// A step that rings an outside number.
fn outside(walk: &mut Walk<'_>, step: usize, number: &str, wait_s: i64) -> Result<Turn> {
    let report = &walk.asked.report;
    if walk.position.is_current(report.offer.as_deref()) && report.outcome.is_some_and(|o| o != OfferState::Accepted) {
        return Ok(Turn::Go(Place::Chain(step + 1), format!("{number} did not take the call.")));
    }
    let again = walk.position.token.clone();
    let offer = again.clone().unwrap_or_else(|| walk.fresh_token());
    let action = Action::Dial(Dial {
        lines: vec![Line::Number(number.to_owned())],
        agents: Vec::new(),
        timeout_s: if wait_s > 0 { wait_s } else { FALLBACK_RING_S },
        offer,
        place: format!("number:{number}"),
        caller_id: None,
        record: true,
    });
    Ok(Turn::Say(if again.is_some() { Decided::again(action) } else { Decided::plain(action, format!("The chain rings {number}.")) }))
}
