//! Strict JSON bodies: what is unknown, missing or of the wrong kind is named.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Failure, FieldError};

/// Bytes that a body may have.
pub const MOST_BYTES: usize = 1 << 20;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload);
        Box::pin(async move { decode(body.await?).map(Json) })
    }
}

/// Reads a body as JSON of any shape.
fn read(request: &HttpRequest, payload: &mut Payload) -> impl Future<Output = Result<Value, Failure>> + 'static {
    let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
    let is_json = header(header::CONTENT_TYPE).is_some_and(is_json);
    let announced = header(header::CONTENT_LENGTH).and_then(|v| v.parse::<usize>().ok());
    let mut payload = payload.take();
    async move {
        if !is_json {
            return Err(Failure::UnsupportedMediaType);
        }
        if announced.is_some_and(|length| length > MOST_BYTES) {
            return Err(Failure::TooLarge(MOST_BYTES));
        }
        let whole = async {
            let mut body = BytesMut::new();
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| Failure::Malformed("the body ended before its time".into(), Vec::new()))?;
                if body.len() + chunk.len() > MOST_BYTES {
                    return Err(Failure::TooLarge(MOST_BYTES));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        };
        let late = |_| Failure::Malformed(format!("the body did not come within {} s", PATIENCE.as_secs()), Vec::new());
        let body = tokio::time::timeout(PATIENCE, whole).await.map_err(late)??;
        serde_json::from_slice(&body).map_err(|e| Failure::Malformed(format!("the body is not JSON: {e}"), Vec::new()))
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Why a text is refused that not every database can hold.
pub const ZERO_BYTE: &str = "must not hold a zero byte";

/// The path of the first text that holds one.
fn zero_byte(value: &Value) -> Option<String> {
    let below = |name: String, inner: &Value| {
        zero_byte(inner).map(|path| if path.is_empty() || path.starts_with('[') { name + &path } else { format!("{name}.{path}") })
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(n, item)| below(format!("[{n}]"), item)),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, field)| if name.contains('\0') { Some(String::new()) } else { below(name.clone(), field) })
        }
        _ => None,
    }
}

/// Reads a JSON value as a `T`; an error names the field.
pub fn decode<T: DeserializeOwned>(body: Value) -> Result<T, Failure> {
    if !body.is_object() {
        return Err(Failure::Malformed("the body must be a JSON object".into(), Vec::new()));
    }
    if let Some(path) = zero_byte(&body) {
        return Err(Failure::Invalid(vec![FieldError::new(path, ZERO_BYTE)]));
    }
    serde_path_to_error::deserialize(body).map_err(|e| {
        let path = e.path().to_string();
        Failure::Invalid(vec![named(&path, &e.into_inner().to_string())])
    })
}

/// What serde says about the field at `path`, with the field named even where serde names it only in the sentence.
pub(super) fn named(path: &str, said: &str) -> FieldError {
    let path = if path == "." { "" } else { path };
    let quoted = |before: &str| said.strip_prefix(before)?.split('`').next();
    if let Some(missing) = quoted("missing field `") {
        let field = if path.is_empty() { missing.to_owned() } else { format!("{path}.{missing}") };
        return FieldError::new(field, "is needed");
    }
    if let Some(unknown) = quoted("unknown field `") {
        let field = if path.is_empty() { unknown } else { path };
        let known: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
        let reason = if known.is_empty() { "is not known".into() } else { format!("is not known; there are {}", known.join(", ")) };
        return FieldError::new(field, reason);
    }
    if let Some(unknown) = quoted("unknown variant `") {
        let known: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
        return FieldError::new(path, format!("{unknown:?} is not known; there are {}", known.join(", ")));
    }
    if let Some(double) = quoted("duplicate field `") {
        return FieldError::new(double, "is given twice");
    }
    FieldError::new(path, said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        inner: Option<Inner>,
        #[serde(default)]
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        count: u8,
    }

    fn wrong(body: Value) -> (String, String) {
        match decode::<Outer>(body) {
            Err(Failure::Invalid(errors)) => (errors[0].field.clone(), errors[0].reason.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_the_field() {
        assert_eq!(wrong(json!({})), ("name".into(), "is needed".into()));
        assert_eq!(wrong(json!({"name": "x", "nmae": 1})), ("nmae".into(), "is not known; there are name, inner, list".into()));
        assert_eq!(wrong(json!({"name": "x", "inner": {}})), ("inner.count".into(), "is needed".into()));
        assert_eq!(wrong(json!({"name": "x", "inner": {"count": 1, "more": 2}})).0, "inner.more");
        assert_eq!(wrong(json!({"name": "x", "list": [{"count": 1}, {"count": 256}]})).0, "list[1].count");
        assert_eq!(wrong(json!({"name": 7})), ("name".into(), "invalid type: integer `7`, expected a string".into()));
    }

    #[test]
    fn names_the_words_that_there_are() {
        #[derive(Debug, Deserialize)]
        struct Chosen {
            #[allow(dead_code)]
            manual_status: crate::domain::agent::ManualStatus,
        }
        let wrong = |word: &str| match decode::<Chosen>(json!({"manual_status": word})) {
            Err(Failure::Invalid(errors)) => (errors[0].field.clone(), errors[0].reason.clone()),
            other => panic!("{other:?}"),
        };
        let reason = "\"available\" is not known; there are AVAILABLE, NOT_AVAILABLE, OFFLINE";
        assert_eq!(wrong("available"), ("manual_status".into(), reason.into()));
    }

    #[test]
    fn a_zero_byte_is_refused_wherever_it_hides() {
        for (body, field) in [
            (json!({"name": "a\0"}), "name"),
            (json!({"name": "x", "list": [{"count": 1}, {"more": "\0"}]}), "list[1].more"),
            (json!({"name": "x", "a\0": 1}), ""),
        ] {
            assert_eq!(wrong(body), (field.into(), ZERO_BYTE.into()));
        }
    }

    #[test]
    fn a_body_is_an_object() {
        for body in [json!(null), json!([]), json!("x"), json!(1)] {
            assert!(matches!(decode::<Outer>(body.clone()), Err(Failure::Malformed(..))), "{body}");
        }
    }

    #[test]
    fn json_may_say_its_charset() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("text/json") && !is_json("application/x-www-form-urlencoded") && !is_json(""));
    }
}
