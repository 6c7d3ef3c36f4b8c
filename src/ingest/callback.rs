//! How a click-to-call request follows the call that came of it.

use super::fold::Change;
use crate::domain::callback::{CallbackStatus, progress};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::store::callbacks::{self, Callback};
use crate::store::{Conn, Result, agents, calls};

/// A request without a clear reply of the PBX is adopted by a matching outgoing leg for this long.
pub const ADOPT_S: i64 = 120;

/// What a callback's claim on its source agent is held under: the PBX's call id is not known yet when it is made.
pub fn claim_name(callback: &str) -> String {
    format!("callback-{callback}")
}

/// `extension`: the one that the event's leg is on.
pub fn follow(conn: &mut Conn, app: &App, change: &Change<'_>, extension: &str, now: Timestamp) -> Result<()> {
    for callback in callbacks::open_of(conn, app.id(), extension)? {
        let known = callback.call_id.as_deref() == Some(change.call) || is_of(app, &callback, change.call);
        if known || (callback.call_id.is_none() && adopts(&callback, change, now)) {
            advance(conn, app, callback, change, now)?;
        }
    }
    Ok(())
}

/// True where the PBX calls the call by a name of ours: it is known before the PBX has replied.
fn is_of(app: &App, callback: &Callback, call: &str) -> bool {
    app.pbx.call_of(&callback.id).is_some_and(|name| id::call_id(app.id(), &name) == call)
}

/// Only a request whose reply was unclear looks for its call by itself; any other is told its call id by the PBX.
fn adopts(callback: &Callback, change: &Change<'_>, now: Timestamp) -> bool {
    let to = |leg: &crate::domain::call_log::LegView| {
        leg.direction == crate::domain::event::Direction::Out
            && leg.extension.as_deref() == Some(&callback.extension)
            && (leg.number.as_deref() == Some(&callback.dst_num) || leg.internal_number.as_deref() == Some(&callback.dst_num))
    };
    callback.unclear && now <= Timestamp(callback.created_at).plus_s(ADOPT_S) && change.after.legs.iter().any(to)
}

fn advance(conn: &mut Conn, app: &App, callback: Callback, change: &Change<'_>, now: Timestamp) -> Result<()> {
    let Some((status, reason)) = progress(change.after, &callback.extension) else { return Ok(()) };
    settle(conn, app, callback, change.call, status, reason, now)
}

/// Writes where a callback has come to; once its call is there, the legs keep its agent busy and the claim is over.
pub fn settle(
    conn: &mut Conn,
    app: &App,
    mut callback: Callback,
    call: &str,
    status: CallbackStatus,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    calls::set_callback(conn, app.id(), call, &callback.id)?;
    let seen_at = callback.updated_at;
    callback.call_id = Some(call.to_owned());
    callback.status = status.as_str().into();
    callback.reason = reason.map(str::to_owned);
    callback.finished = status.is_final();
    callback.unclear = false;
    callback.updated_at = now.0.max(seen_at + 1);
    callbacks::save(conn, &callback, seen_at)?;
    if let Some(agent) = app.agent_of(&callback.extension) {
        agents::release(conn, app.id(), &agent.id, &claim_name(&callback.id), now)?;
    }
    Ok(())
}
