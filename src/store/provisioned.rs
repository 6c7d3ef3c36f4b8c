//! What setting a PBX up remembers of each part of it.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::schema::provisioned;
use super::{Conn, Result};
use crate::on_backend;

/// JSON of the part's memory.
pub fn get(conn: &mut Conn, application: i64, part: &str) -> Result<Option<String>> {
    Ok(on_backend!(conn, |c| provisioned::table.find((application, part)).select(provisioned::body).get_result(c).optional())?)
}

/// `None` forgets the part.
pub fn put(conn: &mut Conn, application: i64, part: &str, body: Option<&str>) -> Result<()> {
    let Some(body) = body else {
        on_backend!(conn, |c| diesel::delete(provisioned::table.find((application, part))).execute(c))?;
        return Ok(());
    };
    on_backend!(conn, |c| diesel::insert_into(provisioned::table)
        .values((provisioned::application.eq(application), provisioned::part.eq(part), provisioned::body.eq(body)))
        .on_conflict((provisioned::application, provisioned::part))
        .do_update()
        .set(provisioned::body.eq(excluded(provisioned::body)))
        .execute(c))?;
    Ok(())
}
