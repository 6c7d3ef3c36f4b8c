//! Histories: what a PBX, agents and a machine do, in any order, step by step against the real store; after each step what must hold is
//! looked at in what the store says, and each answer is compared with what the [reference](super::journey) says that must be told.

mod checks;
mod compare;
mod deeds;
mod machine;
mod questions;
mod steps;

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
use serde_json::json;

use super::centre::{APP, Centre, agent};
use super::hours;
use super::journey::{Asks, Journey, Place, Told};
use super::reference::{Expected, Room, Waiting};
use crate::support::client::Client;
use crate::support::{Backend, House, START};
pub use steps::{Step, any_step, wide_step};

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
    /// How many agents, and groups, were removed.
    removed: usize,
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
            removed: 0,
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
}

/// Lives a history in a runtime of its own.
pub fn live(backend: Backend, centre: Centre, steps: Vec<Step>) -> Outcome {
    let lives = move || actix_web::rt::System::new().block_on(async move { History::begin(backend, centre).await.live(&steps).await });
    std::thread::spawn(lives).join().expect("a history ends")
}
