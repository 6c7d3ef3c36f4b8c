//! Requests to the PBX's REST API (sections 6 to 10 of the protocol page), as data.
//!
//! None carries a token: who sends adds it. `Accept-Encoding: gzip` is mandatory (9.3); the HTTP client adds it and unpacks.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Settings;
use crate::domain::agent::QueueLogin;
use crate::domain::time::Timestamp;
use crate::net::Request;

/// The token of a trusted application (9.2).
pub fn token(settings: &Settings, id: &str, secret: &str) -> Request {
    let url = format!("{}/oauth/token", settings.api_url.trim_end_matches('/'));
    Request::post_form(url, &[("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)])
}

#[derive(Debug, Deserialize)]
pub struct Token {
    pub access_token: String,
    /// Seconds.
    #[serde(default = "an_hour")]
    pub expires_in: i64,
}

fn an_hour() -> i64 {
    3_600
}

pub fn path(settings: &Settings, path: std::fmt::Arguments<'_>) -> String {
    format!("{}/api/ver1.0{path}", settings.api_url.trim_end_matches('/'))
}

/// Who the token speaks for (section 10).
pub fn user(settings: &Settings) -> Request {
    Request::get(path(settings, format_args!("/user/")))
}

/// One page of the client's extensions (section 10).
pub fn extensions(settings: &Settings, page: u32) -> Request {
    Request::get(path(settings, format_args!("/client/@me/extension/?page={page}&per_page={EXTENSIONS_PAGE}")))
}

pub const EXTENSIONS_PAGE: usize = 100;

/// An extension as the API shows it (10.1); every field but these is optional there.
#[derive(Clone, Debug, Deserialize)]
pub struct Extension {
    pub id: i64,
    /// `0047*101`
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

impl Extension {
    /// `101`
    pub fn short(&self) -> &str {
        self.name.rsplit('*').next().unwrap_or_default()
    }
}

/// A click-to-call (section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback<'a> {
    /// The numeric id of the extension on whose behalf the call is made.
    pub extension_id: i64,
    pub source: &'a str,
    pub destination: &'a str,
    pub caller_id_name: Option<&'a str>,
    pub caller_id_number: Option<&'a str>,
}

pub fn callback(settings: &Settings, callback: &Callback<'_>) -> Request {
    let mut body = json!({"src_num": [callback.source], "dst_num": callback.destination});
    // Unset fields are omitted.
    for (key, value) in [("caller_id_name", callback.caller_id_name), ("caller_id_number", callback.caller_id_number)] {
        if let Some(value) = value {
            body[key] = Value::from(value);
        }
    }
    Request::post_json(path(settings, format_args!("/extension/{}/callback/", callback.extension_id)), &body)
}

#[derive(Debug, Deserialize)]
pub struct CallbackAccepted {
    pub call_id: Option<String>,
}

/// Current calls of an extension (10.2).
pub fn current_calls(settings: &Settings, extension_id: i64) -> Request {
    Request::get(path(settings, format_args!("/extension/{extension_id}/current_calls/")))
}

/// A recording's file (section 8); needs the token.
pub fn record_file(settings: &Settings, record: &str) -> Request {
    Request::get(path(settings, format_args!("/client/@me/record/{}", encode(record))))
}

/// A recording's storage link; a 404 also means that the provider has no storage server.
pub fn record_storage_url(settings: &Settings, record: &str) -> Request {
    Request::get(path(settings, format_args!("/client/@me/record/{}/storage_url/", encode(record))))
}

#[derive(Debug, Deserialize)]
pub struct StorageUrl {
    pub record_url: String,
}

pub fn delete_record(settings: &Settings, record: &str) -> Request {
    Request::delete(path(settings, format_args!("/client/@me/record/{}", encode(record))))
}

/// Opaque ids go percent-encoded into paths.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `YYYY-MM-DD HH:MM:SS` in UTC, the API's dates.
pub fn date(at: Timestamp) -> String {
    at.rfc3339()[..19].replace('T', " ")
}

/// The client's own queue agents, of one extension or all (section 10).
pub fn agents(settings: &Settings, extension_id: Option<i64>) -> Request {
    let only = extension_id.map_or(String::new(), |id| format!("?extension_id={id}"));
    Request::get(path(settings, format_args!("/client/@me/agent/local/{only}")))
}

/// A queue agent. The page names no fields but id, extension and status, and how they are written is not known: either way is read.
#[derive(Clone, Debug, Deserialize)]
pub struct Agent {
    pub id: i64,
    #[serde(alias = "extension", default)]
    pub extension_name: Option<String>,
    #[serde(alias = "agent_status", default)]
    pub status: Option<String>,
}

/// Logs a queue agent in or out. The page does not tell how: this is by the manner of the API's other resources.
pub fn set_agent(settings: &Settings, agent: i64, login: QueueLogin) -> Request {
    let request = Request::post_json(path(settings, format_args!("/client/@me/agent/local/{agent}")), &json!({"status": login}));
    Request { method: "PUT", ..request }
}

/// One page of the call history (10.3), the oldest call first: what begins meanwhile comes after what was read. Both ends are whole seconds
/// and belong to it.
pub fn call_history(settings: &Settings, from: Timestamp, to: Timestamp, page: u32) -> Request {
    let date = |at| date(at).replace(' ', "%20").replace(':', "%3A");
    let (from, to) = (date(from), date(to));
    let what =
        format_args!("/client/@me/call_history/?start_datetime={from}&end_datetime={to}&order=asc&page={page}&per_page={HISTORY_PAGE}");
    Request::get(path(settings, what))
}

pub const HISTORY_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
pub struct HistoryPage {
    /// What the PBX makes of the wish; absent: as asked.
    pub per_page: Option<usize>,
    pub call_history: Vec<Value>,
}

/// What an error reply says (9.3): `message`, `status` or `error`, else nothing.
pub fn error_text(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    ["message", "status", "error"].iter().find_map(|k| value.get(k)?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { api_url: "https://pbx.example/".into(), ..Settings::default() }
    }

    #[test]
    fn a_callback_is_written_as_the_page_says() {
        let request = callback(
            &settings(),
            &Callback {
                extension_id: 700101,
                source: "0047*101",
                destination: "+79995550103",
                caller_id_name: Some("+79995550103"),
                caller_id_number: None,
            },
        );
        assert_eq!(request.url, "https://pbx.example/api/ver1.0/extension/700101/callback/");
        let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        assert_eq!(body, json!({"src_num": ["0047*101"], "dst_num": "+79995550103", "caller_id_name": "+79995550103"}));
    }

    #[test]
    fn ids_cannot_leave_their_place_in_a_path() {
        let url = record_file(&settings(), "../../client/1?x=#").url;
        assert_eq!(url, "https://pbx.example/api/ver1.0/client/@me/record/..%2F..%2Fclient%2F1%3Fx%3D%23");
    }
}
