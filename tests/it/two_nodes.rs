//! Two real processes on one PostgreSQL, asked at once about calls that want the same agents, while one or the other is killed: nobody is
//! bound to two calls (invariants 1 to 3 and 21).

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hookflash::domain::agent::OfferState;
use hookflash::routing::record;
use hookflash::store::offers::{self, Offer};
use hookflash::store::{agents, decisions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;

use crate::support::hooks::*;
use crate::support::killed::{Bound, Nodes, Programs, staff};
use crate::support::{Backend, House, SHOP};

const AGENTS: usize = 6;
const CLIENTS: usize = 10;
const KILLS: usize = 3;

#[derive(Default)]
struct History {
    /// Somebody was named by these.
    decisions: Mutex<Vec<String>>,
    /// Nobody was named.
    refused: AtomicUsize,
}

async fn client(nodes: Arc<Nodes>, history: Arc<History>, n: usize, seed: u64) {
    let (http, mut rng) = (http(), StdRng::seed_from_u64(seed + n as u64));
    for round in 0.. {
        if nodes.is_over() {
            return;
        }
        let call = format!("n{n}x{round}");
        let ask = format!("CallID={call}&CallerIDNum=%2B79995550199&CalledExtension=0047*099");
        let response = nodes.send(&http, rng.random_range(0..2), &posted(ASK, &ask)).await;
        assert_eq!(response.status, 200);
        let decision = response.header("x-hookflash-decision").expect("a decision").to_owned();
        let Some((_, extension)) = named(std::str::from_utf8(&response.body).expect("text")) else {
            history.refused.fetch_add(1, SeqCst);
            continue;
        };
        let from = Instant::now();
        history.decisions.lock().unwrap().push(decision);
        let extension = extension.replace("0047*", "");
        // Also the other node knows: the same call gets the same answer there.
        let again = nodes.send(&http, rng.random_range(0..2), &posted(ASK, &ask)).await;
        assert_eq!(named(std::str::from_utf8(&again.body).expect("text")).map(|(_, e)| e.replace("0047*", "")), Some(extension.clone()));
        if rng.random_bool(0.7) {
            nodes.send(&http, rng.random_range(0..2), &posted(EVENT, &leg("dial-in", &call, &extension, 0, ""))).await;
        }
        let until = Instant::now();
        let over = format!("EventType=hangup&EventTime=1767000001000000&CallID={call}&Bridged=no&CallFlow=IN&CalledExtension=0047*099");
        nodes.send(&http, rng.random_range(0..2), &posted(EVENT, &over)).await;
        nodes.bind(Bound { agent: extension, call, from, until });
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_bind_nobody_twice_while_they_are_killed(#[values(100, 200)] seed: u64) {
    let house = House::live(Backend::Postgres, |_| {}, |app| staff(app, AGENTS)).await;
    let mut programs = Programs::serve(&house, 2);
    let (nodes, history) = (programs.nodes.clone(), Arc::new(History::default()));
    let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(client(nodes.clone(), history.clone(), n, seed))).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        nodes.answered(rng.random_range(1..250)).await;
        programs.kill(rng.random_range(0..2));
    }
    nodes.answered(100).await;
    nodes.stop();
    for client in clients {
        client.await.unwrap();
    }

    // What the clients saw.
    let bound = nodes.nobody_is_bound_twice();
    assert_eq!(bound.len(), AGENTS, "everybody was named");
    assert!(history.refused.load(SeqCst) > 0, "ten callers want six agents: somebody goes without");

    // What the store has.
    let ids: Vec<String> = bound.values().flatten().map(|call| hookflash::domain::id::call_id(SHOP, call)).collect();
    let named = ids.len();
    let stored: Vec<Offer> = house.read(move |conn| offers::of_calls(conn, SHOP, &ids)).await;
    assert!(stored.len() >= named, "{} offers of {named} calls", stored.len());
    assert_eq!(stored.iter().filter(|o| o.state() == OfferState::Pending).count(), 0, "each has come to its end");
    let now = house.clock.now();
    for agent in house.read(|conn| agents::all(conn, SHOP)).await {
        assert!(!agent.engaged(now), "{agent:?}");
    }
    programs.end();
    // Of those whose row was written before a kill, each is made again from it.
    let mut replayed = 0;
    let made = std::mem::take(&mut *history.decisions.lock().unwrap());
    for id in made {
        let Some(decision) = house.read(move |conn| decisions::get(conn, SHOP, &id)).await else { continue };
        let again = record::replay(&decision.caller, &decision.inputs).expect("a record");
        assert_eq!((&again.agents, &again.candidates), (&decision.agents, &decision.candidates), "{decision:?}");
        replayed += 1;
    }
    assert!(replayed > 20, "{replayed} decisions were found");
}
