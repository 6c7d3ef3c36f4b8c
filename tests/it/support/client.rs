//! A client of the house's HTTP side, in this process.

use std::rc::Rc;

use actix_web::dev::Service;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, header};
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::web::Bytes;
use actix_web::{App, Error};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::{ADMIN, House};

type Call = dyn Fn(TestRequest) -> LocalBoxFuture<'static, Reply>;

/// Speaks with one token.
#[derive(Clone)]
pub struct Client {
    call: Rc<Call>,
    token: Option<String>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The JSON body; null when there is none.
    pub body: Value,
    pub bytes: Bytes,
}

impl House {
    /// A client with the administrator's token.
    pub async fn client(&self) -> Client {
        let service = Rc::new(init_service(App::new().configure(hookflash::http::configure(self.hookflash.clone()))).await);
        let call = move |request: TestRequest| {
            let service = service.clone();
            async move { answered(service.call(request.to_request()).await).await }.boxed_local()
        };
        Client { call: Rc::new(call), token: Some(ADMIN.into()) }
    }
}

async fn answered<B: actix_web::body::MessageBody>(result: Result<actix_web::dev::ServiceResponse<B>, Error>) -> Reply {
    match result {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = read_body(response).await;
            Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null), bytes: body }
        }
        Err(e) => panic!("the service failed: {e}"),
    }
}

impl Client {
    /// The same with another token.
    pub fn with(&self, token: &str) -> Client {
        Client { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn without_token(&self) -> Client {
        Client { token: None, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).set_json(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PUT, path).set_json(body)).await
    }

    /// A request with the token, to be completed and sent.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        let request = TestRequest::with_uri(path).method(method);
        match &self.token {
            Some(token) => request.insert_header((header::AUTHORIZATION, format!("Bearer {token}"))),
            None => request,
        }
    }

    pub async fn send(&self, request: TestRequest) -> Reply {
        (self.call)(request).await
    }

    /// Every item of a list, page by page, with the number of pages.
    pub async fn every(&self, path: &str, limit: usize) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{join}limit={limit}{cursor}")).await.ok();
            items.extend(page["items"].as_array().expect("items").clone());
            pages += 1;
            assert!(pages < 1_000, "{path} has no end");
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (items, pages),
            }
        }
    }
}

impl Reply {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The fields that a refusal with this status names.
    #[track_caller]
    pub fn refused(self, status: u16) -> Vec<String> {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.body["status"], status);
        for key in ["type", "title", "detail"] {
            assert!(self.body[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {}", self.body);
        }
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["field"].as_str().expect("a field").to_owned()).collect()
    }
}

/// What somebody who listens hears.
pub struct Heard {
    body: actix_web::body::BoxBody,
    text: String,
    /// Of the last event.
    pub id: String,
}

impl House {
    /// Listens with a token, from after the event of an id on; the status when that is refused.
    pub async fn listen(&self, app: i64, token: &str, after: Option<&str>) -> Result<Heard, u16> {
        listen(&self.hookflash, app, token, after).await
    }
}

/// [`House::listen`] at any server.
pub async fn listen(server: &std::sync::Arc<hookflash::app::Hookflash>, app: i64, token: &str, after: Option<&str>) -> Result<Heard, u16> {
    let service = init_service(App::new().configure(hookflash::http::configure(server.clone()))).await;
    let mut request =
        TestRequest::with_uri(&format!("/api/v1/apps/{app}/live")).insert_header((header::AUTHORIZATION, format!("Bearer {token}")));
    if let Some(id) = after {
        request = request.insert_header(("last-event-id", id.to_owned()));
    }
    let response = service.call(request.to_request()).await.expect("an answer");
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    assert_eq!(response.headers().get(header::CONTENT_TYPE).expect("a type"), "text/event-stream");
    let body = actix_web::body::MessageBody::boxed(response.into_body());
    Ok(Heard { body, text: String::new(), id: String::new() })
}

impl Heard {
    /// The next event and its data; `None`: the server has ended it. A minute without any is a failure.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| frame.lines().find_map(|l| l.strip_prefix(name)).expect(name).to_owned();
                let (id, kind, data) = (field("id: "), field("event: "), field("data: "));
                (self.id, self.text) = (id, rest.to_owned());
                return Some((kind, serde_json::from_str(&data).expect("JSON")));
            }
            let chunk = std::future::poll_fn(|cx| actix_web::body::MessageBody::poll_next(std::pin::Pin::new(&mut self.body), cx));
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(60), chunk).await.expect("an event within a minute")?;
            self.text += std::str::from_utf8(&chunk.expect("a chunk")).expect("UTF-8");
        }
    }

    /// Everything up to and with the first event of this kind for which `holds`.
    pub async fn until(&mut self, kind: &str, holds: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
        let mut heard = Vec::new();
        loop {
            let (what, data) = self.next().await.expect("the server goes on");
            let found = what == kind && holds(&data);
            heard.push((what, data));
            if found {
                return heard;
            }
        }
    }
}
