//! Times in which no server had a connection to an application's PBX.

use diesel::prelude::*;

use super::schema::outages;
use super::{Conn, Result};
use crate::domain::outage::Outage;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// One begins, unless it lasts already.
pub fn begin(conn: &mut Conn, application: i64, at: Timestamp, why: &str) -> Result<()> {
    use outages::dsl as o;
    let open = o::application.eq(application).and(o::ended_at.is_null());
    let lasts: i64 = on_backend!(conn, |c| o::outages.filter(open).count().get_result(c))?;
    if lasts == 0 {
        let row = (o::application.eq(application), o::began_at.eq(at.0), o::why.eq(why));
        // Two of the same instant are one.
        on_backend!(conn, |c| diesel::insert_into(o::outages).values(row).on_conflict_do_nothing().execute(c))?;
    }
    Ok(())
}

/// The connection is back.
pub fn end(conn: &mut Conn, application: i64, at: Timestamp) -> Result<()> {
    use outages::dsl as o;
    let open = o::application.eq(application).and(o::ended_at.is_null());
    on_backend!(conn, |c| diesel::update(o::outages.filter(open)).set(o::ended_at.eq(at.0)).execute(c))?;
    Ok(())
}

/// Those that lie in `[from, to)`, also in part.
pub fn between(conn: &mut Conn, application: i64, from: Timestamp, to: Timestamp) -> Result<Vec<Outage>> {
    use outages::dsl as o;
    let ends_later = o::ended_at.is_null().or(o::ended_at.gt(from.0).assume_not_null());
    let rows: Vec<(i64, Option<i64>)> = on_backend!(conn, |c| o::outages
        .filter(o::application.eq(application).and(o::began_at.lt(to.0)))
        .filter(ends_later)
        .order(o::began_at)
        .select((o::began_at, o::ended_at))
        .load(c))?;
    Ok(rows.into_iter().map(|(began, ended)| Outage { began: Timestamp(began), ended: ended.map(Timestamp) }).collect())
}
