//! What agents were, change by change.
//!
//! A mark is written at the end of `agent_marks`, whose key begins with the time: agents change in no order, and a row at a place of its own
//! for each would be a page of the disk each. [`file`] moves what is old, many at once, to `agent_times`, whose key begins with the agent.
//! Whoever reads looks at both.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::prepared::{kept, upsert};
use super::schema::{agent_marks, agent_times};
use super::{Conn, Result};
use crate::domain::agent::{AgentState, State};
use crate::domain::agent_time::Mark;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// Who does what nobody chooses.
pub const ROUTER: &str = "router";
/// What a phone did, as the PBX tells it.
pub const PHONE: &str = "phone";

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = agent_times)]
struct Row {
    at: i64,
    state: String,
    reason: Option<String>,
    by_whom: String,
    then_at: Option<i64>,
    then_state: Option<String>,
    then_reason: Option<String>,
    then_by: Option<String>,
}

type AsRow = (
    agent_marks::at,
    agent_marks::state,
    agent_marks::reason,
    agent_marks::by_whom,
    agent_marks::then_at,
    agent_marks::then_state,
    agent_marks::then_reason,
    agent_marks::then_by,
);
/// The columns of a row of `agent_marks`.
const AS_ROW: AsRow = (
    agent_marks::at,
    agent_marks::state,
    agent_marks::reason,
    agent_marks::by_whom,
    agent_marks::then_at,
    agent_marks::then_state,
    agent_marks::then_reason,
    agent_marks::then_by,
);

impl Row {
    fn into_mark(self) -> Mark {
        let state = |word: &str| State::parse(word).unwrap_or(State::Offline);
        Mark {
            at: Timestamp(self.at),
            state: state(&self.state),
            reason: self.reason,
            by: self.by_whom,
            then: self.then_at.zip(self.then_state).map(|(at, then)| (Timestamp(at), state(&then))),
            then_reason: self.then_reason,
            then_by: self.then_by,
        }
    }
}

/// An agent is now what his state says.
pub fn record(conn: &mut Conn, application: i64, state: &AgentState, now: Timestamp, by: &str) -> Result<()> {
    // Wrap-up that goes on is still that after the same call.
    let lead = if state.outlook(now).0 == State::WrapUp { between(conn, application, &state.agent, now, now)?.pop() } else { None };
    let queue = lead.filter(|mark| mark.state == State::WrapUp).and_then(|mark| mark.reason);
    record_after(conn, application, state, now, by, queue.as_deref())
}

/// [`record`] of what follows a call of this queue. Who is off duty is so by whoever chose that, whatever ends the work that came before.
pub fn record_after(conn: &mut Conn, application: i64, state: &AgentState, now: Timestamp, by: &str, queue: Option<&str>) -> Result<()> {
    let (is, then) = state.outlook(now);
    let (why, who) = state.chosen_why();
    let (reason, by) = match is {
        State::NotAvailable | State::Offline => (why, who.unwrap_or(by)),
        // A status that begins now was waited for; one that held before the work in hand is back by whatever ended that.
        State::Available if state.status_since == now => (why, who.unwrap_or(by)),
        State::Available => (why, by),
        State::WrapUp => (queue, by),
        State::Reserved | State::Ringing | State::OnCall => (None, by),
    };
    let off_duty = matches!(then, Some((_, State::NotAvailable | State::Offline)));
    let (then_reason, then_by) = if off_duty { (why, who) } else { (None, None) };
    let own = |text: Option<&str>| text.map(str::to_owned);
    let mark = Mark { reason: own(reason), then, then_reason: own(then_reason), then_by: own(then_by), ..Mark::new(now, is, by) };
    put(conn, application, &state.agent, &mark)
}

/// Writes a mark; the last of one instant holds.
pub fn put(conn: &mut Conn, application: i64, agent: &str, mark: &Mark) -> Result<()> {
    use agent_marks::dsl as t;
    let row = (
        t::application.eq(application),
        t::agent.eq(agent),
        t::at.eq(mark.at.0),
        t::state.eq(mark.state.as_str()),
        t::reason.eq(mark.reason.as_deref()),
        t::by_whom.eq(mark.by.as_str()),
        t::then_at.eq(mark.then.map(|(at, _)| at.0)),
        t::then_state.eq(mark.then.map(|(_, state)| state.as_str())),
        t::then_reason.eq(mark.then_reason.as_deref()),
        t::then_by.eq(mark.then_by.as_deref()),
    );
    let news = (
        t::state.eq(excluded(t::state)),
        t::reason.eq(excluded(t::reason)),
        t::by_whom.eq(excluded(t::by_whom)),
        t::then_at.eq(excluded(t::then_at)),
        t::then_state.eq(excluded(t::then_state)),
        t::then_reason.eq(excluded(t::then_reason)),
        t::then_by.eq(excluded(t::then_by)),
    );
    Ok(on_backend!(conn, |c| kept!(upsert(diesel::insert_into(agent_marks::table).values(row), "application, at, agent", news)).run(c))?)
}

/// The marks within `[from, to)`, led by the last one before. The new ones are read first: one that is filed meanwhile is then read twice, and
/// not missed.
pub fn between(conn: &mut Conn, application: i64, agent: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Mark>> {
    let filed = agent_times::application.eq(application).and(agent_times::agent.eq(agent));
    let new = agent_marks::application.eq(application).and(agent_marks::agent.eq(agent));
    let mut within: Vec<Row> = on_backend!(conn, |c| agent_marks::table
        .filter(new)
        .filter(agent_marks::at.gt(from.0).and(agent_marks::at.lt(to.0)))
        .select(AS_ROW)
        .load(c))?;
    let mut lead: Vec<Row> = on_backend!(conn, |c| agent_marks::table
        .filter(new)
        .filter(agent_marks::at.le(from.0))
        .order(agent_marks::at.desc())
        .limit(1)
        .select(AS_ROW)
        .load(c))?;
    lead.extend(on_backend!(conn, |c| agent_times::table
        .filter(filed)
        .filter(agent_times::at.le(from.0))
        .order(agent_times::at.desc())
        .limit(1)
        .select(Row::as_select())
        .load::<Row>(c))?);
    within.extend(on_backend!(conn, |c| agent_times::table
        .filter(filed)
        .filter(agent_times::at.gt(from.0).and(agent_times::at.lt(to.0)))
        .select(Row::as_select())
        .load::<Row>(c))?);
    within.sort_by_key(|row| row.at);
    within.dedup_by_key(|row| row.at);
    Ok(lead.into_iter().max_by_key(|row| row.at).into_iter().chain(within).map(Row::into_mark).collect())
}

/// When the oldest mark was made, filed or not.
pub fn oldest(conn: &mut Conn, application: i64) -> Result<Option<Timestamp>> {
    let filed: Option<i64> = on_backend!(conn, |c| agent_times::table
        .filter(agent_times::application.eq(application))
        .select(diesel::dsl::min(agent_times::at))
        .first(c))?;
    Ok(filed.map(Timestamp).into_iter().chain(oldest_new(conn, application)?).min())
}

/// When the oldest mark that is not filed was made.
pub fn oldest_new(conn: &mut Conn, application: i64) -> Result<Option<Timestamp>> {
    let at: Option<i64> = on_backend!(conn, |c| agent_marks::table
        .filter(agent_marks::application.eq(application))
        .order(agent_marks::at)
        .select(agent_marks::at)
        .first(c)
        .optional())?;
    Ok(at.map(Timestamp))
}

/// Moves about `limit` marks that were made before `before` to where those of one agent stand together; how many it moved.
pub fn file(conn: &mut Conn, application: i64, before: Timestamp, limit: i64) -> Result<usize> {
    let new = || agent_marks::application.eq(application).and(agent_marks::at.lt(before.0));
    let last: Option<i64> = on_backend!(conn, |c| agent_marks::table
        .filter(new())
        .order(agent_marks::at)
        .offset(limit - 1)
        .select(agent_marks::at)
        .first(c)
        .optional())?;
    // Those of one instant go together.
    let these = || new().and(agent_marks::at.le(last.unwrap_or(i64::MAX)));
    on_backend!(conn, |c| agent_marks::table
        .filter(these())
        .order((agent_marks::agent, agent_marks::at))
        .select((
            agent_marks::application,
            agent_marks::agent,
            agent_marks::at,
            agent_marks::state,
            agent_marks::reason,
            agent_marks::by_whom,
            agent_marks::then_at,
            agent_marks::then_state,
            agent_marks::then_reason,
            agent_marks::then_by
        ))
        .insert_into(agent_times::table)
        .into_columns(agent_times::all_columns)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(on_backend!(conn, |c| diesel::delete(agent_marks::table.filter(these())).execute(c))?)
}

/// The first agent after this one, by name, of whom there are marks that were filed.
pub fn next_agent(conn: &mut Conn, application: i64, after: &str) -> Result<Option<String>> {
    Ok(on_backend!(conn, |c| agent_times::table
        .filter(agent_times::application.eq(application).and(agent_times::agent.gt(after)))
        .order(agent_times::agent)
        .select(agent_times::agent)
        .first(c)
        .optional())?)
}

/// Deletes up to `limit` marks before `before`; how many it deleted. Of one who `is_here` the last of them stays.
pub fn prune(conn: &mut Conn, application: i64, agent: &str, is_here: bool, before: Timestamp, limit: i64) -> Result<usize> {
    let mut old: Vec<i64> = on_backend!(conn, |c| agent_times::table
        .filter(agent_times::application.eq(application).and(agent_times::agent.eq(agent)).and(agent_times::at.lt(before.0)))
        .order(agent_times::at)
        .limit(limit)
        .select(agent_times::at)
        .load(c))?;
    if is_here {
        // It still says what the agent is at the edge.
        old.pop();
    }
    for at in &old {
        on_backend!(conn, |c| diesel::delete(agent_times::table.find((application, agent, at))).execute(c))?;
    }
    Ok(old.len())
}
