//! Click-to-call: from a click to a ringing phone, once.
//!
//! In this order: the request is checked; in one transaction the source is claimed and the row written (the same idempotency key returns
//! the row that is there); only then the PBX is asked. A refusal fails the row; no clear reply leaves it `accepted` as unclear, and nothing
//! is ever asked twice. From there on the row follows the call's events.

mod asterisk;
mod telphin;

use std::sync::Arc;

use crate::domain::call_log::project;
use crate::domain::callback::{CallbackStatus, progress};
use crate::domain::id;
use crate::domain::phone;
use crate::domain::spec::ExtensionType;
use crate::domain::time::{Clock, Timestamp};
use crate::gateway::Gateway;
use crate::ingest::callback as following;
use crate::link::Link;
use crate::pbx::Pbx;
use crate::roster::App;
use crate::store::callbacks::{self, Callback};
use crate::store::{Conn, Db, Durability, Result as StoreResult, StoreError, agents, calls, live};

/// How long the source is kept for its call while nothing is heard of it, seconds.
const CLAIM_S: i64 = 120;

/// A click, as the REST API takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Click {
    /// An extension, or an outside number with `on_behalf`.
    pub src_num: String,
    pub dst_num: String,
    pub on_behalf: Option<String>,
    pub caller_id_name: Option<String>,
    pub caller_id_number: Option<String>,
    /// The whole request as JSON: the same idempotency key with another one is an error.
    pub request: String,
    pub idempotency_key: Option<String>,
}

/// Why a click was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{field}: {reason}")]
    Invalid { field: &'static str, reason: String },
    /// The source is busy or away, the same call is being placed already, or the PBX is not set up for it.
    #[error("{0}")]
    Conflict(String),
    /// The PBX refused, in its own words; the callback is kept as failed.
    #[error("{words}")]
    Pbx { words: String, callback: Box<Callback> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The ways to PBXs.
pub struct Lines<'a> {
    pub gateway: &'a Gateway,
    pub link: &'a Link,
}

/// Why a PBX places no call, in its own words.
enum Denied {
    /// No phone has rung, and none will.
    No(String),
    /// The PBX may have done it.
    Unclear(String),
}

/// What the PBX said: its id of the call, when it named one.
type Answer = Result<Option<String>, Denied>;

/// Places a call. Returns the callback as it stands after the PBX's reply.
pub async fn place(db: &Db, lines: &Lines<'_>, clock: &Clock, app: &Arc<App>, click: Click) -> Result<Callback, DialError> {
    let planned = plan(app, &click, clock.now())?;
    let callback = match begin(db, clock, app, planned).await? {
        Begun::New(callback) => callback,
        Begun::Known(callback) if callback.request == click.request => return Ok(callback),
        Begun::Known(_) => return Err(DialError::Conflict("this Idempotency-Key was used for another request".into())),
        Begun::Refused(reason) => return Err(DialError::Conflict(reason)),
    };
    let answer = match &app.pbx {
        Pbx::Telphin(settings) => telphin::ask(lines.gateway, app, settings, &callback).await,
        Pbx::Asterisk(settings) => asterisk::ask(lines.link, app, settings, &callback).await,
    };
    let kept = conclude(db, clock, app, &callback, &answer).await?;
    match answer {
        Ok(_) => Ok(kept),
        Err(Denied::Unclear(words)) => {
            tracing::warn!(app = app.id(), callback = kept.id, words, "the PBX gave no clear reply to a call to be placed");
            Ok(kept)
        }
        Err(Denied::No(words)) => Err(DialError::Pbx { words, callback: Box::new(kept) }),
    }
}

/// Checks a click and makes the row that it will be.
fn plan(app: &App, click: &Click, now: Timestamp) -> Result<Callback, DialError> {
    let invalid = |field, reason: String| Err(DialError::Invalid { field, reason });
    let is_phone = |e: &str| app.extension_type(e).is_none_or(|t| t == ExtensionType::Phone);
    let own = |text: &str| app.with_context(|c| c.numbering.own_extension(text).map(str::to_owned));
    let outside = phone::is_e164(&click.src_num);
    let extension = match (own(&click.src_num), &click.on_behalf) {
        (Some(extension), None) => extension,
        (Some(_), Some(_)) => return invalid("on_behalf", "is for an outside src_num only".into()),
        (None, Some(behalf)) if outside => match own(behalf) {
            Some(extension) => extension,
            None => return invalid("on_behalf", format!("{behalf:?} is not an extension of this application")),
        },
        (None, None) if outside => {
            return invalid("on_behalf", "an outside src_num needs on_behalf, the extension that places the call".into());
        }
        (None, _) => return invalid("src_num", format!("{:?} is not an extension of this application", click.src_num)),
    };
    if app.extension_type(&extension).is_none() || !is_phone(&extension) {
        return invalid("src_num", format!("{extension} is not a phone"));
    }
    let dst_num = match own(&click.dst_num) {
        Some(extension) => extension,
        None if phone::is_e164(&click.dst_num) => click.dst_num.clone(),
        None => {
            return invalid(
                "dst_num",
                format!("{:?} cannot be dialled; use a number of the form +79990001122 or an extension", click.dst_num),
            );
        }
    };
    if dst_num == click.src_num || dst_num == extension {
        return invalid("dst_num", "is the source itself".into());
    }
    // An outside source is called as well, and first.
    for (field, number) in [("src_num", &click.src_num), ("dst_num", &dst_num)] {
        if app.spec.blacklist.iter().any(|b| b.number == *number && b.outbound_blocked) {
            return invalid(field, "is on the blacklist for outgoing calls".into());
        }
    }
    if let Pbx::Asterisk(settings) = &app.pbx {
        asterisk::possible(app, settings, outside, &dst_num)?;
    }
    // Shown on the agent's phone: the number that is being called (Telphin page, requirement 13).
    let shown = |given: &Option<String>| given.clone().or_else(|| (!outside).then(|| dst_num.clone()));
    Ok(Callback {
        application: app.id(),
        id: id::fresh(now),
        idempotency_key: click.idempotency_key.clone(),
        request: click.request.clone(),
        src_num: if outside { click.src_num.clone() } else { extension.clone() },
        extension,
        caller_id_name: shown(&click.caller_id_name),
        caller_id_number: shown(&click.caller_id_number),
        dst_num,
        status: CallbackStatus::Accepted.as_str().into(),
        reason: None,
        unclear: false,
        finished: false,
        call_id: None,
        created_at: now.0,
        updated_at: now.0,
    })
}

enum Begun {
    New(Callback),
    Known(Callback),
    Refused(String),
}

async fn begin(db: &Db, clock: &Clock, app: &Arc<App>, callback: Callback) -> StoreResult<Begun> {
    let (app, clock) = (app.clone(), clock.clone());
    db.write(Durability::Full, move |conn| {
        let now = clock.now();
        if let Some(key) = &callback.idempotency_key
            && let Some(known) = callbacks::by_key(conn, app.id(), key)?
        {
            return Ok(Begun::Known(known));
        }
        let open = callbacks::open_of(conn, app.id(), &callback.extension)?;
        if open.iter().any(|c| c.src_num == callback.src_num && c.dst_num == callback.dst_num) {
            return Ok(Begun::Refused(format!("a call from {} to {} is being placed already", callback.src_num, callback.dst_num)));
        }
        // An outside source does not keep the extension that lends its name busy.
        if callback.src_num == callback.extension
            && let Some(reason) = busy(conn, &app, &callback, now)?
        {
            return Ok(Begun::Refused(reason));
        }
        callbacks::insert(conn, &callback)?;
        Ok(Begun::New(callback.clone()))
    })
    .await
}

/// Claims the source; a reason when it is busy, or cannot be rung.
fn busy(conn: &mut Conn, app: &App, callback: &Callback, now: Timestamp) -> StoreResult<Option<String>> {
    let extension = &callback.extension;
    match app.agent_of(extension) {
        Some(agent) => {
            if agents::get(conn, app.id(), &agent.id)?.is_some_and(|state| state.phone_is_away()) {
                return Ok(Some(format!("the PBX cannot reach the phone of {} ({extension}): it is not registered", agent.name)));
            }
            let claim = following::claim_name(&callback.id);
            let won = agents::reserve_source(conn, app.id(), &agent.id, &claim, now, now.plus_s(CLAIM_S))?;
            Ok((!won).then(|| format!("{} ({extension}) is busy", agent.name)))
        }
        None => {
            let (ringing, talking) = live::count(conn, app.id(), [extension.as_str()])?;
            Ok((ringing + talking > 0).then(|| format!("{extension} is busy")))
        }
    }
}

/// Writes what the PBX replied, and what the call's events have told meanwhile.
async fn conclude(db: &Db, clock: &Clock, app: &Arc<App>, callback: &Callback, answer: &Answer) -> StoreResult<Callback> {
    let (app, clock, id) = (app.clone(), clock.clone(), callback.id.clone());
    let verdict = match answer {
        Ok(Some(call)) => Verdict::Call(id::call_id(app.id(), call)),
        Ok(None) | Err(Denied::Unclear(_)) => Verdict::Unclear,
        Err(Denied::No(words)) => Verdict::Failed(words.clone()),
    };
    db.write(Durability::Full, move |conn| {
        let now = clock.now();
        // The call first, then the callback: the order in which the fold of an event takes them.
        let call = match &verdict {
            Verdict::Call(call) => {
                calls::ensure(conn, app.id(), call, now)?;
                calls::lock(conn, app.id(), call)?
            }
            _ => None,
        };
        let Some(mut callback) = callbacks::get(conn, app.id(), &id)? else { return Err(StoreError::Busy) };
        if callback.finished {
            return Ok(callback);
        }
        let seen_at = callback.updated_at;
        match &verdict {
            Verdict::Call(id) => {
                callback.call_id = Some(id.clone());
                let told = call.filter(|c| c.facts.first_arrived().is_some()).map(|c| project(&c.facts, app.pbx.missed_wait_ms()));
                if let Some((status, reason)) = told.and_then(|call| progress(&call, &callback.extension)) {
                    following::settle(conn, &app, callback.clone(), id, status, reason, now)?;
                    return Ok(callbacks::get(conn, app.id(), &callback.id)?.unwrap_or(callback));
                }
            }
            Verdict::Unclear => (callback.unclear, callback.reason) = (true, Some("unclear".into())),
            Verdict::Failed(words) => fail(conn, &app, &mut callback, words, now)?,
        }
        callback.updated_at = now.0.max(seen_at + 1);
        callbacks::save(conn, &callback, seen_at)?;
        Ok(callback)
    })
    .await
}

enum Verdict {
    Call(String),
    Unclear,
    Failed(String),
}

/// Ends a callback that came to nothing, and frees its agent.
pub fn fail(conn: &mut Conn, app: &App, callback: &mut Callback, reason: &str, now: Timestamp) -> StoreResult<()> {
    callback.status = CallbackStatus::Failed.as_str().into();
    callback.reason = Some(reason.to_owned());
    callback.finished = true;
    if let Some(agent) = app.agent_of(&callback.extension) {
        agents::release(conn, app.id(), &agent.id, &following::claim_name(&callback.id), now)?;
    }
    Ok(())
}
