//! Event subscriptions of an extension (section 4.1).

use serde::Deserialize;

use super::Pbx;
use super::directory::Method;
use super::event::SUBSCRIBABLE;
use super::reply::Reply;
use super::rest::Request;
use super::state::Subscription;

/// The body of POST and PUT: all three fields are mandatory, no other is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    url: String,
    event_type: String,
    method: Method,
}

impl Body {
    fn read(request: &Request) -> Result<Body, Reply> {
        let body: Body = request.json()?;
        let host = body.url.strip_prefix("http://").or_else(|| body.url.strip_prefix("https://"));
        if host.is_none_or(|h| h.is_empty() || h.starts_with('/')) || body.url.contains(char::is_whitespace) {
            return Err(Reply::bad_request("url must be an http or https URL"));
        }
        if !SUBSCRIBABLE.contains(&body.event_type.as_str()) {
            return Err(Reply::bad_request(format!("Unknown event_type: {}", body.event_type)));
        }
        Ok(body)
    }
}

/// What follows `/extension/{id}/event/`; `None` is not found.
pub(super) fn answer(pbx: &Pbx, request: &Request, extension: u64, path: &[&str]) -> Option<Reply> {
    let reply = match (request.method.as_str(), path) {
        ("GET", [""]) => Ok(Reply::ok(&of(pbx, extension))),
        ("POST", [""]) => create(pbx, request, extension),
        ("DELETE", [""]) => {
            let mut state = pbx.state();
            state.delete_all_calls += 1;
            state.subscriptions.retain(|_, s| s.extension_id != extension);
            Ok(Reply::no_content())
        }
        ("GET", [id]) => Ok(Reply::ok(&one(pbx, extension, id)?)),
        ("PUT", [id]) => {
            let old = one(pbx, extension, id)?;
            Body::read(request).map(|body| {
                let new = Subscription { url: body.url, method: body.method, event_type: body.event_type, ..old };
                pbx.state().subscriptions.insert(new.id, new.clone());
                Reply::ok(&new)
            })
        }
        ("DELETE", [id]) => {
            let old = one(pbx, extension, id)?;
            pbx.state().subscriptions.remove(&old.id);
            Ok(Reply::no_content())
        }
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refused| refused))
}

fn of(pbx: &Pbx, extension: u64) -> Vec<Subscription> {
    pbx.state().subscriptions.values().filter(|s| s.extension_id == extension).cloned().collect()
}

fn one(pbx: &Pbx, extension: u64, id: &str) -> Option<Subscription> {
    let id: u64 = id.parse().ok()?;
    pbx.state().subscriptions.get(&id).filter(|s| s.extension_id == extension).cloned()
}

fn create(pbx: &Pbx, request: &Request, extension: u64) -> Result<Reply, Reply> {
    let body = Body::read(request)?;
    let mut state = pbx.state();
    let limit = state.conditions.subscription_limit;
    if state.subscriptions.values().filter(|s| s.extension_id == extension).count() >= limit {
        return Err(Reply::bad_request(format!("The limit of {limit} events is reached")));
    }
    let id = state.subscribe(extension, body.url, body.method, body.event_type);
    let made = state.subscriptions.get(&id).cloned();
    Ok(Reply::ok(&made).with_status(201))
}
