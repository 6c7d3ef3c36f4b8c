//! Everything that the server answers over HTTP.
//!
//! [`configure`] composes it, so that the server and the tests build the same: components are shared as [`actix_web::web::Data`], each
//! resource registers itself, errors leave through [`error::Failure`].

pub mod api;
pub mod audio;
pub mod body;
mod cors;
pub mod error;
pub mod extract;
pub mod hooks;
pub mod openapi;
pub mod operations;
mod payload;
pub mod peer;
pub mod query;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::SwaggerUi;

use metrics::counter;
use percent_encoding::percent_decode_str;

use crate::app::Hookflash;
use crate::telemetry::{mask, metric, millis};
use error::{Failure, FieldError};
use openapi::{BASE, DOCUMENT};

const DOCS: &str = "/api/docs";

/// Registers every route, with the components that they work with.
pub fn configure(hookflash: Arc<Hookflash>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |cfg| {
        let api = web::scope(BASE)
            .configure(|cfg| api::configure(&mut ServiceConfig::new(cfg)))
            .default_service(web::to(unmatched))
            .wrap(from_fn(strict_query))
            .wrap(from_fn(said))
            .wrap(cors::of_applications(hookflash.clone()));
        cfg.app_data(web::Data::from(hookflash))
            .service(web::scope(hooks::ROOT).default_service(web::to(hooks::hook)))
            .route("/healthz", web::get().to(operations::healthz))
            .route("/readyz", web::get().to(operations::readyz))
            .service(audio::link)
            .route("/metrics", web::get().to(operations::metrics))
            .service(api)
            .service(SwaggerUi::new(format!("{DOCS}/{{_:.*}}")).url("/api/openapi.json", DOCUMENT.api.clone()))
            .service(web::redirect(DOCS, format!("{DOCS}/")))
            .service(web::redirect("/", DOCS))
            .service(web::scope("/api").default_service(web::to(unmatched)));
    }
}

/// One line per request of the API, and a count: by then the answer's status is known. The query may hold numbers and is left out.
async fn said(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let answered = next.call(request).await;
    let Ok(response) = &answered else { return answered };
    let (request, status) = (response.request(), response.status());
    counter!(metric::API_REQUESTS, "status" => STATUS_CLASSES[usize::from(status.as_u16() / 100).min(5)]).increment(1);
    // Only an application that there is has a log of its own.
    let known = |id: &i64| request.app_data::<web::Data<Hookflash>>().is_some_and(|server| server.roster.app(*id).is_some());
    let app = request.match_info().get("app").and_then(|a| a.parse::<i64>().ok()).filter(known);
    let (path, method) = (shown(request.path()), request.method().as_str());
    tracing::info!(path = %path, app, method, status = status.as_u16(), took_ms = millis(started.elapsed()), "api");
    answered
}

/// A path as logs show it: numbers in it are masked as everywhere.
fn shown(path: &str) -> Cow<'_, str> {
    let names_number = |name: &str| name.starts_with('+') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let segments = || path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy());
    if !segments().any(|name| names_number(&name)) {
        return Cow::Borrowed(path);
    }
    let masked = segments().map(|name| if names_number(&name) { mask(&name).to_string() } else { name.into_owned() });
    Cow::Owned(masked.collect::<Vec<_>>().join("/"))
}

/// The labels of the count of requests.
const STATUS_CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What no route took: the path is not ours, or the method is not one of its.
async fn unmatched(request: HttpRequest) -> HttpResponse {
    let methods = request.match_pattern().map(|pattern| DOCUMENT.methods(&pattern)).unwrap_or_default();
    let failure = if methods.is_empty() { Failure::NotFound("there is nothing here".into()) } else { Failure::MethodNotAllowed(methods) };
    failure.error_response()
}

/// Routes without query parameters refuse any, so that a filter that is not understood is never taken for one that holds.
async fn strict_query(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    // Nothing has such a name, and not every database can be asked for it.
    if request.path().contains("%00") {
        let nothing = Failure::NotFound("there is nothing here".into());
        return Ok(request.into_response(nothing.error_response()));
    }
    let pattern = request.match_pattern().unwrap_or_default();
    if request.query_string().is_empty() || DOCUMENT.takes_query(request.method(), &pattern) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let refused = match query::pairs(request.request()) {
        Ok(pairs) => {
            let unknown = pairs.into_iter().map(|(name, _)| FieldError::new(name, "is not known; there are no query parameters here"));
            Failure::Malformed("a query parameter is not right".into(), unknown.collect())
        }
        Err(failure) => failure,
    };
    Ok(request.into_response(refused.error_response()))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_path_is_shown_without_the_numbers_in_it() {
        assert_eq!(shown("/api/v1/apps/807/numbers/%2B74955550100"), "/api/v1/apps/807/numbers/***0100");
        assert_eq!(shown("/cid/807/event/+79995550777"), "/cid/807/event/***0777");
        assert_eq!(shown("/api/v1/apps/807/legs"), "/api/v1/apps/807/legs");
        assert_eq!(shown("/%ff/+/%2Bx"), "/%ff/+/%2Bx");
    }
}
