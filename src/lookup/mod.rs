//! A routing request from question to answer: who shall take this call, now.
//!
//! In this order: what the call was told before (a live claim gives the same answer), who is responsible, each step of the chain with its
//! agents' states as their rows say, then the claim by one compare-and-set. When that loses a race, the states are read again and the next
//! agent is tried. The decision with all its reasons is recorded behind the answer.

pub mod people;
mod reason;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::crm;
use crate::domain::agent::OfferState;
use crate::domain::decision::{Candidate, Decision, Outcome};
use crate::domain::phone::Party;
use crate::domain::time::{Clock, Timestamp};
use crate::pbx::RoutingRequest;
use crate::pbx::action::Action;
use crate::roster::App;
use crate::routing::choose::{People, Seeker, Stage, choose};
use crate::routing::record::{self, Look};
use crate::routing::{self, Known};
use crate::store::offers::{self, Offer};
use crate::store::{Conn, Db, Durability, Result, agents, calls};

/// How often a lookup that lost its agent to another one starts over.
const ROUNDS: usize = 8;

/// Whether an answer may bind anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A PBX asks: the agent named is claimed for this long, and the decision recorded.
    Live { claim_s: i64 },
    /// A person asks what would happen: nothing is claimed or recorded.
    DryRun,
}

/// The answer to a routing request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The extension to name; `None`: nobody.
    pub extension: Option<String>,
    /// What else the PBX is told to do; `None`: to name the extension, or nobody.
    pub action: Option<Action>,
    /// The decision's id: of this one, or of the one whose claim still lives.
    pub decision_id: String,
    /// The new decision; `None` when an earlier one was repeated.
    pub decision: Option<Decision>,
    /// What the claim is held under; `None`: nobody was claimed.
    pub claim: Option<(String, String)>,
}

/// What one read of the store tells.
struct Picture {
    /// A live claim of this call.
    standing: Option<Offer>,
    known: Known,
    has_contact: bool,
    candidates: Vec<Candidate>,
    eligible: Vec<String>,
    /// Those of the candidates whom no step rings now.
    refused: BTreeSet<String>,
    /// What was looked at on the way, for the record.
    looks: Vec<Look>,
}

pub async fn decide(db: &Db, clock: &Clock, app: &Arc<App>, request: &RoutingRequest, mode: Mode) -> Result<Answer> {
    let started = Instant::now();
    let now = clock.now();
    let caller = app.with_context(|context| context.numbering.read(&request.caller));
    let mut decision = Decision::begin(app.id(), request.call.as_deref(), caller.external().unwrap_or(&request.caller), now);
    let Party::External(number) = &caller else {
        decision.reason = reason::no_client(&caller).into();
        return Ok(finish(decision, None, None, started));
    };
    let claim_name = decision.call.clone().unwrap_or_else(|| decision.id.clone());
    for _ in 0..ROUNDS {
        let mut picture = picture(db, clock, app, decision.call.as_deref(), &decision.id, number).await?;
        if let Some(offer) = picture.standing {
            let claim = Some((offer.agent, offer.call_id));
            return Ok(Answer { extension: Some(offer.extension), action: None, decision_id: offer.id, decision: None, claim });
        }
        let claims = app.spec.routing.only_available;
        let chosen = match (mode, picture.eligible.first()) {
            (_, None) => None,
            (Mode::Live { claim_s }, Some(_)) if claims => {
                match claim(db, clock, app, &claim_name, &decision.id, picture.eligible.clone(), claim_s).await? {
                    Claimed::New(agent) => {
                        picture.lose_before(&agent);
                        Some(agent)
                    }
                    Claimed::Standing(offer) => {
                        let claim = Some((offer.agent, offer.call_id));
                        return Ok(Answer { extension: Some(offer.extension), action: None, decision_id: offer.id, decision: None, claim });
                    }
                    Claimed::Lost => continue,
                }
            }
            (_, Some(agent)) => Some(agent.clone()),
        };
        decision.candidates = picture.candidates;
        decision.inputs = record::write(&picture.looks);
        decision.reason = reason::sentence(app, &picture.known, picture.has_contact, chosen.as_deref(), &decision.candidates);
        let extension = chosen.as_deref().and_then(|a| app.agent(a)).and_then(|a| a.extension.clone());
        let claimed = matches!(mode, Mode::Live { .. }) && claims;
        let claim = chosen.clone().filter(|_| claimed).map(|agent| (agent, claim_name));
        decision.outcome = if chosen.is_some() { Outcome::Agent } else { Outcome::Nobody };
        decision.agents.extend(chosen);
        return Ok(finish(decision, extension, claim, started));
    }
    decision.reason = "Every agent who was free was taken by another call at the same instant.".into();
    Ok(finish(decision, None, None, started))
}

fn finish(mut decision: Decision, extension: Option<String>, claim: Option<(String, String)>, started: Instant) -> Answer {
    decision.took_us = started.elapsed().as_micros() as i64;
    Answer { extension, action: None, decision_id: decision.id.clone(), decision: Some(decision), claim }
}

impl Picture {
    /// Those before him in the order were taken by other calls, between the look and the claim.
    fn lose_before(&mut self, agent: &str) {
        let Some(look) = self.looks.last_mut() else { return };
        for lost in self.eligible.iter().take_while(|a| *a != agent) {
            look.taken(lost);
            for candidate in self.candidates.iter_mut().filter(|c| c.agent == *lost) {
                record::taken(candidate);
            }
        }
    }
}

async fn picture(db: &Db, clock: &Clock, app: &Arc<App>, call: Option<&str>, decision: &str, number: &str) -> Result<Picture> {
    let (app, clock, call, number) = (app.clone(), clock.clone(), call.map(str::to_owned), number.to_owned());
    let lot = call.clone().unwrap_or_else(|| decision.to_owned());
    db.read_here(move |conn| {
        let now = clock.now();
        let offers = match &call {
            Some(call) if app.spec.routing.only_available => offers::in_hand(conn, app.id(), call)?,
            _ => Vec::new(),
        };
        let standing = offers.iter().find(|o| is_standing(o, now)).cloned();
        let mut picture = Picture {
            standing,
            known: Known::default(),
            has_contact: false,
            candidates: Vec::new(),
            eligible: Vec::new(),
            refused: BTreeSet::new(),
            looks: Vec::new(),
        };
        if picture.standing.is_some() {
            return Ok(picture);
        }
        let tries: BTreeMap<String, u32> = offers.iter().filter(|o| o.state().counts_as_tried()).map(|o| (o.agent.clone(), 1)).collect();
        // Lots are drawn anew after each offer that failed.
        let seed = format!("{lot}.{}", offers.len());
        let seeker = Seeker {
            caller: &number,
            tries: &tries,
            waited_us: 0,
            seed: &seed,
            only_reachable: app.spec.routing.only_reachable,
            extensions_only: true,
            now,
        };
        if let Some(found) = crm::responsible(conn, &app, &number)? {
            picture.has_contact = true;
            picture.known = Known { owner: found.owner, deputy: found.deputy, last_agent: None };
        }
        for decl in &app.spec.routing.responsible {
            // Most calls never come to this step, and it is the dearest to read.
            if decl.to() == "last_agent" {
                let since = now.plus_s(-app.spec.routing.last_agent_days * 86_400);
                picture.known.last_agent = calls::last_agent(conn, app.id(), &number, since)?;
            }
            let Some(stage) = routing::stage(&app.spec, decl, &picture.known, now) else { continue };
            let regardless = !app.spec.routing.only_available && !decl.to().contains(':');
            look_at(conn, &app, Stage { again: false, regardless, ..stage }, &seeker, &mut picture)?;
            if !picture.eligible.is_empty() {
                break;
            }
        }
        Ok(picture)
    })
    .await
}

/// A claim that still binds: named and waiting, rung, or talking. One that failed has ended.
fn is_standing(offer: &Offer, now: Timestamp) -> bool {
    offer.ended_at.is_none() && (offer.state() == OfferState::Accepted || offer.until > now.0)
}

fn look_at(conn: &mut Conn, app: &App, mut stage: Stage, seeker: &Seeker<'_>, picture: &mut Picture) -> Result<()> {
    // Whoever cannot take the call for a reason of his own cannot at any step: to say so once is enough.
    for level in &mut stage.levels {
        level.agents.retain(|agent| !picture.refused.contains(agent));
    }
    let mut states = HashMap::new();
    if !stage.regardless {
        people::load(conn, app, &stage, &mut states)?;
    }
    let tallies = people::tallies_of(conn, app, &stage, seeker.now)?;
    let seen = People { agent: &|id| app.agent(id), states: &states, tallies: &tallies };
    let choice = choose(&stage, &seen, seeker);
    picture.looks.push(Look::new(&stage, &seen, seeker, &choice, &BTreeSet::new()));
    picture.refused.extend(choice.candidates.iter().map(|c| &c.agent).filter(|a| !choice.only_here.contains(*a)).cloned());
    picture.candidates.extend(choice.candidates.into_iter().take(record::MOST));
    picture.eligible = choice.eligible;
    Ok(())
}

enum Claimed {
    New(String),
    /// Another request for the same call was quicker: its answer holds.
    Standing(Offer),
    Lost,
}

async fn claim(db: &Db, clock: &Clock, app: &Arc<App>, name: &str, decision: &str, eligible: Vec<String>, claim_s: i64) -> Result<Claimed> {
    let (app, clock, name, decision) = (app.clone(), clock.clone(), name.to_owned(), decision.to_owned());
    db.write(Durability::Process, move |conn| {
        offers::lock_call(conn, &name)?;
        let now = clock.now();
        let of_call = offers::in_hand(conn, app.id(), &name)?;
        if let Some(offer) = of_call.into_iter().find(|o| is_standing(o, now)) {
            return Ok(Claimed::Standing(offer));
        }
        let until = now.plus_s(claim_s);
        for agent in &eligible {
            if agents::reserve(conn, app.id(), agent, &name, now, until)? {
                let extension = app.agent(agent).and_then(|a| a.extension.clone()).unwrap_or_default();
                offers::insert(
                    conn,
                    &Offer {
                        application: app.id(),
                        call_id: name.clone(),
                        id: decision.clone(),
                        agent: agent.clone(),
                        extension,
                        state: OfferState::Pending.as_str().into(),
                        made_at: now.0,
                        until: until.0,
                        ended_at: None,
                    },
                )?;
                return Ok(Claimed::New(agent.clone()));
            }
        }
        Ok(Claimed::Lost)
    })
    .await
}

/// Takes back the claim of an answer that came too late to be given.
pub async fn withdraw(db: &Db, clock: &Clock, app: i64, call: String) -> Result<()> {
    let clock = clock.clone();
    db.write(Durability::Process, move |conn| {
        let now = clock.now();
        for offer in offers::in_hand(conn, app, &call)?.iter().filter(|o| o.state() == OfferState::Pending) {
            if offers::set_state(conn, offer, OfferState::Rescinded, Some(now))? {
                agents::release(conn, app, &offer.agent, &call, now)?;
            }
        }
        Ok(())
    })
    .await
}
