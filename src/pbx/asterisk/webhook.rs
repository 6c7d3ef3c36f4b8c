//! What the dialplan asks and tells (protocol page, section 2).
//!
//! `route` is asked with `call`, `from`, `to`, and with `offer`, `status`, `digits` of the answer before. `event` tells, as form or JSON:
//! `event=answer` (`call`, `offer`, `peer`, `peerid`) when an agent has answered; the hangup handler's `call`, `offer`, `peer`, `peerid`,
//! `dialstatus`, `answeredms`, `dialedms`, `hangupcause`, `record` at the end of the call; `event=recorded` (`call`, `peer`, `peerid`,
//! `record`) at the end of one that was placed by a click. Names are read without regard to case; `null` and empty are absent.

use serde_json::Value;

use super::ami::read::timestamp;
use crate::domain::agent::OfferState;
use crate::domain::call::DIALPLAN_S_RANK;
use crate::domain::event::{CallEvent, Direction, EndStatus, LegEnd, LegEvent, Phase, PlaceEnd, Ranked, Source, What};
use crate::domain::id;
use crate::domain::phone::Party;
use crate::domain::spec::ExtensionType;
use crate::domain::time::Timestamp;
use crate::pbx::action::Report;
use crate::pbx::{Context, HookKind, Parameter, Raw, Reading, RoutingRequest, Unreadable, form};

pub fn hook(name: &str) -> Option<HookKind> {
    match name {
        "route" => Some(HookKind::Routing),
        "event" => Some(HookKind::Event),
        "check" => Some(HookKind::Check),
        _ => None,
    }
}

/// The parameters of a request.
struct Fields<'a>(Vec<Parameter<'a>>);

impl<'a> Fields<'a> {
    fn read(raw: Raw<'a>) -> Result<Fields<'a>, Unreadable> {
        let mut pairs: Vec<Parameter<'_>> = form(raw.query.as_bytes()).collect();
        if raw.body.trim_ascii_start().starts_with(b"{") {
            let value: Value =
                serde_json::from_str(&String::from_utf8_lossy(raw.body)).map_err(|e| Unreadable(format!("the body is no JSON: {e}")))?;
            for (name, value) in value.as_object().into_iter().flatten() {
                match value {
                    Value::String(text) => pairs.push((name.to_ascii_lowercase(), text.clone().into())),
                    Value::Number(_) | Value::Bool(_) => pairs.push((name.to_ascii_lowercase(), value.to_string().into())),
                    Value::Null => {}
                    _ => return Err(Unreadable(format!("{name} must be a text or a number"))),
                }
            }
        } else {
            pairs.extend(form(raw.body));
        }
        if pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Unreadable("a parameter holds a zero byte".into()));
        }
        Ok(Fields(pairs))
    }

    /// As it was given, empty or not.
    fn given(&self, names: &[&str]) -> Option<&str> {
        let found = names.iter().find_map(|name| self.0.iter().find(|(n, _)| n == name));
        found.map(|(_, value)| value.as_ref()).filter(|v| *v != "null")
    }

    fn get(&self, names: &[&str]) -> Option<&str> {
        self.given(names).filter(|v| !v.trim().is_empty())
    }

    /// Seconds, whole or not, as microseconds.
    fn seconds(&self, names: &[&str]) -> Option<i64> {
        let seconds: f64 = self.get(names)?.trim().parse().ok()?;
        (seconds.is_finite() && (0.0..1e8).contains(&seconds)).then_some((seconds * 1e6) as i64)
    }

    fn call(&self) -> Option<String> {
        self.get(&["call", "uniqueid", "linkedid"]).map(|c| c.trim().to_owned())
    }
}

pub fn routing_request(raw: Raw<'_>, context: &Context<'_>) -> Result<RoutingRequest, Unreadable> {
    let fields = Fields::read(raw)?;
    let dialled = fields.get(&["to"]).map(|to| to.trim().to_owned());
    Ok(RoutingRequest {
        call: fields.call(),
        caller: fields.get(&["from"]).unwrap_or_default().to_owned(),
        did: dialled.as_deref().and_then(|to| context.numbering.read(to).external().map(str::to_owned)),
        asking_extension: None,
        dialled,
        report: Report {
            offer: fields.get(&["offer"]).map(|o| o.trim().to_owned()),
            outcome: fields.get(&["status", "dialstatus"]).and_then(outcome),
            digits: fields.given(&["digits"]).map(|d| d.trim().to_owned()),
            plain: fields.get(&["format"]).is_some_and(|f| f.eq_ignore_ascii_case("plain")),
        },
    })
}

/// `DIALSTATUS`, or our own words for what Asterisk does not tell apart.
fn outcome(status: &str) -> Option<OfferState> {
    Some(match status.trim().to_ascii_uppercase().replace(['-', ' '], "_").as_str() {
        "ANSWER" | "ANSWERED" | "ACCEPTED" => OfferState::Accepted,
        "NOANSWER" | "NO_ANSWER" | "TIMEOUT" => OfferState::NoAnswer,
        "BUSY" => OfferState::Busy,
        "REJECTED" | "DECLINED" | "DONTCALL" | "TORTURE" => OfferState::Rejected,
        "CHANUNAVAIL" | "CONGESTION" | "UNREACHABLE" | "INVALIDARGS" | "FAILED" => OfferState::Unreachable,
        "CANCEL" | "CANCELED" | "CANCELLED" => OfferState::Canceled,
        _ => return None,
    })
}

fn end_status(outcome: OfferState) -> Option<EndStatus> {
    Some(match outcome {
        OfferState::Accepted => EndStatus::Answered,
        OfferState::NoAnswer => EndStatus::NoAnswer,
        OfferState::Busy => EndStatus::Busy,
        OfferState::Rejected => EndStatus::Rejected,
        OfferState::Unreachable => EndStatus::Unreachable,
        OfferState::Canceled => EndStatus::Cancelled,
        _ => return None,
    })
}

/// How much a number of the dialplan is to be believed: there is no other source.
const RANK: u8 = 1;

pub fn events(raw: Raw<'_>, context: &Context<'_>) -> Result<Reading, Unreadable> {
    let fields = Fields::read(raw)?;
    let call = fields.call().ok_or_else(|| Unreadable("call is missing".into()))?;
    let kind = match raw.hook {
        // The first question about a call is the news that it came.
        "route" => "arrived".to_owned(),
        _ => fields.get(&["event"]).unwrap_or("hangup").trim().to_ascii_lowercase(),
    };
    let at = fields.get(&["time", "at"]).and_then(|time| timestamp(time.trim()));
    let offer = fields.get(&["offer"]).map(|o| o.trim().to_owned());
    let peer = fields.get(&["peer", "device", "dialedpeername"]).and_then(endpoint);
    let what = |what| CallEvent {
        source: Source::Events,
        call: call.clone(),
        at,
        client: fields.get(&["from"]).map(|from| Ranked::new(RANK, context.numbering.read(from))),
        did: fields.get(&["to"]).and_then(|to| context.numbering.read(to).external().map(str::to_owned)),
        what,
    };
    let leg = |phase: Phase| leg(&fields, context, offer.as_deref(), peer, phase).map(|leg| what(What::Leg(leg)));
    let events = match kind.as_str() {
        "arrived" | "start" | "join" => vec![what(What::Touched)],
        "ringing" | "dial" => leg(Phase::Begin).into_iter().collect(),
        "answer" | "answered" => {
            let answered = leg(Phase::Answer);
            vec![answered.ok_or_else(|| Unreadable("an answer needs the offer, or the peer that answered".into()))?]
        }
        "hangup" | "end" => {
            let end = end(&fields);
            let answered = end.status == Some(EndStatus::Answered);
            // A step of the chain is no place; a call without one is told of by its phone or its number.
            let is_step = |place: &str| place.contains(':') || ["owner", "deputy", "last_agent"].contains(&place);
            let place = fields.get(&["place"]).map(str::trim).filter(|place| !is_step(place)).unwrap_or_default().to_owned();
            let over = what(What::PlaceEnd(PlaceEnd { place, queue: true, begun: None, bridged: Some(answered) }));
            // On the PBX's own route anything may have been dialled; what has a number is a phone.
            let phone = peer.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
            let own = (offer.is_some() || phone || fields.get(&["peerid"]).is_some()).then(|| leg(Phase::End(end))).flatten();
            // A call that only was not asked about any more may come back.
            let gone = fields.get(&["by"]) != Some("silence");
            own.into_iter().chain([over]).chain(gone.then(|| what(What::Over))).collect()
        }
        "recorded" => {
            // Nobody has spoken where the dialling came to nothing.
            let spoken = fields.get(&["dialstatus"]).is_none_or(|s| outcome(s) == Some(OfferState::Accepted));
            let end = LegEnd { record_id: record(&fields).filter(|_| spoken), ..LegEnd::default() };
            let recorded = leg(Phase::End(end)).map(|event| placed(event, &fields, context));
            vec![recorded.ok_or_else(|| Unreadable("a recording needs the peer whose call it is of".into()))?]
        }
        other => return Err(Unreadable(format!("the event {other:?} is not known; use answer, ringing, recorded or hangup"))),
    };
    let digest = match raw.hook {
        "route" => id::digest(&[b"arrived", call.to_lowercase().as_bytes()]),
        _ => digest(&fields),
    };
    Ok(Reading { at: at.map_or(0, Timestamp::micros), digest, events, agent: None })
}

/// Everything that is told, in one order: what is equal is the same event.
fn digest(fields: &Fields<'_>) -> i64 {
    let mut pairs: Vec<&Parameter<'_>> = fields.0.iter().filter(|(name, _)| name != "key").collect();
    pairs.sort();
    let parts: Vec<&[u8]> = pairs.iter().flat_map(|(n, v)| [n.as_bytes(), v.as_bytes()]).collect();
    id::digest(&parts)
}

fn end(fields: &Fields<'_>) -> LegEnd {
    let milliseconds = |name| fields.seconds(&[name]).map(|t| t / 1_000);
    let talk_us = milliseconds("answeredms").or_else(|| fields.seconds(&["answeredtime", "answered", "billsec"])).filter(|t| *t > 0);
    let duration_us = milliseconds("dialedms").or_else(|| fields.seconds(&["dialedtime", "dialed"]));
    let status = fields.get(&["status", "dialstatus"]).and_then(outcome).and_then(end_status);
    // Time in talk is the surest sign of an answer.
    let status = if talk_us.is_some() { Some(EndStatus::Answered) } else { status };
    LegEnd { status, duration_us, talk_us, record_id: record(fields).filter(|_| status == Some(EndStatus::Answered)) }
}

/// The name of a recording's file; what could lead out of its folder is none.
fn record(fields: &Fields<'_>) -> Option<String> {
    let name = fields.get(&["record"])?.trim();
    super::is_file(name).then(|| name.to_owned())
}

/// The leg of an agent: of the one whose phone it is that answered, else of the one whom the offer names, where it was made to one: the channel
/// of his own phone number is called by the line to the outside. It is called by its channel's unique id, as in the PBX's own events, where the
/// dialplan knows that.
fn leg(fields: &Fields<'_>, context: &Context<'_>, offer: Option<&str>, peer: Option<&str>, phase: Phase) -> Option<LegEvent> {
    let named = offer.and_then(|o| o.split_once('.')).and_then(|(_, agent)| (context.agent_line)(agent));
    let is_phone = |p: &str| (context.is_agents)(p) || (context.extension_type)(p) == Some(ExtensionType::Phone);
    let line = peer.filter(|p| is_phone(p)).map(str::to_owned).or(named).or_else(|| peer.map(str::to_owned))?;
    let round = offer.map_or("", |o| o.split('.').next().unwrap_or(o));
    let channel = fields.get(&["peerid"]).map(str::trim);
    let number = fields.get(&["from"]).map_or(Party::Unknown, |from| context.numbering.read(from));
    Some(LegEvent {
        key: channel.map_or_else(|| format!("{round}/{line}"), str::to_owned),
        sub_call_id: channel.or(offer).map(str::to_owned),
        phase,
        direction: Ranked::new(RANK, Direction::In),
        extension: Some(Ranked::new(if channel.is_some() { DIALPLAN_S_RANK } else { RANK }, line)),
        number: fields.get(&["from"]).map(|_| Ranked::new(RANK, number)),
        transferred: false,
        on_behalf: false,
        via_place: true,
        exact: channel.is_some(),
    })
}

/// The leg of an agent who called somebody.
fn placed(event: CallEvent, fields: &Fields<'_>, context: &Context<'_>) -> CallEvent {
    let What::Leg(leg) = event.what else { return event };
    let number = fields.get(&["to"]).map(|to| Ranked::new(RANK, context.numbering.read(to)));
    let leg = LegEvent { direction: Ranked::new(RANK, Direction::Out), number, via_place: false, ..leg };
    CallEvent { did: None, what: What::Leg(leg), ..event }
}

/// `101` of `PJSIP/101-00000002`, `+79990001122` of `PJSIP/+79990001122@trunk-0000003a`.
fn endpoint(channel: &str) -> Option<&str> {
    let name = channel.trim().rsplit('/').next().unwrap_or_default();
    let name = name.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once('-') {
        Some((endpoint, unique)) if unique.len() == 8 && unique.bytes().all(|b| b.is_ascii_hexdigit()) => endpoint,
        _ => name,
    };
    (!name.is_empty() && name.len() <= crate::domain::phone::LONGEST_EXTENSION).then_some(name)
}
