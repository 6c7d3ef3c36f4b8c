//! Counting a period: the call log, queues, offers. Sums are made by the database, so that a month of a busy house is a few rows here.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::schema::{calls, legs, offers, queue_entries};
use super::{Conn, Result};
use crate::domain::agent::OfferState;
use crate::domain::id;
use crate::domain::queue::EntryOutcome;
use crate::domain::queue_stats::Tally;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// A period: its begin belongs to it, its end does not.
pub type Period = (Timestamp, Timestamp);

/// Logged legs of one extension in one direction: the extension, `in` or `out`, how many, and microseconds of talk.
pub type Legs = (Option<String>, String, i64, i64);

/// What the log `$of` holds of a period at `now`; a missed call that still waits is not there yet.
macro_rules! of_log {
    ($of:ident, $application:expr, $period:expr, $kind:literal, $now:expr) => {
        of_log!(@ $application, $period, $kind, $now, $of.field(legs::application), $of.field(legs::started_at), $of.field(legs::kind), $of.field(legs::logged_at))
    };
    ($application:expr, $period:expr, $kind:literal, $now:expr) => {
        of_log!(@ $application, $period, $kind, $now, legs::application, legs::started_at, legs::kind, legs::logged_at)
    };
    (@ $application:expr, $period:expr, $kind:literal, $now:expr, $app:expr, $started:expr, $is:expr, $logged:expr) => {
        $app.eq($application)
            .and($started.ge($period.0.0))
            .and($started.lt($period.1.0))
            .and($is.eq($kind))
            .and($logged.is_not_null())
            .and($logged.le($now.0))
    };
}

/// The legs of the log, by extension and direction; a leg counts where it began.
pub fn legs(conn: &mut Conn, application: i64, period: Period, now: Timestamp) -> Result<Vec<Legs>> {
    Ok(on_backend!(conn, |c| legs::table
        .filter(of_log!(application, period, "leg", now))
        .group_by((legs::extension, legs::direction))
        .select((legs::extension, legs::direction, count_star(), sql::<BigInt>("CAST(SUM(talk_us) AS BIGINT)")))
        .load(c))?)
}

/// How often each extension rang in vain in calls that nobody took; a ring counts where its call began.
pub fn unanswered(conn: &mut Conn, application: i64, period: Period, now: Timestamp) -> Result<Vec<(Option<String>, i64)>> {
    let lost = diesel::alias!(legs as lost);
    let key = (legs::call_stored_at.eq(lost.field(legs::call_stored_at)), legs::call_id.eq(lost.field(legs::call_id)));
    let same = legs::application.eq(lost.field(legs::application)).and(key.0).and(key.1);
    let ring = legs::kind.eq("leg").and(legs::direction.eq("in")).and(legs::answered_at.is_null()).and(legs::status.ne("answered"));
    Ok(on_backend!(conn, |c| legs::table
        .inner_join(lost.on(same))
        .filter(of_log!(lost, application, period, "missed", now))
        .filter(ring)
        .group_by(legs::extension)
        .select((legs::extension, count_star()))
        .load(c))?)
}

/// Missed calls by the place that lost them.
pub fn missed(conn: &mut Conn, application: i64, period: Period, now: Timestamp) -> Result<Vec<(Option<String>, i64)>> {
    Ok(on_backend!(conn, |c| legs::table
        .filter(of_log!(application, period, "missed", now))
        .group_by(legs::place)
        .select((legs::place, count_star()))
        .load(c))?)
}

/// The limits by which a queue's calls are told apart, seconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the service level: an end within it is in time.
    pub within_s: i64,
    /// An end sooner than this is short.
    pub short_s: i64,
}

/// What became of the calls that joined a queue in a period, by the public number that they came through. `now` ends the wait of those who
/// are there.
pub fn entries(
    conn: &mut Conn,
    application: i64,
    queue: &str,
    period: Period,
    limits: Limits,
    now: Timestamp,
) -> Result<Vec<(Option<String>, Tally)>> {
    type Row = (Option<String>, Option<String>, i64, i64, i64, i64, i64, i64);
    let us = |seconds: i64| seconds.saturating_mul(1_000_000);
    let in_time =
        || sql::<BigInt>("SUM(CASE WHEN ended_at - joined_at <= ").bind::<BigInt, _>(us(limits.within_s)).sql(" THEN 1 ELSE 0 END)");
    let short = || sql::<BigInt>("SUM(CASE WHEN ended_at - joined_at < ").bind::<BigInt, _>(us(limits.short_s)).sql(" THEN 1 ELSE 0 END)");
    let wait = || sql::<BigInt>("CAST(SUM(COALESCE(ended_at - joined_at, 0)) AS BIGINT)");
    let longest = || sql::<BigInt>("MAX(COALESCE(ended_at, ").bind::<BigInt, _>(now.0).sql(") - joined_at)");
    let talk = || sql::<BigInt>("CAST(SUM(talk_us) AS BIGINT)");
    let rows: Vec<Row> = on_backend!(conn, |c| queue_entries::table
        .filter(queue_entries::application.eq(application).and(queue_entries::queue.eq(queue)))
        .filter(queue_entries::joined_at.ge(period.0.0).and(queue_entries::joined_at.lt(period.1.0)))
        .group_by((queue_entries::did, queue_entries::outcome))
        .select((queue_entries::did, queue_entries::outcome, count_star(), in_time(), short(), wait(), longest(), talk()))
        .load(c))?;
    let tally = |(did, outcome, calls, in_time, short, wait_us, longest_us, talk_us): Row| {
        let outcome = outcome.as_deref().and_then(EntryOutcome::parse);
        (did, Tally { outcome, calls, in_time, short, wait_us, longest_us, talk_us })
    };
    Ok(rows.into_iter().map(tally).collect())
}

/// An offer's id is made with its decision, before the offer, and not longer before than this, seconds.
const DECIDES_WITHIN_S: i64 = 60;

/// The offers that were made in a period, by agent and by what became of them.
pub fn offers(conn: &mut Conn, application: i64, period: Period) -> Result<Vec<(String, OfferState, i64)>> {
    let (first, last) = (id::floor(period.0.plus_s(-DECIDES_WITHIN_S)), id::floor(period.1.plus_ms(1)));
    let rows: Vec<(String, String, i64)> = on_backend!(conn, |c| offers::table
        .filter(offers::application.eq(application).and(offers::id.ge(first)).and(offers::id.lt(last)))
        .filter(offers::made_at.ge(period.0.0).and(offers::made_at.lt(period.1.0)))
        .group_by((offers::agent, offers::state))
        .select((offers::agent, offers::state, count_star()))
        .load(c))?;
    Ok(rows.into_iter().filter_map(|(agent, state, n)| Some((agent, OfferState::parse(&state)?, n))).collect())
}

/// Logged legs of one agent in one direction: the agent, `in` or `out`, how many, how many with talk, and microseconds of talk.
pub type AgentLegs = (Option<String>, String, i64, i64, i64);

/// The legs of the log that are an agent's, by agent and direction; a leg counts where it began.
pub fn agent_legs(conn: &mut Conn, application: i64, period: Period, now: Timestamp) -> Result<Vec<AgentLegs>> {
    Ok(on_backend!(conn, |c| legs::table
        .filter(of_log!(application, period, "leg", now))
        .filter(legs::agent.is_not_null())
        .group_by((legs::agent, legs::direction))
        .select((
            legs::agent,
            legs::direction,
            count_star(),
            sql::<BigInt>("SUM(CASE WHEN talk_us > 0 THEN 1 ELSE 0 END)"),
            sql::<BigInt>("CAST(SUM(talk_us) AS BIGINT)")
        ))
        .load(c))?)
}

/// Calls that came through public numbers in a period and are over: the number, how many, and how many of these somebody talked with.
pub fn calls(conn: &mut Conn, application: i64, period: Period) -> Result<Vec<(Option<String>, i64, i64)>> {
    Ok(on_backend!(conn, |c| calls::table
        .filter(calls::application.eq(application))
        .filter(calls::started_at.ge(period.0.0).and(calls::started_at.lt(period.1.0)))
        .filter(calls::direction.eq("in").and(calls::did.is_not_null()))
        .filter(sql::<Bool>("ended_at IS NOT NULL"))
        .group_by(calls::did)
        .select((calls::did, count_star(), sql::<BigInt>("SUM(CASE WHEN status = 'answered' THEN 1 ELSE 0 END)")))
        .load(c))?)
}
