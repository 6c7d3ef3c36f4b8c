//! Click-to-call requests and what became of them.

use diesel::dsl::not;
use diesel::prelude::*;

use super::prepared::kept;
use super::schema::callbacks;
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = callbacks, treat_none_as_default_value = false, treat_none_as_null = true, primary_key(application, id))]
pub struct Callback {
    pub application: i64,
    pub id: String,
    pub idempotency_key: Option<String>,
    /// The request's body as JSON: the same key with another body is an error.
    pub request: String,
    /// The extension on whose behalf the call is placed.
    pub extension: String,
    pub src_num: String,
    pub dst_num: String,
    pub caller_id_name: Option<String>,
    pub caller_id_number: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    /// The PBX gave no clear reply: a matching outgoing leg adopts it.
    pub unclear: bool,
    pub finished: bool,
    pub call_id: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

pub fn insert(conn: &mut Conn, callback: &Callback) -> Result<()> {
    on_backend!(conn, |c| diesel::insert_into(callbacks::table).values(callback).execute(c))?;
    Ok(())
}

pub fn get(conn: &mut Conn, application: i64, id: &str) -> Result<Option<Callback>> {
    Ok(on_backend!(conn, |c| callbacks::table.find((application, id)).select(Callback::as_select()).first(c).optional())?)
}

pub fn by_key(conn: &mut Conn, application: i64, key: &str) -> Result<Option<Callback>> {
    Ok(on_backend!(conn, |c| callbacks::table
        .filter(callbacks::application.eq(application).and(callbacks::idempotency_key.eq(key)))
        .select(Callback::as_select())
        .first(c)
        .optional())?)
}

/// Unfinished callbacks of an extension, oldest first.
pub fn open_of(conn: &mut Conn, application: i64, extension: &str) -> Result<Vec<Callback>> {
    let open = callbacks::table
        .filter(callbacks::application.eq(application).and(callbacks::extension.eq(extension)).and(not(callbacks::finished)))
        .order((callbacks::created_at, callbacks::id));
    Ok(on_backend!(conn, |c| kept!(open.select(Callback::as_select())).load(c))?)
}

/// Unfinished callbacks that have not moved since `before`.
pub fn stale(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<Vec<Callback>> {
    Ok(on_backend!(conn, |c| callbacks::table
        .filter(not(callbacks::finished).and(callbacks::updated_at.le(before.0)))
        .limit(limit)
        .select(Callback::as_select())
        .load(c))?)
}

/// Writes a callback over the row as it was seen at `seen_at`; false when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, callback: &Callback, seen_at: i64) -> Result<bool> {
    let n = on_backend!(conn, |c| diesel::update(
        callbacks::table.find((callback.application, &callback.id)).filter(callbacks::updated_at.eq(seen_at))
    )
    .set(callback)
    .execute(c))?;
    Ok(n > 0)
}

/// Callbacks below `before` (an id), newest first; of one extension, or of all.
pub fn list(conn: &mut Conn, application: i64, extension: Option<&str>, before: Option<&str>, limit: i64) -> Result<Vec<Callback>> {
    on_backend!(conn, |c| {
        let mut query = callbacks::table
            .filter(callbacks::application.eq(application).and(callbacks::id.lt(before.unwrap_or("~"))))
            .order(callbacks::id.desc())
            .limit(limit)
            .select(Callback::as_select())
            .into_boxed();
        if let Some(extension) = extension {
            query = query.filter(callbacks::extension.eq(extension));
        }
        Ok(query.load(c)?)
    })
}
