//! Recordings: found, linked, played and deleted.

use actix_web::web::Json as Answer;
use actix_web::{HttpRequest, HttpResponse, delete, get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::domain::time::Timestamp;
use crate::http::audio::{self as playing, Listener};
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Items, Limit, Period, Within, after};
use crate::store::calls::LegRow;
use crate::store::records::{self, Filter, Link, Play};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list)
        .service(delete_range)
        .service(delete_one)
        .service(storage_url)
        .service(audio)
        .service(links)
        .service(plays)
        .service(revoke);
}

/// A recording and the leg that it is of.
#[derive(Debug, Serialize, ToSchema)]
struct RecordView {
    /// The PBX's id of the recording.
    id: String,
    call_id: String,
    leg_id: String,
    extension: Option<String>,
    agent: Option<String>,
    /// `in` or `out`.
    direction: String,
    number: Option<String>,
    did: Option<String>,
    started_at: String,
    talk_ms: i64,
    duration_ms: i64,
}

impl From<LegRow> for RecordView {
    fn from(leg: LegRow) -> Self {
        RecordView {
            leg_id: leg.id(),
            id: leg.record_id.unwrap_or_default(),
            call_id: leg.call_id,
            extension: leg.extension,
            agent: leg.agent,
            direction: leg.direction,
            number: leg.number,
            did: leg.did,
            started_at: Timestamp(leg.started_at).rfc3339(),
            talk_ms: leg.talk_us / 1_000,
            duration_ms: leg.duration_us / 1_000,
        }
    }
}

/// Which recordings, of calls that began in the period.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of one extension.
    extension: Option<String>,
    /// Items in one answer: 1 to 500, 50 without it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Whose recordings are deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// Of one extension.
    extension: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    /// How many recordings were deleted.
    deleted: usize,
}

/// In the PBX's own shape.
#[derive(Debug, Serialize, ToSchema)]
struct StorageUrl {
    record_url: String,
}

/// A link that was given out.
#[derive(Debug, Serialize, ToSchema)]
struct LinkView {
    id: String,
    created_at: String,
    /// The token that asked for it.
    created_by: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

impl From<Link> for LinkView {
    fn from(link: Link) -> Self {
        let time = |at: i64| Timestamp(at).rfc3339();
        LinkView {
            id: link.id,
            created_at: time(link.created_at),
            created_by: link.created_by,
            expires_at: link.expires_at.map(time),
            revoked_at: link.revoked_at.map(time),
        }
    }
}

/// Somebody listened.
#[derive(Debug, Serialize, ToSchema)]
struct PlayView {
    at: String,
    /// The token's name, or `link`.
    by: String,
    link: Option<String>,
    address: String,
}

impl From<Play> for PlayView {
    fn from(play: Play) -> Self {
        PlayView { at: Timestamp(play.at).rfc3339(), by: play.by_whom, link: play.link, address: play.address }
    }
}

/// A list that is short by its nature.
#[derive(Debug, Serialize, ToSchema)]
struct All<T> {
    items: Vec<T>,
}

/// List the recordings, newest first
#[utoipa::path(params(Period, Wanted), responses((status = 200, body = Items<RecordView>)))]
#[get("/apps/{app}/records")]
async fn list(at: AppPath, query: Within<Wanted>) -> Result<Answer<Items<RecordView>>, Failure> {
    let only = at.principal.only_agent();
    at.must(Action::ReadRecords(only))?;
    let (from, to) = query.period.ends(&at.app.spec.timezone)?;
    let asked = query.also;
    let own = only.and_then(|agent| at.app.agent(agent)).and_then(|a| a.extension.clone());
    if only.is_some() && asked.extension.is_some() && asked.extension != own {
        return Err(Failure::Forbidden);
    }
    let filter = Filter {
        from,
        to,
        extension: if only.is_some() { Some(own.unwrap_or_default()) } else { asked.extension },
        before: after(asked.cursor.as_deref())?,
    };
    let (app, limit) = (at.id(), asked.limit);
    let rows = at.read(move |conn| records::list(conn, app, &filter, limit.rows())).await?;
    let page = Items::page(rows, limit, |l| (l.logged_at.unwrap_or_default(), l.call_id.clone(), l.leg.clone()));
    Ok(Answer(page.map(RecordView::from)))
}

/// Delete the recordings of a period, at the PBX too
///
/// Those of calls that began in the period, which is needed. Those that the list shows are deleted one by one; when the PBX refuses one, the answer says so and the rest stays.
#[utoipa::path(params(Period, Whose), responses((status = 200, body = Deleted)))]
#[delete("/apps/{app}/records")]
async fn delete_range(at: AppPath, query: Within<Whose>) -> Result<Answer<Deleted>, Failure> {
    at.must(Action::DeleteRecords)?;
    let (from, to) = query.period.needed(&at.app.spec.timezone)?;
    let filter = Filter { from: Some(from), to: Some(to), extension: query.also.extension, before: None };
    match at.hookflash.recordings.delete_range(&at.app, filter).await.map_err(playing::failure)? {
        (deleted, None) => Ok(Answer(Deleted { deleted })),
        (deleted, Some(error)) => Err(Failure::BadGateway(format!("{deleted} were deleted, then: {error}"))),
    }
}

/// Delete a recording, at the PBX too
#[utoipa::path(responses((status = 204)))]
#[delete("/apps/{app}/records/{id}")]
async fn delete_one(at: AppPath, id: Id) -> Result<HttpResponse, Failure> {
    at.must(Action::DeleteRecords)?;
    at.hookflash.recordings.delete(&at.app, &id.0).await.map_err(playing::failure)?;
    Ok(HttpResponse::NoContent().finish())
}

/// A link to a recording
///
/// Signed, and good for whoever has it, also when the PBX moves. It expires when `records.link_days` says so, and can be revoked.
#[utoipa::path(responses((status = 200, body = StorageUrl)))]
#[get("/apps/{app}/records/{id}/storage_url")]
async fn storage_url(at: AppPath, id: Id) -> Result<Answer<StorageUrl>, Failure> {
    readable(&at, &id.0).await?;
    let (app, name) = (at.id(), id.0.clone());
    let is_there = at.read(move |conn| Ok(records::leg_of(conn, app, &name)?.is_some() && !records::is_deleted(conn, app, &name)?)).await?;
    if !is_there {
        return Err(Failure::missing("recording", &id.0));
    }
    let server = &at.hookflash;
    let token = server.links.token(at.id(), &id.0, &at.principal.name).await?;
    Ok(Answer(StorageUrl { record_url: format!("{}/r/{token}", server.settings.server.base_url()) }))
}

/// The audio of a recording
///
/// `Range` is honoured. 202 with `Retry-After` while it is not ready.
#[utoipa::path(responses((status = 200, content_type = "audio/mpeg"), (status = 206), (status = 202)))]
#[get("/apps/{app}/records/{id}/audio")]
async fn audio(at: AppPath, id: Id, request: HttpRequest) -> Result<HttpResponse, Failure> {
    readable(&at, &id.0).await?;
    let listener = Listener { by: at.principal.name.clone(), link: None };
    playing::play(&at.hookflash, &at.app, &id.0, listener, &request).await
}

/// The links to a recording that were given out, newest first
#[utoipa::path(responses((status = 200, body = All<LinkView>)))]
#[get("/apps/{app}/records/{id}/links")]
async fn links(at: AppPath, id: Id) -> Result<Answer<All<LinkView>>, Failure> {
    at.must(Action::ReadRecords(None))?;
    let app = at.id();
    let rows = at.read(move |conn| records::links_of(conn, app, &id.0)).await?;
    Ok(Answer(All { items: rows.into_iter().map(LinkView::from).collect() }))
}

/// Who listened to a recording, newest first
#[utoipa::path(responses((status = 200, body = All<PlayView>)))]
#[get("/apps/{app}/records/{id}/plays")]
async fn plays(at: AppPath, id: Id) -> Result<Answer<All<PlayView>>, Failure> {
    at.must(Action::ReadRecords(None))?;
    let app = at.id();
    let rows = at.read(move |conn| records::plays_of(conn, app, &id.0)).await?;
    Ok(Answer(All { items: rows.into_iter().map(PlayView::from).collect() }))
}

/// Revoke a link
#[utoipa::path(responses((status = 204)))]
#[delete("/apps/{app}/record-links/{id}")]
async fn revoke(at: AppPath, id: Id) -> Result<HttpResponse, Failure> {
    at.must(Action::DeleteRecords)?;
    let (app, now, link) = (at.id(), at.hookflash.clock.now(), id.0.clone());
    let revoked = at.write(move |conn| Ok(records::revoke_link(conn, app, &link, now)?)).await?;
    if revoked { Ok(HttpResponse::NoContent().finish()) } else { Err(Failure::missing("valid link", &id.0)) }
}

/// Refuses an agent the recordings of others.
async fn readable(at: &AppPath, record: &str) -> Result<(), Failure> {
    let Some(agent) = at.principal.only_agent() else { return at.must(Action::ReadRecords(None)) };
    let (app, name) = (at.id(), record.to_owned());
    let leg = at.read(move |conn| records::leg_of(conn, app, &name)).await?;
    let own = leg.is_some_and(|l| l.agent.as_deref() == Some(agent));
    if own { at.must(Action::ReadRecords(Some(agent))) } else { Err(Failure::missing("recording", record)) }
}
