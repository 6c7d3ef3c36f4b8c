//! The watchdog of live legs: the PBX never repeats an event, and a lost hangup must not keep an agent busy for good.
//!
//! A leg that rings for two minutes is taken for lost, unless the PBX says that it does ring. A leg that talks for ten minutes is asked about at the PBX, then every five minutes:
//! one that the PBX does not know is taken for lost, and after four hours any is. Each is an alarm, because an event was lost.

use std::sync::Arc;

use metrics::counter;

use crate::app::Hookflash;
use crate::domain::time::Timestamp;
use crate::ingest::engagement;
use crate::pbx::asterisk::ami::Action;
use crate::pbx::telphin::api;
use crate::roster::App;
use crate::store::live::{self, LiveLeg};
use crate::store::{Conn, Durability, Result, agents, calls, times};
use crate::telemetry::metric;

const AT_ONCE: i64 = 100;
const ASK_AGAIN_S: i64 = 300;
const LONGEST_S: i64 = 4 * 3_600;

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let now = server.clock.now();
    for leg in server.db.read(move |conn| live::due(conn, now, AT_ONCE)).await? {
        let Some(app) = server.roster.app(leg.application) else { continue };
        let lost = if !leg.answered {
            let rings = app.pbx.ami().is_some() && is_up(server, &app, &leg).await == Some(true);
            (!rings).then_some("rang for two minutes without an end")
        } else if now >= Timestamp(leg.since).plus_s(LONGEST_S) {
            Some("talked for four hours without an end")
        } else {
            (is_up(server, &app, &leg).await == Some(false)).then_some("is not known to the PBX any more")
        };
        settle(server, app, leg, lost).await?;
    }
    Ok(())
}

async fn settle(server: &Hookflash, app: Arc<App>, leg: LiveLeg, lost: Option<&'static str>) -> Result<()> {
    let clock = server.clock.clone();
    let seen = leg.clone();
    let id = app.id();
    let freed = server.db.write(Durability::Process, move |conn| {
        let now = clock.now();
        if lost.is_none() {
            live::check_again(conn, &seen, now.plus_s(ASK_AGAIN_S))?;
            return Ok(false);
        }
        let given_up = live::give_up(conn, &seen)?;
        if given_up {
            recount(conn, &app, &seen.extension, now)?;
        }
        Ok(given_up)
    });
    if let (true, Some(reason)) = (freed.await?, lost) {
        counter!(metric::LEGS_LOST).increment(1);
        tracing::error!(app = id, call = leg.call_id, leg = leg.leg, extension = leg.extension, "a leg {reason}; its agent is freed");
    }
    Ok(())
}

fn recount(conn: &mut Conn, app: &App, extension: &str, now: Timestamp) -> Result<()> {
    let Some(agent) = app.agent_of(extension) else { return Ok(()) };
    let Some(mut state) = agents::lock(conn, app.id(), &agent.id)? else { return Ok(()) };
    (state.ringing, state.talking) = live::count(conn, app.id(), extension)?;
    state.engaged_since = now;
    engagement::settle_next(&mut state, now);
    agents::save(conn, app.id(), Some(extension), &state)?;
    times::record(conn, app.id(), &state, now, times::ROUTER)
}

/// Whether the PBX knows of a call on the extension; `None` when it cannot be asked.
async fn is_up(server: &Hookflash, app: &App, leg: &LiveLeg) -> Option<bool> {
    if app.pbx.ami().is_some() {
        return has_channel(server, app, leg).await;
    }
    let settings = app.pbx.telphin()?;
    let id = server.gateway.extension_id(app, &leg.extension).await.ok()?;
    let reply = server.gateway.send(app, api::current_calls(settings, id)).await.ok()?;
    let calls: Vec<serde_json::Value> = reply.json().ok()?;
    Some(!calls.is_empty())
}

/// Whether the channel that a leg is on is among those that the PBX has up.
async fn has_channel(server: &Hookflash, app: &App, leg: &LiveLeg) -> Option<bool> {
    let (id, call, key) = (app.id(), leg.call_id.clone(), leg.leg.clone());
    let facts = server.db.read(move |conn| calls::facts(conn, id, &call)).await.ok()??;
    let told = facts.legs.get(&key).filter(|told| told.exact)?;
    let (_, name) = told.sub_call_id.as_ref()?;
    let channel = name.strip_suffix("/source").unwrap_or(name);
    let up = server.link.send(app, &Action::channels()).await.ok()?;
    Some(up.events.iter().any(|listed| listed.get("Uniqueid") == Some(channel)))
}
