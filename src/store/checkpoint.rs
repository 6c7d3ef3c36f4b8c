//! Copying the write-ahead log back into the database file, beside the writer.
//!
//! A checkpoint of a log of some size takes tens of milliseconds, which a claim cannot wait. So a thread with a connection of its own copies
//! what was committed while the writer goes on. The log begins anew only when nothing of it is left to copy, which under load the thread
//! alone never reaches: once it has copied nearly all, the writer can copy the little that came meanwhile. The writer then waits until the
//! database file is on the disk, which is the longest that a claim may meet, so it does that when there is nothing else to do, and under load
//! only when the log has become long; and the thread forces there before what it has copied itself. It gives way to whoever answers requests.
//! What it has copied SQLite takes out of the log sooner or later: if the disk does not take it, nothing more may be written.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Integer;

use super::conn::Url;
use super::{Conn, Result, StoreError};

/// So many pages (4 KB each) of the log are worth a checkpoint.
const PAGES: i32 = 16_000;
/// A log of so many begins anew even when the writer has other things to do.
const LONGEST: i32 = 32_000;
/// What the writer copies in a few milliseconds, pages.
const LITTLE: i32 = 1_000;
/// What the thread leaves to the writer, pages, when that has other things to do; if it can, in so many passes.
const FEW: i32 = 200;
const PASSES: usize = 5;
/// The writer has nothing else to do when nobody has asked for so long.
pub const IDLE: Duration = Duration::from_millis(20);
/// How long the thread rests after it has looked.
const PAUSE: Duration = Duration::from_millis(50);

/// The writer's end.
pub struct Checkpoints {
    committed: SyncSender<()>,
    /// How long the log is of which nearly all is copied; 0: it is not.
    nearly_done: Arc<AtomicI32>,
}

impl Checkpoints {
    /// Starts the thread; it ends when this is dropped. `stopped` is set when the disk has not taken what was copied.
    pub fn start(database: &Path, stopped: Arc<AtomicBool>) -> Result<Checkpoints> {
        let conn = Conn::open(&Url::Sqlite(database.to_owned()))?;
        let file = OpenOptions::new().write(true).open(database).map_err(|e| StoreError::Connection(e.to_string()))?;
        let (committed, commits) = sync_channel(1);
        let nearly_done = Arc::new(AtomicI32::new(0));
        let shared = nearly_done.clone();
        std::thread::Builder::new()
            .name("hookflash-checkpoint".into())
            .spawn(move || run(conn, file, &commits, &shared, &stopped))
            .map_err(|e| StoreError::Connection(e.to_string()))?;
        Ok(Checkpoints { committed, nearly_done })
    }

    /// The writer has committed. `is_idle`: what it did before was to wait.
    pub fn committed(&self, writer: &mut Conn, is_idle: bool) {
        let length = self.nearly_done.load(Ordering::Relaxed);
        let is_due = length >= LONGEST || (length > 0 && is_idle && has_little(writer));
        if is_due
            && self.nearly_done.swap(0, Ordering::Relaxed) > 0
            && let Err(error) = log_state(writer, "PASSIVE")
        {
            tracing::warn!(%error, "the rest of a checkpoint failed; the next one tries again");
        }
        // Full: the thread has not yet looked at an earlier one.
        let _ = self.committed.try_send(());
    }
}

fn run(mut conn: Conn, file: File, commits: &Receiver<()>, nearly_done: &AtomicI32, stopped: &AtomicBool) {
    give_way();
    while commits.recv().is_ok() {
        match copy(&mut conn, || file.sync_data()) {
            Ok(Copied::To(length)) => nearly_done.store(length, Ordering::Relaxed),
            Ok(Copied::Nothing) => {}
            Ok(Copied::Lost(error)) => {
                stopped.store(true, Ordering::SeqCst);
                tracing::error!(%error, "the disk did not take what was copied of the log: nothing more is written");
                break;
            }
            Err(error) => tracing::warn!(%error, "a checkpoint failed; the next one tries again"),
        }
        std::thread::sleep(PAUSE);
    }
    // Not closed: with any handle of a file that a process closes it loses its locks, those of SQLite's other connections too.
    std::mem::forget(file);
}

/// Lets other threads of the process run first, where the system can tell threads apart.
fn give_way() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes no pointers; 0 is the thread that calls.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) } != 0 {
        tracing::debug!("the thread that copies the log runs with the priority of the others");
    }
}

/// True when little of the log is left to copy.
fn has_little(writer: &mut Conn) -> bool {
    log_state(writer, "NOOP").is_ok_and(|state| state.left() <= LITTLE)
}

enum Copied {
    Nothing,
    /// Nearly all of a log that has so many pages.
    To(i32),
    /// It was written, and is not on the disk.
    Lost(io::Error),
}

/// Copies what is worth it, and has the disk take it.
fn copy(conn: &mut Conn, mut sync: impl FnMut() -> io::Result<()>) -> Result<Copied> {
    if log_state(conn, "NOOP")?.left() < PAGES {
        return Ok(Copied::Nothing);
    }
    let mut length = 0;
    for _ in 0..PASSES {
        let copied = log_state(conn, "PASSIVE")?;
        if let Err(error) = sync() {
            return Ok(Copied::Lost(error));
        }
        length = copied.log;
        // The writer ends the round of a long log at once: it shall find no more than what comes in the time of a short pass. Where a reader
        // holds the copying back, another pass helps nothing.
        let again = length >= LONGEST && copied.left() == 0 && log_state(conn, "NOOP")?.left() > FEW;
        if !again {
            break;
        }
    }
    Ok(Copied::To(length))
}

#[derive(QueryableByName)]
struct LogState {
    /// Pages in the log.
    #[diesel(sql_type = Integer)]
    log: i32,
    /// Those of them that are in the database file too.
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

impl LogState {
    /// Pages that are to be copied.
    fn left(&self) -> i32 {
        self.log - self.checkpointed
    }
}

/// Runs a checkpoint and tells how far it came; `NOOP` only tells.
fn log_state(conn: &mut Conn, mode: &str) -> Result<LogState> {
    match conn {
        Conn::Sqlite(c) => Ok(diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(c)?),
        Conn::Postgres(_) => Err(StoreError::Refused("PostgreSQL has no log of ours".into())),
    }
}
