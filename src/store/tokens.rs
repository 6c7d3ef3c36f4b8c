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
