//! Public numbers, and the teams and regions that their tags name.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::queues::QueueCounts;
use super::{Ends, Measured, Part, Stats};
use crate::domain::outage;
use crate::domain::queue_stats::{Figures, rate};
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Period, Within};
use crate::roster::App;
use crate::store::{Conn, Result as StoreResult, ami_links, outages, stats};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(number_stats).service(tag_stats);
}

/// One public number in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct NumberStats {
    number: String,
    tags: BTreeMap<String, String>,
    #[serde(flatten)]
    within: Ends,
    #[serde(flatten)]
    counts: NumberCounts,
}

/// The numbers of one tag in one interval: a team, a region.
#[derive(Debug, Serialize, ToSchema)]
struct TagStats {
    #[schema(example = "team")]
    tag: String,
    #[schema(example = "sales")]
    value: String,
    /// The numbers that have it now.
    numbers: Vec<String>,
    #[serde(flatten)]
    within: Ends,
    #[serde(flatten)]
    counts: NumberCounts,
}

/// Calls through public numbers.
#[derive(Debug, Serialize, ToSchema)]
struct NumberCounts {
    /// Calls from outside that are over, counted where they began.
    calls: i64,
    /// Of these: somebody talked.
    talked: i64,
    /// talked / calls.
    completion: Option<f64>,
    /// 1 − time without connection to the PBX / time; null where no connection is kept, or from before it was. The mean over the numbers of a
    /// tag.
    up_time: Option<f64>,
    /// In all queues: their service level is that of each queue's own limit, unless the question names one.
    queues: QueueCounts,
}

#[derive(Clone, Copy, Default)]
struct Number {
    calls: i64,
    talked: i64,
    up_time: Option<f64>,
    queues: Figures,
}

/// What came through public numbers
#[utoipa::path(params(Period, Measured), responses((status = 200, body = Stats<NumberStats>)))]
#[get("/apps/{app}/stats/numbers")]
async fn number_stats(at: AppPath, query: Within<Measured>) -> Result<Answer<Stats<NumberStats>>, Failure> {
    query.also.checked()?;
    let (period, measured) = (query.period, query.also);
    super::count(&at, period, measured.interval, move |conn, app, parts, now| {
        let mut items = Vec::new();
        for part in parts {
            for (number, figures) in by_number(conn, app, *part, &measured, now)? {
                let tags = app.spec.number.iter().find(|n| n.number == number).map(|n| n.tags.clone()).unwrap_or_default();
                items.push(NumberStats { number, tags, within: (*part).into(), counts: counts(&[figures]) });
            }
        }
        Ok(items)
    })
    .await
}

/// What came through the numbers of a tag: by team, by region
#[utoipa::path(params(Period, Measured), responses((status = 200, body = Stats<TagStats>)))]
#[get("/apps/{app}/stats/tags")]
async fn tag_stats(at: AppPath, query: Within<Measured>) -> Result<Answer<Stats<TagStats>>, Failure> {
    query.also.checked()?;
    let (period, measured) = (query.period, query.also);
    super::count(&at, period, measured.interval, move |conn, app, parts, now| {
        let mut tagged: BTreeMap<(&String, &String), Vec<&String>> = BTreeMap::new();
        for number in &app.spec.number {
            for tag in &number.tags {
                tagged.entry(tag).or_default().push(&number.number);
            }
        }
        let mut items = Vec::new();
        for part in parts {
            let found = by_number(conn, app, *part, &measured, now)?;
            for ((tag, value), numbers) in &tagged {
                let theirs: Vec<Number> = numbers.iter().filter_map(|n| found.get(*n)).copied().collect();
                if theirs.is_empty() {
                    continue;
                }
                items.push(TagStats {
                    tag: (*tag).clone(),
                    value: (*value).clone(),
                    numbers: numbers.iter().map(|n| (*n).clone()).collect(),
                    within: (*part).into(),
                    counts: counts(&theirs),
                });
            }
        }
        Ok(items)
    })
    .await
}

fn counts(of: &[Number]) -> NumberCounts {
    let (calls, talked) = (of.iter().map(|n| n.calls).sum(), of.iter().map(|n| n.talked).sum());
    let mut queues = Figures::default();
    of.iter().for_each(|n| queues.join(&n.queues));
    let up: Vec<f64> = of.iter().filter_map(|n| n.up_time).collect();
    let up_time = (!up.is_empty()).then(|| up.iter().sum::<f64>() / up.len() as f64);
    NumberCounts { calls, talked, completion: rate(talked, calls), up_time, queues: queues.into() }
}

/// The numbers that something came through, and all declared ones where it is known whether they could be reached.
fn by_number(conn: &mut Conn, app: &App, part: Part, measured: &Measured, now: Timestamp) -> StoreResult<BTreeMap<String, Number>> {
    let mut found: BTreeMap<String, Number> = BTreeMap::new();
    for (did, calls, talked) in stats::calls(conn, app.id(), part)? {
        let number = found.entry(did.unwrap_or_default()).or_default();
        (number.calls, number.talked) = (calls, talked);
    }
    for queue in &app.spec.queue {
        for (did, tally) in stats::entries(conn, app.id(), &queue.id, part, measured.limits(queue), now)? {
            if let Some(did) = did {
                found.entry(did).or_default().queues.add(tally);
            }
        }
    }
    if let Some(up_time) = up_time(conn, app, part, now)? {
        for number in &app.spec.number {
            found.entry(number.number.clone()).or_default();
        }
        found.values_mut().for_each(|n| n.up_time = Some(up_time));
    }
    Ok(found)
}

/// All numbers of an application come through its one PBX.
fn up_time(conn: &mut Conn, app: &App, part: Part, now: Timestamp) -> StoreResult<Option<f64>> {
    let Some(known_since) = ami_links::get(conn, app.id())?.and_then(|link| link.watched_since) else { return Ok(None) };
    let outages = outages::between(conn, app.id(), part.0, part.1)?;
    Ok(outage::up_time(&outages, Timestamp(known_since), part.0, part.1, now))
}
