//! How the API of an application's PBX fares: one row, which every node reads before it asks and writes after it was answered.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::schema::pbx_lines;
use super::{Conn, Result, from_json, to_json};
use crate::domain::health::Finding;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// Times are microseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = pbx_lines)]
pub struct Line {
    pub application: i64,
    /// Requests that the PBX allows in an hour, and those that were left when it last answered; good until `resets_at`.
    pub hour_limit: Option<i64>,
    pub hour_left: Option<i64>,
    pub resets_at: i64,
    /// The PBX told us not to ask before this time.
    pub wait_until: i64,
    pub wait_why: Option<String>,
    /// Since when it does not answer, or answers that it is broken.
    pub down_since: Option<i64>,
    pub down_why: Option<String>,
    /// Who may ask for statistics, until when.
    pub turn_until: i64,
    pub turn_of: Option<String>,
    /// When `check --live` last looked, and what it found, as JSON.
    pub checked_at: Option<i64>,
    pub findings: Option<String>,
}

impl Line {
    /// Until when nothing may be asked, and why.
    pub fn waits(&self, now: Timestamp) -> Option<(Timestamp, &str)> {
        if self.wait_until > now.0 {
            return Some((Timestamp(self.wait_until), self.wait_why.as_deref().unwrap_or("it asked us to wait")));
        }
        (self.left(now) == Some(0)).then_some((Timestamp(self.resets_at), "the requests of this hour are used up"))
    }

    /// What the last check found.
    pub fn findings(&self) -> Result<Vec<Finding>> {
        self.findings.as_deref().map_or(Ok(Vec::new()), from_json)
    }

    /// Requests left in this hour, as far as the PBX has said.
    pub fn left(&self, now: Timestamp) -> Option<i64> {
        self.hour_left.filter(|_| self.resets_at > now.0)
    }
}

/// What a reply, or the want of one, says about the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    pub hour: Option<Hour>,
    /// Not to be asked before this time, and why.
    pub wait: Option<(Timestamp, String)>,
    /// Why it does not answer; `None`: it answers.
    pub down: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    pub limit: i64,
    pub left: i64,
    pub resets_at: Timestamp,
}

pub fn get(conn: &mut Conn, application: i64) -> Result<Line> {
    let found: Option<Line> = on_backend!(conn, |c| pbx_lines::table.find(application).select(Line::as_select()).get_result(c).optional())?;
    Ok(found.unwrap_or(Line { application, ..Line::default() }))
}

fn ensure(conn: &mut Conn, application: i64) -> Result<()> {
    let fresh = Line { application, ..Line::default() };
    on_backend!(conn, |c| diesel::insert_into(pbx_lines::table).values(&fresh).on_conflict_do_nothing().execute(c))?;
    Ok(())
}

pub fn note(conn: &mut Conn, application: i64, news: &News, now: Timestamp) -> Result<()> {
    ensure(conn, application)?;
    let mut line = get(conn, application)?;
    if let Some(hour) = news.hour {
        (line.hour_limit, line.hour_left, line.resets_at) = (Some(hour.limit), Some(hour.left), hour.resets_at.0);
    }
    match &news.wait {
        Some((until, why)) => (line.wait_until, line.wait_why) = (until.0, Some(why.clone())),
        None if line.wait_until <= now.0 => (line.wait_until, line.wait_why) = (0, None),
        None => {}
    }
    match &news.down {
        Some(why) => (line.down_since, line.down_why) = (line.down_since.or(Some(now.0)), Some(why.clone())),
        None => (line.down_since, line.down_why) = (None, None),
    }
    on_backend!(conn, |c| diesel::update(pbx_lines::table.find(application))
        .set((
            pbx_lines::hour_limit.eq(line.hour_limit),
            pbx_lines::hour_left.eq(line.hour_left),
            pbx_lines::resets_at.eq(line.resets_at),
            pbx_lines::wait_until.eq(line.wait_until),
            pbx_lines::wait_why.eq(&line.wait_why),
            pbx_lines::down_since.eq(line.down_since),
            pbx_lines::down_why.eq(&line.down_why),
        ))
        .execute(c))?;
    Ok(())
}

/// Takes the turn of asking for statistics, or keeps it; false when it is somebody else's.
pub fn take_turn(conn: &mut Conn, application: i64, who: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
    ensure(conn, application)?;
    let free = pbx_lines::turn_until.le(now.0).or(pbx_lines::turn_of.is_null()).or(pbx_lines::turn_of.eq(who.to_owned()));
    let n = on_backend!(conn, |c| diesel::update(pbx_lines::table.find(application).filter(free))
        .set((pbx_lines::turn_of.eq(Some(who)), pbx_lines::turn_until.eq(until.0)))
        .execute(c))?;
    Ok(n > 0)
}

pub fn end_turn(conn: &mut Conn, application: i64, who: &str) -> Result<()> {
    on_backend!(conn, |c| diesel::update(pbx_lines::table.find(application).filter(pbx_lines::turn_of.eq(who)))
        .set((pbx_lines::turn_of.eq(None::<String>), pbx_lines::turn_until.eq(0)))
        .execute(c))?;
    Ok(())
}

/// Keeps what a check found.
pub fn checked(conn: &mut Conn, application: i64, at: Timestamp, findings: &[Finding]) -> Result<()> {
    let line = Line { application, checked_at: Some(at.0), findings: Some(to_json(&findings)?), ..Line::default() };
    on_backend!(conn, |c| diesel::insert_into(pbx_lines::table)
        .values(&line)
        .on_conflict(pbx_lines::application)
        .do_update()
        .set((pbx_lines::checked_at.eq(excluded(pbx_lines::checked_at)), pbx_lines::findings.eq(excluded(pbx_lines::findings)),))
        .execute(c))?;
    Ok(())
}
