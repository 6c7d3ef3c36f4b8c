//! Live calls: what a test or a program says about a call before it starts, and what the PBX reports at its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Pbx;
use super::directory::{Extension, ExtensionType, is_external};
use super::engine::Run;
use super::interactive::Asked;
use super::leg::{Call, Leg};

/// What a phone, or a party outside, does when it is rung. Times are milliseconds of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    Answers {
        after_ms: u64,
        talk_ms: u64,
        /// After the talk the caller is passed on to this extension (blind transfer).
        #[serde(default)]
        transfer_to: Option<String>,
    },
    NoAnswer,
    Busy,
    /// Not registered.
    Unreachable,
}

impl Behaviour {
    pub fn answers(after_ms: u64, talk_ms: u64) -> Behaviour {
        Behaviour::Answers { after_ms, talk_ms, transfer_to: None }
    }
}

/// What is set for nobody in particular.
pub(super) const USUAL: Behaviour = Behaviour::Answers { after_ms: 4_000, talk_ms: 30_000, transfer_to: None };

/// An incoming call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incoming {
    pub from: String,
    /// Digits without plus, as in the directory.
    pub did: String,
    /// What phones do in this call, by short number.
    #[serde(default)]
    pub phones: BTreeMap<String, Behaviour>,
    /// What the other phones do; `None`: as [`Simulator::behave`](super::Simulator::behave) says.
    #[serde(default)]
    pub others: Option<Behaviour>,
    /// The caller gives up when nobody has answered by then.
    #[serde(default)]
    pub patience_ms: Option<u64>,
    /// What the caller presses when a sound collects digits.
    #[serde(default)]
    pub digits: String,
}

impl Incoming {
    pub fn new(from: &str, did: &str) -> Incoming {
        Incoming { from: from.into(), did: did.into(), phones: BTreeMap::new(), others: None, patience_ms: None, digits: String::new() }
    }

    pub fn phone(mut self, number: &str, behaviour: Behaviour) -> Incoming {
        self.phones.insert(number.into(), behaviour);
        self
    }

    pub fn others(self, behaviour: Behaviour) -> Incoming {
        Incoming { others: Some(behaviour), ..self }
    }

    pub fn patience_ms(self, ms: u64) -> Incoming {
        Incoming { patience_ms: Some(ms), ..self }
    }
}

/// A phone dials.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    /// Short number of the phone.
    pub phone: String,
    /// An extension, or a number outside.
    pub to: String,
    /// What the called party does; `None`: as [`Simulator::behave`](super::Simulator::behave) says.
    #[serde(default)]
    pub called: Option<Behaviour>,
}

/// One attempt on a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rang {
    /// Short number.
    pub phone: String,
    /// `SubCallID`.
    pub leg: String,
    /// `CallStatus` of its hangup.
    pub status: String,
}

/// What became of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallReport {
    pub call_id: String,
    pub from: String,
    pub asked: Vec<Asked>,
    /// Every leg, in the order of hangup.
    pub rung: Vec<Rang>,
    /// Short number of the phone that took an incoming call first.
    pub answered_by: Option<String>,
}

/// Why a call cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no such number: {0}")]
    UnknownNumber(String),
    #[error("phone {0} is ringing or talking")]
    PhoneInUse(String),
}

/// A call that has started.
pub struct LiveCall {
    pub call_id: String,
    done: oneshot::Receiver<CallReport>,
}

impl LiveCall {
    /// Waits for the end; `None` when the simulator was stopped before.
    pub async fn finished(self) -> Option<CallReport> {
        self.done.await.ok()
    }

    pub(super) fn is_over(&self) -> bool {
        self.done.is_terminated() || !self.done.is_empty()
    }
}

/// A leg that rings or talks now, in the state of the PBX: this is what makes a phone occupied.
pub(super) struct LiveLeg {
    pub call: Call,
    pub leg: Leg,
    pub hangup: CancellationToken,
}

/// Starts an incoming call.
pub(super) fn incoming(pbx: &Arc<Pbx>, spec: Incoming) -> Result<LiveCall, CallError> {
    let (call, first) = {
        let mut state = pbx.state();
        let first = state.directory.dids.get(&spec.did).cloned();
        let first = first.ok_or_else(|| CallError::UnknownNumber(spec.did.clone()))?;
        (state.ids.call(&spec.from, &spec.from, Some(&spec.did)), first)
    };
    let mut run = Run::new(pbx, call);
    run.behaviours = spec.phones;
    run.others = spec.others;
    run.patience = spec.patience_ms.map(std::time::Duration::from_millis);
    run.digits = spec.digits;
    Ok(start(pbx, run, |run| Box::pin(async move { run.enter(&first).await })))
}

/// Starts an outgoing call; the phone is taken before this returns.
pub(super) fn outgoing(pbx: &Arc<Pbx>, spec: Outgoing) -> Result<LiveCall, CallError> {
    let (call, phone) = {
        let mut state = pbx.state();
        let unknown = || CallError::UnknownNumber(spec.phone.clone());
        let phone =
            state.directory.by_number(&spec.phone).filter(|e| e.kind == ExtensionType::Phone && !e.blocked).cloned().ok_or_else(unknown)?;
        if state.directory.by_number(&spec.to).is_none() && !is_external(&spec.to) {
            return Err(CallError::UnknownNumber(spec.to));
        }
        (state.ids.call(&phone.name(), &phone.label, None), phone)
    };
    let mut run = Run::new(pbx, call);
    if let Some(called) = spec.called {
        run.behaviours.insert(short(pbx, &spec.to), called);
    }
    let leg = run.outgoing_leg(&phone, &spec.to);
    if !run.claim(&leg) {
        return Err(CallError::PhoneInUse(phone.number));
    }
    Ok(start(pbx, run, move |run| {
        Box::pin(async move {
            let event = leg.dial(&run.call);
            run.emit(event).await;
            run.connect(leg, &spec.to).await;
        })
    }))
}

/// The short number of an extension, and any other number as it is: the key under which behaviours are kept.
pub(super) fn short(pbx: &Pbx, number: &str) -> String {
    pbx.state().directory.by_number(number).map_or_else(|| number.to_owned(), |e: &Extension| e.number.clone())
}

type Work<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs a call to its end on the simulator's runtime.
pub(super) fn start(pbx: &Arc<Pbx>, mut run: Run, work: impl FnOnce(&mut Run) -> Work<'_> + Send + 'static) -> LiveCall {
    let (sender, done) = oneshot::channel();
    let call_id = run.call.id.clone();
    let keeper = pbx.clone();
    pbx.spawn(async move {
        work(&mut run).await;
        let report = run.finish().await;
        super::state::keep(&mut keeper.state().reports, report.clone());
        let _ = sender.send(report);
    });
    LiveCall { call_id, done }
}
