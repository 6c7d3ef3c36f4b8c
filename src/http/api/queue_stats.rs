//! What queues have done, and who waits in them now.

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::crud;
use crate::auth::Action;
use crate::domain::queue_stats::{Figures, Visit};
use crate::domain::spec::Queue;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Instant, Query};
use crate::store::offers;
use crate::store::routed::{self, QueueEntry};
use crate::text_enum;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(stats).service(waiting);
}

text_enum! {
    /// How finely a time is told apart.
    pub enum Interval {
        Quarter = "15m",
        Hour = "1h",
        Day = "1d",
    }
}

impl Interval {
    fn us(self) -> i64 {
        let minutes = match self {
            Interval::Quarter => 15,
            Interval::Hour => 60,
            Interval::Day => 24 * 60,
        };
        minutes * 60_000_000
    }
}

/// More rows than this are no answer but an export.
const MOST_ROWS: i64 = 5_000;

/// Which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Period {
    /// Joined at this instant or later: RFC 3339, or a date; a day before `to` without it.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    /// Joined before this instant; now without it.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
    /// One row for each of these (in UTC); one for all without it.
    #[param(inline)]
    interval: Option<Interval>,
}

/// One queue in one time.
#[derive(Debug, Serialize, ToSchema)]
struct QueueStats {
    queue: String,
    from: String,
    to: String,
    offered: i64,
    answered: i64,
    abandoned: i64,
    /// Gave up within five seconds: in no rate.
    short_abandoned: i64,
    overflowed: i64,
    timed_out: i64,
    closed_hours: i64,
    full: i64,
    no_staff: i64,
    /// Still there.
    waiting: i64,
    /// The service level's limit, seconds.
    answered_within_s: i64,
    answered_in_time: i64,
    abandoned_late: i64,
    service_level: Option<f64>,
    abandonment_rate: Option<f64>,
    /// Mean wait of the answered.
    asa_ms: Option<i64>,
    longest_wait_ms: i64,
    talk_ms: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct AllStats {
    items: Vec<QueueStats>,
}

/// What queues have done
#[utoipa::path(params(Period), responses((status = 200, body = AllStats)))]
#[get("/apps/{app}/stats/queues")]
async fn stats(at: AppPath, query: Query<Period>) -> Result<Answer<AllStats>, Failure> {
    at.must(Action::ReadSettings)?;
    let now = at.hookflash.clock.now();
    let to = query.0.to.map_or(now, |i| i.0);
    let from = query.0.from.map_or(to.plus_s(-86_400), |i| i.0);
    let step = query.0.interval.map_or((to.0 - from.0).max(1), Interval::us);
    if (to.0 - from.0).max(0) / step * at.app.spec.queue.len().max(1) as i64 > MOST_ROWS {
        return Err(Failure::parameter(
            "interval",
            format!("gives more than {MOST_ROWS} rows; ask for a shorter time or a longer interval"),
        ));
    }
    let (app, queues) = (at.id(), at.app.spec.queue.clone());
    let items = at
        .read(move |conn| {
            let mut items = Vec::new();
            for queue in &queues {
                let entries = routed::entries_between(conn, app, &queue.id, from, to)?;
                let mut begin = from;
                while begin < to {
                    let end = if query.0.interval.is_some() { Timestamp((begin.0 / step + 1) * step).min(to) } else { to };
                    let within = entries.iter().filter(|e| (begin.0..end.0).contains(&e.joined_at));
                    items.push(row(queue, begin, end, Figures::of(within.map(visit), queue.sla_answered_within)));
                    begin = end;
                }
            }
            Ok(items)
        })
        .await?;
    Ok(Answer(AllStats { items }))
}

fn visit(entry: &QueueEntry) -> Visit {
    Visit {
        joined_at: Timestamp(entry.joined_at),
        ended_at: entry.ended_at.map(Timestamp),
        outcome: entry.outcome(),
        talk_us: entry.talk_us,
    }
}

fn row(queue: &Queue, from: Timestamp, to: Timestamp, f: Figures) -> QueueStats {
    QueueStats {
        queue: queue.id.clone(),
        from: from.rfc3339(),
        to: to.rfc3339(),
        offered: f.offered,
        answered: f.answered,
        abandoned: f.abandoned,
        short_abandoned: f.short_abandoned,
        overflowed: f.overflowed,
        timed_out: f.timed_out,
        closed_hours: f.closed_hours,
        full: f.full,
        no_staff: f.no_staff,
        waiting: f.waiting,
        answered_within_s: queue.sla_answered_within,
        answered_in_time: f.answered_in_time,
        abandoned_late: f.abandoned_late,
        service_level: f.service_level(),
        abandonment_rate: f.abandonment_rate(),
        asa_ms: f.mean_wait_us().map(|us| us / 1_000),
        longest_wait_ms: f.longest_wait_us / 1_000,
        talk_ms: f.talk_us / 1_000,
    }
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
