//! A simulator of the Telphin PBX (protocol page, section 11), to be embedded in tests and in `hookflash demo`, or run by
//! `hookflash simulate telphin`.
//!
//! ```no_run
//! # async fn f() -> std::io::Result<()> {
//! use hookflash::simulator::telphin::{Config, Row, Simulator};
//! let pbx = Simulator::start(Config::default()).await?;
//! pbx.subscribe("101", "http://127.0.0.1:8080/cid/807/event/TLP55522");
//! pbx.play(Row::ManagerAnswers, "+79995550101", 1).await;
//! assert!(pbx.deliveries().iter().all(|d| d.is_accepted()));
//! pbx.stop().await;
//! # Ok(()) }
//! ```
//!
//! One server on a loopback port holds the OAuth endpoint, the REST API and the control API of [`control`]. Its state is behind one lock;
//! everything that takes time (calls, deliveries) is a task that ends with [`Simulator::stop`]. It is strict: a field, a parameter, a
//! slash or a header that the page does not allow is refused with an error of section 9.3.

mod agents;
mod callback;
mod calls;
pub mod cli;
mod conditions;
pub mod control;
mod deliver;
mod directory;
mod engine;
mod event;
mod extensions;
mod history;
mod interactive;
mod ivr;
mod leg;
mod live;
mod oauth;
mod records;
mod reply;
mod rest;
mod route;
mod scenario;
mod state;
mod subscriptions;
mod traffic;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use ipnet::IpNet;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use calls::{Behaviour, CallError, CallReport, Incoming, LiveCall, Outgoing, Rang};
pub use conditions::Conditions;
pub use deliver::{Delivery, Fate, Outcome, disturb, fate};
pub use directory::{Directory, Extension, ExtensionType, Ivr, Method, PlacedRule, Queue, Rule};
pub use event::{CallStatus, Event, EventType, Flow, Scheduled, Spelling};
pub use history::record;
pub use interactive::{Asked, Verb, parse as parse_reply};
pub use leg::{Call, Desk, Ids, Leg};
pub use oauth::{AppType, OauthApp};
pub use scenario::{Cast, Row, scenario};
pub use state::{Served, Subscription};
pub use traffic::{Traffic, TrafficHandle};

use crate::domain::time::Clock;
use crate::net::Http;
use state::State;

/// What a simulator starts with.
pub struct Config {
    /// Port 0: any free one.
    pub bind: SocketAddr,
    pub directory: Directory,
    pub apps: Vec<OauthApp>,
    pub conditions: Conditions,
    /// Networks that subscribers and IVR rules may be in although they are private; loopback unless told.
    pub allow_private: Vec<IpNet>,
    /// Ids of calls, legs, tokens come from it; `None`: different ones at each start.
    pub seed: Option<u64>,
    /// Decides about the times in events, the life of tokens and links, the clock hour.
    pub clock: Clock,
}

impl Default for Config {
    /// The sample directory, one trusted application `app` with the secret `secret`, any loopback port.
    fn default() -> Self {
        Config {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            directory: Directory::sample(),
            apps: vec![OauthApp::trusted("app", "secret")],
            conditions: Conditions::default(),
            allow_private: ["127.0.0.0/8", "::1/128"].into_iter().filter_map(|net| net.parse().ok()).collect(),
            seed: None,
            clock: Clock::system(),
        }
    }
}

/// A running PBX. Dropping it ends its calls and its server, too, without waiting.
pub struct Simulator {
    pbx: Arc<Pbx>,
    address: SocketAddr,
    server: ServerHandle,
}

impl Simulator {
    /// Binds, and serves in the current tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(config: Config) -> std::io::Result<Simulator> {
        let pbx = Arc::new(Pbx {
            apps: config.apps,
            clock: config.clock,
            http: Http::new(config.allow_private, Duration::from_secs(30)),
            runtime: tokio::runtime::Handle::current(),
            stopped: CancellationToken::new(),
            state: Mutex::new(State::new(config.conditions, config.directory, config.seed.unwrap_or_else(rand::random))),
        });
        let data = web::Data::new(pbx.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(rest::serve)))
            .workers(1)
            .disable_signals()
            .bind(config.bind)?;
        let address = server.addrs().first().copied().unwrap_or(config.bind);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Simulator { pbx, address, server: handle })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end; the API is under `/api/ver1.0`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A queue agent logs in or out at his phone (short number); his subscribers have been told when this returns. False: he is none, or it
    /// is no change, of which the PBX tells nobody.
    pub async fn agent_login(&self, phone: &str, available: bool) -> bool {
        agents::set(&self.pbx, phone, available, "phone").await
    }

    /// Subscribes a URL to the logins and logouts of all queue agents, by POST.
    pub fn subscribe_agents(&self, url: &str) {
        self.pbx.state().subscribe_agents(url);
    }

    /// Nobody is told of queue agents any more.
    pub fn unsubscribe_agents(&self) {
        self.pbx.state().agent_subscriptions.clear();
    }

    /// Short numbers of the queue agents whom queues ring.
    pub fn available_agents(&self) -> Vec<String> {
        self.pbx.state().available_agents()
    }

    /// Ends all calls where they are, and the server.
    pub async fn stop(self) {
        self.pbx.stopped.cancel();
        self.server.stop(false).await;
    }

    /// Changes the conditions from now on; `change` must not call the simulator, whose lock it holds.
    pub fn change(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.pbx.state().conditions);
    }

    /// Reads or changes the customer's extensions, numbers, rules and queues; `f` must not call the simulator, whose lock it holds.
    pub fn directory<T>(&self, f: impl FnOnce(&mut Directory) -> T) -> T {
        f(&mut self.pbx.state().directory)
    }

    /// Every token dies now, before its time.
    pub fn kill_tokens(&self) {
        self.pbx.state().tokens.clear();
    }

    /// Subscribes a URL to what section 2, item 17 names: the four call events of a phone, the hangup of an IVR or queue; by POST.
    /// Does nothing for an unknown extension.
    pub fn subscribe(&self, extension: &str, url: &str) {
        let mut state = self.pbx.state();
        let Some(extension) = state.directory.by_number(extension).cloned() else { return };
        let types: &[EventType] = match extension.kind {
            ExtensionType::Phone => &[EventType::DialIn, EventType::DialOut, EventType::Answer, EventType::Hangup],
            ExtensionType::Ivr | ExtensionType::Queue => &[EventType::Hangup],
            ExtensionType::Fax => &[],
        };
        for kind in types {
            state.subscribe(extension.id, url.into(), Method::Post, kind.as_str().into());
        }
    }

    /// Subscribes as [`Simulator::subscribe`] does, for every extension.
    pub fn subscribe_all(&self, url: &str) {
        let numbers: Vec<String> = self.pbx.state().directory.extensions.iter().map(|e| e.number.clone()).collect();
        numbers.iter().for_each(|number| self.subscribe(number, url));
    }

    /// One subscription, as somebody else would have made it; returns its id, 0 for an unknown extension.
    pub fn subscribe_to(&self, extension: &str, url: &str, event_type: &str, method: Method) -> u64 {
        let mut state = self.pbx.state();
        let id = state.directory.by_number(extension).map(|e| e.id);
        id.map_or(0, |id| state.subscribe(id, url.into(), method, event_type.into()))
    }

    /// All subscriptions with the extension's number, in the order in which they were made.
    pub fn subscriptions(&self) -> Vec<(String, Subscription)> {
        let state = self.pbx.state();
        let named = |s: &Subscription| state.directory.by_id(s.extension_id).map(|e| e.number.clone()).unwrap_or_default();
        state.subscriptions.values().map(|s| (named(s), s.clone())).collect()
    }

    /// How often somebody removed all subscriptions of an extension, foreign ones too.
    pub fn delete_all_calls(&self) -> u64 {
        self.pbx.state().delete_all_calls
    }

    /// Plays a row of section 5.4 to the subscribers, and returns its events when the last one has been answered. The call starts now.
    /// Nothing happens when the directory lacks a part of the [`Cast`].
    pub async fn play(&self, row: Row, client: &str, seed: u64) -> Vec<Scheduled> {
        let cast = Cast::of(&self.pbx.state().directory, client);
        let list = cast.map(|cast| scenario(row, &cast, self.pbx.clock.now(), seed)).unwrap_or_default();
        self.deliver(list.clone()).await;
        list
    }

    /// What a phone (short number) or an outside party does when it is rung, unless the call itself says otherwise.
    pub fn behave(&self, number: &str, behaviour: Behaviour) {
        self.pbx.state().behaviours.insert(number.into(), behaviour);
    }

    /// Starts an incoming call: it asks the integration, rings phones and plays the events as the IVR's rules say.
    ///
    /// # Errors
    /// An unknown public number.
    pub fn incoming_call(&self, call: Incoming) -> Result<LiveCall, CallError> {
        calls::incoming(&self.pbx, call)
    }

    /// A phone dials. It is taken before this returns.
    ///
    /// # Errors
    /// An unknown number, or the phone is ringing or talking.
    pub fn outgoing_call(&self, call: Outgoing) -> Result<LiveCall, CallError> {
        calls::outgoing(&self.pbx, call)
    }

    /// Starts natural traffic.
    pub fn traffic(&self, traffic: Traffic) -> TrafficHandle {
        traffic::start(&self.pbx, traffic)
    }

    /// What became of the calls that have ended, oldest first.
    pub fn reports(&self) -> Vec<CallReport> {
        self.pbx.state().reports.iter().cloned().collect()
    }

    /// Short numbers of the phones that ring or talk now.
    pub fn occupied(&self) -> Vec<String> {
        self.pbx.state().legs.values().map(|l| l.leg.phone.number.clone()).collect()
    }

    /// How often the PBX was told to ring a phone that was ringing or talking.
    pub fn rung_while_busy(&self) -> u64 {
        self.pbx.state().rung_while_busy
    }

    /// Delivers a list of events as [`Simulator::play`] does.
    pub async fn deliver(&self, list: Vec<Scheduled>) {
        deliver::play(&self.pbx, list).await;
    }

    /// The records of the call history whose calls are over, oldest first, as the API gives them.
    pub fn history(&self) -> Vec<serde_json::Value> {
        let state = self.pbx.state();
        state.history.iter().filter(|c| c.is_over()).map(|c| c.object(state.directory.client_id)).collect()
    }

    /// What was sent to subscribers, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.pbx.state().deliveries.iter().cloned().collect()
    }

    /// What was asked of the PBX, oldest first.
    pub fn requests(&self) -> Vec<Served> {
        self.pbx.state().served.iter().cloned().collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.pbx.stopped.cancel();
        // The command is sent by the call; nobody waits for its end here.
        drop(self.server.stop(false));
    }
}

/// What the server and all tasks share.
struct Pbx {
    apps: Vec<OauthApp>,
    clock: Clock,
    http: Http,
    runtime: tokio::runtime::Handle,
    stopped: CancellationToken,
    state: Mutex<State>,
}

impl Pbx {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conditions(&self) -> Conditions {
        self.state().conditions.clone()
    }

    /// Runs until done or until the simulator stops. Requests are served by threads of their own, so a call that one starts has to move here.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let stopped = self.stopped.clone();
        self.runtime.spawn(async move {
            stopped.run_until_cancelled(work).await;
        })
    }

    /// `@me`, or the client's id.
    fn is_client(&self, client: &str) -> bool {
        client == "@me" || client == self.state().directory.client_id.to_string()
    }

    fn take_failure(&self) -> Option<u16> {
        let c = &mut self.state().conditions;
        c.fail_next = c.fail_next.checked_sub(1)?;
        Some(c.fail_status)
    }

    fn take_half_reply(&self) -> bool {
        let c = &mut self.state().conditions;
        let half = c.half_replies > 0;
        c.half_replies = c.half_replies.saturating_sub(1);
        half
    }
}

#[cfg(test)]
mod tests;
