//! A few values that the installation remembers about itself.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::upsert::excluded;

use super::schema::facts;
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

pub fn get(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    Ok(on_backend!(conn, |c| facts::table.find(name).select(facts::value).first(c).optional())?)
}

pub fn set(conn: &mut Conn, name: &str, value: &str) -> Result<()> {
    on_backend!(conn, |c| diesel::insert_into(facts::table)
        .values((facts::name.eq(name), facts::value.eq(value)))
        .on_conflict(facts::name)
        .do_update()
        .set(facts::value.eq(excluded(facts::value)))
        .execute(c))?;
    Ok(())
}

/// Sets a value that nobody may set twice; returns the one that holds.
pub fn set_once(conn: &mut Conn, name: &str, value: &str) -> Result<String> {
    on_backend!(conn, |c| diesel::insert_into(facts::table)
        .values((facts::name.eq(name), facts::value.eq(value)))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(get(conn, name)?.unwrap_or_else(|| value.to_owned()))
}

/// Removes what is remembered of an application: such names end with its id.
pub fn forget(conn: &mut Conn, application: i64) -> Result<()> {
    on_backend!(conn, |c| diesel::delete(facts::table.filter(facts::name.like(format!("%/{application}")))).execute(c))?;
    Ok(())
}

/// The database's own clock.
pub fn clock(conn: &mut Conn) -> Result<Timestamp> {
    let us: i64 = match conn {
        Conn::Sqlite(c) => diesel::select(diesel::dsl::sql::<BigInt>("CAST(unixepoch('subsec') * 1000000 AS BIGINT)")).get_result(c)?,
        Conn::Postgres(c) => {
            diesel::select(diesel::dsl::sql::<BigInt>("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")).get_result(c)?
        }
    };
    Ok(Timestamp(us))
}
