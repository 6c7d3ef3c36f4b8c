//! API tokens: only their SHA-256 is stored.

use diesel::prelude::*;

use super::schema::tokens;
use super::{Conn, Result};
use crate::domain::time::Timestamp;
use crate::on_backend;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = tokens, treat_none_as_default_value = false)]
pub struct Token {
    pub id: String,
    /// SHA-256 of the token, hex.
    pub hash: String,
    pub role: String,
    pub application: Option<i64>,
    pub agent: Option<String>,
    pub name: String,
    pub created_at: i64,
    pub revoked_at: Option<i64>,
}

pub fn insert(conn: &mut Conn, token: &Token) -> Result<()> {
    on_backend!(conn, |c| diesel::insert_into(tokens::table).values(token).execute(c))?;
    Ok(())
}

pub fn all(conn: &mut Conn) -> Result<Vec<Token>> {
    Ok(on_backend!(conn, |c| tokens::table.order(tokens::created_at).select(Token::as_select()).load(c))?)
}

/// False when there is no such token, or it was revoked before.
pub fn revoke(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool> {
    let n = on_backend!(conn, |c| diesel::update(tokens::table.find(id).filter(tokens::revoked_at.is_null()))
        .set(tokens::revoked_at.eq(now.0))
        .execute(c))?;
    Ok(n > 0)
}

pub fn get(conn: &mut Conn, id: &str) -> Result<Option<Token>> {
    Ok(on_backend!(conn, |c| tokens::table.find(id).select(Token::as_select()).first(c).optional())?)
}

/// The ids of the tokens that stand for an agent and were not revoked.
pub fn of_agent(conn: &mut Conn, application: i64, agent: &str) -> Result<Vec<String>> {
    Ok(on_backend!(conn, |c| tokens::table
        .filter(tokens::application.eq(application).and(tokens::agent.eq(agent)).and(tokens::revoked_at.is_null()))
        .order(tokens::id)
        .select(tokens::id)
        .load(c))?)
}

/// Revokes the tokens of an application; only those of one agent when `agent` is given.
pub fn revoke_of(conn: &mut Conn, application: i64, agent: Option<&str>, now: Timestamp) -> Result<()> {
    on_backend!(conn, |c| {
        let bound = tokens::application.eq(application).and(tokens::revoked_at.is_null());
        match agent {
            Some(agent) => {
                diesel::update(tokens::table.filter(bound.and(tokens::agent.eq(agent)))).set(tokens::revoked_at.eq(now.0)).execute(c)?
            }
            None => diesel::update(tokens::table.filter(bound)).set(tokens::revoked_at.eq(now.0)).execute(c)?,
        }
    });
    Ok(())
}
