//! Server-Sent Events: what happens in an application, to whoever listens.
//!
//! An event has the shape of the resource that it is about, as it is after the change. Who connects again with `Last-Event-ID` misses
//! nothing that is still held; else he gets `reset` and reads the state again. A listener who is too slow is left behind by the ring and
//! disconnected. What an agent's token sees is his own: his state, his offers, and the calls that he has a leg or an offer of.

mod follow;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get};
use futures_util::stream;
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use utoipa_actix_web::service_config::ServiceConfig;

use self::follow::Follower;
use crate::app::Hookflash;
use crate::auth::Action;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::live::{Channel, Event, Kind, Listener};
use crate::store::StoreError;

/// How often a listener hears that the connection stands, and his token is looked at again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the database is looked at while somebody listens.
const LOOK: Duration = Duration::from_millis(500);
/// How long the first look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many looks nobody has to listen until it ends: whoever comes back within a minute goes on where he was.
const LINGER: u32 = 120;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(live);
}

/// The connection stands.
#[derive(Serialize)]
struct Heartbeat {
    at: String,
}

/// Follow what happens
///
/// Server-Sent Events: `call`, `leg`, `offer`, `agent`, `queue`, and every 15 seconds `heartbeat`. `Last-Event-ID` goes on where a connection
/// broke off; an id that is no longer held gets `reset`: read the state again. An agent's token sees his own calls, offers and state.
#[utoipa::path(responses((status = 200, content_type = "text/event-stream", body = String)))]
#[get("/apps/{app}/live")]
async fn live(request: HttpRequest, at: AppPath) -> Result<HttpResponse, Failure> {
    let only = at.principal.only_agent().map(str::to_owned);
    at.must(Action::ReadLive(only.as_deref()))?;
    let (server, app) = (at.hookflash.clone(), at.id());
    let (mut listener, new) = server.live.join(app, server.clock.now());
    if let Some(channel) = new {
        actix_web::rt::spawn(follow(server.clone(), app, channel));
    }
    if tokio::time::timeout(PATIENCE, listener.ready()).await.is_err() {
        return Err(StoreError::Busy.into());
    }
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let is_held = last.is_none_or(|id| listener.resume(id));
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first = if is_held { Kind::Heartbeat } else { Kind::Reset };
    let reader = Reader { listener, heartbeat, only, request, server, first: Some(first) };
    let body = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(text), reader))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // A proxy that gathers answers would keep events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

struct Reader {
    listener: Listener,
    heartbeat: Interval,
    only: Option<String>,
    request: HttpRequest,
    server: Arc<Hookflash>,
    /// What is said before anything else; it carries the id with which to come back.
    first: Option<Kind>,
}

impl Reader {
    /// The next piece of the answer; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(kind) = self.first.take() {
            return Some(self.say(kind));
        }
        loop {
            tokio::select! {
                found = self.listener.next() => {
                    let events = found.ok()?;
                    let seen: String = events.iter().filter(|(_, e)| self.may_see(e)).map(|(n, e)| frame(&self.listener.id_of(*n), e.kind, &e.data)).collect();
                    if !seen.is_empty() {
                        return Some(seen.into());
                    }
                }
                _ = self.heartbeat.tick() => {
                    // The token may have been revoked.
                    let at = AppPath::extract(&self.request).await.ok()?;
                    at.must(Action::ReadLive(self.only.as_deref())).ok()?;
                    return Some(self.say(Kind::Heartbeat));
                }
            }
        }
    }

    fn say(&self, kind: Kind) -> Bytes {
        let heartbeat = Heartbeat { at: self.server.clock.now().rfc3339() };
        frame(&self.listener.id(), kind, &serde_json::to_string(&heartbeat).unwrap_or_default()).into()
    }

    fn may_see(&self, event: &Event) -> bool {
        let Some(only) = &self.only else { return true };
        event.agents.as_ref().is_some_and(|agents| agents.contains(only))
    }
}

/// JSON has no line breaks of its own, so the data is one line.
fn frame(id: &str, kind: Kind, data: &str) -> String {
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
}

/// Fills a ring until nobody has listened for a while.
async fn follow(server: Arc<Hookflash>, app: i64, channel: Arc<Channel>) {
    let follower = Arc::new(Mutex::new(Follower::new(server.clock.now())));
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unheard = 0;
    loop {
        ticks.tick().await;
        unheard = if channel.is_heard() { 0 } else { unheard + 1 };
        if server.live.is_closed() || (unheard > LINGER && server.live.leave(app, &channel)) {
            return;
        }
        let Some(declared) = server.roster.app(app) else { continue };
        let (follower, now) = (follower.clone(), server.clock.now());
        let looked = server.db.read(move |conn| {
            let mut events = Vec::new();
            let read = follower.lock().unwrap_or_else(PoisonError::into_inner).look(conn, &declared, now, &mut events);
            Ok((events, read))
        });
        // What could not be read now is told of later.
        let (events, read) = looked.await.unwrap_or_else(|error| (Vec::new(), Err(error)));
        events.into_iter().for_each(|event| channel.push(event));
        match read {
            Ok(()) => channel.is_followed(),
            Err(error) => tracing::warn!(app, %error, "what happens could not be read for those who listen"),
        }
    }
}
