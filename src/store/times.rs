//! What agents were, change by change.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::prepared::{kept, upsert};
use super::schema::agent_times;
use super::{Conn, Result};
use crate::domain::agent::{AgentState, State};
use crate::domain::agent_time::Mark;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// Who does what nobody chooses.
pub const ROUTER: &str = "router";
/// What a phone did, as the PBX tells it.
pub const PHONE: &str = "phone";

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = agent_times, treat_none_as_default_value = false)]
struct Row {
    application: i64,
    agent: String,
    at: i64,
    state: String,
    reason: Option<String>,
    by_whom: String,
    then_at: Option<i64>,
    then_state: Option<String>,
}

impl Row {
    fn into_mark(self) -> Mark {
        let state = |word: &str| State::parse(word).unwrap_or(State::Offline);
        Mark {
            at: Timestamp(self.at),
            state: state(&self.state),
            reason: self.reason,
            by: self.by_whom,
            then: self.then_at.zip(self.then_state).map(|(at, then)| (Timestamp(at), state(&then))),
        }
    }
}

/// An agent is now what his state says.
pub fn record(conn: &mut Conn, application: i64, state: &AgentState, now: Timestamp, by: &str) -> Result<()> {
    let (is, then) = state.outlook(now);
    let chosen = matches!(is, State::NotAvailable | State::Offline | State::Available);
    put(conn, application, &state.agent, now, (is, then), state.manual_reason.as_deref().filter(|_| chosen), by)
}

/// Writes a mark; the last of one instant holds.
pub fn put(
    conn: &mut Conn,
    application: i64,
    agent: &str,
    at: Timestamp,
    (state, then): (State, Option<(Timestamp, State)>),
    reason: Option<&str>,
    by: &str,
) -> Result<()> {
    use agent_times::dsl as t;
    let row = (
        t::application.eq(application),
        t::agent.eq(agent),
        t::at.eq(at.0),
        t::state.eq(state.as_str()),
        t::reason.eq(reason),
        t::by_whom.eq(by),
        t::then_at.eq(then.map(|(at, _)| at.0)),
        t::then_state.eq(then.map(|(_, state)| state.as_str())),
    );
    let news = (
        t::state.eq(excluded(t::state)),
        t::reason.eq(excluded(t::reason)),
        t::by_whom.eq(excluded(t::by_whom)),
        t::then_at.eq(excluded(t::then_at)),
        t::then_state.eq(excluded(t::then_state)),
    );
    on_backend!(conn, |c| kept!(upsert(diesel::insert_into(agent_times::table).values(row), "application, agent, at", news)).execute(c))?;
    Ok(())
}

/// The marks within `[from, to)`, led by the last one before.
pub fn between(conn: &mut Conn, application: i64, agent: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Mark>> {
    let his = agent_times::application.eq(application).and(agent_times::agent.eq(agent));
    let before: Vec<Row> = on_backend!(conn, |c| agent_times::table
        .filter(his)
        .filter(agent_times::at.le(from.0))
        .order(agent_times::at.desc())
        .limit(1)
        .select(Row::as_select())
        .load(c))?;
    let within: Vec<Row> = on_backend!(conn, |c| agent_times::table
        .filter(his)
        .filter(agent_times::at.gt(from.0).and(agent_times::at.lt(to.0)))
        .order(agent_times::at)
        .select(Row::as_select())
        .load(c))?;
    Ok(before.into_iter().chain(within).map(Row::into_mark).collect())
}

/// Deletes up to `limit` marks before `before`, of which a later one is known; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, agent: &str, before: Timestamp, limit: i64) -> Result<usize> {
    let mut old: Vec<i64> = on_backend!(conn, |c| agent_times::table
        .filter(agent_times::application.eq(application).and(agent_times::agent.eq(agent)).and(agent_times::at.lt(before.0)))
        .order(agent_times::at)
        .limit(limit)
        .select(agent_times::at)
        .load(c))?;
    // The last one still says what the agent is at the edge.
    old.pop();
    for at in &old {
        on_backend!(conn, |c| diesel::delete(agent_times::table.find((application, agent, at))).execute(c))?;
    }
    Ok(old.len())
}
