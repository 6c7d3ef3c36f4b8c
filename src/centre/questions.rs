//! What the PBX asks, what comes of the answers, and whether each decision is the same when it is made again.

use anyhow::bail;

use super::day::{Day, What};
use super::plan::{APP, caller, number};
use crate::acd;
use crate::domain::agent::OfferState;
use crate::domain::spec::Strategy;
use crate::pbx::RoutingRequest;
use crate::pbx::action::{Action, Report as Said};
use crate::routing::record;

/// A decision that was made again: when it was made first, and its id; whether it came out the same.
pub(super) struct Replayed {
    at: i64,
    id: String,
    is_same: bool,
}

impl Day<'_> {
    pub(super) async fn ask(&mut self, call: usize, at: i64, status: Option<&str>) -> anyhow::Result<()> {
        let request = self.request(call, status);
        let mut answer = acd::ask(&self.hookflash.db, &self.clock, &self.app, &request).await?;
        self.report.asked += 1;
        if self.chance.happens("twice", call as u64, self.steps, self.plan.chaos.twice) {
            let again = acd::ask(&self.hookflash.db, &self.clock, &self.app, &request).await?;
            self.world.checks(10, 1);
            if again.action != answer.action {
                self.world.fault(10, at, format!("call {call} was told {:?}, and asked again {:?}", answer.action, again.action));
            }
            answer = again;
        }
        if let Some(decision) = answer.decision {
            self.report.decided += 1;
            // A record is empty where no agents were looked at, and is one that can be read everywhere else.
            if !decision.inputs.is_empty() {
                let made = decision.clone();
                self.replays.spawn_blocking(move || {
                    let again = record::replay(&made.caller, &made.inputs);
                    let is_same = again.is_some_and(|again| again.agents == made.agents && again.candidates == made.candidates);
                    Replayed { at, id: made.id, is_same }
                });
            }
            self.hookflash.db.decide_later(decision, APP);
        }
        if let Some(how) = status.and_then(outcome) {
            let kept = match &answer.action {
                Some(Action::Dial(dial)) => dial.agents.clone(),
                _ => Vec::new(),
            };
            let progressive = self.plan.strategy == Strategy::RingProgressively;
            for agent in self.world.calls[call].rung.clone().iter().filter(|a| !(progressive && kept.contains(a))) {
                self.world.stops_ringing(call, agent, how, at);
            }
        }
        self.world.calls[call].step += 1;
        let step = self.world.calls[call].step;
        match answer.action {
            Some(Action::Dial(dial)) => {
                self.report.offers += dial.agents.len() as u64;
                self.world.rings(call, &dial.agents, at);
                let record = &mut self.world.calls[call];
                record.rings += 1;
                let before = std::mem::replace(&mut record.offer, dial.offer);
                let rings = record.rings;
                self.stale(call, at, &before).await?;
                let (when, then) = self.reaction(call, rings, step, &dial.agents, dial.timeout_s);
                self.plan_at(at + when, then);
            }
            Some(Action::Wait { seconds, .. }) => {
                self.world.waits(call, at);
                self.plan_at(at + seconds * 1_000_000, What::Ask(call, step));
            }
            other => bail!("a caller of the centre was told {other:?}"),
        }
        Ok(())
    }

    pub(super) fn request(&self, call: usize, status: Option<&str>) -> RoutingRequest {
        let record = &self.world.calls[call];
        let did = number(record.queue);
        RoutingRequest {
            call: Some(format!("call-{call}")),
            caller: caller(call),
            did: Some(did.clone()),
            asking_extension: None,
            dialled: Some(did),
            report: Said {
                offer: Some(record.offer.clone()).filter(|o| !o.is_empty()),
                outcome: status.and_then(outcome),
                digits: None,
                plain: false,
            },
        }
    }

    /// What comes of a dialling, and when: the first of those who are rung to pick up, a rejection, or nothing.
    fn reaction(&self, call: usize, ring: u64, step: u64, agents: &[String], timeout_s: i64) -> (i64, What) {
        let timeout = timeout_s * 1_000_000;
        let mut first: Option<(i64, &String)> = None;
        for agent in agents {
            let who = format!("{agent}/{ring}");
            if self.chance.happens(&format!("ignores {who}"), call as u64, 0, self.plan.ignored) {
                continue;
            }
            let after = 1_000_000
                + (self.chance.uniform(&format!("answers {who}"), call as u64, 0) * (self.plan.answer_s - 1.0).max(0.0) * 1e6) as i64;
            if agents.len() == 1 && self.chance.happens(&format!("rejects {who}"), call as u64, 0, self.plan.rejected) {
                return (after.min(timeout), What::RungOut(call, step, "REJECTED"));
            }
            if after < timeout && first.is_none_or(|(at, _)| after < at) {
                first = Some((after, agent));
            }
        }
        match first {
            Some((after, agent)) => (after, What::Answer(call, step, agent.clone())),
            None => (timeout, What::RungOut(call, step, "NOANSWER")),
        }
    }

    /// Invariant 15.
    pub(super) fn judge(&mut self, Replayed { at, id, is_same }: Replayed) {
        self.world.checks(15, 1);
        if !is_same {
            self.world.fault(15, at, format!("decision {id} is another when it is made again, or cannot be"));
        }
    }
}

fn outcome(status: &str) -> Option<OfferState> {
    match status {
        "NOANSWER" => Some(OfferState::NoAnswer),
        "REJECTED" => Some(OfferState::Rejected),
        _ => None,
    }
}
