//! When the history is read without being asked: soon after a start, then every `reconcile_s` of the application.
//!
//! Each application has a time at which it is due, in memory; how far it came is a row. A run is a task of its own, because it may take
//! minutes; of two servers on one database only one reads at a time, and each period is read once. A run that was stopped is tried again, sooner or later by the cause.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Asked, OVERLAP_S, Reconciler, Report, Stopped};
use crate::domain::time::Timestamp;
use crate::roster::{App, Roster};
use crate::store::{Result, journal, reconciliations};

/// After a start the events that are on their way go first, seconds.
const SETTLE_S: i64 = 10;
/// After a failure, seconds.
const TRY_AGAIN_S: i64 = 120;

/// What is due when, and what runs.
#[derive(Default)]
pub struct Schedule {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    due: HashMap<i64, Timestamp>,
    running: HashSet<i64>,
    /// Those that had a turn.
    begun: HashSet<i64>,
}

/// One application whose time has come; it counts as running until this is dropped.
pub struct Turn {
    schedule: Arc<Schedule>,
    pub app: Arc<App>,
    /// When it is due again, unless [`Turn::run`] knows better.
    next: Timestamp,
    /// The first since this server's start: what was lost meanwhile is looked for whoever else has looked.
    first: bool,
    every_s: i64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.schedule.lock();
        state.running.remove(&self.app.id());
        state.due.insert(self.app.id(), self.next);
    }
}

impl Schedule {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The applications that are due at `now`.
    pub fn due(self: &Arc<Self>, roster: &Roster, now: Timestamp) -> Vec<Turn> {
        let mut state = self.lock();
        let mut turns = Vec::new();
        for app in roster.snapshot().apps.values() {
            let Some(every_s) = interval_s(app) else { continue };
            let due = *state.due.entry(app.id()).or_insert(now.plus_s(SETTLE_S));
            if due <= now && state.running.insert(app.id()) {
                let first = state.begun.insert(app.id());
                turns.push(Turn { schedule: self.clone(), app: app.clone(), next: now.plus_s(every_s), first, every_s });
            }
        }
        turns
    }
}

/// How often an application's history is read; `None`: not by itself, or there is nobody to ask.
fn interval_s(app: &App) -> Option<i64> {
    let settings = app.pbx.telphin()?;
    (settings.reconcile_s > 0 && !settings.client_id.is_empty()).then_some(settings.reconcile_s)
}

impl Turn {
    /// Reads on from where the last run came to.
    ///
    /// # Errors
    /// The store could not say from where.
    pub async fn run(mut self, reconciler: &Reconciler) -> Result<(Report, Option<Stopped>)> {
        let (now, app) = (reconciler.clock.now(), self.app.id());
        let (row, newest) = reconciler.db.read(move |conn| Ok((reconciliations::get(conn, app)?, journal::newest(conn, app, 1)?))).await?;
        // Another server on this database has just done it.
        let settled = row.map(|r| Timestamp(r.settled_until)).filter(|t| t.0 > 0);
        if let Some(due) = settled.map(|s| s.plus_s(OVERLAP_S + self.every_s)).filter(|due| !self.first && *due > now) {
            self.next = due;
            return Ok((Report::default(), None));
        }
        // Before there was a first event there was nothing to lose.
        let first = newest.first().map_or(now, |t| t.plus_s(-OVERLAP_S));
        let asked = Asked { from: settled.unwrap_or(first).min(now.plus_s(-OVERLAP_S)), to: now, dry_run: false };
        let (report, stopped) = reconciler.run(&self.app, asked, &mut ()).await;
        match &stopped {
            None => {}
            Some(Stopped::Limit(seconds)) => self.next = now.plus_s(seconds + 1),
            Some(_) => self.next = self.next.min(now.plus_s(TRY_AGAIN_S)),
        }
        Ok((report, stopped))
    }
}
