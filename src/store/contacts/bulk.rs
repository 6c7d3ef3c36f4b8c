//! Many contacts in few statements: for declarations and tables of a million rows.
//!
//! The answer is what putting them one by one would give, except that phones may change hands inside the batch whatever its order: what is
//! stored is read first, who is refused is found in memory, and only then is anything written.
//!
//! SQLite is asked row by row: it costs no journey, and `application = ? AND key IN (…)` makes it read all contacts of the application.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Put, Row, taken};
use crate::domain::id;
use crate::domain::spec::Contact;
use crate::domain::time::Timestamp;
use crate::store::roster::Origin;
use crate::store::schema::{contact_phones, contacts};
use crate::store::{Conn, Result, StoreError, from_json};

/// Rows of one insert on PostgreSQL, which takes 65,535 values in a statement.
const AT_ONCE: usize = 1_000;

/// Adds contacts, or replaces those with the same keys. What became of each, in order; `Err`: why it was refused, and nothing of it is written.
pub fn put_many(
    conn: &mut Conn,
    application: i64,
    contacts: &[Contact],
    origin: Origin,
    now: Timestamp,
) -> Result<Vec<std::result::Result<Put, String>>> {
    let keys: Vec<String> = contacts.iter().map(Contact::key).collect();
    let mut known = by_keys(conn, application, &keys)?;
    let mut batch = Vec::with_capacity(contacts.len());
    let mut first_with: HashMap<&str, usize> = HashMap::with_capacity(keys.len());
    for (contact, key) in contacts.iter().zip(&keys) {
        let old = known.remove(key);
        let again = first_with.insert(key, batch.len()).is_some();
        let id = old.as_ref().map_or_else(|| id::fresh(now), |row| row.id.clone());
        let row = Row::new(application, id, contact, origin)?;
        let put = match &old {
            _ if again => Err(format!("{key} is given twice; give it once")),
            None => Ok(Put::Added),
            Some(old) if old.says_the_same(&row) => Ok(Put::Unchanged),
            Some(_) => Ok(Put::Changed),
        };
        batch.push(Entry { contact, row, old, put });
    }
    let owners = owners(conn, application, &batch)?;
    refuse_taken(&mut batch, &owners);
    write(conn, application, &batch)?;
    Ok(batch.into_iter().map(|entry| entry.put).collect())
}

struct Entry<'a> {
    contact: &'a Contact,
    row: Row,
    old: Option<Row>,
    put: std::result::Result<Put, String>,
}

impl Entry<'_> {
    fn is_written(&self) -> bool {
        matches!(self.put, Ok(Put::Added | Put::Changed))
    }
}

fn by_keys(conn: &mut Conn, application: i64, keys: &[String]) -> Result<HashMap<String, Row>> {
    let of = || contacts::table.filter(contacts::application.eq(application));
    let mut found: Vec<Row> = Vec::with_capacity(keys.len());
    match conn {
        Conn::Sqlite(c) => {
            for key in keys {
                found.extend(of().filter(contacts::key.eq(key)).select(Row::as_select()).get_result(c).optional()?);
            }
        }
        Conn::Postgres(c) => {
            found = of().filter(contacts::key.eq_any(keys)).select(Row::as_select()).load(c)?;
        }
    }
    Ok(found.into_iter().map(|row| (row.key.clone(), row)).collect())
}

/// Whose the phones are that the batch wants to write, as stored.
fn owners(conn: &mut Conn, application: i64, batch: &[Entry<'_>]) -> Result<HashMap<String, String>> {
    let mut wanted: Vec<&String> = batch.iter().filter(|e| e.is_written()).flat_map(|e| &e.contact.phones).collect();
    wanted.sort_unstable();
    let columns = (contact_phones::phone, contact_phones::contact);
    let mut owners: Vec<(String, String)> = Vec::new();
    match conn {
        Conn::Sqlite(c) => {
            for phone in wanted {
                owners
                    .extend(contact_phones::table.find((application, phone)).select(columns).get_result::<(String, String)>(c).optional()?);
            }
        }
        Conn::Postgres(c) => {
            let of = contact_phones::table.filter(contact_phones::application.eq(application));
            owners = of.filter(contact_phones::phone.eq_any(wanted)).select(columns).load(c)?;
        }
    }
    Ok(owners.into_iter().collect())
}

/// Refuses whoever wants a phone of another contact. A refused contact keeps its phones, which may refuse more: until nothing changes.
fn refuse_taken(batch: &mut [Entry<'_>], owners: &HashMap<String, String>) {
    loop {
        let by_id: HashMap<&str, &Entry<'_>> = batch.iter().filter(|e| e.is_written()).map(|e| (e.row.id.as_str(), e)).collect();
        let gives_up = |owner: &str, phone: &String| by_id.get(owner).is_some_and(|e| !e.contact.phones.contains(phone));
        let mut given: HashMap<&str, &str> = HashMap::new();
        let mut refused = Vec::new();
        for (i, entry) in batch.iter().enumerate().filter(|(_, e)| e.is_written()) {
            let id = entry.row.id.as_str();
            let other = entry.contact.phones.iter().find_map(|phone| {
                let stored = owners.get(phone).map(String::as_str).filter(|owner| !gives_up(owner, phone));
                let other = given.get(phone.as_str()).copied().or(stored).filter(|owner| *owner != id)?;
                Some(taken(phone, other))
            });
            match other {
                Some(reason) => refused.push((i, reason)),
                None => given.extend(entry.contact.phones.iter().map(|phone| (phone.as_str(), id))),
            }
        }
        if refused.is_empty() {
            return;
        }
        for (i, reason) in refused {
            batch[i].put = Err(reason);
        }
    }
}

fn write(conn: &mut Conn, application: i64, batch: &[Entry<'_>]) -> Result<()> {
    let (mut old_ids, mut old_phones) = (Vec::new(), Vec::new());
    for old in batch.iter().filter(|e| e.is_written()).filter_map(|e| e.old.as_ref()) {
        old_ids.push(&old.id);
        old_phones.extend(from_json::<Vec<String>>(&old.phones)?);
    }
    match conn {
        Conn::Sqlite(c) => {
            for phone in &old_phones {
                diesel::delete(contact_phones::table.find((application, phone))).execute(c)?;
            }
            for id in old_ids {
                diesel::delete(contacts::table.find((application, id))).execute(c)?;
            }
        }
        Conn::Postgres(c) => {
            let phones = contact_phones::table.filter(contact_phones::application.eq(application));
            diesel::delete(phones.filter(contact_phones::phone.eq_any(&old_phones))).execute(c)?;
            let rows = contacts::table.filter(contacts::application.eq(application));
            diesel::delete(rows.filter(contacts::id.eq_any(old_ids))).execute(c)?;
        }
    }
    let mut rows: Vec<&Row> = batch.iter().filter(|e| e.is_written()).map(|e| &e.row).collect();
    let mut phones: Vec<Phone<'_>> = batch.iter().filter(|e| e.is_written()).flat_map(phones_of).collect();
    // In the order of the indexes: SQLite then finds each place beside the last.
    rows.sort_by_key(|row| &row.key);
    phones.sort_by_key(|p| p.phone);
    phones.dedup_by_key(|p| p.phone);
    let written = insert(conn, &rows, &phones)?;
    // Another node may have written one of them since it was looked for.
    if written < rows.len() + phones.len() {
        return Err(StoreError::Refused("somebody else changes the same contacts at this moment; try again".into()));
    }
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = contact_phones, treat_none_as_default_value = false)]
struct Phone<'a> {
    application: i64,
    phone: &'a str,
    contact: &'a str,
    owner: Option<&'a str>,
    deputy: Option<&'a str>,
}

fn phones_of<'a>(entry: &'a Entry<'_>) -> impl Iterator<Item = Phone<'a>> {
    entry.contact.phones.iter().map(|phone| Phone {
        application: entry.row.application,
        phone,
        contact: &entry.row.id,
        owner: entry.row.owner.as_deref(),
        deputy: entry.row.deputy.as_deref(),
    })
}

/// How many rows were written; one that is there already stays as it is. SQLite keeps the statement of one row compiled, and would set a
/// journal aside for each of several.
fn insert(conn: &mut Conn, rows: &[&Row], phones: &[Phone<'_>]) -> Result<usize> {
    let mut written = 0;
    match conn {
        Conn::Sqlite(c) => {
            for row in rows {
                written += diesel::insert_into(contacts::table).values(*row).on_conflict_do_nothing().execute(c)?;
            }
            for phone in phones {
                written += diesel::insert_into(contact_phones::table).values(phone).on_conflict_do_nothing().execute(c)?;
            }
        }
        Conn::Postgres(c) => {
            for some in rows.chunks(AT_ONCE) {
                written += diesel::insert_into(contacts::table).values(some.to_vec()).on_conflict_do_nothing().execute(c)?;
            }
            for some in phones.chunks(AT_ONCE) {
                written += diesel::insert_into(contact_phones::table).values(some).on_conflict_do_nothing().execute(c)?;
            }
        }
    }
    Ok(written)
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
