//! `/cid/{app}/{hook}/{login}`: what PBXs call.
//!
//! In this order: the application and its login (404), the source address and the key (403), the body (413 for events), then the work. Past
//! the checks a routing hook answers 200 with something that its PBX can obey, whatever happens here and never later than the deadline; an
//! event hook answers 200 only for what is stored and applied.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use metrics::{counter, histogram};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::peer::client_address;
use crate::app::Hookflash;
use crate::domain::decision::{Decision, Outcome};
use crate::domain::id;
use crate::ingest::{self, Accepted};
use crate::lookup::{self, Mode};
use crate::pbx::{HookKind, Raw, RoutingRequest};
use crate::roster::App;
use crate::telemetry::{mask, metric, millis};

/// Larger bodies are no events.
const MAX_BODY: usize = 1 << 20;

/// One request past its checks.
struct Hook<'a> {
    server: &'a Data<Hookflash>,
    app: Arc<App>,
    name: &'a str,
    login: &'a str,
    path: &'a str,
    started: Instant,
}

pub async fn hook(request: HttpRequest, path: Path<(String, String, String)>, payload: Payload, server: Data<Hookflash>) -> HttpResponse {
    let started = Instant::now();
    let (app, name, login) = path.into_inner();
    let (app, kind) = match admit(&request, &server, &app, &name, &login) {
        Ok(admitted) => admitted,
        Err(refused) => return refuse(&request, refused, started),
    };
    let hook = Hook { server: &server, app, name: &name, login: &login, path: request.path(), started };
    let body = read_body(payload).await;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let raw = |body| Raw { hook: &name, query: request.query_string(), content_type, body };
    let response = match (kind, body) {
        (HookKind::Routing, Ok(body)) => hook.route(hook.app.with_context(|c| hook.app.pbx.routing_request(raw(&body), c))).await,
        (HookKind::Routing, Err(_)) => hook.route(RoutingRequest::default()).await,
        (_, Ok(body)) => hook.event(raw(&body), kind).await,
        (_, Err(BodyError::TooLarge)) => hook.refuse_event(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB", None),
        (_, Err(BodyError::Broken)) => hook.refuse_event(StatusCode::BAD_REQUEST, "the body broke off", None),
    };
    let labels = [("pbx", hook.app.spec.pbx.as_str()), ("hook", hook_label(kind))];
    histogram!(metric::HOOK_SECONDS, &labels).record(started.elapsed().as_secs_f64());
    counter!(metric::HOOK_REQUESTS, "pbx" => labels[0].1, "hook" => labels[1].1, "status" => status_label(response.status())).increment(1);
    response
}

fn hook_label(kind: HookKind) -> &'static str {
    match kind {
        HookKind::Routing => "routing",
        HookKind::Event => "event",
        HookKind::AgentEvent => "agent",
    }
}

fn status_label(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        400 => "400",
        413 => "413",
        503 => "503",
        _ => "other",
    }
}

/// Why a request is not let in; what is said about it tells nothing else of the application.
enum Refused {
    Method,
    Unknown,
    Address(i64),
    Key(i64),
}

fn admit(request: &HttpRequest, server: &Hookflash, app: &str, hook: &str, login: &str) -> Result<(Arc<App>, HookKind), Refused> {
    if request.method() != Method::GET && request.method() != Method::POST {
        return Err(Refused::Method);
    }
    let id = app.parse::<i64>().map_err(|_| Refused::Unknown)?;
    let app = server.roster.app(id).filter(|a| a.spec.login == login).ok_or(Refused::Unknown)?;
    let kind = app.pbx.hook(hook).ok_or(Refused::Unknown)?;
    if !app.spec.allow_ips.is_empty() {
        let from: Option<IpAddr> = client_address(request, &server.settings.server.trusted_proxies);
        if !from.is_some_and(|ip| app.spec.allow_ips.iter().any(|net| net.contains(&ip))) {
            return Err(Refused::Address(id));
        }
    }
    match &app.key {
        None => {}
        Some(Ok(key)) if has_key(request.query_string(), key.expose_secret()) => {}
        Some(_) => return Err(Refused::Key(id)),
    }
    Ok((app, kind))
}

fn has_key(query: &str, key: &str) -> bool {
    let given: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    given.iter().find(|(name, _)| name == "key").is_some_and(|(_, value)| value.as_bytes().ct_eq(key.as_bytes()).into())
}

fn refuse(request: &HttpRequest, refused: Refused, started: Instant) -> HttpResponse {
    let (status, title, app) = match refused {
        Refused::Method => (StatusCode::METHOD_NOT_ALLOWED, "use GET or POST", None),
        Refused::Unknown => (StatusCode::NOT_FOUND, "there is no such hook", None),
        Refused::Address(app) => (StatusCode::FORBIDDEN, "this source address is not allowed", Some(app)),
        Refused::Key(app) => (StatusCode::FORBIDDEN, "the key is missing or wrong", Some(app)),
    };
    tracing::warn!(path = request.path(), app, status = status.as_u16(), took_ms = millis(started.elapsed()), "hook refused: {title}");
    problem(status, title)
}

/// A problem body of one line.
fn problem(status: StatusCode, title: &str) -> HttpResponse {
    let body = serde_json::json!({"type": "about:blank", "title": title, "status": status.as_u16()});
    let mut response = HttpResponse::build(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.insert_header((header::ALLOW, "GET, POST"));
    }
    response.content_type("application/problem+json").body(body.to_string())
}

enum BodyError {
    TooLarge,
    Broken,
}

async fn read_body(mut payload: Payload) -> Result<Bytes, BodyError> {
    let mut first: Option<Bytes> = None;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        match &first {
            None if chunk.len() <= MAX_BODY => first = Some(chunk),
            None => return Err(BodyError::TooLarge),
            Some(head) => {
                if head.len() + rest.len() + chunk.len() > MAX_BODY {
                    return Err(BodyError::TooLarge);
                }
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(match first {
        None => Bytes::new(),
        Some(head) if rest.is_empty() => head,
        Some(head) => [&head[..], &rest[..]].concat().into(),
    })
}

impl Hook<'_> {
    async fn route(&self, asked: RoutingRequest) -> HttpResponse {
        let (server, app) = (self.server.clone(), self.app.clone());
        let deadline =
            app.spec.routing.deadline_ms.map_or(server.settings.routing.deadline(), |ms| Duration::from_millis(ms.max(1) as u64));
        let claim_s = server.settings.routing.claim().as_secs() as i64;
        let request = asked.clone();
        let mut work = Box::pin(async move { lookup::decide(&server.db, &server.clock, &app, &request, Mode::Live { claim_s }).await });
        match tokio::time::timeout(deadline, &mut work).await {
            Ok(Ok(answer)) => {
                self.say(&asked, answer.extension.as_deref(), &answer.decision_id, answer.decision.as_ref());
                if let Some(decision) = answer.decision {
                    counter!(metric::DECISIONS, "pbx" => self.app.spec.pbx.as_str(), "outcome" => decision.outcome.as_str()).increment(1);
                    self.server.db.decide(decision, self.app.id()).await;
                }
                self.learn(&asked);
                self.reply(answer.extension.as_deref(), &answer.decision_id)
            }
            Ok(Err(error)) => {
                tracing::error!(path = self.path, app = self.app.id(), %error, "a lookup failed; the safe reply was given");
                self.safe(&asked, "The store could not be read.", false).await
            }
            Err(_) => {
                counter!(metric::DECISIONS_LATE, "pbx" => self.app.spec.pbx.as_str()).increment(1);
                let (server, app) = (self.server.clone(), self.app.id());
                actix_web::rt::spawn(async move {
                    // The answer is gone; whoever it would have named must not be kept for it.
                    if let Ok(answer) = work.await
                        && let (Some((agent, call)), Some(_)) = (answer.claim, answer.decision)
                        && let Err(error) = lookup::withdraw(&server.db, &server.clock, app, agent, call).await
                    {
                        tracing::warn!(app, %error, "a claim of a late answer ends by its time");
                    }
                });
                self.safe(&asked, "The deadline passed before an answer was found.", true).await
            }
        }
    }

    /// The answer when we have none: nobody, or the application's fallback.
    async fn safe(&self, asked: &RoutingRequest, reason: &str, late: bool) -> HttpResponse {
        let now = self.server.clock.now();
        let decision = Decision {
            id: id::fresh(now),
            at: now,
            call: asked.call.as_deref().map(|c| id::call_id(self.app.id(), c)),
            pbx_call_id: asked.call.clone(),
            caller: asked.caller.chars().take(64).collect(),
            outcome: Outcome::Nobody,
            agents: Vec::new(),
            reason: reason.to_owned(),
            candidates: Vec::new(),
            took_us: self.started.elapsed().as_micros() as i64,
            late,
        };
        let fallback = Some(self.app.spec.routing.fallback.as_str()).filter(|f| !f.is_empty());
        self.say(asked, fallback, &decision.id, Some(&decision));
        let response = self.reply(fallback, &decision.id);
        self.server.db.decide_later(decision, self.app.id());
        response
    }

    fn reply(&self, extension: Option<&str>, decision: &str) -> HttpResponse {
        let reply = self.app.pbx.routing_reply(extension);
        HttpResponse::Ok().content_type(reply.content_type).insert_header(("x-hookflash-decision", decision)).body(reply.body)
    }

    fn say(&self, asked: &RoutingRequest, extension: Option<&str>, decision: &str, new: Option<&Decision>) {
        tracing::info!(
            path = self.path,
            app = self.app.id(),
            login = self.login,
            call = asked.call.as_deref(),
            decision,
            caller = %mask(&asked.caller),
            extension = extension.unwrap_or("nobody"),
            repeated = new.is_none(),
            late = new.is_some_and(|d| d.late),
            took_ms = millis(self.started.elapsed()),
            "routed"
        );
    }

    /// The extension that asks is an IVR (contract, "Telphin particulars"); remembering it makes its later events readable.
    fn learn(&self, asked: &RoutingRequest) {
        if let Some(extension) = asked.asking_extension.as_deref().filter(|e| self.app.extension_type(e).is_none()) {
            let (server, app, extension) = (self.server.clone(), self.app.id(), extension.to_owned());
            actix_web::rt::spawn(async move {
                if let Err(error) = crate::declare::learn_ivr(&server.db, &server.roster, app, &extension, &server.clock).await {
                    tracing::warn!(app, extension, %error, "an IVR could not be remembered");
                }
            });
        }
    }

    async fn event(&self, raw: Raw<'_>, kind: HookKind) -> HttpResponse {
        match ingest::accept(&self.server.db, &self.app, raw, kind, &self.server.clock).await {
            Ok(delivery) => {
                let outcome = match &delivery.accepted {
                    Accepted::Applied => "applied",
                    Accepted::Duplicate => "duplicate",
                    Accepted::Unreadable(_) => "unreadable",
                };
                counter!(metric::EVENTS, "pbx" => self.app.spec.pbx.as_str(), "outcome" => outcome).increment(1);
                if let Accepted::Unreadable(reason) = &delivery.accepted {
                    return self.refuse_event(StatusCode::BAD_REQUEST, reason, delivery.call.as_deref());
                }
                tracing::info!(
                    path = self.path,
                    app = self.app.id(),
                    login = self.login,
                    call = delivery.call.as_deref(),
                    leg = delivery.leg.as_deref(),
                    hook = self.name,
                    kind = delivery.kind,
                    outcome,
                    took_ms = millis(self.started.elapsed()),
                    "event"
                );
                HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK")
            }
            Err(error) => {
                counter!(metric::EVENTS, "pbx" => self.app.spec.pbx.as_str(), "outcome" => "failed").increment(1);
                tracing::error!(path = self.path, app = self.app.id(), login = self.login, %error, "an event could not be stored");
                problem(StatusCode::SERVICE_UNAVAILABLE, "the event could not be stored; send it again")
            }
        }
    }

    fn refuse_event(&self, status: StatusCode, reason: &str, call: Option<&str>) -> HttpResponse {
        let took_ms = millis(self.started.elapsed());
        let status_code = status.as_u16();
        tracing::warn!(
            path = self.path,
            app = self.app.id(),
            login = self.login,
            call,
            status = status_code,
            reason,
            took_ms,
            "event refused"
        );
        problem(status, reason)
    }
}
