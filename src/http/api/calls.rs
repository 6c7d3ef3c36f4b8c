//! Calls with everything about them.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::filters::{Filters, Tagged};
use super::view::{CallView, DecisionView};
use crate::auth::Action;
use crate::domain::call_log::CallStatus;
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Items, Period, after};
use crate::store::calls::{self, CallRow};
use crate::store::{Conn, Result as StoreResult, decisions, log, offers, records};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(read).service(explain);
}

/// The decisions about a call, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct Explanation {
    call_id: String,
    decisions: Vec<DecisionView>,
}

/// List the calls, newest begun first
#[utoipa::path(params(Period, Filters<CallStatus>), responses((status = 200, body = Items<CallView>)))]
#[get("/apps/{app}/calls")]
async fn list(at: AppPath, query: Tagged<CallStatus>) -> Result<Answer<Items<CallView>>, Failure> {
    let filter = query.allowed(&at)?;
    let before = after::<(i64, String)>(query.filters.cursor.as_deref())?;
    let (app, limit) = (at.id(), query.filters.limit);
    let page = at.read(move |conn| {
        let rows = log::calls(conn, app, &filter, before.as_ref(), limit.rows())?;
        let page = Items::page(rows, limit, |c| (c.started_at, c.id.clone()));
        Ok(Items { items: whole(conn, app, page.items)?, next_cursor: page.next_cursor })
    });
    Ok(Answer(page.await?))
}

/// One call
#[utoipa::path(responses((status = 200, body = CallView)))]
#[get("/apps/{app}/calls/{id}")]
async fn read(at: AppPath, id: Id) -> Result<Answer<CallView>, Failure> {
    Ok(Answer(one(&at, id.0).await?))
}

/// Why a call went where it went
#[utoipa::path(responses((status = 200, body = Explanation)))]
#[get("/apps/{app}/calls/{id}/explain")]
async fn explain(at: AppPath, id: Id) -> Result<Answer<Explanation>, Failure> {
    let call = one(&at, id.0).await?;
    Ok(Answer(Explanation { call_id: call.id, decisions: call.decisions }))
}

async fn one(at: &AppPath, id: String) -> Result<CallView, Failure> {
    let only = at.principal.only_agent();
    at.must(Action::ReadCalls(only))?;
    // Decisions are written behind their answers: whoever asks about a call wants to see the one that was just made.
    at.hookflash.db.flush().await;
    let (app, call) = (at.id(), id.clone());
    let found = at.read(move |conn| {
        let row = calls::get(conn, app, &call)?;
        whole(conn, app, row.into_iter().collect())
    });
    let own = |call: &CallView| only.is_none_or(|agent| call.legs.iter().any(|leg| leg.agent.as_deref() == Some(agent)));
    found.await?.pop().filter(own).ok_or_else(|| Failure::missing("call", &id))
}

/// Calls with what belongs to them.
fn whole(conn: &mut Conn, app: i64, rows: Vec<CallRow>) -> StoreResult<Vec<CallView>> {
    let ids: Vec<String> = rows.iter().map(|c| c.id.clone()).collect();
    let mut legs = by_call(calls::legs_of(conn, app, &ids)?, |l| l.call_id.clone());
    let mut offers = by_call(offers::of_calls(conn, app, &ids)?, |o| o.call_id.clone());
    let mut decisions = by_call(decisions::of_calls(conn, app, &ids)?, |d| d.call.clone().unwrap_or_default());
    let recorded: Vec<String> = legs.values().flatten().filter_map(|l| l.record_id.clone()).collect();
    let deleted = records::deleted_of(conn, app, &recorded)?;
    let mut view = |row: CallRow| {
        let (legs, offers) = (legs.remove(&row.id).unwrap_or_default(), offers.remove(&row.id).unwrap_or_default());
        let decisions = decisions.remove(&row.id).unwrap_or_default();
        CallView::new(row, legs, offers, decisions, &deleted)
    };
    Ok(rows.into_iter().map(&mut view).collect())
}

fn by_call<T>(rows: Vec<T>, call: impl Fn(&T) -> String) -> BTreeMap<String, Vec<T>> {
    let mut all: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for row in rows {
        all.entry(call(&row)).or_default().push(row);
    }
    all
}
