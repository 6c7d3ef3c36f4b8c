//! The simulator's own small API under `/_sim/`: what a program outside of this process may do to it.
//!
//! | Request | Does |
//! |---|---|
//! | `GET /_sim/conditions`, `PATCH /_sim/conditions` | reads the [`Conditions`](super::Conditions), changes those that the JSON body names |
//! | `POST /_sim/kill-tokens` | every token dies now, before its time |
//! | `POST /_sim/scenario` `{"row":"C","client":"+79995550101","seed":1}` | plays a row of section 5.4; 202 at once |
//! | `POST /_sim/call` with an [`Incoming`](super::Incoming) | starts an incoming call; 202 with its `call_id` |
//! | `POST /_sim/dial` with an [`Outgoing`](super::Outgoing) | a phone dials; 202 with the `call_id` |
//! | `PUT /_sim/behaviour/{number}` with a [`Behaviour`](super::Behaviour) | what this phone or outside party does from now on |
//! | `PUT /_sim/agent/{number}` `{"available":false}` | a queue agent logs in or out at his phone; 404 when that is no change |
//! | `GET /_sim/calls` | what became of the calls that have ended |
//! | `GET /_sim/deliveries?call_id=` | what was sent to subscribers and what they answered |
//! | `GET /_sim/requests` | what was asked of the PBX |

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::Pbx;
use super::agents;
use super::calls::{self, CallError, LiveCall};
use super::reply::Reply;
use super::rest::Request;
use super::scenario::{Cast, Row, scenario};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    row: String,
    client: String,
    /// Makes the ids; without one they are new each time.
    #[serde(default = "rand::random")]
    seed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    available: bool,
}

/// `path` is what follows `/_sim/`.
pub(super) async fn answer(pbx: &Arc<Pbx>, request: &Request, path: &[&str]) -> Reply {
    let done = match (request.method.as_str(), path) {
        ("GET", ["conditions"]) => Ok(Reply::ok(&pbx.conditions())),
        ("PATCH", ["conditions"]) => patch(pbx, request),
        ("POST", ["kill-tokens"]) => {
            pbx.state().tokens.clear();
            Ok(Reply::no_content())
        }
        ("POST", ["scenario"]) => play(pbx, request),
        ("POST", ["call"]) => request.json().and_then(|spec| started(calls::incoming(pbx, spec))),
        ("POST", ["dial"]) => request.json().and_then(|spec| started(calls::outgoing(pbx, spec))),
        ("PUT", ["behaviour", number]) => request.json().map(|behaviour| {
            pbx.state().behaviours.insert((*number).to_owned(), behaviour);
            Reply::no_content()
        }),
        ("PUT", ["agent", number]) => match request.json::<Login>() {
            Ok(login) if agents::set(pbx, number, login.available, "phone").await => Ok(Reply::no_content()),
            Ok(_) => Err(Reply::not_found()),
            Err(refused) => Err(refused),
        },
        ("GET", ["calls"]) => Ok(Reply::ok(&pbx.state().reports)),
        ("GET", ["deliveries"]) => {
            let state = pbx.state();
            let wanted = state.deliveries.iter().filter(|d| request.param("call_id").is_none_or(|id| d.call_id == id));
            Ok(Reply::ok(&wanted.collect::<Vec<_>>()))
        }
        ("GET", ["requests"]) => Ok(Reply::ok(&pbx.state().served)),
        _ => Err(Reply::not_found()),
    };
    done.unwrap_or_else(|refused| refused)
}

fn started(call: Result<LiveCall, CallError>) -> Result<Reply, Reply> {
    match call {
        Ok(call) => Ok(Reply::json(202, &json!({"call_id": call.call_id}))),
        Err(e @ CallError::UnknownNumber(_)) => Err(Reply::bad_request(e.to_string())),
        Err(e @ CallError::PhoneInUse(_)) => Err(Reply::error(409, "in_use", &e.to_string())),
    }
}

fn patch(pbx: &Pbx, request: &Request) -> Result<Reply, Reply> {
    let changes = request.json()?;
    let mut state = pbx.state();
    state.conditions = state.conditions.patched(&changes).map_err(Reply::bad_request)?;
    Ok(Reply::ok(&state.conditions))
}

fn play(pbx: &Arc<Pbx>, request: &Request) -> Result<Reply, Reply> {
    let body: Scenario = request.json()?;
    let row = Row::from_letter(&body.row).ok_or_else(|| Reply::bad_request("row is a letter from A to N"))?;
    let cast = Cast::of(&pbx.state().directory, &body.client);
    let cast = cast.ok_or_else(|| Reply::bad_request("a scenario needs three phones, an IVR, a queue and a public number"))?;
    let list = scenario(row, &cast, request.now, body.seed);
    let call_id = list.first().and_then(|s| s.event.get("CallID")).map(str::to_owned);
    let player = pbx.clone();
    pbx.spawn(async move { super::deliver::play(&player, list).await });
    Ok(Reply::json(202, &json!({"call_id": call_id})))
}
