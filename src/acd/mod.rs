//! Automatic call distribution: calls whose PBX asks again and again what to do with them. Queues, the responsible chain, IVRs.
//!
//! A question is answered in two transactions. The first writes down how the offer of the answer before ended ([`settle`]). The second moves
//! the call on ([`walk`]): its row says where it is; rules of `routing` say what comes next; an agent is bound by the one compare-and-set
//! of the house. The row is the truth: any process may answer any question, and a retry gets the same answer, because
//! - an offer that still lives is told again, and reserves nobody anew;
//! - the outcome of an offer counts only with the token of the last answer, and once;
//! - a call that has left us is told the same end again.
//!
//! Who waits keeps his place (`rank_at`): the time of joining, earlier by `priority_age_s` for each point of priority, so that age raises
//! rank and nobody starves. A call takes an agent only when no older call would: those that wait in queues with the same agents choose
//! first, in their order ([`fair`]). Nobody is pushed: an older call takes its agent when its PBX asks next, within `poll_s`.
//!
//! A call whose PBX stops asking counts as gone after [`SLACK_S`] more than it was told to wait; `timers` ends it as a hangup would.
//! What follows from events (answers, hangups) is `ingest::queue`.

mod chain;
mod choice;
mod fair;
mod ivr;
mod offer;
mod position;
mod queue;
mod sentence;
pub mod settle;
mod turn;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::domain::decision::Decision;
use crate::domain::id;
use crate::domain::phone::Party;
use crate::domain::time::{Clock, Timestamp};
use crate::lookup::Answer;
use crate::pbx::RoutingRequest;
use crate::roster::App;
use crate::store::{Db, Durability, Result, StoreError};

pub use choice::take;
pub use position::{InQueue, Left, Place, Position};
pub use walk::{Asked, Said};

/// What a claim and a silence are given beyond what the PBX was told, seconds.
pub const SLACK_S: i64 = 5;
/// How long a queue's greeting may take before a call that waits asks again, seconds.
const GREETING_S: i64 = 30;
/// How long a prompt may take until the PBX asks again, seconds.
const PROMPT_S: i64 = 300;
/// How long an agent is rung where nothing says it, seconds.
const FALLBACK_RING_S: i64 = 20;
/// How often a call that lost its agent to another one looks again.
const ROUNDS: usize = 8;
/// Causes of Q.850.
pub const NORMAL_CLEARING: i32 = 16;
pub const USER_BUSY: i32 = 17;
pub const REJECTED: i32 = 21;

/// Answers one question about a call.
///
/// # Errors
/// The store could not be asked: the PBX gets the safe reply.
pub async fn ask(db: &Db, clock: &Clock, app: &Arc<App>, request: &RoutingRequest) -> Result<Answer> {
    let started = Instant::now();
    let asked = asked(app, request, clock.now());
    if request.report.outcome.is_some() && request.report.offer.is_some() {
        let (app, clock, call, report) = (app.clone(), clock.clone(), asked.call.clone(), request.report.clone());
        db.write(Durability::Process, move |conn| settle::report(conn, &app, &call, &report, clock.now())).await?;
    }
    let (app, clock) = (app.clone(), clock.clone());
    let said = db.write(Durability::Process, move |conn| walk::answer(conn, &app, &asked, clock.now())).await?;
    Ok(answer(said, started))
}

/// Where a call from `caller` through `did` would go now. The real thing, undone: nobody is bound and nothing is recorded.
///
/// # Errors
/// The store could not be asked.
pub async fn dry_run(db: &Db, clock: &Clock, app: &Arc<App>, caller: &str, did: Option<&str>) -> Result<Answer> {
    let started = Instant::now();
    let only = || app.spec.number.first().map(|n| n.number.clone());
    let did = did.map(str::to_owned).or_else(only);
    let request = RoutingRequest { caller: caller.to_owned(), did: did.clone(), dialled: did, ..RoutingRequest::default() };
    let asked = asked(app, &request, clock.now());
    let place = Arc::new(Mutex::new(None));
    let (app, clock, said) = (app.clone(), clock.clone(), place.clone());
    let undone = db
        .write(Durability::Process, move |conn| {
            let answer = walk::answer(conn, &app, &asked, clock.now())?;
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            Err::<(), _>(StoreError::Refused("undone".into()))
        })
        .await;
    let said = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (undone, said) {
        (Err(StoreError::Refused(_)), Some(said)) => Ok(answer(said, started)),
        (Err(error), _) => Err(error),
        (Ok(()), _) => Err(StoreError::Busy),
    }
}

fn asked(app: &App, request: &RoutingRequest, now: Timestamp) -> Asked {
    let caller = app.with_context(|context| context.numbering.read(&request.caller));
    // A question without a call is about one of its own.
    let name = request.call.as_deref().map_or_else(|| id::fresh(now), |c| id::spelling(c).to_owned());
    let call = id::call_id(app.id(), request.call.as_deref().unwrap_or(&name));
    Asked {
        decision: id::about(&call, now),
        call,
        pbx_call_id: name,
        caller: match caller {
            Party::External(number) => number,
            _ => request.caller.chars().take(64).collect(),
        },
        from: request.caller.clone(),
        did: request.did.clone(),
        dialled: request.dialled.clone(),
        report: request.report.clone(),
    }
}

fn answer(said: Said, started: Instant) -> Answer {
    let extension = said.decision.as_ref().and_then(|d| d.agents.first().cloned());
    let decision = said.decision.map(|d| Decision { took_us: started.elapsed().as_micros() as i64, ..d });
    Answer {
        extension,
        action: Some(said.action),
        decision_id: said.decision_id,
        decision,
        claim: said.claimed.map(|c| (String::new(), c)),
    }
}
