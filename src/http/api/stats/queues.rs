//! Queues: what became of the calls that came into them.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::agents::times;
use super::{Ends, Measured, Part, Stats};
use crate::domain::agent::State;
use crate::domain::queue_stats::Figures;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Period, Within};
use crate::roster::App;
use crate::store::{Conn, Result as StoreResult, stats};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(queues);
}

/// One queue in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct QueueStats {
    queue: String,
    #[serde(flatten)]
    within: Ends,
    /// The limit of the service level, seconds.
    answered_within_s: i64,
    #[serde(flatten)]
    counts: QueueCounts,
    /// Wrap-up of agents after calls of this queue, in this interval.
    wrap_up_ms: i64,
    /// Mean talk and wrap-up of the answered (AHT). Hold is a part of the talk.
    aht_ms: Option<i64>,
}

/// Calls that came into a queue, counted where they joined: offered = answered + abandoned + overflowed + timed_out + closed_hours + full +
/// no_staff + waiting.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueCounts {
    /// All of them.
    queued: i64,
    /// Without the short abandons.
    offered: i64,
    answered: i64,
    abandoned: i64,
    /// Gave up at once: neither offered nor abandoned.
    short_abandoned: i64,
    overflowed: i64,
    timed_out: i64,
    closed_hours: i64,
    full: i64,
    no_staff: i64,
    /// Still there.
    waiting: i64,
    /// Answered within the limit, and abandoned after it.
    answered_in_time: i64,
    abandoned_late: i64,
    /// answered_in_time / (answered + abandoned_late).
    service_level: Option<f64>,
    /// abandoned / queued.
    abandonment_rate: Option<f64>,
    /// Mean wait of the answered, from joining the queue (ASA).
    asa_ms: Option<i64>,
    longest_wait_ms: i64,
    talk_ms: i64,
}

impl From<Figures> for QueueCounts {
    fn from(f: Figures) -> Self {
        QueueCounts {
            queued: f.queued,
            offered: f.offered(),
            answered: f.answered,
            abandoned: f.abandoned,
            short_abandoned: f.short_abandoned,
            overflowed: f.overflowed,
            timed_out: f.timed_out,
            closed_hours: f.closed_hours,
            full: f.full,
            no_staff: f.no_staff,
            waiting: f.waiting,
            answered_in_time: f.answered_in_time,
            abandoned_late: f.abandoned_late,
            service_level: f.service_level(),
            abandonment_rate: f.abandonment_rate(),
            asa_ms: f.mean_wait_us().map(|us| us / 1_000),
            longest_wait_ms: f.longest_wait_us / 1_000,
            talk_ms: f.talk_us / 1_000,
        }
    }
}

/// What queues have done
///
/// For each queue and interval in which a call joined or somebody had wrap-up after one.
#[utoipa::path(params(Period, Measured), responses((status = 200, body = Stats<QueueStats>)))]
#[get("/apps/{app}/stats/queues")]
async fn queues(at: AppPath, query: Within<Measured>) -> Result<Answer<Stats<QueueStats>>, Failure> {
    query.also.checked()?;
    let (period, measured) = (query.period, query.also);
    super::count(&at, period, measured.interval, move |conn, app, parts, now| all(conn, app, parts, &measured, now)).await
}

fn all(conn: &mut Conn, app: &App, parts: &[Part], measured: &Measured, now: Timestamp) -> StoreResult<Vec<QueueStats>> {
    let wrap_up = wrap_up(conn, app, parts, now)?;
    let mut items = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        for queue in &app.spec.queue {
            let limits = measured.limits(queue);
            let mut figures = Figures::default();
            for (_, tally) in stats::entries(conn, app.id(), &queue.id, *part, limits, now)? {
                figures.add(tally);
            }
            figures.wrap_up_us = wrap_up[n].get(&queue.id).copied().unwrap_or(0);
            if figures != Figures::default() {
                items.push(QueueStats {
                    queue: queue.id.clone(),
                    within: (*part).into(),
                    answered_within_s: limits.within_s,
                    wrap_up_ms: figures.wrap_up_us / 1_000,
                    aht_ms: figures.handling_us().map(|us| us / 1_000),
                    counts: figures.into(),
                });
            }
        }
    }
    Ok(items)
}

/// Wrap-up of all agents by queue, microseconds, in each part.
fn wrap_up(conn: &mut Conn, app: &App, parts: &[Part], now: Timestamp) -> StoreResult<Vec<BTreeMap<String, i64>>> {
    let mut by_queue = vec![BTreeMap::new(); parts.len()];
    for (by_queue, people) in by_queue.iter_mut().zip(times(conn, app, parts, now)?) {
        for ((state, queue), us) in people.into_values().flatten() {
            if let (State::WrapUp, Some(queue)) = (state, queue) {
                *by_queue.entry(queue).or_default() += us;
            }
        }
    }
    Ok(by_queue)
}
