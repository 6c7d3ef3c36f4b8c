//! Copying the write-ahead log back into the database file, beside the writer.
//!
//! A checkpoint of a log of some size takes tens of milliseconds, which a claim cannot wait. So a thread with a connection of its own copies
//! what was committed while the writer goes on. The log begins anew only when nothing of it is left to copy, which under load the thread
//! alone never reaches: once it has copied nearly all, it asks the writer to copy the little that came meanwhile. The writer then waits until
//! the database file is on the disk, so the thread forces there before what it has copied itself. It gives way to whoever answers requests.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Integer;

use super::conn::Url;
use super::{Conn, Result, StoreError};

/// So many pages (4 KB each) of the log are worth a checkpoint.
const PAGES: i32 = 16_000;
/// How long the thread rests after it has looked.
const PAUSE: Duration = Duration::from_millis(50);

/// The writer's end.
pub struct Checkpoints {
    committed: SyncSender<()>,
    nearly_done: Arc<AtomicBool>,
}

impl Checkpoints {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(database: &Path) -> Result<Checkpoints> {
        let conn = Conn::open(&Url::Sqlite(database.to_owned()))?;
        let file = OpenOptions::new().write(true).open(database).map_err(|e| StoreError::Connection(e.to_string()))?;
        let (committed, commits) = sync_channel(1);
        let nearly_done = Arc::new(AtomicBool::new(false));
        let shared = nearly_done.clone();
        std::thread::Builder::new()
            .name("hookflash-checkpoint".into())
            .spawn(move || run(conn, file, &commits, &shared))
            .map_err(|e| StoreError::Connection(e.to_string()))?;
        Ok(Checkpoints { committed, nearly_done })
    }

    /// The writer has committed.
    pub fn committed(&self, writer: &mut Conn) {
        if self.nearly_done.swap(false, Ordering::Relaxed)
            && let Err(error) = log_state(writer, "PASSIVE")
        {
            tracing::warn!(%error, "the rest of a checkpoint failed; the next one tries again");
        }
        // Full: the thread has not yet looked at an earlier one.
        let _ = self.committed.try_send(());
    }
}

fn run(mut conn: Conn, file: File, commits: &Receiver<()>, nearly_done: &AtomicBool) {
    give_way();
    while commits.recv().is_ok() {
        match copy(&mut conn) {
            Ok(true) => {
                // If it fails, the writer's own attempt fails too, and is told.
                let _ = file.sync_data();
                nearly_done.store(true, Ordering::Relaxed);
            }
            Ok(false) => {}
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

/// Copies what is worth it; true when it did.
fn copy(conn: &mut Conn) -> Result<bool> {
    let state = log_state(conn, "NOOP")?;
    if state.log - state.checkpointed < PAGES {
        return Ok(false);
    }
    log_state(conn, "PASSIVE")?;
    Ok(true)
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

/// Runs a checkpoint and tells how far it came; `NOOP` only tells.
fn log_state(conn: &mut Conn, mode: &str) -> Result<LogState> {
    match conn {
        Conn::Sqlite(c) => Ok(diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(c)?),
        Conn::Postgres(_) => Err(StoreError::Refused("PostgreSQL has no log of ours".into())),
    }
}
