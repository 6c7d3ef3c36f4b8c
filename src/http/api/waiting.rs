//! Who waits in a queue now.

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::crud;
use crate::auth::Action;
use crate::domain::spec::Queue;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::store::{Conn, Result as StoreResult, offers, routed};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(waiting);
}

/// Callers that are shown.
const MOST: i64 = 1_000;

/// One caller in a queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingCall {
    pub call_id: String,
    pub pbx_call_id: String,
    pub number: String,
    pub did: Option<String>,
    #[schema(format = DateTime)]
    pub joined_at: String,
    pub waits_ms: i64,
    /// Who is rung for it now.
    pub offered_to: Vec<String>,
}

/// A queue now.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueNow {
    pub queue: String,
    pub waiting: usize,
    pub longest_wait_ms: i64,
    /// In the order in which they are served.
    pub calls: Vec<WaitingCall>,
}

impl QueueNow {
    /// Reads it; the first [`MOST`] callers.
    pub fn read(conn: &mut Conn, application: i64, queue: &str, now: Timestamp) -> StoreResult<QueueNow> {
        let rows = routed::waiting(conn, application, queue, now, MOST)?;
        let ids: Vec<String> = rows.iter().map(|r| r.call_id.clone()).collect();
        let rung = if ids.is_empty() { Vec::new() } else { offers::in_hand_of(conn, application, &ids)? };
        let rings = |o: &offers::Offer, call: &str| o.call_id == call && o.ended_at.is_none() && o.until > now.0;
        let view = |r: routed::RoutedCall| WaitingCall {
            offered_to: rung.iter().filter(|o| rings(o, &r.call_id)).map(|o| o.agent.clone()).collect(),
            joined_at: Timestamp(r.joined_at).rfc3339(),
            waits_ms: now.since(Timestamp(r.joined_at)) / 1_000,
            call_id: r.call_id,
            pbx_call_id: r.pbx_call_id,
            number: r.caller,
            did: r.did,
        };
        let calls: Vec<WaitingCall> = rows.into_iter().map(view).collect();
        let longest_wait_ms = calls.iter().map(|c| c.waits_ms).max().unwrap_or(0);
        Ok(QueueNow { queue: queue.to_owned(), waiting: calls.len(), longest_wait_ms, calls })
    }
}

/// Who waits in a queue now
///
/// The first 1000.
#[utoipa::path(responses((status = 200, body = QueueNow)))]
#[get("/apps/{app}/queues/{id}/waiting")]
async fn waiting(at: AppPath, id: Id) -> Result<Answer<QueueNow>, Failure> {
    at.must(Action::ReadSettings)?;
    crud::find::<Queue>(&at, &id.0)?;
    let (app, now) = (at.id(), at.hookflash.clock.now());
    Ok(Answer(at.read(move |conn| QueueNow::read(conn, app, &id.0, now)).await?))
}
