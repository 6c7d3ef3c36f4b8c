//! Natural traffic for the demo: calls come at random, as they do, and no phone is ever used twice at once.
//!
//! Of a hundred calls some seventy come in (most are answered, some by a colleague in the queue, some are passed on, some are missed because
//! nobody answers or the caller has no patience) and some thirty go out. The same seed gives the same calls; which phones are free when they
//! come is up to the moment. A phone that the IVR is told to ring while it is in use answers BUSY, as the engine does for every call.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Pbx;
use super::calls::{self, Behaviour, Incoming, Outgoing};

/// What traffic to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Calls a minute of the calls' time, on average. A phone carries about half a call a minute; what is more is missed in the queue.
    pub per_minute: f64,
    #[serde(default)]
    pub seed: u64,
    /// Numbers outside, which call and are called.
    pub callers: Vec<String>,
    /// Ends after so many calls; `None`: when it is stopped.
    #[serde(default)]
    pub calls: Option<u64>,
}

/// Traffic that flows until it is stopped, has made its calls, or the simulator stops.
pub struct TrafficHandle {
    stop: CancellationToken,
    done: oneshot::Receiver<u64>,
}

impl TrafficHandle {
    /// No new calls; those that live go on.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all of its calls have ended, and tells how many there were.
    pub async fn finished(self) -> u64 {
        self.done.await.unwrap_or_default()
    }
}

/// One call of the plan and how long after the one before it comes, in the calls' time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Planned {
    Incoming(Incoming),
    /// The phone is chosen when the time comes: a free one.
    Outgoing {
        to: String,
        called: Behaviour,
    },
}

/// The calls of a seed, one after another.
pub(super) struct Plan {
    rng: StdRng,
    traffic: Traffic,
    dids: Vec<String>,
    phones: Vec<String>,
}

impl Plan {
    pub fn new(traffic: Traffic, dids: Vec<String>, phones: Vec<String>) -> Plan {
        Plan { rng: StdRng::seed_from_u64(traffic.seed), traffic, dids, phones }
    }

    /// The pause before the next call, and the call; `None` without callers or public numbers.
    pub fn next(&mut self) -> Option<(Duration, Planned)> {
        // Exponential: calls know nothing of each other.
        let uniform: f64 = self.rng.random();
        let pause = Duration::from_secs_f64((-(1.0 - uniform).ln() * 60.0 / self.traffic.per_minute.max(0.001)).min(3_600.0));
        let caller = self.pick(&self.traffic.callers.clone())?;
        let did = self.pick(&self.dids.clone())?;
        let call = match self.rng.random_range(0..100) {
            0..50 => Planned::Incoming(Incoming::new(&caller, &did).others(self.answers(None))),
            50..58 => {
                let to = self.pick(&self.phones.clone())?;
                Planned::Incoming(Incoming::new(&caller, &did).others(self.answers(Some(to))))
            }
            // Nobody answers before the caller's patience ends, or in the greeting already.
            58..66 => {
                let patience = self.rng.random_range(2_000..45_000);
                Planned::Incoming(Incoming::new(&caller, &did).others(Behaviour::NoAnswer).patience_ms(patience))
            }
            66..72 => {
                let silent = self.pick(&self.phones.clone())?;
                Planned::Incoming(Incoming::new(&caller, &did).others(self.answers(None)).phone(&silent, Behaviour::NoAnswer))
            }
            72..92 => Planned::Outgoing { to: caller, called: self.answers(None) },
            92..96 => Planned::Outgoing { to: caller, called: Behaviour::NoAnswer },
            _ => Planned::Outgoing { to: caller, called: Behaviour::Busy },
        };
        Some((pause, call))
    }

    fn answers(&mut self, transfer_to: Option<String>) -> Behaviour {
        let (after_ms, talk_ms) = (self.rng.random_range(2_000..12_000), self.rng.random_range(15_000..150_000));
        Behaviour::Answers { after_ms, talk_ms, transfer_to }
    }

    fn pick(&mut self, from: &[String]) -> Option<String> {
        if from.is_empty() { None } else { Some(from[self.rng.random_range(0..from.len())].clone()) }
    }
}

/// Starts traffic.
pub(super) fn start(pbx: &Arc<Pbx>, traffic: Traffic) -> TrafficHandle {
    let (stop, (sender, done)) = (CancellationToken::new(), oneshot::channel());
    let (dids, phones) = {
        let state = pbx.state();
        (state.directory.dids.keys().cloned().collect(), state.directory.phones().map(|e| e.number.clone()).collect())
    };
    let (maker, stopped) = (pbx.clone(), stop.clone());
    let limit = traffic.calls.unwrap_or(u64::MAX);
    let mut plan = Plan::new(traffic, dids, phones);
    pbx.spawn(async move {
        let (mut made, mut living) = (0, Vec::new());
        while made < limit {
            let Some((pause, call)) = plan.next() else { break };
            let wait = tokio::time::sleep(maker.conditions().real(pause));
            if stopped.run_until_cancelled(wait).await.is_none() {
                break;
            }
            let started = match call {
                Planned::Incoming(spec) => calls::incoming(&maker, spec).ok(),
                Planned::Outgoing { to, called } => {
                    let free = free_phone(&maker);
                    free.and_then(|phone| calls::outgoing(&maker, Outgoing { phone, to, called: Some(called) }).ok())
                }
            };
            // An outgoing call that found no free phone is not made at all: nobody is there to make it.
            made += 1;
            living.retain(|call: &calls::LiveCall| !call.is_over());
            living.extend(started);
        }
        for call in living {
            call.finished().await;
        }
        let _ = sender.send(made);
    });
    TrafficHandle { stop, done }
}

fn free_phone(pbx: &Pbx) -> Option<String> {
    let state = pbx.state();
    state.directory.phones().find(|e| !state.is_occupied(e.id)).map(|e| e.number.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Vec<(Duration, Planned)> {
        let traffic = Traffic { per_minute: 6.0, seed, callers: vec!["+79995550101".into(), "+79995550102".into()], calls: None };
        let mut plan = Plan::new(traffic, vec!["74955550100".into()], vec!["101".into(), "102".into()]);
        (0..500).map_while(|_| plan.next()).collect()
    }

    #[test]
    fn the_seed_decides_the_calls_and_their_times() {
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn the_mix_is_natural() {
        let calls = plan(3);
        let outgoing = calls.iter().filter(|(_, c)| matches!(c, Planned::Outgoing { .. })).count();
        assert!((100..200).contains(&outgoing), "{outgoing} of 500 go out");
        let missed = |c: &Planned| matches!(c, Planned::Incoming(i) if i.others == Some(Behaviour::NoAnswer));
        assert!(calls.iter().any(|(_, c)| missed(c)));
        let whole: Duration = calls.iter().map(|(pause, _)| *pause).sum();
        let per_minute = 500.0 / (whole.as_secs_f64() / 60.0);
        assert!((4.5..7.5).contains(&per_minute), "{per_minute} calls a minute");
    }
}
