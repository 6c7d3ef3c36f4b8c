//! The real program in one process or more on one database, killed at random points and started anew, and clients who repeat what was not
//! answered, as a proxy before the servers would. Whom they saw bound is kept, to be judged when all is over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use hookflash::domain::spec::{Agent, Application, CoolDowns};
use hookflash::net::{Http, Request, Response};

use super::hooks::insist;
use super::process::Program;
use super::{House, eventually};

/// Claims outlive every wait of a test; of the log only what says where it serves.
const SETTINGS: [(&str, &str); 2] = [("HOOKFLASH__ROUTING__CLAIM_S", "100"), ("HOOKFLASH__LOG__LEVEL", "warn,hookflash::server=info")];

/// An agent was surely bound to a call from the answer that named him until the news of the end was on its way. (What the store wrote down
/// as times cannot tell: a transaction takes its time before it waits for an agent's row.)
#[derive(Debug)]
pub struct Bound {
    pub agent: String,
    pub call: String,
    pub from: Instant,
    pub until: Instant,
}

/// The servers as their clients see them.
pub struct Nodes {
    urls: Vec<RwLock<String>>,
    /// Answers of any kind so far.
    answers: AtomicUsize,
    over: AtomicBool,
    bound: Mutex<Vec<Bound>>,
}

impl Nodes {
    /// Sends to that node, and to the next one when it does not answer, until somebody does.
    pub async fn send(&self, http: &Http, node: usize, request: &Request) -> Response {
        let mut nodes = node..;
        let url = || self.urls[nodes.next().expect("a node") % self.urls.len()].read().unwrap().clone();
        let response = insist(http, url, request).await;
        self.answers.fetch_add(1, SeqCst);
        response
    }

    /// Waits for so many answers more.
    pub async fn answered(&self, more: usize) {
        let goal = self.answers.load(SeqCst) + more;
        eventually(async || self.answers.load(SeqCst) >= goal).await;
    }

    pub fn bind(&self, bound: Bound) {
        self.bound.lock().unwrap().push(bound);
    }

    /// No new call shall begin.
    pub fn stop(&self) {
        self.over.store(true, SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// Everybody who was bound, and to which calls; panics when somebody was to two at once.
    #[track_caller]
    pub fn nobody_is_bound_twice(&self) -> BTreeMap<String, Vec<String>> {
        let bound = self.bound.lock().unwrap();
        let mut by_agent: BTreeMap<&str, Vec<&Bound>> = BTreeMap::new();
        bound.iter().for_each(|b| by_agent.entry(&b.agent).or_default().push(b));
        for (agent, calls) in &mut by_agent {
            calls.sort_by_key(|b| b.from);
            for pair in calls.windows(2) {
                assert!(pair[0].until <= pair[1].from, "{agent} was bound to {} and to {} at once", pair[0].call, pair[1].call);
            }
        }
        by_agent.into_iter().map(|(agent, calls)| (agent.to_owned(), calls.iter().map(|b| b.call.clone()).collect())).collect()
    }
}

/// So many agents, on 101 and so on, all of one group, and nobody responsible in particular; whoever has let it ring is not left alone.
pub fn staff(app: &mut Application, agents: usize) {
    let first = app.agent[0].clone();
    app.agent = (101..).take(agents).map(|n| Agent { id: format!("a{n}"), extension: Some(n.to_string()), ..first.clone() }).collect();
    app.group[0].agents = app.agent.iter().map(|a| a.id.clone()).collect();
    app.contact.clear();
    app.routing.cool_down_s = CoolDowns { no_answer: 0, busy: 0, rejected: 0, unreachable: 0 };
}

/// The processes.
pub struct Programs<'h> {
    house: &'h House,
    running: Vec<Option<Program>>,
    pub nodes: Arc<Nodes>,
}

impl<'h> Programs<'h> {
    pub fn serve(house: &'h House, count: usize) -> Programs<'h> {
        let running: Vec<_> = (0..count).map(|_| Some(Program::serve(house, &SETTINGS))).collect();
        let urls = running.iter().flatten().map(|program| RwLock::new(program.url.clone())).collect();
        let nodes = Nodes { urls, answers: AtomicUsize::new(0), over: AtomicBool::new(false), bound: Mutex::default() };
        Programs { house, running, nodes: Arc::new(nodes) }
    }

    /// `kill -9`, and a new process in the place of the old one.
    pub fn kill(&mut self, node: usize) {
        self.running[node].take().expect("it runs").kill();
        let program = Program::serve(self.house, &SETTINGS);
        *self.nodes.urls[node].write().unwrap() = program.url.clone();
        self.running[node] = Some(program);
    }

    /// They finish what they have in hand.
    pub fn end(self) {
        for program in self.running.into_iter().flatten() {
            program.terminate();
            program.ended();
        }
    }
}
