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
use crate::store::offers;
use crate::store::routed;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(waiting);
}

/// One caller in a queue.
#[derive(Debug, Serialize, ToSchema)]
struct WaitingCall {
    call_id: String,
    pbx_call_id: String,
    number: String,
    did: Option<String>,
    joined_at: String,
    waits_ms: i64,
    /// Who is rung for it now.
    offered_to: Vec<String>,
}

/// A queue now.
#[derive(Debug, Serialize, ToSchema)]
struct QueueNow {
    queue: String,
    waiting: usize,
    longest_wait_ms: i64,
    /// In the order in which they are served.
    calls: Vec<WaitingCall>,
}

/// Who waits in a queue now
///
/// The first 1000.
#[utoipa::path(responses((status = 200, body = QueueNow)))]
#[get("/apps/{app}/queues/{id}/waiting")]
async fn waiting(at: AppPath, id: Id) -> Result<Answer<QueueNow>, Failure> {
    at.must(Action::ReadSettings)?;
    crud::find::<Queue>(&at, &id.0)?;
    let (app, queue, now) = (at.id(), id.0.clone(), at.hookflash.clock.now());
    let (rows, open) = at
        .read(move |conn| {
            let rows = routed::waiting(conn, app, &queue, now, 1_000)?;
            let calls: Vec<String> = rows.iter().map(|r| r.call_id.clone()).collect();
            let open = offers::in_hand_of(conn, app, &calls)?.into_iter().filter(|o| o.ended_at.is_none() && o.until > now.0);
            Ok((rows, open.collect::<Vec<_>>()))
        })
        .await?;
    let calls: Vec<WaitingCall> = rows
        .into_iter()
        .map(|r| WaitingCall {
            offered_to: open.iter().filter(|o| o.call_id == r.call_id).map(|o| o.agent.clone()).collect(),
            joined_at: Timestamp(r.joined_at).rfc3339(),
            waits_ms: now.since(Timestamp(r.joined_at)) / 1_000,
            call_id: r.call_id,
            pbx_call_id: r.pbx_call_id,
            number: r.caller,
            did: r.did,
        })
        .collect();
    let longest_wait_ms = calls.iter().map(|c| c.waits_ms).max().unwrap_or(0);
    Ok(Answer(QueueNow { queue: id.0, waiting: calls.len(), longest_wait_ms, calls }))
}
