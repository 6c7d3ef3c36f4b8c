//! Brings events to those who subscribed, once, and remembers what became of each.
//!
//! A call has one [`Line`]. Its events leave in order, each after the receiver answered the one before. The faults of [`Conditions`] may
//! drop an event, double it, let it change places with the next one or keep it back; which events they hit depends on the fault seed and
//! the event alone, so the same seed does the same again. An event that a receiver did not take is not sent again: the PBX never repeats.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Pbx;
use super::conditions::Conditions;
use super::directory::Method;
use super::event::{Event, Scheduled};
use super::records::Record;
use super::state::keep;
use crate::domain::time::Timestamp;
use crate::net;

/// What became of one event at one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// A fault: it never left.
    Lost,
    Answered {
        status: u16,
    },
    /// No connection, or no answer in time.
    Failed {
        error: String,
    },
}

/// One event sent to one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    pub subscription_id: u64,
    pub extension_id: u64,
    pub url: String,
    pub method: Method,
    /// `dial-in` and so on.
    pub event_type: String,
    pub call_id: String,
    /// The form as it went out.
    pub form: String,
    pub sent: Timestamp,
    pub took_us: u64,
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Delivery {
    /// The receiver answered 2xx.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::Answered { status: 200..=299 })
    }
}

/// When one copy of an event leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Now,
    AfterNext,
    Late(Duration),
}

/// What the faults do to an event: an entry for each copy that leaves, none when it is lost.
pub fn fate(c: &Conditions, event: &Event) -> Vec<Fate> {
    if c.loss <= 0.0 && c.duplicate <= 0.0 && c.reorder <= 0.0 && c.delay <= 0.0 {
        return vec![Fate::Now];
    }
    let mut rng = StdRng::seed_from_u64(c.fault_seed ^ fingerprint(event));
    if rng.random_bool(c.loss) {
        return Vec::new();
    }
    let copies = if rng.random_bool(c.duplicate) { 2 } else { 1 };
    (0..copies)
        .map(|_| {
            let (swap, late) = (rng.random_bool(c.reorder), rng.random_bool(c.delay));
            let by = rng.random_range(0..=c.delay_ms);
            match (swap, late) {
                (_, true) => Fate::Late(Duration::from_millis(by)),
                (true, false) => Fate::AfterNext,
                (false, false) => Fate::Now,
            }
        })
        .collect()
}

/// The list as the faults would deliver it: [`fate`] of each event, without any IO.
pub fn disturb(list: &[Scheduled], c: &Conditions) -> Vec<Scheduled> {
    let mut out: Vec<(Duration, usize, bool, Scheduled)> = Vec::new();
    for (i, scheduled) in list.iter().enumerate() {
        for fate in fate(c, &scheduled.event) {
            let (at, after) = match fate {
                Fate::Now => (scheduled.at, i),
                Fate::AfterNext => (list.get(i + 1).map_or(scheduled.at, |next| next.at), i + 1),
                Fate::Late(by) => (scheduled.at + by, i),
            };
            out.push((at, after, after > i, Scheduled { at, ..scheduled.clone() }));
        }
    }
    out.sort_by_key(|(at, after, swapped, _)| (*at, *after, *swapped));
    out.into_iter().map(|(_, _, _, scheduled)| scheduled).collect()
}

/// FNV-1a over what names an event and does not depend on the time of day.
fn fingerprint(event: &Event) -> u64 {
    let parts = [event.get("CallID"), event.get("SubCallID"), Some(event.kind.as_str()), Some(event.extension.number.as_str())];
    parts
        .into_iter()
        .flatten()
        .flat_map(|p| p.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The way of one call's events to their receivers.
pub(super) struct Line {
    pbx: Arc<Pbx>,
    /// Natural pace: events wait here for their turn while the call goes on.
    queue: Option<(mpsc::UnboundedSender<Event>, JoinHandle<()>)>,
    after_next: Vec<Event>,
    /// The calls that passed here: over when it closes.
    calls: Vec<String>,
    /// Without waiting: late copies, by the time at which they are due.
    late: Vec<(Duration, Event)>,
}

impl Line {
    pub fn open(pbx: &Arc<Pbx>) -> Line {
        let queue = (!pbx.conditions().is_instant()).then(|| {
            let (sender, mut receiver) = mpsc::unbounded_channel::<Event>();
            let worker = pbx.clone();
            let task = pbx.spawn(async move {
                while let Some(event) = receiver.recv().await {
                    deliver(&worker, &event).await;
                }
            });
            (sender, task)
        });
        Line { pbx: pbx.clone(), queue, calls: Vec::new(), after_next: Vec::new(), late: Vec::new() }
    }

    /// `at`: time of the call at which the event happens. A recording that it names is made now, whether or not the event arrives.
    pub async fn emit(&mut self, at: Duration, event: Event) {
        self.pbx.keep_recording(&event);
        self.pbx.state().note(&event);
        if let Some(call) = event.get("CallID").filter(|id| !self.calls.iter().any(|c| c == id)) {
            self.calls.push(call.to_owned());
        }
        self.send_due(at).await;
        let swapped = std::mem::take(&mut self.after_next);
        let c = self.pbx.conditions();
        let fates = fate(&c, &event);
        if fates.is_empty() {
            self.pbx.remember_lost(&event);
        }
        for fate in fates {
            match fate {
                Fate::Now => self.send(event.clone()).await,
                Fate::AfterNext => self.after_next.push(event.clone()),
                Fate::Late(by) if self.queue.is_none() => self.late.push((at + by, event.clone())),
                Fate::Late(by) => {
                    let (pbx, event, wait) = (self.pbx.clone(), event.clone(), c.real(by));
                    self.pbx.spawn(async move {
                        tokio::time::sleep(wait).await;
                        deliver(&pbx, &event).await;
                    });
                }
            }
        }
        for event in swapped {
            self.send(event).await;
        }
    }

    /// Sends what is still held back, and returns when all has been answered (late copies at natural pace excepted).
    pub async fn close(mut self) {
        for call in &self.calls {
            self.pbx.state().call_is_over(call);
        }
        for event in std::mem::take(&mut self.after_next) {
            self.send(event).await;
        }
        self.send_due(Duration::MAX).await;
        if let Some((sender, task)) = self.queue {
            drop(sender);
            let _ = task.await;
        }
    }

    async fn send(&self, event: Event) {
        match &self.queue {
            Some((sender, _)) => drop(sender.send(event)),
            None => deliver(&self.pbx, &event).await,
        }
    }

    async fn send_due(&mut self, now: Duration) {
        let (mut due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = rest;
        due.sort_by_key(|(at, _)| *at);
        for (_, event) in due {
            self.send(event).await;
        }
    }
}

/// Plays a list of events, at the pace of the conditions. Returns when the last one has been answered.
pub(super) async fn play(pbx: &Arc<Pbx>, list: Vec<Scheduled>) {
    let mut line = Line::open(pbx);
    let mut at = Duration::ZERO;
    for scheduled in list {
        let wait = pbx.conditions().real(scheduled.at.saturating_sub(at));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        at = scheduled.at;
        line.emit(at, scheduled.event).await;
    }
    line.close().await;
}

/// One attempt at each subscription of the event's extension and type.
async fn deliver(pbx: &Arc<Pbx>, event: &Event) {
    let form = event.form(pbx.conditions().spelling());
    for (subscription_id, url, method) in pbx.receivers(event) {
        let limit = Duration::from_millis(pbx.conditions().delivery_limit_ms);
        let sent = pbx.clock.now();
        let began = Instant::now();
        let outcome = match pbx.http.send(request(&url, method, &form), limit).await {
            Ok(response) => Outcome::Answered { status: response.status },
            Err(e) => Outcome::Failed { error: e.to_string() },
        };
        let took_us = began.elapsed().as_micros() as u64;
        let delivery = record(event, subscription_id, url, method, form.clone(), sent, outcome);
        pbx.state().remember(Delivery { took_us, ..delivery });
    }
}

/// The form in the body of a POST, or added to the query that the URL of a GET already has.
pub(super) fn request(url: &str, method: Method, form: &str) -> net::Request {
    match method {
        Method::Get => net::Request::get(format!("{url}{}{form}", if url.contains('?') { '&' } else { '?' })),
        Method::Post => net::Request {
            method: "POST",
            body: Some(Bytes::from(form.to_owned())),
            ..net::Request::get(url).header("content-type", "application/x-www-form-urlencoded")
        },
    }
}

fn record(event: &Event, subscription_id: u64, url: String, method: Method, form: String, sent: Timestamp, outcome: Outcome) -> Delivery {
    Delivery {
        subscription_id,
        extension_id: event.extension.id,
        url,
        method,
        event_type: event.kind.as_str().into(),
        call_id: event.get("CallID").unwrap_or_default().into(),
        form,
        sent,
        took_us: 0,
        outcome,
    }
}

impl Pbx {
    /// Id, URL and method of each subscription that this event goes to, in the order in which they were made.
    fn receivers(&self, event: &Event) -> Vec<(u64, String, Method)> {
        let state = self.state();
        let wanted = state.subscriptions.values().filter(|s| s.extension_id == event.extension.id && s.event_type == event.kind.as_str());
        wanted.map(|s| (s.id, s.url.clone(), s.method)).collect()
    }

    fn keep_recording(&self, event: &Event) {
        let mut state = self.state();
        let ready = self.clock.now().plus_ms(state.conditions.record_delay_ms);
        if let Some(record) = Record::of(event, ready) {
            keep(&mut state.records, record);
        }
    }

    fn remember_lost(&self, event: &Event) {
        let form = event.form(self.conditions().spelling());
        let sent = self.clock.now();
        for (id, url, method) in self.receivers(event) {
            let delivery = record(event, id, url, method, form.clone(), sent, Outcome::Lost);
            self.state().remember(delivery);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Cast, Row, scenario};
    use super::*;

    fn list() -> Vec<Scheduled> {
        scenario(Row::ParallelRing, &Cast::sample(), Timestamp(1_767_000_000_000_000), 3)
    }

    fn faulty(fault_seed: u64) -> Conditions {
        Conditions { fault_seed, loss: 0.2, duplicate: 0.3, reorder: 0.3, delay: 0.3, delay_ms: 9_000, ..Conditions::default() }
    }

    #[test]
    fn good_health_changes_nothing() {
        assert_eq!(disturb(&list(), &Conditions::default()), list());
    }

    #[test]
    fn the_fault_seed_decides_which_events_are_hit() {
        assert_eq!(disturb(&list(), &faulty(1)), disturb(&list(), &faulty(1)));
        let different: Vec<_> = (0..10).map(|seed| disturb(&list(), &faulty(seed)).len()).collect();
        assert!(different.iter().any(|n| *n != different[0]), "{different:?}");
    }

    #[test]
    fn each_fault_does_its_own() {
        let lost = disturb(&list(), &Conditions { loss: 1.0, ..Conditions::default() });
        assert!(lost.is_empty());
        let doubled = disturb(&list(), &Conditions { duplicate: 1.0, ..Conditions::default() });
        assert_eq!(doubled.len(), 2 * list().len());
        assert!(doubled.chunks(2).all(|pair| pair[0] == pair[1]));
        let c = Conditions { delay: 1.0, delay_ms: 60_000, ..Conditions::default() };
        let late = disturb(&list(), &c);
        assert_eq!(late.len(), list().len());
        assert!(late.windows(2).all(|w| w[0].at <= w[1].at));
        assert!(late.windows(2).any(|w| w[0].event.time > w[1].event.time), "nothing came out of order");
        let times: Vec<_> = disturb(&list(), &Conditions { reorder: 0.4, fault_seed: 1, ..Conditions::default() });
        assert_eq!(times.len(), list().len());
        assert_ne!(times.iter().map(|s| s.event.time).collect::<Vec<_>>(), list().iter().map(|s| s.event.time).collect::<Vec<_>>());
    }

    #[test]
    fn a_query_that_is_there_is_kept() {
        assert_eq!(request("http://h/x?key=1", Method::Get, "a=b").url, "http://h/x?key=1&a=b");
        assert_eq!(request("http://h/x", Method::Get, "a=b").url, "http://h/x?a=b");
        let post = request("http://h/x", Method::Post, "a=b");
        assert_eq!((post.method, post.body.as_deref()), ("POST", Some(&b"a=b"[..])));
    }
}
