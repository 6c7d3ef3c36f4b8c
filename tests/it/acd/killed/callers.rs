//! What callers, their PBX and the agents do, and what they are told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hookflash::domain::agent::OfferState;
use hookflash::domain::id;
use hookflash::net::{Http, Request};
use hookflash::store::{Db, offers};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::APP;
use crate::support::hooks::http;
use crate::support::killed::{Bound, Nodes};

pub const QUEUES: [&str; 5] = ["idle", "all", "steps", "small", "any"];

pub fn number(queue: &str) -> String {
    format!("+7495555010{}", QUEUES.iter().position(|q| *q == queue).expect("a queue"))
}

/// How a call ended, as its caller has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    AnsweredBy(String),
    /// While these were rung for it; nobody: while it waited.
    Abandoned(Vec<String>),
    /// There was no place for it.
    Full,
}

#[derive(Clone, Debug)]
pub struct Story {
    pub call: String,
    pub queue: &'static str,
    /// Who did not want it.
    pub refused_by: Vec<String>,
    /// It was told to wait at least once.
    pub waited: bool,
    pub end: End,
}

/// What the callers did and were told.
pub struct History {
    pub nodes: Arc<Nodes>,
    http: Http,
    /// What the processes have stored.
    db: Db,
    /// Every event that was answered 200.
    pub told: Mutex<BTreeSet<String>>,
    pub stories: Mutex<Vec<Story>>,
}

impl History {
    pub fn new(nodes: Arc<Nodes>, db: Db) -> History {
        History { nodes, http: http(), db, told: Mutex::default(), stories: Mutex::default() }
    }
}

/// One call, at its PBX.
pub struct Caller {
    history: Arc<History>,
    rng: StdRng,
    call: String,
    queue: &'static str,
    offer: String,
    refused_by: Vec<String>,
    waited: bool,
}

/// One line after another calls.
pub async fn call_again_and_again(history: Arc<History>, n: usize, seed: u64) {
    for round in 0.. {
        if history.nodes.is_over() {
            return;
        }
        let queue = QUEUES[(n + round) % QUEUES.len()];
        Caller::new(history.clone(), format!("s{seed}c{n}x{round}"), queue, seed << 32 | (n as u64) << 16 | round as u64).live().await;
    }
}

impl Caller {
    pub fn new(history: Arc<History>, call: String, queue: &'static str, seed: u64) -> Caller {
        let rng = StdRng::seed_from_u64(seed);
        Caller { history, rng, call, queue, offer: String::new(), refused_by: Vec::new(), waited: false }
    }

    async fn send(&mut self, request: Request) -> Value {
        let node = self.rng.random_range(0..2);
        let response = self.history.nodes.send(&self.history.http, node, &request).await;
        assert_eq!(response.status, 200, "{request:?}");
        serde_json::from_slice(&response.body).unwrap_or(Value::Null)
    }

    /// Asks, with how the dialling of the answer before ended, until the answer says more than to ask again.
    pub async fn ask(&mut self, status: &str) -> Value {
        let to = number(self.queue);
        let fields = [("call", self.call.as_str()), ("from", "+79990001101"), ("to", &to), ("offer", &self.offer), ("status", status)];
        let question = Request::get(format!("/cid/{APP}/route/centre?{}", serde_urlencoded::to_string(fields).expect("a query")));
        let told = loop {
            let told = self.send(question.clone()).await;
            if told["again"] != true {
                break told;
            }
        };
        if let Some(offer) = told["offer"].as_str() {
            self.offer = offer.to_owned();
        }
        told
    }

    /// Maybe twice, as one does who has not heard that it was heard.
    async fn tell(&mut self, event: &Value) {
        for _ in 0..self.rng.random_range(1..=2) {
            self.send(Request::post_json(format!("/cid/{APP}/event/centre"), event)).await;
            self.history.told.lock().unwrap().insert(event.to_string());
        }
    }

    async fn live(mut self) {
        let mut status = "";
        loop {
            let told = self.ask(status).await;
            status = "";
            match told["action"].as_str() {
                Some("wait") => {
                    self.waited = true;
                    if self.gives_up(0.08) {
                        return self.hang_up("", End::Abandoned(Vec::new())).await;
                    }
                }
                Some("hangup") => return self.hang_up("", End::Full).await,
                Some("dial") => match self.rng.random_range(0..100) {
                    0..15 if !self.history.nodes.is_over() => return self.leave(&told).await,
                    15..25 => status = self.refuse(&told, "NOANSWER"),
                    25..32 => status = self.refuse(&told, "BUSY"),
                    32..40 => status = self.refuse(&told, "REJECTED"),
                    40..55 => self.look_again(&told).await,
                    _ => return self.talk(&told).await,
                },
                _ => panic!("{} is told {told}", self.call),
            }
        }
    }

    fn gives_up(&mut self, part: f64) -> bool {
        self.rng.random_bool(part) && !self.history.nodes.is_over()
    }

    fn bind(&self, agent: &str, from: Instant) {
        let (agent, call) = (agent.to_owned(), self.call.clone());
        self.history.nodes.bind(Bound { agent, call, from, until: Instant::now() });
    }

    /// The answer again: the other process knows it too. All the while they are bound.
    async fn look_again(&mut self, told: &Value) {
        let from = Instant::now();
        let again = self.ask("").await;
        assert_eq!((&again["agent"], &again["offer"]), (&told["agent"], &told["offer"]), "{} is rung for", self.call);
        rung(told).iter().for_each(|agent| self.bind(agent, from));
    }

    /// Nobody wants it. Where one more rings every few seconds, those who let it ring go on ringing.
    fn refuse(&mut self, told: &Value, status: &'static str) -> &'static str {
        self.refused_by.extend(rung(told));
        status
    }

    async fn leave(self, told: &Value) {
        self.hang_up("CANCEL", End::Abandoned(rung(told))).await;
    }

    /// One of those who are rung answers, and they talk.
    pub async fn talk(mut self, told: &Value) {
        let (from, agents) = (Instant::now(), rung(told));
        let by = agents[self.rng.random_range(0..agents.len())].clone();
        agents.iter().filter(|agent| **agent != by).for_each(|agent| self.bind(agent, from));
        let event = self.event(&[("event", "answer"), ("peer", &peer(&by))]);
        self.tell(&event).await;
        self.one_winner(&by).await;
        self.bind(&by, from);
        self.hang_up("ANSWER", End::AnsweredBy(by)).await;
    }

    /// 2: once the answer is acknowledged the call holds nobody but him, while they talk.
    async fn one_winner(&self, by: &str) {
        let call = id::call_id(APP, &self.call);
        let offers = self.history.db.read(move |conn| offers::of_calls(conn, APP, &[call])).await.expect("read");
        let open: Vec<_> = offers.iter().filter(|o| o.ended_at.is_none()).map(|o| (o.agent.as_str(), o.state())).collect();
        assert_eq!(open, [(by, OfferState::Accepted)], "2: {}: {offers:?}", self.call);
    }

    /// The hangup handler at the end of the call.
    async fn hang_up(mut self, status: &str, end: End) {
        let mut fields = vec![("dialstatus", status)];
        let device = if let End::AnsweredBy(by) = &end { peer(by) } else { String::new() };
        if !device.is_empty() {
            fields.extend([("peer", device.as_str()), ("answeredtime", "1")]);
        }
        if status.is_empty() {
            self.offer.clear();
        }
        let event = self.event(&fields);
        self.tell(&event).await;
        let Caller { history, call, queue, refused_by, waited, .. } = self;
        history.stories.lock().unwrap().push(Story { call, queue, refused_by, waited, end });
    }

    fn event(&self, fields: &[(&str, &str)]) -> Value {
        let mut event = json!({
            "call": self.call, "from": "+79990001101", "to": number(self.queue), "place": self.queue, "offer": self.offer,
        });
        for (name, value) in fields {
            event[*name] = json!(value);
        }
        event
    }
}

fn rung(told: &Value) -> Vec<String> {
    told["agent"].as_str().expect("agents").split(',').map(str::to_owned).collect()
}

fn peer(agent: &str) -> String {
    format!("PJSIP/10{}-0000000a", &agent[1..])
}
