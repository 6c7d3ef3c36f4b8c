//! How long agents were what, by the half hour: what `times` holds as marks, added up.
//!
//! A busy house has millions of marks in a month and some hundred thousand sums. A half hour is summed up once it is long over ([`next`], [`keep`]);
//! what is not yet, and what of a period is no whole half hour, is drawn from the marks. Both give the same.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::schema::agent_sums;
use super::{Conn, Result, facts, times};
use crate::domain::agent::State;
use crate::domain::agent_time::{self, Sums};
use crate::domain::time::Timestamp;
use crate::on_backend;

/// Half an hour, microseconds: the clocks of nearly all zones differ by so much.
const HALF_HOUR: i64 = 1_800_000_000;
/// A half hour is over for good so long after its end, seconds.
const SETTLED_S: i64 = 3_600;
/// Rows that one statement inserts.
const AT_ONCE: usize = 500;

/// A begin and an end.
pub type Part = (Timestamp, Timestamp);

/// The fact that says up to when an application's marks are summed up.
fn summed_until(application: i64) -> String {
    format!("agent_sums_until/{application}")
}

fn until(conn: &mut Conn, application: i64) -> Result<Option<Timestamp>> {
    Ok(facts::get(conn, &summed_until(application))?.and_then(|text| text.parse().ok()).map(Timestamp))
}

#[derive(Insertable)]
#[diesel(table_name = agent_sums, treat_none_as_default_value = false)]
struct Row {
    application: i64,
    at: i64,
    agent: String,
    state: String,
    reason: String,
    us: i64,
}

/// One half hour that was added up, to be written by [`keep`].
#[derive(Clone, Debug)]
pub struct HalfHour {
    begin: Timestamp,
    sums: Vec<(String, Sums)>,
}

/// Adds up the next half hour that is settled at `now`; `None`: there is none.
pub fn next(conn: &mut Conn, application: i64, agents: &[String], now: Timestamp) -> Result<Option<HalfHour>> {
    let begin = match until(conn, application)? {
        Some(until) => until,
        None => match times::oldest(conn, application)? {
            Some(oldest) => Timestamp(oldest.0 - oldest.0.rem_euclid(HALF_HOUR)),
            None => return Ok(None),
        },
    };
    let end = Timestamp(begin.0 + HALF_HOUR);
    if end.plus_s(SETTLED_S) > now {
        return Ok(None);
    }
    let mut sums = Vec::new();
    for agent in agents {
        sums.extend(from_marks(conn, application, agent, &[(begin, end)], end)?.into_iter().map(|sums| (agent.clone(), sums)));
    }
    Ok(Some(HalfHour { begin, sums }))
}

/// Writes it down.
pub fn keep(conn: &mut Conn, application: i64, half: &HalfHour) -> Result<()> {
    let row = |agent: &String, state: State, reason: &Option<String>, us: i64| Row {
        application,
        at: half.begin.0,
        agent: agent.clone(),
        state: state.as_str().into(),
        reason: reason.clone().unwrap_or_default(),
        us,
    };
    let of_agent =
        |(agent, sums): &(String, Sums)| -> Vec<Row> { sums.iter().map(|((state, reason), us)| row(agent, *state, reason, *us)).collect() };
    let rows: Vec<Row> = half.sums.iter().flat_map(of_agent).collect();
    for some in rows.chunks(AT_ONCE) {
        // Another node may have done it.
        on_backend!(conn, |c| diesel::insert_into(agent_sums::table).values(some).on_conflict_do_nothing().execute(c))?;
    }
    facts::set(conn, &summed_until(application), &(half.begin.0 + HALF_HOUR).to_string())
}

/// How long each of the agents was what, in each part up to `now`; the parts follow each other without gap.
pub fn between(
    conn: &mut Conn,
    application: i64,
    agents: &[String],
    parts: &[Part],
    now: Timestamp,
) -> Result<Vec<BTreeMap<String, Sums>>> {
    let summed = until(conn, application)?.unwrap_or(Timestamp(0));
    let mut found: Vec<BTreeMap<String, Sums>> = vec![BTreeMap::new(); parts.len()];
    let mut by_marks: Vec<(usize, Part)> = Vec::new();
    for (n, (from, to)) in parts.iter().enumerate() {
        let whole = (
            Timestamp((from.0 + HALF_HOUR - 1).div_euclid(HALF_HOUR) * HALF_HOUR),
            Timestamp(to.min(&summed).0.div_euclid(HALF_HOUR) * HALF_HOUR),
        );
        if whole.0 >= whole.1 {
            by_marks.push((n, (*from, *to)));
            continue;
        }
        by_marks.extend([(n, (*from, whole.0)), (n, (whole.1, *to))].into_iter().filter(|(_, (from, to))| from < to));
        for (agent, state, reason, us) in of_whole(conn, application, whole)? {
            *found[n].entry(agent).or_default().entry((state, reason)).or_default() += us;
        }
    }
    // What follows without gap is read together.
    for run in by_marks.chunk_by(|(_, (_, end)), (_, (begin, _))| end == begin) {
        let pieces: Vec<Part> = run.iter().map(|(_, piece)| *piece).collect();
        for agent in agents {
            for ((n, _), sums) in run.iter().zip(from_marks(conn, application, agent, &pieces, now)?) {
                let all = found[*n].entry(agent.clone()).or_default();
                sums.into_iter().for_each(|(key, us)| *all.entry(key).or_default() += us);
            }
        }
    }
    Ok(found)
}

fn from_marks(conn: &mut Conn, application: i64, agent: &str, parts: &[Part], now: Timestamp) -> Result<Vec<Sums>> {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(Vec::new()) };
    let (from, to) = (first.0, last.1.min(now));
    let marks = times::between(conn, application, agent, from, to)?;
    Ok(agent_time::sums(&agent_time::spans(&marks, from, to), parts))
}

/// Of an agent: a state, its reason, and microseconds.
type Sum = (String, State, Option<String>, i64);

fn of_whole(conn: &mut Conn, application: i64, whole: Part) -> Result<Vec<Sum>> {
    use agent_sums::dsl as s;
    let rows: Vec<(String, String, String, i64)> = on_backend!(conn, |c| s::agent_sums
        .filter(s::application.eq(application).and(s::at.ge(whole.0.0)).and(s::at.lt(whole.1.0)))
        .group_by((s::agent, s::state, s::reason))
        .select((s::agent, s::state, s::reason, sql::<BigInt>("CAST(SUM(us) AS BIGINT)")))
        .load(c))?;
    let read = |(agent, state, reason, us): (String, String, String, i64)| {
        Some((agent, State::parse(&state)?, Some(reason).filter(|r| !r.is_empty()), us))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Deletes up to `limit` sums of half hours before `before`; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, before: Timestamp, limit: i64) -> Result<usize> {
    use agent_sums::dsl as s;
    let old = || s::application.eq(application).and(s::at.lt(before.0));
    let last: Option<i64> =
        on_backend!(conn, |c| s::agent_sums.filter(old()).order(s::at).offset(limit - 1).select(s::at).first(c).optional())?;
    // Those of one half hour go together.
    Ok(on_backend!(conn, |c| diesel::delete(s::agent_sums.filter(old().and(s::at.le(last.unwrap_or(i64::MAX))))).execute(c))?)
}
