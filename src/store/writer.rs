//! The one writer of SQLite: a thread that takes what waits, runs each job in a savepoint, commits once, and then answers all of them.
//!
//! Waiting for the disk is what a commit costs, so jobs that arrive meanwhile share the next one. A job that fails rolls back to its own
//! savepoint; a commit that fails fails all of its jobs, and nothing of them is kept.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::decisions::Behind;
use super::{Conn, Result, StoreError};

/// How sure a commit must be before the job is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk: survives loss of power.
    Full,
    /// In the operating system's hands: survives the death of the process.
    Process,
}

/// How many jobs share one commit at the most: bounds what one answer waits for.
const BATCH: usize = 256;
/// How many jobs may wait; more are refused at once.
pub const QUEUE: usize = 4_096;
/// The write-ahead log is folded back into the database when it has grown by this many pages (4 KB each).
const CHECKPOINT_PAGES: i64 = 8_000;

pub trait Job: Send {
    fn run(&mut self, conn: &mut Conn) -> bool;
    fn answer(self: Box<Self>, committed: std::result::Result<(), &StoreError>);
    fn durability(&self) -> Durability;
}

/// A closure with the place for its result.
pub struct Write<F, T> {
    pub work: F,
    pub durability: Durability,
    pub result: Option<Result<T>>,
    pub reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Write<F, T>
where
    F: FnMut(&mut Conn) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, conn: &mut Conn) -> bool {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| (self.work)(conn)));
        let result = outcome.unwrap_or_else(|_| Err(StoreError::Refused("internal error while writing; see the log".into())));
        let ok = result.is_ok();
        self.result = Some(result);
        ok
    }

    fn answer(self: Box<Self>, committed: std::result::Result<(), &StoreError>) {
        let result = match (committed, self.result) {
            (Err(e), Some(Ok(_)) | None) => Err(StoreError::Connection(e.to_string())),
            (_, Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Busy),
        };
        // Whoever asked may have gone away; the work stands all the same.
        let _ = self.reply.send(result);
    }

    fn durability(&self) -> Durability {
        self.durability
    }
}

/// Runs until every sender is gone.
pub fn run(mut conn: Conn, mut jobs: mpsc::Receiver<Box<dyn Job>>, behind: Arc<Behind>, stopped: Arc<AtomicBool>) {
    let _ = conn.execute(&format!("PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}"));
    let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
    let mut full = true;
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        let want_full = batch.iter().any(|j| j.durability() == Durability::Full);
        if want_full != full {
            let _ = conn.execute(if want_full { "PRAGMA synchronous=FULL" } else { "PRAGMA synchronous=NORMAL" });
            full = want_full;
        }
        let committed = commit(&mut conn, &mut batch, &behind);
        if let Err(e) = &committed {
            tracing::error!(error = %e, jobs = batch.len(), "a batch of writes was not committed");
        }
        for job in batch.drain(..) {
            job.answer(committed.as_ref().map(|_| ()));
        }
    }
    let _ = commit(&mut conn, &mut batch, &behind);
    stopped.store(true, Ordering::SeqCst);
}

fn commit(conn: &mut Conn, batch: &mut [Box<dyn Job>], behind: &Behind) -> Result<()> {
    conn.execute("BEGIN IMMEDIATE")?;
    let rows = behind.take();
    let work = (|| {
        for job in batch.iter_mut() {
            conn.execute("SAVEPOINT job")?;
            let kept = job.run(conn);
            conn.execute(if kept { "RELEASE SAVEPOINT job" } else { "ROLLBACK TO SAVEPOINT job; RELEASE SAVEPOINT job" })?;
        }
        if !rows.is_empty() {
            super::decisions::insert(conn, &rows)?;
        }
        conn.execute("COMMIT")
    })();
    if let Err(error) = work {
        let _ = conn.execute("ROLLBACK");
        behind.put_back(rows);
        return Err(error);
    }
    Ok(())
}
