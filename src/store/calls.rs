//! Calls and their legs: the facts that the fold keeps, and the rows that clients read.

use diesel::prelude::*;

use super::prepared::{kept, update, upsert};
use super::schema::{calls, legs, live_legs};
use super::{Conn, Result, from_json, to_json};
use crate::domain::call::CallFacts;
use crate::domain::call_log::{CallView, LegView};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// A call's facts as stored.
pub struct Stored {
    pub facts: CallFacts,
    /// Counts the writes of this row: whoever changes it says which version he saw. 0: nothing was written yet.
    pub version: i64,
    /// When its row was first stored, microseconds: its legs stand in this order, and never move.
    pub stored_at: i64,
}

impl Stored {
    /// A call that nobody knows yet.
    pub fn unknown(now: Timestamp) -> Stored {
        Stored { facts: CallFacts::default(), version: 0, stored_at: now.0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Identifiable)]
#[diesel(table_name = calls, primary_key(application, id))]
pub struct CallRow {
    pub application: i64,
    pub id: String,
    pub pbx_call_id: String,
    pub direction: String,
    pub status: String,
    pub number: Option<String>,
    pub did: Option<String>,
    pub started_at: i64,
    pub ended_at: Option<i64>,
    pub first_received_at: i64,
    pub version: i64,
}

/// A leg as clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = legs, treat_none_as_default_value = false)]
pub struct LegRow {
    pub application: i64,
    pub call_id: String,
    pub leg: String,
    /// `leg` or `missed`.
    pub kind: String,
    pub sub_call_id: Option<String>,
    pub direction: String,
    pub status: String,
    pub number: Option<String>,
    pub did: Option<String>,
    pub extension: Option<String>,
    pub agent: Option<String>,
    pub place: Option<String>,
    pub started_at: i64,
    pub answered_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub talk_us: i64,
    pub duration_us: i64,
    pub transferred: bool,
    pub record_id: Option<String>,
    pub callback_id: Option<String>,
    pub source: String,
    pub logged_at: Option<i64>,
}

impl LegRow {
    /// The row of a leg's view. The agent and the callback are not of the view: they are resolved when the row is first stored.
    pub fn from_view(application: i64, call: &str, view: &LegView, agent: Option<String>) -> LegRow {
        LegRow {
            application,
            call_id: call.to_owned(),
            leg: view.key.clone(),
            kind: if view.is_missed_row() { "missed" } else { "leg" }.into(),
            sub_call_id: view.sub_call_id.clone(),
            direction: match view.direction {
                crate::domain::event::Direction::In => "in",
                crate::domain::event::Direction::Out => "out",
            }
            .into(),
            status: view.status.as_str().into(),
            number: view.number.clone(),
            did: view.did.clone(),
            extension: view.extension.clone(),
            agent,
            place: view.place.clone(),
            started_at: view.started_at.0,
            answered_at: view.answered_at.map(|t| t.0),
            ended_at: view.ended_at.map(|t| t.0),
            talk_us: view.talk_us,
            duration_us: view.duration_us,
            transferred: view.transferred,
            record_id: view.record_id.clone(),
            callback_id: None,
            source: view.source.as_str().into(),
            logged_at: view.logged_at.map(|t| t.0),
        }
    }

    pub fn id(&self) -> String {
        id::leg_id(&self.call_id, &self.leg)
    }
}

/// The call that a leg is of.
macro_rules! of_legs {
    () => {
        calls::application.eq(legs::application).and(calls::stored_at.eq(legs::call_stored_at)).and(calls::id.eq(legs::call_id))
    };
}

/// The legs of a call, for whoever changes them and has not read it.
macro_rules! of_call {
    ($application:expr, $call:expr) => {{
        let stored_at = calls::table.find(($application, $call)).select(calls::stored_at);
        let of = legs::application.eq($application).and(legs::call_stored_at.eq_any(stored_at)).and(legs::call_id.eq($call));
        legs::table.filter(of)
    }};
}

/// Reads a call's facts; on PostgreSQL its row stays locked until the transaction ends.
pub fn lock(conn: &mut Conn, application: i64, call: &str) -> Result<Option<Stored>> {
    let query = calls::table.find((application, call)).select((calls::facts, calls::version, calls::stored_at));
    let row: Option<(String, i64, i64)> = match conn {
        Conn::Sqlite(c) => kept!(query).get_result(c).optional()?,
        Conn::Postgres(c) => kept!(query.for_update()).get_result(c).optional()?,
    };
    row.map(|(facts, version, stored_at)| Ok(Stored { facts: from_json(&facts)?, version, stored_at })).transpose()
}

/// Makes sure that a call which was not there has a row of ours alone: two nodes may meet a new call at once. False: another node was quicker,
/// and its row can be locked now. SQLite has one writer and needs none.
pub fn ensure(conn: &mut Conn, application: i64, call: &str, now: Timestamp) -> Result<bool> {
    if let Conn::Postgres(c) = conn {
        let empty = (
            calls::application.eq(application),
            calls::id.eq(call),
            calls::pbx_call_id.eq(""),
            calls::direction.eq("in"),
            calls::status.eq("ringing"),
            calls::started_at.eq(now.0),
            calls::first_received_at.eq(now.0),
            calls::version.eq(0),
            calls::facts.eq("{}"),
            calls::stored_at.eq(now.0),
        );
        return Ok(kept!(diesel::insert_into(calls::table).values(empty).on_conflict_do_nothing()).execute(c)? > 0);
    }
    Ok(true)
}

/// A call's facts as they are now; for whoever changes nothing.
pub fn facts(conn: &mut Conn, application: i64, call: &str) -> Result<Option<CallFacts>> {
    let facts: Option<String> =
        on_backend!(conn, |c| calls::table.find((application, call)).select(calls::facts).get_result(c).optional())?;
    facts.map(|facts| from_json(&facts)).transpose()
}

/// Writes a call's row: new when it has none, else over what was read.
pub fn save(conn: &mut Conn, application: i64, call: &str, read: &Stored, view: &CallView, facts: &CallFacts) -> Result<()> {
    let facts_json = to_json(facts)?;
    let first_received = facts.first_arrived().map_or(0, |t| t.0);
    let values = (
        calls::pbx_call_id.eq(&view.pbx_call_id),
        calls::direction.eq(view.direction.as_str()),
        calls::status.eq(view.status.as_str()),
        calls::number.eq(&view.number),
        calls::did.eq(&view.did),
        calls::started_at.eq(view.started_at.0),
        calls::ended_at.eq(view.ended_at.map(|t| t.0)),
        calls::first_received_at.eq(first_received),
        calls::version.eq(read.version + 1),
        calls::facts.eq(&facts_json),
    );
    let updated = match read.version {
        0 if !conn.is_postgres() => 0,
        _ => {
            let this = calls::application.eq(application).and(calls::id.eq(call));
            on_backend!(conn, |c| kept!(update(calls::table, this, values)).execute(c))?
        }
    };
    if updated == 0 {
        let first = (calls::application.eq(application), calls::id.eq(call), calls::stored_at.eq(read.stored_at));
        let row = diesel::insert_into(calls::table).values((first, values));
        on_backend!(conn, |c| kept!(row).run(c))?;
    }
    Ok(())
}

/// Writes the row of a leg of a call that was stored then. The agent stays as resolved when the row was first stored with one.
pub fn put_leg(conn: &mut Conn, call_stored_at: i64, row: &LegRow) -> Result<()> {
    use diesel::upsert::excluded;
    let news = (
        legs::sub_call_id.eq(excluded(legs::sub_call_id)),
        legs::direction.eq(excluded(legs::direction)),
        legs::status.eq(excluded(legs::status)),
        legs::number.eq(excluded(legs::number)),
        legs::did.eq(excluded(legs::did)),
        legs::extension.eq(excluded(legs::extension)),
        legs::agent.eq(diesel::dsl::case_when(legs::agent.is_null(), excluded(legs::agent)).otherwise(legs::agent)),
        legs::place.eq(excluded(legs::place)),
        legs::started_at.eq(excluded(legs::started_at)),
        legs::answered_at.eq(excluded(legs::answered_at)),
        legs::ended_at.eq(excluded(legs::ended_at)),
        legs::talk_us.eq(excluded(legs::talk_us)),
        legs::duration_us.eq(excluded(legs::duration_us)),
        legs::transferred.eq(excluded(legs::transferred)),
        legs::record_id.eq(excluded(legs::record_id)),
        legs::source.eq(excluded(legs::source)),
        legs::logged_at.eq(excluded(legs::logged_at)),
    );
    let row = (legs::call_stored_at.eq(call_stored_at), row);
    let key = "application, call_stored_at, call_id, leg";
    Ok(on_backend!(conn, |c| kept!(upsert(diesel::insert_into(legs::table).values(row), key, news)).run(c))?)
}

pub fn delete_leg(conn: &mut Conn, application: i64, call_stored_at: i64, call: &str, leg: &str) -> Result<()> {
    on_backend!(conn, |c| diesel::delete(legs::table.find((application, call_stored_at, call, leg))).execute(c))?;
    Ok(())
}

/// Says which callback of ours a leg belongs to.
pub fn set_callback(conn: &mut Conn, application: i64, call: &str, callback: &str) -> Result<()> {
    on_backend!(conn, |c| diesel::update(of_call!(application, call).filter(legs::direction.eq("out")))
        .set(legs::callback_id.eq(callback))
        .execute(c))?;
    Ok(())
}

pub fn get(conn: &mut Conn, application: i64, call: &str) -> Result<Option<CallRow>> {
    Ok(on_backend!(conn, |c| calls::table.find((application, call)).select(CallRow::as_select()).first(c).optional())?)
}

/// What the PBX calls some of our calls: (our id, its id).
pub fn pbx_call_ids(conn: &mut Conn, application: i64, of: &[String]) -> Result<Vec<(String, String)>> {
    Ok(on_backend!(conn, |c| calls::table
        .filter(calls::application.eq(application).and(calls::id.eq_any(of)))
        .select((calls::id, calls::pbx_call_id))
        .load(c))?)
}

/// Calls since then that are not over: the PBX's id, and whether it is one from outside that nobody has answered.
pub fn open(conn: &mut Conn, application: i64, since: Timestamp) -> Result<Vec<(String, bool)>> {
    const MOST: i64 = 20_000;
    let rows: Vec<(String, String, String)> = on_backend!(conn, |c| calls::table
        .filter(calls::application.eq(application).and(calls::started_at.ge(since.0)).and(calls::ended_at.is_null()))
        .filter(calls::pbx_call_id.ne(""))
        .select((calls::pbx_call_id, calls::direction, calls::status))
        .limit(MOST)
        .load(c))?;
    let waits = |direction: &str, status: &str| direction == "in" && status == "ringing";
    Ok(rows.into_iter().map(|(call, direction, status)| (call, waits(&direction, &status))).collect())
}

/// Which application a call of ours belongs to.
pub fn application_of(conn: &mut Conn, call: &str) -> Result<Option<i64>> {
    Ok(on_backend!(conn, |c| calls::table.filter(calls::id.eq(call)).select(calls::application).first::<i64>(c).optional())?)
}

/// All legs of some calls, in the order of their begin.
pub fn legs_of(conn: &mut Conn, application: i64, of: &[String]) -> Result<Vec<LegRow>> {
    Ok(on_backend!(conn, |c| legs::table
        .inner_join(calls::table.on(of_legs!()))
        .filter(calls::application.eq(application).and(calls::id.eq_any(of)))
        .order((legs::started_at, legs::leg))
        .select(LegRow::as_select())
        .load(c))?)
}

/// When the call was stored whose row was lost, by its legs. No index knows: this reads the log.
pub fn legs_stored_at(conn: &mut Conn, application: i64, call: &str) -> Result<Option<Timestamp>> {
    let of = legs::application.eq(application).and(legs::call_id.eq(call));
    let at: Option<i64> = on_backend!(conn, |c| legs::table.filter(of).select(legs::call_stored_at).first(c).optional())?;
    Ok(at.map(Timestamp))
}

/// The agent who last spoke with `number`, looking back to `since`.
pub fn last_agent(conn: &mut Conn, application: i64, number: &str, since: Timestamp) -> Result<Option<String>> {
    let spoken = legs::table
        .filter(
            legs::application
                .eq(application)
                .and(legs::number.eq(number))
                .and(legs::logged_at.is_not_null())
                .and(legs::logged_at.ge(since.0))
                .and(legs::status.eq("answered"))
                .and(legs::agent.is_not_null()),
        )
        .order(legs::logged_at.desc())
        .limit(1)
        .select(legs::agent);
    let found: Option<Option<String>> = on_backend!(conn, |c| kept!(spoken).get_result(c).optional())?;
    Ok(found.flatten())
}

/// Calls with their facts, and legs.
pub type Range = (Vec<(CallRow, CallFacts)>, Vec<LegRow>);

/// Calls and legs whose call id lies in `from..to`, for comparing with a rebuild.
pub fn range(conn: &mut Conn, application: i64, from: &str, to: &str) -> Result<Range> {
    let rows: Vec<(CallRow, String)> = on_backend!(conn, |c| calls::table
        .filter(calls::application.eq(application).and(calls::id.ge(from)).and(calls::id.lt(to)))
        .select((CallRow::as_select(), calls::facts))
        .load(c))?;
    let legs = on_backend!(conn, |c| legs::table
        .inner_join(calls::table.on(of_legs!()))
        .filter(calls::application.eq(application).and(calls::id.ge(from)).and(calls::id.lt(to)))
        .select(LegRow::as_select())
        .load(c))?;
    let calls = rows.into_iter().map(|(row, facts)| Ok((row, from_json(&facts)?))).collect::<Result<_>>()?;
    Ok((calls, legs))
}

/// Deletes up to `limit` calls that began before `before`, with their legs; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, before: Timestamp, limit: i64) -> Result<usize> {
    let old: Vec<String> = on_backend!(conn, |c| calls::table
        .filter(calls::application.eq(application).and(calls::started_at.lt(before.0)))
        .order(calls::started_at)
        .limit(limit)
        .select(calls::id)
        .load(c))?;
    for call in &old {
        on_backend!(conn, |c| diesel::delete(of_call!(application, call)).execute(c))?;
        on_backend!(conn, |c| diesel::delete(
            live_legs::table.filter(live_legs::application.eq(application).and(live_legs::call_id.eq(call)))
        )
        .execute(c))?;
        on_backend!(conn, |c| diesel::delete(calls::table.find((application, call))).execute(c))?;
    }
    Ok(old.len())
}
