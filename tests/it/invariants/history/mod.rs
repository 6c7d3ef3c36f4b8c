//! Histories: what a PBX, agents and a machine do, in any order, step by step against the real store; after each step what must hold is
//! looked at in what the store says, and each answer is compared with what the [reference](super::journey) says that must be told.

mod checks;
mod deeds;
mod machine;
mod questions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookflash::acd::{self, settle};
use hookflash::app::Hookflash;
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::declare::edit;
use hookflash::domain::agent::{AgentState, OfferState, State};
use hookflash::domain::spec::{Application, Group, Strategy as Way};
use hookflash::domain::time::Timestamp;
use hookflash::domain::{agent_time, id};
use hookflash::ingest::queue::FORM;
use hookflash::ingest::{self, replay};
use hookflash::pbx::action::{Action, Line, Report};
use hookflash::pbx::{HookKind, Raw, RoutingRequest};
use hookflash::routing::record;
use hookflash::store::offers::{self, Offer};
use hookflash::store::routed::{self, RoutedCall};
use hookflash::store::{Conn, Durability, StoreError, agents, contacts, times};
use hookflash::timers;
use proptest::prelude::*;
use serde_json::json;

use super::centre::{APP, Centre, agent};
use super::hours;
use super::journey::{Asks, Journey, Place, Told};
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
    /// Keys at a prompt: right ones, wrong ones, none.
    Press(usize, usize),
    /// The answer to a question is lost on its way: the PBX asks the same again.
    Lost(usize),
    /// A call that has left us is asked about once more.
    After(usize),
    /// The program is killed, with whatever it had not written.
    Kill,
    /// A group is declared no more.
    Dissolve(usize),
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

/// A step in a centre with every door.
pub fn wide_step() -> impl Strategy<Value = Step> {
    let any = any::<u16>().prop_map(usize::from);
    prop_oneof![
        160 => any_step(),
        14 => (any.clone(), any.clone()).prop_map(|(a, b)| Step::Press(a, b)),
        6 => any.clone().prop_map(Step::Lost),
        4 => any.clone().prop_map(Step::After),
        2 => Just(Step::Kill),
        1 => any.prop_map(Step::Dissolve),
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
    /// What calls were told, by its word.
    pub told: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// A prompt plays.
    Listening,
    Ringing,
    /// A number outside rings.
    Outside,
    Talking,
    /// It has left us, and its end is not told of yet.
    Away,
    Over,
}

struct Call {
    name: String,
    caller: String,
    did: String,
    journey: Journey,
    stage: Stage,
    place: String,
    offer: String,
    stale: String,
    rung: Vec<String>,
    asked_at: Timestamp,
    rings_for_s: i64,
    /// Who has answered: an agent, or the number outside.
    by: String,
    answered_at: Timestamp,
    told: Option<Action>,
}

impl Call {
    fn id(&self) -> String {
        id::call_id(APP, &self.name)
    }

    /// The fields of an event that say which call it is.
    fn fields(&self) -> String {
        format!("call={}&from=%2B{}&to=%2B{}&offer={}", self.name, &self.caller[1..], &self.did[1..], self.offer.replace('+', "%2B"))
    }
}

struct Seen {
    states: HashMap<String, AgentState>,
    pending: Vec<Offer>,
}

pub struct History {
    house: House,
    dids: Vec<String>,
    callers: Vec<String>,
    begun: Timestamp,
    /// What is closed, and in which minute that was seen.
    closed: (i64, BTreeSet<String>),
    /// Copies of the database on which the program went on after it was killed.
    copies: Vec<tempfile::TempDir>,
    dissolved: usize,
    client: Client,
    calls: Vec<Call>,
    own: BTreeMap<String, u64>,
    unheard: Vec<String>,
    last_event: Option<String>,
    agents: Vec<String>,
    seen: Seen,
    owns: u64,
    outcome: Outcome,
}

/// What can be hung up.
const ALIVE: [Stage; 6] = [Stage::Waiting, Stage::Listening, Stage::Ringing, Stage::Outside, Stage::Talking, Stage::Away];

fn is_free(state: &AgentState, now: Timestamp) -> bool {
    state.at(now).0 == State::Available && state.cool_until <= now && state.next_status.is_none()
}

impl History {
    pub async fn begin(backend: Backend, centre: Centre) -> History {
        let house = House::shop(backend).await;
        house.pass_s(centre.begins_s);
        house.declare_application(centre.spec).await;
        let client = house.client().await;
        let mut history = History {
            client,
            dids: centre.dids,
            callers: centre.callers,
            begun: house.clock.now(),
            closed: (0, BTreeSet::new()),
            copies: Vec::new(),
            dissolved: 0,
            house,
            calls: Vec::new(),
            own: BTreeMap::new(),
            unheard: Vec::new(),
            last_event: None,
            agents: (0..centre.people).map(agent).collect(),
            seen: Seen { states: HashMap::new(), pending: Vec::new() },
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

    fn pick(&self, n: usize, stages: &[Stage]) -> Option<usize> {
        let those: Vec<usize> = (0..self.calls.len()).filter(|c| stages.contains(&self.calls[*c].stage)).collect();
        (!those.is_empty()).then(|| those[n % those.len()])
    }

    async fn look(&self) -> Seen {
        let read = |conn: &mut hookflash::store::Conn| Ok((agents::all(conn, APP)?, offers::expired(conn, Timestamp(i64::MAX), 10_000)?));
        let (states, pending) = self.house.read(read).await;
        Seen { states: states.into_iter().map(|s| (s.agent.clone(), s)).collect(), pending }
    }

    async fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Arrive(n) => self.arrive(n).await,
            Step::Pass { ms, turn } => self.pass(ms, turn).await,
            Step::Answer(n, who) => self.answer(n, who, true).await,
            Step::AnswerUnheard(n, who) => self.answer(n, who, false).await,
            Step::Hear => {
                if !self.unheard.is_empty() {
                    let form = self.unheard.remove(0);
                    self.met(12, 1);
                    self.tell(form).await;
                }
            }
            Step::Refuse(n, how) => {
                if let Some(call) = self.pick(n, &[Stage::Ringing, Stage::Outside]) {
                    let how = [OfferState::NoAnswer, OfferState::Busy, OfferState::Rejected, OfferState::Unreachable][how % 4];
                    self.ask(call, Some(how), None).await;
                }
            }
            Step::HangUp(n) => {
                // Every other time one whom an agent has in hand, so that agents come free.
                let in_hand = self.pick(n / 2, &[Stage::Ringing, Stage::Talking]).filter(|_| n.is_multiple_of(2));
                if let Some(call) = in_hand.or_else(|| self.pick(n, &ALIVE)) {
                    self.hang_up(call).await;
                }
            }
            Step::Status(n, status) => self.status(n, status).await,
            Step::Twice => self.twice().await,
            Step::Stale(n) => self.stale(n).await,
            Step::Own(n) => self.own_call(n).await,
            Step::Remove(n) => self.remove(n).await,
            Step::Restart => self.restart().await,
            Step::Press(n, keys) => {
                if let Some(call) = self.pick(n, &[Stage::Listening]) {
                    let keys = ["1", "2", "3", "*", "#", "9", "12", ""][keys % 8];
                    self.ask(call, None, Some(keys)).await;
                }
            }
            Step::Lost(n) => {
                if let Some(call) = self.pick(n, &[Stage::Waiting, Stage::Listening, Stage::Ringing, Stage::Outside]) {
                    self.lose(call).await;
                }
            }
            Step::After(n) => {
                if let Some(call) = self.pick(n, &[Stage::Away]) {
                    self.ask(call, None, None).await;
                }
            }
            Step::Kill => self.kill().await,
            Step::Dissolve(n) => self.dissolve(n).await,
        }
    }
}

/// Lives a history in a runtime of its own.
pub fn live(backend: Backend, centre: Centre, steps: Vec<Step>) -> Outcome {
    let lives = move || actix_web::rt::System::new().block_on(async move { History::begin(backend, centre).await.live(&steps).await });
    std::thread::spawn(lives).join().expect("a history ends")
}
