//! One live call while it goes on: its time, its legs, its events.
//!
//! A phone is occupied while the state holds a live leg on it. A leg is claimed under the state's lock before its phone rings, so no phone
//! ever rings or talks twice at once; an attempt on an occupied phone ends BUSY at once and is counted. The time of the call is its own:
//! it moves by what the parties do, and the conditions say how long that takes in reality.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Pbx;
use super::calls::{Behaviour, CallReport, LiveLeg, Rang, USUAL};
use super::deliver::Line;
use super::directory::{Extension, ExtensionType};
use super::event::{CallStatus, Event};
use super::leg::{Call, Desk, Ids, Leg};
use super::route::Dialled;
use crate::domain::time::Timestamp;

/// How long a phone rings at most when no queue says otherwise.
pub(super) const RING: Duration = Duration::from_secs(20);
/// A call is transferred at most so often, so that two phones cannot play ball with it for ever.
const TRANSFERS: usize = 3;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Reached,
    /// The caller gave up, or the call was hung up over the API.
    Gone,
}

/// How ringing ended.
pub(super) enum RingEnd {
    Answered(Box<Leg>),
    Nobody,
    Gone,
}

/// What the picking up of a leg means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ringing {
    /// Connected: the answer event.
    Called,
    /// The source of a click-to-call: nothing is connected yet. Whether its dial-out has been sent before is said here.
    Source { dial_out_first: bool },
}

pub(super) struct Run {
    pub pbx: Arc<Pbx>,
    pub call: Call,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub others: Option<Behaviour>,
    pub patience: Option<Duration>,
    pub digits: String,
    pub report: CallReport,
    /// IVRs and queues that the call has entered; they speak at its end.
    pub desks: Vec<Desk>,
    pub bridged: bool,
    pub ids: Ids,
    pub at: Duration,
    pub hangup: CancellationToken,
    line: Line,
    start: Timestamp,
}

impl Run {
    pub fn new(pbx: &Arc<Pbx>, call: Call) -> Run {
        let ids = Ids::new(pbx.state().ids.below(u64::MAX));
        Run {
            pbx: pbx.clone(),
            report: CallReport { call_id: call.id.clone(), from: call.from.clone(), ..CallReport::default() },
            call,
            behaviours: BTreeMap::new(),
            others: None,
            patience: None,
            digits: String::new(),
            desks: Vec::new(),
            bridged: false,
            ids,
            at: Duration::ZERO,
            hangup: CancellationToken::new(),
            line: Line::open(pbx),
            start: pbx.clock.now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.start.plus(self.at)
    }

    pub async fn emit(&mut self, event: Event) {
        self.line.emit(self.at, event).await;
    }

    /// Lets the call's time pass until `until`, or until the caller is gone. At a natural pace the time that really went by counts, so that
    /// the calls' times do not drift apart.
    pub async fn wait(&mut self, until: Duration) -> Waited {
        let given_up = self.patience.filter(|p| *p < until);
        let span = given_up.unwrap_or(until).saturating_sub(self.at);
        let (c, began) = (self.pbx.conditions(), Instant::now());
        let pause = async {
            if !c.is_instant() {
                tokio::time::sleep(c.real(span)).await;
            }
        };
        let hung_up = self.hangup.run_until_cancelled(pause).await.is_none();
        let passed = if c.is_instant() { Duration::ZERO } else { began.elapsed().mul_f64(c.speed) };
        self.at += if hung_up { passed } else { passed.max(span) };
        if hung_up || given_up.is_some() { Waited::Gone } else { Waited::Reached }
    }

    pub async fn wait_ms(&mut self, ms: u64) -> Waited {
        self.wait(self.at + Duration::from_millis(ms)).await
    }

    /// What the party of this number (short for an extension) does in this call.
    pub fn behaviour(&self, number: &str) -> Behaviour {
        let said = self.behaviours.get(number).or(self.others.as_ref()).cloned();
        said.or_else(|| self.pbx.state().behaviours.get(number).cloned()).unwrap_or(USUAL)
    }

    pub fn incoming_leg(&mut self, phone: &Extension, passed_by: Option<&Extension>) -> Leg {
        let now = self.now();
        Leg::incoming(&mut self.ids, &self.call, phone, passed_by, now)
    }

    pub fn outgoing_leg(&mut self, phone: &Extension, called: &str) -> Leg {
        let now = self.now();
        let called = self.pbx.state().directory.by_number(called).map_or_else(|| called.to_owned(), Extension::name);
        Leg::outgoing(&mut self.ids, phone, &called, now)
    }

    /// Takes the phone for this leg; false when it rings or talks for another one.
    pub fn claim(&self, leg: &Leg) -> bool {
        let mut state = self.pbx.state();
        if state.legs.contains_key(&leg.id) {
            return true;
        }
        if state.is_occupied(leg.phone.id) {
            return false;
        }
        let live = LiveLeg { call: self.call.clone(), leg: leg.clone(), hangup: self.hangup.clone() };
        state.legs.insert(leg.id.clone(), live);
        true
    }

    /// Rings all the legs at once until one picks up, all have failed, or `limit` has passed.
    pub async fn ring(&mut self, legs: Vec<Leg>, limit: Duration, how: Ringing) -> RingEnd {
        let quiet = how == Ringing::Source { dial_out_first: false };
        let began = self.at;
        // When each phone does what; a phone that does nothing rings until the limit.
        let mut plan: Vec<(Duration, Result<(), CallStatus>, Leg)> = Vec::new();
        let claims: Vec<bool> = legs.iter().map(|leg| self.claim(leg)).collect();
        self.pbx.state().rung_while_busy += claims.iter().filter(|claimed| !**claimed).count() as u64;
        for (leg, claimed) in legs.into_iter().zip(claims) {
            if !quiet {
                self.emit(leg.dial(&self.call)).await;
            }
            let ms = |n| began + Duration::from_millis(n);
            plan.push(match self.behaviour(&leg.phone.number) {
                _ if !claimed => (began, Err(CallStatus::Busy), leg),
                _ if leg.phone.blocked => (ms(100), Err(CallStatus::ChanUnavail), leg),
                Behaviour::Answers { after_ms, .. } if ms(after_ms) < began + limit => (ms(after_ms), Ok(()), leg),
                Behaviour::Busy => (ms(200), Err(CallStatus::Busy), leg),
                Behaviour::Unreachable => (ms(100), Err(CallStatus::ChanUnavail), leg),
                Behaviour::Answers { .. } | Behaviour::NoAnswer => (began + limit, Err(CallStatus::NoAnswer), leg),
            });
        }
        plan.sort_by_key(|(at, _, _)| *at);
        let mut plan = plan.into_iter();
        while let Some((at, what, mut leg)) = plan.next() {
            let waited = self.wait(at).await;
            let status = match (waited, what) {
                (Waited::Reached, Err(status)) => status,
                (Waited::Gone, _) => CallStatus::Cancel,
                (Waited::Reached, Ok(())) => {
                    self.pick_up(&mut leg, how).await;
                    for (_, _, loser) in plan {
                        self.end(&loser, CallStatus::Cancel, quiet).await;
                    }
                    return RingEnd::Answered(Box::new(leg));
                }
            };
            self.end(&leg, status, quiet).await;
            if waited == Waited::Gone {
                for (_, _, other) in plan {
                    self.end(&other, CallStatus::Cancel, quiet).await;
                }
                return RingEnd::Gone;
            }
        }
        RingEnd::Nobody
    }

    async fn pick_up(&mut self, leg: &mut Leg, how: Ringing) {
        self.patience = None;
        match how {
            Ringing::Called => self.answer(leg).await,
            Ringing::Source { dial_out_first: false } => {
                leg.dialled = self.now();
                self.emit(leg.dial(&self.call)).await;
            }
            Ringing::Source { dial_out_first: true } => {}
        }
    }

    pub async fn answer(&mut self, leg: &mut Leg) {
        let event = leg.answer(&self.call, self.now());
        if let Some(live) = self.pbx.state().legs.get_mut(&leg.id) {
            live.leg = leg.clone();
        }
        self.emit(event).await;
    }

    /// Hangs a leg up, and frees its phone.
    pub async fn hang_up(&mut self, leg: &Leg, status: CallStatus) {
        self.end(leg, status, false).await;
    }

    async fn end(&mut self, leg: &Leg, status: CallStatus, quiet: bool) {
        let now = self.now();
        self.pbx.state().legs.remove(&leg.id);
        self.report.rung.push(Rang { phone: leg.phone.number.clone(), leg: leg.id.clone(), status: status.as_str().into() });
        if !quiet {
            self.emit(leg.hangup(&self.call, now, status)).await;
        }
    }

    /// From the answer of an incoming leg to the end of the talk, blind transfers included.
    pub async fn converse(&mut self, mut leg: Leg) {
        self.bridged = true;
        self.report.answered_by.get_or_insert_with(|| leg.phone.number.clone());
        for _ in 0..=TRANSFERS {
            let (talk_ms, transfer_to) = match self.behaviour(&leg.phone.number) {
                Behaviour::Answers { talk_ms, transfer_to, .. } => (talk_ms, transfer_to),
                _ => (0, None),
            };
            let waited = self.wait_ms(talk_ms).await;
            self.hang_up(&leg, CallStatus::Answer).await;
            let target = transfer_to.filter(|_| waited == Waited::Reached);
            let target = target.and_then(|to| self.pbx.state().directory.by_number(&to).cloned());
            let Some(target) = target.filter(|t| t.kind == ExtensionType::Phone && t.id != leg.phone.id) else { return };
            let next = self.incoming_leg(&target, None).handed_over(&leg.phone, &self.call.from.clone());
            match self.ring(vec![next], RING, Ringing::Called).await {
                RingEnd::Answered(next) => leg = *next,
                RingEnd::Nobody | RingEnd::Gone => return,
            }
        }
        self.hang_up(&leg, CallStatus::Answer).await;
    }

    /// A leg that has dialled (or picked up a click-to-call) is joined to the called party, until the end of the talk.
    pub async fn connect(&mut self, mut leg: Leg, to: &str) {
        let called = self.pbx.state().directory.by_number(to).cloned();
        match called {
            Some(phone) if phone.kind == ExtensionType::Phone => {
                let by = leg.phone.clone();
                let other = self.incoming_leg(&phone, Some(&by));
                match self.ring(vec![other], RING, Ringing::Called).await {
                    RingEnd::Answered(other) => {
                        self.answer(&mut leg).await;
                        let talk_ms = self.talk_ms(&phone.number);
                        self.wait_ms(talk_ms).await;
                        self.hang_up(&leg, CallStatus::Answer).await;
                        self.hang_up(&other, CallStatus::Answer).await;
                    }
                    RingEnd::Nobody => {
                        let status = self.report.rung.last().map_or(CallStatus::NoAnswer, |r| match r.status.as_str() {
                            "BUSY" => CallStatus::Busy,
                            "CHANUNAVAIL" => CallStatus::ChanUnavail,
                            _ => CallStatus::NoAnswer,
                        });
                        self.hang_up(&leg, status).await;
                    }
                    RingEnd::Gone => self.hang_up(&leg, CallStatus::Cancel).await,
                }
            }
            Some(desk) if desk.kind != ExtensionType::Fax => {
                self.answer(&mut leg).await;
                let _: Dialled = self.dial(&desk.number, None).await;
                self.hang_up(&leg, CallStatus::Answer).await;
            }
            _ => self.connect_outside(leg, to).await,
        }
    }

    async fn connect_outside(&mut self, mut leg: Leg, to: &str) {
        let (ms, status) = match self.behaviour(to) {
            Behaviour::Answers { after_ms, talk_ms, .. } => {
                if self.wait_ms(after_ms).await == Waited::Gone {
                    return self.hang_up(&leg, CallStatus::Cancel).await;
                }
                self.answer(&mut leg).await;
                (talk_ms, CallStatus::Answer)
            }
            Behaviour::Busy => (1_500, CallStatus::Busy),
            Behaviour::NoAnswer => (30_000, CallStatus::NoAnswer),
            Behaviour::Unreachable => (500, CallStatus::Congestion),
        };
        let gone = self.wait_ms(ms).await == Waited::Gone && leg.answered.is_none();
        self.hang_up(&leg, if gone { CallStatus::Cancel } else { status }).await;
    }

    fn talk_ms(&self, number: &str) -> u64 {
        match self.behaviour(number) {
            Behaviour::Answers { talk_ms, .. } => talk_ms,
            _ => 0,
        }
    }

    /// The IVRs and queues say how it ended (section 5.4, C to G), and the last events leave.
    pub async fn finish(mut self) -> CallReport {
        // Nobody can give up any more.
        self.patience = None;
        self.hangup = CancellationToken::new();
        let mut desks = std::mem::take(&mut self.desks);
        if self.bridged {
            desks.reverse();
        }
        for (i, desk) in desks.iter().enumerate() {
            let pause = match (i, self.bridged) {
                (0, _) => 50,
                (_, true) => 100,
                (_, false) => 600,
            };
            self.wait_ms(pause).await;
            let event = desk.hangup(&self.call, self.now(), self.bridged);
            self.emit(event).await;
        }
        self.line.close().await;
        self.report
    }
}
