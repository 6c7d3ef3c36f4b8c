//! What PBXs sent, as they sent it: the truth that calls and legs are a fold of.

use diesel::prelude::*;

use super::prepared::kept;
use super::schema::journal;
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = journal, treat_none_as_default_value = false)]
pub struct Entry {
    pub application: i64,
    /// The event's own time in microseconds, 0 without a usable one: keeps the inserts of a day together.
    pub at: i64,
    /// Digest of what makes it the same event.
    pub digest: i64,
    pub received_at: i64,
    /// The hook that it came through.
    pub hook: String,
    /// Our id of the call; `None` when it is not about a call, or unreadable.
    pub call_id: Option<String>,
    pub content_type: String,
    pub raw: Vec<u8>,
    /// Why it could not be read or applied.
    pub error: Option<String>,
}

/// Adds an entry; false when the same event is there already.
pub fn insert(conn: &mut Conn, entry: &Entry) -> Result<bool> {
    let added = on_backend!(conn, |c| kept!(diesel::insert_into(journal::table).values(entry).on_conflict_do_nothing()).execute(c))?;
    Ok(added > 0)
}

/// Why the stored entry of the same event could not be read or applied; `None`: it was.
pub fn error_of(conn: &mut Conn, entry: &Entry) -> Result<Option<String>> {
    let key = (entry.application, entry.at, entry.digest);
    let found = on_backend!(conn, |c| journal::table.find(key).select(journal::error).first::<Option<String>>(c).optional())?;
    Ok(found.flatten())
}

/// The entries of calls whose id lies in `from..to`, oldest first.
pub fn of_calls(conn: &mut Conn, application: i64, from: &str, to: &str) -> Result<Vec<Entry>> {
    Ok(on_backend!(conn, |c| journal::table
        .filter(journal::application.eq(application).and(journal::call_id.ge(from)).and(journal::call_id.lt(to)))
        .order((journal::received_at, journal::at, journal::digest))
        .select(Entry::as_select())
        .load(c))?)
}

/// Entries that arrived at `from` or later, oldest first.
pub fn since(conn: &mut Conn, application: i64, from: Timestamp, limit: i64) -> Result<Vec<Entry>> {
    Ok(on_backend!(conn, |c| journal::table
        .filter(journal::application.eq(application).and(journal::received_at.ge(from.0)))
        .order((journal::received_at, journal::at, journal::digest))
        .limit(limit)
        .select(Entry::as_select())
        .load(c))?)
}

/// Of an entry: when it arrived, the rest of its key, and the call that it is of.
pub type Arrival = (i64, i64, i64, Option<String>);

/// The arrivals at `from` or later, oldest first.
pub fn arrivals(conn: &mut Conn, application: i64, from: Timestamp, limit: i64) -> Result<Vec<Arrival>> {
    Ok(on_backend!(conn, |c| journal::table
        .filter(journal::application.eq(application).and(journal::received_at.ge(from.0)))
        .order((journal::received_at, journal::at, journal::digest))
        .limit(limit)
        .select((journal::received_at, journal::at, journal::digest, journal::call_id))
        .load(c))?)
}

/// When the last `n` entries arrived.
pub fn newest(conn: &mut Conn, application: i64, n: i64) -> Result<Vec<Timestamp>> {
    let times: Vec<i64> = on_backend!(conn, |c| journal::table
        .filter(journal::application.eq(application))
        .order(journal::received_at.desc())
        .limit(n)
        .select(journal::received_at)
        .load(c))?;
    Ok(times.into_iter().map(Timestamp).collect())
}

pub fn count(conn: &mut Conn, application: i64) -> Result<i64> {
    Ok(on_backend!(conn, |c| journal::table.filter(journal::application.eq(application)).count().get_result(c))?)
}

/// How many entries since `from` could not be read or applied, and the newest reason.
pub fn errors_since(conn: &mut Conn, application: i64, from: Timestamp) -> Result<(i64, Option<String>)> {
    let recent = || journal::application.eq(application).and(journal::received_at.ge(from.0)).and(journal::error.is_not_null());
    let count = on_backend!(conn, |c| journal::table.filter(recent()).count().get_result(c))?;
    let last = on_backend!(conn, |c| journal::table
        .filter(recent())
        .order(journal::received_at.desc())
        .select(journal::error)
        .first::<Option<String>>(c)
        .optional())?;
    Ok((count, last.flatten()))
}

/// Deletes up to `limit` entries that arrived before `before`; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, before: Timestamp, limit: i64) -> Result<usize> {
    let keys: Vec<(i64, i64)> = on_backend!(conn, |c| journal::table
        .filter(journal::application.eq(application).and(journal::received_at.lt(before.0)))
        .order(journal::received_at)
        .limit(limit)
        .select((journal::at, journal::digest))
        .load(c))?;
    for (at, digest) in &keys {
        on_backend!(conn, |c| diesel::delete(journal::table.find((application, at, digest))).execute(c))?;
    }
    Ok(keys.len())
}
