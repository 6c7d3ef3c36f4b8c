//! The watchdog of live legs: the PBX never repeats an event, and a lost hangup must not keep an agent busy for good.
//!
//! Each PBX is asked for itself and beside the others: one that does not answer holds up nobody else's deadlines.
//!
//! A leg that rings for two minutes is taken for lost, unless the PBX says that it does ring. A leg that talks for ten minutes is asked about at the PBX, then every five minutes:
//! one that the PBX does not know is taken for lost, and after four hours any is. Each is an alarm, because an event was lost.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;

use crate::app::Hookflash;
use crate::domain::time::Timestamp;
use crate::pbx::asterisk::ami::Action;
use crate::pbx::telphin::api;
use crate::roster::App;
use crate::store::live::{self, LiveLeg};
use crate::store::{Conn, Durability, Result, agents, calls, times};
use crate::telemetry::metric;

const AT_ONCE: i64 = 100;
const ASK_AGAIN_S: i64 = 300;
const LONGEST_S: i64 = 4 * 3_600;
/// A PBX has answered by then, or does not: longer than any request of ours waits.
const ANSWER_S: i64 = 30;
/// So long a sweep waits for what PBXs answer; they are asked on behind it.
const PATIENCE: Duration = Duration::from_secs(2);
const RANG_ON: &str = "rang for two minutes without an end";

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let now = server.clock.now();
    let mut unsure: BTreeMap<i64, Vec<LiveLeg>> = BTreeMap::new();
    for leg in server.db.read(move |conn| live::due(conn, now, AT_ONCE)).await? {
        let Some(app) = server.roster.app(leg.application) else { continue };
        if leg.answered && now >= Timestamp(leg.since).plus_s(LONGEST_S) {
            give_up(server, &app, leg, "talked for four hours without an end").await?;
        } else if !leg.answered && app.pbx.ami().is_none() {
            give_up(server, &app, leg, RANG_ON).await?;
        } else {
            unsure.entry(app.id()).or_default().push(leg);
        }
    }
    let mut asking = Vec::new();
    for (id, legs) in unsure {
        let Some(app) = server.roster.app(id) else { continue };
        let (seen, again) = (legs.clone(), now.plus_s(ANSWER_S));
        // Another sweep does not ask while this asks.
        server
            .db
            .write(Durability::Process, move |conn| seen.iter().try_for_each(|leg| live::check_again(conn, leg, again).map(drop)))
            .await?;
        asking.push(tokio::spawn(ask(server.clone(), app, legs)));
    }
    let _ = tokio::time::timeout(PATIENCE, futures_util::future::join_all(asking)).await;
    Ok(())
}

/// Asks the PBX about legs of one application, and gives up those that it does not know.
async fn ask(server: Arc<Hookflash>, app: Arc<App>, legs: Vec<LiveLeg>) {
    let up = if app.pbx.ami().is_some() { channels(&server, &app).await } else { None };
    for leg in legs {
        let is_up = if app.pbx.ami().is_some() {
            has_channel(&server, &app, up.as_ref(), &leg).await
        } else {
            is_called(&server, &app, &leg).await
        };
        let lost = match (leg.answered, is_up) {
            (true, Some(false)) => "is not known to the PBX any more",
            (false, Some(false) | None) => RANG_ON,
            _ => {
                let (clock, seen) = (server.clock.clone(), leg.clone());
                let later =
                    server.db.write(Durability::Process, move |conn| live::check_again(conn, &seen, clock.now().plus_s(ASK_AGAIN_S)));
                if let Err(error) = later.await {
                    tracing::warn!(app = app.id(), %error, "a leg that is up is asked about again too soon");
                }
                continue;
            }
        };
        if let Err(error) = give_up(&server, &app, leg, lost).await {
            tracing::warn!(app = app.id(), %error, "a lost leg could not be given up; it is asked about again");
        }
    }
}

async fn give_up(server: &Hookflash, app: &Arc<App>, leg: LiveLeg, reason: &str) -> Result<()> {
    let (its_app, clock, seen) = (app.clone(), server.clock.clone(), leg.clone());
    let freed = server.db.write(Durability::Process, move |conn| {
        let given_up = live::give_up(conn, &seen)?;
        if given_up {
            recount(conn, &its_app, &seen.extension, clock.now())?;
        }
        Ok(given_up)
    });
    if freed.await? {
        counter!(metric::LEGS_LOST).increment(1);
        tracing::error!(app = app.id(), call = leg.call_id, leg = leg.leg, extension = leg.extension, "a leg {reason}; its agent is freed");
    }
    Ok(())
}

fn recount(conn: &mut Conn, app: &App, extension: &str, now: Timestamp) -> Result<()> {
    let Some(agent) = app.agent_of(extension) else { return Ok(()) };
    let Some(mut state) = agents::lock(conn, app.id(), &agent.id)? else { return Ok(()) };
    let now = state.no_earlier(now);
    (state.ringing, state.talking) = live::count(conn, app.id(), agent.lines())?;
    state.engaged_since = now;
    state.settle_next(now);
    agents::save(conn, app.id(), agent.line(), &state)?;
    times::record(conn, app.id(), &state, now, times::ROUTER)
}

/// Whether the PBX knows of a call on the extension; `None` when it cannot be asked.
async fn is_called(server: &Hookflash, app: &App, leg: &LiveLeg) -> Option<bool> {
    let settings = app.pbx.telphin()?;
    let id = server.gateway.extension_id(app, &leg.extension).await.ok()?;
    let reply = server.gateway.send(app, api::current_calls(settings, id)).await.ok()?;
    let calls: Vec<serde_json::Value> = reply.json().ok()?;
    Some(!calls.is_empty())
}

/// The channels that the PBX has up; `None` when it cannot be asked.
async fn channels(server: &Hookflash, app: &App) -> Option<HashSet<String>> {
    let up = server.link.send(app, &Action::channels()).await.ok()?;
    Some(up.events.iter().filter_map(|listed| listed.get("Uniqueid")).map(str::to_owned).collect())
}

/// Whether the channel that a leg is on is among those that the PBX has up.
async fn has_channel(server: &Hookflash, app: &App, up: Option<&HashSet<String>>, leg: &LiveLeg) -> Option<bool> {
    let (id, call, key) = (app.id(), leg.call_id.clone(), leg.leg.clone());
    let facts = server.db.read(move |conn| calls::facts(conn, id, &call)).await.ok()??;
    let told = facts.legs.get(&key).filter(|told| told.exact)?;
    let (_, name) = told.sub_call_id.as_ref()?;
    Some(up?.contains(name.strip_suffix("/source").unwrap_or(name)))
}
