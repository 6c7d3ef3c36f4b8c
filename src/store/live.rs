//! Legs that are up now: what keeps an extension busy.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::prepared::{kept, upsert};
use super::schema::live_legs;
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = live_legs)]
pub struct LiveLeg {
    pub application: i64,
    pub call_id: String,
    pub leg: String,
    pub extension: String,
    pub answered: bool,
    /// When the first event of this phase reached us.
    pub since: i64,
    /// When somebody should ask whether it is still up.
    pub check_at: i64,
    /// The watchdog took it for lost: it does not count any more.
    pub given_up: bool,
}

/// A leg rings or talks. What the watchdog gave up stays so until the leg is heard of in a new phase.
pub fn put(conn: &mut Conn, leg: &LiveLeg) -> Result<()> {
    let news = (
        live_legs::extension.eq(excluded(live_legs::extension)),
        live_legs::answered.eq(excluded(live_legs::answered)),
        live_legs::since.eq(excluded(live_legs::since)),
        live_legs::check_at.eq(excluded(live_legs::check_at)),
        live_legs::given_up.eq(false),
    );
    Ok(on_backend!(conn, |c| kept!(upsert(diesel::insert_into(live_legs::table).values(leg), "application, call_id, leg", news)).run(c))?)
}

pub fn remove(conn: &mut Conn, application: i64, call: &str, leg: &str) -> Result<()> {
    Ok(on_backend!(conn, |c| kept!(diesel::delete(live_legs::table.find((application, call, leg)))).run(c))?)
}

/// How many live legs of some extensions ring, and how many talk.
pub fn count<'a>(conn: &mut Conn, application: i64, extensions: impl IntoIterator<Item = &'a str>) -> Result<(i32, i32)> {
    let (mut ringing, mut talking) = (0, 0);
    for extension in extensions {
        let up = live_legs::table
            .filter(live_legs::application.eq(application).and(live_legs::extension.eq(extension)).and(live_legs::given_up.eq(false)))
            .select(live_legs::answered);
        let answered: Vec<bool> = on_backend!(conn, |c| kept!(up).load(c))?;
        let talks = answered.iter().filter(|a| **a).count() as i32;
        (ringing, talking) = (ringing + answered.len() as i32 - talks, talking + talks);
    }
    Ok((ringing, talking))
}

/// The calls that an extension is in now.
pub fn calls_of(conn: &mut Conn, application: i64, extension: &str) -> Result<Vec<LiveLeg>> {
    Ok(on_backend!(conn, |c| live_legs::table
        .filter(live_legs::application.eq(application).and(live_legs::extension.eq(extension)).and(live_legs::given_up.eq(false)))
        .order((live_legs::answered.desc(), live_legs::since))
        .select(LiveLeg::as_select())
        .load(c))?)
}

/// Every live leg of an application.
pub fn all(conn: &mut Conn, application: i64) -> Result<Vec<LiveLeg>> {
    Ok(on_backend!(conn, |c| live_legs::table
        .filter(live_legs::application.eq(application).and(live_legs::given_up.eq(false)))
        .order((live_legs::answered.desc(), live_legs::since))
        .select(LiveLeg::as_select())
        .load(c))?)
}

/// Legs whose check is due.
pub fn due(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<Vec<LiveLeg>> {
    Ok(on_backend!(conn, |c| live_legs::table
        .filter(live_legs::check_at.le(now.0).and(live_legs::given_up.eq(false)))
        .order(live_legs::check_at)
        .limit(limit)
        .select(LiveLeg::as_select())
        .load(c))?)
}

/// Sets when the leg is asked about again; false when it changed meanwhile.
pub fn check_again(conn: &mut Conn, leg: &LiveLeg, at: Timestamp) -> Result<bool> {
    let n = on_backend!(conn, |c| diesel::update(same(leg)).set(live_legs::check_at.eq(at.0)).execute(c))?;
    Ok(n > 0)
}

/// Stops counting the leg; false when it changed meanwhile.
pub fn give_up(conn: &mut Conn, leg: &LiveLeg) -> Result<bool> {
    let n = on_backend!(conn, |c| diesel::update(same(leg)).set(live_legs::given_up.eq(true)).execute(c))?;
    Ok(n > 0)
}

type Same<'a> = diesel::helper_types::Filter<
    diesel::helper_types::Find<live_legs::table, (i64, &'a str, &'a str)>,
    diesel::dsl::And<diesel::dsl::Eq<live_legs::answered, bool>, diesel::dsl::Eq<live_legs::since, i64>>,
>;

/// The row as it was seen: an event that came in between made it another one.
fn same(leg: &LiveLeg) -> Same<'_> {
    live_legs::table
        .find((leg.application, leg.call_id.as_str(), leg.leg.as_str()))
        .filter(live_legs::answered.eq(leg.answered).and(live_legs::since.eq(leg.since)))
}
