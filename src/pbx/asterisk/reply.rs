//! What the dialplan is answered: JSON, or for versions without `JSON_DECODE` the same in one line for `CUT()`.

use serde_json::{Value, json};

use super::Settings;
use crate::pbx::action::{Action, Line, Prompt};
use crate::pbx::{Reply, RoutingRequest};

/// The plain form: after the action these fields, in this order. A prompt is a `goto` that has a mode.
pub const PLAIN: &[(&str, &[&str])] = &[
    ("dial", &["device", "timeout", "offer", "agent", "place", "caller_id", "record"]),
    ("wait", &["seconds", "place", "greeting"]),
    ("goto", &["context", "exten", "place"]),
    ("prompt", &["context", "exten", "offer", "mode", "prompt", "key_timeout", "loops", "barge_in", "pause_ms"]),
    ("hangup", &["cause"]),
    ("none", &["again"]),
];

/// Of the last fields these are only there when they say something.
const RARE: &[&str] = &["record", "again"];

/// Where a field stands in the line, counted from 1.
pub fn position(action: &str, field: &str) -> Option<usize> {
    if field == "action" {
        return Some(1);
    }
    let (_, fields) = PLAIN.iter().find(|(name, _)| *name == action)?;
    fields.iter().position(|f| *f == field).map(|at| at + 2)
}

pub fn reply(settings: &Settings, action: &Action, asked: &RoutingRequest) -> Reply {
    let fields = say(settings, action, asked.dialled.as_deref().unwrap_or("s"));
    if asked.report.plain {
        return Reply { content_type: "text/plain; charset=utf-8", body: line(&fields) };
    }
    Reply { content_type: "application/json", body: fields.to_string() }
}

fn line(fields: &Value) -> String {
    let action = fields["action"].as_str().unwrap_or("none");
    let form = if fields.get("mode").is_some() { "prompt" } else { action };
    let order = PLAIN.iter().find(|(name, _)| *name == form).map_or(&[][..], |(_, fields)| fields);
    let mut line = action.to_owned();
    for field in order.iter().filter(|field| !RARE.contains(field) || !fields[**field].is_null()) {
        line.push('|');
        line.push_str(&plain(&fields[*field]));
    }
    line
}

/// No part of a line may end it, or begin another part.
fn plain(part: &Value) -> String {
    let text = match part {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c == '|' || c.is_control() { ' ' } else { c }).collect()
}

fn say(settings: &Settings, action: &Action, dialled: &str) -> Value {
    let goto = |context: &str, exten: &str, place: &str| json!({"action": "goto", "context": context, "exten": exten, "place": place});
    match action {
        Action::Name(Some(extension)) => {
            let device = settings.device(&Line::Extension(extension.clone())).unwrap_or_default();
            json!({"action": "dial", "device": device, "timeout": 60, "offer": ""})
        }
        Action::Dial(dial) => {
            let devices: Vec<String> = dial.lines.iter().filter_map(|line| settings.device(line)).collect();
            // To dial nothing ends the call.
            if devices.is_empty() {
                return say(settings, &Action::Default, dialled);
            }
            let (device, agent) = (devices.join("&"), dial.agents.join(","));
            let mut fields = json!({
                "action": "dial", "device": device, "agent": agent, "timeout": dial.timeout_s, "offer": dial.offer, "place": dial.place,
            });
            if let Some(number) = &dial.caller_id {
                fields["caller_id"] = json!(number);
            }
            if !dial.record {
                fields["record"] = json!(false);
            }
            fields
        }
        Action::Wait { seconds, place, greeting } => {
            let mut fields = json!({"action": "wait", "seconds": seconds, "place": place});
            if let Some(file) = greeting {
                fields["greeting"] = json!(file);
            }
            fields
        }
        Action::Prompt(prompt) => speak(settings, prompt),
        Action::Forward { number, place } => goto(&settings.forward_context, number, place),
        Action::Voicemail { place } => goto(&settings.voicemail_context, place, place),
        Action::Hangup { cause } => json!({"action": "hangup", "cause": cause}),
        // An action that the dialplan does not know sends the call where it would have gone without us.
        Action::Default if settings.default_context.is_empty() => json!({"action": "none"}),
        Action::Default => goto(&settings.default_context, dialled, ""),
        // We could not tell: a call that waits must not lose its place for that.
        Action::Name(None) => json!({"action": "none", "again": true}),
    }
}

fn speak(settings: &Settings, prompt: &Prompt) -> Value {
    json!({
        "action": "goto", "context": settings.ivr_context, "exten": prompt.node, "offer": prompt.offer, "mode": prompt.mode,
        "prompt": prompt.content, "barge_in": prompt.barge_in, "loops": prompt.loops, "pause_ms": prompt.pause_ms,
        "key_timeout": prompt.timeout_s, "voice": prompt.voice, "speed": prompt.speed,
    })
}
