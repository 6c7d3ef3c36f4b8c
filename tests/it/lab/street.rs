//! A lab: an Asterisk, its people, and our server.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hookflash::domain::agent::State;
use hookflash::domain::agent_time::{self, Mark};
use hookflash::domain::time::Timestamp;
use hookflash::ingest::replay;
use hookflash::net::{Http, Request, Response};
use hookflash::store::{agents, ami_links, live, times};
use serde_json::{Value, json};

use super::cel::{self, Channel};
use super::pbx::Pbx;
use super::phone::{Phone, Scenario};
use crate::support::hooks::http;
use crate::support::process::{Program, command};
use crate::support::{ADMIN, Backend, House, eventually};

pub const APP: i64 = 808;
/// The number that leads to the queue.
pub const DID: &str = "+74955550100";
/// How far our log may be from Asterisk's own record.
const NEAR_MS: i64 = 100;
/// And an agent's times, which are those at which we heard of it.
const HEARD_MS: i64 = 300;
/// Where a phone calls a service of the PBX, `Answer()` waits for sound before anybody is there to talk with.
const ANSWER_WAITS_MS: i64 = 500;

const DECLARATION: &str = r#"
    id = 808
    name = "Flower shop"
    pbx = "asterisk"
    login = "pbx1"
    country = "RU"
    timezone = "Europe/Moscow"
    key = "k&1"
    agent = [
        { id = "ann", name = "Ann Lee", extension = "101" },
        { id = "bob", name = "Bob Ray", extension = "102" },
        { id = "eve", name = "Eve Fox", extension = "103" },
    ]
    group = [ { id = "sales", name = "Sales", agents = ["ann"] } ]
    number = [ { number = "+74955550100", queue = "main" } ]

    [[queue]]
    id = "main"
    name = "Main"
    strategy = "top_down"
    primary_groups = ["sales"]
    wait_agent_answer_timeout = 3
    maximum_queue_wait_time = 0
    maximum_queue_size = 1000
    wrap_up_time_limit = 0

    [routing]
    cool_down_s = { no_answer = 3, busy = 2, rejected = 2, unreachable = 2 }

    [asterisk]
    ami_user = "hookflash"
    ami_secret = "the-ami-secret"
    outside_device = "PJSIP/{number}@trunk"
    default_context = "from-pstn"
    missed_wait_ms = 200
"#;

pub struct Lab {
    pub pbx: Pbx,
    pub house: House,
    http: Http,
    server: RefCell<Option<Program>>,
}

/// The server's own address has this last number.
const SERVER: u32 = 4;
/// The provider, whom the PBX calls; callers have numbers of their own after it.
const PROVIDER: u32 = 192;

impl Lab {
    pub async fn open() -> Lab {
        Lab::with(|_| {}).await
    }

    /// With these agents of the three in the group.
    pub fn group_of(app: &mut toml::Table, agents: &[&str]) {
        app["group"][0]["agents"] = toml::Value::try_from(agents).expect("TOML");
    }

    pub async fn with(edit: impl FnOnce(&mut toml::Table)) -> Lab {
        let lab = Lab::without_server(Backend::Sqlite, edit).await;
        lab.serve().await;
        lab
    }

    /// With the dialplan of older versions.
    pub async fn with_plain(plain: bool, edit: impl FnOnce(&mut toml::Table)) -> Lab {
        let lab = Lab::set_up(Backend::Sqlite, if plain { &["--plain"] } else { &[] }, edit).await;
        lab.serve().await;
        lab
    }

    /// The PBX is set up and runs, and our server does not.
    pub async fn without_server(backend: Backend, edit: impl FnOnce(&mut toml::Table)) -> Lab {
        Lab::set_up(backend, &[], edit).await
    }

    async fn set_up(backend: Backend, printed_with: &[&str], edit: impl FnOnce(&mut toml::Table)) -> Lab {
        let pbx = Pbx::new();
        let house = House::live(backend, |_| {}, |_| {}).await;
        let mut app: toml::Table = toml::from_str(DECLARATION).expect("TOML");
        app["asterisk"].as_table_mut().expect("a table").insert("ami_address".into(), format!("{}:5038", pbx.at(1)).into());
        edit(&mut app);
        house.declare(&toml::to_string(&app).expect("TOML")).await;
        // Callers are the provider's; each has an address of his own there.
        pbx.line("trunk", "hookflash-808", &format!("sip:{}:5060", pbx.at(PROVIDER)), &format!("{}/27", pbx.at(PROVIDER)));
        pbx.line("trunk2", "plain-queue", &format!("sip:{}:5060", pbx.at(PROVIDER + 32)), &format!("{}/27", pbx.at(PROVIDER + 32)));
        for agent in app["agent"].as_array().expect("agents") {
            let extension = agent["extension"].as_str().expect("an extension");
            let at = pbx.at(phone_of(extension));
            pbx.line(extension, "from-internal", &format!("sip:{extension}@{at}:5060"), &at);
        }
        // A telephone in the kitchen, which is no agent's.
        pbx.line("150", "from-internal", &format!("sip:150@{}:5060", pbx.at(150)), &pbx.at(150));
        let mut lab = Lab { pbx, house, http: http(), server: RefCell::new(None) };
        // As an administrator pastes it.
        let dialplan = [&["provision", "808", "--part", "dialplan"], printed_with].concat();
        lab.pbx.add("extensions.conf", &lab.hookflash(&dialplan));
        lab.pbx.sound("menu");
        lab.pbx.add("manager.conf", &lab.hookflash(&["provision", "808", "--part", "manager"]));
        lab.pbx.start().await;
        lab.pbx.record("hookflash", "the-ami-secret");
        lab
    }

    fn url(&self) -> String {
        format!("http://{}:8080", self.pbx.at(SERVER))
    }

    pub fn address(&self) -> String {
        format!("{}:8080", self.pbx.at(SERVER))
    }

    /// The program with a command; what it prints.
    pub fn hookflash(&self, args: &[&str]) -> String {
        let mut command = command(&self.house, args);
        command.env("HOOKFLASH__SERVER__PUBLIC_URL", self.url()).env("HOOKFLASH__OUTBOUND__ALLOW_PRIVATE", "127.0.0.0/8");
        let said = command.output().expect("started");
        let text = String::from_utf8(said.stdout).expect("UTF-8");
        assert!(said.status.success(), "hookflash {args:?}: {text}{}", String::from_utf8_lossy(&said.stderr));
        text
    }

    /// Starts our server; returns when it hears what the PBX says.
    pub async fn serve(&self) {
        let (bind, url) = (self.address(), self.url());
        let settings = [
            ("HOOKFLASH__SERVER__BIND", bind.as_str()),
            ("HOOKFLASH__SERVER__PUBLIC_URL", url.as_str()),
            ("HOOKFLASH__OUTBOUND__ALLOW_PRIVATE", "127.0.0.0/8"),
            ("HOOKFLASH__AUTH__ADMIN_TOKEN", ADMIN),
            ("HOOKFLASH__LOG__LEVEL", "warn,hookflash::server=info"),
        ];
        let before = Timestamp(self.house.clock.now().0);
        let program = Program::serve(&self.house, &settings);
        self.server.replace(Some(program));
        let up = async || {
            let row = self.house.read(|conn| ami_links::get(conn, APP)).await;
            row.and_then(|row| row.up_since).is_some_and(|since| since >= before.0)
        };
        eventually(up).await;
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.server.take().expect("a server that runs").kill();
    }

    // ---- people

    /// All agents whose extensions have more than three digits have this telephone.
    pub async fn switchboard(&self, scenario: &Scenario, calls: u32) -> Phone {
        Phone::start(&self.pbx.at(phone_of("1001")), scenario, calls, &[]).await
    }

    /// Many callers, so many a second, whose numbers are those of a list; `plain`: they come in where app_queue has them.
    pub async fn callers(&self, plain: bool, scenario: &Scenario, calls: u32, per_second: u32) -> Phone {
        let numbers = self.pbx.folder.join("numbers.csv");
        let list: String = (0..calls).map(|n| format!("+7999{:07}\n", 1_000_000 + n)).collect();
        std::fs::write(&numbers, format!("SEQUENTIAL\n{list}")).expect("written");
        let (from, to) = (self.pbx.at(PROVIDER + 1 + if plain { 32 } else { 0 }), format!("{}:5060", self.pbx.at(1)));
        let (rate, numbers) = (per_second.to_string(), numbers.display().to_string());
        let args = [to.as_str(), "-r", &rate, "-l", "1000", "-inf", &numbers];
        Phone::start(&from, &scenario.clone().by_number("[field0]"), calls, &args).await
    }

    /// An agent's telephone, for so many calls.
    pub async fn agent(&self, extension: u32, scenario: &Scenario, calls: u32) -> Phone {
        Phone::start(&self.pbx.at(extension), scenario, calls, &[]).await
    }

    /// Somebody outside who is called.
    pub async fn outside(&self, scenario: &Scenario) -> Phone {
        Phone::start(&self.pbx.at(PROVIDER), scenario, 1, &[]).await
    }

    /// A caller from outside, who calls at once. The first has the number +79995550101, and so on up to 30.
    pub async fn caller(&self, n: u32, scenario: &Scenario) -> Phone {
        let (from, to) = (format!("+799955501{n:02}"), format!("{}:5060", self.pbx.at(1)));
        Phone::start(&self.pbx.at(PROVIDER + n), &scenario.clone().by_number(&from), 1, &[&to]).await
    }

    /// An agent calls from his own telephone, on which he may be talking already.
    pub async fn agent_dials(&self, extension: u32, scenario: &Scenario) -> Phone {
        let (at, to) = (self.pbx.at(extension), format!("{}:5060", self.pbx.at(1)));
        Phone::on_port(&at, 5062, &scenario.clone().by_number(&extension.to_string()), 1, &[&to, "-mp", "7000"]).await
    }

    /// Sets an agent's manual status.
    pub async fn set_status(&self, agent: &str, status: &str) {
        let reply = self.send(Request::put_json(self.api(&format!("/agents/{agent}/status")), &json!({"manual_status": status}))).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    }

    // ---- what our server says

    pub async fn send(&self, request: Request) -> Response {
        let request = request.header("authorization", format!("Bearer {ADMIN}"));
        self.http.send(request, std::time::Duration::from_secs(20)).await.expect("an answer")
    }

    pub fn api(&self, path: &str) -> String {
        format!("{}/api/v1/apps/{APP}{path}", self.url())
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = self.send(Request::get(self.api(path))).await;
        assert_eq!(reply.status, 200, "{path}: {}", String::from_utf8_lossy(&reply.body));
        reply.json().expect("JSON")
    }

    /// `available`, `on_call`, …
    pub async fn is(&self, agent: &str) -> String {
        self.get(&format!("/agents/{agent}")).await["state"].as_str().expect("a state").to_owned()
    }

    #[track_caller]
    pub fn until(&self, agent: &'static str, state: &'static str) -> impl Future<Output = ()> {
        eventually(async move || self.is(agent).await == state)
    }

    /// All calls with their legs, oldest first.
    pub async fn log(&self) -> Vec<Value> {
        let list = self.get("/calls?limit=500").await;
        let mut calls = Vec::new();
        for call in list["items"].as_array().expect("calls").iter().rev() {
            calls.push(self.get(&format!("/calls/{}", call["id"].as_str().expect("an id"))).await);
        }
        calls
    }

    /// The legs of each call in words, the oldest call first: `in 101 answered`, `missed main`.
    pub async fn rows(&self) -> Vec<Vec<String>> {
        self.log().await.iter().map(|call| call["legs"].as_array().expect("legs").iter().map(words).collect()).collect()
    }

    /// The log comes to say this, for it is written while the telephones are put down.
    pub async fn comes_to_say(&self, expected: &[&[&str]]) {
        let mut last = Vec::new();
        for _ in 0..500 {
            last = self.rows().await;
            if last == expected {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(last, expected);
    }

    /// What an agent has been since he was declared, one state after another.
    pub async fn states(&self, agent: &str) -> Vec<String> {
        let mut states: Vec<String> = self.marks(agent).await.iter().map(|m| m.state.as_str().to_owned()).collect();
        states.dedup();
        states
    }

    async fn marks(&self, agent: &str) -> Vec<Mark> {
        let (agent, now) = (agent.to_owned(), self.house.clock.now().plus_s(3_600));
        self.house.read(move |conn| times::between(conn, APP, &agent, Timestamp(0), now)).await
    }

    pub fn channels(&self) -> BTreeMap<String, Channel> {
        cel::channels(&self.pbx)
    }

    // ---- at the end

    /// Nothing is up, at the PBX and by us; everybody is free; a replay agrees; and what the log says of times is what Asterisk says.
    pub async fn at_rest(&self) {
        self.is_quiet().await;
        eventually(async || self.log().await.iter().all(|call| !call["ended_at"].is_null())).await;
        self.agrees().await;
        self.agents_agree().await;
    }

    /// Nothing is up, everybody is free, and a replay agrees.
    pub async fn is_quiet(&self) {
        let nothing_up = || self.channels().values().all(|c| c.ended.is_some());
        eventually(async || nothing_up()).await;
        eventually(async || {
            let now = self.house.clock.now();
            let (legs, agents) = (self.house.read(|conn| live::all(conn, APP)).await, self.house.read(|conn| agents::all(conn, APP)).await);
            legs.is_empty() && agents.iter().all(|a| !a.engaged(now) && a.claim.is_none())
        })
        .await;
        let up = self.house.read(|conn| ami_links::get(conn, APP)).await.and_then(|row| row.up_since);
        assert!(up.is_some(), "AMI is connected");
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("declared"));
        let report = tokio::task::spawn_blocking(move || replay::run(&db, &app, Timestamp(0), false, |_, _| {})).await.unwrap().unwrap();
        assert_eq!((report.differences, report.unreadable), (vec![], 0), "a replay of {} calls", report.calls);
    }

    /// Nobody's telephone had two calls at once.
    pub fn never_two_at_once(&self) {
        let found = cel::overlaps(&self.channels(), |line| !line.starts_with("trunk"));
        assert_eq!(found, Vec::<String>::new());
    }

    /// Every leg that Asterisk has a channel for has its times.
    async fn agrees(&self) {
        let (channels, log, mut compared) = (self.channels(), self.log().await, 0);
        let legs: Vec<&Value> =
            log.iter().flat_map(|call| call["legs"].as_array().expect("legs")).filter(|leg| leg["kind"] == "leg").collect();
        // What went from one call into another is a leg of both, and neither has all of its time.
        let moved = |id: &Value| legs.iter().filter(|leg| leg["sub_call_id"] == *id).count() > 1;
        for leg in legs.iter().filter(|leg| !moved(&leg["sub_call_id"])) {
            let name = leg["sub_call_id"].as_str().unwrap_or_default();
            let id = name.strip_suffix("/source").unwrap_or(name);
            let Some(channel) = channels.get(id) else {
                panic!("Asterisk has no channel of this leg: {leg}, {channels:?}");
            };
            // Who calls by a click, or from his telephone, has a leg that begins when the other is dialled.
            let dialled =
                || channels.iter().find(|(_, c)| c.call == channel.call && c.name != channel.name).expect("somebody who is called");
            let (id, channel) = if leg["direction"] == "out" { dialled() } else { (&id.to_owned(), channel) };
            if moved(&json!(id)) {
                continue;
            }
            let ended = channel.ended.expect("ended");
            let near = |what: &str, theirs: i64| {
                let ours = leg[what].as_i64().unwrap_or_else(|| panic!("{what}: {leg}"));
                assert!((ours - theirs / 1_000).abs() <= NEAR_MS, "{what} is {ours} ms, by Asterisk {} ms: {leg}", theirs / 1_000);
            };
            near("duration_ms", ended - channel.begun);
            if leg["status"] == "answered" {
                near("talk_ms", channel.answered.map_or(0, |at| ended - at));
            }
            compared += 1;
        }
        assert!(compared > 0 || legs.is_empty(), "nothing could be compared: {log:?}");
        eprintln!("{compared} legs compared with Asterisk's record");
    }

    /// Every agent was on a call when a channel of his telephone was answered and up, and at no other time.
    async fn agents_agree(&self) {
        let channels = self.channels();
        for agent in &self.house.hookflash.roster.app(APP).expect("declared").spec.agent {
            let line = agent.extension.as_deref().unwrap_or_default();
            let own = channels.values().filter(|channel| channel.line() == line);
            let theirs = cel::united(own.filter_map(|channel| Some((channel.answered?, channel.ended?))).collect(), HEARD_MS * 1_000);
            let now = self.house.clock.now();
            let spans = agent_time::spans(&self.marks(&agent.id).await, Timestamp(0), now);
            let ours = spans.iter().filter(|span| span.state == State::OnCall).map(|span| (span.since.0, span.until.0)).collect();
            let ours = cel::united(ours, HEARD_MS * 1_000);
            let late = |ours: i64, theirs: i64, most: i64| (-HEARD_MS * 1_000..=most * 1_000).contains(&(ours - theirs));
            let same = |(o, t): (&(i64, i64), &(i64, i64))| late(o.0, t.0, HEARD_MS + ANSWER_WAITS_MS) && late(o.1, t.1, HEARD_MS);
            let is_same = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(same);
            assert!(is_same, "{} was on calls {ours:?}, by Asterisk {theirs:?}", agent.id);
            eprintln!("{}: {} times on a call, as Asterisk has them", agent.id, ours.len());
        }
    }
}

/// A leg in words.
fn words(leg: &Value) -> String {
    let text = |key: &str| leg[key].as_str().unwrap_or_default().to_owned();
    if leg["kind"] == "missed" {
        return format!("missed {}", text("place"));
    }
    let passed_on = if leg["transferred"] == true { " passed on" } else { "" };
    format!("{} {} {}{passed_on}", text("direction"), text("extension"), text("status"))
}

/// The last number of a telephone's address: three-digit extensions have their own, all others share one.
fn phone_of(extension: &str) -> u32 {
    if extension.len() == 3 { extension.parse().expect("digits") } else { 3 }
}
