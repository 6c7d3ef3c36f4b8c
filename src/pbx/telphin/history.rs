//! The PBX's call history (sections 8 and 10.3 of the protocol page): a record of a call as the events that it stands for.
//!
//! Where the vendor's two accounts differ, the events' way is taken: ids in lower case, microseconds for seconds, short extensions. What a
//! record means:
//! - a leg's `init_time_gmt` is when it began to ring or dial, its `start_time_gmt` when it was answered (if its result says that it was),
//!   its `duration` the seconds from there to `hangup_time_gmt`: talk, where an event's `Duration` is the whole leg;
//! - a time that is missing has not come yet: nothing is ended that the history does not say has ended;
//! - a leg of an IVR or a queue is a place; a record without one names the place itself when its own extension is one. A call was taken
//!   when it was bridged: that an IVR "answered" says nothing;
//! - a leg has no `SubCallID` here. Its name is made of its extension, direction, other party and begin, which do not change while the call
//!   goes on; which leg of the events it is, [`crate::domain::past`] finds.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::event::{CallEvent, Direction, EndStatus, LegEnd, LegEvent, Phase, PlaceEnd, Ranked, Source, What};
use crate::domain::id;
use crate::domain::phone::{LONGEST_EXTENSION, Party};
use crate::domain::spec::ExtensionType;
use crate::domain::time::Timestamp;
use crate::pbx::{Context, HISTORY_HOOK, Reading, Unreadable};

/// A call or a leg: the fields that matter of the two shapes, which are nearly the same. All but the call's id may be absent or null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item {
    call_uuid: Option<String>,
    flow: Option<String>,
    result: Option<String>,
    init_time_gmt: Option<String>,
    start_time_gmt: Option<String>,
    bridged_time_gmt: Option<String>,
    hangup_time_gmt: Option<String>,
    /// Seconds.
    duration: Option<f64>,
    from_username: Option<String>,
    to_username: Option<String>,
    did_number: Option<String>,
    extension_name: Option<String>,
    extension_type: Option<String>,
    hangup_disposition: Option<String>,
    record_uuid: Option<String>,
    cdr: Option<Vec<Item>>,
}

/// Reads one object of `call_history`.
///
/// # Errors
/// It is no JSON object with a `call_uuid` and a readable time.
pub fn record(body: &[u8], context: &Context<'_>) -> Result<Reading, Unreadable> {
    let item: Item = serde_json::from_slice(body).map_err(|e| Unreadable(format!("the record of the history cannot be read: {e}")))?;
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.contains("\\u0000") {
        return Err(Unreadable("the record holds a zero byte".into()));
    }
    let call = item.call_uuid.as_deref().map(|c| c.trim().to_lowercase()).filter(|c| !c.is_empty());
    let call = call.ok_or_else(|| Unreadable("the record has no call_uuid".into()))?;
    let begun = item.begun().ok_or_else(|| Unreadable("the record has no time that can be read".into()))?;
    let mut record = Record { call, context, whole: &item, events: Vec::new() };
    record.read(begun);
    Ok(Reading { at: begun.micros(), digest: id::digest(&[HISTORY_HOOK.as_bytes(), body]), events: record.events, agent: None })
}

/// When the call of a record began, and whether the record says that it is over.
pub fn span(record: &Value) -> Option<(Timestamp, bool)> {
    let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let item = Item { init_time_gmt: text("init_time_gmt"), start_time_gmt: text("start_time_gmt"), ..Item::default() };
    Some((item.begun()?, time(text("hangup_time_gmt").as_deref()).is_some()))
}

struct Record<'a> {
    call: String,
    context: &'a Context<'a>,
    whole: &'a Item,
    events: Vec<CallEvent>,
}

impl Record<'_> {
    fn read(&mut self, begun: Timestamp) {
        let ended = time(self.whole.hangup_time_gmt.as_deref());
        let mut names = Vec::new();
        let mut places = 0;
        for leg in self.whole.cdr.iter().flatten() {
            match self.kind(leg) {
                ExtensionType::Fax => {}
                ExtensionType::Phone => self.leg(leg, &mut names),
                place => {
                    places += 1;
                    self.place(leg, place, time(leg.hangup_time_gmt.as_deref()));
                }
            }
        }
        let own = self.kind(self.whole);
        if places == 0 && matches!(own, ExtensionType::Ivr | ExtensionType::Queue) {
            self.place(self.whole, own, ended);
        }
        // A fax has no events, and no call here.
        if self.events.is_empty() {
            return;
        }
        if let Some(ended) = ended {
            self.push(begun.max(ended), None, self.whole.did_number.as_deref(), What::Over);
        }
    }

    fn push(&mut self, at: Timestamp, client: Option<Ranked<Party>>, did: Option<&str>, what: What) {
        let did = present(did).and_then(|d| self.context.numbering.read(d).external().map(str::to_owned));
        self.events.push(CallEvent { source: Source::History, call: self.call.clone(), at: Some(at), client, did, what });
    }

    /// As declared, else as the PBX says.
    fn kind(&self, item: &Item) -> ExtensionType {
        let declared = item.extension(self.context).and_then(|e| (self.context.extension_type)(&e));
        let told = || ExtensionType::parse(item.extension_type.as_deref()?.trim());
        declared.or_else(told).unwrap_or(ExtensionType::Phone)
    }

    fn place(&mut self, item: &Item, kind: ExtensionType, ended: Option<Timestamp>) {
        let Some(begun) = item.begun() else { return };
        let caller = present(self.whole.from_username.as_deref()).map(|n| self.context.numbering.read(n));
        let client = caller.filter(|c| c.external().is_some()).map(|c| Ranked::new(4, c));
        let did = item.did_number.as_deref().or(self.whole.did_number.as_deref());
        let over = time(self.whole.hangup_time_gmt.as_deref());
        // As long as the call goes on nobody can say that it is lost.
        match (over, ended.or(over)) {
            (Some(_), Some(ended)) => {
                let name = present(item.extension_name.as_deref()).unwrap_or_default().split('@').next().unwrap_or_default();
                let queue = kind == ExtensionType::Queue;
                let end = PlaceEnd { place: id::spelling(name).to_owned(), queue, begun: Some(begun), bridged: self.bridged() };
                self.push(ended.max(begun), client, did, What::PlaceEnd(end));
            }
            _ => self.push(begun, client, did, What::Touched),
        }
    }

    fn bridged(&self) -> Option<bool> {
        let word = present(self.whole.result.as_deref())?;
        Some(word.eq_ignore_ascii_case("bridged") || time(self.whole.bridged_time_gmt.as_deref()).is_some())
    }

    fn leg(&mut self, leg: &Item, names: &mut Vec<String>) {
        let Some(begun) = leg.begun() else { return };
        let Some(extension) = leg.extension(self.context) else { return };
        let read = |n: Option<&str>| present(n).map(|n| self.context.numbering.read(n));
        let (from, to) = (read(leg.from_username.as_deref()), read(leg.to_username.as_deref()));
        let flow = leg.flow.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        let transferred = flow == "transfer";
        let rings = to.as_ref().is_some_and(|to| *to == Party::Internal(extension.clone()));
        let direction = match flow.as_str() {
            "in" => Direction::In,
            "out" => Direction::Out,
            _ if rings => Direction::In,
            _ => Direction::Out,
        };
        let other = if direction == Direction::In { from } else { to };
        // As sure as the events are of the same: see the reading of events.
        let client = other.clone().filter(|o| o.external().is_some()).map(|o| match (direction, transferred) {
            (Direction::In, false) => Ranked::new(4, o),
            (Direction::In, true) => Ranked::new(3, o),
            (Direction::Out, false) => Ranked::new(2, o),
            (Direction::Out, true) => Ranked::new(1, o),
        });
        let written = if direction == Direction::In { &leg.from_username } else { &leg.to_username };
        let mut key = format!("h:{extension}:{direction:?}:{}:{}", begun.micros(), written.as_deref().unwrap_or_default());
        while names.contains(&key) {
            key.push('+');
        }
        names.push(key.clone());
        let event = |phase| {
            What::Leg(LegEvent {
                key: key.clone(),
                sub_call_id: None,
                phase,
                direction: Ranked::new(2, direction),
                extension: Some(Ranked::new(2, extension.clone())),
                // Who was handed over is told by one event only, and else looks like a colleague.
                number: other.clone().map(|o| Ranked::new(if transferred { 2 } else { 1 }, o)),
                transferred,
                on_behalf: false,
                via_place: false,
                exact: false,
            })
        };
        let ended = time(leg.hangup_time_gmt.as_deref()).map(|t| t.max(begun));
        let answered = leg.answered().map(|t| t.max(begun));
        let did = leg.did_number.as_deref();
        self.push(begun, client.clone(), did, event(Phase::Begin));
        if let Some(at) = answered {
            self.push(at, client.clone(), did, event(Phase::Answer));
        }
        if let Some(at) = ended {
            let talk_us = leg.duration.filter(|d| d.is_finite() && *d >= 0.0).map(|s| (s * 1e6) as i64);
            let end = LegEnd {
                status: leg.status(),
                duration_us: Some(at.since(begun)),
                talk_us: answered.map(|a| talk_us.unwrap_or(at.since(a))),
                record_id: present(leg.record_uuid.as_deref()).filter(|r| id::is_record(r)).map(str::to_owned),
            };
            self.push(at, client, did, event(Phase::End(end)));
        }
    }
}

impl Item {
    fn begun(&self) -> Option<Timestamp> {
        time(self.init_time_gmt.as_deref()).or_else(|| time(self.start_time_gmt.as_deref()))
    }

    /// The result of a leg that goes on is not known yet; its start is.
    fn answered(&self) -> Option<Timestamp> {
        let word = present(self.result.as_deref()).map(str::to_ascii_lowercase);
        let talks = word.is_none_or(|w| w == "answered" || w == "bridged");
        time(self.start_time_gmt.as_deref()).filter(|_| talks)
    }

    /// The short form of the extension that this is of.
    fn extension(&self, context: &Context<'_>) -> Option<String> {
        let name = present(self.extension_name.as_deref())?.split('@').next()?;
        let own = context.numbering.own_extension(name).unwrap_or_else(|| name.rsplit('*').next().unwrap_or_default());
        (1..=LONGEST_EXTENSION).contains(&own.len()).then(|| own.to_owned())
    }

    /// `result`, and where it is not enough who hung up. What is not known counts as not successful.
    fn status(&self) -> Option<EndStatus> {
        let by = self.hangup_disposition.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match present(self.result.as_deref())?.to_ascii_lowercase().as_str() {
            "answered" | "bridged" => EndStatus::Answered,
            "busy" => EndStatus::Busy,
            "rejected" => EndStatus::Rejected,
            "failed" => EndStatus::Failed,
            "answered elsewhere" => EndStatus::Cancelled,
            "not answered" if by == "caller_cancel" => EndStatus::Cancelled,
            "not answered" if by == "callee_refuse" => EndStatus::Rejected,
            "not answered" | "voicemail" => EndStatus::NoAnswer,
            _ => EndStatus::Other,
        })
    }
}

fn present(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|t| !t.is_empty() && *t != "null")
}

/// `YYYY-MM-DD HH:MM:SS`, perhaps with a fraction, in UTC. The epoch is what some PBXs write for nothing.
fn time(text: Option<&str>) -> Option<Timestamp> {
    let date: jiff::civil::DateTime = present(text)?.trim_end_matches('Z').parse().ok()?;
    let at = Timestamp(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond());
    (1..=Timestamp::MAX.0).contains(&at.micros()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::Numbering;

    fn read(record: Value) -> Result<Reading, Unreadable> {
        let types = |e: &str| (e == "101").then_some(ExtensionType::Phone);
        let known = |e: &str| e == "101";
        let numbering = Numbering { country: Some("RU"), prefix: Some("0047"), is_extension: &known, code_without_plus: true };
        super::record(
            &serde_json::to_vec(&record).unwrap(),
            &Context { numbering, extension_type: &types, agent_line: &|_| None, is_agents: &|_| false },
        )
    }

    /// The shape of a record as published with an open client library, with other numbers.
    fn sample() -> Value {
        serde_json::json!({
            "call_uuid": "0F3C7A", "flow": "out", "result": "bridged", "init_time_gmt": "2025-12-29 09:20:38",
            "start_time_gmt": "2025-12-29 09:20:39", "bridged_time_gmt": "2025-12-29 09:20:52", "hangup_time_gmt": "2025-12-29 09:21:16",
            "duration": 37, "bridged_duration": 24, "extension_name": "0047*101@sip.example", "extension_type": "phone",
            "from_username": "0047*101", "to_username": "+79995550103", "did_number": null,
            "cdr": [{
                "flow": "out", "result": "answered", "init_time_gmt": "2025-12-29 09:20:38.76", "start_time_gmt": "2025-12-29 09:20:52",
                "hangup_time_gmt": "2025-12-29 09:21:16", "duration": 24, "extension_name": "0047*101@sip.example",
                "extension_type": "phone", "from_username": "0047*101", "to_username": "+79995550103", "record_uuid": "700101-AB",
                "hangup_disposition": "caller_bye", "something_new": {"x": 1}
            }]
        })
    }

    #[test]
    fn a_record_is_read_in_the_events_units_and_case() {
        let reading = read(sample()).unwrap();
        assert_eq!(reading.at, 1_767_000_038_000_000);
        let words: Vec<_> = reading.events.iter().map(|e| (e.call.as_str(), e.what.name(), e.at.unwrap().micros() - reading.at)).collect();
        assert_eq!(
            words,
            [
                ("0f3c7a", "dial-out", 760_000),
                ("0f3c7a", "answer", 14_000_000),
                ("0f3c7a", "hangup", 38_000_000),
                ("0f3c7a", "over", 38_000_000)
            ]
        );
        let What::Leg(LegEvent { phase: Phase::End(end), number, .. }) = &reading.events[2].what else { panic!() };
        assert_eq!((end.duration_us, end.talk_us), (Some(37_240_000), Some(24_000_000)));
        assert_eq!(end.record_id.as_deref(), Some("700101-AB"));
        assert_eq!(number.as_ref().and_then(|n| n.value.external()), Some("+79995550103"));
    }

    #[test]
    fn nothing_is_ended_that_has_not_ended() {
        let mut running = sample();
        for at in ["/hangup_time_gmt", "/cdr/0/hangup_time_gmt", "/cdr/0/result", "/result"] {
            *running.pointer_mut(at).unwrap() = Value::Null;
        }
        let words: Vec<_> = read(running).unwrap().events.iter().map(|e| e.what.name()).collect();
        assert_eq!(words, ["dial-out", "answer"]);
    }

    #[test]
    fn what_an_ivr_answered_and_nobody_took_is_lost() {
        let lost = serde_json::json!({
            "call_uuid": "AA", "flow": "in", "result": "answered", "init_time_gmt": "2025-12-29 09:20:38",
            "hangup_time_gmt": "2025-12-29 09:20:45", "bridged_time_gmt": null, "extension_name": "0047*099", "extension_type": "ivr",
            "from_username": "+79995550103", "cdr": []
        });
        let reading = read(lost).unwrap();
        let What::PlaceEnd(end) = &reading.events[0].what else { panic!("{:?}", reading.events) };
        assert_eq!((end.place.as_str(), end.queue, end.bridged), ("0047*099", false, Some(false)));
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for bad in
            [serde_json::json!([]), serde_json::json!({"call_uuid": "x"}), serde_json::json!({"init_time_gmt": "2025-12-29 09:20:38"})]
        {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
