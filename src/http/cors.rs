//! Browsers of other origins: an application says which may use its part of the API.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::http::header;

use super::openapi::BASE;
use crate::app::Hookflash;

/// Seconds that a browser may remember what it was allowed; a change of `allowed_origins` holds for everybody after that.
const REMEMBER_S: usize = 600;

/// Allows the origins that the application of the path lists. Anything else is answered without permission, which makes browsers refuse it.
pub fn of_applications(hookflash: Arc<Hookflash>) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, head| {
            let app = application(head.uri.path()).and_then(|id| hookflash.roster.app(id));
            app.is_some_and(|app| app.spec.allowed_origins.iter().any(|allowed| origin == allowed.as_str()))
        })
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "DELETE"])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::RANGE])
        .allowed_header("idempotency-key")
        .allowed_header("last-event-id")
        .expose_headers([header::LOCATION, header::RETRY_AFTER, header::ACCEPT_RANGES, header::CONTENT_RANGE])
        .max_age(REMEMBER_S)
}

fn application(path: &str) -> Option<i64> {
    path.strip_prefix(BASE)?.strip_prefix("/apps/")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::application;

    #[test]
    fn the_application_stands_in_the_path() {
        assert_eq!(application("/api/v1/apps/807/agents/ann"), Some(807));
        assert_eq!(application("/api/v1/apps/807"), Some(807));
        for none in ["/api/v1/apps", "/api/v1/tokens", "/api/v1/apps/x/agents", "/cid/807/event"] {
            assert_eq!(application(none), None, "{none}");
        }
    }
}
