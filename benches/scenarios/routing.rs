//! The routing core: what a choice costs by itself, with its reservation and its record, on two processes at once, from a caller's first
//! question to the offer, and for a whole day.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use hookflash::app::Hookflash;
use hookflash::centre::{self, Chaos, Plan};
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::domain::agent::{AgentState, ManualStatus};
use hookflash::domain::spec::{Agent, Application, Strategy as Way};
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::lookup::{self, Mode};
use hookflash::pbx::RoutingRequest;
use hookflash::routing::choose::{People, Seeker, Stage as Place, choose};
use hookflash::routing::record::{self, Look};
use hookflash::store::offers::{self, Offer};
use hookflash::store::{Conn, Db, Options, Url, decisions};

use super::{Size, WARM_UP, median};
use crate::child::{self, Child};
use crate::closed;
use crate::fill;
use crate::report::{Better, Row};
use crate::stage::{self, CLAIMING, Stage, WAITING};
use crate::telphin::{Sharing, Taken};
use crate::wire::Line;

const NOW: Timestamp = Timestamp(1_767_000_000_000_000);
/// Agents of the queue that is asked: all of them can take the call.
const ELIGIBLE: usize = 50;

/// A choice among 50 of 10,000, and how much longer it takes than among 50 of 100.
pub fn choice(size: Size) -> anyhow::Result<Vec<Row>> {
    let runs = if size.turns == 1 { 5_000 } else { 50_000 };
    let (few, many) = (Room::new(100)?, Room::new(10_000)?);
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        short.push(few.times(runs / 5));
        long.push(many.times(runs / 5));
    }
    let mut all: Vec<f64> = long.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[(all.len() as f64 * share) as usize];
    let record = median(&(0..runs / 10).map(|_| many.record_us()).collect::<Vec<_>>());
    let middle = |turns: &[Vec<f64>]| median(&turns.iter().map(|t| median(t)).collect::<Vec<_>>());
    let (short, long) = (middle(&short), middle(&long));
    Ok(vec![
        Row {
            name: "choice",
            what: "p99 of a choice: 10,000 agents, 200 queues, 50 who can take it",
            unit: "µs",
            better: Better::Lower,
            measured: at(0.99),
            must: 200.0,
            aim: 20.0,
            note: format!("p50 {:.1} µs; its record takes {record:.1} µs more", at(0.5)),
        },
        Row {
            name: "choice",
            what: "time of a choice, 100 to 10,000 agents, as many who can take it",
            unit: "times",
            better: Better::Lower,
            measured: long / short,
            must: 1.5,
            aim: 1.1,
            note: format!("{short:.1} µs to {long:.1} µs"),
        },
    ])
}

/// Agents in groups of 50, a queue for each group.
struct Room {
    spec: Application,
    by_id: HashMap<String, Agent>,
    states: HashMap<String, AgentState>,
}

impl Room {
    fn new(agents: usize) -> anyhow::Result<Room> {
        let name = |n: usize| format!("agent-{n:05}");
        let queues = agents / ELIGIBLE;
        let value = serde_json::json!({
            "id": 1, "name": "Bench", "pbx": "asterisk", "login": "pbx1",
            "agent": (0..agents).map(|n| serde_json::json!({"id": name(n), "name": name(n), "extension": (1_000 + n).to_string()})).collect::<Vec<_>>(),
            "group": (0..queues).map(|q| {
                let members: Vec<String> = (0..ELIGIBLE).map(|n| name(q * ELIGIBLE + n)).collect();
                serde_json::json!({"id": format!("g{q}"), "name": format!("Group {q}"), "agents": members})
            }).collect::<Vec<_>>(),
            "queue": (0..queues).map(|q| serde_json::json!({"id": format!("q{q}"), "name": format!("Queue {q}"), "primary_groups": [format!("g{q}")]})).collect::<Vec<_>>(),
        });
        let spec: Application = serde_json::from_value(value).context("the bench's centre")?;
        let by_id = spec.agent.iter().map(|a| (a.id.clone(), a.clone())).collect();
        let state = |(n, a): (usize, &Agent)| {
            let idle = NOW.plus_s(-((n * 7_919 % 3_600) as i64));
            (a.id.clone(), AgentState { engaged_since: idle, ..AgentState::new(a.id.clone(), ManualStatus::Available, idle) })
        };
        let states = spec.agent.iter().enumerate().map(state).collect();
        Ok(Room { spec, by_id, states })
    }

    fn seeing<T>(&self, see: impl FnOnce(&Place, &People<'_>, &Seeker<'_>) -> T) -> T {
        let queue = &self.spec.queue[self.spec.queue.len() / 2];
        let (tries, tallies) = (BTreeMap::new(), HashMap::new());
        let people = People { agent: &|id| self.by_id.get(id), states: &self.states, tallies: &tallies };
        let seeker = Seeker {
            caller: "+79990001101",
            tries: &tries,
            waited_us: 0,
            seed: "call.0",
            only_reachable: false,
            extensions_only: false,
            now: NOW,
        };
        see(&Place::queue(&self.spec, queue, NOW), &people, &seeker)
    }

    /// Microseconds of each of so many choices, the making of the stage included.
    fn times(&self, runs: usize) -> Vec<f64> {
        let time = |_| {
            let started = Instant::now();
            black_box(self.seeing(choose));
            started.elapsed().as_secs_f64() * 1e6
        };
        (0..runs).map(time).collect()
    }

    fn record_us(&self) -> f64 {
        self.seeing(|place, people, seeker| {
            let choice = choose(place, people, seeker);
            let started = Instant::now();
            black_box(record::write(&[Look::new(place, people, seeker, &choice, &BTreeSet::new())]));
            started.elapsed().as_secs_f64() * 1e6
        })
    }
}

/// Lookups in this process, each with its reservation and its row; a claim's time is over when its agent comes again.
pub fn reserve(stage: &Stage, size: Size) -> anyhow::Result<Row> {
    const ASKERS: u64 = 64;
    let database = stage.database("reserve", stage::AGENTS)?;
    let clock = Clock::manual(Clock::system().now());
    let mut settings = Settings::default();
    settings.database.url = DatabaseUrl::new(format!("sqlite://{}", database.display()));
    let runtime = tokio::runtime::Runtime::new()?;
    let lasts = size.turn * size.turns as u32;
    let (made, elapsed) = runtime.block_on(async {
        let hookflash = Hookflash::open(settings, clock.clone()).await?;
        let app = hookflash.roster.app(CLAIMING.application).context("the application")?;
        let started = Instant::now();
        let asker = |k: u64| {
            let (db, clock, app) = (hookflash.db.clone(), clock.clone(), app.clone());
            tokio::spawn(async move {
                let mut made = 0u64;
                // Each asker has agents of his own, and 25 s pass before one comes again.
                let mut owners = (k..stage::AGENTS).step_by(ASKERS as usize).cycle();
                while started.elapsed() < lasts {
                    let owner = owners.next().expect("it goes round");
                    let request =
                        RoutingRequest { call: Some(format!("{k}x{made}")), caller: stage::phone(owner), ..RoutingRequest::default() };
                    clock.advance(25_000_000 / (stage::AGENTS / ASKERS) as i64);
                    let answer = lookup::decide(&db, &clock, &app, &request, Mode::Live { claim_s: 20 }).await?;
                    ensure!(answer.claim.is_some(), "{answer:?} claims nobody");
                    db.decide_later(answer.decision.context("a decision")?, app.id());
                    made += 1;
                }
                Ok::<u64, anyhow::Error>(made)
            })
        };
        let askers: Vec<_> = (0..ASKERS).map(asker).collect();
        let mut made = 0;
        for asker in askers {
            made += asker.await??;
        }
        hookflash.db.flush().await;
        Ok::<_, anyhow::Error>((made, started.elapsed()))
    })?;
    drop(runtime);
    let (rows, offers) = (fill::count(&database, "decisions WHERE inputs <> ''")? as u64, fill::count(&database, "offers")? as u64);
    ensure!(rows == made && offers == made, "{made} decisions, {rows} rows with their inputs, {offers} offers");
    Ok(Row {
        name: "reserve",
        what: "decisions with reservation and row, one process, SQLite",
        unit: "/s",
        better: Better::Higher,
        measured: made as f64 / elapsed.as_secs_f64(),
        must: 10_000.0,
        aim: 25_000.0,
        note: format!("{made} of {ASKERS} askers, without HTTP"),
    })
}

/// Two processes on one PostgreSQL, which ask about the same 1,000 agents: decisions as those of [`reserve`]. And two servers, over HTTP, whose
/// agents are freed by events: twice as many transactions.
pub fn nodes(size: Size) -> anyhow::Result<Row> {
    let url = std::env::var("HOOKFLASH_BENCH_POSTGRES").context("HOOKFLASH_BENCH_POSTGRES names no PostgreSQL; `make bench` starts one")?;
    let (url, other) = (stage::postgres(&url, "asked")?, stage::postgres(&url, "told")?);
    let lasts = size.turn * size.turns as u32;
    let begin = Clock::system().now().plus_s(2);
    let askers: Vec<_> = (1..=2).map(|seed| child::ask(&url, seed, begin, lasts)).collect::<anyhow::Result<_>>()?;
    let mut made = 0u64;
    for asker in askers {
        let output = asker.wait_with_output()?;
        made += String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().context("a process that asked said no number")?;
    }
    let (offers, decisions) = stored(&url)?;
    ensure!(offers.len() as u64 == made && decisions >= made, "{made} decisions claimed: {} offers, {decisions} rows", offers.len());
    let twice = offers.windows(2).filter(|p| p[0].agent == p[1].agent && p[0].until > p[1].made_at).count();
    ensure!(twice == 0, "{twice} of {made} claims began before the agent's last one was over");
    let (taken, by_events) = freed_by_events(&other, lasts)?;
    Ok(Row {
        name: "nodes",
        what: "decisions with reservation and row, two processes, PostgreSQL",
        unit: "/s",
        better: Better::Higher,
        measured: made as f64 / lasts.as_secs_f64(),
        must: 2_000.0,
        aim: 5_000.0,
        note: format!(
            "1,000 agents shared, {made} reservations, none twice; over HTTP, each freed by its event: {by_events:.0}/s, {taken}, none twice"
        ),
    })
}

/// The offers that were made, those of an agent in the order of time; and how many decisions have what they were made from.
fn stored(url: &str) -> anyhow::Result<(Vec<Offer>, u64)> {
    let db = Db::open(&Options { url: url.to_owned(), pool_size: 2 })?;
    db.read_blocking(|conn| {
        let mut made = offers::since(conn, CLAIMING.application, "")?;
        made.sort_by(|a, b| (&a.agent, a.made_at).cmp(&(&b.agent, b.made_at)));
        let all = decisions::since(conn, CLAIMING.application, "", i64::MAX)?;
        Ok((made, all.iter().filter(|d| !d.inputs.is_empty()).count() as u64))
    })
    .map_err(Into::into)
}

/// Lookups over HTTP on two servers, each claim freed by the event of its call's end: how many, and how many a second.
fn freed_by_events(url: &str, lasts: Duration) -> anyhow::Result<(usize, f64)> {
    const CONNECTIONS: u64 = 32;
    let nodes = [Child::serve_url(url)?, Child::serve_url(url)?];
    let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
    let load = |n: usize, turn: u64, lasts| {
        let seed = |k| (turn * 2 + n as u64) * CONNECTIONS + k;
        let scripts = (0..CONNECTIONS).map(|k| Sharing::new(CLAIMING, seed(k), taken.clone())).collect();
        closed::run(nodes[n].address, scripts, WARM_UP, lasts)
    };
    // What PostgreSQL does by itself in the first minute: it looks at tables that have grown, and makes its plans again.
    load(0, 0, Duration::from_secs(1))?;
    Conn::open(&Url::Postgres(url.to_owned()))?.execute("ANALYZE")?;
    let measured = thread::scope(|scope| {
        let other = scope.spawn(|| load(1, 1, lasts));
        let mine = load(0, 1, lasts)?;
        Ok::<_, anyhow::Error>([mine, other.join().map_err(|_| anyhow!("the load panicked"))??])
    })?;
    let mut taken = std::mem::take(&mut *taken.lock().map_err(|_| anyhow!("a load panicked"))?);
    taken.sort_by_key(|t| (t.agent, t.from));
    let twice = taken.windows(2).filter(|p| p[0].agent == p[1].agent && p[0].until > p[1].from).count();
    ensure!(twice == 0, "{twice} of {} agents were bound to two calls at once", taken.len());
    Ok((taken.len(), measured.iter().map(closed::Measured::per_second).sum()))
}

/// From a caller's first question to the offer, over HTTP: 20 agents, 12 calls a second.
pub fn offer(server: &Child, size: Size) -> anyhow::Result<Row> {
    const GAP: Duration = Duration::from_micros(83_333);
    let calls = if size.turns == 1 { 60 } else { 360 };
    let mut line = Line::open(server.address)?;
    let (mut times, mut due) = (Vec::new(), Instant::now());
    for n in 0..calls {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (id, login) = (WAITING.application, WAITING.login);
        let ask = format!("GET /cid/{id}/route/{login}?call=w{n}&from=%2B1555{n:07}&to=%2B15550000000 HTTP/1.1\r\nHost: bench\r\n\r\n");
        let asked = Instant::now();
        let answer = line.ask(ask.as_bytes())?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        let told: serde_json::Value = serde_json::from_slice(answer.body)?;
        ensure!(told["action"] == "dial", "call {n} was told {told}");
        // The caller gives up at once: the agent is free again.
        let offer = told["offer"].as_str().context("an offer")?;
        let body = format!("call=w{n}&from=%2B1555{n:07}&to=%2B15550000000&place=main&offer={offer}&dialstatus=CANCEL&answeredtime=0");
        let told = line.ask(
            format!(
                "POST /cid/{id}/event/{login} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )?;
        ensure!(told.status == 200, "the hangup of call {n} was answered {}", told.status);
        due += GAP;
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    Ok(Row {
        name: "offer",
        what: "p50 from a caller's first question to the offer, 20 agents",
        unit: "ms",
        better: Better::Lower,
        measured: median(&times),
        must: 2.0,
        aim: 1.0,
        note: format!("{calls} calls at 12/s, most {most:.2} ms"),
    })
}

/// A day of 200 agents and 40,000 calls through the real store.
pub fn day(folder: &Path, size: Size) -> anyhow::Result<Row> {
    let hours = if size.turns == 1 { 0.25 } else { 8.0 };
    let plan = Plan {
        agents: 200,
        queues: 1,
        strategy: Way::LongestIdle,
        calls_per_hour: 5_000.0,
        hours,
        talk_s: 115.0,
        wrap_up_s: 10,
        patience_s: 120.0,
        answer_s: 8.0,
        ignored: 0.02,
        rejected: 0.01,
        answer_within_s: 20,
        poll_s: 1,
        seed: 1,
        probed: 0.02,
        chaos: Chaos::default(),
    };
    let url = format!("sqlite://{}", folder.with_file_name("day.db").display());
    let started = Instant::now();
    let report = tokio::runtime::Runtime::new()?.block_on(centre::run(&plan, url, |_| {}))?;
    ensure!(report.faults.is_empty(), "{:?}", report.faults);
    let took = started.elapsed().as_secs_f64();
    Ok(Row {
        name: "day",
        what: "a simulated day of 8 hours: 200 agents, 40,000 calls",
        unit: "s",
        better: Better::Lower,
        measured: took * 8.0 / hours,
        must: 120.0,
        aim: 30.0,
        note: format!(
            "{hours} h lived in {took:.1} s: {} calls, {} answered, nothing that must hold failed",
            report.offered, report.answered
        ),
    })
}
