//! Click-to-call (section 7): the sources ring, the first to pick up is connected to the destination.
//!
//! A source outside rings only when no source is an extension; that is the callback from a website (section 5.4, L): the call is made on
//! behalf of the extension, whose own phone stays quiet, and its events carry `CallBackID`.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::Pbx;
use super::calls::{Behaviour, short, start};
use super::directory::{Extension, ExtensionType, is_external};
use super::engine::{RingEnd, Ringing, Run, Waited};
use super::event::CallStatus;
use super::leg::Leg;
use super::reply::Reply;
use super::rest::Request;

/// The body; a field that is not here is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read to be checked; what it would change is not simulated")]
struct Body {
    src_num: Vec<String>,
    dst_num: String,
    caller_id_name: Option<String>,
    caller_id_number: Option<String>,
    src_caller_id_name: Option<String>,
    src_caller_id_number: Option<String>,
    src_ani: Option<String>,
    dst_ani: Option<String>,
    allow_public_transfer: Option<bool>,
    call_duration: Option<u64>,
    wait_for_pickup: Option<u32>,
    announce_sound_id: Option<u64>,
    dst_announce_sound_id: Option<u64>,
    dst_dtmf: Option<String>,
    transfer_after_src_hangup: Option<String>,
    transfer_after_dst_hangup: Option<String>,
}

/// Seconds for the source to pick up, unless told.
const PICKUP_S: u32 = 25;

/// `POST /extension/{id}/callback/`: 201 means accepted, the events tell the rest.
pub(super) fn post(pbx: &Arc<Pbx>, request: &Request, extension: u64) -> Reply {
    place(pbx, request, extension).unwrap_or_else(|refused| refused)
}

fn place(pbx: &Arc<Pbx>, request: &Request, extension: u64) -> Result<Reply, Reply> {
    let body: Body = request.json()?;
    let owner = pbx.state().directory.by_id(extension).cloned().ok_or_else(Reply::not_found)?;
    if owner.kind != ExtensionType::Phone {
        return Err(Reply::bad_request("The extension is not a phone"));
    }
    let sources = check(pbx, &body)?;
    let outside = sources.is_empty();
    let call = {
        let mut state = pbx.state();
        let source = body.src_num.first().cloned().unwrap_or_default();
        let (from, name) = if outside { (source.clone(), source) } else { (owner.name(), owner.label.clone()) };
        let mut call = state.ids.call(&from, &name, None);
        call.callback_id = outside.then(|| state.ids.hex(16));
        call
    };
    let reply = Reply::json(201, &json!({"call_api_id": call.api_id, "call_id": call.id}));
    let run = Run::new(pbx, call);
    start(pbx, run, move |run| {
        Box::pin(async move {
            let limit = Duration::from_secs(body.wait_for_pickup.unwrap_or(PICKUP_S).into());
            if outside { from_outside(run, &owner, &body, limit).await } else { from_phones(run, &sources, &body.dst_num, limit).await }
        })
    });
    Ok(reply)
}

/// The phones among the sources.
fn check(pbx: &Pbx, body: &Body) -> Result<Vec<Extension>, Reply> {
    let state = pbx.state();
    if body.src_num.is_empty() {
        return Err(Reply::bad_request("src_num is empty"));
    }
    let mut phones = Vec::new();
    for source in &body.src_num {
        match state.directory.by_number(source) {
            Some(e) if e.kind == ExtensionType::Phone => phones.push(e.clone()),
            Some(_) => return Err(Reply::bad_request(format!("src_num: {source} is not a phone"))),
            None if is_external(source) => {}
            None => return Err(Reply::bad_request(format!("src_num: unknown number {source}"))),
        }
    }
    let destination = state.directory.by_number(&body.dst_num);
    if destination.is_none_or(|e| e.kind == ExtensionType::Fax) && !is_external(&body.dst_num) {
        return Err(Reply::bad_request(format!("dst_num: unknown number {}", body.dst_num)));
    }
    let digits = body.dst_dtmf.as_deref().unwrap_or_default();
    if !digits.chars().all(|c| c.is_ascii_digit() || "*#Ww".contains(c)) {
        return Err(Reply::bad_request("dst_dtmf: only 0-9, *, #, W and w"));
    }
    Ok(phones)
}

async fn from_phones(run: &mut Run, sources: &[Extension], to: &str, limit: Duration) {
    let dial_out_first = run.pbx.conditions().dial_out_first;
    let legs: Vec<Leg> = sources.iter().map(|phone| run.outgoing_leg(phone, to)).collect();
    if let RingEnd::Answered(leg) = run.ring(legs, limit, Ringing::Source { dial_out_first }).await {
        run.connect(*leg, to).await;
    }
}

async fn from_outside(run: &mut Run, owner: &Extension, body: &Body, limit: Duration) {
    let Some(source) = body.src_num.first() else { return };
    let mut leg = run.outgoing_leg(owner, source);
    let dial = leg.dial(&run.call);
    run.emit(dial).await;
    let failed =
        match run.behaviour(source) {
            Behaviour::Answers { after_ms, .. } if Duration::from_millis(after_ms) < limit => {
                if run.wait_ms(after_ms).await == Waited::Gone { Some(CallStatus::Cancel) } else { None }
            }
            Behaviour::Answers { .. } | Behaviour::NoAnswer => {
                let until = run.at + limit;
                run.wait(until).await;
                Some(CallStatus::NoAnswer)
            }
            Behaviour::Busy => Some(CallStatus::Busy),
            Behaviour::Unreachable => Some(CallStatus::Congestion),
        };
    if let Some(status) = failed {
        return run.hang_up(&leg, status).await;
    }
    run.answer(&mut leg).await;
    let to = short(&run.pbx, &body.dst_num);
    run.dial(&to, None).await;
    run.hang_up(&leg, CallStatus::Answer).await;
}
