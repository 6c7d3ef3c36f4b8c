//! Histories: what a PBX, agents and a machine do, in any order, step by step against the real store; after each step what must hold is
//! looked at in what the store says, and each answer is compared with that of the [reference](super::reference).

mod checks;
mod deeds;
mod questions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookflash::acd::{self, Position, settle};
use hookflash::app::Hookflash;
use hookflash::declare::edit;
use hookflash::domain::agent::{AgentState, OfferState, State};
use hookflash::domain::spec::Strategy as Way;
use hookflash::domain::time::Timestamp;
use hookflash::domain::{agent_time, id};
use hookflash::ingest::queue::FORM;
use hookflash::ingest::{self, replay};
use hookflash::pbx::action::{Action, Report};
use hookflash::pbx::{HookKind, Raw, RoutingRequest};
use hookflash::routing::record;
use hookflash::store::offers::{self, Offer};
use hookflash::store::routed::{self, RoutedCall};
use hookflash::store::{Durability, StoreError, agents, times};
use hookflash::timers;
use proptest::prelude::*;
use serde_json::json;

use super::centre::{APP, CLOSING, agent, declaration, number};
use super::reference::{Expected, Room, Waiting};
use crate::support::client::Client;
use crate::support::{Backend, House, START};

/// A step. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub enum Step {
    Arrive(usize),
    /// Time passes, and every PBX whose call is due asks.
    Pass {
        ms: i64,
        turn: usize,
    },
    Answer(usize, usize),
    Refuse(usize, usize),
    HangUp(usize),
    /// The agent's status, now.
    Status(usize, usize),
    /// The last event comes again, and the last question.
    Twice,
    /// An answer of which we hear later, maybe after the hangup.
    AnswerUnheard(usize, usize),
    Hear,
    /// An outcome for an offer that is not the last.
    Stale(usize),
    /// A call beside ours at an agent's phone begins, or ends.
    Own(usize),
    Remove(usize),
    Restart,
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let any = any::<u16>().prop_map(usize::from);
    let two = (any.clone(), any.clone());
    prop_oneof![
        20 => any.clone().prop_map(Step::Arrive),
        24 => (100i64..1_600, any.clone()).prop_map(|(ms, turn)| Step::Pass { ms, turn }),
        14 => two.clone().prop_map(|(a, b)| Step::Answer(a, b)),
        6 => two.clone().prop_map(|(a, b)| Step::Refuse(a, b)),
        13 => any.clone().prop_map(Step::HangUp),
        8 => two.clone().prop_map(|(a, b)| Step::Status(a, b)),
        4 => Just(Step::Twice),
        2 => two.prop_map(|(a, b)| Step::AnswerUnheard(a, b)),
        2 => Just(Step::Hear),
        3 => any.clone().prop_map(Step::Stale),
        3 => any.clone().prop_map(Step::Own),
        1 => any.prop_map(Step::Remove),
        1 => Just(Step::Restart),
    ]
}

/// What did not hold, by the number of the invariant; 0: the answer is not the reference's.
pub type Faults = BTreeMap<u8, Vec<String>>;

/// What a history came to.
#[derive(Default, Debug)]
pub struct Outcome {
    pub faults: Faults,
    /// How often each invariant had something to hold in.
    pub met: BTreeMap<u8, u64>,
    pub asked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Ringing,
    Talking,
    Over,
}

struct Call {
    name: String,
    queue: usize,
    stage: Stage,
    offer: String,
    stale: String,
    rung: Vec<String>,
    asked_at: Timestamp,
    rings_for_s: i64,
    by: String,
    answered_at: Timestamp,
    told: Option<Action>,
}

struct Seen {
    states: HashMap<String, AgentState>,
    pending: Vec<Offer>,
}

pub struct History {
    house: House,
    client: Client,
    calls: Vec<Call>,
    own: BTreeMap<String, u64>,
    unheard: Vec<String>,
    last_event: Option<String>,
    agents: Vec<String>,
    seen: Seen,
    joins: u64,
    owns: u64,
    outcome: Outcome,
}

fn is_free(state: &AgentState, now: Timestamp) -> bool {
    state.at(now).0 == State::Available && state.cool_until <= now && state.next_status.is_none()
}

impl History {
    pub async fn begin(backend: Backend, people: usize) -> History {
        let house = House::shop(backend).await;
        house.declare_application(declaration(people)).await;
        let client = house.client().await;
        let mut history = History {
            client,
            house,
            calls: Vec::new(),
            own: BTreeMap::new(),
            unheard: Vec::new(),
            last_event: None,
            agents: (0..people).map(agent).collect(),
            seen: Seen { states: HashMap::new(), pending: Vec::new() },
            joins: 0,
            owns: 0,
            outcome: Outcome::default(),
        };
        history.seen = history.look().await;
        history
    }

    pub async fn live(mut self, steps: &[Step]) -> Outcome {
        for step in steps {
            self.step(step).await;
        }
        self.close().await;
        self.outcome
    }

    fn now(&self) -> Timestamp {
        self.house.clock.now()
    }

    fn fault(&mut self, invariant: u8, what: String) {
        let at = (self.now().0 - START.0) as f64 / 1e6;
        let told = self.outcome.faults.entry(invariant).or_default();
        if told.len() < 5 {
            told.push(format!("at {at:.3} s: {what}"));
        }
    }

    fn met(&mut self, invariant: u8, times: usize) {
        *self.outcome.met.entry(invariant).or_default() += times as u64;
    }

    fn pick(&self, n: usize, stage: Stage) -> Option<usize> {
        let those: Vec<usize> = (0..self.calls.len()).filter(|c| self.calls[*c].stage == stage).collect();
        (!those.is_empty()).then(|| those[n % those.len()])
    }

    async fn look(&self) -> Seen {
        let read = |conn: &mut hookflash::store::Conn| Ok((agents::all(conn, APP)?, offers::expired(conn, Timestamp(i64::MAX), 10_000)?));
        let (states, pending) = self.house.read(read).await;
        Seen { states: states.into_iter().map(|s| (s.agent.clone(), s)).collect(), pending }
    }

    async fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Arrive(n) => {
                let queue = n % super::centre::queues();
                let name = format!("c{}", self.calls.len());
                let now = self.now();
                self.calls.push(Call {
                    name,
                    queue,
                    stage: Stage::Waiting,
                    offer: String::new(),
                    stale: String::new(),
                    rung: Vec::new(),
                    asked_at: now,
                    rings_for_s: 0,
                    by: String::new(),
                    answered_at: now,
                    told: None,
                });
                self.ask(self.calls.len() - 1, None).await;
            }
            Step::Pass { ms, turn } => self.pass(ms, turn).await,
            Step::Answer(n, who) => {
                if let Some(call) = self.pick(n, Stage::Ringing) {
                    self.answer(call, who, true).await;
                }
            }
            Step::AnswerUnheard(n, who) => {
                if let Some(call) = self.pick(n, Stage::Ringing) {
                    self.answer(call, who, false).await;
                }
            }
            Step::Hear => {
                if !self.unheard.is_empty() {
                    let form = self.unheard.remove(0);
                    self.met(12, 1);
                    self.tell(form).await;
                }
            }
            Step::Refuse(n, how) => {
                if let Some(call) = self.pick(n, Stage::Ringing) {
                    let how = [OfferState::NoAnswer, OfferState::Busy, OfferState::Rejected, OfferState::Unreachable][how % 4];
                    self.ask(call, Some(how)).await;
                }
            }
            Step::HangUp(n) => {
                let live: Vec<usize> = (0..self.calls.len()).filter(|c| self.calls[*c].stage != Stage::Over).collect();
                if !live.is_empty() {
                    self.hang_up(live[n % live.len()]).await;
                }
            }
            Step::Status(n, status) => self.status(n, status).await,
            Step::Twice => self.twice().await,
            Step::Stale(n) => self.stale(n).await,
            Step::Own(n) => self.own_call(n).await,
            Step::Remove(n) => self.remove(n).await,
            Step::Restart => {
                self.house.hookflash.db.flush().await;
                let settings = self.house.hookflash.settings.clone();
                self.house.hookflash = Hookflash::open(settings, self.house.clock.clone()).await.expect("opened anew");
                self.client = self.house.client().await;
                let seen = self.look().await;
                let before = std::mem::replace(&mut self.seen, seen);
                if before.states != self.seen.states || before.pending != self.seen.pending {
                    self.fault(3, "a restart changed something".into());
                }
                self.met(3, 1);
            }
        }
    }
}

/// Lives a history in a runtime of its own.
pub fn live(backend: Backend, people: usize, steps: Vec<Step>) -> Outcome {
    let lives = move || actix_web::rt::System::new().block_on(async move { History::begin(backend, people).await.live(&steps).await });
    std::thread::spawn(lives).join().expect("a history ends")
}
