//! Every deadline that is stored as a row, watched by one component.
//!
//! Level-triggered: a sweep looks at what is due now and does it, whatever woke it, so a missed tick, a restart or a second node does no
//! harm: each action is a conditional update of the row it is about. Offers without a leg, legs that nobody ends, queued statuses,
//! callbacks without news, the PBX's history, decisions that could not be written, the retention of old rows, and the roster's revision are all seen here.

mod callbacks;
mod history;
mod legs;
mod offers;
mod presence;
pub mod retention;
mod statuses;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::Hookflash;
use crate::store::{Result, facts};

/// How often the sweep runs.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks the old rows are pruned and, on PostgreSQL, the clock is compared with the database's.
const SLOW_TICKS: u64 = 60;

pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

pub fn start(server: Arc<Hookflash>) -> Running {
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0u64.. {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => return,
            }
            said("refresh the applications", server.roster.refresh().await);
            sweep(&server).await;
            if tick % SLOW_TICKS == 0 {
                said("follow the database's clock", follow_clock(&server).await);
                said("prune old rows", retention::sweep(&server).await);
            }
        }
    });
    Running { stop, task }
}

/// Does everything that is due now.
pub async fn sweep(server: &Arc<Hookflash>) {
    said("end offers", offers::sweep(server).await);
    said("apply queued statuses", statuses::sweep(server).await);
    said("check live legs", legs::sweep(server).await);
    said("end calls that nobody asks about", waiting::sweep(server).await);
    said("settle callbacks", callbacks::sweep(server).await);
    history::sweep(server);
    presence::sweep(server);
    // They are written right after their answers; what waits until now could not be.
    if server.db.is_behind() {
        server.db.flush().await;
    }
}

fn said<T>(what: &str, result: Result<T>) {
    if let Err(error) = result {
        tracing::warn!(%error, "could not {what}; the next sweep tries again");
    }
}

/// Nodes that share a PostgreSQL share its clock: what one node stores as a deadline, another judges.
async fn follow_clock(server: &Hookflash) -> Result<()> {
    if !server.settings.database.url.is_postgres() {
        return Ok(());
    }
    let before = server.clock.now();
    let database = server.db.read(facts::clock).await?;
    let after = server.clock.now();
    let middle = (before.micros() + after.micros()) / 2;
    let off = database.micros() - middle;
    // Less than the round trip tells nothing.
    if off.abs() > 50_000.max(after.since(before)) {
        tracing::info!(off_ms = off / 1_000, "the clock follows the database's");
        server.clock.correct(off);
    }
    Ok(())
}
