//! Counting the call log of a period, by extension and by place.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::schema::legs;
use super::{Conn, Result};
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
    let same = legs::application.eq(lost.field(legs::application)).and(legs::call_id.eq(lost.field(legs::call_id)));
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
