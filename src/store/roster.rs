//! Declarations: applications and what belongs to them, with the revision that tells servers to read them again.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::schema::{applications, calls, contacts, declared, revision};
use super::{Conn, Result, StoreError, facts, from_json, to_json};
use crate::domain::declared::Declared;
use crate::domain::spec::Application;
use crate::on_backend;
use crate::text_enum;

text_enum! {
    /// Who made a row.
    pub enum Origin {
        Apply = "apply",
        Rest = "rest",
        /// Learned from the PBX.
        Pbx = "pbx",
        /// A contact from a table of contacts.
        Import = "import",
    }
}

text_enum! {
    pub enum Kind {
        Agent = "agent",
        Extension = "extension",
        Group = "group",
        Queue = "queue",
        Number = "number",
        BusinessHours = "business_hours",
        IvrTree = "ivr_tree",
        IvrNode = "ivr_node",
        IvrKey = "ivr_key",
        Blacklisted = "blacklist",
    }
}

/// One declared thing as its row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub kind: Kind,
    pub id: String,
    pub body: String,
    pub origin: Origin,
}

pub fn current_revision(conn: &mut Conn) -> Result<i64> {
    Ok(on_backend!(conn, |c| revision::table.find(1).select(revision::value).first(c))?)
}

pub fn bump_revision(conn: &mut Conn) -> Result<()> {
    on_backend!(conn, |c| diesel::update(revision::table.find(1)).set(revision::value.eq(revision::value + 1)).execute(c))?;
    Ok(())
}

/// All applications without their lists.
pub fn applications(conn: &mut Conn) -> Result<Vec<Application>> {
    let bodies: Vec<String> = on_backend!(conn, |c| applications::table.order(applications::id).select(applications::body).load(c))?;
    bodies.iter().map(|b| from_json(b)).collect()
}

/// One application with its lists (contacts excepted); on PostgreSQL its row stays locked until the transaction ends.
pub fn lock(conn: &mut Conn, id: i64) -> Result<Option<(Application, Vec<Item>)>> {
    let query = applications::table.find(id).select(applications::body);
    let body: Option<String> = match conn {
        Conn::Sqlite(c) => query.first(c).optional()?,
        Conn::Postgres(c) => query.for_update().first(c).optional()?,
    };
    let Some(body) = body else { return Ok(None) };
    let mut app: Application = from_json(&body)?;
    let items = items(conn, id)?;
    fill(&mut app, &items)?;
    Ok(Some((app, items)))
}

pub fn exists(conn: &mut Conn, id: i64) -> Result<bool> {
    let found: Option<i64> = on_backend!(conn, |c| applications::table.find(id).select(applications::id).first(c).optional())?;
    Ok(found.is_some())
}

/// What belongs to an application.
pub fn items(conn: &mut Conn, application: i64) -> Result<Vec<Item>> {
    let rows: Vec<(String, String, String, String)> = on_backend!(conn, |c| declared::table
        .filter(declared::application.eq(application))
        .order((declared::kind, declared::id))
        .select((declared::kind, declared::id, declared::body, declared::origin))
        .load(c))?;
    rows.into_iter()
        .map(|(kind, id, body, origin)| {
            let unreadable = |what: &str| StoreError::Unreadable(format!("declared row {id:?}: {what}"));
            Ok(Item {
                kind: Kind::parse(&kind).ok_or_else(|| unreadable(&kind))?,
                origin: Origin::parse(&origin).ok_or_else(|| unreadable(&origin))?,
                id,
                body,
            })
        })
        .collect()
}

/// Puts the rows into the application's lists.
pub fn fill(app: &mut Application, items: &[Item]) -> Result<()> {
    for item in items {
        match item.kind {
            Kind::Agent => app.agent.push(from_json(&item.body)?),
            Kind::Extension => app.extension.push(from_json(&item.body)?),
            Kind::Group => app.group.push(from_json(&item.body)?),
            Kind::Queue => app.queue.push(from_json(&item.body)?),
            Kind::Number => app.number.push(from_json(&item.body)?),
            Kind::BusinessHours => app.business_hours.push(from_json(&item.body)?),
            Kind::IvrTree => app.ivr_tree.push(from_json(&item.body)?),
            Kind::IvrNode => app.ivr_node.push(from_json(&item.body)?),
            Kind::IvrKey => app.ivr_key.push(from_json(&item.body)?),
            Kind::Blacklisted => app.blacklist.push(from_json(&item.body)?),
        }
    }
    Ok(())
}

/// The rows of an application's lists.
pub fn items_of(app: &Application, origin: Origin) -> Result<Vec<Item>> {
    fn add<T: Declared>(items: &mut Vec<Item>, kind: Kind, list: &[T], origin: Origin) -> Result<()> {
        for value in list {
            items.push(Item { kind, id: value.key().to_owned(), body: to_json(value)?, origin });
        }
        Ok(())
    }
    let mut items = Vec::new();
    add(&mut items, Kind::Agent, &app.agent, origin)?;
    add(&mut items, Kind::Extension, &app.extension, origin)?;
    add(&mut items, Kind::Group, &app.group, origin)?;
    add(&mut items, Kind::Queue, &app.queue, origin)?;
    add(&mut items, Kind::Number, &app.number, origin)?;
    add(&mut items, Kind::BusinessHours, &app.business_hours, origin)?;
    add(&mut items, Kind::IvrTree, &app.ivr_tree, origin)?;
    add(&mut items, Kind::IvrNode, &app.ivr_node, origin)?;
    add(&mut items, Kind::IvrKey, &app.ivr_key, origin)?;
    add(&mut items, Kind::Blacklisted, &app.blacklist, origin)?;
    Ok(items)
}

/// Writes an application's own row; its lists are not touched.
pub fn put_application(conn: &mut Conn, app: &Application) -> Result<()> {
    let body = to_json(&app.without_lists())?;
    on_backend!(conn, |c| diesel::insert_into(applications::table)
        .values((applications::id.eq(app.id), applications::login.eq(&app.login), applications::body.eq(&body)))
        .on_conflict(applications::id)
        .do_update()
        .set((applications::login.eq(excluded(applications::login)), applications::body.eq(excluded(applications::body))))
        .execute(c))?;
    Ok(())
}

pub fn put_item(conn: &mut Conn, application: i64, item: &Item) -> Result<()> {
    on_backend!(conn, |c| diesel::insert_into(declared::table)
        .values((
            declared::application.eq(application),
            declared::kind.eq(item.kind.as_str()),
            declared::id.eq(&item.id),
            declared::body.eq(&item.body),
            declared::origin.eq(item.origin.as_str()),
        ))
        .on_conflict((declared::application, declared::kind, declared::id))
        .do_update()
        .set((declared::body.eq(excluded(declared::body)), declared::origin.eq(excluded(declared::origin))))
        .execute(c))?;
    Ok(())
}

pub fn delete_item(conn: &mut Conn, application: i64, kind: Kind, id: &str) -> Result<()> {
    on_backend!(conn, |c| diesel::delete(declared::table.find((application, kind.as_str(), id))).execute(c))?;
    Ok(())
}

/// True when the application's directory has entries.
pub fn has_contacts(conn: &mut Conn, application: i64) -> Result<bool> {
    let one: Option<String> =
        on_backend!(conn, |c| contacts::table.filter(contacts::application.eq(application)).select(contacts::id).first(c).optional())?;
    Ok(one.is_some())
}

/// True when the application has calls.
pub fn has_history(conn: &mut Conn, application: i64) -> Result<bool> {
    let one: Option<String> =
        on_backend!(conn, |c| calls::table.filter(calls::application.eq(application)).select(calls::id).first(c).optional())?;
    Ok(one.is_some())
}

/// The tables that hold what belongs to an application, with what tells their rows apart inside it.
const BELONGINGS: &[(&str, &str)] = &[
    ("contact_phones", "phone"),
    ("contacts", "id"),
    ("live_legs", "call_id, leg"),
    ("legs", "call_stored_at, call_id, leg"),
    ("calls", "id"),
    ("offers", "id"),
    ("decisions", "id"),
    ("journal", "at, digest"),
    ("callbacks", "id"),
    ("record_links", "id"),
    ("record_plays", "id"),
    ("records_deleted", "record_id"),
    ("agent_states", "agent"),
    ("agent_marks", "at, agent"),
    ("agent_times", "agent, at"),
    ("agent_sums", "at, agent, state, reason"),
    ("outages", "began_at"),
    ("ami_links", "application"),
    ("reconciliations", "application"),
    ("queue_entries", "call_id, entry"),
    ("routed_calls", "call_id"),
    ("provisioned", "part"),
    ("pbx_lines", "application"),
    ("declared", "kind, id"),
];

/// Deletes up to `limit` rows of one table of an application; how many it deleted. 0: nothing of it is left but its own row.
pub fn purge(conn: &mut Conn, application: i64, limit: usize) -> Result<usize> {
    for (table, key) in BELONGINGS {
        let sql = format!(
            "DELETE FROM {table} WHERE application = {application} \
             AND ({key}) IN (SELECT {key} FROM {table} WHERE application = {application} LIMIT {limit})"
        );
        let deleted = on_backend!(conn, |c| diesel::sql_query(&sql).execute(c))?;
        if deleted > 0 {
            return Ok(deleted);
        }
    }
    Ok(0)
}

/// Deletes an application with the little that [`purge`] left of it.
pub fn delete_application(conn: &mut Conn, application: i64) -> Result<()> {
    while purge(conn, application, 10_000)? > 0 {}
    facts::forget(conn, application)?;
    on_backend!(conn, |c| diesel::delete(applications::table.find(application)).execute(c))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_of_an_application_goes_with_it() {
        let tables = include_str!("schema.rs").split("diesel::table! {").skip(1);
        let of_one: Vec<&str> = tables.filter(|t| t.contains(" application -> ")).filter_map(|t| t.trim().split(' ').next()).collect();
        assert!(of_one.len() > 15, "{of_one:?}");
        for table in of_one {
            // A token is revoked, and stays as the witness that it was.
            assert!(table == "tokens" || BELONGINGS.iter().any(|(known, _)| *known == table), "{table}");
        }
    }
}
