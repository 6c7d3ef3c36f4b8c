//! Agents and groups: offers, calls and times in state.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Cut, Ends, Part, Stats};
use crate::domain::agent_stats::Figures;
use crate::domain::agent_time::Sums;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Period, Within};
use crate::roster::App;
use crate::store::{Conn, Result as StoreResult, agent_sums, stats};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(agents).service(groups);
}

/// One agent in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct AgentStats {
    agent: String,
    #[serde(flatten)]
    within: Ends,
    #[serde(flatten)]
    counts: AgentCounts,
}

/// One group in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct GroupStats {
    group: String,
    /// Who is in it now: theirs are the counts.
    agents: Vec<String>,
    #[serde(flatten)]
    within: Ends,
    #[serde(flatten)]
    counts: AgentCounts,
}

/// Work of an agent, or of all agents of a group.
#[derive(Debug, Serialize, ToSchema)]
struct AgentCounts {
    /// Offers that were made, those left out of which nothing became yet.
    offers: i64,
    /// All offers by what became of them; those that are not there are 0.
    #[schema(example = json!({"accepted": 6, "no_answer": 1, "canceled": 2}))]
    offers_by_state: BTreeMap<&'static str, i64>,
    /// Accepted, of the offers.
    pick_up_rate: Option<f64>,
    /// The same without the offers whose caller left while they rang.
    pick_up_rate_without_canceled: Option<f64>,
    /// Calls from outside that were taken, transfers included.
    incoming: i64,
    /// Calls to the outside, answered or not.
    outgoing: i64,
    /// Of both: with talk.
    handled: i64,
    talk_ms: i64,
    /// Mean talk and wrap-up of the handled (AHT). Hold is a part of the talk.
    aht_ms: Option<i64>,
    /// Milliseconds by state; together the time that passed.
    #[schema(example = json!({"available": 1_800_000, "on_call": 1_500_000, "wrap_up": 300_000}))]
    times_ms: BTreeMap<&'static str, i64>,
    /// Time on contacts (reserved, ringing, on_call, wrap_up), of that and of the time available.
    occupancy: Option<f64>,
}

impl From<&Figures> for AgentCounts {
    fn from(f: &Figures) -> Self {
        AgentCounts {
            offers: f.offers_made(),
            offers_by_state: f.offers.iter().map(|(state, n)| (state.as_str(), *n)).collect(),
            pick_up_rate: f.pick_up_rate(),
            pick_up_rate_without_canceled: f.pick_up_rate_without_canceled(),
            incoming: f.incoming,
            outgoing: f.outgoing,
            handled: f.handled,
            talk_ms: f.talk_us / 1_000,
            aht_ms: f.handling_us().map(|us| us / 1_000),
            times_ms: f.times_us.iter().map(|(state, us)| (state.as_str(), us / 1_000)).collect(),
            occupancy: f.occupancy(),
        }
    }
}

/// What agents have done
///
/// Offers count where they were made, calls where they began, times as far as they lie in the interval.
#[utoipa::path(params(Period, Cut), responses((status = 200, body = Stats<AgentStats>)))]
#[get("/apps/{app}/stats/agents")]
async fn agents(at: AppPath, query: Within<Cut>) -> Result<Answer<Stats<AgentStats>>, Failure> {
    super::count(&at, query.period, query.also.interval, |conn, app, parts, now| {
        let view = |part: &Part, (agent, figures): (&String, &Figures)| AgentStats {
            agent: agent.clone(),
            within: (*part).into(),
            counts: figures.into(),
        };
        let all = figures(conn, app, parts, now)?;
        Ok(parts.iter().zip(&all).flat_map(|(part, people)| people.iter().map(move |one| view(part, one))).collect())
    })
    .await
}

/// What groups have done
///
/// The counts of the agents who are in a group now, together.
#[utoipa::path(params(Period, Cut), responses((status = 200, body = Stats<GroupStats>)))]
#[get("/apps/{app}/stats/groups")]
async fn groups(at: AppPath, query: Within<Cut>) -> Result<Answer<Stats<GroupStats>>, Failure> {
    super::count(&at, query.period, query.also.interval, |conn, app, parts, now| {
        let all = figures(conn, app, parts, now)?;
        let mut items = Vec::new();
        for (part, people) in parts.iter().zip(&all) {
            for group in &app.spec.group {
                let mut together = Figures::default();
                group.agents.iter().filter_map(|agent| people.get(agent)).for_each(|f| together.join(f));
                if !together.is_empty() {
                    items.push(GroupStats {
                        group: group.id.clone(),
                        agents: group.agents.clone(),
                        within: (*part).into(),
                        counts: (&together).into(),
                    });
                }
            }
        }
        Ok(items)
    })
    .await
}

/// In each part, each agent of whom there is something to tell.
fn figures(conn: &mut Conn, app: &App, parts: &[Part], now: Timestamp) -> StoreResult<Vec<BTreeMap<String, Figures>>> {
    let mut all: Vec<BTreeMap<String, Figures>> = vec![BTreeMap::new(); parts.len()];
    for (people, sums) in all.iter_mut().zip(times(conn, app, parts, now)?) {
        for (agent, sums) in sums {
            for ((state, _), us) in sums {
                *people.entry(agent.clone()).or_default().times_us.entry(state).or_default() += us;
            }
        }
    }
    for (people, part) in all.iter_mut().zip(parts) {
        for (agent, state, n) in stats::offers(conn, app.id(), *part)? {
            *people.entry(agent).or_default().offers.entry(state).or_default() += n;
        }
        for (agent, direction, legs, handled, talk_us) in stats::agent_legs(conn, app.id(), *part, now)? {
            let figures = people.entry(agent.unwrap_or_default()).or_default();
            *(if direction == "in" { &mut figures.incoming } else { &mut figures.outgoing }) += legs;
            figures.handled += handled;
            figures.talk_us += talk_us;
        }
    }
    Ok(all)
}

/// How long each agent was what, in each part up to now.
pub fn times(conn: &mut Conn, app: &App, parts: &[Part], now: Timestamp) -> StoreResult<Vec<BTreeMap<String, Sums>>> {
    let everybody: Vec<String> = app.spec.agent.iter().map(|agent| agent.id.clone()).collect();
    agent_sums::between(conn, app.id(), &everybody, parts, now)
}
