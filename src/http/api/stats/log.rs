//! Counting the call log: by extension, and by the queue or IVR that lost a call.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Cut, Ends, Part, Stats};
use crate::domain::spec::ExtensionType;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Period, Within};
use crate::roster::App;
use crate::store::{Conn, Result as StoreResult, stats};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(extensions).service(places);
}

/// What one extension did in one interval.
#[derive(Debug, Serialize, ToSchema)]
struct ExtensionStats {
    #[serde(flatten)]
    within: Ends,
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
    #[serde(flatten)]
    within: Ends,
    /// The PBX's name of the queue or IVR; of a call that only touched phones the phone.
    place: Option<String>,
    #[serde(rename = "type")]
    kind: Option<ExtensionType>,
    missed: i64,
}

/// Calls by extension
#[utoipa::path(params(Period, Cut), responses((status = 200, body = Stats<ExtensionStats>)))]
#[get("/apps/{app}/stats/extensions")]
async fn extensions(at: AppPath, query: Within<Cut>) -> Result<Answer<Stats<ExtensionStats>>, Failure> {
    super::count(&at, query.period, query.also.interval, part_by_part(by_extension)).await
}

/// Missed calls by queue and IVR
#[utoipa::path(params(Period, Cut), responses((status = 200, body = Stats<PlaceStats>)))]
#[get("/apps/{app}/stats/places")]
async fn places(at: AppPath, query: Within<Cut>) -> Result<Answer<Stats<PlaceStats>>, Failure> {
    super::count(&at, query.period, query.also.interval, part_by_part(by_place)).await
}

fn part_by_part<T>(
    of: fn(&mut Conn, &App, Part, Timestamp) -> StoreResult<Vec<T>>,
) -> impl FnOnce(&mut Conn, &App, &[Part], Timestamp) -> StoreResult<Vec<T>> {
    move |conn, app, parts, now| {
        let mut items = Vec::new();
        for part in parts {
            items.extend(of(conn, app, *part, now)?);
        }
        Ok(items)
    }
}

fn by_extension(conn: &mut Conn, app: &App, part: Part, now: Timestamp) -> StoreResult<Vec<ExtensionStats>> {
    let mut found: BTreeMap<Option<String>, ExtensionStats> = BTreeMap::new();
    let fresh = |extension: &Option<String>| ExtensionStats {
        within: part.into(),
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
    let view = |(place, missed): (Option<String>, i64)| PlaceStats { within: part.into(), kind: kind(&place), place, missed };
    Ok(found.into_iter().map(view).collect())
}
