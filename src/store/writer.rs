//! The one writer of SQLite: a thread that takes what waits, runs it in one transaction, commits once, and then answers all of it: a claim at
//! once, what must be on the disk through the [`Syncer`], which waits for the disk beside the next transaction.
//!
//! A commit costs pages of the log, so jobs that arrive meanwhile share the next one. Jobs run without savepoints, which cost as
//! much as the jobs do; when one fails, all is rolled back and the batch runs again with a savepoint each, so that the failed one leaves
//! nothing and the others stand. A commit that fails fails all of its jobs, and nothing of them is kept.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{Checkpoints, IDLE};
use super::decisions::{self, Behind};
use super::syncer::Syncer;
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

/// What works beside the writer.
pub struct Beside {
    pub decisions: Arc<Behind>,
    pub checkpoints: Checkpoints,
    pub syncer: Syncer,
}

/// Runs until every sender is gone, or a disk failed: then whoever waits is told that nothing is written any more.
pub fn run(mut conn: Conn, mut jobs: mpsc::Receiver<Box<dyn Job>>, beside: Beside, stopped: Arc<AtomicBool>) {
    let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
    loop {
        let waits = Instant::now();
        if stopped.load(Ordering::SeqCst) || jobs.blocking_recv_many(&mut batch, BATCH) == 0 {
            break;
        }
        let is_idle = waits.elapsed() >= IDLE;
        let committed = commit(&mut conn, &mut batch, &beside.decisions);
        if let Err(e) = &committed {
            tracing::error!(error = %e, jobs = batch.len(), "a batch of writes was not committed");
        }
        let (durable, quick): (Vec<_>, Vec<_>) = batch.drain(..).partition(|job| committed.is_ok() && job.durability() == Durability::Full);
        for job in quick {
            job.answer(committed.as_ref().map(|_| ()));
        }
        if !durable.is_empty() {
            beside.syncer.answer(durable);
        }
        beside.checkpoints.committed(&mut conn, is_idle);
    }
    let _ = commit(&mut conn, &mut [], &beside.decisions);
    stopped.store(true, Ordering::SeqCst);
}

fn commit(conn: &mut Conn, batch: &mut [Box<dyn Job>], behind: &Behind) -> Result<()> {
    match attempt(conn, batch, behind, Savepoints::None) {
        Ok(false) => attempt(conn, batch, behind, Savepoints::Each).map(|_| ()),
        other => other.map(|_| ()),
    }
}

/// Whether a failed job takes the whole batch with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Savepoints {
    None,
    Each,
}

/// Runs and commits the batch; false when a job failed that had no savepoint, and nothing was kept.
fn attempt(conn: &mut Conn, batch: &mut [Box<dyn Job>], behind: &Behind, savepoints: Savepoints) -> Result<bool> {
    conn.execute("BEGIN IMMEDIATE")?;
    // Taken when the transaction is there: what waits for a locked database is seen to wait.
    let rows = behind.take();
    let result = run_all(conn, batch, savepoints).and_then(|whole| {
        if whole {
            decisions::insert(conn, &rows)?;
            conn.execute("COMMIT")?;
        }
        Ok(whole)
    });
    if !matches!(result, Ok(true)) {
        let _ = conn.execute("ROLLBACK");
        behind.put_back(rows);
    }
    result
}

fn run_all(conn: &mut Conn, batch: &mut [Box<dyn Job>], savepoints: Savepoints) -> Result<bool> {
    for job in batch {
        if savepoints == Savepoints::None {
            if !job.run(conn) {
                return Ok(false);
            }
            continue;
        }
        conn.execute("SAVEPOINT job")?;
        let kept = job.run(conn);
        conn.execute(if kept { "RELEASE SAVEPOINT job" } else { "ROLLBACK TO SAVEPOINT job; RELEASE SAVEPOINT job" })?;
    }
    Ok(true)
}
