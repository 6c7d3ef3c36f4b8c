//! The call log and the list of calls, as the REST API pages through them.

use diesel::prelude::*;

use super::calls::{CallRow, LegRow};
use super::schema::{calls, legs};
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

/// What to list; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub direction: Option<String>,
    pub status: Option<String>,
    pub agent: Option<String>,
    pub number: Option<String>,
    /// Any of these public numbers; `None`: all.
    pub dids: Option<Vec<String>>,
}

macro_rules! narrow {
    ($query:ident, $table:ident, $filter:expr) => {
        if let Some(from) = $filter.from {
            $query = $query.filter($table::started_at.ge(from.0));
        }
        if let Some(to) = $filter.to {
            $query = $query.filter($table::started_at.lt(to.0));
        }
        if let Some(direction) = &$filter.direction {
            $query = $query.filter($table::direction.eq(direction));
        }
        if let Some(status) = &$filter.status {
            $query = $query.filter($table::status.eq(status));
        }
        if let Some(number) = &$filter.number {
            $query = $query.filter($table::number.eq(number));
        }
        if let Some(dids) = &$filter.dids {
            $query = $query.filter($table::did.eq_any(dids));
        }
    };
}

/// Logged rows, newest logged first; a missed call appears when its wait is over. `before`: (logged_at, call, leg) of the last row seen.
pub fn legs(
    conn: &mut Conn,
    application: i64,
    filter: &Filter,
    before: Option<&(i64, String, String)>,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<LegRow>> {
    on_backend!(conn, |c| {
        let mut query = legs::table
            .filter(legs::application.eq(application).and(legs::logged_at.is_not_null()).and(legs::logged_at.le(now.0)))
            .order((legs::logged_at.desc(), legs::call_id.desc(), legs::leg.desc()))
            .limit(limit)
            .select(LegRow::as_select())
            .into_boxed();
        narrow!(query, legs, filter);
        if let Some(agent) = &filter.agent {
            query = query.filter(legs::agent.eq(agent));
        }
        if let Some((at, call, leg)) = before {
            // The first condition alone lets the index find the place; the second settles rows of the same instant.
            query = query
                .filter(legs::logged_at.le(at))
                .filter(legs::logged_at.lt(at).or(legs::call_id.lt(call)).or(legs::call_id.eq(call).and(legs::leg.lt(leg))));
        }
        Ok(query.load(c)?)
    })
}

/// Calls, newest begun first. `before`: (started_at, id) of the last row seen.
pub fn calls(conn: &mut Conn, application: i64, filter: &Filter, before: Option<&(i64, String)>, limit: i64) -> Result<Vec<CallRow>> {
    on_backend!(conn, |c| {
        let mut query = calls::table
            .filter(calls::application.eq(application))
            .order((calls::started_at.desc(), calls::id.desc()))
            .limit(limit)
            .select(CallRow::as_select())
            .into_boxed();
        narrow!(query, calls, filter);
        if let Some(agent) = &filter.agent {
            query = query.filter(
                calls::id.eq_any(legs::table.filter(legs::application.eq(application).and(legs::agent.eq(agent))).select(legs::call_id)),
            );
        }
        if let Some((at, id)) = before {
            query = query.filter(calls::started_at.le(at)).filter(calls::started_at.lt(at).or(calls::id.lt(id)));
        }
        Ok(query.load(c)?)
    })
}
