//! The door of the PBX: every HTTP request comes in here and goes, in this order, past the faults, the check of `Accept-Encoding`, the token,
//! the hourly limit, to the resource that its method and path name.
//!
//! Paths are matched with their trailing slash exactly as the protocol page writes them; whatever is not listed is `404 Not found`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::reply::Reply;
use super::state::Served;
use super::{Pbx, agents, callback, control, extensions, history, ivr, live, oauth, records, subscriptions};
use crate::domain::time::Timestamp;

/// One request as data.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub now: Timestamp,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap_or_default()
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Refuses a query parameter that the resource does not have.
    pub fn only_params(&self, known: &[&str]) -> Result<(), Reply> {
        match self.query.iter().find(|(n, _)| !known.contains(&n.as_str())) {
            Some((name, _)) => Err(Reply::bad_request(format!("Unknown parameter: {name}"))),
            None => Ok(()),
        }
    }

    /// Reads a JSON body that is sent as JSON; an unknown, missing or mistyped field is refused by `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        if !self.header("content-type").starts_with("application/json") {
            return Err(Reply::bad_request("Content-Type must be application/json"));
        }
        serde_json::from_slice(&self.body).map_err(|e| Reply::bad_request(e.to_string()))
    }

    /// `page` from 1 and `per_page`, 30 unless told, 1000 at most; gives the items to skip and to take.
    pub fn paging(&self) -> Result<(usize, usize), Reply> {
        let number = |name: &str, default: usize, max: usize| match self.param(name).map(str::parse::<usize>) {
            None => Ok(default),
            Some(Ok(n)) if (1..=max).contains(&n) => Ok(n),
            Some(_) => Err(Reply::bad_request(format!("{name} must be a number from 1 to {max}"))),
        };
        let (page, per_page) = (number("page", 1, 1_000_000)?, number("per_page", 30, 1_000)?);
        Ok(((page - 1) * per_page, per_page))
    }

    fn accepts_gzip(&self) -> bool {
        self.header("accept-encoding").split(',').any(|c| c.split(';').next().is_some_and(|c| c.trim().eq_ignore_ascii_case("gzip")))
    }
}

/// The only handler of the server.
pub(super) async fn serve(request: HttpRequest, body: Bytes, pbx: web::Data<Arc<Pbx>>) -> HttpResponse {
    let pbx = pbx.get_ref();
    let request = Request {
        method: request.method().as_str().into(),
        path: request.path().into(),
        query: serde_urlencoded::from_str(request.query_string()).unwrap_or_default(),
        headers: request.headers().iter().map(|(n, v)| (n.as_str().into(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect(),
        body,
        now: pbx.clock.now(),
    };
    let reply = answer(pbx, &request).await;
    let half = !request.path.starts_with("/_sim/") && !reply.body.is_empty() && pbx.take_half_reply();
    pbx.state().serve(Served { method: request.method, path: request.path, status: reply.status });
    reply.respond(half)
}

async fn answer(pbx: &Arc<Pbx>, request: &Request) -> Reply {
    let path: Vec<&str> = request.path.split('/').skip(1).collect();
    if let ["_sim", rest @ ..] = &path[..] {
        return control::answer(pbx, request, rest).await;
    }
    let slow = pbx.conditions().slow_ms;
    if slow > 0 {
        tokio::time::sleep(Duration::from_millis(slow)).await;
    }
    let reply = match &path[..] {
        ["oauth", rest @ ..] => oauth::answer(pbx, request, rest),
        ["api", "ver1.0", rest @ ..] => {
            let reply = match gate(pbx, request) {
                Ok(()) => resource(pbx, request, rest).await,
                Err(refused) => refused,
            };
            rate_headers(pbx, request, reply)
        }
        ["storage", link] if request.method == "GET" => records::stored(pbx, request, link),
        _ => Reply::not_found(),
    };
    if request.accepts_gzip() { reply.gzip() } else { reply }
}

/// What every API request has to pass.
fn gate(pbx: &Pbx, request: &Request) -> Result<(), Reply> {
    if let Some(status) = pbx.take_failure() {
        let name = if status == 429 { "rate_limit_exceeded" } else { "error" };
        return Err(Reply::error(status, name, "A failure, as told"));
    }
    if !request.accepts_gzip() {
        return Err(Reply::bad_request("Accept-Encoding: gzip is mandatory"));
    }
    let app = oauth::bearer(pbx, request).ok_or_else(Reply::unauthorized)?;
    let mut state = pbx.state();
    let hour = hour_of(request.now);
    if state.hour.0 != hour {
        state.hour = (hour, 0);
    }
    // The client's total decides, also about an application with a limit of its own.
    let own = pbx.apps.iter().find(|a| a.id == app).and_then(|a| a.hourly_limit).unwrap_or(u64::MAX);
    if state.hour.1 >= state.conditions.hourly_limit.min(own) {
        return Err(Reply::error(429, "rate_limit_exceeded", "Rate limit exceeded"));
    }
    state.hour.1 += 1;
    if request.path.split('/').any(|part| state.conditions.forbidden.iter().any(|f| f == part)) {
        return Err(Reply::error(403, "forbidden", "Access denied"));
    }
    Ok(())
}

fn hour_of(now: Timestamp) -> i64 {
    now.micros().div_euclid(3_600_000_000)
}

fn rate_headers(pbx: &Pbx, request: &Request, reply: Reply) -> Reply {
    let state = pbx.state();
    let (limit, hour) = (state.conditions.hourly_limit, hour_of(request.now));
    let used = if state.hour.0 == hour { state.hour.1 } else { 0 };
    let reset = (hour + 1) * 3_600 - request.now.micros().div_euclid(1_000_000);
    let date = jiff::Timestamp::from_microsecond(request.now.plus_s(state.conditions.clock_ahead_s).micros()).unwrap_or_default();
    let reply = reply.header("date", date.strftime("%a, %d %b %Y %H:%M:%S GMT"));
    reply.header("x-ratelimit-limit", limit).header("x-ratelimit-remaining", limit.saturating_sub(used)).header("x-ratelimit-reset", reset)
}

/// The API's table of resources.
async fn resource(pbx: &Arc<Pbx>, request: &Request, path: &[&str]) -> Reply {
    let found = match (request.method.as_str(), path) {
        ("GET", ["user", ""]) => Some(extensions::user(pbx, request)),
        (_, ["client", client, rest @ ..]) if pbx.is_client(client) => of_client(pbx, request, rest).await,
        (_, ["extension", id, rest @ ..]) => match id.parse().ok().filter(|id| pbx.state().directory.by_id(*id).is_some()) {
            Some(id) => of_extension(pbx, request, id, rest).await,
            None => None,
        },
        _ => None,
    };
    found.unwrap_or_else(Reply::not_found)
}

async fn of_client(pbx: &Arc<Pbx>, request: &Request, path: &[&str]) -> Option<Reply> {
    Some(match (request.method.as_str(), path) {
        ("GET", ["extension", ""]) => extensions::list(pbx, request),
        ("GET", ["extension", id]) => extensions::one(pbx, id.parse().ok()?)?,
        ("GET", ["limit", ""]) => extensions::limits(pbx),
        ("GET", ["current_calls", ""]) => live::list(pbx, None),
        (_, ["agent", "local", rest @ ..]) => agents::answer(pbx, request, rest).await?,
        ("GET", ["call_history", rest @ ..]) => history::answer(pbx, request, rest).await?,
        (_, ["record", rest @ ..]) => records::answer(pbx, request, None, rest).await?,
        _ => return None,
    })
}

async fn of_extension(pbx: &Arc<Pbx>, request: &Request, id: u64, path: &[&str]) -> Option<Reply> {
    Some(match (request.method.as_str(), path) {
        (_, ["event", rest @ ..]) => subscriptions::answer(pbx, request, id, rest)?,
        (_, ["ivr", rest @ ..]) => ivr::answer(pbx, request, id, rest)?,
        ("GET", ["agent", ""]) => agents::of_extension(pbx, id),
        ("POST", ["callback", ""]) => callback::post(pbx, request, id),
        ("GET", ["current_calls", ""]) => live::list(pbx, Some(id)),
        ("DELETE", ["current_calls", api_id]) => live::hang_up(pbx, id, api_id)?,
        (_, ["record", rest @ ..]) => records::answer(pbx, request, Some(id), rest).await?,
        _ => return None,
    })
}
