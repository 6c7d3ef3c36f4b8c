//! Calls whose PBX asks again and again where they shall go, and their times in queues.

use std::collections::HashMap;

use diesel::dsl::count_star;
use diesel::prelude::*;

use super::prepared::{condition, kept, update};
use super::schema::{queue_entries, routed_calls};
use super::{Conn, Result};
use crate::domain::queue::EntryOutcome;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// Where one call is.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = routed_calls, treat_none_as_default_value = false, treat_none_as_null = true, primary_key(application, call_id))]
pub struct RoutedCall {
    pub application: i64,
    pub call_id: String,
    pub pbx_call_id: String,
    /// The caller in E.164, else as written.
    pub caller: String,
    pub did: Option<String>,
    /// Where it is in detail, in JSON; for whoever moves it.
    pub place: String,
    /// The queue that it is in, or was in last.
    pub queue: Option<String>,
    /// Of its times in queues the last one; 0: none.
    pub entry: i32,
    pub entered_at: i64,
    pub joined_at: i64,
    /// Its place among those who wait: the smaller goes first.
    pub rank_at: i64,
    /// When it counts as gone if it is not asked about again.
    pub silent_at: i64,
    /// In the queue, not connected.
    pub waiting: bool,
    pub ended_at: Option<i64>,
}

/// One time of a call in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = queue_entries, treat_none_as_default_value = false, treat_none_as_null = true, primary_key(application, call_id, entry))]
pub struct QueueEntry {
    pub application: i64,
    pub call_id: String,
    pub entry: i32,
    pub queue: String,
    pub number: String,
    pub did: Option<String>,
    pub joined_at: i64,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    /// Who answered.
    pub agent: Option<String>,
    pub answered_at: Option<i64>,
    pub talk_us: i64,
}

impl QueueEntry {
    pub fn outcome(&self) -> Option<EntryOutcome> {
        self.outcome.as_deref().and_then(EntryOutcome::parse)
    }

    /// It was answered here, or may turn out to have been: the call has not gone on from here unanswered.
    pub fn may_be_answered(&self) -> bool {
        matches!(self.outcome(), None | Some(EntryOutcome::Abandoned | EntryOutcome::Answered))
    }
}

condition! {
    /// What [`waiting`] and its index (`routed_calls_waiting`) are about.
    Waiting = "waiting"
}
condition! {
    /// What [`silent`] and its index (`routed_calls_silent`) are about.
    Open = "ended_at IS NULL"
}
condition! {
    /// What [`tallies`] and its index (`queue_entries_by_answer`) are about.
    HasAgent = "agent IS NOT NULL"
}

pub fn get(conn: &mut Conn, application: i64, call: &str) -> Result<Option<RoutedCall>> {
    let this = routed_calls::table.find((application, call));
    Ok(on_backend!(conn, |c| kept!(this.select(RoutedCall::as_select())).get_result(c).optional())?)
}

/// True when the call was not there.
pub fn insert(conn: &mut Conn, row: &RoutedCall) -> Result<bool> {
    Ok(on_backend!(conn, |c| kept!(diesel::insert_into(routed_calls::table).values(row).on_conflict_do_nothing()).execute(c))? > 0)
}

pub fn save(conn: &mut Conn, row: &RoutedCall) -> Result<()> {
    let this = routed_calls::application.eq(row.application).and(routed_calls::call_id.eq(&row.call_id));
    Ok(on_backend!(conn, |c| kept!(update(routed_calls::table, this, row)).run(c))?)
}

/// Who waits in a queue and is still asked about, the first to be served first; at most `limit`.
pub fn waiting(conn: &mut Conn, application: i64, queue: &str, alive_at: Timestamp, limit: i64) -> Result<Vec<RoutedCall>> {
    let alive = routed_calls::table
        .filter(routed_calls::application.eq(application).and(routed_calls::queue.eq(queue)))
        .filter(Waiting)
        .filter(routed_calls::silent_at.gt(alive_at.0))
        .order((routed_calls::rank_at, routed_calls::call_id))
        .limit(limit);
    Ok(on_backend!(conn, |c| kept!(alive.select(RoutedCall::as_select())).load(c))?)
}

/// How many wait in a queue and are still asked about.
pub fn count_waiting(conn: &mut Conn, application: i64, queue: &str, alive_at: Timestamp) -> Result<i64> {
    let alive = routed_calls::table
        .filter(routed_calls::application.eq(application).and(routed_calls::queue.eq(queue)))
        .filter(Waiting)
        .filter(routed_calls::silent_at.gt(alive_at.0))
        .select(count_star());
    Ok(on_backend!(conn, |c| kept!(alive).get_result(c))?)
}

/// Calls that were not asked about when they should have been.
pub fn silent(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<Vec<RoutedCall>> {
    Ok(on_backend!(conn, |c| routed_calls::table
        .filter(routed_calls::silent_at.le(now.0))
        .filter(Open)
        .order(routed_calls::silent_at)
        .limit(limit)
        .select(RoutedCall::as_select())
        .load(c))?)
}

pub fn put_entry(conn: &mut Conn, entry: &QueueEntry) -> Result<()> {
    Ok(on_backend!(conn, |c| kept!(diesel::insert_into(queue_entries::table).values(entry)).run(c))?)
}

pub fn save_entry(conn: &mut Conn, entry: &QueueEntry) -> Result<()> {
    let this = queue_entries::application
        .eq(entry.application)
        .and(queue_entries::call_id.eq(&entry.call_id))
        .and(queue_entries::entry.eq(entry.entry));
    Ok(on_backend!(conn, |c| kept!(update(queue_entries::table, this, entry)).run(c))?)
}

pub fn entry(conn: &mut Conn, application: i64, call: &str, entry: i32) -> Result<Option<QueueEntry>> {
    let this = queue_entries::table.find((application, call, entry));
    Ok(on_backend!(conn, |c| kept!(this.select(QueueEntry::as_select())).get_result(c).optional())?)
}

pub fn entries_of(conn: &mut Conn, application: i64, call: &str) -> Result<Vec<QueueEntry>> {
    Ok(on_backend!(conn, |c| queue_entries::table
        .filter(queue_entries::application.eq(application).and(queue_entries::call_id.eq(call)))
        .order(queue_entries::entry)
        .select(QueueEntry::as_select())
        .load(c))?)
}

/// The times in a queue that began at `from` or later.
pub fn entries_since(conn: &mut Conn, application: i64, queue: &str, from: Timestamp) -> Result<Vec<QueueEntry>> {
    Ok(on_backend!(conn, |c| queue_entries::table
        .filter(queue_entries::application.eq(application).and(queue_entries::queue.eq(queue)))
        .filter(queue_entries::joined_at.ge(from.0))
        .order(queue_entries::joined_at)
        .select(QueueEntry::as_select())
        .load(c))?)
}

/// What each agent has answered in queues since then: calls, and microseconds of talk.
pub fn tallies(conn: &mut Conn, application: i64, since: Timestamp) -> Result<HashMap<String, (i64, i64)>> {
    let rows: Vec<(Option<String>, i64)> = on_backend!(conn, |c| queue_entries::table
        .filter(queue_entries::application.eq(application).and(queue_entries::answered_at.ge(since.0)))
        .filter(HasAgent)
        .select((queue_entries::agent, queue_entries::talk_us))
        .load(c))?;
    let mut counted: HashMap<String, (i64, i64)> = HashMap::new();
    for (agent, talk_us) in rows.into_iter().filter_map(|(agent, talk)| Some((agent?, talk))) {
        let (calls, talked) = counted.entry(agent).or_default();
        (*calls, *talked) = (*calls + 1, *talked + talk_us);
    }
    Ok(counted)
}

/// Deletes up to `limit` calls, with their times in queues, that ended before `before`; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, before: Timestamp, limit: i64) -> Result<usize> {
    let old: Vec<String> = on_backend!(conn, |c| routed_calls::table
        .filter(routed_calls::application.eq(application).and(routed_calls::entered_at.lt(before.0)))
        .limit(limit)
        .select(routed_calls::call_id)
        .load(c))?;
    for call in &old {
        on_backend!(conn, |c| {
            let entries = queue_entries::application.eq(application).and(queue_entries::call_id.eq(call));
            diesel::delete(queue_entries::table.filter(entries)).execute(c)?;
            diesel::delete(routed_calls::table.find((application, call))).execute(c)
        })?;
    }
    Ok(old.len())
}
