//! Many contacts in few statements: for declarations and tables of a million rows.
//!
//! The answer is what putting them one by one would give, except that phones may change hands inside the batch whatever its order: what is
//! stored is read first, who is refused is found in memory, and only then is anything written.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Put, Row, taken};
use crate::domain::id;
use crate::domain::spec::Contact;
use crate::domain::time::Timestamp;
use crate::on_backend;
use crate::store::roster::Origin;
use crate::store::schema::{contact_phones, contacts};
use crate::store::{Conn, Result, StoreError, from_json};

/// Values in one `IN (…)`; far below what either database takes.
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
    let mut found = HashMap::new();
    for some in keys.chunks(AT_ONCE) {
        let rows: Vec<Row> = on_backend!(conn, |c| contacts::table
            .filter(contacts::application.eq(application).and(contacts::key.eq_any(some)))
            .select(Row::as_select())
            .load(c))?;
        found.extend(rows.into_iter().map(|row| (row.key.clone(), row)));
    }
    Ok(found)
}

/// Whose the phones are that the batch wants to write, as stored.
fn owners(conn: &mut Conn, application: i64, batch: &[Entry<'_>]) -> Result<HashMap<String, String>> {
    let wanted: Vec<&String> = batch.iter().filter(|e| e.is_written()).flat_map(|e| &e.contact.phones).collect();
    let mut owners = HashMap::new();
    for some in wanted.chunks(AT_ONCE) {
        let rows: Vec<(String, String)> = on_backend!(conn, |c| contact_phones::table
            .filter(contact_phones::application.eq(application).and(contact_phones::phone.eq_any(some.iter().copied())))
            .select((contact_phones::phone, contact_phones::contact))
            .load(c))?;
        owners.extend(rows);
    }
    Ok(owners)
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
    for some in old_phones.chunks(AT_ONCE) {
        let rows = contact_phones::table.filter(contact_phones::application.eq(application).and(contact_phones::phone.eq_any(some)));
        on_backend!(conn, |c| diesel::delete(rows).execute(c))?;
    }
    for some in old_ids.chunks(AT_ONCE) {
        let rows = contacts::table.filter(contacts::application.eq(application).and(contacts::id.eq_any(some.iter().copied())));
        on_backend!(conn, |c| diesel::delete(rows).execute(c))?;
    }
    let rows: Vec<&Row> = batch.iter().filter(|e| e.is_written()).map(|e| &e.row).collect();
    let mut phones: Vec<Phone<'_>> = batch.iter().filter(|e| e.is_written()).flat_map(phones_of).collect();
    // In the order of the index: SQLite then finds each place beside the last.
    phones.sort_by_key(|p| p.phone);
    phones.dedup_by_key(|p| p.phone);
    let mut written = 0;
    for some in chunks(&rows) {
        written += on_backend!(conn, |c| diesel::insert_into(contacts::table).values(some.to_vec()).on_conflict_do_nothing().execute(c))?;
    }
    for some in chunks(&phones) {
        written += on_backend!(conn, |c| diesel::insert_into(contact_phones::table).values(some).on_conflict_do_nothing().execute(c))?;
    }
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

/// Every distinct length of an insert is a statement of its own, hence the two sizes.
fn chunks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let (whole, rest) = rows.split_at(rows.len() / 64 * 64);
    whole.chunks(64).chain(rest.chunks(1))
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
