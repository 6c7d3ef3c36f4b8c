//! Invariant 17: a routing hook answers inside its budget, whatever holds the store up.
//!
//! Nothing here looks at a clock. What is in the way is let go only after every answer has come: a hook that waited for the store, however long,
//! would never answer.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use hookflash::store::{Conn, Durability, agents, decisions};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use serde_json::json;
use tokio::task::JoinHandle;

use super::locked::Held;
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::client::{Client, Reply};
use crate::support::hooks::asked;
use crate::support::{Backend, House, eventually};

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Somebody else's transaction holds all of it.
    Everything,
    /// … or the agents' rows.
    Claims,
    /// Writes of our own that take their time, one in each lane.
    SlowWrites,
    /// Reads of our own that do, on every connection.
    SlowReads,
}

const WAYS: [Way; 4] = [Way::Everything, Way::Claims, Way::SlowWrites, Way::SlowReads];
const POOL: u32 = 4;
/// Application, path, deadline, fallback.
const HOOKS: [(i64, &str, i64, &str); 4] = [
    (901, "/cid/901/getmanager/shop", 50, ""),
    (902, "/cid/902/getmanager/shop", 120, "103"),
    (903, "/cid/903/route/shop", 80, ""),
    (904, "/cid/904/route/shop", 50, ""),
];

async fn declare(house: &House, (id, path, deadline_ms, fallback): (i64, &str, i64, &str)) {
    let telphin = path.contains("getmanager");
    let agent = |n: i64| json!({"id": format!("a{n}"), "name": format!("Agent {n}"), "extension": n.to_string()});
    let value = json!({
        "id": id, "name": "Shop", "pbx": if telphin { "telphin" } else { "asterisk" }, "login": "shop", "country": "RU",
        "telphin": if telphin { json!({"client_prefix": "0047"}) } else { json!(null) },
        "routing": {"responsible": ["owner", "group:g"], "deadline_ms": deadline_ms, "fallback": fallback},
        "agent": [agent(101), agent(102), agent(103)], "group": [{"id": "g", "name": "G", "agents": ["a102", "a101"]}],
        "queue": [{"id": "q", "name": "Q", "primary_groups": ["g"]}],
        "number": [{"number": "+74955550100", "responsible": id == 903, "queue": "q"}],
        "contact": [{"name": "Client", "phones": ["+79995550101"], "owner": "a101"}],
    });
    house.declare_application(serde_json::from_value(value).expect("an application")).await;
}

async fn ask(client: &Client, path: &str, call: &str) -> Reply {
    let query = if path.contains("route") { format!("call={call}&from=%2B79995550101&to=%2B74955550100") } else { asked(call) };
    client.hook_get(path, &query).await
}

/// What stands in the way until it is let go.
#[derive(Default)]
struct Blocked {
    held: Vec<Held>,
    slow: Vec<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Blocked {
    async fn by(house: &House, ways: &[Way]) -> Blocked {
        let mut blocked = Blocked::default();
        // Those of our own take their connections first.
        let writes = if ways.contains(&Way::SlowWrites) { house.writers() } else { 0 };
        // SQLite's one writer has a connection of its own; on PostgreSQL they share the pool.
        let shared = if house.hookflash.settings.database.url.is_postgres() { writes } else { 0 };
        let reads = if ways.contains(&Way::SlowReads) { POOL - shared } else { 0 };
        for n in 0..writes + reads {
            let (release, wait) = mpsc::channel::<()>();
            let (began, begun) = tokio::sync::oneshot::channel();
            let (db, mut began) = (house.hookflash.db.clone(), Some(began));
            let mut work = move || {
                began.take().map(|b| b.send(()));
                // It ends when the sender is dropped.
                let _ = wait.recv();
            };
            let slow = tokio::task::spawn_local(async move {
                if n < writes {
                    db.write(Durability::Process, move |_| {
                        work();
                        Ok(())
                    })
                    .await
                    .expect("written late");
                } else {
                    db.read(move |_| {
                        work();
                        Ok(())
                    })
                    .await
                    .expect("read late");
                }
            });
            begun.await.expect("it has begun");
            blocked.slow.push((release, slow));
        }
        // A slow write of ours in SQLite holds all of it as somebody else's would.
        let foreign = writes == 0 || house.hookflash.settings.database.url.is_postgres();
        if foreign && ways.contains(&Way::Everything) {
            blocked.held.push(Held::everything(house));
        } else if foreign && ways.contains(&Way::Claims) {
            blocked.held.push(Held::claims(house));
        }
        blocked
    }

    async fn release(self) {
        self.held.into_iter().for_each(Held::release);
        for (release, slow) in self.slow {
            drop(release);
            slow.await.expect("it has ended");
        }
    }
}

impl House {
    /// How many writes go on at once.
    fn writers(&self) -> u32 {
        if self.hookflash.settings.database.url.is_postgres() { POOL - 1 } else { 1 }
    }
}

/// Panics unless the PBX can obey it; whether it is the safe reply.
#[track_caller]
fn is_safe(reply: &Reply, path: &str, fallback: &str) -> bool {
    if path.contains("getmanager") {
        let extension = reply.named().map(|(_, extension)| extension.replace("0047*", ""));
        return extension.as_deref() == Some(fallback).filter(|f| !f.is_empty());
    }
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(["dial", "wait", "none"].contains(&reply.body["action"].as_str().expect("an action")), "{}", reply.body);
    reply.body["action"] == "none"
}

#[rstest]
#[case(Sqlite, 16)]
#[case(Postgres, 16)]
fn a_routing_hook_does_not_wait_for_the_store(#[case] backend: Backend, #[case] cases: u32) {
    let system = actix_web::rt::System::new();
    let (house, client) = system.block_on(async {
        let house = House::open_with(backend, |s| s.database.pool = POOL, |_| {}).await;
        for hook in HOOKS {
            declare(&house, hook).await;
        }
        let client = house.client().await.without_token();
        (house, client)
    });
    let next = std::cell::Cell::new(0);
    let ways = subsequence(WAYS.to_vec(), 1..=WAYS.len());
    let hooks = proptest::collection::vec(select(HOOKS.to_vec()), 1..8);
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(ways, hooks), |(ways, hooks)| {
        system.block_on(async {
            let blocked = Blocked::by(&house, &ways).await;
            let calls = hooks.iter().map(|hook| (hook, format!("c{}", next.replace(next.get() + 1))));
            let asked = join_all(calls.map(async |(hook, call)| (hook, ask(&client, hook.1, &call).await)));
            let answers = tokio::time::timeout(Duration::from_secs(60), asked).await;
            blocked.release().await;
            let Ok(answers) = answers else { return Err(TestCaseError::fail(format!("{ways:?} held the answers up"))) };
            // A hook's reads of SQLite need nobody's leave, but no answer binds anybody while nothing can be written.
            let writable = ways == [Way::SlowReads] && !house.hookflash.settings.database.url.is_postgres();
            let mut late = Vec::new();
            for ((app, path, _, fallback), reply) in answers {
                let safe = is_safe(&reply, path, fallback);
                proptest::prop_assert!(safe || writable, "{} under {:?}: {:?}", path, ways, reply);
                late.push((*app, reply.decision()));
            }
            // All is told of later, and whom an answer would have named that came too late is free again.
            let recorded = async || {
                house.hookflash.db.flush().await;
                let late = late.clone();
                let read =
                    move |conn: &mut Conn| late.iter().map(|(app, id)| decisions::get(conn, *app, id)).collect::<Result<Vec<_>, _>>();
                house.read(read).await.into_iter().collect::<Option<Vec<_>>>()
            };
            eventually(async || recorded().await.is_some()).await;
            // Reads give up by themselves after a moment; whatever else is in the way is given up at the deadline and not before.
            let by_deadline = recorded().await.expect("recorded").iter().all(|decision| decision.late);
            proptest::prop_assert!(by_deadline || ways.contains(&Way::SlowReads), "{:?} were waited for", ways);
            if !writable {
                eventually(async || {
                    let read = |conn: &mut Conn| HOOKS.iter().map(|hook| agents::all(conn, hook.0)).collect::<Result<Vec<_>, _>>();
                    house.read(read).await.iter().flatten().all(|state| state.claim.is_none())
                })
                .await;
            }
            house.pass_s(3_600);
            hookflash::timers::sweep(&house.hookflash).await;
            Ok(())
        })
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}
