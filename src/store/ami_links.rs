//! Who takes the events of an application's AMI, and how that connection fares: one row, which every node reads.

use diesel::prelude::*;

use super::schema::ami_links;
use super::{Conn, Result, outages};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = ami_links)]
pub struct AmiLink {
    pub application: i64,
    pub holder: Option<String>,
    pub held_until: i64,
    /// Since when it is connected, logged in and has read what is up.
    pub up_since: Option<i64>,
    /// Since when it is not, and why.
    pub down_since: Option<i64>,
    pub down_why: Option<String>,
    /// What the PBX says that it is.
    pub version: Option<String>,
    /// Since when a connection was wanted: what is known of outages begins here.
    pub watched_since: Option<i64>,
}

impl AmiLink {
    /// In words, and since when.
    pub fn state(&self) -> (Timestamp, String) {
        match (self.up_since, self.down_since) {
            (Some(up), _) => {
                (Timestamp(up), format!("connected to Asterisk {}", self.version.as_deref().unwrap_or_default()).trim().into())
            }
            (None, Some(down)) => (Timestamp(down), format!("not connected: {}", self.down_why.as_deref().unwrap_or_default())),
            (None, None) => (Timestamp(0), "not connected yet".into()),
        }
    }
}

pub fn get(conn: &mut Conn, application: i64) -> Result<Option<AmiLink>> {
    Ok(on_backend!(conn, |c| ami_links::table.find(application).select(AmiLink::as_select()).get_result(c).optional())?)
}

/// Takes or keeps the lease until `until`; false while somebody else has it.
pub fn hold(conn: &mut Conn, application: i64, holder: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
    use ami_links::dsl as l;
    let this = || l::ami_links.filter(l::application.eq(application));
    let mine = l::holder.eq(holder).assume_not_null();
    let kept = on_backend!(conn, |c| diesel::update(this().filter(mine)).set(l::held_until.eq(until.0)).execute(c))?;
    if kept > 0 {
        return Ok(true);
    }
    on_backend!(conn, |c| diesel::insert_into(l::ami_links)
        .values((l::application.eq(application), l::held_until.eq(now.0), l::watched_since.eq(now.0)))
        .on_conflict_do_nothing()
        .execute(c))?;
    let free = l::holder.is_null().or(l::held_until.le(now.0));
    let none_up = l::up_since.eq(None::<i64>);
    let held_until: i64 = on_backend!(conn, |c| this().select(l::held_until).get_result(c))?;
    let taken = on_backend!(conn, |c| diesel::update(this().filter(free))
        .set((l::holder.eq(holder), l::held_until.eq(until.0), none_up))
        .execute(c))?;
    if taken > 0 {
        outages::begin(conn, application, Timestamp(held_until).min(now), "no server was connected")?;
    }
    Ok(taken > 0)
}

/// Gives the lease back.
pub fn release(conn: &mut Conn, application: i64, holder: &str, now: Timestamp) -> Result<()> {
    use ami_links::dsl as l;
    let mine = l::application.eq(application).and(l::holder.eq(holder));
    on_backend!(conn, |c| diesel::update(l::ami_links.filter(mine.assume_not_null()))
        .set((l::holder.eq(None::<String>), l::held_until.eq(now.0)))
        .execute(c))?;
    Ok(())
}

/// The holder is connected to what calls itself so.
pub fn up(conn: &mut Conn, application: i64, holder: &str, now: Timestamp, version: Option<&str>) -> Result<()> {
    use ami_links::dsl as l;
    let mine = l::application.eq(application).and(l::holder.eq(holder));
    let told = on_backend!(conn, |c| diesel::update(l::ami_links.filter(mine.assume_not_null()))
        .set((l::up_since.eq(now.0), l::down_since.eq(None::<i64>), l::down_why.eq(None::<String>), l::version.eq(version)))
        .execute(c))?;
    if told > 0 {
        outages::end(conn, application, now)?;
    }
    Ok(())
}

/// The holder is not connected; since when, is the first time that is told. False: somebody else holds it, or nobody.
pub fn down(conn: &mut Conn, application: i64, holder: &str, now: Timestamp, why: &str) -> Result<bool> {
    use ami_links::dsl as l;
    let mine = || l::ami_links.filter(l::application.eq(application).and(l::holder.eq(holder.to_owned()).assume_not_null()));
    let first = mine().filter(l::down_since.is_null());
    on_backend!(conn, |c| diesel::update(first).set(l::down_since.eq(now.0)).execute(c))?;
    let told = on_backend!(conn, |c| diesel::update(mine()).set((l::up_since.eq(None::<i64>), l::down_why.eq(why))).execute(c))?;
    if told > 0 {
        outages::begin(conn, application, now, why)?;
    }
    Ok(told > 0)
}
