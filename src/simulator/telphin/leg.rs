//! Who makes events: which fields appear on which (protocol page, sections 4.3 and 4.5).
//!
//! A [`Leg`] is one attempt on one phone and makes that phone's events; an IVR or queue is a [`Desk`] and makes its own. Where the page's
//! samples and its table differ (the samples leave out `CallAPIID` and `CallerIDName` here and there), the table rules.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::directory::Extension;
use super::event::{CallStatus, Event, EventType, Flow};
use crate::domain::time::Timestamp;

/// The maker of ids; the same seed makes the same ids in the same order.
pub struct Ids(StdRng);

impl Ids {
    pub fn new(seed: u64) -> Ids {
        Ids(StdRng::seed_from_u64(seed))
    }

    pub fn hex(&mut self, digits: usize) -> String {
        let bits: u128 = self.0.random();
        format!("{bits:032x}")[..digits.min(32)].to_owned()
    }

    /// A number below `bound` (0 when the bound is 0).
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// A call as its first event sees it.
    pub fn call(&mut self, from: &str, from_name: &str, did: Option<&str>) -> Call {
        let id = self.hex(32);
        let api_id = format!("35{:08}-{}-{}-{}", self.below(100_000_000), &id[..8], &id[8..12], self.hex(12));
        Call { id, api_id, from: from.into(), from_name: from_name.into(), did: did.map(Into::into), callback_id: None }
    }
}

/// What all events of one call share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `CallID`: lower-case hex.
    pub id: String,
    /// `CallAPIID`.
    pub api_id: String,
    pub from: String,
    pub from_name: String,
    pub did: Option<String>,
    pub callback_id: Option<String>,
}

/// One attempt on one phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// `SubCallID`: `{extension_id}-{hex}`.
    pub id: String,
    pub phone: Extension,
    pub flow: Flow,
    /// `CallerIDNum`, `CallerIDName`.
    pub caller: (String, String),
    /// `CalledNumber`.
    pub called: String,
    /// `CallerExtension` of an incoming leg: the IVR, queue or colleague that the call comes from.
    pub passed_by: Option<Extension>,
    /// `RemoteNumber`, on the dial-in only.
    pub remote: Option<String>,
    /// `Transfered=yes`.
    pub transfered: bool,
    /// `RecID`, sent at the hangup of an answered leg of a recorded phone.
    pub record_id: String,
    pub dialled: Timestamp,
    pub answered: Option<Timestamp>,
}

impl Leg {
    /// The phone is rung.
    pub fn incoming(ids: &mut Ids, call: &Call, phone: &Extension, passed_by: Option<&Extension>, now: Timestamp) -> Leg {
        Leg {
            id: format!("{}-{}", phone.id, ids.hex(12)),
            phone: phone.clone(),
            flow: Flow::In,
            caller: (call.from.clone(), call.from_name.clone()),
            called: phone.name(),
            passed_by: passed_by.cloned(),
            remote: None,
            transfered: false,
            record_id: format!("{}-{}", phone.id, ids.hex(16)),
            dialled: now,
            answered: None,
        }
    }

    /// The phone dials.
    pub fn outgoing(ids: &mut Ids, phone: &Extension, called: &str, now: Timestamp) -> Leg {
        Leg {
            id: format!("{}-{}", phone.id, ids.hex(12)),
            phone: phone.clone(),
            flow: Flow::Out,
            caller: (phone.name(), phone.label.clone()),
            called: called.into(),
            passed_by: None,
            remote: None,
            transfered: false,
            record_id: format!("{}-{}", phone.id, ids.hex(16)),
            dialled: now,
            answered: None,
        }
    }

    /// A colleague hands the outside party over: the colleague calls, `RemoteNumber` says for whom.
    pub fn handed_over(mut self, by: &Extension, remote: &str) -> Leg {
        self.caller = (by.name(), by.label.clone());
        self.passed_by = Some(by.clone());
        self.remote = Some(remote.into());
        self
    }

    /// dial-in or dial-out, by the flow.
    pub fn dial(&self, call: &Call) -> Event {
        let kind = match self.flow {
            Flow::In => EventType::DialIn,
            Flow::Out => EventType::DialOut,
        };
        let mut event = self.event(call, kind, CallStatus::Calling, self.dialled);
        if let Some(remote) = &self.remote {
            event.fields.push(("RemoteNumber", remote.clone()));
        }
        event
    }

    pub fn answer(&mut self, call: &Call, now: Timestamp) -> Event {
        self.answered = Some(now);
        self.event(call, EventType::Answer, CallStatus::Answer, now)
    }

    pub fn hangup(&self, call: &Call, now: Timestamp, status: CallStatus) -> Event {
        let mut event = self.event(call, EventType::Hangup, status, now);
        event.fields.push(("Duration", now.since(self.dialled).to_string()));
        if self.is_recorded() {
            event.fields.push(("RecID", self.record_id.clone()));
        }
        event
    }

    pub fn is_recorded(&self) -> bool {
        self.answered.is_some() && self.phone.recorded
    }

    fn event(&self, call: &Call, kind: EventType, status: CallStatus, time: Timestamp) -> Event {
        let mut fields = head(call, kind, Some(&self.id), status, self.flow, time, &self.caller);
        match self.flow {
            Flow::In => {
                fields.extend(call.did.clone().map(|did| ("CalledDID", did)));
                fields.push(("CalledNumber", self.called.clone()));
                fields.push(("CalledExtension", self.phone.full_name()));
                fields.push(("CalledExtensionID", self.phone.id.to_string()));
                if let Some(by) = &self.passed_by {
                    fields.push(("CallerExtension", by.full_name()));
                    fields.push(("CallerExtensionID", by.id.to_string()));
                }
            }
            Flow::Out => {
                fields.push(("CallerExtension", self.phone.full_name()));
                fields.push(("CallerExtensionID", self.phone.id.to_string()));
                fields.push(("CalledNumber", self.called.clone()));
            }
        }
        fields.push(("CallAPIID", call.api_id.clone()));
        if self.transfered {
            fields.push(("Transfered", "yes".into()));
        }
        fields.extend(call.callback_id.clone().map(|id| ("CallBackID", id)));
        Event { extension: self.phone.clone(), kind, time, fields }
    }
}

/// An IVR or a queue that holds a call. It has no `SubCallID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desk {
    pub extension: Extension,
    pub entered: Timestamp,
}

impl Desk {
    pub fn dial_in(&self, call: &Call) -> Event {
        self.event(call, EventType::DialIn, CallStatus::Calling, self.entered)
    }

    /// `bridged`: a phone of the PBX took the call.
    pub fn hangup(&self, call: &Call, now: Timestamp, bridged: bool) -> Event {
        let status = if bridged { CallStatus::Answer } else { CallStatus::Cancel };
        let mut event = self.event(call, EventType::Hangup, status, now);
        event.fields.push(("Bridged", if bridged { "yes" } else { "no" }.into()));
        event.fields.push(("Duration", now.since(self.entered).to_string()));
        event
    }

    fn event(&self, call: &Call, kind: EventType, status: CallStatus, time: Timestamp) -> Event {
        let caller = (call.from.clone(), call.from_name.clone());
        let mut fields = head(call, kind, None, status, Flow::In, time, &caller);
        fields.extend(call.did.clone().map(|did| ("CalledDID", did)));
        fields.push(("CalledNumber", self.extension.name()));
        fields.push(("CalledExtension", self.extension.full_name()));
        fields.push(("CalledExtensionID", self.extension.id.to_string()));
        fields.push(("CallAPIID", call.api_id.clone()));
        fields.extend(call.callback_id.clone().map(|id| ("CallBackID", id)));
        Event { extension: self.extension.clone(), kind, time, fields }
    }
}

fn head(
    call: &Call,
    kind: EventType,
    leg: Option<&str>,
    status: CallStatus,
    flow: Flow,
    time: Timestamp,
    caller: &(String, String),
) -> Vec<(&'static str, String)> {
    let mut fields = vec![("EventType", kind.as_str().to_owned()), ("EventTime", time.micros().to_string()), ("CallID", call.id.clone())];
    fields.extend(leg.map(|id| ("SubCallID", id.to_owned())));
    fields.push(("CallStatus", status.as_str().into()));
    fields.push(("CallFlow", flow.as_str().into()));
    fields.push(("CallerIDNum", caller.0.clone()));
    if !caller.1.is_empty() {
        fields.push(("CallerIDName", caller.1.clone()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
    use super::*;

    const T0: Timestamp = Timestamp(1_767_000_000_100_200);

    fn sample() -> (Ids, Call, Extension, Extension) {
        let d = Directory::sample();
        let mut ids = Ids::new(7);
        let call = ids.call("+79995550101", "+79995550101", Some("74955550100"));
        (ids, call, d.by_number("101").unwrap().clone(), d.by_number("099").unwrap().clone())
    }

    fn names(event: &Event) -> Vec<&'static str> {
        event.fields().iter().map(|(n, _)| *n).collect()
    }

    #[test]
    fn an_incoming_leg_carries_the_fields_of_the_page() {
        let (mut ids, call, phone, ivr) = sample();
        let mut leg = Leg::incoming(&mut ids, &call, &phone, Some(&ivr), T0);
        let common = [
            "EventType",
            "EventTime",
            "CallID",
            "SubCallID",
            "CallStatus",
            "CallFlow",
            "CallerIDNum",
            "CallerIDName",
            "CalledDID",
            "CalledNumber",
            "CalledExtension",
            "CalledExtensionID",
            "CallerExtension",
            "CallerExtensionID",
            "CallAPIID",
        ];
        assert_eq!(names(&leg.dial(&call)), common);
        assert_eq!(names(&leg.answer(&call, T0.plus_ms(2_500))), common);
        let hangup = leg.hangup(&call, T0.plus_ms(63_500), CallStatus::Answer);
        assert_eq!(names(&hangup)[15..], ["Duration", "RecID"]);
        assert_eq!(hangup.get("Duration"), Some("63500000"));
        assert!(hangup.get("RecID").is_some_and(|id| id.starts_with("700101-")));
    }

    #[test]
    fn an_outgoing_leg_names_no_called_extension() {
        let (mut ids, call, phone, _) = sample();
        let leg = Leg::outgoing(&mut ids, &phone, "+79995550103", T0);
        let event = leg.dial(&call);
        assert_eq!(event.get("CallerIDNum"), Some("0047*101"));
        assert_eq!(event.get("CallerExtension"), Some("0047*101@sip.example"));
        assert_eq!((event.get("CalledExtension"), event.get("CalledDID"), event.get("Transfered")), (None, None, None));
        let unanswered = leg.hangup(&call, T0.plus_s(9), CallStatus::Busy);
        assert_eq!((unanswered.get("RecID"), unanswered.get("CallStatus")), (None, Some("BUSY")));
    }

    #[test]
    fn a_desk_has_no_leg_and_says_whether_a_phone_took_the_call() {
        let (_, call, _, ivr) = sample();
        let event = Desk { extension: ivr, entered: T0 }.hangup(&call, T0.plus_s(31), false);
        assert_eq!((event.get("SubCallID"), event.get("Bridged"), event.get("CallStatus")), (None, Some("no"), Some("CANCEL")));
    }
}
