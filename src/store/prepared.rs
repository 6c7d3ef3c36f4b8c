//! Statements that stay prepared.
//!
//! diesel prepares every UPDATE and every upsert of its own anew, because its changesets may leave columns out and so have any number of
//! texts; for the statements that each event runs, that took more time than running them. Those here are made of the same parts and can be
//! kept: use them, inside [`kept!`], where a changeset always names the same columns. It also prepares anew what contains SQL of our own; a
//! [`condition!`] is such a piece that never changes. And of every other statement it asks each time, part by part, whether it may be kept,
//! which takes as long as to bind its values: so what each lookup and event runs is `kept!` even where diesel would keep it by itself.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::expression::QueryMetadata;
use diesel::query_builder::{AsChangeset, AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Integer, Text};
use diesel::sqlite::Sqlite;
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

/// A statement that is known by the place in the code where it stands (`Place`, a type that only this place has), so that not even its text is
/// made again. Made by [`kept!`].
pub struct Kept<Place, Q>(Q, PhantomData<Place>);

impl<Place, Q> Kept<Place, Q> {
    pub fn new(query: Q) -> Kept<Place, Q> {
        Kept(query, PhantomData)
    }
}

impl<DB: Backend, Place, Q: QueryFragment<DB>> QueryFragment<DB> for Kept<Place, Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Place, Q: Query> Query for Kept<Place, Q> {
    type SqlType = Q::SqlType;
}

impl<Place, Q> Kept<Place, Q> {
    /// Runs a statement without results whose rows nobody counts. diesel's `execute` hands on a reference, of which it asks part by part what
    /// [`Kept`] has said; as one that could have results the statement is handed on itself.
    pub fn run<C>(self, conn: &mut C) -> QueryResult<()>
    where
        C: LoadConnection,
        C::Backend: QueryMetadata<Integer>,
        Done<Place, Q>: QueryFragment<C::Backend> + QueryId,
    {
        conn.load(Done(self))?.try_for_each(|row| row.map(drop))
    }
}

/// A statement that could have results, and has none.
pub struct Done<Place, Q>(Kept<Place, Q>);

impl<DB: Backend, Place, Q: QueryFragment<DB>> QueryFragment<DB> for Done<Place, Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Place: 'static, Q> QueryId for Done<Place, Q> {
    type QueryId = Place;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Place, Q> Query for Done<Place, Q> {
    type SqlType = Integer;
}

impl<Place: 'static, Q> QueryId for Kept<Place, Q> {
    type QueryId = Place;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Place, Q, Conn> RunQueryDsl<Conn> for Kept<Place, Q> {}

/// Keeps a statement under the place where it is written: use it only where its text is always the same, whatever its values.
macro_rules! kept {
    ($query:expr) => {{
        struct Place;
        $crate::store::prepared::Kept::<Place, _>::new($query)
    }};
}
pub(super) use kept;

/// `column IN (list)` for SQLite, with the list as one value: else it would be another statement for each length. PostgreSQL's `eq_any` is that
/// by itself.
pub struct OneOf {
    column: &'static str,
    /// A JSON array of texts.
    list: String,
}

pub fn one_of<T: serde::Serialize>(column: &'static str, list: &[T]) -> super::Result<OneOf> {
    Ok(OneOf { column, list: super::to_json(&list)? })
}

impl QueryFragment<Sqlite> for OneOf {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(self.column);
        out.push_sql(" IN (SELECT value FROM json_each(");
        out.push_bind_param::<Text, _>(&self.list)?;
        out.push_sql("))");
        Ok(())
    }
}

/// The column is part of the text: use it in [`kept!`].
impl QueryId for OneOf {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl diesel::Expression for OneOf {
    type SqlType = Bool;
}

impl<QS> diesel::AppearsOnTable<QS> for OneOf {}
impl<QS> diesel::SelectableExpression<QS> for OneOf {}
impl<GB> diesel::expression::ValidGrouping<GB> for OneOf {
    type IsAggregate = diesel::expression::is_aggregate::Never;
}

/// A type that stands for a condition in SQL's own words: where an index of the migrations holds only rows of that condition, SQLite uses it
/// for a query that has the same one word for word, with no values to be bound.
macro_rules! condition {
    ($(#[$doc:meta])* $name:ident = $sql:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, diesel::query_builder::QueryId)]
        struct $name;

        impl diesel::Expression for $name {
            type SqlType = diesel::sql_types::Bool;
        }

        impl<DB: diesel::backend::Backend> diesel::query_builder::QueryFragment<DB> for $name {
            fn walk_ast<'b>(&'b self, mut out: diesel::query_builder::AstPass<'_, 'b, DB>) -> diesel::QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }

        impl<QS> diesel::AppearsOnTable<QS> for $name {}
        impl<QS> diesel::SelectableExpression<QS> for $name {}
        impl<GB> diesel::expression::ValidGrouping<GB> for $name {
            type IsAggregate = diesel::expression::is_aggregate::Never;
        }
    };
}
pub(super) use condition;
