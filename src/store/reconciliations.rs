//! How far an application was compared with its PBX's call history, and the lease of whoever is at it: the PBX takes one request for a list
//! at a time from a customer, whichever of our processes sends it.

use diesel::prelude::*;

use super::schema::reconciliations;
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = reconciliations)]
pub struct Reconciliation {
    pub application: i64,
    /// Every call that began before is settled; 0: none was compared yet.
    pub settled_until: i64,
    /// Why the last who began did not come to the end.
    pub error: Option<String>,
    pub holder: Option<String>,
    pub held_until: i64,
}

pub fn get(conn: &mut Conn, application: i64) -> Result<Option<Reconciliation>> {
    Ok(on_backend!(conn, |c| reconciliations::table.find(application).select(Reconciliation::as_select()).get_result(c).optional())?)
}

/// Takes or keeps the lease until `until`; false while somebody else has it.
pub fn hold(conn: &mut Conn, application: i64, holder: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
    use reconciliations::dsl as r;
    on_backend!(conn, |c| diesel::insert_into(r::reconciliations)
        .values((r::application.eq(application), r::settled_until.eq(0), r::held_until.eq(0)))
        .on_conflict_do_nothing()
        .execute(c))?;
    let free = r::holder.is_null().or(r::holder.eq(holder)).or(r::held_until.le(now.0));
    let held =
        on_backend!(conn, |c| diesel::update(r::reconciliations.filter(r::application.eq(application)).filter(free.assume_not_null()))
            .set((r::holder.eq(holder), r::held_until.eq(until.0)))
            .execute(c))?;
    Ok(held > 0)
}

/// Gives the lease back, with how it ended. `settled`: the period that was compared to its end; what follows a gap is not taken.
pub fn release(
    conn: &mut Conn,
    application: i64,
    holder: &str,
    settled: Option<(Timestamp, Timestamp)>,
    error: Option<&str>,
) -> Result<()> {
    use reconciliations::dsl as r;
    let mine = r::application.eq(application).and(r::holder.eq(holder));
    on_backend!(conn, |c| diesel::update(r::reconciliations.filter(mine.assume_not_null()))
        .set((r::holder.eq(None::<String>), r::held_until.eq(0), r::error.eq(error)))
        .execute(c))?;
    if let Some((from, until)) = settled {
        let follows = r::settled_until.lt(until.0).and(r::settled_until.ge(from.0).or(r::settled_until.eq(0)));
        on_backend!(conn, |c| diesel::update(r::reconciliations.filter(r::application.eq(application)).filter(follows))
            .set(r::settled_until.eq(until.0))
            .execute(c))?;
    }
    Ok(())
}
