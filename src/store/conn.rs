//! One connection to either database, and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use super::{Result, StoreError, sqlite};
use crate::on_backend;

pub enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Which database, as `database.url` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Url {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Url {
    /// # Errors
    /// A sentence that names the two forms.
    pub fn parse(url: &str) -> std::result::Result<Url, String> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return if path.is_empty() {
                Err("database.url: sqlite:// needs a path after it".into())
            } else {
                Ok(Url::Sqlite(path.into()))
            };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Url::Postgres(url.to_owned()));
        }
        Err("database.url must be sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME".into())
    }
}

impl Conn {
    pub fn open(url: &Url) -> Result<Conn> {
        let failed = |e: diesel::ConnectionError| StoreError::Connection(e.to_string());
        match url {
            Url::Sqlite(path) => {
                sqlite::prepare_all();
                let mut c = SqliteConnection::establish(&path.to_string_lossy()).map_err(failed)?;
                // A page cache of 4 MB a connection: the operating system's cache holds the rest, and memory is judged by our own pages.
                c.batch_execute(
                    "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF; \
                     PRAGMA cache_size=-4096; PRAGMA temp_store=FILE; PRAGMA journal_size_limit=201326592;",
                )?;
                Ok(Conn::Sqlite(c))
            }
            Url::Postgres(url) => {
                let mut c = PgConnection::establish(url).map_err(failed)?;
                c.batch_execute("SET client_min_messages TO warning; SET lock_timeout = '10s'; SET statement_timeout = '60s'")?;
                Ok(Conn::Postgres(c))
            }
        }
    }

    pub fn execute(&mut self, sql: &str) -> Result<()> {
        on_backend!(self, |c| c.batch_execute(sql)).map_err(Into::into)
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self, Conn::Postgres(_))
    }

    /// Runs `work` in a transaction of its own; a transaction that lost against another is run again.
    pub fn transaction<T>(&mut self, durable: bool, work: &mut dyn FnMut(&mut Conn) -> Result<T>) -> Result<T> {
        let begin = match self {
            Conn::Sqlite(_) => "BEGIN IMMEDIATE",
            Conn::Postgres(_) if durable => "BEGIN",
            Conn::Postgres(_) => "BEGIN; SET LOCAL synchronous_commit TO off",
        };
        for attempt in 0.. {
            self.execute(begin)?;
            let result = work(self).and_then(|value| self.execute("COMMIT").map(|()| value));
            match result {
                Ok(value) => return Ok(value),
                Err(error) => {
                    // After a failed COMMIT there may be no transaction left; that ROLLBACK then says so, which is no news.
                    let _ = self.execute("ROLLBACK");
                    if !error.is_transient() || attempt == 9 {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(1 << attempt.min(5)));
                }
            }
        }
        unreachable!("the loop returns")
    }
}
