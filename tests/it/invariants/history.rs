//! Histories: what a PBX, agents and a machine do, in any order, step by step against the real store; after each step what must hold is
//! looked at in what the store says, and each answer is compared with that of the [reference](super::reference).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookflash::acd::{self, settle};
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

    /// Looks again, and at what a step has changed.
    async fn watch(&mut self, what: &str) {
        let now = self.now();
        let seen = self.look().await;
        let before = std::mem::replace(&mut self.seen, seen);
        let (mut wrong, mut met) = (Vec::new(), BTreeMap::new());
        let mut bound: BTreeMap<&str, &str> = BTreeMap::new();
        for offer in self.seen.pending.iter().filter(|o| o.until > now.0) {
            if let Some(other) = bound.insert(&offer.agent, &offer.call_id) {
                wrong.push((1, format!("{} is offered to {other} and to {}", offer.agent, offer.call_id)));
            }
            let state = self.seen.states.get(&offer.agent);
            if state.is_some_and(|s| s.claim.as_ref().map(|c| &c.call) != Some(&offer.call_id)) {
                wrong.push((1, format!("{what}: an offer of {} stands without a claim on him: {state:?}", offer.agent)));
            }
            if before.pending.iter().any(|o| o.id == offer.id) {
                continue;
            }
            *met.entry(1).or_default() += 1;
            let then = before.states.get(&offer.agent);
            if !then.is_some_and(|s| is_free(s, now)) {
                let invariant = if then.is_some_and(|s| s.engaged(now)) { 1 } else { 4 };
                wrong.push((invariant, format!("{what}: {} is offered and was {then:?}", offer.agent)));
            }
            *met.entry(4).or_default() += before.states.values().filter(|s| s.wrap_until > now || s.cool_until > now).count();
        }
        for (agent, state) in &self.seen.states {
            let Some(then) = before.states.get(agent) else { continue };
            if state.manual_status != then.manual_status && what != "status" && then.next_status.is_none() {
                wrong.push((16, format!("{what}: {agent} became {} by itself", state.manual_status)));
            }
        }
        for (invariant, times) in met {
            self.met(invariant, times);
        }
        for (invariant, text) in wrong {
            self.fault(invariant, text);
        }
    }

    fn request(&self, call: usize, offer: &str, outcome: Option<OfferState>) -> RoutingRequest {
        let call = &self.calls[call];
        RoutingRequest {
            call: Some(call.name.clone()),
            caller: "+79990001101".into(),
            did: Some(number(call.queue)),
            asking_extension: None,
            dialled: Some(number(call.queue)),
            report: Report { offer: Some(offer.to_owned()).filter(|o| !o.is_empty()), outcome, digits: None, plain: false },
        }
    }

    /// The question as the reference sees it, and who is being rung for the call.
    async fn question(&self, call: usize) -> (Waiting, Vec<Waiting>, HashMap<String, (i64, i64)>, Vec<Offer>, Option<RoutedCall>) {
        let now = self.now();
        let spec = self.house.hookflash.roster.app(APP).expect("the centre").spec.clone();
        let id = id::call_id(APP, &self.calls[call].name);
        let mine = id.clone();
        let queue = spec.queue[self.calls[call].queue].clone();
        let queues: Vec<String> = spec.queue.iter().map(|q| q.id.clone()).collect();
        let window = now.plus_s(-queue.window_s);
        let (row, rows, in_hand, tallies) = self
            .house
            .read(move |conn| {
                let mut rows = Vec::new();
                for queue in &queues {
                    rows.extend(routed::waiting(conn, APP, queue, now, 10_000)?);
                }
                let mut ids: Vec<String> = rows.iter().map(|r| r.call_id.clone()).collect();
                ids.push(mine.clone());
                Ok((routed::get(conn, APP, &mine)?, rows, offers::in_hand_of(conn, APP, &ids)?, routed::tallies(conn, APP, window)?))
            })
            .await;
        let of = |id: &str| in_hand.iter().filter(|o| o.call_id == id).cloned().collect::<Vec<Offer>>();
        let tries = |id: &str| {
            let mut tries = BTreeMap::new();
            for offer in of(id).into_iter().filter(|o| o.state().counts_as_tried()) {
                *tries.entry(offer.agent).or_insert(0) += 1;
            }
            tries
        };
        let stands = |o: &Offer| o.ended_at.is_none() && (o.state() == OfferState::Accepted || o.until > now.0);
        let waiting: Vec<Waiting> = rows
            .iter()
            .map(|r| Waiting {
                id: r.call_id.clone(),
                queue: r.queue.clone().unwrap_or_default(),
                rank_at: r.rank_at,
                joined_at: r.joined_at,
                tries: tries(&r.call_id),
                wants: r.silent_at > now.plus_s(3).0 && !of(&r.call_id).iter().any(stands),
                is_new: false,
            })
            .collect();
        let joins = row.as_ref().is_none_or(|r| !r.waiting);
        let first = row.as_ref().filter(|r| r.entry > 0).map_or(now.0, |r| r.joined_at.min(now.0));
        let me = match &row {
            Some(row) if !joins => Waiting {
                id: id.clone(),
                queue: queue.id.clone(),
                rank_at: row.rank_at,
                joined_at: row.joined_at,
                tries: tries(&id),
                wants: true,
                is_new: false,
            },
            _ => Waiting {
                id: id.clone(),
                rank_at: first - queue.priority * queue.priority_age_s * 1_000_000,
                queue: queue.id.clone(),
                joined_at: now.0,
                tries: tries(&id),
                wants: true,
                is_new: true,
            },
        };
        (me, waiting, tallies, of(&id).into_iter().filter(stands).collect(), row)
    }

    async fn ask(&mut self, call: usize, outcome: Option<OfferState>) {
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("the centre"));
        let now = self.now();
        let request = self.request(call, &self.calls[call].offer, outcome);
        if outcome.is_some() {
            // The first of the two transactions of a question: the reference looks between them.
            let (id, report, app) = (id::call_id(APP, &self.calls[call].name), request.report.clone(), app.clone());
            db.write(Durability::Process, move |conn| settle::report(conn, &app, &id, &report, now)).await.expect("settled");
            self.watch("the outcome").await;
        }
        let (me, waiting, tallies, standing, row) = self.question(call).await;
        let room = Room { spec: &app.spec, states: &self.seen.states, tallies: &tallies, waiting: &waiting, closing: CLOSING, now };
        let left = self.calls[call].stage == Stage::Over;
        let expected = (standing.is_empty() && !left).then(|| room.expected(&me));
        let eligible = room.eligible(&me);
        let answer = acd::ask(&db, &self.house.clock, &app, &request).await.expect("answered");
        self.outcome.asked += 1;
        let action = answer.action.clone().expect("an action");
        let dialled = match &action {
            Action::Dial(dial) => dial.agents.clone(),
            _ => Vec::new(),
        };
        let name = self.calls[call].name.clone();
        match &expected {
            Some(expected) => {
                self.joins += u64::from(me.is_new);
                self.compare(&name, expected, &action, &dialled, &me, &eligible);
            }
            None if left => {
                if self.calls[call].told.as_ref() != Some(&action) {
                    self.fault(11, format!("{name} has left and is told {action:?}"));
                }
            }
            None => {
                let now_rung: BTreeSet<&String> = standing.iter().map(|o| &o.agent).collect();
                let again = now_rung.iter().all(|a| dialled.contains(a)) || matches!(action, Action::Hangup { .. });
                let grows = app.spec.queue[self.calls[call].queue].strategy == Way::RingProgressively;
                if !again || (!grows && dialled.len() > now_rung.len()) {
                    self.fault(11, format!("{name} rings {now_rung:?} and is told {action:?}"));
                }
            }
        }
        // Priority is worth so many seconds, and no more: who has waited for longer than that goes first.
        let ages = waiting.iter().flat_map(|a| waiting.iter().map(move |b| (a, b)));
        let starved: Vec<String> = ages
            .filter(|(a, b)| a.joined_at + 6_000_000 < b.joined_at && a.rank_at >= b.rank_at && row.as_ref().is_none_or(|r| r.entry <= 1))
            .filter(|(_, b)| b.rank_at >= b.joined_at - 6_000_000)
            .map(|(a, b)| format!("{a:?} ranks behind {b:?}"))
            .collect();
        self.met(6, usize::from(waiting.len() > 1));
        for text in starved {
            self.fault(6, text);
        }
        if let Some(decision) = answer.decision {
            if let Some(again) = record::replay(&decision.caller, &decision.inputs) {
                self.met(15, 1);
                if (&again.agents, &again.candidates) != (&decision.agents, &decision.candidates) {
                    self.fault(15, format!("{name}: {decision:?} made again is {again:?}"));
                }
            }
            db.decide_later(decision, APP);
        }
        let mut record = &mut self.calls[call];
        record.asked_at = now;
        record.told = Some(action.clone());
        match &action {
            Action::Dial(dial) => {
                if record.offer != dial.offer {
                    record.stale = std::mem::replace(&mut record.offer, dial.offer.clone());
                }
                (record.stage, record.rung, record.rings_for_s) = (Stage::Ringing, dial.agents.clone(), dial.timeout_s);
            }
            Action::Wait { .. } => (record.stage, record.rung) = (Stage::Waiting, Vec::new()),
            _ => {
                record = &mut self.calls[call];
                (record.stage, record.rung) = (Stage::Over, Vec::new());
            }
        }
        self.watch("a question").await;
    }

    fn compare(&mut self, name: &str, expected: &Expected, action: &Action, dialled: &[String], me: &Waiting, eligible: &[String]) {
        let waits = matches!(action, Action::Wait { .. });
        let is_it = match expected {
            Expected::Rings(agents) => dialled == agents.as_slice(),
            Expected::RingsOneOf(agents) => matches!(dialled, [one] if agents.contains(one)),
            Expected::RingsOneOfOrWaits(agents) => waits || matches!(dialled, [one] if agents.contains(one)),
            Expected::Waits => waits,
            Expected::Leaves => matches!(action, Action::Hangup { .. }),
        };
        self.met(0, 1);
        self.met(7, usize::from(waits));
        self.met(5, usize::from(*expected == Expected::Waits && !eligible.is_empty()));
        self.met(8, usize::from(!me.tries.is_empty() && !dialled.is_empty()));
        self.met(19, usize::from(*expected == Expected::Leaves && self.now() >= CLOSING));
        if !is_it {
            let told = if waits { "waits".to_owned() } else { format!("is told {action:?}") };
            let text = format!("{name} of {} {told}, and should be: {expected:?}", me.queue);
            let again = dialled.iter().any(|a| me.tries.contains_key(a)) && eligible.iter().any(|a| !me.tries.contains_key(a));
            let invariant = match expected {
                _ if again => 8,
                Expected::Rings(_) | Expected::RingsOneOf(_) if waits => 7,
                Expected::Waits if !dialled.is_empty() => 5,
                Expected::Leaves if !dialled.is_empty() => 4,
                _ => 0,
            };
            self.fault(invariant, text.clone());
            if invariant != 0 {
                self.fault(0, text);
            }
        }
    }

    async fn pass(&mut self, ms: i64, turn: usize) {
        self.house.clock.advance(ms * 1_000);
        let due: Vec<Offer> = self.seen.pending.iter().filter(|o| o.until <= self.now().0).cloned().collect();
        timers::sweep(&self.house.hookflash).await;
        self.watch("a sweep").await;
        self.met(3, due.len());
        let now = self.now();
        let late: Vec<String> = self.seen.pending.iter().filter(|o| o.until <= now.0).map(|o| format!("{o:?}")).collect();
        for offer in late {
            self.fault(3, format!("outlives its time: {offer}"));
        }
        let calls = self.calls.len();
        for k in 0..calls {
            let call = (k + turn) % calls;
            // One in nine has a PBX that forgets to ask.
            if (call + turn / 7).is_multiple_of(9) {
                continue;
            }
            let waited = now.since(self.calls[call].asked_at);
            match self.calls[call].stage {
                Stage::Waiting if waited >= 1_000_000 => self.ask(call, None).await,
                Stage::Ringing if waited >= self.calls[call].rings_for_s * 1_000_000 => self.ask(call, Some(OfferState::NoAnswer)).await,
                _ => {}
            }
        }
    }

    async fn tell(&mut self, form: String) {
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let raw = Raw { hook: "event", query: "", content_type: FORM, body: form.as_bytes() };
        ingest::accept(&self.house.hookflash.db, &app, raw, HookKind::Event, &self.house.clock).await.expect("stored");
        self.last_event = Some(form);
        self.watch("an event").await;
    }

    async fn answer(&mut self, call: usize, who: usize, heard: bool) {
        let now = self.now();
        let record = &mut self.calls[call];
        let agent = record.rung[who % record.rung.len()].clone();
        (record.stage, record.by, record.answered_at) = (Stage::Talking, agent.clone(), now);
        let extension = 1_000 + agent[1..].parse::<usize>().expect("a number");
        let form = format!(
            "event=answer&call={}&from=%2B79990001101&to=%2B{}&offer={}&peer=PJSIP/{extension}-00000001",
            record.name,
            &number(record.queue)[1..],
            record.offer.replace('+', "%2B")
        );
        if !heard {
            self.unheard.push(form);
            return;
        }
        let (name, others) = (record.name.clone(), record.rung.len() - 1);
        let stood = self.seen.pending.iter().any(|o| o.call_id == id::call_id(APP, &name) && o.agent == agent && o.until > now.0);
        self.tell(form).await;
        self.one_winner(&name, stood.then_some(agent.as_str())).await;
        self.met(2, others + 1);
    }

    async fn one_winner(&mut self, name: &str, winner: Option<&str>) {
        let id = id::call_id(APP, name);
        let offers = self.house.read(move |conn| offers::in_hand(conn, APP, &id)).await;
        let accepted: Vec<&Offer> = offers.iter().filter(|o| o.state() == OfferState::Accepted).collect();
        let pending = offers.iter().filter(|o| o.state() == OfferState::Pending && o.ended_at.is_none()).count();
        let wrong = accepted.len() > 1
            || (winner.is_some() && (pending > 0 || accepted.len() != 1 || accepted[0].agent != winner.unwrap_or_default()));
        if wrong {
            self.fault(2, format!("{name}, answered by {winner:?}, has {offers:?}"));
        }
    }

    async fn hang_up(&mut self, call: usize) {
        let now = self.now();
        let record = &mut self.calls[call];
        let (stage, rung, name) = (record.stage, std::mem::take(&mut record.rung), record.name.clone());
        let talk_s = if stage == Stage::Talking { now.since(record.answered_at) as f64 / 1e6 } else { 0.0 };
        let (status, offer) = match stage {
            Stage::Talking => ("ANSWER", record.offer.as_str()),
            Stage::Ringing => ("CANCEL", record.offer.as_str()),
            _ => ("", ""),
        };
        let form = format!(
            "call={}&from=%2B79990001101&to=%2B{}&place=q{:02}&offer={}&dialstatus={status}&answeredtime={talk_s:.6}",
            record.name,
            &number(record.queue)[1..],
            record.queue,
            offer.replace('+', "%2B")
        );
        record.stage = Stage::Over;
        record.told = Some(Action::Hangup { cause: 16 });
        let before: Vec<(String, i32, Timestamp)> =
            rung.iter().filter_map(|a| self.seen.states.get(a)).map(|s| (s.agent.clone(), s.misses, s.cool_until)).collect();
        self.tell(form).await;
        if stage == Stage::Ringing {
            self.met(9, rung.len());
            for (agent, misses, cool) in before {
                let state = &self.seen.states[&agent];
                if (state.misses, state.cool_until) != (misses, cool) {
                    let text = format!("{name} left while {agent} was rung: {state:?}");
                    self.fault(9, text);
                }
            }
            self.one_winner(&name, None).await;
        }
    }

    async fn status(&mut self, n: usize, status: usize) {
        let agent = self.agents[n % self.agents.len()].clone();
        let word = ["AVAILABLE", "AVAILABLE", "NOT_AVAILABLE", "OFFLINE"][status % 4];
        let when = if status % 8 < 6 { "now" } else { "next" };
        let before = self.seen.states[&agent].clone();
        self.client.put(&format!("/api/v1/apps/{APP}/agents/{agent}/status"), json!({"manual_status": word, "when": when})).await.ok();
        self.watch("status").await;
        let after = self.seen.states[&agent].clone();
        self.met(16, usize::from(before.talking > 0));
        if (before.talking, before.ringing) != (after.talking, after.ringing) {
            self.fault(16, format!("{word} freed {agent}: {before:?}, {after:?}"));
        }
    }

    async fn twice(&mut self) {
        let before = self.look().await;
        if let Some(form) = self.last_event.clone() {
            self.tell(form).await;
        }
        let asked = (0..self.calls.len()).rev().find(|c| self.calls[*c].stage == Stage::Ringing);
        if let Some(call) = asked {
            let app = self.house.hookflash.roster.app(APP).expect("the centre");
            let request = self.request(call, &self.calls[call].offer, None);
            let stands = self.seen.pending.iter().any(|o| o.call_id == id::call_id(APP, &self.calls[call].name) && o.until > self.now().0);
            if stands {
                let again = acd::ask(&self.house.hookflash.db, &self.house.clock, &app, &request).await.expect("answered");
                let dialled = matches!(&again.action, Some(Action::Dial(d)) if d.offer == self.calls[call].offer);
                if !dialled || again.decision.is_some() {
                    self.fault(10, format!("asked again about {}: {again:?}", self.calls[call].name));
                }
            }
        }
        self.watch("again").await;
        if before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(10, "the same event or question again changed something".into());
        }
        self.met(10, 1);
    }

    async fn stale(&mut self, n: usize) {
        let Some(call) = self.pick(n, Stage::Ringing) else { return };
        let old = self.calls[call].stale.clone();
        let stands = self.seen.pending.iter().any(|o| o.call_id == id::call_id(APP, &self.calls[call].name) && o.until > self.now().0);
        if !stands {
            return;
        }
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let request = self.request(call, if old.is_empty() { "0198.nobody" } else { &old }, Some(OfferState::Rejected));
        let before = self.look().await;
        let told = acd::ask(&self.house.hookflash.db, &self.house.clock, &app, &request).await.expect("answered");
        self.watch("a stale outcome").await;
        let same = matches!(&told.action, Some(Action::Dial(d)) if d.offer == self.calls[call].offer);
        if !same || before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(11, format!("a stale outcome of {} had an effect: {told:?}", self.calls[call].name));
        }
        self.met(11, 1);
    }

    async fn own_call(&mut self, n: usize) {
        let agent = self.agents[n % self.agents.len()].clone();
        let extension = 1_000 + agent[1..].parse::<usize>().expect("a number");
        match self.own.remove(&agent) {
            Some(k) => {
                self.tell(format!("call=own{k}&from=%2B79990001102&dialstatus=ANSWER&answeredtime=5&peer=PJSIP/{extension}-00000001")).await
            }
            None => {
                self.owns += 1;
                let k = self.owns;
                self.own.insert(agent.clone(), k);
                self.tell(format!("event=answer&call=own{k}&from=%2B79990001102&peer=PJSIP/{extension}-00000001")).await;
                if self.seen.states[&agent].talking == 0 {
                    self.fault(1, format!("a call beside ours is not seen at {agent}"));
                }
            }
        }
    }

    /// An agent is declared no more, whatever he does just then; at most a few.
    async fn remove(&mut self, n: usize) {
        if self.agents.len() < 10 || self.outcome.met.get(&22).is_some_and(|n| *n >= 5) {
            return;
        }
        let engaged: Vec<String> =
            self.agents.iter().filter(|a| self.seen.states[*a].engaged(self.now()) && !self.own.contains_key(*a)).cloned().collect();
        if engaged.is_empty() {
            return;
        }
        let gone = engaged[n % engaged.len()].clone();
        let (now, id) = (self.now(), gone.clone());
        let write = move |conn: &mut hookflash::store::Conn| {
            edit::remove_agent(conn, APP, &id, true, now).map_err(|e| StoreError::Refused(format!("{e:?}")))
        };
        self.house.hookflash.db.write(Durability::Process, write).await.expect("removed");
        self.house.hookflash.roster.refresh().await.expect("read again");
        self.agents.retain(|a| *a != gone);
        self.met(22, 1);
        self.watch("a removal").await;
    }

    /// All hang up, everything that was held back comes, and time goes by.
    async fn close(&mut self) {
        for call in 0..self.calls.len() {
            if self.calls[call].stage != Stage::Over {
                self.hang_up(call).await;
            }
        }
        for form in std::mem::take(&mut self.unheard) {
            self.tell(form).await;
        }
        for (agent, k) in std::mem::take(&mut self.own) {
            let extension = 1_000 + agent[1..].parse::<usize>().expect("a number");
            self.tell(format!("call=own{k}&from=%2B79990001102&dialstatus=ANSWER&answeredtime=5&peer=PJSIP/{extension}-00000001")).await;
        }
        self.house.pass_s(600);
        timers::sweep(&self.house.hookflash).await;
        self.watch("the end").await;
        let now = self.now();
        let left: Vec<String> = self.seen.pending.iter().map(|o| format!("{o:?}")).collect();
        let engaged: Vec<String> = self.seen.states.values().filter(|s| s.engaged(now)).map(|s| format!("{s:?}")).collect();
        for what in left.into_iter().chain(engaged) {
            let gone = self.outcome.met.contains_key(&22) && !self.agents.iter().any(|a| what.contains(&format!("\"{a}\"")));
            self.fault(if gone { 22 } else { 3 }, format!("when all is over: {what}"));
        }
        self.count().await;
        self.add_up().await;
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("the centre"));
        let report = tokio::task::spawn_blocking(move || replay::run(&db, &app, Timestamp(0), false, |_, _| {})).await.unwrap().unwrap();
        // An event that names its agent by the offer alone cannot be read again as it was once he is declared no more.
        let ids: Vec<String> = report.differences.iter().map(|d| d.call.clone()).collect();
        let offered = self.house.read(move |conn| offers::of_calls(conn, APP, &ids)).await;
        for difference in report.differences {
            let of_gone = offered.iter().any(|o| o.call_id == difference.call && !self.agents.contains(&o.agent));
            if !of_gone {
                let text = format!("a replay differs: {difference:?}");
                self.fault(10, text.clone());
                self.fault(12, text);
            }
        }
    }

    /// Each time in a queue has one outcome, and a call that was answered says so.
    async fn count(&mut self) {
        let ids: Vec<String> = self.calls.iter().map(|c| id::call_id(APP, &c.name)).collect();
        let read = move |conn: &mut hookflash::store::Conn| {
            ids.iter().map(|call| routed::entries_of(conn, APP, call)).collect::<hookflash::store::Result<Vec<_>>>()
        };
        let entries = self.house.read(read).await;
        let all = entries.iter().flatten().count() as u64;
        if all != self.joins {
            self.fault(13, format!("{all} times in queues are stored, and calls joined {} times", self.joins));
        }
        let open: Vec<String> = entries.iter().flatten().filter(|e| e.outcome().is_none()).map(|e| format!("{e:?}")).collect();
        for entry in open {
            self.fault(13, format!("has no outcome: {entry}"));
        }
        for of_call in entries.iter().filter(|e| e.iter().filter(|e| e.outcome.as_deref() == Some("answered")).count() > 1) {
            self.fault(13, format!("was answered twice: {of_call:?}"));
        }
        let stats =
            self.client.get(&format!("/api/v1/apps/{APP}/stats/queues?from=2025-12-01T00:00:00Z&to=2026-12-01T00:00:00Z")).await.ok();
        let mut offered = 0;
        for queue in stats["items"].as_array().expect("queues").clone() {
            let n = |field: &str| queue[field].as_i64().unwrap_or(0);
            let ends =
                ["answered", "abandoned", "short_abandoned", "overflowed", "timed_out", "closed_hours", "full", "no_staff", "waiting"];
            offered += n("offered");
            // Who gives up at once is not counted as offered.
            let all = ends.into_iter().map(n).sum::<i64>();
            if n("queued") != all || n("offered") != all - n("short_abandoned") {
                self.fault(13, format!("does not add up: {queue}"));
            }
        }
        self.met(13, offered as usize);
    }

    /// The times in state of each agent have no gap and no overlap.
    async fn add_up(&mut self) {
        let (from, to) = (START, self.now());
        for agent in self.agents.clone() {
            let id = agent.clone();
            let marks = self.house.read(move |conn| times::between(conn, APP, &id, from, to)).await;
            let spans = agent_time::spans(&marks, from, to);
            let joined = spans.windows(2).all(|w| w[0].until == w[1].since);
            let total: i64 = spans.iter().map(|s| s.until.0 - s.since.0).sum();
            self.met(14, spans.len());
            if !joined || total != to.0 - from.0 {
                self.fault(14, format!("{agent}: {total} of {} µs", to.0 - from.0));
            }
        }
    }
}

/// Lives a history in a runtime of its own.
pub fn live(backend: Backend, people: usize, steps: Vec<Step>) -> Outcome {
    let lives = move || actix_web::rt::System::new().block_on(async move { History::begin(backend, people).await.live(&steps).await });
    std::thread::spawn(lives).join().expect("a history ends")
}
