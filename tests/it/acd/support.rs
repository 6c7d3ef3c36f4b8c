//! A PBX that asks again and again: application 808 with four agents, two queues that share two of them, an IVR, and a chain.

use hookflash::domain::agent::AgentState;
use hookflash::domain::id;
use hookflash::store::agents;
use hookflash::store::offers::{self, Offer};
use hookflash::store::routed::{self, QueueEntry};
use hookflash::timers;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::hooks::FORM;
use crate::support::{Backend, House};

pub const APP: i64 = 808;
/// The number that leads to queue `main`.
pub const MAIN: &str = "%2B74955550100";
/// The number that leads to queue `other`.
pub const OTHER: &str = "%2B74955550200";

const DECLARATION: &str = r#"
    id = 808
    name = "Flower shop by post"
    pbx = "asterisk"
    login = "pbx1"
    country = "RU"
    timezone = "Europe/Moscow"
    agent = [
        { id = "ann", name = "Ann Lee", extension = "101" },
        { id = "bob", name = "Bob Ray", extension = "102" },
        { id = "eve", name = "Eve Fox", extension = "103" },
        { id = "dan", name = "Dan Orr", extension = "104", manual_status = "OFFLINE" },
    ]
    group = [
        { id = "sales", name = "Sales", agents = ["ann", "bob"] },
        { id = "help", name = "Help", agents = ["bob", "eve"] },
        { id = "night", name = "Night", agents = ["dan"] },
    ]
    queue = [
        { id = "main", name = "Main", primary_groups = ["sales"], maximum_queue_wait_time = 0, maximum_queue_size = 100 },
        { id = "other", name = "Other", primary_groups = ["help"], maximum_queue_wait_time = 0, maximum_queue_size = 100 },
    ]
    number = [
        { number = "+74955550100", queue = "main" },
        { number = "+74955550200", queue = "other" },
    ]
    contact = [ { name = "Client One", phones = ["+79995550101"], owner = "ann", deputy = "bob" } ]
    [routing]
    cool_down_s = { no_answer = 30, busy = 10, rejected = 30, unreachable = 60 }
"#;

/// The house with the PBX at its hooks.
pub struct Desk<'h> {
    pub house: &'h House,
    pub client: Client,
}

/// One call as its PBX has it: what it says back of the answer before.
pub struct Caller<'d, 'h> {
    desk: &'d Desk<'h>,
    pub name: String,
    pub number: String,
    pub to: &'static str,
    pub offer: String,
}

/// Runs a test on both databases. `edit` changes the declaration.
pub async fn with_desk(edit: impl Fn(&mut toml::Table), test: impl AsyncFn(&Desk<'_>)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}:");
        let house = House::shop(backend).await;
        let mut app: toml::Table = toml::from_str(DECLARATION).expect("TOML");
        edit(&mut app);
        house.declare(&toml::to_string(&app).expect("TOML")).await;
        test(&Desk { client: house.client().await, house: &house }).await;
    }
}

/// Adds or replaces keys of a queue.
pub fn queue(app: &mut toml::Table, id: &str, keys: &str) {
    let news: toml::Table = toml::from_str(keys).expect("TOML");
    let queues = app["queue"].as_array_mut().expect("queues");
    let queue = queues.iter_mut().find(|q| q["id"].as_str() == Some(id)).expect("the queue");
    queue.as_table_mut().expect("a table").extend(news);
}

/// Adds keys at the top.
pub fn also(app: &mut toml::Table, keys: &str) {
    app.extend(toml::from_str::<toml::Table>(keys).expect("TOML"));
}

/// Ann is rung on her own phone number; the phone at her desk stays hers.
pub fn mobile(app: &mut toml::Table) {
    let ann = app["agent"].as_array_mut().expect("agents")[0].as_table_mut().expect("Ann");
    ann.extend(toml::from_str::<toml::Table>("phone_number = \"+79995550177\"\nrouting_type = 2").expect("TOML"));
    also(app, "[asterisk]\noutside_device = \"PJSIP/{number}@trunk\"");
}

/// The number of `other` goes through these steps first.
pub fn chained(app: &mut toml::Table, steps: &str) {
    also(
        app,
        &format!(
            r#"number = [ {{ number = "+74955550100", queue = "main" }}, {{ number = "+74955550200", responsible = true, queue = "other" }} ]
            [routing]
            responsible = {steps}"#
        ),
    );
}

pub async fn away(desk: &Desk<'_>, agents: &[&str]) {
    for agent in agents {
        desk.set_status(agent, "NOT_AVAILABLE").await;
    }
}

impl<'h> Desk<'h> {
    pub fn caller<'d>(&'d self, name: &str, number: &str, to: &'static str) -> Caller<'d, 'h> {
        Caller { desk: self, name: name.into(), number: number.into(), to, offer: String::new() }
    }

    /// A question; the answer, and the id of its decision.
    pub async fn route(&self, query: &str) -> (Value, String) {
        let reply = self.client.hook_get("/cid/808/route/pbx1", query).await;
        assert_eq!(reply.status, 200, "{query}");
        let decision = reply.header("x-hookflash-decision").expect("a decision").to_owned();
        (reply.body, decision)
    }

    pub async fn event(&self, form: &str) {
        let reply = self.client.hook_post("/cid/808/event/pbx1", FORM, form.to_owned()).await;
        assert_eq!(reply.status, 200, "{form}: {}", reply.body);
    }

    pub async fn state(&self, agent: &str) -> AgentState {
        let agent = agent.to_owned();
        self.house.read(move |conn| agents::get(conn, APP, &agent)).await.expect("an agent")
    }

    /// `available`, `reserved`, …
    pub async fn is(&self, agent: &str) -> &'static str {
        self.state(agent).await.at(self.house.clock.now()).0.as_str()
    }

    pub async fn entries(&self, call: &str) -> Vec<QueueEntry> {
        let call = id::call_id(APP, call);
        self.house.read(move |conn| routed::entries_of(conn, APP, &call)).await
    }

    /// What became of the call's times in queues.
    pub async fn outcomes(&self, call: &str) -> Vec<String> {
        self.entries(call).await.into_iter().map(|e| e.outcome.unwrap_or_else(|| "open".into())).collect()
    }

    pub async fn offers(&self, call: &str) -> Vec<Offer> {
        let call = id::call_id(APP, call);
        self.house.read(move |conn| offers::of_calls(conn, APP, &[call])).await
    }

    pub async fn explained(&self, decision: &str) -> String {
        let decision = decision.to_owned();
        self.house.hookflash.db.flush().await;
        let found = self.house.read(move |conn| hookflash::store::decisions::get(conn, APP, &decision)).await;
        found.expect("recorded").reason
    }

    pub async fn pass_s(&self, seconds: i64) {
        self.house.pass_s(seconds);
        timers::sweep(&self.house.hookflash).await;
    }

    pub async fn set_status(&self, agent: &str, status: &str) {
        let body = serde_json::json!({"manual_status": status});
        self.client.put(&format!("/api/v1/apps/808/agents/{agent}/status"), body).await.ok();
    }
}

impl Caller<'_, '_> {
    fn query(&self, more: &str) -> String {
        format!("call={}&from=%2B{}&to={}&offer={}{more}", self.name, &self.number[1..], self.to, self.offer.replace('+', "%2B"))
    }

    /// Asks with what it was told last, and remembers what it is told now.
    pub async fn ask_with(&mut self, more: &str) -> Value {
        let (answer, _) = self.desk.route(&self.query(more)).await;
        if let Some(offer) = answer["offer"].as_str() {
            self.offer = offer.to_owned();
        }
        answer
    }

    pub async fn ask(&mut self) -> Value {
        self.ask_with("").await
    }

    /// Tells how the dialling ended and asks what now.
    pub async fn then(&mut self, status: &str) -> Value {
        self.ask_with(&format!("&status={status}")).await
    }

    /// The agent who is dialled now; panics when the answer is another.
    #[track_caller]
    pub fn dialled(answer: &Value) -> String {
        assert_eq!(answer["action"], "dial", "{answer}");
        answer["agent"].as_str().expect("an agent").to_owned()
    }

    pub async fn answered_by(&self, extension: &str) {
        self.desk
            .event(&format!(
                "event=answer&call={}&offer={}&peer=PJSIP/{extension}-0000000a&from=%2B{}",
                self.name,
                self.offer,
                &self.number[1..]
            ))
            .await;
    }

    /// The hangup handler at the end of the call.
    pub async fn hangs_up(&self, status: &str, talk_s: i64) {
        self.desk
            .event(&format!(
                "call={}&from=%2B{}&to={}&place=main&offer={}&dialstatus={status}&answeredtime={talk_s}&dialedtime={}&hangupcause=16",
                self.name,
                &self.number[1..],
                self.to,
                self.offer,
                talk_s + 5
            ))
            .await;
    }
}
