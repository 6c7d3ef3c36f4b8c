//! The real program, killed in the middle of its work: what it had said stands, what it had not is not there by halves, and nobody is bound
//! twice. The clients here repeat what was not answered, as a proxy before the server would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use hookflash::domain::spec::{Agent, Application};
use hookflash::net::{Http, Response};
use hookflash::store::{agents, live, log};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::process::{Program, command};
use crate::support::{Backend, House, SHOP, eventually};

const CLIENTS: usize = 6;
const KILLS: usize = 3;

/// An agent was named to a call: surely bound from the answer until the news of the end was on its way.
#[derive(Debug)]
struct Bound {
    extension: String,
    call: String,
    from: Instant,
    until: Instant,
}

/// What the clients did and were told.
#[derive(Default)]
struct History {
    url: RwLock<String>,
    /// Answers of any kind so far.
    answers: AtomicUsize,
    stop: AtomicBool,
    /// Every event that was answered 200.
    told: Mutex<BTreeSet<String>>,
    bound: Mutex<Vec<Bound>>,
    /// Legs that were answered and hung up.
    talked: Mutex<BTreeSet<String>>,
}

/// Ten agents on 101 to 110, all of one group, and nobody responsible in particular.
fn ten_agents(app: &mut Application) {
    let first = app.agent[0].clone();
    app.agent = (101..=110).map(|n| Agent { id: format!("a{n}"), extension: Some(n.to_string()), ..first.clone() }).collect();
    app.group[0].agents = app.agent.iter().map(|a| a.id.clone()).collect();
    app.contact.clear();
}

impl History {
    /// Sends until somebody answers.
    async fn send(&self, http: &Http, path: &str, form: &str) -> Response {
        let response = insist(http, || self.url.read().unwrap().clone(), path, form).await;
        self.answers.fetch_add(1, SeqCst);
        response
    }

    async fn tell(&self, http: &Http, form: String) {
        let response = self.send(http, EVENT, &form).await;
        assert_eq!(response.status, 200, "{form}");
        self.told.lock().unwrap().insert(form);
    }

    /// Who is named, and the decision.
    async fn ask(&self, http: &Http, call: &str) -> (Option<String>, String) {
        let response = self.send(http, ASK, &format!("CallID={call}&CallerIDNum=%2B79995550199&CalledExtension=0047*099")).await;
        assert_eq!(response.status, 200);
        let decision = response.header("x-hookflash-decision").unwrap().to_owned();
        (named(std::str::from_utf8(&response.body).unwrap()).map(|(_, e)| e.replace("0047*", "")), decision)
    }
}

/// One line after another calls, is named somebody, rings him, and talks or does not.
async fn client(history: Arc<History>, n: usize, seed: u64) {
    let (http, mut rng) = (http(), StdRng::seed_from_u64(seed + n as u64));
    for round in 0.. {
        if history.stop.load(SeqCst) {
            return;
        }
        let call = format!("c{seed}x{n}x{round}");
        let (Some(extension), _) = history.ask(&http, &call).await else { continue };
        let from = Instant::now();
        let at = |kind, second, more: &str| leg(kind, &call, &extension, second, more);
        history.tell(&http, at("dial-in", 0, "")).await;
        let talks = rng.random_bool(0.7);
        if talks {
            history.tell(&http, at("answer", 5, "")).await;
            history.talked.lock().unwrap().insert(format!("7001{extension}-{call}"));
        }
        let until = Instant::now();
        history.tell(&http, at("hangup", 65, if talks { "&CallStatus=ANSWER" } else { "&CallStatus=NOANSWER" })).await;
        history.bound.lock().unwrap().push(Bound { extension, call, from, until });
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_keeps_every_word(#[values(Sqlite, Postgres)] backend: Backend, #[values(1, 2)] seed: u64) {
    let edit = |app: &mut Application| {
        ten_agents(app);
        (app.routing.cool_down_s.no_answer, app.routing.cool_down_s.busy) = (0, 0);
    };
    let house = House::live(backend, |_| {}, edit).await;
    let long = [("HOOKFLASH__ROUTING__CLAIM_S", "100"), ("HOOKFLASH__LOG__LEVEL", "warn,hookflash::server=info")];
    let mut program = Program::serve(&house, &long);
    let history = Arc::new(History::default());
    *history.url.write().unwrap() = program.url.clone();
    let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(client(history.clone(), n, seed))).collect();
    let (own, mut rng) = (http(), StdRng::seed_from_u64(seed));
    let answers = async |more: usize| {
        let goal = history.answers.load(SeqCst) + more;
        eventually(async || history.answers.load(SeqCst) >= goal).await;
    };

    for kill in 0..KILLS {
        answers(rng.random_range(20..120)).await;
        // A call that has been answered and of which nothing more is heard until the program is back.
        let call = format!("waiting{kill}");
        let before = history.ask(&own, &call).await;
        answers(rng.random_range(1..10)).await;
        program.kill();
        program = Program::serve(&house, &long);
        *history.url.write().unwrap() = program.url.clone();
        let after = history.ask(&own, &call).await;
        assert!(before.0.is_some(), "ten agents are enough for six callers and the waiting ones");
        assert_eq!(after, before, "the claim holds, and with it the answer");
        let over = format!("EventType=hangup&EventTime=1767000001000000&CallID={call}&Bridged=no&CallFlow=IN&CalledExtension=0047*099");
        history.tell(&own, over).await;
    }
    answers(50).await;
    history.stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    program.kill();

    check(&house, &history).await;

    // A claim that nobody follows ends by its time, also across a kill.
    let short = [("HOOKFLASH__ROUTING__CLAIM_S", "1")];
    let program = Program::serve(&house, &short);
    *history.url.write().unwrap() = program.url.clone();
    assert!(history.ask(&own, "forgotten").await.0.is_some());
    program.kill();
    let program = Program::serve(&house, &short);
    eventually(async || house.read(|conn| agents::all(conn, SHOP)).await.iter().all(|a| a.claim.is_none())).await;
    drop(program);
}

/// Compares what was said with what is there.
async fn check(house: &House, history: &History) {
    let told = history.told.lock().unwrap().len();
    assert_eq!(house.journal().await.len(), told, "every event that was acknowledged is in the journal, once");
    let output = command(house, &["replay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));

    let now = house.clock.now().plus_s(60);
    let mut rows = Vec::new();
    loop {
        let before = rows.last().map(|r: &hookflash::store::calls::LegRow| (r.logged_at.unwrap(), r.call_id.clone(), r.leg.clone()));
        let page = house.read(move |conn| log::legs(conn, SHOP, &log::Filter::default(), before.as_ref(), now, 500)).await;
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    let mut logged: Vec<String> = rows.into_iter().filter_map(|r| r.sub_call_id).collect();
    logged.sort();
    let talked: Vec<String> = history.talked.lock().unwrap().iter().cloned().collect();
    assert_eq!(logged, talked, "each answered leg is logged once, and no other");

    nobody_is_bound_twice(&history.bound.lock().unwrap());
    assert_eq!(house.read(|conn| live::all(conn, SHOP)).await, vec![]);
    let now = house.clock.now();
    for agent in house.read(|conn| agents::all(conn, SHOP)).await {
        assert!(!agent.engaged(now), "{agent:?}");
    }
}

fn nobody_is_bound_twice(bound: &[Bound]) {
    let mut by_agent: BTreeMap<&str, Vec<&Bound>> = BTreeMap::new();
    for b in bound.iter() {
        by_agent.entry(&b.extension).or_default().push(b);
    }
    for (extension, mut calls) in by_agent {
        calls.sort_by_key(|b| b.from);
        for pair in calls.windows(2) {
            assert!(pair[0].until <= pair[1].from, "{extension} was bound to {} and to {} at once", pair[0].call, pair[1].call);
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_finishes_what_it_has_in_hand(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::live(backend, |_| {}, |_| {}).await;
    let program = Program::serve(&house, &[]);
    let address = program.url.strip_prefix("http://").unwrap().to_owned();
    let form = leg("dial-in", "c1", "101", 0, "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {EVENT} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        form.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    program.terminate();
    program.said("stopping: requests in hand are finished first");
    stream.write_all(form.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("OK"), "{answer}");
    assert_eq!(program.ended().1, Some(0));
    assert_eq!(house.state("ann").await.ringing, 1);
    assert!(tokio::net::TcpStream::connect(&address).await.is_err(), "nobody listens any more");
}
