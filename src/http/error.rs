//! The one map from what went wrong to what a client is told: RFC 9457 problem documents.
//!
//! A client learns what it can mend: the field, the parameter, the state that is in the way. What went wrong inside is logged and never in
//! a body.

use std::fmt;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::declare::DeclareError;
use crate::domain::validate;
use crate::store::StoreError;

/// Seconds after which a client that met a busy server may come again.
const RETRY_AFTER_S: u32 = 1;

/// Why a request was not done.
#[derive(Debug)]
pub enum Failure {
    /// No token, or one that is not known.
    Unauthorized,
    /// The token is known and may not do this.
    Forbidden,
    /// What was asked for is not there; the sentence names it.
    NotFound(String),
    /// The path exists, with these methods.
    MethodNotAllowed(Vec<Method>),
    /// Unreadable: not JSON, or a query that makes no sense.
    Malformed(String, Vec<FieldError>),
    /// Readable, and wrong.
    Invalid(Vec<FieldError>),
    /// The state of things is in the way; the sentence says which.
    Conflict(String),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    UnsupportedMediaType,
    /// Another system refused, in its own words.
    BadGateway(String),
    /// The store could not do its part.
    Store(StoreError),
    /// Anything else that is our fault; the text is for the log.
    Internal(String),
}

/// One thing wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field or query parameter: `phones[1]`, `routing.wrap_up_s`, `limit`.
    pub field: String,
    pub reason: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// The body of an error: `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem; stable, for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:hookflash:problem:invalid")]
    pub kind: String,
    pub title: &'static str,
    /// The status code again.
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Failure {
    /// One field that is wrong.
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Failure {
        Failure::Invalid(vec![FieldError::new(field, reason)])
    }

    /// One query parameter that is wrong.
    pub fn parameter(name: impl Into<String>, reason: impl Into<String>) -> Failure {
        Failure::Malformed("a query parameter is not right".into(), vec![FieldError::new(name, reason)])
    }

    /// Nothing of this kind has this name.
    pub fn missing(what: &str, id: &str) -> Failure {
        Failure::NotFound(format!("there is no {what} {id}"))
    }

    /// Status, the last word of the type, title.
    fn shape(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Failure::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            Failure::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Failure::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Failure::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Failure::Malformed(..) => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Failure::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request is not valid"),
            Failure::Conflict(_) => (StatusCode::CONFLICT, "conflict", "The present state is in the way"),
            Failure::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Failure::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not JSON"),
            Failure::BadGateway(_) => (StatusCode::BAD_GATEWAY, "bad-gateway", "Another system refused"),
            Failure::Store(StoreError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
            Failure::Store(e) if e.is_taken() => (StatusCode::CONFLICT, "conflict", "The present state is in the way"),
            Failure::Store(StoreError::Connection(_)) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The database is away"),
            Failure::Store(_) | Failure::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Failure::Unauthorized => "send Authorization: Bearer and a token that was not revoked".into(),
            Failure::Forbidden => "this token may not do that".into(),
            Failure::MethodNotAllowed(methods) => format!("this path takes {}", list(methods)),
            Failure::Invalid(errors) => match errors.as_slice() {
                [one] => format!("{}: {}", one.field, one.reason),
                many => format!("{} fields are not right", many.len()),
            },
            Failure::TooLarge(limit) => format!("a body has at most {limit} bytes"),
            Failure::UnsupportedMediaType => "send a body with Content-Type: application/json".into(),
            Failure::NotFound(detail) | Failure::Malformed(detail, _) | Failure::Conflict(detail) | Failure::BadGateway(detail) => {
                detail.clone()
            }
            Failure::Store(StoreError::Busy) => "too much is waiting for the database; come again in a moment".into(),
            Failure::Store(e) if e.is_taken() => "somebody else has made the same meanwhile".into(),
            Failure::Store(StoreError::Connection(_)) => "the database cannot be reached; come again in a moment".into(),
            Failure::Store(_) | Failure::Internal(_) => "the server's log has the cause".into(),
        }
    }

    /// The body that a client gets.
    pub fn problem(&self) -> Problem {
        let (status, kind, title) = self.shape();
        let errors = match self {
            Failure::Invalid(errors) | Failure::Malformed(_, errors) => errors.clone(),
            _ => Vec::new(),
        };
        Problem { kind: format!("urn:hookflash:problem:{kind}"), title, status: status.as_u16(), detail: self.detail(), errors }
    }
}

fn list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.shape().0
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Failure::Store(StoreError::Busy) => tracing::warn!("a request was refused: the database is busy"),
            Failure::Store(error) if !error.is_taken() => tracing::error!(%error, "a request failed"),
            Failure::Internal(cause) => tracing::error!(cause, "a request failed"),
            _ => {}
        }
        let mut response = HttpResponseBuilder::new(self.status_code());
        match self {
            Failure::Unauthorized => response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"hookflash\"")),
            Failure::MethodNotAllowed(methods) => response.insert_header((header::ALLOW, list(methods))),
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => response.insert_header((header::RETRY_AFTER, RETRY_AFTER_S)),
            _ => &mut response,
        };
        let body = serde_json::to_string(&self.problem()).unwrap_or_default();
        response.insert_header((header::CONTENT_TYPE, "application/problem+json")).body(body)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Store(error)
    }
}

impl From<DeclareError> for Failure {
    fn from(error: DeclareError) -> Self {
        match error {
            DeclareError::Invalid(problems) => problems.into(),
            DeclareError::Store(error) => error.into(),
            DeclareError::NoApplication(_) | DeclareError::Missing { .. } => Failure::NotFound(error.to_string()),
            DeclareError::Exists { .. } | DeclareError::Referred { .. } => Failure::Conflict(error.to_string()),
        }
    }
}

impl From<Vec<validate::Problem>> for Failure {
    fn from(problems: Vec<validate::Problem>) -> Self {
        Failure::Invalid(problems.into_iter().map(|p| FieldError { field: p.path, reason: p.reason }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    fn store_errors() -> [(StoreError, u16); 4] {
        [
            (StoreError::Busy, 503),
            (StoreError::Connection("password secret refused".into()), 503),
            (StoreError::Unreadable("row of secret".into()), 500),
            (StoreError::Refused("secret".into()), 500),
        ]
    }

    #[actix_web::test]
    async fn no_cause_from_inside_is_in_a_body() {
        let inside = store_errors().map(|(error, _)| Failure::from(error)).into_iter().chain([Failure::Internal("secret".into())]);
        for failure in inside {
            let body = to_bytes(failure.error_response().into_body()).await.expect("a body");
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn who_may_come_again_is_told_when() {
        for (error, status) in store_errors() {
            let response = Failure::from(error).error_response();
            assert_eq!(response.status(), status);
            let retry = response.headers().get(header::RETRY_AFTER).map(|v| v.to_str().expect("text"));
            assert_eq!(retry, (status == 503).then_some("1"));
        }
    }

    #[test]
    fn a_refused_declaration_tells_its_fields() {
        let problems = vec![validate::Problem::new("login", "is not right"), validate::Problem::new("name", "must not be empty")];
        let problem = Failure::from(DeclareError::Invalid(problems)).problem();
        assert_eq!((problem.status, problem.detail.as_str()), (422, "2 fields are not right"));
        assert_eq!(problem.errors[1], FieldError::new("name", "must not be empty"));
        let missing = DeclareError::Missing { what: "group", id: "night".into() };
        assert_eq!(Failure::from(missing).problem().status, 404);
    }
}
