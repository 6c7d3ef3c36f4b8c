//! Agents: who they are as declared, and what they do now.

use std::collections::{BTreeMap, HashSet};

use actix_web::web::Json as Answer;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::crud;
use super::view::AgentView;
use crate::acd;
use crate::auth::Action;
use crate::declare::edit;
use crate::domain::agent::{AgentState, ManualStatus, State};
use crate::domain::agent_choice::Choice;
use crate::domain::agent_time::{self, Span};
use crate::domain::spec::Agent;
use crate::domain::time::Timestamp;
use crate::http::body::Json;
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Force, Items, Limit, Nothing, Page, Period, Query, Within};
use crate::roster::App;
use crate::store::{Conn, Result as StoreResult, agents, live, times};
use crate::text_enum;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(create).service(read).service(replace).service(remove);
    cfg.service(set_status).service(end_wrap_up).service(in_state);
}

text_enum! {
    /// When a status begins to hold.
    pub enum When {
        Now = "now",
        /// When the work in hand (a call, a claim, wrap-up) ends; at once when there is none.
        Next = "next",
    }
}

/// An agent's choice, or a supervisor's in his name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    manual_status: ManualStatus,
    /// Why: lunch, meeting.
    reason: Option<String>,
    /// `now` without it.
    when: Option<When>,
}

/// Which agents, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only those of this group.
    group: Option<String>,
    /// Only the one who is this user of the CRM.
    crm_user: Option<String>,
    /// Items in one answer: 1 to 500, 50 without it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List the agents with their states
#[utoipa::path(params(Wanted), responses((status = 200, body = Items<AgentView>)))]
#[get("/apps/{app}/agents")]
async fn list(at: AppPath, Query(query): Query<Wanted>) -> Result<Answer<Items<AgentView>>, Failure> {
    let Wanted { group, crm_user, limit, cursor } = query;
    let members = |id: String| at.app.spec.group.iter().filter(|g| g.id == id).flat_map(|g| &g.agents).collect::<HashSet<_>>();
    let members = group.map(members);
    let is_wanted =
        |agent: &Agent| members.as_ref().is_none_or(|m| m.contains(&agent.id)) && (crm_user.is_none() || crm_user == agent.crm_user);
    let declared = crud::list_of(&at, &Page { limit, cursor }, is_wanted)?;
    let ids = declared.items.iter().map(|a| a.id.clone()).collect();
    Ok(Answer(Items { items: views(&at, ids).await?, next_cursor: declared.next_cursor }))
}

/// Declare a new agent
///
/// Without an `id` he gets one. `manual_status` is the one that he begins with.
#[utoipa::path(request_body = Agent, responses((status = 201, body = AgentView)))]
#[post("/apps/{app}/agents")]
async fn create(request: HttpRequest, at: AppPath, Json(body): Json<Value>) -> Result<HttpResponse, Failure> {
    let agent = crud::create::<Agent>(&at, body).await?;
    Ok(crud::created(&request, &agent.id, &written(&at, agent.id.clone()).await?))
}

/// One agent with his state
#[utoipa::path(responses((status = 200, body = AgentView)))]
#[get("/apps/{app}/agents/{id}")]
async fn read(at: AppPath, id: Id) -> Result<Answer<AgentView>, Failure> {
    at.must(Action::ReadAgent(&id.0))?;
    Ok(Answer(view(&at, id.0).await?))
}

/// Replace one agent's declaration
///
/// His present status stays: it has a request of its own.
#[utoipa::path(request_body = Agent, responses((status = 200, body = AgentView)))]
#[put("/apps/{app}/agents/{id}")]
async fn replace(at: AppPath, id: Id, Json(body): Json<Value>) -> Result<Answer<AgentView>, Failure> {
    let agent = crud::replace::<Agent>(&at, &id.0, body).await?;
    Ok(Answer(written(&at, agent.id).await?))
}

/// Delete one agent
///
/// Refused while a group, a contact or a token refers to him, unless forced: then those references go, and his tokens are revoked.
#[utoipa::path(params(Force), responses((status = 204)))]
#[delete("/apps/{app}/agents/{id}")]
async fn remove(at: AppPath, id: Id, Query(query): Query<Force>) -> Result<HttpResponse, Failure> {
    at.must(Action::WriteSettings)?;
    let (app, clock) = (at.id(), at.hookflash.clock.clone());
    at.declare(move |conn| Ok(edit::remove_agent(conn, app, &id.0, query.force, clock.now())?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set an agent's manual status
#[utoipa::path(request_body = NewStatus, responses((status = 200, body = AgentView)))]
#[put("/apps/{app}/agents/{id}/status")]
async fn set_status(at: AppPath, id: Id, Json(new): Json<NewStatus>) -> Result<Answer<AgentView>, Failure> {
    at.must(Action::SetStatus(&id.0))?;
    if new.reason.as_ref().is_some_and(|r| r.chars().count() > 200) {
        return Err(Failure::field("reason", "is longer than 200 characters"));
    }
    let by = at.principal.name.clone();
    change(&at, &id.0, move |conn, app, state, now| {
        let NewStatus { manual_status, reason, when } = new.clone();
        let choice = Choice { status: manual_status, reason: reason.filter(|r| !r.is_empty()), is_next: when == Some(When::Next), by: &by };
        acd::take(conn, app, state, choice, now)
    })
    .await?;
    Ok(Answer(view(&at, id.0).await?))
}

/// End an agent's wrap-up
///
/// Without effect when there is none.
#[utoipa::path(responses((status = 200, body = AgentView)))]
#[post("/apps/{app}/agents/{id}/wrap-up/done")]
async fn end_wrap_up(at: AppPath, id: Id) -> Result<Answer<AgentView>, Failure> {
    at.must(Action::SetStatus(&id.0))?;
    change(&at, &id.0, |_, _, state, now| {
        state.wrap_until = state.wrap_until.min(now);
        state.settle_next(now);
        Ok(())
    })
    .await?;
    Ok(Answer(view(&at, id.0).await?))
}

/// An agent's times in state.
#[derive(Debug, Serialize, ToSchema)]
struct InState {
    agent: String,
    from: String,
    to: String,
    /// Milliseconds by state; together the time from his first day, or `from`, to `to`.
    total_ms: BTreeMap<&'static str, i64>,
    times: Vec<TimeView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TimeView {
    state: State,
    /// Of a status that somebody chose: lunch. Of wrap-up the queue whose call it follows.
    reason: Option<String>,
    /// Who did it: `router`, `phone`, `time`, or the name of a token.
    by: String,
    since: String,
    until: String,
}

/// How long an agent was in which state
///
/// At most 31 days at once; the last day without `from`.
#[utoipa::path(params(Period), responses((status = 200, body = InState)))]
#[get("/apps/{app}/agents/{id}/times")]
async fn in_state(at: AppPath, id: Id, query: Within<Nothing>) -> Result<Answer<InState>, Failure> {
    at.must(Action::ReadAgent(&id.0))?;
    crud::find::<Agent>(&at, &id.0)?;
    let (from, to) = query.period.past(&at.app.spec.timezone, at.hookflash.clock.now())?;
    if to.since(from) > 31 * 86_400_000_000 {
        return Err(Failure::parameter("from", "is more than 31 days before to"));
    }
    let (app, agent) = (at.id(), id.0.clone());
    let marks = at.read(move |conn| times::between(conn, app, &agent, from, to)).await?;
    let spans = agent_time::spans(&marks, from, to);
    let mut total_ms = BTreeMap::new();
    for span in &spans {
        *total_ms.entry(span.state.as_str()).or_insert(0) += span.until.since(span.since);
    }
    total_ms.values_mut().for_each(|us| *us /= 1_000);
    let view = |s: Span| TimeView { state: s.state, reason: s.reason, by: s.by, since: s.since.rfc3339(), until: s.until.rfc3339() };
    let times = spans.into_iter().map(view).collect();
    Ok(Answer(InState { agent: id.0, from: from.rfc3339(), to: to.rfc3339(), total_ms, times }))
}

/// Changes an agent's state under its lock.
async fn change(
    at: &AppPath,
    agent: &str,
    mut edit: impl FnMut(&mut Conn, &App, &mut AgentState, Timestamp) -> StoreResult<()> + Send + 'static,
) -> Result<(), Failure> {
    let declared: Agent = crud::find(at, agent).cloned()?;
    let (app, clock, by) = (at.app.clone(), at.hookflash.clock.clone(), at.principal.name.clone());
    at.write(move |conn| {
        let now = clock.now();
        let mut state = agents::lock(conn, app.id(), &declared.id)?.ok_or_else(|| Failure::missing("agent", &declared.id))?;
        edit(conn, &app, &mut state, now)?;
        agents::save(conn, app.id(), declared.line(), &state)?;
        Ok(times::record(conn, app.id(), &state, now, &by)?)
    })
    .await
}

async fn view(at: &AppPath, id: String) -> Result<AgentView, Failure> {
    crud::find::<Agent>(at, &id)?;
    written(at, id).await
}

/// The view of an agent who was there a moment ago.
async fn written(at: &AppPath, id: String) -> Result<AgentView, Failure> {
    views(at, vec![id.clone()]).await?.pop().ok_or_else(|| Failure::missing("agent", &id))
}

/// Agents with their states, in the given order; those who have gone meanwhile are left out.
async fn views(at: &AppPath, ids: Vec<String>) -> Result<Vec<AgentView>, Failure> {
    let (id, wanted) = (at.id(), ids.clone());
    let both = move |conn: &mut Conn| {
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        Ok((agents::get_many(conn, id, &wanted)?, live::all(conn, id)?))
    };
    let (states, legs) = at.read(both).await?;
    // The application as it is now: a request that has just declared an agent saw the one before.
    let app = at.hookflash.roster.app(id).ok_or_else(|| Failure::missing("application", &id.to_string()))?;
    let now = at.hookflash.clock.now();
    let view = |id: &String| {
        let agent = app.agent(id)?;
        let state = states.iter().find(|s| s.agent == *id);
        Some(AgentView::new(agent, &app.spec.group, state, &legs, now))
    };
    Ok(ids.iter().filter_map(view).collect())
}
