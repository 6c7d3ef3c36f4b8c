//! Two real processes on one PostgreSQL, asked at once about calls that want the same agents, while one or the other is killed: nobody is
//! bound to two calls (invariants 1 to 3 and 21).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use hookflash::domain::agent::OfferState;
use hookflash::domain::spec::{Agent, Application};
use hookflash::net::{Http, Response};
use hookflash::routing::record;
use hookflash::store::offers::{self, Offer};
use hookflash::store::{agents, decisions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::hooks::*;
use crate::support::process::Program;
use crate::support::{Backend, House, SHOP, eventually};

const AGENTS: usize = 6;
const CLIENTS: usize = 10;
const KILLS: usize = 4;

/// From the answer that named an agent until the news of the call's end was on its way.
struct Bound {
    agent: String,
    call: String,
    from: Instant,
    until: Instant,
}

#[derive(Default)]
struct History {
    nodes: [RwLock<String>; 2],
    answers: AtomicUsize,
    /// Somebody was named, and nobody.
    named: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
    bound: Mutex<Vec<Bound>>,
    decisions: Mutex<Vec<String>>,
}

impl History {
    /// Sends to that node, and to the other when it does not answer, as a proxy before them would.
    async fn send(&self, http: &Http, mut node: usize, path: &str, form: &str) -> Response {
        let url = || {
            let url = self.nodes[node].read().unwrap().clone();
            node = 1 - node;
            url
        };
        let response = insist(http, url, path, form).await;
        self.answers.fetch_add(1, SeqCst);
        response
    }
}

async fn client(history: Arc<History>, n: usize) {
    let (http, mut rng) = (http(), StdRng::seed_from_u64(n as u64));
    for round in 0.. {
        if history.stop.load(SeqCst) {
            return;
        }
        let call = format!("n{n}x{round}");
        let ask = format!("CallID={call}&CallerIDNum=%2B79995550199&CalledExtension=0047*099");
        let response = history.send(&http, rng.random_range(0..2), ASK, &ask).await;
        assert_eq!(response.status, 200);
        let decision = response.header("x-hookflash-decision").expect("a decision").to_owned();
        let Some((_, extension)) = named(std::str::from_utf8(&response.body).expect("text")) else {
            history.refused.fetch_add(1, SeqCst);
            continue;
        };
        let from = Instant::now();
        history.named.fetch_add(1, SeqCst);
        history.decisions.lock().unwrap().push(decision);
        let extension = extension.replace("0047*", "");
        // Also the other node knows: the same call gets the same answer there.
        let again = history.send(&http, rng.random_range(0..2), ASK, &ask).await;
        assert_eq!(named(std::str::from_utf8(&again.body).expect("text")).map(|(_, e)| e.replace("0047*", "")), Some(extension.clone()));
        if rng.random_bool(0.7) {
            history.send(&http, rng.random_range(0..2), EVENT, &leg("dial-in", &call, &extension, 0, "")).await;
        }
        let until = Instant::now();
        let over = format!("EventType=hangup&EventTime=1767000001000000&CallID={call}&Bridged=no&CallFlow=IN&CalledExtension=0047*099");
        history.send(&http, rng.random_range(0..2), EVENT, &over).await;
        history.bound.lock().unwrap().push(Bound { agent: extension, call, from, until });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_bind_nobody_twice_while_they_are_killed() {
    let edit = |app: &mut Application| {
        let first = app.agent[0].clone();
        app.agent = (101..).take(AGENTS).map(|n| Agent { id: format!("a{n}"), extension: Some(n.to_string()), ..first.clone() }).collect();
        app.group[0].agents = app.agent.iter().map(|a| a.id.clone()).collect();
        app.contact.clear();
        let cool = &mut app.routing.cool_down_s;
        (cool.no_answer, cool.busy, cool.rejected, cool.unreachable) = (0, 0, 0, 0);
    };
    let house = House::live(Backend::Postgres, |_| {}, edit).await;
    let settings = [("HOOKFLASH__ROUTING__CLAIM_S", "100"), ("HOOKFLASH__LOG__LEVEL", "warn,hookflash::server=info")];
    let mut programs: Vec<Option<Program>> = (0..2).map(|_| Some(Program::serve(&house, &settings))).collect();
    let history = Arc::new(History::default());
    for (node, program) in history.nodes.iter().zip(&programs) {
        *node.write().unwrap() = program.as_ref().expect("it runs").url.clone();
    }
    let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(client(history.clone(), n))).collect();
    let mut rng = StdRng::seed_from_u64(21);
    for kill in 0..KILLS {
        let goal = history.answers.load(SeqCst) + rng.random_range(100..300);
        eventually(async || history.answers.load(SeqCst) >= goal).await;
        let node = (kill + rng.random_range(0..2)) % 2;
        programs[node].take().expect("it runs").kill();
        let program = Program::serve(&house, &settings);
        *history.nodes[node].write().unwrap() = program.url.clone();
        programs[node] = Some(program);
    }
    let goal = history.answers.load(SeqCst) + 200;
    eventually(async || history.answers.load(SeqCst) >= goal).await;
    history.stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }

    // What the clients saw. (What the store wrote down as times cannot tell: a transaction takes its time before it waits for an agent's row.)
    let bound = std::mem::take(&mut *history.bound.lock().unwrap());
    let mut by_agent: BTreeMap<&str, Vec<&Bound>> = BTreeMap::new();
    bound.iter().for_each(|b| by_agent.entry(&b.agent).or_default().push(b));
    assert_eq!(by_agent.len(), AGENTS, "everybody was named");
    for (agent, mut calls) in by_agent {
        calls.sort_by_key(|b| b.from);
        for pair in calls.windows(2) {
            assert!(pair[0].until <= pair[1].from, "{agent} was bound to {} and to {} at once", pair[0].call, pair[1].call);
        }
    }
    assert!(history.refused.load(SeqCst) > 0, "ten callers want six agents: somebody goes without");

    // What the store has.
    let ids: Vec<String> = bound.iter().map(|b| hookflash::domain::id::call_id(SHOP, &b.call)).collect();
    let stored: Vec<Offer> = house.read(move |conn| offers::of_calls(conn, SHOP, &ids)).await;
    assert!(stored.len() >= bound.len(), "{} offers of {} calls", stored.len(), bound.len());
    assert_eq!(stored.iter().filter(|o| o.state() == OfferState::Pending).count(), 0, "each has come to its end");
    let now = house.clock.now();
    for agent in house.read(|conn| agents::all(conn, SHOP)).await {
        assert!(!agent.engaged(now), "{agent:?}");
    }
    for program in programs.into_iter().flatten() {
        program.terminate();
        program.ended();
    }
    // Of those whose row was written before a kill, each is made again from it.
    let mut replayed = 0;
    let made = std::mem::take(&mut *history.decisions.lock().unwrap());
    for id in made {
        let Some(decision) = house.read(move |conn| decisions::get(conn, SHOP, &id)).await else { continue };
        let again = record::replay(&decision.caller, &decision.inputs).expect("a record");
        assert_eq!((&again.agents, &again.candidates), (&decision.agents, &decision.candidates), "{decision:?}");
        replayed += 1;
    }
    assert!(replayed > 50, "{replayed} decisions were found");
}
