//! Agents' changing state, and the one statement that reserves an agent.

use diesel::prelude::*;

use super::prepared::{kept, one_of, update};
use super::schema::agent_states;
use super::{Conn, Result, live, times};
use crate::domain::agent::{AgentState, Claim, CoolDown, ManualStatus, QueueLogin, State};
use crate::domain::agent_time::Mark;
use crate::domain::spec::Agent;
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = agent_states, treat_none_as_default_value = false, treat_none_as_null = true, primary_key(application, agent))]
struct Row {
    application: i64,
    agent: String,
    extension: Option<String>,
    manual_status: String,
    manual_reason: Option<String>,
    next_status: Option<String>,
    next_reason: Option<String>,
    status_since: i64,
    ringing: i32,
    talking: i32,
    claim_call: Option<String>,
    claim_until: i64,
    wrap_until: i64,
    cool_until: i64,
    cool_cause: Option<String>,
    last_offered_at: i64,
    engaged_since: i64,
    misses: i32,
    queue_login: Option<String>,
    queue_login_since: i64,
    mirror_to: Option<String>,
    mirror_at: i64,
    status_by: Option<String>,
    next_by: Option<String>,
}

impl Row {
    fn from_state(application: i64, extension: Option<&str>, s: &AgentState) -> Row {
        Row {
            application,
            agent: s.agent.clone(),
            extension: extension.map(str::to_owned),
            manual_status: s.manual_status.as_str().into(),
            manual_reason: s.manual_reason.clone(),
            next_status: s.next_status.as_ref().map(|(n, _)| n.as_str().into()),
            next_reason: s.next_status.as_ref().and_then(|(_, r)| r.clone()),
            status_since: s.status_since.0,
            ringing: s.ringing,
            talking: s.talking,
            claim_call: s.claim.as_ref().map(|c| c.call.clone()),
            claim_until: s.claim.as_ref().map_or(0, |c| c.until.0),
            wrap_until: s.wrap_until.0,
            cool_until: s.cool_until.0,
            cool_cause: s.cool_cause.map(|c| c.as_str().into()),
            last_offered_at: s.last_offered_at.0,
            engaged_since: s.engaged_since.0,
            misses: s.misses,
            queue_login: s.queue_login.map(|(login, _)| login.as_str().into()),
            queue_login_since: s.queue_login.map_or(0, |(_, since)| since.0),
            mirror_to: s.mirror_to.map(|login| login.as_str().into()),
            mirror_at: s.mirror_at.0,
            status_by: s.status_by.clone(),
            next_by: s.next_by.clone(),
        }
    }

    fn into_state(self) -> AgentState {
        let login = |s: &Option<String>| s.as_deref().and_then(QueueLogin::parse);
        let status = |s: &str| ManualStatus::parse(s).unwrap_or(ManualStatus::Offline);
        AgentState {
            agent: self.agent,
            manual_status: status(&self.manual_status),
            manual_reason: self.manual_reason,
            next_status: self.next_status.map(|n| (status(&n), self.next_reason)),
            status_since: Timestamp(self.status_since),
            ringing: self.ringing,
            talking: self.talking,
            claim: self.claim_call.map(|call| Claim { call, until: Timestamp(self.claim_until) }),
            wrap_until: Timestamp(self.wrap_until),
            cool_until: Timestamp(self.cool_until),
            cool_cause: self.cool_cause.as_deref().and_then(CoolDown::parse),
            last_offered_at: Timestamp(self.last_offered_at),
            engaged_since: Timestamp(self.engaged_since),
            misses: self.misses,
            queue_login: login(&self.queue_login).map(|login| (login, Timestamp(self.queue_login_since))),
            mirror_to: login(&self.mirror_to),
            mirror_at: Timestamp(self.mirror_at),
            status_by: self.status_by,
            next_by: self.next_by,
        }
    }
}

pub fn get(conn: &mut Conn, application: i64, agent: &str) -> Result<Option<AgentState>> {
    let this = agent_states::table.find((application, agent));
    let row: Option<Row> = on_backend!(conn, |c| kept!(this.select(Row::as_select())).get_result(c).optional())?;
    Ok(row.map(Row::into_state))
}

/// Reads an agent to change him; on PostgreSQL his row stays locked until the transaction ends.
pub fn lock(conn: &mut Conn, application: i64, agent: &str) -> Result<Option<AgentState>> {
    let this = agent_states::table.find((application, agent));
    let row: Option<Row> = match conn {
        Conn::Sqlite(c) => kept!(this.select(Row::as_select())).get_result(c).optional()?,
        Conn::Postgres(c) => kept!(this.select(Row::as_select()).for_update()).get_result(c).optional()?,
    };
    Ok(row.map(Row::into_state))
}

pub fn get_many(conn: &mut Conn, application: i64, agents: &[&str]) -> Result<Vec<AgentState>> {
    let few = if conn.is_postgres() { 2 } else { 8 };
    if agents.len() <= few {
        // As many statements cost less than one with a list, which PostgreSQL plans anew each time.
        return agents.iter().filter_map(|agent| get(conn, application, agent).transpose()).collect();
    }
    let all = agent_states::table.filter(agent_states::application.eq(application));
    let rows: Vec<Row> = match conn {
        Conn::Sqlite(c) => kept!(all.filter(one_of("agent", agents)?).select(Row::as_select())).load(c)?,
        Conn::Postgres(c) => kept!(all.filter(agent_states::agent.eq_any(agents)).select(Row::as_select())).load(c)?,
    };
    Ok(rows.into_iter().map(Row::into_state).collect())
}

pub fn all(conn: &mut Conn, application: i64) -> Result<Vec<AgentState>> {
    let rows: Vec<Row> = on_backend!(conn, |c| agent_states::table
        .filter(agent_states::application.eq(application))
        .order(agent_states::agent)
        .select(Row::as_select())
        .load(c))?;
    Ok(rows.into_iter().map(Row::into_state).collect())
}

/// Writes back an agent that was locked.
pub fn save(conn: &mut Conn, application: i64, extension: Option<&str>, state: &AgentState) -> Result<()> {
    let row = Row::from_state(application, extension, state);
    let this = agent_states::application.eq(application).and(agent_states::agent.eq(&row.agent));
    Ok(on_backend!(conn, |c| kept!(update(agent_states::table, this, &row)).run(c))?)
}

/// Makes the state of a new agent, or follows the change of his lines: what is live there is his from now on.
pub fn declare(conn: &mut Conn, application: i64, agent: &Agent, now: Timestamp) -> Result<()> {
    let known = lock(conn, application, &agent.id)?;
    let (ringing, talking) = live::count(conn, application, agent.lines())?;
    let state = match known {
        Some(known) => AgentState { ringing, talking, ..known },
        None => {
            let state = AgentState { ringing, talking, ..AgentState::new(&agent.id, agent.manual_status, now) };
            let row = Row::from_state(application, agent.line(), &state);
            on_backend!(conn, |c| diesel::insert_into(agent_states::table).values(&row).on_conflict_do_nothing().execute(c))?;
            times::record(conn, application, &state, now, times::ROUTER)?;
            state
        }
    };
    save(conn, application, agent.line(), &state)
}

pub fn remove(conn: &mut Conn, application: i64, agent: &str) -> Result<()> {
    on_backend!(conn, |c| diesel::delete(agent_states::table.find((application, agent))).execute(c))?;
    Ok(())
}

/// The one compare-and-set of the house: claims an agent for a call if, by his row, he can take it at `now`. False: he cannot any more.
pub fn reserve(conn: &mut Conn, application: i64, agent: &str, call: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
    use agent_states::dsl as a;
    let free = a::application
        .eq(application)
        .and(a::agent.eq(agent))
        .and(a::manual_status.eq(ManualStatus::Available.as_str()))
        .and(a::next_status.is_null())
        .and(a::ringing.eq(0))
        .and(a::talking.eq(0))
        .and(a::claim_until.le(now.0))
        .and(a::wrap_until.le(now.0))
        .and(a::cool_until.le(now.0));
    let claim = (a::claim_call.eq(call), a::claim_until.eq(until.0), a::last_offered_at.eq(now.0), a::engaged_since.eq(now.0));
    let won = on_backend!(conn, |c| kept!(update(agent_states::table, free, claim)).execute(c))? > 0;
    if won {
        let mark = Mark { then: Some((until, State::Available)), ..Mark::new(now, State::Reserved, times::ROUTER) };
        times::put(conn, application, agent, &mark)?;
    }
    Ok(won)
}

/// Claims an agent for a call that he places himself: his manual status and wrap-up do not matter, another call does.
pub fn reserve_source(conn: &mut Conn, application: i64, agent: &str, call: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
    use agent_states::dsl as a;
    let idle =
        a::application.eq(application).and(a::agent.eq(agent)).and(a::ringing.eq(0)).and(a::talking.eq(0)).and(a::claim_until.le(now.0));
    let claim = (a::claim_call.eq(call), a::claim_until.eq(until.0), a::engaged_since.eq(now.0));
    let won = on_backend!(conn, |c| kept!(update(agent_states::table, idle, claim)).execute(c))? > 0;
    changed(conn, application, agent, now, won)
}

/// Ends a claim of `call` on an agent, if it is still that call's.
pub fn release(conn: &mut Conn, application: i64, agent: &str, call: &str, now: Timestamp) -> Result<bool> {
    use agent_states::dsl as a;
    let claimed = a::application.eq(application).and(a::agent.eq(agent)).and(a::claim_call.eq(call));
    let none = (a::claim_call.eq(None::<String>), a::claim_until.eq(0), a::engaged_since.eq(now.0));
    let ended = on_backend!(conn, |c| kept!(update(agent_states::table, claimed, none)).execute(c))? > 0;
    changed(conn, application, agent, now, ended)
}

/// Records what an agent is now, when something has changed; passes that on.
fn changed(conn: &mut Conn, application: i64, agent: &str, now: Timestamp, is_changed: bool) -> Result<bool> {
    if is_changed && let Some(state) = get(conn, application, agent)? {
        times::record(conn, application, &state, now, times::ROUTER)?;
    }
    Ok(is_changed)
}

/// Agents whose queued next status waits for a time that has come.
pub fn with_next_status(conn: &mut Conn) -> Result<Vec<(i64, AgentState)>> {
    let rows: Vec<Row> =
        on_backend!(conn, |c| agent_states::table.filter(agent_states::next_status.is_not_null()).select(Row::as_select()).load(c))?;
    Ok(rows.into_iter().map(|r| (r.application, r.into_state())).collect())
}

/// Applies a queued next status; false when somebody else has changed it.
pub fn apply_next(conn: &mut Conn, application: i64, state: &AgentState, now: Timestamp) -> Result<bool> {
    let Some((next, reason)) = &state.next_status else { return Ok(false) };
    use agent_states::dsl as a;
    let n = on_backend!(conn, |c| diesel::update(
        agent_states::table
            .find((application, &state.agent))
            .filter(a::next_status.eq(next.as_str()).and(a::ringing.eq(0)).and(a::talking.eq(0)))
    )
    .set((
        a::manual_status.eq(next.as_str()),
        a::manual_reason.eq(reason),
        a::next_status.eq(None::<String>),
        a::next_reason.eq(None::<String>),
        a::status_by.eq(&state.next_by),
        a::next_by.eq(None::<String>),
        a::status_since.eq(now.0),
    ))
    .execute(c))?;
    changed(conn, application, &state.agent, now, n > 0)
}
