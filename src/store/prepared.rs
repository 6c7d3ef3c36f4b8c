//! Updates and upserts that stay prepared.
//!
//! diesel prepares every UPDATE and every upsert of its own anew, because its changesets may leave columns out and so have any number of
//! texts; for the statements that each event runs, that took more time than running them. Those here are made of the same parts and kept
//! under their text: use them where a changeset always names the same columns.

use diesel::backend::Backend;
use diesel::query_builder::{AsChangeset, AstPass, QueryFragment, QueryId};
use diesel::{QueryResult, RunQueryDsl};

/// `UPDATE table SET set WHERE filter`
pub struct Update<T, F, S> {
    table: T,
    filter: F,
    set: S,
}

pub fn update<T, F, S: AsChangeset<Target = T>>(table: T, filter: F, set: S) -> Update<T, F, S::Changeset> {
    Update { table, filter, set: set.as_changeset() }
}

impl<DB, T, F, S> QueryFragment<DB> for Update<T, F, S>
where
    DB: Backend,
    T: QueryFragment<DB>,
    F: QueryFragment<DB>,
    S: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("UPDATE ");
        self.table.walk_ast(out.reborrow())?;
        out.push_sql(" SET ");
        self.set.walk_ast(out.reborrow())?;
        out.push_sql(" WHERE ");
        self.filter.walk_ast(out.reborrow())
    }
}

/// `insert ON CONFLICT (key) DO UPDATE SET set`
pub struct Upsert<I, S> {
    insert: I,
    key: &'static str,
    set: S,
}

/// `key`: the columns of the primary key, as in `application, id`.
pub fn upsert<I, S: AsChangeset>(insert: I, key: &'static str, set: S) -> Upsert<I, S::Changeset> {
    Upsert { insert, key, set: set.as_changeset() }
}

impl<DB, I, S> QueryFragment<DB> for Upsert<I, S>
where
    DB: Backend,
    I: QueryFragment<DB>,
    S: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.insert.walk_ast(out.reborrow())?;
        out.push_sql(" ON CONFLICT (");
        out.push_sql(self.key);
        out.push_sql(") DO UPDATE SET ");
        self.set.walk_ast(out.reborrow())
    }
}

impl<T, F, S> QueryId for Update<T, F, S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<I, S> QueryId for Upsert<I, S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T, F, S, Conn> RunQueryDsl<Conn> for Update<T, F, S> {}
impl<I, S, Conn> RunQueryDsl<Conn> for Upsert<I, S> {}
