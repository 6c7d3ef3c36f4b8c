//! Counts of a period, whole or cut into intervals of the application's time zone.
//!
//! Whoever asks gets raw counts with the rates beside them, so that every variant of a rate can be had. The sums are made by the database,
//! interval by interval; what is held here is the answer.

mod agents;
mod log;
mod numbers;
mod queues;

use actix_web::web::Json as Answer;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::domain::interval::{self, Interval};
use crate::domain::queue_stats::SHORT_S;
use crate::domain::spec::Queue;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::Period;
use crate::roster::App;
use crate::store::stats::Limits;
use crate::store::{Conn, Result as StoreResult};

/// Intervals in one answer: the hours of a month, with some to spare.
const MOST_PARTS: usize = 800;
/// Items in one answer: more than this is an export.
const MOST_ITEMS: usize = 20_000;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(log::configure).configure(queues::configure).configure(agents::configure).configure(numbers::configure);
}

/// A begin and an end.
type Part = (Timestamp, Timestamp);

/// The ends of a part: its begin belongs to it, its end does not.
#[derive(Debug, Serialize, ToSchema)]
struct Ends {
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
}

impl From<Part> for Ends {
    fn from((from, to): Part) -> Ends {
        Ends { from: from.rfc3339(), to: to.rfc3339() }
    }
}

/// How the period is cut.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Cut {
    /// Cut into quarters of an hour, hours, days, weeks (from Monday) or months of the application's time zone, 800 at most; the whole
    /// period without it.
    #[param(inline)]
    interval: Option<Interval>,
}

/// How the period is cut, and by which limits queues are measured.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Measured {
    /// Cut into quarters of an hour, hours, days, weeks (from Monday) or months of the application's time zone, 800 at most; the whole
    /// period without it.
    #[param(inline)]
    interval: Option<Interval>,
    /// The limit of the service level, seconds; each queue's own `sla_answered_within` without it.
    #[param(minimum = 0, maximum = 86_400)]
    within_s: Option<i64>,
    /// Whoever gives up sooner than this was not offered, seconds: 5 without it.
    #[param(minimum = 0, maximum = 86_400)]
    short_s: Option<i64>,
}

impl Measured {
    /// Refuses what no queue can be measured by.
    fn checked(&self) -> Result<(), Failure> {
        for (name, limit) in [("within_s", self.within_s), ("short_s", self.short_s)] {
            if limit.is_some_and(|s| !(0..=86_400).contains(&s)) {
                return Err(Failure::parameter(name, "is out of range; use 0 to 86400"));
            }
        }
        Ok(())
    }

    fn limits(&self, queue: &Queue) -> Limits {
        Limits { within_s: self.within_s.unwrap_or(queue.sla_answered_within), short_s: self.short_s.unwrap_or(SHORT_S) }
    }
}

/// Counts of a period.
#[derive(Debug, Serialize, ToSchema)]
struct Stats<T> {
    #[serde(flatten)]
    within: Ends,
    interval: Option<Interval>,
    /// The application's: its clock says where intervals begin.
    timezone: String,
    /// In the order of time; where nothing happened there is none.
    items: Vec<T>,
}

/// Cuts the period and has the parts counted.
async fn count<T: Send + 'static>(
    at: &AppPath,
    period: Period,
    interval: Option<Interval>,
    of: impl FnOnce(&mut Conn, &App, &[Part], Timestamp) -> StoreResult<Vec<T>> + Send + 'static,
) -> Result<Answer<Stats<T>>, Failure> {
    at.must(Action::ReadStats)?;
    let timezone = at.app.spec.timezone.clone();
    let (from, to) = period.needed(&timezone)?;
    let parts = match interval {
        None => vec![(from, to)],
        Some(interval) => {
            let zone = TimeZone::get(&timezone).unwrap_or(TimeZone::UTC);
            interval::parts(from, to, interval, &zone, MOST_PARTS).ok_or_else(|| too_many(MOST_PARTS, "parts"))?
        }
    };
    let (app, now) = (at.app.clone(), at.hookflash.clock.now());
    let items = at.read(move |conn| of(conn, &app, &parts, now)).await?;
    if items.len() > MOST_ITEMS {
        return Err(too_many(MOST_ITEMS, "items"));
    }
    Ok(Answer(Stats { within: (from, to).into(), interval, timezone, items }))
}

fn too_many(most: usize, what: &str) -> Failure {
    Failure::parameter("interval", format!("cuts the period into more than {most} {what}; ask for less time, or a longer interval"))
}
