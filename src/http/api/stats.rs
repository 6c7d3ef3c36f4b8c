//! Counting the call log: by extension, and by the queue or IVR that lost a call.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::domain::interval::{self, Interval};
use crate::domain::spec::ExtensionType;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::Query;
use crate::roster::App;
use crate::store::{Conn, Result as StoreResult, stats};

/// Intervals in one answer: the hours of a month, with some to spare.
const MOST: usize = 800;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(extensions).service(places);
}

/// Which period, and how it is cut.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// What began at this instant or later: RFC 3339, or a date (or a date with a time) on the clock of the application's time zone.
    #[param(example = "2026-11-01")]
    from: String,
    /// What began before this instant; written as `from`.
    #[param(example = "2026-12-01")]
    to: String,
    /// Cut into hours, days, weeks (from Monday) or months of the application's time zone, 800 at most; the whole period without it.
    #[param(inline)]
    interval: Option<Interval>,
}

/// Counts of a period.
#[derive(Debug, Serialize, ToSchema)]
struct Stats<T> {
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    interval: Option<Interval>,
    /// The application's: its clock says where intervals begin.
    timezone: String,
    /// In the order of time; where nothing happened there is none.
    items: Vec<T>,
}

/// What one extension did in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct ExtensionStats {
    /// The interval: its begin belongs to it, its end does not.
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    extension: Option<String>,
    /// Whose phone it is now.
    agent: Option<String>,
    /// Calls from outside that it took, transfers included.
    incoming: i64,
    /// Calls to the outside that it made, answered or not.
    outgoing: i64,
    /// How often it rang in calls that nobody took; counted where the call began.
    unanswered: i64,
    /// Talk of both directions.
    talk_ms: i64,
}

/// What one place lost in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct PlaceStats {
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    /// The PBX's name of the queue or IVR; of a call that only touched phones the phone.
    place: Option<String>,
    #[serde(rename = "type")]
    kind: Option<ExtensionType>,
    missed: i64,
}

/// Calls by extension
#[utoipa::path(params(Wanted), responses((status = 200, body = Stats<ExtensionStats>)))]
#[get("/apps/{app}/stats/extensions")]
async fn extensions(at: AppPath, Query(wanted): Query<Wanted>) -> Result<Answer<Stats<ExtensionStats>>, Failure> {
    count(&at, wanted, by_extension).await
}

/// Missed calls by queue and IVR
#[utoipa::path(params(Wanted), responses((status = 200, body = Stats<PlaceStats>)))]
#[get("/apps/{app}/stats/places")]
async fn places(at: AppPath, Query(wanted): Query<Wanted>) -> Result<Answer<Stats<PlaceStats>>, Failure> {
    count(&at, wanted, by_place).await
}

type Part = (Timestamp, Timestamp);

async fn count<T: Send + 'static>(
    at: &AppPath,
    wanted: Wanted,
    of: fn(&mut Conn, &App, Part, Timestamp) -> StoreResult<Vec<T>>,
) -> Result<Answer<Stats<T>>, Failure> {
    at.must(Action::ReadStats)?;
    let (from, to, parts) = wanted.parts(&at.app.spec.timezone)?;
    let (app, now) = (at.app.clone(), at.hookflash.clock.now());
    let items = at.read(move |conn| {
        let mut items = Vec::new();
        for part in parts {
            items.extend(of(conn, &app, part, now)?);
        }
        Ok(items)
    });
    let timezone = at.app.spec.timezone.clone();
    Ok(Answer(Stats { from: from.rfc3339(), to: to.rfc3339(), interval: wanted.interval, timezone, items: items.await? }))
}

impl Wanted {
    fn parts(&self, zone: &str) -> Result<(Timestamp, Timestamp, Vec<Part>), Failure> {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let read = |name: &str, text: &str| {
            // A `+` of the offset that was not escaped arrives as a space.
            let at = interval::instant(&text.replace(' ', "+"), &zone).filter(|t| (0..=Timestamp::MAX.0).contains(&t.0));
            at.ok_or_else(|| Failure::parameter(name, format!("{text:?} is no time; write 2026-11-01 or 2026-11-01T00:00:00Z")))
        };
        let (from, to) = (read("from", &self.from)?, read("to", &self.to)?);
        if from >= to {
            return Err(Failure::parameter("to", "must be later than from"));
        }
        let parts = match self.interval {
            None => vec![(from, to)],
            Some(interval) => interval::parts(from, to, interval, &zone, MOST).ok_or_else(|| {
                Failure::parameter(
                    "interval",
                    format!("cuts the period into more than {MOST} parts; ask for less time, or a longer interval"),
                )
            })?,
        };
        Ok((from, to, parts))
    }
}

fn by_extension(conn: &mut Conn, app: &App, part: Part, now: Timestamp) -> StoreResult<Vec<ExtensionStats>> {
    let mut found: BTreeMap<Option<String>, ExtensionStats> = BTreeMap::new();
    let fresh = |extension: &Option<String>| ExtensionStats {
        from: part.0.rfc3339(),
        to: part.1.rfc3339(),
        extension: extension.clone(),
        agent: extension.as_deref().and_then(|e| app.agent_of(e)).map(|a| a.id.clone()),
        incoming: 0,
        outgoing: 0,
        unanswered: 0,
        talk_ms: 0,
    };
    // Milliseconds of the sum, not the sum of milliseconds.
    let mut talk_us: BTreeMap<Option<String>, i64> = BTreeMap::new();
    for (extension, direction, legs, talk) in stats::legs(conn, app.id(), part, now)? {
        let row = found.entry(extension.clone()).or_insert_with(|| fresh(&extension));
        if direction == "in" {
            row.incoming += legs;
        } else {
            row.outgoing += legs;
        }
        let sum = talk_us.entry(extension).or_default();
        *sum += talk;
        row.talk_ms = *sum / 1_000;
    }
    for (extension, rings) in stats::unanswered(conn, app.id(), part, now)? {
        found.entry(extension.clone()).or_insert_with(|| fresh(&extension)).unanswered += rings;
    }
    Ok(found.into_values().collect())
}

fn by_place(conn: &mut Conn, app: &App, part: Part, now: Timestamp) -> StoreResult<Vec<PlaceStats>> {
    let mut found = stats::missed(conn, app.id(), part, now)?;
    found.sort();
    let kind = |place: &Option<String>| app.extension_type(place.as_deref()?.rsplit('*').next()?);
    let view = |(place, missed): (Option<String>, i64)| PlaceStats {
        from: part.0.rfc3339(),
        to: part.1.rfc3339(),
        kind: kind(&place),
        place,
        missed,
    };
    Ok(found.into_iter().map(view).collect())
}
