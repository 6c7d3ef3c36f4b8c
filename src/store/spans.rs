//! Finding what happened to a call in a table whose ids are [`id::about`] calls: no index by call, which would be a page of the disk for each
//! row, but the index of ids, searched in the time in which the call went on.

use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::schema::calls;
use super::{Conn, Result};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::on_backend;

diesel::define_sql_function! {
    /// `length` characters of a text from the one numbered `from`, counted from one.
    fn substr(text: Text, from: Integer, length: Integer) -> Text;
}

/// What an id says of its call.
pub fn call_part<E: AsExpression<Text>>(id: E) -> substr<E, i32, i32> {
    substr(id, id::CALL_PART.0, id::CALL_PART.1)
}

/// A time, by our clock, in which something happened to some calls.
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
    pub calls: Vec<String>,
    /// What the ids of that say of their calls.
    pub parts: Vec<String>,
}

impl Span {
    /// What a call that has not ended may have gone on for before its first event reached us; and how late an event may be. Seconds.
    const LONGEST: i64 = 4 * 3_600;
    const LATE: i64 = 600;

    /// The times of these calls, in order, those that overlap as one; all times for a call that is not in the log.
    pub fn of_calls(conn: &mut Conn, application: i64, of: &[String]) -> Result<Vec<Span>> {
        let known: Vec<(String, i64, Option<i64>, i64)> = on_backend!(conn, |c| calls::table
            .filter(calls::application.eq(application).and(calls::id.eq_any(of)))
            .select((calls::id, calls::started_at, calls::ended_at, calls::first_received_at))
            .load(c))?;
        let mut spans: Vec<Span> = known.iter().map(|(id, started, ended, heard)| Span::of_call(id, *started, *ended, *heard)).collect();
        let unknown = of.iter().filter(|id| known.iter().all(|k| k.0 != **id));
        spans.extend(unknown.map(|id| Span::new(id, Timestamp(0), Timestamp::MAX)));
        Ok(Span::merged(spans))
    }

    /// While a call goes on its decisions are made and its first event comes. The PBX's clock tells how long that was, not when.
    fn of_call(id: &str, started_at: i64, ended_at: Option<i64>, first_received_at: i64) -> Span {
        let heard = Timestamp(first_received_at);
        let lasted = ended_at.map(|ended| Timestamp(ended).since(Timestamp(started_at)).max(0) / 1_000_000 + Span::LATE);
        Span::new(id, heard.plus_s(-lasted.unwrap_or(Span::LONGEST)), lasted.map_or(Timestamp::MAX, |s| heard.plus_s(s)))
    }

    fn new(call: &str, from: Timestamp, to: Timestamp) -> Span {
        Span { from, to, calls: vec![call.to_owned()], parts: vec![id::call_part(call)] }
    }

    fn merged(mut spans: Vec<Span>) -> Vec<Span> {
        spans.sort_by_key(|span| span.from);
        spans.into_iter().fold(Vec::new(), |mut merged: Vec<Span>, span| {
            match merged.last_mut() {
                Some(last) if span.from <= last.to => {
                    last.to = last.to.max(span.to);
                    last.calls.extend(span.calls);
                    last.parts.extend(span.parts);
                }
                _ => merged.push(span),
            }
            merged
        })
    }
}
