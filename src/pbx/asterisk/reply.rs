//! What the dialplan is answered: JSON, or for versions without `JSON_DECODE` the same in one line for `CUT()`.

use serde_json::{Value, json};

use super::Settings;
use crate::pbx::action::{Action, Line, Prompt};
use crate::pbx::{Reply, RoutingRequest};

pub fn reply(settings: &Settings, action: &Action, asked: &RoutingRequest) -> Reply {
    let (fields, line) = say(settings, action, asked.dialled.as_deref().unwrap_or("s"));
    if asked.report.plain {
        return Reply {
            content_type: "text/plain; charset=utf-8",
            body: line.iter().map(|part| plain(part)).collect::<Vec<_>>().join("|"),
        };
    }
    Reply { content_type: "application/json", body: fields.to_string() }
}

/// No part of a line may end it, or begin another part.
fn plain(part: &str) -> String {
    part.chars().map(|c| if c == '|' || c.is_control() { ' ' } else { c }).collect()
}

/// The answer in both forms.
fn say(settings: &Settings, action: &Action, dialled: &str) -> (Value, Vec<String>) {
    let goto = |context: &str, exten: &str, place: &str| {
        let fields = json!({"action": "goto", "context": context, "exten": exten, "place": place});
        (fields, vec!["goto".to_owned(), context.to_owned(), exten.to_owned(), place.to_owned()])
    };
    match action {
        Action::Name(Some(extension)) => {
            let device = settings.device(&Line::Extension(extension.clone())).unwrap_or_default();
            (
                json!({"action": "dial", "device": device, "timeout": 60, "offer": ""}),
                vec!["dial".into(), device, "60".into(), String::new()],
            )
        }
        Action::Dial(dial) => {
            let devices: Vec<String> = dial.lines.iter().filter_map(|line| settings.device(line)).collect();
            let (device, agent) = (devices.join("&"), dial.agents.join(","));
            let line = ["dial", &device, &dial.timeout_s.to_string(), &dial.offer, &agent, &dial.place].map(str::to_owned).to_vec();
            let mut fields = json!({
                "action": "dial", "device": device, "agent": agent, "timeout": dial.timeout_s, "offer": dial.offer, "place": dial.place,
            });
            if let Some(number) = &dial.caller_id {
                fields["caller_id"] = json!(number);
            }
            (fields, line)
        }
        Action::Wait { seconds, place, greeting } => {
            let mut fields = json!({"action": "wait", "seconds": seconds, "place": place});
            if let Some(file) = greeting {
                fields["greeting"] = json!(file);
            }
            (fields, vec!["wait".into(), seconds.to_string(), place.clone()])
        }
        Action::Prompt(prompt) => speak(settings, prompt),
        Action::Forward { number, place } => goto(&settings.forward_context, number, place),
        Action::Voicemail { place } => goto(&settings.voicemail_context, place, place),
        Action::Hangup { cause } => (json!({"action": "hangup", "cause": cause}), vec!["hangup".into(), cause.to_string()]),
        // An action that the dialplan does not know sends the call where it would have gone without us.
        Action::Default | Action::Name(None) if settings.default_context.is_empty() => (json!({"action": "none"}), vec!["none".into()]),
        Action::Default | Action::Name(None) => goto(&settings.default_context, dialled, ""),
    }
}

fn speak(settings: &Settings, prompt: &Prompt) -> (Value, Vec<String>) {
    let fields = json!({
        "action": "goto", "context": settings.ivr_context, "exten": prompt.node, "offer": prompt.offer, "mode": prompt.mode,
        "prompt": prompt.content, "barge_in": prompt.barge_in, "loops": prompt.loops, "pause_ms": prompt.pause_ms,
        "key_timeout": prompt.timeout_s, "voice": prompt.voice, "speed": prompt.speed,
    });
    let line = ["goto", &settings.ivr_context, &prompt.node, &prompt.offer, prompt.mode, &prompt.content, &prompt.timeout_s.to_string()];
    (fields, line.map(str::to_owned).to_vec())
}
