//! The day itself: what happens next, until the last caller is gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tokio::task::JoinSet;

use super::chance::Chance;
use super::report::Report;
use super::world::{Call, Stage, World};
use crate::acd;
use crate::app::Hookflash;
use crate::config::{DatabaseUrl, Settings};
use crate::declare;
use crate::domain::agent::OfferState;
use crate::domain::id;
use crate::domain::spec::{Application, Strategy};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::validate;
use crate::ingest::queue::FORM;
use crate::ingest::{self, Accepted};
use crate::pbx::action::{Action, Report as Said};
use crate::pbx::{HookKind, Raw, RoutingRequest};
use crate::roster::App;
use crate::routing::record;
use crate::store::roster::Origin;
use crate::store::{Durability, StoreError};
use crate::timers;

/// When the day begins: 2026-01-05T08:00:00Z, a Monday.
pub(super) const BEGIN: Timestamp = Timestamp(1_767_600_000_000_000);
const SWEEP_US: i64 = 5_000_000;
pub(super) const APP: i64 = 1;

/// What a person may choose.
#[derive(Clone, Debug)]
pub struct Plan {
    pub agents: usize,
    pub queues: usize,
    pub strategy: Strategy,
    pub calls_per_hour: f64,
    pub hours: f64,
    pub talk_s: f64,
    pub wrap_up_s: i64,
    /// How long a caller waits, on the mean.
    pub patience_s: f64,
    /// How long an agent takes to answer at the most.
    pub answer_s: f64,
    /// The parts of the offers that agents let ring out, and reject.
    pub ignored: f64,
    pub rejected: f64,
    pub answer_within_s: i64,
    pub poll_s: i64,
    pub seed: u64,
    /// The part of the occasions at which it is tried whether what must change nothing does so.
    pub probed: f64,
    pub chaos: Chaos,
}

/// What a PBX and a machine do wrong on some days.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chaos {
    /// The part of questions and events that come twice.
    pub twice: f64,
    /// The components are thrown away and opened anew after so many steps; 0: never.
    pub restart_every: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive(usize),
    /// The call asks, if nothing has changed since this step.
    Ask(usize, u64),
    /// Nobody answered.
    RungOut(usize, u64, &'static str),
    Answer(usize, u64, String),
    GiveUp(usize),
    HangUp(usize),
    Sweep,
}

pub(super) struct Day<'p> {
    pub(super) plan: &'p Plan,
    pub(super) chance: Chance,
    pub(super) hookflash: Arc<Hookflash>,
    pub(super) app: Arc<App>,
    pub(super) clock: Clock,
    agenda: BinaryHeap<Reverse<(i64, u64, What)>>,
    planned: u64,
    pub(super) steps: u64,
    pub(super) world: World,
    /// Decisions that are made again beside the day, where their record lets them be.
    pub(super) replays: JoinSet<Option<Replayed>>,
    /// Calls whose answer will be told once more.
    pub(super) untold: Vec<usize>,
    report: Report,
}

/// A decision that was made again: when it was made first, and its id; whether it is another now.
pub(super) struct Replayed {
    at: i64,
    id: String,
    differs: bool,
}

/// Lives the day over a database at `url`, which is new.
///
/// # Errors
/// The components cannot be opened, or the store fails.
pub async fn run(plan: &Plan, url: String, mut progress: impl FnMut(f64)) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let clock = Clock::manual(BEGIN);
    let mut settings = Settings::default();
    settings.database.url = DatabaseUrl::new(url);
    settings.secrets.key = Some("00".repeat(32).into());
    let hookflash = open(settings, &clock).await?;
    let spec = centre(plan)?;
    let problems: Vec<String> = validate::application(&spec).iter().map(ToString::to_string).collect();
    ensure!(problems.is_empty(), problems.join("\n"));
    let world = World::new(&spec);
    let declared = spec.clone();
    let write = move |conn: &mut crate::store::Conn| {
        declare::store(conn, None, &declared, Origin::Apply, BEGIN).map_err(|e| StoreError::Refused(e.to_string()))
    };
    hookflash.db.write(Durability::Process, write).await?;
    hookflash.roster.refresh().await?;
    let app = hookflash.roster.app(APP).context("the centre")?;
    let chance = Chance { seed: plan.seed };
    let report = Report::new(plan);
    let mut day = Day {
        plan,
        chance,
        hookflash,
        app,
        clock,
        agenda: BinaryHeap::new(),
        planned: 0,
        steps: 0,
        world,
        replays: JoinSet::new(),
        untold: Vec::new(),
        report,
    };
    let length_us = (plan.hours * 3.6e9) as i64;
    day.plan_at(day.gap(0), What::Arrive(0));
    day.plan_at(SWEEP_US, What::Sweep);
    while let Some(Reverse((at, _, what))) = day.agenda.pop() {
        day.clock.advance(BEGIN.0 + at - day.clock.now().0);
        day.steps += 1;
        if day.plan.chaos.restart_every > 0 && day.steps.is_multiple_of(day.plan.chaos.restart_every) {
            day.restart().await?;
        }
        let busy = day.world.calls.iter().rev().take(5_000).any(|c| c.stage != Stage::Over);
        if matches!(what, What::Sweep) {
            progress((at as f64 / length_us as f64).min(1.0));
            if at > length_us && !busy {
                break;
            }
        }
        day.happens(what, at, length_us).await?;
    }
    day.close().await?;
    day.report.finish(&day.world, day.clock.now().0 - BEGIN.0, begun.elapsed());
    Ok(day.report)
}

async fn open(settings: Settings, clock: &Clock) -> anyhow::Result<Arc<Hookflash>> {
    let hookflash = Hookflash::open(settings, clock.clone()).await?;
    hookflash.db.throw_away();
    Ok(hookflash)
}

/// The application: its agents in one group a queue; each queue has the group of the next one as backup.
fn centre(plan: &Plan) -> anyhow::Result<Application> {
    let queues = plan.queues.max(1);
    let agent =
        |n: usize| serde_json::json!({"id": format!("agent-{n:04}"), "name": format!("Agent {n}"), "extension": (1_000 + n).to_string()});
    let group = |q: usize| {
        let members: Vec<String> = (0..plan.agents).filter(|n| n % queues == q).map(|n| format!("agent-{n:04}")).collect();
        serde_json::json!({"id": format!("g{q}"), "name": format!("Group {q}"), "agents": members})
    };
    let queue = |q: usize| {
        let backup: Vec<String> = if queues > 1 { vec![format!("g{}", (q + 1) % queues)] } else { Vec::new() };
        serde_json::json!({
            "id": format!("q{q}"), "name": format!("Queue {q}"), "strategy": plan.strategy, "primary_groups": [format!("g{q}")],
            "backup_groups": backup, "route_to_backup_groups_after": 20, "wrap_up_time_limit": plan.wrap_up_s, "maximum_queue_size": 1_000,
            "maximum_queue_wait_time": 0, "sla_answered_within": plan.answer_within_s,
        })
    };
    let value = serde_json::json!({
        "id": APP, "name": "Contact centre", "pbx": "asterisk", "login": "centre", "asterisk": {"poll_s": plan.poll_s},
        "routing": {"responsible": []},
        "agent": (0..plan.agents).map(agent).collect::<Vec<_>>(), "group": (0..queues).map(group).collect::<Vec<_>>(),
        "queue": (0..queues).map(queue).collect::<Vec<_>>(),
        "number": (0..queues).map(|q| serde_json::json!({"number": number(q), "queue": format!("q{q}")})).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).context("the centre's declaration")
}

fn number(queue: usize) -> String {
    format!("+7495555{queue:04}")
}

/// Our id of a call.
pub(super) fn id_of(call: usize) -> String {
    id::call_id(APP, &format!("call-{call}"))
}

fn caller(call: usize) -> String {
    format!("+7999{:07}", call % 10_000_000)
}

impl Day<'_> {
    fn plan_at(&mut self, at: i64, what: What) {
        self.planned += 1;
        self.agenda.push(Reverse((at, self.planned, what)));
    }

    fn gap(&self, call: usize) -> i64 {
        self.chance.exponential_us("gap", call as u64, 0, 3_600.0 / self.plan.calls_per_hour)
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        let settings = self.hookflash.settings.clone();
        self.hookflash.db.flush().await;
        self.hookflash = open(settings, &self.clock).await?;
        self.app = self.hookflash.roster.app(APP).context("the centre")?;
        Ok(())
    }

    async fn happens(&mut self, what: What, at: i64, length_us: i64) -> anyhow::Result<()> {
        match what {
            What::Arrive(call) => {
                let next = at + self.gap(call + 1);
                if next < length_us {
                    self.plan_at(next, What::Arrive(call + 1));
                }
                let queue = (self.chance.uniform("queue", call as u64, 0) * self.plan.queues.max(1) as f64) as usize;
                self.world.calls.push(Call::new(queue.min(self.plan.queues.max(1) - 1), at));
                let patience = self.chance.exponential_us("patience", call as u64, 0, self.plan.patience_s);
                self.plan_at(at + patience, What::GiveUp(call));
                self.ask(call, at, None).await?;
                self.stranger(call, at).await
            }
            What::Ask(call, step) if self.world.calls[call].step == step => self.ask(call, at, None).await,
            What::RungOut(call, step, status) if self.world.calls[call].step == step => self.ask(call, at, Some(status)).await,
            What::Answer(call, step, agent) if self.world.calls[call].step == step => self.answer(call, at, &agent).await,
            What::GiveUp(call) if matches!(self.world.calls[call].stage, Stage::Waiting | Stage::Ringing) => {
                self.hang_up(call, at, "CANCEL").await
            }
            What::HangUp(call) if self.world.calls[call].stage == Stage::Talking => self.hang_up(call, at, "ANSWER").await,
            What::Sweep => {
                self.plan_at(at + SWEEP_US, What::Sweep);
                while let Some(replayed) = self.replays.try_join_next() {
                    self.judge(replayed?);
                }
                timers::sweep(&self.hookflash).await;
                self.late(at).await?;
                self.ranks(at).await
            }
            _ => Ok(()),
        }
    }

    async fn ask(&mut self, call: usize, at: i64, status: Option<&str>) -> anyhow::Result<()> {
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
            let made = decision.clone();
            self.replays.spawn_blocking(move || {
                let again = record::replay(&made.caller, &made.inputs)?;
                let differs = (&again.agents, &again.candidates) != (&made.agents, &made.candidates);
                Some(Replayed { at, id: made.id, differs })
            });
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
        self.world.calls[call].asked = at;
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

    async fn answer(&mut self, call: usize, at: i64, agent: &str) -> anyhow::Result<()> {
        self.world.answers(call, agent, at);
        self.world.calls[call].step += 1;
        let form = self.answered(call, agent, "")?;
        self.tell(call, at, &form).await?;
        self.one_winner(call, at).await?;
        self.on_a_break(call, at, agent).await?;
        let talk = self.chance.exponential_us("talk", call as u64, 0, self.plan.talk_s);
        self.plan_at(at + talk, What::HangUp(call));
        Ok(())
    }

    /// The event of an answer; `note` is a field more, of no meaning.
    pub(super) fn answered(&self, call: usize, agent: &str, note: &str) -> anyhow::Result<String> {
        let extension = self.app.agent(agent).and_then(|a| a.extension.clone()).unwrap_or_default();
        let record = &self.world.calls[call];
        let fields = [
            ("event", "answer"),
            ("call", &format!("call-{call}")),
            ("from", &caller(call)),
            ("to", &number(record.queue)),
            ("offer", &record.offer),
            ("peer", &format!("PJSIP/{extension}-00000001")),
            ("note", note),
        ];
        let told = if note.is_empty() { &fields[..6] } else { &fields[..] };
        Ok(serde_urlencoded::to_string(told)?)
    }

    async fn hang_up(&mut self, call: usize, at: i64, status: &str) -> anyhow::Result<()> {
        self.world.ends(call, at);
        let record = &self.world.calls[call];
        let talk_s = record.answered.map_or(0.0, |since| (at - since) as f64 / 1e6);
        // The handler tells of the last dialling; where none was going on, it is over and told already.
        let offer = if status == "CANCEL" && record.rung.is_empty() { "" } else { record.offer.as_str() };
        let (name, from, to, queue) = (format!("call-{call}"), caller(call), number(record.queue), format!("q{}", record.queue));
        let talk = format!("{talk_s:.6}");
        let fields = [
            ("call", name.as_str()),
            ("from", &from),
            ("to", &to),
            ("place", &queue),
            ("offer", offer),
            ("dialstatus", status),
            ("answeredtime", &talk),
        ];
        let form = serde_urlencoded::to_string(fields)?;
        self.is_over(call);
        self.tell(call, at, &form).await
    }

    async fn tell(&mut self, call: usize, at: i64, form: &str) -> anyhow::Result<()> {
        let times = 1 + usize::from(self.chance.happens("told twice", call as u64, self.steps, self.plan.chaos.twice));
        for _ in 0..times {
            self.hear(form).await?;
            self.report.told += 1;
        }
        self.again(call, at, form).await
    }

    /// An event reaches the core.
    pub(super) async fn hear(&self, form: &str) -> anyhow::Result<Accepted> {
        let raw = Raw { hook: "event", query: "", content_type: FORM, body: form.as_bytes() };
        Ok(ingest::accept(&self.hookflash.db, &self.app, raw, HookKind::Event, &self.clock).await?.accepted)
    }

    pub(super) fn judge(&mut self, replayed: Option<Replayed>) {
        let Some(Replayed { at, id, differs }) = replayed else { return };
        self.world.checks(15, 1);
        if differs {
            self.world.fault(15, at, format!("decision {id} is another when it is made again"));
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
