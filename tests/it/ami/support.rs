//! Application 808 with a simulated AMI.

use std::time::Duration;

use hookflash::domain::id;
use hookflash::domain::time::Timestamp;
use hookflash::ingest::replay;
use hookflash::link::{Limits, Link, Running, start};
use hookflash::simulator::asterisk::Ami;
use hookflash::store::ami_links::{self, AmiLink};
use hookflash::store::calls::{CallRow, LegRow};
use hookflash::store::{agents, calls, journal};

use crate::support::client::Client;
use crate::support::hooks::{FORM, http};
use crate::support::{Backend, House, eventually};

pub const APP: i64 = 808;
pub const USER: &str = "hookflash";
pub const SECRET: &str = "the-ami-secret";

/// Quick, so that no test waits for long; nothing is asserted about it.
pub fn limits() -> Limits {
    Limits {
        answer: Duration::from_secs(20),
        ping: Duration::from_millis(200),
        silence: Duration::from_secs(20),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(50),
        compare: Duration::from_secs(3_600),
    }
}

pub struct Wired<'h> {
    pub house: &'h House,
    pub client: Client,
    pub ami: Ami,
}

/// Runs a test on both databases. `more`: keys of `[asterisk]`.
pub async fn wired(test: impl AsyncFn(&Wired<'_>)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}:");
        let house = House::shop(backend).await;
        let ami = Ami::start(USER, SECRET).await.expect("a port");
        house.declare(&declaration(&ami)).await;
        test(&Wired { client: house.client().await, house: &house, ami }).await;
    }
}

fn declaration(ami: &Ami) -> String {
    format!(
        r#"
        id = 808
        name = "Flower shop by wire"
        pbx = "asterisk"
        login = "pbx1"
        country = "RU"
        agent = [
            {{ id = "ann", name = "Ann Lee", extension = "101" }},
            {{ id = "bob", name = "Bob Ray", extension = "102" }},
            {{ id = "eve", name = "Eve Fox", extension = "103" }},
        ]
        group = [ {{ id = "sales", name = "Sales", agents = ["ann", "bob", "eve"] }} ]
        queue = [
            {{ id = "main", name = "Main", primary_groups = ["sales"], maximum_queue_wait_time = 0, wrap_up_time_limit = 0 }},
            {{ id = "all", name = "All", strategy = "ring_all", primary_groups = ["sales"], wrap_up_time_limit = 0 }},
        ]
        number = [
            {{ number = "+74955550100", queue = "main" }},
            {{ number = "+74955550200", queue = "all" }},
        ]
        [asterisk]
        ami_address = "{}"
        ami_user = "{USER}"
        ami_secret = "{SECRET}"
        "#,
        ami.address()
    )
}

impl Wired<'_> {
    pub fn link_with(&self, limits: Limits) -> Link {
        let h = &self.house.hookflash;
        Link::new(http(), h.db.clone(), h.vault.clone(), h.clock.clone(), limits)
    }

    /// A server's connections, without the server.
    pub fn start(&self) -> Running {
        start(self.link_with(limits()), self.house.hookflash.roster.clone())
    }

    /// A connection has caught up, and no other is there.
    pub async fn up(&self) {
        eventually(async || self.ami.listening() == 1 && self.row().await.is_some_and(|row| row.up_since.is_some())).await;
    }

    pub async fn row(&self) -> Option<AmiLink> {
        self.house.read(|conn| ami_links::get(conn, APP)).await
    }

    /// `available`, `on_call`, …
    pub async fn is(&self, agent: &str) -> &'static str {
        let agent = agent.to_owned();
        let state = self.house.read(move |conn| agents::get(conn, APP, &agent)).await.expect("an agent");
        state.at(self.house.clock.now()).0.as_str()
    }

    #[track_caller]
    pub fn until(&self, agent: &'static str, state: &'static str) -> impl Future<Output = ()> {
        eventually(async move || self.is(agent).await == state)
    }

    pub async fn legs(&self, call: &str) -> Vec<LegRow> {
        let call = id::call_id(APP, call);
        self.house.read(move |conn| calls::legs_of(conn, APP, std::slice::from_ref(&call))).await
    }

    pub async fn call(&self, call: &str) -> Option<CallRow> {
        let call = id::call_id(APP, call);
        self.house.read(move |conn| calls::get(conn, APP, &call)).await
    }

    pub async fn is_over(&self, call: &str) -> bool {
        self.call(call).await.is_some_and(|row| row.ended_at.is_some())
    }

    pub async fn journalled(&self) -> i64 {
        self.house.read(|conn| journal::count(conn, APP)).await
    }

    pub async fn hook(&self, form: &str) {
        let reply = self.client.hook_post("/cid/808/event/pbx1", FORM, form.to_owned()).await;
        assert_eq!(reply.status, 200, "{form}: {}", reply.body);
    }

    pub async fn route(&self, query: &str) -> serde_json::Value {
        self.client.hook_get("/cid/808/route/pbx1", query).await.body
    }

    /// A replay of the journal agrees with every stored call, and nobody is kept by anything.
    pub async fn all_is_well(&self) {
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("declared"));
        let report = tokio::task::spawn_blocking(move || replay::run(&db, &app, Timestamp(0), false, |_, _| {})).await.unwrap().unwrap();
        assert_eq!((report.differences, report.unreadable), (vec![], 0), "a replay of {} calls", report.calls);
        for agent in ["ann", "bob", "eve"] {
            assert_eq!(self.is(agent).await, "available", "{agent}");
        }
    }
}

/// A recorded stream, its ids and times moved to another time: `n` below 100 makes them a call of their own.
pub fn stream(name: &str, n: usize) -> String {
    let path = format!("{}/tests/fixtures/asterisk/{name}.ami", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).expect(&path);
    String::from_utf8(bytes).expect("UTF-8").replace("17955", &format!("18{n:02}0"))
}

/// The channels of a stream by their names' beginning, as `(unique id, call)`.
pub fn channel(stream: &str, name: &str) -> (String, String) {
    let block =
        stream.split("\r\n\r\n").find(|b| b.starts_with("Event: Newchannel") && b.contains(&format!("Channel: {name}"))).expect(name);
    let value = |key: &str| block.lines().find_map(|l| l.strip_prefix(key)).expect(key).trim().to_owned();
    (value("Uniqueid: "), value("Linkedid: "))
}
