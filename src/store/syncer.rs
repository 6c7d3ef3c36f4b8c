//! Waiting for the disk, beside the writer.
//!
//! The writer hands what it committed into the operating system's hands (see [`super::gathered`]) and goes on with the next transaction; this
//! thread then forces SQLite's write-ahead log onto the disk and answers the jobs that asked for it. What was committed while one wait lasted
//! shares the next. SQLite itself forces the log before anything of it is copied into the database file, and its header before a new round of
//! it, so an answered commit is found again whenever the power fails.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::writer::Job;
use super::{Result, StoreError};

/// So many transactions may wait for the disk; then the writer waits too.
const WAITING: usize = 64;

/// The writer's end.
pub struct Syncer {
    committed: SyncSender<Vec<Box<dyn Job>>>,
}

impl Syncer {
    /// Starts the thread for the log of this database, whose first connection must be open; it ends when this is dropped. After a failure
    /// `stopped` is set: a disk that has lost something once is not to be trusted.
    pub fn start(database: &Path, stopped: Arc<AtomicBool>) -> Result<Syncer> {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let failed = |e: io::Error| StoreError::Connection(format!("{}: {e}", log.display()));
        let file = OpenOptions::new().write(true).open(&log).map_err(failed)?;
        let (committed, jobs) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("hookflash-sync".into())
            .spawn(move || run(&jobs, || file.sync_data(), &stopped))
            .map_err(failed)?;
        Ok(Syncer { committed })
    }

    /// Answers these jobs once everything that was committed so far is on the disk.
    pub fn answer(&self, jobs: Vec<Box<dyn Job>>) {
        // The thread lives as long as this does.
        let _ = self.committed.send(jobs);
    }
}

fn run(committed: &Receiver<Vec<Box<dyn Job>>>, mut sync: impl FnMut() -> io::Result<()>, stopped: &AtomicBool) {
    while let Ok(mut jobs) = committed.recv() {
        jobs.extend(committed.try_iter().flatten());
        let synced = sync().map_err(|e| StoreError::Connection(format!("the disk did not take what was written: {e}")));
        if let Err(error) = &synced {
            stopped.store(true, Ordering::SeqCst);
            tracing::error!(%error, jobs = jobs.len(), "nothing more is written");
        }
        for job in jobs {
            job.answer(synced.as_ref().map(|_| ()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Conn;
    use super::super::writer::Durability;
    use super::*;
    use std::sync::Mutex;

    /// What happened, in order.
    #[derive(Clone, Default)]
    struct Story(Arc<Mutex<Vec<String>>>);

    impl Story {
        fn tell(&self, what: impl Into<String>) {
            self.0.lock().unwrap().push(what.into());
        }

        fn told(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    struct Named(&'static str, Story);

    impl Job for Named {
        fn run(&mut self, _: &mut Conn) -> bool {
            true
        }

        fn answer(self: Box<Self>, committed: std::result::Result<(), &StoreError>) {
            self.1.tell(format!("{} {}", self.0, if committed.is_ok() { "stands" } else { "is lost" }));
        }

        fn durability(&self) -> Durability {
            Durability::Full
        }
    }

    fn after(story: &Story, sync: impl FnMut() -> io::Result<()>) -> bool {
        let (committed, jobs) = sync_channel::<Vec<Box<dyn Job>>>(WAITING);
        let named = |name| Box::new(Named(name, story.clone())) as Box<dyn Job>;
        committed.send(vec![named("a"), named("b")]).unwrap();
        committed.send(vec![named("c")]).unwrap();
        drop(committed);
        let stopped = AtomicBool::new(false);
        run(&jobs, sync, &stopped);
        stopped.into_inner()
    }

    #[test]
    fn nobody_is_answered_before_the_disk_has_it_and_those_who_wait_share_one_wait() {
        let story = Story::default();
        let disk = story.clone();
        assert!(!after(&story, || {
            disk.tell("synced");
            Ok(())
        }));
        assert_eq!(story.told(), ["synced", "a stands", "b stands", "c stands"]);
    }

    #[test]
    fn a_disk_that_fails_is_said_to_everybody_and_stops_the_writing() {
        let story = Story::default();
        assert!(after(&story, || Err(io::Error::from(io::ErrorKind::StorageFull))));
        assert_eq!(story.told(), ["a is lost", "b is lost", "c is lost"]);
    }
}
