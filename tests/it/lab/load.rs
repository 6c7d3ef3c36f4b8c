//! Many calls a second among many agents, through our routing and through Asterisk's own queue, with the same people.
//!
//! What is asserted is what must hold at any speed: every question has its answer, and nobody has two calls at once. The times are printed.

use std::collections::BTreeMap;

use hookflash::store::decisions;

use super::Lab;
use super::cel::{self, Channel};
use super::phone::Scenario;
use super::street::{APP, DID};
use crate::support::Backend::Sqlite;
use crate::support::eventually;
use crate::support::process::other_build;

const HEAD: &str = "ms          calls   legs    asks   ask p50   ask p99   ring p50   ring p99";

/// How much the machine is asked for.
struct Load {
    agents: u32,
    per_second: u32,
    calls: u32,
}

/// What a release build stands; a debug build has a tenth of the breath.
fn load() -> Load {
    match other_build() {
        Some(_) => Load { agents: 200, per_second: 100, calls: 2_000 },
        None => Load { agents: 60, per_second: 20, calls: 300 },
    }
}

/// Where `make test-asterisk` finds the table.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/asterisk-load.txt");

fn staff(app: &mut toml::Table, agents: u32) {
    let ids: Vec<String> = (0..agents).map(|n| format!("a{n}")).collect();
    let agents = (0..agents).map(|n| {
        let text = format!("id = \"a{n}\"\nname = \"Agent {n}\"\nextension = \"{}\"", 1_001 + n);
        toml::Value::Table(toml::from_str(&text).expect("TOML"))
    });
    app.insert("agent".into(), toml::Value::Array(agents.collect()));
    app["group"][0]["agents"] = toml::Value::try_from(ids).expect("TOML");
    let queue = app["queue"][0].as_table_mut().expect("a queue");
    queue["strategy"] = "longest_idle".into();
    queue["wait_agent_answer_timeout"] = 15.into();
}

/// From a caller's coming to the ringing of the first telephone, of each call, in microseconds, the shortest first.
fn until_it_rings(channels: &BTreeMap<String, Channel>) -> Vec<i64> {
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for leg in channels.values().filter(|c| c.line().len() == 4) {
        first.entry(&leg.call).and_modify(|at| *at = leg.begun.min(*at)).or_insert(leg.begun);
    }
    let mut times: Vec<i64> = first.into_iter().map(|(call, at)| at - channels[call].begun).collect();
    times.sort_unstable();
    times
}

fn percentile(sorted: &[i64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64 / 1_000.0
}

fn row(name: &str, asks: Option<&[i64]>, channels: &BTreeMap<String, Channel>) -> String {
    let (callers, legs) = (channels.values().filter(|c| c.line().starts_with("trunk")).count(), channels.len());
    let rings = until_it_rings(channels);
    let asks = asks.map_or(format!("{:>7} {:>9} {:>9}", "", "", ""), |asks| {
        format!("{:>7} {:>9.2} {:>9.2}", asks.len(), percentile(asks, 50), percentile(asks, 99))
    });
    format!("{name:<10} {callers:>6} {:>6} {asks} {:>10.2} {:>10.2}\n", legs - callers, percentile(&rings, 50), percentile(&rings, 99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_are_all_answered_and_nobody_has_two() {
    let Load { agents, per_second, calls } = load();
    let lab = Lab::without_server(Sqlite, |app| staff(app, agents)).await;
    let members: String = (0..agents).map(|n| format!("member => PJSIP/{}\n", 1_001 + n)).collect();
    lab.pbx.add(
        "queues.conf",
        &format!("[plain]\nstrategy = leastrecent\nringinuse = no\ntimeout = 15\nretry = 1\nwrapuptime = 0\n{members}"),
    );
    lab.pbx.console("queue reload all");
    lab.serve().await;
    let (answers, client) = (Scenario::answers(50).stays(), Scenario::dials(DID).talks(1_000));

    let phones = lab.switchboard(&answers, calls).await;
    lab.callers(false, &client, calls, per_second).await.done().await;
    let failed = lab.channels().values().filter(|c| c.own_route.is_some()).count();
    let asks = async || lab.house.read(|conn| decisions::since(conn, APP, &"0".repeat(32), 100_000)).await;
    eventually(async || asks().await.len() >= calls as usize).await;
    let mut asked: Vec<i64> = asks().await.iter().map(|d| d.took_us).collect();
    asked.sort_unstable();
    let ours = row("Hookflash", Some(&asked), &lab.channels());
    assert_eq!(failed, 0, "of {calls} calls went the PBX's own way, because a question had no answer:\n{HEAD}\n{ours}");
    phones.done().await;
    lab.is_quiet().await;
    let ours = lab.channels();
    assert_eq!(asks().await.iter().filter(|d| d.late).count(), 0, "every answer came in time");
    assert_eq!(cel::overlaps(&ours, |line| line.len() == 4), Vec::<String>::new(), "nobody had two calls at once");
    assert_eq!(ours.values().filter(|c| c.line() == "trunk").count(), calls as usize);

    let phones = lab.switchboard(&answers, calls).await;
    lab.callers(true, &client, calls, per_second).await.done().await;
    phones.done().await;
    eventually(async || lab.channels().values().all(|c| c.ended.is_some())).await;
    let all = lab.channels();
    // What is of our run is in it too.
    let plain = all.into_iter().filter(|(id, _)| !ours.contains_key(id)).collect();

    let how = format!(
        "{per_second} calls a second among {agents} agents, talk 1 s, on a machine that runs SIPp and Asterisk too; {}\n",
        if other_build().is_some() { "another build" } else { "a debug build" }
    );
    let report = format!("{how}{HEAD}\n{}{}", row("Hookflash", Some(&asked), &ours), row("app_queue", None, &plain));
    std::fs::write(REPORT, &report).expect("written");
    eprintln!("{report}");
}
