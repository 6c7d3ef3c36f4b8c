//! `/cid/{app}/{hook}/{login}`: what PBXs call.
//!
//! In this order: the application and its login (404), the source address and the key (403), the body (413 for events), then the work. Past
//! the checks a routing hook answers 200 with something that its PBX can obey, whatever happens here and never later than the deadline,
//! which a body that comes slowly does not put off; an event hook answers 200 only for what is stored and applied.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use metrics::{counter, histogram};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::payload::{Fault, Received, receive};
use super::peer::client_address;
use crate::acd;
use crate::app::Hookflash;
use crate::domain::decision::Decision;
use crate::domain::validate;
use crate::ingest::{self, Accepted};
use crate::lookup::{self, Mode};
use crate::pbx::action::Action;
use crate::pbx::{HookKind, Raw, RoutingRequest, Unreadable};
use crate::roster::App;
use crate::telemetry::{mask, metric, millis};

/// What every hook's path begins with.
pub const ROOT: &str = "/cid";

/// How long the body of an event may take to come.
const EVENT_BODY: Duration = Duration::from_secs(5);
/// So much of a body that did not come as it must is kept in the journal.
const KEPT_BYTES: usize = 4_096;

/// One request past its checks.
struct Hook<'a> {
    server: &'a Data<Hookflash>,
    app: Arc<App>,
    name: &'a str,
    login: &'a str,
    /// In one spelling, so that a log can be searched for it, however the request wrote it.
    path: &'a str,
    started: Instant,
}

/// Answers whatever begins with [`ROOT`].
pub async fn hook(request: HttpRequest, payload: Payload, server: Data<Hookflash>) -> HttpResponse {
    let started = Instant::now();
    let [app, name, login] = &segments(request.path());
    let (app, kind) = match admit(&request, &server, app, name, login) {
        Ok(admitted) => admitted,
        Err(refused) => return refuse(&request, refused, started),
    };
    let path = format!("/cid/{}/{name}/{login}", app.id());
    let hook = Hook { server: &server, app, name, login, path: &path, started };
    let patience = if kind == HookKind::Routing { hook.time_left() } else { EVENT_BODY };
    let Received { body, fault } = receive(payload, patience).await;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let raw = Raw { hook: name, query: request.query_string(), content_type, body: &body };
    let response = match kind {
        HookKind::Routing => hook.answer(raw, fault).await,
        HookKind::Event | HookKind::AgentEvent => hook.event(raw, kind, fault).await,
        HookKind::Check => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK"),
    };
    let labels = [("pbx", hook.app.spec.pbx.as_str()), ("hook", hook_label(kind))];
    histogram!(metric::HOOK_SECONDS, &labels).record(started.elapsed().as_secs_f64());
    counter!(metric::HOOK_REQUESTS, "pbx" => labels[0].1, "hook" => labels[1].1, "status" => status_label(response.status())).increment(1);
    response
}

/// The three names in `/cid/{app}/{hook}/{login}`, decoded; empty ones, which nothing has, when there are more or fewer.
///
/// By hand, because the framework would run a regular expression over each request.
fn segments(path: &str) -> [Cow<'_, str>; 3] {
    let mut rest = path.strip_prefix(ROOT).unwrap_or_default().split('/').skip(1);
    let names = [rest.next(), rest.next(), rest.next()];
    let whole = rest.next().is_none();
    names.map(|name| percent_decode_str(name.filter(|_| whole).unwrap_or_default()).decode_utf8_lossy())
}

fn hook_label(kind: HookKind) -> &'static str {
    match kind {
        HookKind::Routing => "routing",
        HookKind::Event => "event",
        HookKind::AgentEvent => "agent",
        HookKind::Check => "check",
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
    // One spelling only: `+807` is another path.
    let id = app.parse::<i64>().ok().filter(|id| id.to_string() == app).ok_or(Refused::Unknown)?;
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
    tracing::warn!(path = %super::shown(request.path()), app, status = status.as_u16(), took_ms = millis(started.elapsed()), "hook refused: {title}");
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

impl Hook<'_> {
    /// What is left until the answer is due.
    fn time_left(&self) -> Duration {
        let own = self.app.spec.routing.deadline_ms.map(|ms| Duration::from_millis(ms.max(1) as u64));
        own.unwrap_or(self.server.settings.routing.deadline()).saturating_sub(self.started.elapsed())
    }

    async fn answer(&self, raw: Raw<'_>, fault: Option<Fault>) -> HttpResponse {
        let asked = match fault {
            None => self.app.with_context(|context| self.app.pbx.routing_request(raw, context)),
            Some(fault) => Err(Unreadable(fault.reason().into())),
        };
        match asked {
            Ok(asked) => self.route(asked).await,
            Err(unreadable) => {
                self.safe(&RoutingRequest::default(), &format!("The request could not be read: {unreadable}."), fault == Some(Fault::Slow))
            }
        }
    }

    async fn route(&self, asked: RoutingRequest) -> HttpResponse {
        let (server, app) = (self.server.clone(), self.app.clone());
        let claim_s = server.settings.routing.claim().as_secs() as i64;
        let request = asked.clone();
        let mut work = Box::pin(async move {
            if app.pbx.asks_again() {
                acd::ask(&server.db, &server.clock, &app, &request).await
            } else {
                lookup::decide(&server.db, &server.clock, &app, &request, Mode::Live { claim_s }).await
            }
        });
        match tokio::time::timeout(self.time_left(), &mut work).await {
            Ok(Ok(answer)) => {
                self.say(&asked, answer.extension.as_deref(), &answer.decision_id, answer.decision.as_ref());
                if let Some(decision) = answer.decision {
                    counter!(metric::DECISIONS, "pbx" => self.app.spec.pbx.as_str(), "outcome" => decision.outcome.as_str()).increment(1);
                    let kept = self.server.db.decide(decision, self.app.id(), self.time_left()).await;
                    self.count_forgotten(kept);
                }
                self.learn(&asked);
                let action = answer.action.unwrap_or(Action::Name(answer.extension));
                self.reply(&asked, &action, &answer.decision_id)
            }
            Ok(Err(error)) => {
                tracing::error!(path = self.path, app = self.app.id(), %error, "a lookup failed; the safe reply was given");
                self.safe(&asked, "The store could not be read.", false)
            }
            Err(_) => {
                let (server, app) = (self.server.clone(), self.app.id());
                actix_web::rt::spawn(async move {
                    // The answer is gone; whoever it would have named must not be kept for it.
                    if let Ok(answer) = work.await
                        && let (Some((_, call)), Some(_)) = (answer.claim, answer.decision)
                        && let Err(error) = lookup::withdraw(&server.db, &server.clock, app, call).await
                    {
                        tracing::warn!(app, %error, "a claim of a late answer ends by its time");
                    }
                });
                self.safe(&asked, "The deadline passed before an answer was found.", true)
            }
        }
    }

    /// The answer when we have none: nobody, or the application's fallback.
    fn safe(&self, asked: &RoutingRequest, reason: &str, late: bool) -> HttpResponse {
        if late {
            counter!(metric::DECISIONS_LATE, "pbx" => self.app.spec.pbx.as_str()).increment(1);
        }
        let now = self.server.clock.now();
        let decision = Decision {
            reason: reason.to_owned(),
            took_us: self.started.elapsed().as_micros() as i64,
            late,
            ..Decision::begin(self.app.id(), asked.call.as_deref(), &asked.caller, now)
        };
        let fallback = Some(self.app.spec.routing.fallback.as_str()).filter(|f| !f.is_empty());
        self.say(asked, fallback, &decision.id, Some(&decision));
        let response = self.reply(asked, &Action::Name(fallback.map(str::to_owned)), &decision.id);
        let kept = self.server.db.decide_later(decision, self.app.id());
        self.count_forgotten(kept);
        response
    }

    /// The answer was given and nothing will tell of it: the store has been away for longer than the memory reaches.
    fn count_forgotten(&self, kept: bool) {
        if !kept {
            counter!(metric::DECISIONS_FORGOTTEN, "pbx" => self.app.spec.pbx.as_str()).increment(1);
        }
    }

    fn reply(&self, asked: &RoutingRequest, action: &Action, decision: &str) -> HttpResponse {
        let reply = self.app.pbx.routing_reply(action, asked);
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
        let is_new = |e: &&str| self.app.extension_type(e).is_none() && validate::is_extension(e);
        if let Some(extension) = asked.asking_extension.as_deref().filter(is_new) {
            let (server, app, extension) = (self.server.clone(), self.app.id(), extension.to_owned());
            actix_web::rt::spawn(async move {
                if let Err(error) = crate::declare::learn_ivr(&server.db, &server.roster, app, &extension, &server.clock).await {
                    tracing::warn!(app, extension, %error, "an IVR could not be remembered");
                }
            });
        }
    }

    async fn event(&self, raw: Raw<'_>, kind: HookKind, fault: Option<Fault>) -> HttpResponse {
        let (db, clock) = (&self.server.db, &self.server.clock);
        let delivered = match fault {
            None => ingest::accept(db, &self.app, raw, kind, clock).await,
            Some(fault) => {
                let begin = Raw { body: &raw.body[..raw.body.len().min(KEPT_BYTES)], ..raw };
                ingest::refuse(db, &self.app, begin, kind, clock, fault.reason()).await
            }
        };
        match delivered {
            Ok(delivery) => {
                let outcome = match &delivery.accepted {
                    Accepted::Applied => "applied",
                    Accepted::Duplicate => "duplicate",
                    Accepted::Unreadable(_) => "unreadable",
                };
                counter!(metric::EVENTS, "pbx" => self.app.spec.pbx.as_str(), "outcome" => outcome).increment(1);
                if let Accepted::Unreadable(reason) = &delivery.accepted {
                    let status = fault.map_or(StatusCode::BAD_REQUEST, Fault::status);
                    return self.refuse_event(status, reason, delivery.call.as_deref());
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
