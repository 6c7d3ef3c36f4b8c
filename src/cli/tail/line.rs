//! One row as a line: text for eyes and grep, or JSON. Numbers are masked as in the logs.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::follow::Row;
use crate::domain::decision::Decision;
use crate::domain::event::{CallEvent, Direction, EndStatus, LegEvent, Phase, What};
use crate::domain::phone::Party;
use crate::domain::time::Timestamp;
use crate::ingest::raw_of;
use crate::roster::App;
use crate::store::journal::Entry;
use crate::telemetry::mask;

/// Writes a row: a line for each thing that an event says, one for a decision.
pub fn write(row: &Row, app: &App, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let lines = match row {
        Row::Event(entry) => event(entry, app),
        Row::Decision(decision) => vec![self::decision(decision)],
    };
    for line in lines {
        print(row.at(), line, json, out)?;
    }
    Ok(())
}

/// Writes how the connection to the PBX fares.
pub fn link(state: &(Timestamp, String), app: &App, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let path = format!("/cid/{}/ami/{}", app.id(), app.spec.login);
    print(state.0, vec![("path", path.into()), ("outcome", state.1.as_str().into())], json, out)
}

fn print(at: Timestamp, line: Line, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut fields = vec![("at", Value::from(at.rfc3339()))];
    fields.extend(line);
    match json {
        true => writeln!(out, "{}", Value::Object(fields.into_iter().map(|(k, v)| (k.into(), v)).collect::<Map<_, _>>())),
        false => writeln!(out, "{}", text(&fields)),
    }
}

type Line = Vec<(&'static str, Value)>;

/// The first two fields bare, then `name=value`, then the outcome bare.
fn text(fields: &[(&'static str, Value)]) -> String {
    let words = fields.iter().enumerate().map(|(i, (name, value))| {
        let value = match value {
            Value::String(text) if *name == "outcome" || *name == "reason" => printable(text),
            Value::String(text) => word(text),
            other => other.to_string(),
        };
        if i < 2 || *name == "outcome" || *name == "reason" { value } else { format!("{name}={value}") }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A value without blanks as it is, any other in quotes.
fn word(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    if bare { text.to_owned() } else { format!("{text:?}") }
}

/// PBXs write into our lines: what moves a cursor or ends a line is escaped.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

fn event(entry: &Entry, app: &App) -> Vec<Line> {
    let path = Value::from(format!("/cid/{}/{}/{}", entry.application, entry.hook, app.spec.login));
    let reading = app.with_context(|context| app.pbx.events(raw_of(entry), context));
    let events = reading.as_ref().map(|reading| reading.events.as_slice()).unwrap_or_default();
    let reason = entry.error.clone().or_else(|| reading.as_ref().err().map(|unreadable| unreadable.0.clone()));
    if events.is_empty() {
        let outcome = reason.map_or("stored".to_owned(), |reason| format!("unreadable: {reason}"));
        return vec![vec![("path", path), ("outcome", outcome.into())]];
    }
    let line = |event: &CallEvent| {
        let mut line = vec![("path", path.clone()), ("call", Value::from(event.call.as_str()))];
        line.extend(event.did.as_ref().map(|did| ("did", Value::from(mask(did).to_string()))));
        let outcome = what(event, &mut line);
        let outcome = reason.as_ref().map_or(outcome.clone(), |reason| format!("{outcome}, not applied: {reason}"));
        line.push(("outcome", outcome.into()));
        line
    };
    events.iter().map(line).collect()
}

fn what(event: &CallEvent, line: &mut Line) -> String {
    let client = event.client.as_ref().map(|client| &client.value);
    match &event.what {
        What::Leg(leg) => {
            line.push(("leg", leg.sub_call_id.as_deref().unwrap_or(&leg.key).into()));
            line.extend(leg.extension.as_ref().map(|extension| ("extension", Value::from(extension.value.as_str()))));
            line.push(("direction", if leg.direction.value == Direction::In { "in" } else { "out" }.into()));
            let number = leg.number.as_ref().map(|number| &number.value).or(client);
            line.extend(number.map(|number| ("number", party(number))));
            phase(leg)
        }
        What::PlaceEnd(end) => {
            line.push((if end.queue { "queue" } else { "ivr" }, end.place.as_str().into()));
            line.extend(client.map(|number| ("number", party(number))));
            match end.bridged {
                Some(true) => "end, bridged",
                Some(false) => "end, not bridged",
                None => "end",
            }
            .into()
        }
        What::Touched => {
            line.extend(client.map(|number| ("number", party(number))));
            "begin".into()
        }
        What::Taken => "taken".into(),
        What::Over => "over".into(),
    }
}

fn party(party: &Party) -> Value {
    match party {
        Party::External(number) | Party::Internal(number) => mask(number).to_string().into(),
        Party::Unknown => "unknown".into(),
    }
}

fn phase(leg: &LegEvent) -> String {
    let end = match &leg.phase {
        Phase::Begin => return "begin".into(),
        Phase::Answer => return "answer".into(),
        Phase::Outcome(status) => return format!("outcome{}", status_text(Some(*status))),
        Phase::End(end) => end,
    };
    let talk = end.talk_us.filter(|us| *us > 0).map_or(String::new(), |us| format!(", {:.1} s of talk", us as f64 / 1e6));
    format!("end{}{talk}", status_text(end.status))
}

fn status_text(status: Option<EndStatus>) -> &'static str {
    match status {
        None => "",
        Some(EndStatus::Answered) => ", answered",
        Some(EndStatus::Busy) => ", busy",
        Some(EndStatus::Rejected) => ", rejected",
        Some(EndStatus::NoAnswer) => ", no answer",
        Some(EndStatus::Cancelled) => ", cancelled",
        Some(EndStatus::Failed) => ", failed",
        Some(EndStatus::Unreachable) => ", unreachable",
        Some(EndStatus::Other) => ", for another reason",
    }
}

fn decision(decision: &Decision) -> Line {
    let mut line = vec![("decision", Value::from(decision.id.as_str()))];
    line.extend(decision.pbx_call_id.as_ref().map(|call| ("call", Value::from(call.as_str()))));
    line.push(("number", mask(&decision.caller).to_string().into()));
    line.push(("agents", decision.agents.join(",").into()));
    line.push(("took_ms", (decision.took_us as f64 / 1_000.0).into()));
    line.push(("late", decision.late.into()));
    line.push(("outcome", format!("decided: {}", decision.outcome).into()));
    line.push(("reason", format!("({})", decision.reason).into()));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_stay_in_their_line() {
        let fields = vec![
            ("at", "t".into()),
            ("path", "/cid/807/event/L".into()),
            ("call", "a b\u{1b}[2J\n".into()),
            ("outcome", "end\r\nx".into()),
        ];
        assert_eq!(text(&fields), r#"t /cid/807/event/L call="a b\u{1b}[2J\n" end\r\nx"#);
    }
}
