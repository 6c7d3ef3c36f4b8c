//! Telling the PBX's queues what an agent's status means to them, and asking them what they know.
//!
//! Only for applications that say `mirror_status` or `only_reachable`. Level-triggered: a sweep compares what each agent has chosen with
//! what the PBX was last heard to hold, and tells it where they differ; so it does not matter who changed a status, or how, or whether we
//! were down. What it is told is written down before, so that its own event is known as an echo ([`crate::ingest::presence`]). Once
//! after a start, and from time to time, the PBX is asked for all its agents: an event that was lost is mended by that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::agent::{AgentState, QueueLogin};
use crate::domain::phone::Party;
use crate::domain::time::{Clock, Timestamp};
use crate::gateway::{Gateway, GatewayError};
use crate::ingest::presence::report;
use crate::pbx::AgentReport;
use crate::pbx::telphin::{Settings, api};
use crate::roster::{App, Roster};
use crate::store::{Db, Durability, Result, agents};

/// The PBX is asked for all its agents this often, seconds.
const ASK_EVERY_S: i64 = 1_800;
/// It is told again after this long when it could not be reached, and when it refused: it may have no such queue agent.
const TRY_AGAIN_S: i64 = 60;
const REFUSED_S: i64 = 3_600;

#[derive(Clone)]
pub struct Presence {
    db: Db,
    gateway: Gateway,
    clock: Clock,
    asked: Arc<Mutex<HashMap<i64, Timestamp>>>,
    busy: Arc<tokio::sync::Mutex<()>>,
}

impl Presence {
    pub fn new(db: Db, gateway: Gateway, clock: Clock) -> Presence {
        Presence { db, gateway, clock, asked: Arc::default(), busy: Arc::default() }
    }

    /// An earlier sweep is still at it.
    pub fn is_busy(&self) -> bool {
        self.busy.try_lock().is_err()
    }

    /// Does what is due, after an earlier sweep.
    pub async fn sweep(&self, roster: &Roster) {
        let _one = self.busy.lock().await;
        for app in roster.snapshot().apps.values() {
            let Some(settings) = app.pbx.telphin() else { continue };
            let wanted = settings.mirror_status || app.spec.routing.only_reachable;
            if !wanted || settings.client_id.is_empty() {
                continue;
            }
            if let Err(error) = self.of(app, settings).await {
                tracing::warn!(app = app.id(), %error, "queue agents could not be compared; the next sweep tries again");
            }
        }
    }

    async fn of(&self, app: &Arc<App>, settings: &Settings) -> Result<()> {
        let now = self.clock.now();
        let due = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let due = asked.get(&app.id()).is_none_or(|at| *at <= now);
            if due {
                asked.insert(app.id(), now.plus_s(ASK_EVERY_S));
            }
            due
        };
        if due {
            self.ask(app, settings).await?;
        }
        if !settings.mirror_status {
            return Ok(());
        }
        let id = app.id();
        for state in self.db.read(move |conn| agents::all(conn, id)).await? {
            let wish = QueueLogin::of(state.chosen_status());
            let known = state.queue_login.map(|(login, _)| login);
            let waits = state.mirror_to.is_none() && state.mirror_at > self.clock.now();
            if known != Some(wish) && !waits {
                self.tell(app, settings, &state, wish).await?;
            }
        }
        Ok(())
    }

    /// Reads what the PBX holds of all its agents.
    async fn ask(&self, app: &Arc<App>, settings: &Settings) -> Result<()> {
        let reply = match self.gateway.send(app, api::agents(settings, None)).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!(app = app.id(), %error, "the PBX's queue agents could not be read");
                return Ok(());
            }
        };
        let Ok(found) = reply.json::<Vec<api::Agent>>() else { return Ok(()) };
        let read = |agent: api::Agent| {
            let name = agent.extension_name?;
            let extension = name.split('@').next()?.rsplit('*').next()?.to_owned();
            Some(AgentReport { party: Party::Internal(extension), login: QueueLogin::parse(agent.status?.as_str())? })
        };
        for heard in found.into_iter().filter_map(read) {
            let (app, clock) = (app.clone(), self.clock.clone());
            self.db.write(Durability::Process, move |conn| report(conn, &app, &heard, clock.now())).await?;
        }
        Ok(())
    }

    async fn tell(&self, app: &Arc<App>, settings: &Settings, state: &AgentState, wish: QueueLogin) -> Result<()> {
        let Some(agent) = app.agent(&state.agent) else { return Ok(()) };
        let Some(extension) = agent.extension.clone() else { return Ok(()) };
        self.mark(app, state, Some(wish), 0).await?;
        let told = self.send(app, settings, &extension, wish).await;
        let wait_s = match &told {
            Ok(()) => 0,
            Err(GatewayError::Refused { .. } | GatewayError::Credentials(_)) => REFUSED_S,
            Err(_) => TRY_AGAIN_S,
        };
        if let Err(error) = &told {
            tracing::warn!(app = app.id(), agent = agent.id, login = %wish, %error, "a queue agent's login could not be changed at the PBX");
        }
        self.mark(app, state, told.is_ok().then_some(wish), wait_s).await?;
        if told.is_ok() {
            let (app, clock, heard) = (app.clone(), self.clock.clone(), AgentReport { party: Party::Internal(extension), login: wish });
            self.db.write(Durability::Process, move |conn| report(conn, &app, &heard, clock.now())).await?;
        }
        Ok(())
    }

    /// Writes down what the PBX is told, or, without it, that it is left alone for a while.
    async fn mark(&self, app: &Arc<App>, state: &AgentState, told: Option<QueueLogin>, wait_s: i64) -> Result<()> {
        let (app, clock, agent) = (app.clone(), self.clock.clone(), state.agent.clone());
        self.db
            .write(Durability::Process, move |conn| {
                let Some(mut state) = agents::lock(conn, app.id(), &agent)? else { return Ok(()) };
                (state.mirror_to, state.mirror_at) = (told, clock.now().plus_s(wait_s));
                let extension = app.agent(&agent).and_then(|a| a.extension.as_deref());
                agents::save(conn, app.id(), extension, &state)
            })
            .await
    }

    async fn send(&self, app: &App, settings: &Settings, extension: &str, wish: QueueLogin) -> std::result::Result<(), GatewayError> {
        let id = self.gateway.extension_id(app, extension).await?;
        let reply = self.gateway.send(app, api::agents(settings, Some(id))).await?;
        let unreadable = |e: String| GatewayError::Refused { status: reply.status, words: format!("the list of queue agents: {e}") };
        let found: Vec<api::Agent> = reply.json().map_err(|e| unreadable(e.to_string()))?;
        if found.is_empty() {
            return Err(GatewayError::Refused { status: 404, words: format!("extension {extension} is no queue agent of the PBX") });
        }
        for agent in found {
            self.gateway.send(app, api::set_agent(settings, agent.id, wish)).await?;
        }
        Ok(())
    }
}
