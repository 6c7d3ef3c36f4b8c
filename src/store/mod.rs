//! All SQL. One code path for SQLite (embedded, one writer thread) and PostgreSQL (many nodes).
//!
//! [`Db`] has three doors: [`Db::write`] runs a job in a transaction and answers after its commit; [`Db::read`] runs a query on a pooled
//! connection off the async threads; [`Db::read_here`] runs a routing hook's few keyed reads on the calling thread (SQLite) or through the
//! pool (PostgreSQL). Nothing else in the house knows a database.

pub mod agent_sums;
pub mod agents;
pub mod ami_links;
pub mod callbacks;
pub mod calls;
mod checkpoint;
mod conn;
pub mod contacts;
mod db;
pub mod decisions;
pub mod facts;
mod gathered;
pub mod journal;
pub mod lines;
pub mod live;
pub mod log;
pub mod migrate;
pub mod offers;
pub mod outages;
mod prepared;
pub mod provisioned;
pub mod reconciliations;
pub mod records;
pub mod roster;
pub mod routed;
pub mod schema;
mod spans;
mod sqlite;
pub mod stats;
mod syncer;
pub mod times;
pub mod tokens;
mod writer;

pub use conn::{Conn, Url};
pub use db::{Db, Options};
pub use writer::Durability;

/// Compiles `$body` once for each database, with `$c` the concrete connection: diesel's statements are then ordinary, cached ones.
#[macro_export]
macro_rules! on_backend {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite($c) => $body,
            $crate::store::Conn::Postgres($c) => $body,
        }
    };
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue of writes or the pool of readers is full: come again.
    #[error("the database is busy")]
    Busy,
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] diesel::result::Error),
    #[error("no connection to the database: {0}")]
    Connection(String),
    /// A row holds what this version cannot read.
    #[error("unreadable row: {0}")]
    Unreadable(String),
    /// A job refused its own input; its savepoint was rolled back.
    #[error("{0}")]
    Refused(String),
}

pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// Somebody else has stored a row of the same unique key first.
    pub fn is_taken(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        matches!(self, StoreError::Database(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)))
    }

    /// Another transaction was in the way; the same job may succeed when it is run again.
    fn is_transient(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            StoreError::Database(Error::DatabaseError(kind, info)) => {
                matches!(kind, DatabaseErrorKind::SerializationFailure) || info.message().contains("deadlock detected")
            }
            _ => false,
        }
    }
}

/// Writes `value` as the JSON that a TEXT column holds.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Unreadable(e.to_string()))
}

/// Reads a TEXT column's JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| StoreError::Unreadable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::StoreError;
    use diesel::result::{DatabaseErrorKind, Error};

    #[test]
    fn only_a_unique_key_is_taken() {
        let database = |kind| StoreError::Database(Error::DatabaseError(kind, Box::new(String::new())));
        assert!(database(DatabaseErrorKind::UniqueViolation).is_taken());
        assert!(!database(DatabaseErrorKind::SerializationFailure).is_taken() && !StoreError::Busy.is_taken());
    }
}
