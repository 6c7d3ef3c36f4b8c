//! The simulator over real HTTP.

mod agents;
mod callback;
mod calls;
mod events;
mod history;
mod ivr;
mod oauth;
mod records;
mod rest;

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::domain::time::Timestamp;
use crate::net::{Http, Request, Response};

const T0: Timestamp = Timestamp(1_767_000_000_000_000);

/// A simulator without waiting, with a clock that stands still, and a client with a token.
struct Bench {
    pbx: Simulator,
    clock: Clock,
    http: Http,
    token: String,
}

async fn bench() -> Bench {
    bench_with(Config { conditions: Conditions::instant(), ..Config::default() }).await
}

async fn bench_with(config: Config) -> Bench {
    let clock = Clock::manual(T0);
    let pbx = Simulator::start(Config { clock: clock.clone(), seed: Some(1), ..config }).await.unwrap();
    let http = Http::new(vec!["127.0.0.0/8".parse().unwrap()], Duration::from_secs(10));
    let mut bench = Bench { pbx, clock, http, token: String::new() };
    bench.token =
        bench.grant(&[("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "secret")]).await["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    bench
}

impl Bench {
    async fn send(&self, request: Request) -> Response {
        self.http.send(request, Duration::from_secs(10)).await.unwrap()
    }

    async fn grant(&self, form: &[(&str, &str)]) -> Value {
        self.send(Request::post_form(format!("{}/oauth/token", self.pbx.base_url()), form)).await.json().unwrap()
    }

    fn request(&self, method: &'static str, path: &str, body: Option<Value>) -> Request {
        let url = format!("{}/api/ver1.0{path}", self.pbx.base_url());
        let request = match body {
            Some(body) => Request { method, ..Request::post_json(url, &body) },
            None => Request { method, ..Request::get(url) },
        };
        request.header("authorization", format!("Bearer {}", self.token))
    }

    async fn api(&self, method: &'static str, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.send(self.request(method, path, body)).await;
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.api("GET", path, None).await
    }
}
