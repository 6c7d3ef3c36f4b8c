//! Routing decisions: written behind the answer, many in one insert.

use std::sync::Mutex;

use diesel::prelude::*;

use super::prepared::kept;
use super::schema::decisions;
use super::spans::{Span, call_part};
use super::{Conn, Result, from_json, to_json};
use crate::domain::decision::{Decision, Outcome};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// So many may wait before a lookup waits for the store.
const CROWDED: usize = 8_192;
/// Rows of one insert.
const AT_ONCE: usize = 16;
/// So many may wait at the most: a store that is away for long must not take the memory too.
const MOST: usize = 65_536;

/// Decisions that were answered and are not yet written.
#[derive(Default)]
pub struct Behind(Mutex<Vec<Row>>);

impl Behind {
    /// Queues one, and tells how many wait; `None`: it was one too many, and is forgotten.
    pub fn push(&self, application: i64, decision: Decision) -> Option<usize> {
        let row = Row::from_decision(application, decision);
        let mut rows = self.lock();
        if rows.len() >= MOST {
            return None;
        }
        rows.push(row);
        Some(rows.len())
    }

    pub fn is_crowded(&self) -> bool {
        self.lock().len() > CROWDED
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub fn take(&self) -> Vec<Row> {
        std::mem::take(&mut *self.lock())
    }

    pub fn put_back(&self, mut rows: Vec<Row>) {
        let mut waiting = self.lock();
        rows.append(&mut waiting);
        *waiting = rows;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Row>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = decisions, treat_none_as_default_value = false)]
pub struct Row {
    pub application: i64,
    pub id: String,
    pub at: i64,
    pub call_id: Option<String>,
    pub pbx_call_id: Option<String>,
    pub caller: String,
    pub outcome: String,
    pub agents: String,
    pub reason: String,
    pub candidates: String,
    pub inputs: String,
    pub took_us: i64,
    pub late: bool,
}

impl Row {
    fn from_decision(application: i64, d: Decision) -> Row {
        Row {
            application,
            id: d.id,
            at: d.at.0,
            call_id: d.call,
            pbx_call_id: d.pbx_call_id,
            caller: d.caller,
            outcome: d.outcome.as_str().into(),
            agents: to_json(&d.agents).unwrap_or_default(),
            reason: d.reason,
            candidates: to_json(&d.candidates).unwrap_or_default(),
            inputs: d.inputs,
            took_us: d.took_us,
            late: d.late,
        }
    }

    fn into_decision(self) -> Result<Decision> {
        Ok(Decision {
            id: self.id,
            at: Timestamp(self.at),
            call: self.call_id,
            pbx_call_id: self.pbx_call_id,
            caller: self.caller,
            outcome: Outcome::parse(&self.outcome).unwrap_or(Outcome::Nobody),
            agents: from_json(&self.agents)?,
            reason: self.reason,
            candidates: from_json(&self.candidates)?,
            inputs: self.inputs,
            took_us: self.took_us,
            late: self.late,
        })
    }
}

/// Inserts many; a decision that is there already stays as it is.
pub fn insert(conn: &mut Conn, rows: &[Row]) -> Result<()> {
    // Only an array's length is part of its type, and so of a statement that stays prepared.
    let (chunks, rest) = rows.as_chunks::<AT_ONCE>();
    for chunk in chunks {
        on_backend!(conn, |c| diesel::insert_into(decisions::table).values(chunk).on_conflict_do_nothing().execute(c))?;
    }
    for row in rest {
        on_backend!(conn, |c| kept!(diesel::insert_into(decisions::table).values(row).on_conflict_do_nothing()).run(c))?;
    }
    Ok(())
}

pub fn get(conn: &mut Conn, application: i64, id: &str) -> Result<Option<Decision>> {
    let row: Option<Row> = on_backend!(conn, |c| decisions::table.find((application, id)).select(Row::as_select()).first(c).optional())?;
    row.map(Row::into_decision).transpose()
}

/// Which application a decision belongs to.
pub fn application_of(conn: &mut Conn, id: &str) -> Result<Option<i64>> {
    Ok(on_backend!(conn, |c| decisions::table.filter(decisions::id.eq(id)).select(decisions::application).first::<i64>(c).optional())?)
}

/// The decisions about a call, oldest first.
pub fn of_call(conn: &mut Conn, application: i64, call: &str) -> Result<Vec<Decision>> {
    of_calls(conn, application, &[call.to_owned()])
}

/// The decisions about some calls, oldest first.
pub fn of_calls(conn: &mut Conn, application: i64, calls: &[String]) -> Result<Vec<Decision>> {
    let mut found = Vec::new();
    for Span { from, to, calls, parts } in Span::of_calls(conn, application, calls)? {
        let rows: Vec<Row> = on_backend!(conn, |c| decisions::table
            .filter(decisions::application.eq(application).and(decisions::id.ge(id::floor(from))).and(decisions::id.lt(id::floor(to))))
            .filter(call_part(decisions::id).eq_any(&parts))
            .order(decisions::id)
            .select(Row::as_select())
            .load(c))?;
        found.extend(rows.into_iter().filter(|row| row.call_id.as_ref().is_some_and(|of| calls.contains(of))));
    }
    found.into_iter().map(Row::into_decision).collect()
}

/// Decisions with an id of `from` or later, oldest first.
pub fn since(conn: &mut Conn, application: i64, from: &str, limit: i64) -> Result<Vec<Decision>> {
    let rows: Vec<Row> = on_backend!(conn, |c| decisions::table
        .filter(decisions::application.eq(application).and(decisions::id.ge(from)))
        .order(decisions::id)
        .limit(limit)
        .select(Row::as_select())
        .load(c))?;
    rows.into_iter().map(Row::into_decision).collect()
}

/// When the last `n` decisions were made.
pub fn newest(conn: &mut Conn, application: i64, n: i64) -> Result<Vec<Timestamp>> {
    let times: Vec<i64> = on_backend!(conn, |c| decisions::table
        .filter(decisions::application.eq(application))
        .order(decisions::id.desc())
        .limit(n)
        .select(decisions::at)
        .load(c))?;
    Ok(times.into_iter().map(Timestamp).collect())
}

/// Deletes up to `limit` decisions whose id is below `floor`; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, floor: &str, limit: i64) -> Result<usize> {
    let ids: Vec<String> = on_backend!(conn, |c| decisions::table
        .filter(decisions::application.eq(application).and(decisions::id.lt(floor)))
        .order(decisions::id)
        .limit(limit)
        .select(decisions::id)
        .load(c))?;
    for id in &ids {
        on_backend!(conn, |c| diesel::delete(decisions::table.find((application, id))).execute(c))?;
    }
    Ok(ids.len())
}
