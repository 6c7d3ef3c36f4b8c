//! Runs against a PBX in memory, with a stranger who works on it between any two of our requests, and with runs that end anywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::line::Line;
use super::{Outcome, Task, carry_out};
use crate::gateway::GatewayError;
use crate::net::{Request, Response};
use crate::pbx::setup::{Hooks, Memory};
use crate::pbx::telphin::Settings;
use crate::pbx::telphin::setup::Telphin;
use crate::store::Result as StoreResult;

const ASKS: &str = "https://here.example/cid/807/getmanager/TLP55522";
const EVENTS: &str = "https://here.example/cid/807/event/TLP55522";

/// What the stranger does at one time.
#[derive(Clone, Debug)]
enum Act {
    Nothing,
    /// A rule of his at a place, by its kind.
    AddRule(usize, usize),
    EditRule(usize, usize),
    DropRule(usize),
    /// Any rule, ours too, to any place.
    Move(usize, usize),
    Subscribe(usize),
    Unsubscribe(usize),
}

/// How the line fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Before this request: nothing is sent any more.
    Dead(usize),
    /// This request is done, and its reply lost.
    Lost(usize),
}

struct Pbx {
    rules: Vec<Value>,
    /// Of the phone, and of the IVR.
    subscriptions: Vec<Value>,
    of_ivr: Vec<Value>,
    last: u64,
    /// Ids of what the stranger made, with its content.
    his: BTreeMap<u64, Value>,
    /// Ids of the rules that we made.
    ours: BTreeSet<u64>,
    acts: Vec<Act>,
    requests: usize,
    fault: Fault,
    memory: BTreeMap<String, Memory>,
}

/// Rules of the stranger's, one of them just like our second one, one that asks another server.
fn kind(n: usize) -> Value {
    match n % 4 {
        0 => json!({"action": "transfer", "transfer_dst": "200"}),
        1 => json!({"action": "transfer_from_variable", "transfer_variable": "managerExt"}),
        2 => {
            json!({"action": "call_interactive", "call_interactive_url": "https://stranger.example/cid/807/getmanager/TLP55522", "call_interactive_method": "POST"})
        }
        _ => json!({"action": "play_sound", "sound": n}),
    }
}

impl Pbx {
    fn new(kinds: &[usize], acts: Vec<Act>, fault: Fault) -> Pbx {
        let mut pbx = Pbx {
            rules: Vec::new(),
            subscriptions: Vec::new(),
            of_ivr: Vec::new(),
            last: 100,
            his: BTreeMap::new(),
            ours: BTreeSet::new(),
            acts,
            requests: 0,
            fault,
            memory: BTreeMap::new(),
        };
        for (n, k) in kinds.iter().enumerate() {
            pbx.act(&Act::AddRule(n, *k));
        }
        pbx.act(&Act::Subscribe(0));
        pbx
    }

    fn fresh(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn act(&mut self, act: &Act) {
        let his: Vec<usize> = self.rules.iter().enumerate().filter(|(_, r)| !self.ours.contains(&id(r))).map(|(n, _)| n).collect();
        match act {
            Act::Nothing => {}
            Act::AddRule(at, k) => {
                let id = self.fresh();
                let at = at % (self.rules.len() + 1);
                self.rules.insert(at, with_id(kind(*k), id));
                self.his.insert(id, kind(*k));
            }
            Act::EditRule(n, k) if !his.is_empty() => {
                let n = his[n % his.len()];
                let id = id(&self.rules[n]);
                self.rules[n] = with_id(kind(*k), id);
                self.his.insert(id, kind(*k));
            }
            // One of his is always left: without any, ours have to go.
            Act::DropRule(n) if his.len() > 1 => {
                let gone = self.rules.remove(his[n % his.len()]);
                self.his.remove(&id(&gone));
            }
            Act::Move(from, to) if !self.rules.is_empty() => {
                let rule = self.rules.remove(from % self.rules.len());
                let to = to % (self.rules.len() + 1);
                self.rules.insert(to, rule);
            }
            Act::Subscribe(n) => {
                let id = self.fresh();
                let url = format!("https://stranger.example/{n}");
                let content = json!({"url": url, "event_type": "hangup", "method": "POST"});
                self.subscriptions.push(with_id(content.clone(), id));
                self.his.insert(id, content);
            }
            Act::Unsubscribe(n) => {
                let his: Vec<u64> = self.subscriptions.iter().map(id).filter(|id| self.his.contains_key(id)).collect();
                if let Some(gone) = his.get(n % his.len().max(1)) {
                    self.subscriptions.retain(|s| id(s) != *gone);
                    self.his.remove(gone);
                }
            }
            _ => {}
        }
    }

    /// The reply to a request: status and body.
    fn serve(&mut self, request: &Request) -> (u16, Value) {
        let body: Value = request.body.as_ref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or(Value::Null);
        let path = request.url.split_once("/api/ver1.0").expect("a path").1;
        let (place, last) = path.rsplit_once('/').expect("a path");
        match (request.method, place, last) {
            ("GET", "/client/@me/extension", _) => {
                (200, json!([{"id": 1, "name": "0047*101", "type": "phone"}, {"id": 9, "name": "0047*099", "type": "ivr"}]))
            }
            ("GET", "/client/@me/agent/local", "") => (404, json!({"message": "Not found"})),
            ("GET", "/extension/9/ivr", "") => (200, json!({"entry_context": 7})),
            ("GET", "/extension/9/ivr/context", "") => (200, json!([{"id": 7, "name": "Main"}])),
            ("DELETE", "/extension/1/event" | "/extension/9/event", "") => panic!("foreign subscriptions would go, too"),
            (_, "/extension/9/event", last) => {
                let id = (request.method == "POST").then(|| self.fresh());
                on(&mut self.of_ivr, request.method, last, body, id)
            }
            (_, "/extension/1/event", last) => {
                let id = (request.method == "POST").then(|| self.fresh());
                on(&mut self.subscriptions, request.method, last, body, id)
            }
            (_, "/extension/9/ivr/context/7/options/start/rules", last) => {
                let id = (request.method == "POST").then(|| self.fresh());
                self.ours.extend(id);
                on(&mut self.rules, request.method, last, body, id)
            }
            other => panic!("{other:?}"),
        }
    }

    fn check(&self) {
        for (id_, content) in &self.his {
            let found = self.rules.iter().chain(&self.subscriptions).find(|v| id(v) == *id_);
            assert_eq!(found, Some(&with_id(content.clone(), *id_)), "what the stranger made is as he left it");
        }
    }

    /// Ours among the rules, by what we made and not by what the planner thinks.
    fn places(&self) -> Vec<usize> {
        self.rules.iter().enumerate().filter(|(_, r)| self.ours.contains(&id(r))).map(|(n, _)| n).collect()
    }
}

fn id(value: &Value) -> u64 {
    value["id"].as_u64().unwrap_or_default()
}

fn with_id(mut content: Value, id: u64) -> Value {
    content["id"] = id.into();
    content
}

/// A list of things as the API has it: the new one goes to the end, `position` moves.
fn on(list: &mut Vec<Value>, method: &str, last: &str, mut body: Value, fresh: Option<u64>) -> (u16, Value) {
    let at = list.iter().position(|v| id(v).to_string() == last);
    let position = body.as_object_mut().and_then(|b| b.remove("position")).and_then(|p| p.as_u64());
    match (method, last, at) {
        ("GET", "", _) => {
            let shown = list.iter().enumerate().map(|(n, v)| {
                let mut v = v.clone();
                v["position"] = (n + 1).into();
                v
            });
            (200, shown.collect())
        }
        ("POST", "", _) => {
            let made = with_id(body, fresh.expect("an id"));
            list.push(made.clone());
            (201, made)
        }
        ("PUT", _, Some(at)) => {
            let old = list.remove(at);
            let changed = with_id(body, id(&old));
            list.insert(position.map_or(at, |p| (p as usize - 1).min(list.len())), changed.clone());
            (200, changed)
        }
        ("DELETE", _, Some(at)) => {
            list.remove(at);
            (204, Value::Null)
        }
        _ => (404, json!({"message": "Not found"})),
    }
}

impl Line for RefCell<Pbx> {
    async fn send(&self, request: Request) -> Result<Response, GatewayError> {
        let mut pbx = self.borrow_mut();
        let n = pbx.requests;
        pbx.requests += 1;
        let act = pbx.acts.get(n).cloned().unwrap_or(Act::Nothing);
        pbx.act(&act);
        if matches!(pbx.fault, Fault::Dead(at) if n >= at) {
            return Err(GatewayError::Unreachable("dead".into()));
        }
        let (status, body) = pbx.serve(&request);
        pbx.check();
        if pbx.fault == Fault::Lost(n) && request.method != "GET" {
            return Err(GatewayError::Unclear("lost".into()));
        }
        match status {
            200..=299 => Ok(Response { status, headers: vec![], body: Bytes::from(body.to_string()) }),
            _ => Err(GatewayError::Refused { status, words: body.to_string() }),
        }
    }

    async fn memory(&self, part: &str) -> StoreResult<Memory> {
        Ok(self.borrow().memory.get(part).cloned().unwrap_or_default())
    }

    async fn remember(&self, part: &str, memory: &Memory) -> StoreResult<()> {
        self.borrow_mut().memory.insert(part.into(), memory.clone());
        Ok(())
    }

    async fn left(&self) -> StoreResult<Option<i64>> {
        Ok(None)
    }
}

/// A run; `None` when it ended in the middle.
fn run(pbx: &RefCell<Pbx>, task: Task) -> Option<Vec<Outcome>> {
    let settings = Settings {
        api_url: "https://pbx.example".into(),
        client_prefix: "0047".into(),
        provision_ivr: vec!["099".into()],
        ..Settings::default()
    };
    let survey = Telphin { settings, hooks: Hooks::new("https://here.example", 807, "TLP55522", None) };
    let mut outcomes = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let ended = runtime.block_on(carry_out(pbx, &survey, task, |o| outcomes.push(o)));
    pbx.borrow().check();
    ended.is_ok().then_some(outcomes)
}

/// When the stranger rests and nothing fails, there is no trouble either.
fn comes_to_rest(pbx: &RefCell<Pbx>, task: Task) {
    (pbx.borrow_mut().fault, pbx.borrow_mut().acts) = (Fault::None, Vec::new());
    let outcomes = run(pbx, task).expect("nothing fails");
    assert!(outcomes.iter().all(|o| o.trouble.is_none()), "{outcomes:?}");
    holds(pbx, task, &outcomes);
}

/// After a run that came to its end: both or none, and which of the two it says.
fn holds(pbx: &RefCell<Pbx>, task: Task, outcomes: &[Outcome]) {
    let pbx = pbx.borrow();
    let trouble = outcomes.iter().find_map(|o| o.trouble.as_ref());
    let places = pbx.places();
    match (task, trouble) {
        (Task::On, None) => {
            assert_eq!(places, [0, 1], "{:?}", pbx.rules);
            assert_eq!(pbx.rules[0]["call_interactive_url"], ASKS);
            assert_eq!(pbx.rules[1]["transfer_variable"], "managerExt");
            assert!(pbx.rules.len() > 2, "another rule follows");
            assert_eq!(pbx.subscriptions.iter().filter(|s| s["url"] == EVENTS).count(), 4);
        }
        (Task::Off, None) => {
            assert_eq!(places, Vec::<usize>::new(), "{:?}", pbx.rules);
            assert!(!pbx.subscriptions.iter().chain(&pbx.of_ivr).any(|s| s["url"] == EVENTS));
        }
        (_, Some(trouble)) => assert!(places.is_empty() || places.len() == 2, "{trouble}: {places:?} {:?}", pbx.rules),
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => Just(Act::Nothing),
        2 => (0..6usize, 0..4usize).prop_map(|(at, k)| Act::AddRule(at, k)),
        2 => (0..6usize, 0..4usize).prop_map(|(n, k)| Act::EditRule(n, k)),
        2 => (0..6usize).prop_map(Act::DropRule),
        4 => (0..6usize, 0..6usize).prop_map(|(from, to)| Act::Move(from, to)),
        1 => (0..3usize).prop_map(Act::Subscribe),
        1 => (0..3usize).prop_map(Act::Unsubscribe),
    ];
    proptest::collection::vec(act, 0..120)
}

/// The same, by one who adds nothing that looks like ours while a reply of ours may be lost.
fn quiet_acts() -> impl Strategy<Value = Vec<Act>> {
    acts().prop_map(|acts| {
        let plain = |k: usize| if k % 4 == 1 { 0 } else { k };
        let quiet = |act| match act {
            Act::AddRule(at, k) => Act::AddRule(at, plain(k)),
            Act::EditRule(n, k) => Act::EditRule(n, plain(k)),
            other => other,
        };
        acts.into_iter().map(quiet).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// On and off in any order, with the stranger at work all the time.
    #[test]
    fn a_stranger_never_loses_anything_and_ours_is_whole_or_gone(
        kinds in proptest::collection::vec(0..4usize, 1..5),
        acts in acts(),
        tasks in proptest::collection::vec(prop_oneof![Just(Task::On), Just(Task::Off)], 1..4),
    ) {
        let pbx = RefCell::new(Pbx::new(&kinds, acts, Fault::None));
        for task in &tasks {
            let outcomes = run(&pbx, *task).expect("nothing fails");
            holds(&pbx, *task, &outcomes);
        }
        comes_to_rest(&pbx, tasks[0]);
    }

    /// Killed before any request, or with the reply to any request lost; then on, or off, or both.
    #[test]
    fn what_was_interrupted_is_completed_or_taken_back(
        kinds in proptest::collection::vec(0..4usize, 1..5),
        acts in quiet_acts(),
        at in 0..60usize,
        lost in any::<bool>(),
        first in prop_oneof![Just(Task::On), Just(Task::Off)],
        then in prop_oneof![Just(Task::On), Just(Task::Off)],
    ) {
        let fault = if lost { Fault::Lost(at) } else { Fault::Dead(at) };
        let pbx = RefCell::new(Pbx::new(&kinds, acts, fault));
        if let Some(outcomes) = run(&pbx, Task::On) {
            holds(&pbx, Task::On, &outcomes);
        }
        if let Some(outcomes) = run(&pbx, first) {
            holds(&pbx, first, &outcomes);
        }
        pbx.borrow_mut().fault = Fault::None;
        let outcomes = run(&pbx, then).expect("nothing fails any more");
        holds(&pbx, then, &outcomes);
        comes_to_rest(&pbx, then);
    }
}

/// Without a stranger a second run of either kind sends nothing but looks.
#[test]
fn a_second_run_only_looks() {
    let pbx = RefCell::new(Pbx::new(&[3, 0], Vec::new(), Fault::None));
    for task in [Task::On, Task::Off] {
        run(&pbx, task).expect("done");
        let (before, requests) = (pbx.borrow().rules.clone(), pbx.borrow().requests);
        let again = run(&pbx, task).expect("done");
        assert!(again.iter().all(|o| o.changes.is_empty() && o.trouble.is_none()), "{again:?}");
        assert_eq!(pbx.borrow().rules, before);
        assert_eq!(pbx.borrow().requests - requests, 7, "two lists, two subscriptions, an IVR, its contexts and its rules");
    }
}
