//! The call history (section 10.3): what the PBX writes down of each call, whether or not anybody was told of it.
//!
//! Made of the events before any fault touches them. It has the vendor's own ways: ids in UPPER case, whole seconds (a leg's
//! `init_time_gmt` alone has a fraction), `duration` of a leg is its talk, `flow` may be `transfer`, no `SubCallID`, and an IVR that spoke
//! to a caller makes the call "answered". A call is listed when it is over, or from its first event on with `history_running`.

use serde_json::{Value, json};

use super::Pbx;
use super::directory::{Extension, ExtensionType};
use super::event::{Event, EventType};
use super::records::{Turn, gmt, pause, range};
use super::reply::Reply;
use super::rest::Request;
use super::state::State;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct PastCall {
    /// As in the events: lower case.
    pub id: String,
    flow: &'static str,
    from: String,
    from_name: String,
    to: String,
    did: Option<String>,
    begun: Timestamp,
    last: Timestamp,
    /// Nothing follows any more.
    over: bool,
    /// What places said: whether a phone took the call.
    bridged: Option<bool>,
    legs: Vec<PastLeg>,
}

#[derive(Clone, Debug)]
struct PastLeg {
    /// `SubCallID`, or the number of an IVR or queue: not shown.
    key: String,
    extension: Extension,
    flow: &'static str,
    from: String,
    to: String,
    did: Option<String>,
    begun: Timestamp,
    answered: Option<Timestamp>,
    /// When and with which `CallStatus` it ended.
    ended: Option<(Timestamp, String)>,
    record: Option<String>,
}

/// The record of a call with these events, which is over.
pub fn record(events: &[Event], client_id: u64) -> Option<Value> {
    let mut call = PastCall::begin(events.first()?)?;
    events.iter().for_each(|event| call.note(event));
    call.over = true;
    Some(call.object(client_id))
}

impl PastCall {
    fn begin(event: &Event) -> Option<PastCall> {
        let text = |name: &str| event.get(name).unwrap_or_default().to_owned();
        Some(PastCall {
            id: event.get("CallID")?.to_owned(),
            flow: if event.get("CallFlow") == Some("OUT") { "out" } else { "in" },
            from: text("CallerIDNum"),
            from_name: text("CallerIDName"),
            to: text("CalledNumber"),
            did: None,
            begun: event.time,
            last: event.time,
            over: false,
            bridged: None,
            legs: Vec::new(),
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Writes an event down.
    fn note(&mut self, event: &Event) {
        let text = |name: &str| event.get(name).unwrap_or_default().to_owned();
        let duration: i64 = event.get("Duration").and_then(|d| d.parse().ok()).unwrap_or_default();
        let place = event.extension.kind != ExtensionType::Phone;
        let begun = if event.kind == EventType::Hangup { Timestamp(event.time.micros() - duration) } else { event.time };
        self.begun = self.begun.min(begun);
        self.last = self.last.max(event.time);
        self.did = self.did.take().or_else(|| event.get("CalledDID").map(str::to_owned));
        if let Some(bridged) = event.get("Bridged") {
            self.bridged = Some(self.bridged == Some(true) || bridged == "yes");
        }
        let key = event.get("SubCallID").map_or_else(|| event.extension.number.clone(), str::to_owned);
        let known = self.legs.iter().position(|l| l.key == key);
        let at = known.unwrap_or_else(|| {
            self.legs.push(PastLeg {
                key,
                extension: event.extension.clone(),
                flow: if event.get("CallFlow") == Some("OUT") { "out" } else { "in" },
                from: text("CallerIDNum"),
                to: text("CalledNumber"),
                did: event.get("CalledDID").map(str::to_owned),
                begun,
                answered: place.then_some(begun),
                ended: None,
                record: None,
            });
            self.legs.len() - 1
        });
        let Some(leg) = self.legs.get_mut(at) else { return };
        if let Some(remote) = event.get("RemoteNumber") {
            (leg.flow, leg.from) = ("transfer", remote.to_owned());
        }
        if event.get("Transfered").is_some() {
            leg.flow = "transfer";
        }
        match event.kind {
            EventType::Answer => leg.answered = Some(event.time),
            EventType::Hangup => {
                leg.ended = Some((event.time, text("CallStatus")));
                leg.record = event.get("RecID").map(str::to_owned);
            }
            EventType::DialIn | EventType::DialOut => {}
        }
    }

    fn was_bridged(&self) -> bool {
        let phones = || self.legs.iter().filter(|l| l.extension.kind == ExtensionType::Phone);
        self.bridged.unwrap_or_else(|| phones().any(|l| l.answered.is_some()))
    }

    pub(super) fn object(&self, client_id: u64) -> Value {
        let bridged = self.legs.iter().filter(|l| l.extension.kind == ExtensionType::Phone && self.was_bridged());
        let bridged = bridged.filter_map(|l| Some((l.answered?, l))).min_by_key(|(at, _)| *at);
        let over = self.over.then_some(self.last);
        let elsewhere = self.was_bridged();
        let last = self.legs.iter().rfind(|l| l.extension.kind == ExtensionType::Phone);
        let (result, by) = match (self.over, bridged) {
            (false, _) => (None, None),
            (true, Some(_)) => (Some("bridged"), Some("caller_bye")),
            (true, None) if self.legs.iter().any(|l| l.answered.is_some()) => (Some("answered"), Some("caller_bye")),
            (true, None) => last.map_or((Some("not answered"), Some("caller_cancel")), |l| l.outcome(elsewhere)),
        };
        let first = self.legs.first().map(|l| &l.extension);
        let domain = first.map(|e| e.domain.clone());
        json!({
            "call_uuid": self.id.to_uppercase(), "flow": self.flow, "result": result, "init_time_gmt": gmt(self.begun),
            "start_time_gmt": gmt(self.begun), "bridged_time_gmt": bridged.map(|(at, _)| gmt(at)), "hangup_time_gmt": over.map(gmt),
            "duration": over.map(|at| at.since(self.begun) / 1_000_000),
            "bridged_duration": bridged.and_then(|(at, leg)| Some(leg.ended.as_ref()?.0.since(at) / 1_000_000)),
            "bridged_username": bridged.map(|(_, leg)| leg.extension.name()), "bridged_domain": bridged.and(domain.clone()),
            "from_username": self.from, "from_domain": domain, "from_screen_name": self.from_name, "to_username": self.to,
            "to_domain": domain, "did_number": self.did, "did_domain": null, "extension_id": first.map(|e| e.id),
            "extension_name": first.map(Extension::full_name), "extension_type": first.map(|e| e.kind),
            "extension_group_owner_id": null, "ext_number_reg": null, "hangup_cause": over.map(|_| "NORMAL_CLEARING"),
            "hangup_disposition": by, "client_owner_id": client_id,
            "cdr": self.legs.iter().map(|l| l.object(client_id, elsewhere)).collect::<Vec<_>>(),
        })
    }
}

impl PastLeg {
    /// `result` and `hangup_disposition`; `elsewhere`: somebody took the call.
    fn outcome(&self, elsewhere: bool) -> (Option<&'static str>, Option<&'static str>) {
        let Some((_, status)) = &self.ended else { return (None, None) };
        let (result, by) = match status.as_str() {
            _ if self.extension.kind != ExtensionType::Phone => ("answered", "caller_bye"),
            "ANSWER" => ("answered", "caller_bye"),
            "BUSY" => ("busy", "callee_refuse"),
            "NOANSWER" => ("not answered", "internal_cancel"),
            "CANCEL" if elsewhere && self.flow != "out" => ("answered elsewhere", "internal_cancel"),
            "CANCEL" => ("not answered", "caller_cancel"),
            _ => ("failed", "internal_cancel"),
        };
        (Some(result), Some(by))
    }

    fn object(&self, client_id: u64, elsewhere: bool) -> Value {
        let (result, by) = self.outcome(elsewhere);
        let ended = self.ended.as_ref().map(|(at, _)| *at);
        let fraction = self.begun.micros().rem_euclid(1_000_000) / 10_000;
        json!({
            "flow": self.flow, "result": result, "init_time_gmt": format!("{}.{fraction:02}", gmt(self.begun)),
            "start_time_gmt": self.answered.map(gmt), "hangup_time_gmt": ended.map(gmt),
            "duration": ended.map(|e| self.answered.map_or(0, |a| e.since(a) / 1_000_000)), "extension_id": self.extension.id,
            "extension_name": self.extension.full_name(), "extension_type": self.extension.kind, "extension_group_owner_id": null,
            "client_owner_id": client_id, "from_username": self.from, "from_domain": self.extension.domain,
            "from_screen_name": self.from, "to_username": self.to, "to_domain": self.extension.domain, "source_number": null,
            "source_domain": null, "dest_number": self.to, "dest_domain": self.extension.domain, "did_number": self.did,
            "did_domain": null, "ani_number": null, "hangup_cause": ended.map(|_| "NORMAL_CLEARING"), "hangup_disposition": by,
            "ext_number_reg": null, "application": null, "record_uuid": self.record, "record_file_size": null,
        })
    }
}

impl State {
    /// Writes an event down, told or not.
    pub(super) fn note(&mut self, event: &Event) {
        let Some(id) = event.get("CallID") else { return };
        match self.history.iter_mut().rev().find(|c| c.id == id) {
            Some(call) => call.note(event),
            None => {
                if let Some(mut call) = PastCall::begin(event) {
                    call.note(event);
                    super::state::keep(&mut self.history, call);
                }
            }
        }
    }

    /// Nothing follows of this call.
    pub(super) fn call_is_over(&mut self, id: &str) {
        if let Some(call) = self.history.iter_mut().rev().find(|c| c.id == id) {
            call.over = true;
        }
    }
}

/// What follows `/client/{id}/call_history/`; `None` is a resource that does not exist.
pub(super) async fn answer(pbx: &Pbx, request: &Request, path: &[&str]) -> Option<Reply> {
    Some(match path {
        [""] => list(pbx, request).await.unwrap_or_else(|refused| refused),
        [id] => one(pbx, id)?,
        _ => return None,
    })
}

fn one(pbx: &Pbx, id: &str) -> Option<Reply> {
    let state = pbx.state();
    let listed = |c: &&PastCall| c.id.eq_ignore_ascii_case(id) && (c.over || state.conditions.history_running);
    state.history.iter().rev().find(listed).map(|c| Reply::ok(&c.object(state.directory.client_id)))
}

async fn list(pbx: &Pbx, request: &Request) -> Result<Reply, Reply> {
    request.only_params(&["start_datetime", "end_datetime", "flow", "extension_id", "to_username", "order", "page", "per_page"])?;
    let (start, end) = range(request)?;
    let (skip, take) = request.paging()?;
    let order = request.param("order").unwrap_or("desc");
    if order != "asc" && order != "desc" {
        return Err(Reply::bad_request("order must be asc or desc"));
    }
    let flow = request.param("flow");
    if flow.is_some_and(|f| f != "in" && f != "out") {
        return Err(Reply::bad_request("flow must be in or out"));
    }
    let extension = match request.param("extension_id").map(str::parse::<u64>) {
        Some(Err(_)) => return Err(Reply::bad_request("extension_id must be a number")),
        Some(Ok(id)) => Some(id),
        None => None,
    };
    let _turn = Turn::take(pbx)?;
    pause(pbx).await;
    let state = pbx.state();
    let take = take.min(state.conditions.history_page);
    let to = request.param("to_username");
    let within = |c: &&PastCall| {
        (c.over || state.conditions.history_running)
            && (start..=end).contains(&c.begun)
            && flow.is_none_or(|f| f == c.flow)
            && extension.is_none_or(|id| c.legs.iter().any(|l| l.extension.id == id))
            && to.is_none_or(|to| to == c.to)
    };
    let mut found: Vec<&PastCall> = state.history.iter().filter(within).collect();
    found.sort_by(|a, b| (a.begun, &a.id).cmp(&(b.begun, &b.id)));
    if order == "desc" {
        found.reverse();
    }
    let page = request.param("page").and_then(|p| p.parse::<usize>().ok()).unwrap_or(1);
    let skip = skip.min((page - 1) * take);
    let items: Vec<Value> = found.into_iter().skip(skip).take(take).map(|c| c.object(state.directory.client_id)).collect();
    Ok(Reply::json(200, &json!({"page": page, "per_page": take, "order": order, "call_history": items})))
}
