//! IVRs over the API (section 10.4): contexts, options, ordered rules.
//!
//! A rule has the fields of its action and no other. `position` counts from 1 (the page does not know the field; it assumes this one): a PUT
//! may name it, and whether POST and PUT heed it the conditions say. What POST makes goes to the end.

use serde_json::{Map, Value, json};

use super::Pbx;
use super::directory::{Ivr, Method, PlacedRule, Rule};
use super::reply::Reply;
use super::rest::Request;

/// Each action with its fields; those with a question mark may be left out.
const ACTIONS: &[(&str, &[&str])] = &[
    ("call_interactive", &["call_interactive_url", "call_interactive_method"]),
    ("transfer_from_variable", &["transfer_variable"]),
    ("set_variable", &["set_variable_name", "set_variable_value"]),
    ("transfer", &["transfer_dst"]),
    ("simple_transfer", &["transfer_dst"]),
    ("hangup", &[]),
    ("play_silence", &["silence_time"]),
    ("play_sound", &["sound", "sound_type?"]),
    ("jump_to_context", &["context", "context_option"]),
    ("play_digits", &["digits", "play_digits_method?"]),
    ("play_digits_from_variable", &["play_digits_variable", "play_digits_method?"]),
    ("record_digits", &["record_digits_variable", "record_digits_max?", "record_digits_sound?"]),
    ("set_caller_id_number", &["caller_id_number"]),
    ("set_caller_id_name", &["caller_id_name"]),
    ("quality_rate", &["sound", "max_rate?"]),
];
/// Numbers that one transfer may name.
const TARGETS: usize = 10;

/// What follows `/extension/{id}/ivr/`; `None` is not found.
pub(super) fn answer(pbx: &Pbx, request: &Request, extension: u64, path: &[&str]) -> Option<Reply> {
    let mut state = pbx.state();
    let (heeds_post, heeds_put) = (state.conditions.post_position, state.conditions.put_position);
    let number = state.directory.by_id(extension)?.number.clone();
    let ivr = state.directory.ivrs.get_mut(&number)?;
    let reply = match (request.method.as_str(), path) {
        ("GET", [""]) => Ok(settings(ivr)),
        ("PUT", [""]) => change(ivr, request),
        ("GET", ["context", ""]) => Ok(Reply::ok(&contexts(ivr))),
        ("GET", ["context", id, "options", ""]) => {
            let id = known(ivr, id)?;
            let options: Vec<_> = ivr.rules.keys().filter(|(c, _)| *c == id).map(|(_, option)| json!({"option": option})).collect();
            Ok(Reply::ok(&options))
        }
        (_, ["context", id, "options", option, "rules", rest @ ..]) if is_option(option) => {
            let place = (known(ivr, id)?, (*option).to_owned());
            rules(ivr, request, place, rest, (heeds_post, heeds_put))?
        }
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refused| refused))
}

fn settings(ivr: &Ivr) -> Reply {
    Reply::json(
        200,
        &json!({"entry_context": ivr.entry_context, "lifetime": 3600, "lifetime_exp_action": "hangup", "sleep_time": 0, "vm_enabled": false}),
    )
}

fn change(ivr: &mut Ivr, request: &Request) -> Result<Reply, Reply> {
    let body: Map<String, Value> = request.json()?;
    for (name, value) in &body {
        let context = value.as_u64().filter(|id| name == "entry_context" && contexts(ivr).iter().any(|c| c["id"] == *id));
        ivr.entry_context = context.ok_or_else(|| Reply::bad_request(format!("Cannot set {name}")))?;
    }
    Ok(settings(ivr))
}

fn contexts(ivr: &Ivr) -> Vec<Value> {
    let mut ids: Vec<u64> = ivr.rules.keys().map(|(context, _)| *context).collect();
    ids.push(ivr.entry_context);
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| json!({"id": id, "name": if id == ivr.entry_context { "Main".to_owned() } else { format!("Context {id}") }}))
        .collect()
}

fn known(ivr: &Ivr, id: &str) -> Option<u64> {
    id.parse().ok().filter(|id| contexts(ivr).iter().any(|c| c["id"] == *id))
}

fn is_option(option: &str) -> bool {
    matches!(option, "start" | "timeout" | "invalid")
        || (!option.is_empty() && option.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b)))
}

fn rules(ivr: &mut Ivr, request: &Request, place: (u64, String), path: &[&str], heeds: (bool, bool)) -> Option<Result<Reply, Reply>> {
    let Ivr { rules, last_rule, .. } = ivr;
    let list = rules.entry(place).or_default();
    let at = |list: &[PlacedRule], id: &str| list.iter().position(|r| r.id.to_string() == id);
    Some(match (request.method.as_str(), path) {
        ("GET", [""]) => Ok(Reply::ok(&list.iter().enumerate().map(|(n, r)| shown(r, n)).collect::<Vec<_>>())),
        ("POST", [""]) => read(request, list.len() + 1).map(|(rule, position)| {
            *last_rule += 1;
            let n = position.filter(|_| heeds.0).map_or(list.len(), |p| p - 1);
            list.insert(n, PlacedRule { id: *last_rule, rule });
            Reply::ok(&shown(&list[n], n)).with_status(201)
        }),
        ("GET", [id]) => {
            let n = at(list, id)?;
            Ok(Reply::ok(&shown(&list[n], n)))
        }
        ("PUT", [id]) => {
            let n = at(list, id)?;
            read(request, list.len()).map(|(rule, position)| {
                let id = list.remove(n).id;
                let n = position.filter(|_| heeds.1).map_or(n, |p| p - 1);
                list.insert(n, PlacedRule { id, rule });
                Reply::ok(&shown(&list[n], n))
            })
        }
        ("DELETE", [id]) => {
            list.remove(at(list, id)?);
            Ok(Reply::no_content())
        }
        _ => return None,
    })
}

fn shown(rule: &PlacedRule, n: usize) -> Value {
    let mut shown = rule.rule.fields();
    shown["id"] = rule.id.into();
    shown["position"] = (n + 1).into();
    shown
}

/// A rule and the place that is asked for, at most `last`.
fn read(request: &Request, last: usize) -> Result<(Rule, Option<usize>), Reply> {
    let mut body: Map<String, Value> = request.json()?;
    let position = match body.remove("position") {
        None => None,
        Some(p) => {
            let p = p.as_u64().map(|p| p as usize).filter(|p| (1..=last).contains(p));
            Some(p.ok_or_else(|| Reply::bad_request(format!("position must be a number from 1 to {last}")))?)
        }
    };
    let action = body.get("action").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (_, fields) =
        ACTIONS.iter().find(|(name, _)| *name == action).ok_or_else(|| Reply::bad_request(format!("Unknown action: {action}")))?;
    if let Some(missing) = fields.iter().find(|f| !f.ends_with('?') && body.get(**f).is_none_or(|v| v.is_null() || v == "")) {
        return Err(Reply::bad_request(format!("Missing field: {missing}")));
    }
    if let Some(unknown) = body.keys().find(|k| *k != "action" && !fields.iter().any(|f| f.trim_end_matches('?') == *k)) {
        return Err(Reply::bad_request(format!("Unknown field of {action}: {unknown}")));
    }
    rule(&action, &body).map(|rule| (rule, position)).map_err(Reply::bad_request)
}

fn rule(action: &str, body: &Map<String, Value>) -> Result<Rule, String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("{name} must be a text"));
    Ok(match action {
        "call_interactive" => {
            let url = text("call_interactive_url")?;
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err("call_interactive_url must be an http or https URL".into());
            }
            let method = match text("call_interactive_method")?.as_str() {
                "GET" => Method::Get,
                "POST" => Method::Post,
                other => return Err(format!("call_interactive_method is {other}")),
            };
            Rule::CallInteractive { url, method }
        }
        "transfer_from_variable" => Rule::TransferFromVariable { variable: text("transfer_variable")? },
        "set_variable" => Rule::SetVariable { name: text("set_variable_name")?, value: text("set_variable_value")? },
        "transfer" | "simple_transfer" => {
            let to: Vec<String> = match &body["transfer_dst"] {
                Value::Array(list) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                _ => vec![text("transfer_dst")?],
            };
            match to.as_slice() {
                [one] if action == "transfer" => Rule::Transfer { to: one.clone() },
                [] => return Err("transfer_dst names nobody".into()),
                many if many.len() > TARGETS => return Err(format!("transfer_dst names more than {TARGETS}")),
                _ => Rule::Other(body.clone()),
            }
        }
        "hangup" => Rule::Hangup,
        "jump_to_context" => {
            let context = body["context"].as_u64().ok_or("context must be an id")?;
            Rule::Jump { context, option: text("context_option")? }
        }
        _ => Rule::Other(body.clone()),
    })
}

impl Rule {
    /// Its action with the fields of it.
    fn fields(&self) -> Value {
        match self {
            Rule::CallInteractive { url, method } => {
                json!({"action": "call_interactive", "call_interactive_url": url, "call_interactive_method": method})
            }
            Rule::TransferFromVariable { variable } => json!({"action": "transfer_from_variable", "transfer_variable": variable}),
            Rule::SetVariable { name, value } => json!({"action": "set_variable", "set_variable_name": name, "set_variable_value": value}),
            Rule::Transfer { to } => json!({"action": "transfer", "transfer_dst": to}),
            Rule::PlaySound { .. } => json!({"action": "play_sound", "sound": 1, "sound_type": "foreground"}),
            Rule::Jump { context, option } => json!({"action": "jump_to_context", "context": context, "context_option": option}),
            Rule::Hangup => json!({"action": "hangup"}),
            Rule::Other(fields) => Value::Object(fields.clone()),
        }
    }
}
