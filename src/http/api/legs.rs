//! The call log: one row per logged leg and one per missed call.

use std::collections::HashMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use utoipa_actix_web::service_config::ServiceConfig;

use super::filters::{Filters, Tagged};
use super::view::LegView;
use crate::domain::call_log::LegStatus;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Items, Period, after};
use crate::store::{calls, log};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list);
}

/// The call log, newest logged first
///
/// Answered legs, outgoing attempts and missed calls. The order is that in which rows were logged, so that whoever reads the newest again
/// and again misses none.
#[utoipa::path(params(Period, Filters<LegStatus>), responses((status = 200, body = Items<LegView>)))]
#[get("/apps/{app}/legs")]
async fn list(at: AppPath, query: Tagged<LegStatus>) -> Result<Answer<Items<LegView>>, Failure> {
    let filter = query.allowed(&at)?;
    let before = after::<(i64, String, String)>(query.filters.cursor.as_deref())?;
    let (app, limit, now) = (at.id(), query.filters.limit, at.hookflash.clock.now());
    let page = at.read(move |conn| {
        let rows = log::legs(conn, app, &filter, before.as_ref(), now, limit.rows())?;
        let page = Items::page(rows, limit, |l| (l.logged_at.unwrap_or_default(), l.call_id.clone(), l.leg.clone()));
        let ids: Vec<String> = page.items.iter().map(|l| l.call_id.clone()).collect();
        let names: HashMap<String, String> = calls::pbx_call_ids(conn, app, &ids)?.into_iter().collect();
        Ok(page.map(|leg| {
            let pbx_call_id = names.get(&leg.call_id).cloned().unwrap_or_default();
            LegView::new(leg, pbx_call_id)
        }))
    });
    Ok(Answer(page.await?))
}
