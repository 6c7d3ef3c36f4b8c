//! The real program, killed in the middle of its work: what it had said stands, what it had not is not there by halves, and nobody is bound
//! twice. The clients here repeat what was not answered, as a proxy before the server would.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hookflash::net::Http;
use hookflash::store::{agents, live};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::killed::{Bound, Nodes, Programs, staff};
use crate::support::process::{Program, command};
use crate::support::{Backend, House, SHOP, eventually};

const CLIENTS: usize = 6;
const KILLS: usize = 2;

/// What the clients did and were told.
struct History {
    nodes: Arc<Nodes>,
    /// Every event that was answered 200.
    told: Mutex<BTreeSet<String>>,
    /// Legs that were answered and hung up.
    talked: Mutex<BTreeSet<String>>,
}

impl History {
    async fn tell(&self, http: &Http, form: String) {
        let response = self.nodes.send(http, 0, &posted(EVENT, &form)).await;
        assert_eq!(response.status, 200, "{form}");
        self.told.lock().unwrap().insert(form);
    }

    /// Who is named, and the decision.
    async fn ask(&self, http: &Http, call: &str) -> (Option<String>, String) {
        let question = posted(ASK, &format!("CallID={call}&CallerIDNum=%2B79995550199&CalledExtension=0047*099"));
        let response = self.nodes.send(http, 0, &question).await;
        assert_eq!(response.status, 200);
        let decision = response.header("x-hookflash-decision").unwrap().to_owned();
        (named(std::str::from_utf8(&response.body).unwrap()).map(|(_, e)| e.replace("0047*", "")), decision)
    }
}

/// One line after another calls, is named somebody, rings him, and talks or does not.
async fn client(history: Arc<History>, n: usize, seed: u64) {
    let (http, mut rng) = (http(), StdRng::seed_from_u64(seed + n as u64));
    for round in 0.. {
        if history.nodes.is_over() {
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
        history.nodes.bind(Bound { agent: extension, call, from, until });
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_keeps_every_word(#[values(Sqlite, Postgres)] backend: Backend, #[values(1, 2, 3)] seed: u64) {
    let house = House::live(backend, |_| {}, |app| staff(app, 10)).await;
    let mut programs = Programs::serve(&house, 1);
    let history = Arc::new(History { nodes: programs.nodes.clone(), told: Mutex::default(), talked: Mutex::default() });
    let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(client(history.clone(), n, seed))).collect();
    let (own, mut rng) = (http(), StdRng::seed_from_u64(seed));

    for kill in 0..KILLS {
        history.nodes.answered(rng.random_range(1..120)).await;
        // A call that has been answered and of which nothing more is heard until the program is back.
        let call = format!("waiting{kill}");
        let before = history.ask(&own, &call).await;
        history.nodes.answered(rng.random_range(1..10)).await;
        programs.kill(0);
        let after = history.ask(&own, &call).await;
        assert!(before.0.is_some(), "ten agents are enough for six callers and the waiting ones");
        assert_eq!(after, before, "the claim holds, and with it the answer");
        let over = format!("EventType=hangup&EventTime=1767000001000000&CallID={call}&Bridged=no&CallFlow=IN&CalledExtension=0047*099");
        history.tell(&own, over).await;
    }
    history.nodes.answered(50).await;
    history.nodes.stop();
    for client in clients {
        client.await.unwrap();
    }
    drop(programs);

    check(&house, &history).await;

    // A claim that nobody follows ends by its time, also across a kill.
    let short = [("HOOKFLASH__ROUTING__CLAIM_S", "1")];
    let program = Program::serve(&house, &short);
    let question = posted(ASK, &asked("forgotten"));
    let answer = insist(&own, || program.url.clone(), &question).await;
    assert!(named(std::str::from_utf8(&answer.body).unwrap()).is_some());
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

    let mut logged: Vec<String> = house.call_log(SHOP).await.into_iter().filter_map(|r| r.sub_call_id).collect();
    logged.sort();
    let talked: Vec<String> = history.talked.lock().unwrap().iter().cloned().collect();
    assert_eq!(logged, talked, "each answered leg is logged once, and no other");

    history.nodes.nobody_is_bound_twice();
    assert_eq!(house.read(|conn| live::all(conn, SHOP)).await, vec![]);
    let now = house.clock.now();
    for agent in house.read(|conn| agents::all(conn, SHOP)).await {
        assert!(!agent.engaged(now), "{agent:?}");
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
