//! Offers: which agent was named to which call, and what became of it.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::prepared::{condition, kept, one_of, update};
use super::schema::offers;
use super::spans::{Span, call_part};
use super::{Conn, Result};
use crate::domain::agent::OfferState;
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::on_backend;

/// An offer. Its id begins with that of the decision that made it, and so with the time and a part of the call's id.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = offers, treat_none_as_default_value = false)]
pub struct Offer {
    pub application: i64,
    pub id: String,
    pub call_id: String,
    pub agent: String,
    /// The extension that was named.
    pub extension: String,
    pub state: String,
    pub made_at: i64,
    /// When the claim ends if no leg follows.
    pub until: i64,
    pub ended_at: Option<i64>,
}

impl Offer {
    pub fn state(&self) -> OfferState {
        OfferState::parse(&self.state).unwrap_or(OfferState::Rescinded)
    }
}

condition! {
    /// What [`in_hand`] and its index (`offers_in_hand`) are about.
    InHand = "(ended_at IS NULL OR state = 'no_answer' OR state = 'busy' OR state = 'rejected' OR state = 'unreachable')"
}
condition! {
    /// What [`expired`] and its index (`offers_pending`) are about.
    Pending = "state = 'pending'"
}

/// The offers of a call that bind somebody or were made in vain ([`OfferState::counts_as_tried`]), oldest first: all that matters to what the
/// call does next.
pub fn in_hand(conn: &mut Conn, application: i64, call: &str) -> Result<Vec<Offer>> {
    let of_call = offers::table.filter(offers::application.eq(application).and(offers::call_id.eq(call))).filter(InHand).order(offers::id);
    Ok(on_backend!(conn, |c| kept!(of_call.select(Offer::as_select())).load(c))?)
}

/// [`in_hand`] of several calls.
pub fn in_hand_of(conn: &mut Conn, application: i64, calls: &[String]) -> Result<Vec<Offer>> {
    let all = offers::table.filter(offers::application.eq(application)).filter(InHand).order(offers::id);
    Ok(match conn {
        Conn::Sqlite(c) => kept!(all.filter(one_of("call_id", calls)?).select(Offer::as_select())).load(c)?,
        Conn::Postgres(c) => kept!(all.filter(offers::call_id.eq_any(calls)).select(Offer::as_select())).load(c)?,
    })
}

/// Every offer of some calls, oldest first.
pub fn of_calls(conn: &mut Conn, application: i64, calls: &[String]) -> Result<Vec<Offer>> {
    let mut found: Vec<Offer> = Vec::new();
    for Span { from, to, calls, parts } in Span::of_calls(conn, application, calls)? {
        let rows: Vec<Offer> = on_backend!(conn, |c| offers::table
            .filter(offers::application.eq(application).and(offers::id.ge(id::floor(from))).and(offers::id.lt(id::floor(to))))
            .filter(call_part(offers::id).eq_any(&parts))
            .order(offers::id)
            .select(Offer::as_select())
            .load(c))?;
        found.extend(rows.into_iter().filter(|offer| calls.contains(&offer.call_id)));
    }
    Ok(found)
}

/// The offers from this id on, oldest first; [`id::floor`] makes an id of a time.
pub fn since(conn: &mut Conn, application: i64, floor: &str) -> Result<Vec<Offer>> {
    Ok(on_backend!(conn, |c| offers::table
        .filter(offers::application.eq(application).and(offers::id.ge(floor)))
        .order(offers::id)
        .select(Offer::as_select())
        .load(c))?)
}

/// The offers of these ids that are there, oldest first.
pub fn of_ids(conn: &mut Conn, application: i64, ids: &[String]) -> Result<Vec<Offer>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on_backend!(conn, |c| offers::table
        .filter(offers::application.eq(application).and(offers::id.eq_any(ids)))
        .order(offers::id)
        .select(Offer::as_select())
        .load(c))?)
}

/// Lets one transaction at a time make offers of this call, so that two questions about it cannot bind two agents. SQLite has one writer.
pub fn lock_call(conn: &mut Conn, call: &str) -> Result<()> {
    if let Conn::Postgres(c) = conn {
        kept!(diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind::<Text, _>(call)).run(c)?;
    }
    Ok(())
}

pub fn insert(conn: &mut Conn, offer: &Offer) -> Result<()> {
    Ok(on_backend!(conn, |c| kept!(diesel::insert_into(offers::table).values(offer)).run(c))?)
}

/// Moves an offer on, to its end when `ended` says when; false when somebody else moved it first.
pub fn set_state(conn: &mut Conn, offer: &Offer, state: OfferState, ended: Option<Timestamp>) -> Result<bool> {
    let as_seen = offers::application
        .eq(offer.application)
        .and(offers::id.eq(&offer.id))
        .and(offers::state.eq(&offer.state))
        .and(offers::ended_at.is_null());
    let news = (offers::state.eq(state.as_str()), offers::ended_at.eq(ended.map(|t| t.0)));
    Ok(on_backend!(conn, |c| kept!(update(offers::table, as_seen, news)).execute(c))? > 0)
}

/// Pending offers whose time is over.
pub fn expired(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<Vec<Offer>> {
    Ok(on_backend!(conn, |c| offers::table
        .filter(offers::until.le(now.0))
        .filter(Pending)
        .order(offers::until)
        .limit(limit)
        .select(Offer::as_select())
        .load(c))?)
}

/// Deletes up to `limit` ended offers whose id is below `floor`; how many it deleted.
pub fn prune(conn: &mut Conn, application: i64, floor: &str, limit: i64) -> Result<usize> {
    let old: Vec<String> = on_backend!(conn, |c| offers::table
        .filter(offers::application.eq(application).and(offers::id.lt(floor)).and(offers::state.ne("pending")))
        .order(offers::id)
        .limit(limit)
        .select(offers::id)
        .load(c))?;
    for id in &old {
        on_backend!(conn, |c| diesel::delete(offers::table.find((application, id))).execute(c))?;
    }
    Ok(old.len())
}
