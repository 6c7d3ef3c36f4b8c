//! The day itself: what happens next, until the last caller is gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::chance::Chance;
use super::people::{Call, Stage};
use super::plan::{APP, BEGIN, Plan, centre};
use super::questions::Replayed;
use super::report::Report;
use super::world::World;
use crate::app::Hookflash;
use crate::config::{DatabaseUrl, Settings};
use crate::declare;
use crate::domain::time::Clock;
use crate::domain::validate;
use crate::roster::App;
use crate::store::roster::Origin;
use crate::store::{Durability, StoreError};
use crate::timers;

const SWEEP_US: i64 = 5_000_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
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
    pub(super) replays: JoinSet<Replayed>,
    /// Calls whose answer will be told once more.
    pub(super) untold: Vec<usize>,
    pub(super) report: Report,
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

impl Day<'_> {
    pub(super) fn plan_at(&mut self, at: i64, what: What) {
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
}
