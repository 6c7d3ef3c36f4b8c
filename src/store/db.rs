//! The doors to the database.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::conn::Url;
use super::decisions::Behind;
use super::syncer::Syncer;
use super::writer::{self, Beside, Durability, Job, Write};
use super::{Conn, Result, StoreError, gathered, migrate};
use crate::domain::decision::Decision;

/// How long a connection is trusted after it has worked.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long decisions wait for others to be written with.
const GATHER: Duration = Duration::from_millis(5);

/// How to open a database.
#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    /// Connections for reads (and, on PostgreSQL, for writes).
    pub pool_size: u32,
}

/// The database. Cheap to clone; dropped when the last clone is.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    url: Url,
    /// Tells this database's connection from those of others that the same thread may hold (tests open several).
    id: u64,
    pool: r2d2::Pool<Manager>,
    readers: Arc<Semaphore>,
    lane: Lane,
    behind: Arc<Behind>,
    thrown_away: AtomicBool,
}

enum Lane {
    /// SQLite: the writer's queue.
    Thread { jobs: mpsc::Sender<Box<dyn Job>>, stopped: Arc<AtomicBool> },
    /// PostgreSQL: a transaction on a pooled connection each.
    Pool { permits: Arc<Semaphore>, flushing: tokio::sync::Mutex<()> },
}

struct Manager(Url);

/// A connection of the pool.
struct Pooled {
    conn: Conn,
    /// When it last did what it was asked; `None`: the last time it did not.
    worked: Option<Instant>,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = StoreError;

    fn connect(&self) -> Result<Pooled> {
        Ok(Pooled { conn: Conn::open(&self.0)?, worked: Some(Instant::now()) })
    }

    /// Asked of a connection that is taken from the pool. One that has just worked is trusted: to ask PostgreSQL each time costs as much as a
    /// query.
    fn is_valid(&self, pooled: &mut Pooled) -> Result<()> {
        match pooled.worked {
            Some(at) if at.elapsed() < TRUSTED => Ok(()),
            _ => pooled.conn.execute("SELECT 1"),
        }
    }

    fn has_broken(&self, _: &mut Pooled) -> bool {
        false
    }
}

impl Db {
    /// Opens, creates and migrates (under a lock, so that many may start at once).
    ///
    /// # Errors
    /// The URL has neither form; the database cannot be reached or written; its schema is newer than this program.
    pub fn open(options: &Options) -> Result<Db> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let url = Url::parse(&options.url).map_err(StoreError::Refused)?;
        if let Url::Sqlite(path) = &url {
            migrate::make_private(path)?;
        }
        let mut first = Conn::open(&url)?;
        migrate::run(&mut first, &url)?;
        let size = options.pool_size.max(2);
        let sqlite = matches!(url, Url::Sqlite(_));
        let pool = r2d2::Pool::builder()
            .max_size(size)
            // Connections are made when they are asked for: none is being made in the background when the process ends.
            .min_idle(Some(0))
            // On PostgreSQL a connection may have died while it lay idle; a SQLite file has no line to drop.
            .test_on_check_out(!sqlite)
            .connection_timeout(Duration::from_secs(5))
            .build(Manager(url.clone()))
            .map_err(|e| StoreError::Connection(e.to_string()))?;
        let behind = Arc::new(Behind::default());
        let lane = if let Url::Sqlite(path) = &url {
            let (jobs, queue) = mpsc::channel(writer::QUEUE);
            let stopped = Arc::new(AtomicBool::new(false));
            // Copying the log and waiting for the disk are done by the threads beside it; the writer's own commits must not.
            first.execute("PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-16384")?;
            gathered::gather(&mut first)?;
            let beside = Beside {
                decisions: behind.clone(),
                checkpoints: Checkpoints::start(path, stopped.clone())?,
                syncer: Syncer::start(path, stopped.clone())?,
            };
            let its_stop = stopped.clone();
            std::thread::Builder::new()
                .name("hookflash-writer".into())
                .spawn(move || writer::run(first, queue, beside, its_stop))
                .map_err(|e| StoreError::Connection(e.to_string()))?;
            Lane::Thread { jobs, stopped }
        } else {
            // Reads keep at least one connection of the pool for themselves.
            Lane::Pool { permits: Arc::new(Semaphore::new(size as usize - 1)), flushing: tokio::sync::Mutex::new(()) }
        };
        let readers = Arc::new(Semaphore::new(size as usize));
        Ok(Db(Arc::new(Inner {
            url,
            id: IDS.fetch_add(1, Ordering::Relaxed),
            pool,
            readers,
            lane,
            behind,
            thrown_away: AtomicBool::new(false),
        })))
    }

    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// From now on nothing waits for the disk, whatever is asked for: for a database that ends with the command which made it.
    pub fn throw_away(&self) {
        self.0.thrown_away.store(true, Ordering::Relaxed);
    }

    /// Runs `work` in a transaction and returns after its commit. `work` may be run more than once when transactions collide.
    ///
    /// # Errors
    /// [`StoreError::Busy`] at once when too many writes wait; what `work` returned, with everything it did undone.
    pub async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let durability = if self.0.thrown_away.load(Ordering::Relaxed) { Durability::Process } else { durability };
        match &self.0.lane {
            Lane::Thread { jobs, .. } => {
                let (reply, answer) = oneshot::channel();
                let job = Box::new(Write { work, durability, result: None, reply });
                jobs.try_send(job).map_err(|_| StoreError::Busy)?;
                answer.await.map_err(|_| StoreError::Connection("the writer has stopped".into()))?
            }
            Lane::Pool { permits, .. } => {
                let permit = tokio::time::timeout(Duration::from_secs(2), permits.clone().acquire_owned())
                    .await
                    .map_err(|_| StoreError::Busy)?
                    .map_err(|_| StoreError::Busy)?;
                let (db, mut work) = (self.clone(), work);
                blocking(move || {
                    let _permit = permit;
                    db.pooled(|conn| conn.transaction(durability == Durability::Full, &mut work))
                })
                .await
            }
        }
    }

    /// [`Db::write`] for a command that has no async runtime.
    pub fn write_blocking<T: Send + 'static>(
        &self,
        durability: Durability,
        mut work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.0.lane {
            Lane::Thread { jobs, .. } => {
                let (reply, answer) = oneshot::channel();
                let job = Box::new(Write { work, durability, result: None, reply });
                jobs.blocking_send(job).map_err(|_| StoreError::Connection("the writer has stopped".into()))?;
                answer.blocking_recv().map_err(|_| StoreError::Connection("the writer has stopped".into()))?
            }
            Lane::Pool { .. } => self.pooled(|conn| conn.transaction(durability == Durability::Full, &mut work)),
        }
    }

    /// Runs a query on a pooled connection off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when no connection is free within a moment.
    pub async fn read<T: Send + 'static>(&self, query: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        let permit = tokio::time::timeout(Duration::from_millis(500), self.0.readers.clone().acquire_owned())
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Busy)?;
        let db = self.clone();
        blocking(move || {
            let _permit = permit;
            db.pooled(query)
        })
        .await
    }

    /// [`Db::read`] for a command that has no async runtime.
    pub fn read_blocking<T>(&self, query: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        self.pooled(query)
    }

    /// A routing hook's keyed reads: on the calling thread over a connection of its own (SQLite), or through the pool (PostgreSQL).
    pub async fn read_here<T: Send + 'static>(&self, query: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        match &self.0.url {
            Url::Sqlite(_) => self.on_this_thread(query),
            Url::Postgres(_) => self.read(query).await,
        }
    }

    fn on_this_thread<T>(&self, query: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        thread_local! {
            static MINE: RefCell<Option<(u64, Conn)>> = const { RefCell::new(None) };
        }
        MINE.with(|mine| {
            let mut mine = mine.borrow_mut();
            if mine.as_ref().is_none_or(|(id, _)| *id != self.0.id) {
                *mine = Some((self.0.id, Conn::open(&self.0.url)?));
            }
            match mine.as_mut() {
                Some((_, conn)) => query(conn),
                None => Err(StoreError::Busy),
            }
        })
    }

    fn pooled<T>(&self, query: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        let mut pooled = self.0.pool.get().map_err(|e| StoreError::Connection(e.to_string()))?;
        let result = query(&mut pooled.conn);
        pooled.worked = result.is_ok().then(Instant::now);
        result
    }

    /// Records a decision behind the answer, without ever waiting. False: the store has been away for so long that it is not recorded.
    pub fn decide_later(&self, decision: Decision, application: i64) -> bool {
        let waiting = self.0.behind.push(application, decision);
        if waiting == Some(1) {
            // The first to wait starts the writing; after a failure the timers try again.
            drop(self.flush_behind());
        }
        waiting.is_some()
    }

    /// As [`Db::decide_later`], but waits, not longer than `patience`, when so many are queued that the store cannot keep up.
    pub async fn decide(&self, decision: Decision, application: i64, patience: Duration) -> bool {
        let kept = self.decide_later(decision, application);
        if self.0.behind.is_crowded() {
            // What is being written is not given up with the waiting.
            let _ = tokio::time::timeout(patience, self.flush_behind()).await;
        }
        kept
    }

    /// True while decisions wait to be written.
    pub fn is_behind(&self) -> bool {
        !self.0.behind.is_empty()
    }

    /// Starts writing what waits behind.
    fn flush_behind(&self) -> tokio::task::JoinHandle<()> {
        let db = self.clone();
        tokio::spawn(async move {
            // Let the decisions of this moment gather, so that one commit takes them all; another's may have taken them already.
            tokio::time::sleep(GATHER).await;
            if !db.0.behind.is_empty() {
                db.flush().await;
            }
        })
    }

    /// Writes the decisions that wait, and returns when they are committed.
    pub async fn flush(&self) {
        let result = match &self.0.lane {
            // The writer takes what waits behind with every commit; an empty job makes it commit.
            Lane::Thread { .. } => self.write(Durability::Process, |_| Ok(())).await,
            Lane::Pool { flushing, .. } => {
                // Rows that somebody else has taken are not committed yet: whoever flushes after him waits for him.
                let _one = flushing.lock().await;
                let rows = self.0.behind.take();
                let kept = rows.clone();
                let result = self.write(Durability::Process, move |conn| super::decisions::insert(conn, &rows)).await;
                if result.is_err() {
                    self.0.behind.put_back(kept);
                }
                result
            }
        };
        if let Err(error) = result {
            tracing::warn!(%error, "decisions wait to be recorded");
        }
    }

    /// Jobs that wait for the writer.
    pub fn waiting_writes(&self) -> usize {
        match &self.0.lane {
            Lane::Thread { jobs, .. } => jobs.max_capacity() - jobs.capacity(),
            Lane::Pool { permits, .. } => (self.0.pool.max_size() as usize - 1).saturating_sub(permits.available_permits()),
        }
    }

    /// True while the writer takes jobs.
    pub fn is_alive(&self) -> bool {
        match &self.0.lane {
            Lane::Thread { jobs, stopped } => !jobs.is_closed() && !stopped.load(Ordering::SeqCst),
            Lane::Pool { .. } => true,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(StoreError::Refused(format!("internal error while reading: {e}"))),
    }
}
