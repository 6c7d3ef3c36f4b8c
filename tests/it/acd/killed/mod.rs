//! Queues through real processes that are killed: several queues that share agents, many callers at once who ask whichever process answers,
//! wait, are rung for, are refused, talk, or have enough of it. What they saw is compared with what the store has when all is over.

mod callers;
mod checks;

use std::sync::Arc;
use std::time::Duration;

use hookflash::domain::spec::Application;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use serde_json::json;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::killed::Programs;
use crate::support::{Backend, House};
use callers::{Caller, History, QUEUES};

pub const APP: i64 = 810;
const AGENTS: usize = 7;
const CALLERS: usize = 14;
const KILLS: usize = 2;

/// Seven agents in three groups that have two of them in common, and a queue for each way of ringing. The groups behind open at once, and
/// nobody is left alone after a call: whoever is free is wanted.
fn centre() -> Application {
    let agent = |n: usize| json!({"id": format!("a{n}"), "name": format!("Agent {n}"), "extension": (100 + n).to_string()});
    let group = |id: &str, agents: &[&str]| json!({"id": id, "name": id, "agents": agents});
    let queue = |id: &str, strategy: &str, first: &[&str], then: &[&str], size: i64| {
        json!({
            "id": id, "name": id, "strategy": strategy, "primary_groups": first, "backup_groups": then, "route_to_backup_groups_after": 0,
            "wrap_up_time_limit": 0, "maximum_queue_size": size, "maximum_queue_wait_time": 0, "wait_agent_answer_timeout": 100,
            "ring_at_once": 3,
        })
    };
    let number = |queue: &&str| json!({"number": callers::number(queue), "queue": queue});
    let value = json!({
        "id": APP, "name": "Centre", "pbx": "asterisk", "login": "centre", "country": "RU", "asterisk": {"poll_s": 30},
        "routing": {"responsible": [], "cool_down_s": {"no_answer": 0, "busy": 0, "rejected": 0, "unreachable": 0}},
        "agent": (1..=AGENTS).map(agent).collect::<Vec<_>>(),
        "group": [group("front", &["a1", "a2", "a3"]), group("middle", &["a3", "a4", "a5"]), group("back", &["a5", "a6", "a7"])],
        "queue": [
            queue("idle", "longest_idle", &["front"], &["middle"], 100),
            queue("all", "ring_all", &["middle"], &[], 100),
            queue("steps", "ring_progressively", &["middle"], &["back"], 100),
            queue("small", "round_robin", &["back"], &[], 1),
            queue("any", "longest_idle", &["front", "middle", "back"], &[], 100),
        ],
        "number": QUEUES.iter().map(number).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).expect("the centre's declaration")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_keep_every_word_while_their_processes_are_killed(
    #[values((Postgres, 2), (Sqlite, 1))] on: (Backend, usize),
    #[values(1, 2, 3)] seed: u64,
) {
    let (backend, processes) = on;
    let house = House::live(backend, |_| {}, |_| {}).await;
    house.declare_application(centre()).await;
    let mut programs = Programs::serve(&house, processes);
    let history = Arc::new(History::new(programs.nodes.clone(), house.hookflash.db.clone()));
    let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(callers::call_again_and_again(history.clone(), n, seed))).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        history.nodes.answered(rng.random_range(1..200)).await;
        programs.kill(rng.random_range(0..processes));
    }
    history.nodes.answered(150).await;
    history.nodes.stop();
    // Nobody gives up any more: whoever waits is served, for all agents come free.
    for caller in callers {
        tokio::time::timeout(Duration::from_secs(60), caller).await.expect("nobody waits for good").unwrap();
    }
    everybody_is_there_for_the_next(&history).await;
    programs.end();
    checks::all(&house, &history).await;
}

/// As many calls as agents, one after the other: each finds one at once.
async fn everybody_is_there_for_the_next(history: &Arc<History>) {
    let mut lines = Vec::new();
    for n in 0..AGENTS {
        let mut caller = Caller::new(history.clone(), format!("last{n}"), "any", 100 + n as u64);
        let told = caller.ask("").await;
        assert_eq!(told["action"], "dial", "{n} agents are rung, and {} are free: {told}", AGENTS - n);
        lines.push((caller, told));
    }
    for (caller, told) in lines {
        caller.talk(&told).await;
    }
}
