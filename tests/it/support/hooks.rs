//! A PBX at the hooks: in this process, or over real HTTP.

use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use hookflash::net::{Http, Request, Response};
use hookflash::server::{self, Running};
use hookflash::simulator::telphin::{Verb, parse_reply};
use hookflash::store::calls::LegRow;
use hookflash::store::journal::{self, Entry};
use hookflash::store::log;

use super::client::{Client, Reply};
use super::{House, SHOP};
use hookflash::domain::time::Timestamp;

/// Where a Telphin tells its events.
pub const EVENT: &str = "/cid/807/event/TLP55522";
/// Where it asks who shall take a call.
pub const ASK: &str = "/cid/807/getmanager/TLP55522";
/// Where it tells of queue agents.
pub const AGENT: &str = "/cid/807/agent/TLP55522";

pub const FORM: &str = "application/x-www-form-urlencoded";

/// An event of one leg of `call` on `phone` of the prefix 0047, at a second of the PBX's clock.
pub fn leg(kind: &str, call: &str, phone: &str, second: i64, more: &str) -> String {
    format!(
        "EventType={kind}&EventTime={}&CallID={call}&SubCallID=7001{phone}-{call}&CallFlow=IN&CallerIDNum=%2B79995550101&CallerExtension=0047%2A099&CalledExtension=0047%2A{phone}%40sip.example{more}",
        1_767_000_000_000_000i64 + second * 1_000_000
    )
}

/// The query that asks about a call from the sample contact.
pub fn asked(call: &str) -> String {
    format!("CallID={call}&CallerIDNum=%2B79995550101&CalledExtension=0047%2A099")
}

/// An event, or a question, as the PBX posts it to that path.
pub fn posted(path: &str, form: &str) -> Request {
    Request { method: "POST", body: Some(form.to_owned().into()), ..Request::get(path) }.header("content-type", FORM)
}

/// Sends to the server that `url` names at each try until one answers: as a PBX that does not give up.
pub async fn insist(http: &Http, mut url: impl FnMut() -> String, request: &Request) -> Response {
    loop {
        let tried = Request { url: format!("{}{}", url(), request.url), ..request.clone() };
        match http.send(tried, Duration::from_secs(30)).await {
            Ok(response) if response.status != 503 => return response,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

impl Client {
    pub async fn hook_get(&self, path: &str, query: &str) -> Reply {
        self.send(TestRequest::with_uri(&format!("{path}?{query}")).method(Method::GET)).await
    }

    pub async fn hook_post(&self, path: &str, content_type: &str, body: impl Into<actix_web::web::Bytes>) -> Reply {
        let request = TestRequest::with_uri(path).method(Method::POST).set_payload(body);
        self.send(request.insert_header((header::CONTENT_TYPE, content_type))).await
    }

    /// An event as the PBX posts it.
    pub async fn tell(&self, form: &str) -> Reply {
        self.hook_post(EVENT, FORM, form.to_owned()).await
    }
}

impl Reply {
    /// What a routing hook's answer names; panics unless it is one that the PBX takes and that says its decision.
    #[track_caller]
    pub fn named(&self) -> Option<(String, String)> {
        let text = std::str::from_utf8(&self.bytes).expect("UTF-8");
        assert_eq!(self.status, 200, "{text}");
        assert!(self.header("x-hookflash-decision").is_some_and(|id| id.len() == 32), "{:?}", self.headers);
        assert_eq!(self.header("content-type"), Some("text/xml; charset=utf-8"));
        named(text)
    }

    pub fn decision(&self) -> String {
        self.header("x-hookflash-decision").expect("a decision").to_owned()
    }
}

/// The variable and its value of one of the two forms that a routing hook answers with.
#[track_caller]
pub fn named(text: &str) -> Option<(String, String)> {
    assert!(text.starts_with(r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#), "{text}");
    match parse_reply(text) {
        Ok(None) => None,
        Ok(Some(Verb::SetVar { name, value })) => Some((name, value)),
        other => panic!("{other:?}: {text}"),
    }
}

/// A server of a house, on a port of its own.
pub struct Served {
    pub running: Running,
    http: Http,
}

impl House {
    /// Serves until [`Served::stop`]; its timers run.
    pub fn serve(&self) -> Served {
        let listener = server::listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let running = server::start(self.hookflash.clone(), listener).expect("a server");
        Served { running, http: http() }
    }

    /// Everything in the shop's journal, in the order of arrival.
    pub async fn journal(&self) -> Vec<Entry> {
        self.journal_of(SHOP).await
    }

    pub async fn journal_of(&self, app: i64) -> Vec<Entry> {
        self.read(move |conn| journal::since(conn, app, Timestamp(0), 100_000)).await
    }

    /// Every row of an application's call log, also of the calls that were missed a moment ago.
    pub async fn call_log(&self, app: i64) -> Vec<LegRow> {
        let soon = self.clock.now().plus_s(60);
        let mut rows: Vec<LegRow> = Vec::new();
        loop {
            let before = rows.last().map(|r| (r.logged_at.expect("logged"), r.call_id.clone(), r.leg.clone()));
            let page = self.read(move |conn| log::legs(conn, app, &log::Filter::default(), before.as_ref(), soon, 500)).await;
            if page.is_empty() {
                return rows;
            }
            rows.extend(page);
        }
    }
}

/// A client that may reach this machine.
pub fn http() -> Http {
    Http::new(vec!["127.0.0.0/8".parse().expect("a network")], Duration::from_secs(60))
}

impl Served {
    pub async fn get(&self, path: &str, query: &str) -> Response {
        self.send(Request::get(format!("{}{path}?{query}", self.running.url()))).await
    }

    pub async fn post(&self, path: &str, body: impl Into<actix_web::web::Bytes>) -> Response {
        let request = Request { method: "POST", body: Some(body.into()), ..Request::get(format!("{}{path}", self.running.url())) };
        self.send(request.header("content-type", FORM)).await
    }

    pub async fn send(&self, request: Request) -> Response {
        self.http.send(request, Duration::from_secs(60)).await.expect("an answer")
    }

    pub async fn stop(self) {
        self.running.stop().await.expect("stopped");
    }
}
