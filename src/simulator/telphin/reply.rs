//! Replies as data, in the shapes of section 9.3, and their way onto the wire.

use std::io::Write;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde_json::{Value, json};

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Reply {
    pub fn json(status: u16, value: &Value) -> Reply {
        Reply { status, headers: vec![("content-type", "application/json".into())], body: Bytes::from(value.to_string()) }
    }

    pub fn ok(value: &impl serde::Serialize) -> Reply {
        match serde_json::to_value(value) {
            Ok(value) => Reply::json(200, &value),
            Err(e) => Reply::error(500, "internal_error", &e.to_string()),
        }
    }

    pub fn no_content() -> Reply {
        Reply { status: 204, headers: Vec::new(), body: Bytes::new() }
    }

    pub fn with_status(self, status: u16) -> Reply {
        Reply { status, ..self }
    }

    /// `{"status","message"}`.
    pub fn error(status: u16, name: &str, message: &str) -> Reply {
        Reply::json(status, &json!({"status": name, "message": message}))
    }

    pub fn bad_request(message: impl AsRef<str>) -> Reply {
        Reply::error(400, "bad_request", message.as_ref())
    }

    pub fn unauthorized() -> Reply {
        Reply::json(401, &json!({"message": "Unauthorized"}))
    }

    pub fn not_found() -> Reply {
        Reply::json(404, &json!({"message": "Not found"}))
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Reply {
        self.headers.push((name, value.to_string()));
        self
    }

    fn is_json(&self) -> bool {
        self.headers.iter().any(|(n, v)| *n == "content-type" && v == "application/json")
    }

    /// Compresses a JSON body.
    pub fn gzip(mut self) -> Reply {
        if !self.is_json() {
            return self;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        if encoder.write_all(&self.body).is_ok()
            && let Ok(packed) = encoder.finish()
        {
            self.body = packed.into();
            self.headers.push(("content-encoding", "gzip".into()));
        }
        self
    }

    /// `half`: the connection breaks in the middle of the body.
    pub fn respond(self, half: bool) -> HttpResponse {
        let mut response = HttpResponse::build(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        for header in self.headers {
            response.insert_header(header);
        }
        if !half {
            return response.body(self.body);
        }
        let (whole, first) = (self.body.len() as u64, self.body.slice(..self.body.len() / 2));
        let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "half a reply, as told");
        response.no_chunking(whole).body(SizedStream::new(whole, stream::iter([Ok(first), Err(broken)])))
    }
}
