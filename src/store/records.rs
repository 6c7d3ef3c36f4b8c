//! Recordings: which legs have one, the signed links to them, and who listened.

use diesel::prelude::*;

use super::calls::LegRow;
use super::schema::{legs, record_links, record_plays, records_deleted};
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = record_links, treat_none_as_default_value = false)]
pub struct Link {
    pub application: i64,
    pub id: String,
    pub record_id: String,
    pub created_at: i64,
    /// The token that asked for it.
    pub created_by: String,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = record_plays, treat_none_as_default_value = false)]
pub struct Play {
    pub application: i64,
    pub id: String,
    pub record_id: String,
    /// The link through which it was played; `None`: over the API.
    pub link: Option<String>,
    /// The token's name, or `link`.
    pub by_whom: String,
    pub address: String,
    pub at: i64,
}

/// The leg that a recording is of.
pub fn leg_of(conn: &mut Conn, application: i64, record: &str) -> Result<Option<LegRow>> {
    Ok(on_backend!(conn, |c| legs::table
        .filter(legs::application.eq(application).and(legs::record_id.eq(record)))
        .select(LegRow::as_select())
        .first(c)
        .optional())?)
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub extension: Option<String>,
    /// Rows logged before this leg: (logged_at, call, leg).
    pub before: Option<(i64, String, String)>,
}

/// Legs with a recording that was not deleted, newest first.
pub fn list(conn: &mut Conn, application: i64, filter: &Filter, limit: i64) -> Result<Vec<LegRow>> {
    on_backend!(conn, |c| {
        let mut query =
            legs::table
                .filter(legs::application.eq(application).and(legs::record_id.is_not_null()).and(legs::logged_at.is_not_null()))
                .filter(diesel::dsl::not(legs::record_id.assume_not_null().eq_any(
                    records_deleted::table.filter(records_deleted::application.eq(application)).select(records_deleted::record_id),
                )))
                .order((legs::logged_at.desc(), legs::call_id.desc(), legs::leg.desc()))
                .limit(limit)
                .select(LegRow::as_select())
                .into_boxed();
        if let Some(from) = filter.from {
            query = query.filter(legs::started_at.ge(from.0));
        }
        if let Some(to) = filter.to {
            query = query.filter(legs::started_at.lt(to.0));
        }
        if let Some(extension) = &filter.extension {
            query = query.filter(legs::extension.eq(extension));
        }
        if let Some((at, call, leg)) = &filter.before {
            query = query.filter(
                legs::logged_at
                    .lt(at)
                    .or(legs::logged_at.eq(at).and(legs::call_id.lt(call).or(legs::call_id.eq(call).and(legs::leg.lt(leg))))),
            );
        }
        Ok(query.load(c)?)
    })
}

pub fn mark_deleted(conn: &mut Conn, application: i64, records: &[String], now: Timestamp) -> Result<()> {
    for record in records {
        on_backend!(conn, |c| diesel::insert_into(records_deleted::table)
            .values((
                records_deleted::application.eq(application),
                records_deleted::record_id.eq(record),
                records_deleted::deleted_at.eq(now.0)
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
    }
    Ok(())
}

pub fn is_deleted(conn: &mut Conn, application: i64, record: &str) -> Result<bool> {
    let at: Option<i64> =
        on_backend!(conn, |c| records_deleted::table.find((application, record)).select(records_deleted::deleted_at).first(c).optional())?;
    Ok(at.is_some())
}

/// Which of some recordings were deleted.
pub fn deleted_of(conn: &mut Conn, application: i64, records: &[String]) -> Result<Vec<String>> {
    Ok(on_backend!(conn, |c| records_deleted::table
        .filter(records_deleted::application.eq(application).and(records_deleted::record_id.eq_any(records)))
        .select(records_deleted::record_id)
        .load(c))?)
}

pub fn insert_link(conn: &mut Conn, link: &Link) -> Result<()> {
    on_backend!(conn, |c| diesel::insert_into(record_links::table).values(link).execute(c))?;
    Ok(())
}

pub fn link(conn: &mut Conn, application: i64, id: &str) -> Result<Option<Link>> {
    Ok(on_backend!(conn, |c| record_links::table.find((application, id)).select(Link::as_select()).first(c).optional())?)
}

/// The links of a recording, newest first.
pub fn links_of(conn: &mut Conn, application: i64, record: &str) -> Result<Vec<Link>> {
    Ok(on_backend!(conn, |c| record_links::table
        .filter(record_links::application.eq(application).and(record_links::record_id.eq(record)))
        .order((record_links::created_at.desc(), record_links::id.desc()))
        .select(Link::as_select())
        .load(c))?)
}

/// False when there is no such link, or it was revoked before.
pub fn revoke_link(conn: &mut Conn, application: i64, id: &str, now: Timestamp) -> Result<bool> {
    let n = on_backend!(conn, |c| diesel::update(record_links::table.find((application, id)).filter(record_links::revoked_at.is_null()))
        .set(record_links::revoked_at.eq(now.0))
        .execute(c))?;
    Ok(n > 0)
}

pub fn insert_play(conn: &mut Conn, play: &Play) -> Result<()> {
    on_backend!(conn, |c| diesel::insert_into(record_plays::table).values(play).execute(c))?;
    Ok(())
}

/// Who listened to a recording, newest first.
pub fn plays_of(conn: &mut Conn, application: i64, record: &str) -> Result<Vec<Play>> {
    Ok(on_backend!(conn, |c| record_plays::table
        .filter(record_plays::application.eq(application).and(record_plays::record_id.eq(record)))
        .order(record_plays::id.desc())
        .limit(500)
        .select(Play::as_select())
        .load(c))?)
}
