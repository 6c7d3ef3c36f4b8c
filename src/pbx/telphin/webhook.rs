//! What the PBX sends and what it is answered (sections 3 to 5 of the protocol page).
//!
//! Field names are read without regard to case, `null` and empty values are absent, the first of a repeated parameter counts, and the
//! query is read with the body, whichever the administrator chose.

use std::borrow::Cow;

use super::{Settings, history};
use crate::domain::agent::QueueLogin;
use crate::domain::event::{CallEvent, Direction, EndStatus, LegEnd, LegEvent, Phase, PlaceEnd, Ranked, Source, What};
use crate::domain::id;
use crate::domain::phone::{LONGEST_EXTENSION, Party};
use crate::domain::spec::ExtensionType;
use crate::domain::time::Timestamp;
use crate::pbx::{AgentReport, Context, HISTORY_HOOK, HookKind, Parameter, Raw, Reading, Reply, RoutingRequest, Unreadable, form};

pub fn hook(name: &str) -> Option<HookKind> {
    match name {
        "getmanager" => Some(HookKind::Routing),
        "event" => Some(HookKind::Event),
        "agent" => Some(HookKind::AgentEvent),
        _ => None,
    }
}

/// The parameters of a request.
struct Fields<'a>(Vec<Parameter<'a>>);

impl<'a> Fields<'a> {
    fn read(raw: Raw<'a>) -> Result<Fields<'a>, Unreadable> {
        let fields: Vec<Parameter<'_>> = form(raw.query.as_bytes()).chain(form(raw.body)).collect();
        // No text of a database may hold one.
        if fields.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Unreadable("a parameter holds a zero byte".into()));
        }
        Ok(Fields(fields))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref())?;
        (!value.trim().is_empty() && value != "null").then_some(value)
    }

    fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.trim().trim_matches('"').parse().ok()
    }

    fn is_yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v.trim().eq_ignore_ascii_case("yes"))
    }

    /// Nothing but the hook's own `key`.
    fn is_empty(&self) -> bool {
        self.0.iter().all(|(name, _)| name == "key")
    }
}

pub fn routing_request(raw: Raw<'_>, context: &Context<'_>) -> Result<RoutingRequest, Unreadable> {
    let fields = Fields::read(raw)?;
    Ok(RoutingRequest {
        call: fields.get("callid").map(|c| c.trim().to_owned()),
        caller: fields.get("calleridnum").unwrap_or_default().to_owned(),
        did: fields.get("calleddid").and_then(|d| context.numbering.read(d).external().map(str::to_owned)),
        asking_extension: fields.get("calledextension").and_then(|e| short(context, e)),
        ..RoutingRequest::default()
    })
}

/// Exactly one verb (section 3.2).
pub fn reply(settings: &Settings, extension: Option<&str>) -> Reply {
    let body = match extension {
        Some(extension) => format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Response><SetVar name="{}">{}</SetVar></Response>"#,
            escape(&settings.variable),
            escape(&settings.name_of(extension))
        ),
        None => r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#.into(),
    };
    Reply { content_type: "text/xml; charset=utf-8", body }
}

fn escape(text: &str) -> Cow<'_, str> {
    quick_xml::escape::escape(text)
}

pub fn events(raw: Raw<'_>, context: &Context<'_>) -> Result<Reading, Unreadable> {
    if raw.hook == HISTORY_HOOK {
        return history::record(raw.body, context);
    }
    let fields = Fields::read(raw)?;
    if fields.is_empty() {
        return Err(Unreadable("the event has no parameters".into()));
    }
    if raw.hook == "agent" {
        return agent_event(&fields, context);
    }
    let kind = fields.get("eventtype").ok_or_else(|| Unreadable("EventType is missing".into()))?.trim().to_ascii_lowercase();
    let at = event_time(&fields);
    let call = fields.get("callid").map(|c| c.trim().to_owned());
    let sub = fields.get("subcallid").map(|s| s.trim().to_owned());
    let place = place_name(&fields);
    let event = match kind.as_str() {
        "dial-in" | "dial-out" | "answer" | "hangup" => {
            let call = call.clone().ok_or_else(|| Unreadable("CallID is missing".into()))?;
            call_event(&kind, call, sub.clone(), at, &fields, context)?
        }
        // Messages, voicemail and status changes are kept as they came (section 4.3).
        _ => None,
    };
    let digest = match at {
        Some(_) => id::digest(&[
            kind.as_bytes(),
            call.unwrap_or_default().to_lowercase().as_bytes(),
            sub.unwrap_or_default().as_bytes(),
            place.unwrap_or_default().as_bytes(),
        ]),
        None => sorted_digest(&fields),
    };
    Ok(Reading { at: at.map_or(0, Timestamp::micros), digest, events: event.into_iter().collect(), agent: None })
}

/// Queue agents' events carry no time (section 6): the same news twice is the same entry, and its effect is the same anyway.
fn agent_event(fields: &Fields<'_>, context: &Context<'_>) -> Result<Reading, Unreadable> {
    for name in ["agent_id", "agent_status"] {
        fields.get(name).ok_or_else(|| Unreadable(format!("{name} is missing")))?;
    }
    // Another status than the two is kept, and means nothing to us.
    let login = fields.get("agent_status").and_then(|s| QueueLogin::parse(s.trim().to_ascii_lowercase().as_str()));
    let local = fields.get("extension_name").and_then(|e| short(context, e)).map(Party::Internal);
    let party = local.or_else(|| fields.get("agent_number").map(|n| context.numbering.read(n)));
    let agent = login.zip(party).map(|(login, party)| AgentReport { party, login });
    Ok(Reading { at: 0, digest: sorted_digest(fields), events: Vec::new(), agent })
}

fn sorted_digest(fields: &Fields<'_>) -> i64 {
    let mut pairs: Vec<&Parameter<'_>> = fields.0.iter().filter(|(name, _)| name != "key").collect();
    pairs.sort();
    let parts: Vec<&[u8]> = pairs.iter().flat_map(|(n, v)| [n.as_bytes(), v.as_bytes()]).collect();
    id::digest(&parts)
}

/// Microseconds since 1970 (section 4.3); nonsense is no time.
fn event_time(fields: &Fields<'_>) -> Option<Timestamp> {
    fields.integer("eventtime").filter(|t| (1..=Timestamp::MAX.0).contains(t)).map(Timestamp)
}

/// The PBX's name of the called extension, cut at `@`.
fn place_name(fields: &Fields<'_>) -> Option<String> {
    let name = fields.get("calledextension").or(fields.get("callerextension")).or(fields.get("callednumber"))?;
    Some(id::spelling(name.trim().split('@').next().unwrap_or_default()).to_owned())
}

/// The short form of an extension's name, whatever its prefix.
fn short(context: &Context<'_>, name: &str) -> Option<String> {
    let name = name.trim().split('@').next().unwrap_or_default();
    let own = context.numbering.own_extension(name).unwrap_or_else(|| name.rsplit('*').next().unwrap_or_default());
    (1..=LONGEST_EXTENSION).contains(&own.len()).then(|| own.to_owned())
}

fn call_event(
    kind: &str,
    call: String,
    sub: Option<String>,
    at: Option<Timestamp>,
    fields: &Fields<'_>,
    context: &Context<'_>,
) -> Result<Option<CallEvent>, Unreadable> {
    let did = fields.get("calleddid").and_then(|d| context.numbering.read(d).external().map(str::to_owned));
    let caller = fields.get("calleridnum").map(|n| context.numbering.read(n));
    let called_extension = fields.get("calledextension").and_then(|e| short(context, e));
    let caller_extension = fields.get("callerextension").and_then(|e| short(context, e));
    let direction = direction(kind, fields, called_extension.is_some());
    let whose = match direction.value {
        Direction::In => called_extension.clone().or_else(|| fields.get("callednumber").and_then(|n| short_if_own(context, n))),
        Direction::Out => caller_extension.clone().or_else(|| fields.get("calleridnum").and_then(|n| short_if_own(context, n))),
    };
    let bridged = fields.get("bridged").map(|b| b.trim().eq_ignore_ascii_case("yes"));
    let type_of = |e: &Option<String>| e.as_deref().and_then(|e| (context.extension_type)(e));
    let kind_of_place = match type_of(&whose) {
        Some(ExtensionType::Fax) => return Ok(None),
        Some(ExtensionType::Queue) => Some(true),
        Some(ExtensionType::Ivr) => Some(false),
        Some(ExtensionType::Phone) => None,
        None => bridged.map(|_| false),
    };
    if let Some(queue) = kind_of_place {
        let client = caller.filter(|c| c.external().is_some()).map(|c| Ranked::new(4, c));
        let what = match kind {
            "hangup" => {
                let length = fields.integer("duration").filter(|d| *d >= 0);
                let begun = at.zip(length).map(|(at, length)| Timestamp(at.micros().saturating_sub(length).max(0)));
                What::PlaceEnd(PlaceEnd { place: place_name(fields).unwrap_or_default(), queue, begun, bridged })
            }
            _ => What::Touched,
        };
        return Ok(Some(CallEvent { source: Source::Events, call, at, client, did, what }));
    }
    let key = match (&sub, &whose) {
        (Some(sub), _) => format!("s:{sub}"),
        (None, Some(extension)) => format!("x:{extension}"),
        (None, None) => return Err(Unreadable("neither SubCallID nor an extension says which leg this is".into())),
    };
    let remote = fields.get("remotenumber").map(|n| context.numbering.read(n));
    let transferred = fields.is_yes("transfered") || fields.is_yes("transferred");
    let (number, client) = match direction.value {
        Direction::In => {
            let number = match (&remote, &caller) {
                (Some(remote), _) => Some(Ranked::new(2, remote.clone())),
                (None, Some(caller)) => Some(Ranked::new(1, caller.clone())),
                (None, None) => None,
            };
            let client = match (&remote, &caller) {
                (Some(r), _) if r.external().is_some() => Some(Ranked::new(3, r.clone())),
                (None, Some(c)) if c.external().is_some() => Some(Ranked::new(4, c.clone())),
                _ => None,
            };
            (number, client)
        }
        Direction::Out => {
            let called = fields.get("callednumber").map(|n| context.numbering.read(n));
            let client = called.clone().filter(|c| c.external().is_some()).map(|c| Ranked::new(if transferred { 1 } else { 2 }, c));
            (called.map(|c| Ranked::new(1, c)), client)
        }
    };
    // An IVR or a queue names itself as the caller of what it passes on; between colleagues the caller's own number is an extension too.
    let outside = !matches!(&number, Some(Ranked { value: Party::Internal(_), .. }));
    let via_place = direction.value == Direction::In && remote.is_none() && outside && caller_extension.is_some();
    let phase = match kind {
        "answer" => Phase::Answer,
        "hangup" => Phase::End(LegEnd {
            status: fields.get("callstatus").map(end_status),
            duration_us: fields.integer("duration").map(|d| d.max(0)),
            talk_us: fields.integer("bridgedduration").map(|d| d.max(0)),
            record_id: fields.get("recid").map(str::trim).filter(|r| id::is_record(r)).map(str::to_owned),
        }),
        _ => Phase::Begin,
    };
    let rank = direction.rank;
    let what = What::Leg(LegEvent {
        key,
        sub_call_id: sub,
        phase,
        direction,
        extension: whose.map(|e| Ranked::new(rank, e)),
        number,
        transferred: transferred || (remote.is_some() && direction.value == Direction::In),
        on_behalf: fields.get("callbackid").is_some(),
        via_place,
        exact: false,
    });
    Ok(Some(CallEvent { source: Source::Events, call, at, client, did, what }))
}

fn short_if_own(context: &Context<'_>, name: &str) -> Option<String> {
    context.numbering.own_extension(name.trim().split('@').next().unwrap_or_default()).map(str::to_owned)
}

/// The dial events say it for sure; answers and hangups have CallFlow, in either case of letters.
fn direction(kind: &str, fields: &Fields<'_>, has_called_extension: bool) -> Ranked<Direction> {
    let flow = fields.get("callflow").map(|f| f.trim().to_ascii_lowercase());
    match (kind, flow.as_deref()) {
        ("dial-in", _) => Ranked::new(3, Direction::In),
        ("dial-out", _) => Ranked::new(3, Direction::Out),
        (_, Some("in")) => Ranked::new(2, Direction::In),
        (_, Some("out")) => Ranked::new(2, Direction::Out),
        _ => Ranked::new(1, if has_called_extension { Direction::In } else { Direction::Out }),
    }
}

/// Section 4.4; what is not listed there counts as not successful.
fn end_status(word: &str) -> EndStatus {
    match word.trim().to_ascii_uppercase().as_str() {
        "ANSWER" => EndStatus::Answered,
        "BUSY" => EndStatus::Busy,
        "NOANSWER" => EndStatus::NoAnswer,
        "CANCEL" => EndStatus::Cancelled,
        "CONGESTION" => EndStatus::Failed,
        "CHANUNAVAIL" => EndStatus::Unreachable,
        _ => EndStatus::Other,
    }
}
