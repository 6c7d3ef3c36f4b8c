//! Queue agents (sections 6 and 10): every phone of a queue is one. Logged out, no queue rings it; other calls reach it.
//!
//! Their events go out on a change of status only and have the lower-case fields of section 6: no EventType, no time. The page tells of the
//! subscriptions and of no way to set a status; `PUT .../agent/local/{id}` `{"status"}` is by the manner of the other resources.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Pbx;
use super::deliver::{self, Delivery, Outcome};
use super::directory::{Extension, Method};
use super::event::encode;
use super::reply::Reply;
use super::rest::Request;
use super::state::{State, Subscription};

/// The id of the agent on a phone.
fn id_of(phone: &Extension) -> u64 {
    phone.id + 100_000
}

impl State {
    /// The phones of all queues.
    fn agents(&self) -> Vec<Extension> {
        let numbers = self.directory.queues.values().flat_map(|q| &q.phones);
        let mut found: Vec<Extension> = numbers.filter_map(|n| self.directory.by_number(n)).cloned().collect();
        found.sort_by_key(|e| e.id);
        found.dedup_by_key(|e| e.id);
        found
    }

    fn status(&self, agent: u64) -> &'static str {
        if self.logged_out.contains(&agent) { "logged_out" } else { "available" }
    }

    fn agent(&self, phone: &Extension) -> Value {
        let id = id_of(phone);
        json!({"id": id, "extension_id": phone.id, "extension_name": phone.name(), "status": self.status(id)})
    }

    pub(super) fn takes_queue_calls(&self, phone: &Extension) -> bool {
        !self.logged_out.contains(&id_of(phone))
    }

    pub(super) fn available_agents(&self) -> Vec<String> {
        self.agents().into_iter().filter(|e| self.takes_queue_calls(e)).map(|e| e.number).collect()
    }

    pub(super) fn subscribe_agents(&mut self, url: &str) {
        for phone in self.agents() {
            for kind in TYPES {
                self.subscribe_agent(id_of(&phone), url.into(), Method::Post, kind.into());
            }
        }
    }

    fn subscribe_agent(&mut self, agent: u64, url: String, method: Method, event_type: String) -> Subscription {
        self.last_subscription += 1;
        let made = Subscription { id: self.last_subscription, extension_id: agent, url, method, event_type };
        self.agent_subscriptions.insert(made.id, made.clone());
        made
    }
}

/// What a subscription may name.
const TYPES: [&str; 2] = ["agent-login", "agent-logout"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    url: String,
    event_type: String,
    method: Method,
}

/// `GET /extension/{id}/agent/`
pub(super) fn of_extension(pbx: &Pbx, extension: u64) -> Reply {
    list(pbx, Some(extension))
}

fn list(pbx: &Pbx, extension: Option<u64>) -> Reply {
    let state = pbx.state();
    let found = state.agents().into_iter().filter(|e| extension.is_none_or(|id| id == e.id));
    Reply::ok(&found.map(|e| state.agent(&e)).collect::<Vec<_>>())
}

/// What follows `/client/{id}/agent/local/`; `None` is a resource that does not exist.
pub(super) async fn answer(pbx: &Arc<Pbx>, request: &Request, path: &[&str]) -> Option<Reply> {
    if path == [""] && request.method == "GET" {
        let wanted = request.only_params(&["extension_id"]).map(|()| request.param("extension_id").map(str::parse::<u64>));
        return Some(match wanted {
            Ok(None) => list(pbx, None),
            Ok(Some(Ok(id))) => list(pbx, Some(id)),
            Ok(Some(Err(_))) => Reply::bad_request("extension_id must be a number"),
            Err(refused) => refused,
        });
    }
    let id: u64 = path.first()?.parse().ok()?;
    let phone = pbx.state().agents().into_iter().find(|e| id_of(e) == id)?;
    let reply = match (request.method.as_str(), &path[1..]) {
        ("GET", []) => Ok(Reply::ok(&pbx.state().agent(&phone))),
        ("PUT", []) => match request.json::<Status>() {
            Ok(new) if new.status == "available" || new.status == "logged_out" => {
                set(pbx, &phone.number, new.status == "available", "api").await;
                Ok(Reply::ok(&pbx.state().agent(&phone)))
            }
            Ok(new) => Err(Reply::bad_request(format!("Unknown status: {}", new.status))),
            Err(refused) => Err(refused),
        },
        ("GET", ["event", ""]) => {
            let state = pbx.state();
            Ok(Reply::ok(&state.agent_subscriptions.values().filter(|s| s.extension_id == id).collect::<Vec<_>>()))
        }
        ("POST", ["event", ""]) => subscribe(pbx, request, id),
        ("DELETE", ["event", subscription]) => {
            let subscription: u64 = subscription.parse().ok()?;
            let mut state = pbx.state();
            state.agent_subscriptions.get(&subscription).filter(|s| s.extension_id == id)?;
            state.agent_subscriptions.remove(&subscription);
            Ok(Reply::no_content())
        }
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refused| refused))
}

fn subscribe(pbx: &Pbx, request: &Request, agent: u64) -> Result<Reply, Reply> {
    let body: Subscribe = request.json()?;
    let host = body.url.strip_prefix("http://").or_else(|| body.url.strip_prefix("https://"));
    if host.is_none_or(|h| h.is_empty() || h.starts_with('/')) || body.url.contains(char::is_whitespace) {
        return Err(Reply::bad_request("url must be an http or https URL"));
    }
    if !TYPES.contains(&body.event_type.as_str()) {
        return Err(Reply::bad_request(format!("Unknown event_type: {}", body.event_type)));
    }
    let mut state = pbx.state();
    let limit = state.conditions.subscription_limit;
    if state.agent_subscriptions.values().filter(|s| s.extension_id == agent).count() >= limit {
        return Err(Reply::bad_request(format!("The limit of {limit} events is reached")));
    }
    Ok(Reply::ok(&state.subscribe_agent(agent, body.url, body.method, body.event_type)).with_status(201))
}

/// Logs an agent in or out and tells the subscribers; false when that is no change.
pub(super) async fn set(pbx: &Arc<Pbx>, phone: &str, available: bool, source: &str) -> bool {
    let (form, receivers) = {
        let mut state = pbx.state();
        let Some(phone) = state.agents().into_iter().find(|e| e.number == phone) else { return false };
        let id = id_of(&phone);
        let changed = if available { state.logged_out.remove(&id) } else { state.logged_out.insert(id) };
        if !changed {
            return false;
        }
        let fields = [
            ("agent_id", id.to_string()),
            ("agent_status", state.status(id).into()),
            ("agent_type", "local".into()),
            ("extension_name", phone.full_name()),
            ("event_source", source.into()),
        ];
        let kind = if available { TYPES[0] } else { TYPES[1] };
        let wanted = state.agent_subscriptions.values().filter(|s| s.extension_id == id && s.event_type == kind);
        (encode(fields, false), wanted.cloned().collect::<Vec<_>>())
    };
    for to in receivers {
        tell(pbx, &to, &form).await;
    }
    true
}

async fn tell(pbx: &Arc<Pbx>, to: &Subscription, form: &str) {
    let (sent, began) = (pbx.clock.now(), Instant::now());
    let limit = Duration::from_millis(pbx.conditions().delivery_limit_ms);
    let outcome = match pbx.http.send(deliver::request(&to.url, to.method, form), limit).await {
        Ok(response) => Outcome::Answered { status: response.status },
        Err(e) => Outcome::Failed { error: e.to_string() },
    };
    let delivery = Delivery {
        subscription_id: to.id,
        extension_id: to.extension_id,
        url: to.url.clone(),
        method: to.method,
        event_type: to.event_type.clone(),
        call_id: String::new(),
        form: form.to_owned(),
        sent,
        took_us: began.elapsed().as_micros() as u64,
        outcome,
    };
    pbx.state().remember(delivery);
}
