//! Recordings as HTTP answers: whole or in part, and a wait while they are not there.

use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, route, web};
use futures_util::TryStreamExt;

use super::error::Failure;
use super::peer::client_address;
use crate::app::Hookflash;
use crate::domain::id;
use crate::records::range::Asked;
use crate::records::{Audio, RecordError};
use crate::roster::App;
use crate::store::records::{self, Play};
use crate::store::{Durability, StoreError};

/// Who plays a recording.
pub struct Listener {
    pub by: String,
    /// The link through which he does.
    pub link: Option<String>,
}

/// Answers with a recording, and notes who asked for it.
pub async fn play(server: &Hookflash, app: &App, record: &str, listener: Listener, request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let asked = request.headers().get(header::RANGE).and_then(|v| v.to_str().ok()).and_then(Asked::parse);
    match server.recordings.open(app, record, asked).await {
        Ok(audio) => {
            // Who only asks how large it is has heard nothing.
            if request.method() != Method::HEAD {
                note(server, app.id(), record, listener, request).await?;
            }
            Ok(answer(audio))
        }
        Err(RecordError::NotReady(wait)) => Ok(HttpResponse::Accepted().insert_header((header::RETRY_AFTER, wait.to_string())).finish()),
        Err(RecordError::OutOfRange(total)) => Ok(HttpResponse::build(StatusCode::RANGE_NOT_SATISFIABLE)
            .insert_header((header::CONTENT_RANGE, format!("bytes */{total}")))
            .finish()),
        Err(error) => Err(failure(error)),
    }
}

pub fn failure(error: RecordError) -> Failure {
    match error {
        RecordError::Pbx(words) => Failure::BadGateway(words),
        RecordError::NoWay(words) => Failure::Conflict(words),
        RecordError::Store(error) => Failure::Store(error),
        other => Failure::NotFound(other.to_string()),
    }
}

fn answer(audio: Audio) -> HttpResponse {
    let mut response = match audio.part {
        Some(part) => {
            let mut response = HttpResponse::PartialContent();
            response.insert_header((header::CONTENT_RANGE, part.header()));
            response
        }
        None => HttpResponse::Ok(),
    };
    response
        .content_type(audio.content_type)
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let body = audio.body.map_err(|error| Box::new(error) as Box<dyn std::error::Error>);
    match audio.length {
        Some(length) => response.body(SizedStream::new(length, body)),
        None => response.streaming(body),
    }
}

async fn note(server: &Hookflash, app: i64, record: &str, listener: Listener, request: &HttpRequest) -> Result<(), StoreError> {
    let now = server.clock.now();
    let address = client_address(request, &server.settings.server.trusted_proxies);
    let play = Play {
        application: app,
        id: id::fresh(now),
        record_id: record.to_owned(),
        link: listener.link,
        by_whom: listener.by,
        address: address.map(|ip| ip.to_string()).unwrap_or_default(),
        at: now.micros(),
    };
    server.db.write(Durability::Full, move |conn| records::insert_play(conn, &play)).await
}

/// What a `record_url` points at.
#[route("/r/{token}", method = "GET", method = "HEAD")]
pub async fn link(request: HttpRequest, token: web::Path<String>, server: web::Data<Hookflash>) -> Result<HttpResponse, Failure> {
    let gone = || Failure::NotFound("this link is not valid, or not any more".into());
    let link = server.links.check(&token).await?.ok_or_else(gone)?;
    let app = server.roster.app(link.application).ok_or_else(gone)?;
    tracing::info!(path = "/r/", app = app.id(), link = link.id, record = link.record_id, "recording played");
    play(&server, &app, &link.record_id, Listener { by: "link".into(), link: Some(link.id) }, &request).await
}
