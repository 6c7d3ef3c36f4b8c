//! Current calls and hanging them up (section 10.2).

use serde_json::{Value, json};

use super::Pbx;
use super::calls::LiveLeg;
use super::event::Flow;
use super::records::gmt;
use super::reply::Reply;

/// `GET …/current_calls/` of the client, or of one extension.
pub(super) fn list(pbx: &Pbx, extension: Option<u64>) -> Reply {
    let state = pbx.state();
    let wanted = state.legs.values().filter(|l| extension.is_none_or(|id| id == l.leg.phone.id));
    Reply::ok(&wanted.map(object).collect::<Vec<_>>())
}

/// `DELETE /extension/{id}/current_calls/{call_api_id}`: the call ends. `None` when the extension has no such call.
pub(super) fn hang_up(pbx: &Pbx, extension: u64, api_id: &str) -> Option<Reply> {
    let state = pbx.state();
    let live = state.legs.values().find(|l| l.leg.phone.id == extension && l.call.api_id == api_id)?;
    live.hangup.cancel();
    Some(Reply::no_content())
}

fn object(live: &LiveLeg) -> Value {
    let LiveLeg { call, leg, .. } = live;
    let (own, other) = (vec![leg.phone.name()], leg.passed_by.iter().map(|e| e.name()).collect::<Vec<_>>());
    let (called, caller) = if leg.flow == Flow::In { (own, other) } else { (other, own) };
    json!({
        "call_api_id": call.api_id, "call_flow": leg.flow.lower(), "callback_id": call.callback_id, "called_did": call.did,
        "called_extension": called, "called_number": leg.called, "caller_extension": caller, "caller_id_name": leg.caller.1,
        "caller_id_number": leg.caller.0, "extension_id": leg.phone.id, "init_time_gmt": gmt(leg.dialled),
        "answer_time_gmt": leg.answered.map(gmt), "real_call": true,
        "record_uuid": leg.is_recorded().then_some(&leg.record_id),
    })
}
