//! The built-in contact directory. A phone belongs to one contact of an application.

mod bulk;

use diesel::prelude::*;

use super::prepared::kept;
use super::roster::Origin;
use super::schema::{contact_phones, contacts};
use super::{Conn, Result, StoreError, from_json, to_json};
use crate::domain::id;
use crate::domain::spec::Contact;
use crate::domain::time::Timestamp;
use crate::on_backend;

pub use bulk::put_many;

/// Who is responsible for a caller, as the directory says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Responsible {
    pub contact: String,
    pub owner: Option<String>,
    pub deputy: Option<String>,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = contacts, treat_none_as_default_value = false)]
struct Row {
    application: i64,
    id: String,
    key: String,
    name: String,
    phones: String,
    owner: Option<String>,
    deputy: Option<String>,
    external_id: Option<String>,
    origin: String,
}

impl Row {
    fn new(application: i64, id: String, contact: &Contact, origin: Origin) -> Result<Row> {
        Ok(Row {
            application,
            id,
            key: contact.key(),
            name: contact.name.clone(),
            phones: to_json(&contact.phones)?,
            owner: contact.owner.clone(),
            deputy: contact.deputy.clone(),
            external_id: contact.external_id.clone(),
            origin: origin.as_str().into(),
        })
    }

    /// True when only who made it may differ.
    fn says_the_same(&self, other: &Row) -> bool {
        (&self.key, &self.name, &self.phones) == (&other.key, &other.name, &other.phones)
            && (&self.owner, &self.deputy, &self.external_id) == (&other.owner, &other.deputy, &other.external_id)
    }

    fn into_contact(self) -> Result<(String, Contact)> {
        let contact = Contact {
            name: self.name,
            phones: from_json(&self.phones)?,
            owner: self.owner,
            deputy: self.deputy,
            external_id: self.external_id,
        };
        Ok((self.id, contact))
    }
}

/// What [`put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Added,
    Changed,
    Unchanged,
}

/// The one keyed read of a lookup.
pub fn responsible(conn: &mut Conn, application: i64, phone: &str) -> Result<Option<Responsible>> {
    let this =
        contact_phones::table.find((application, phone)).select((contact_phones::contact, contact_phones::owner, contact_phones::deputy));
    let found: Option<(String, Option<String>, Option<String>)> = on_backend!(conn, |c| kept!(this).get_result(c).optional())?;
    Ok(found.map(|(contact, owner, deputy)| Responsible { contact, owner, deputy }))
}

/// Adds a contact, or replaces the one with the same key (`of`: the one with this id instead).
///
/// # Errors
/// [`StoreError::Refused`] when a phone or the key belongs to another contact.
pub fn put(
    conn: &mut Conn,
    application: i64,
    of: Option<&str>,
    contact: &Contact,
    origin: Origin,
    now: Timestamp,
) -> Result<(Put, String)> {
    let key = contact.key();
    let by_key: Option<Row> = on_backend!(conn, |c| contacts::table
        .filter(contacts::application.eq(application).and(contacts::key.eq(&key)))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    let known = match (of, by_key) {
        (Some(id), Some(other)) if other.id != id => {
            return Err(StoreError::Refused(format!("contact {} has the same {key}", other.id)));
        }
        (Some(id), _) => find_row(conn, application, id)?,
        (None, found) => found,
    };
    let id = match (&known, of) {
        (Some(row), _) => row.id.clone(),
        (None, Some(id)) => id.to_owned(),
        (None, None) => id::fresh(now),
    };
    let row = Row::new(application, id.clone(), contact, origin)?;
    let done = match known {
        None => Put::Added,
        Some(old) => {
            if old.says_the_same(&row) {
                return Ok((Put::Unchanged, id));
            }
            delete(conn, application, &id)?;
            Put::Changed
        }
    };
    on_backend!(conn, |c| diesel::insert_into(contacts::table).values(&row).execute(c))?;
    let mut phones: Vec<&String> = contact.phones.iter().collect();
    phones.sort();
    phones.dedup();
    for phone in phones {
        let added = on_backend!(conn, |c| diesel::insert_into(contact_phones::table)
            .values((
                contact_phones::application.eq(application),
                contact_phones::phone.eq(phone),
                contact_phones::contact.eq(&id),
                contact_phones::owner.eq(&contact.owner),
                contact_phones::deputy.eq(&contact.deputy),
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
        if added == 0 {
            let other = responsible(conn, application, phone)?.map(|r| r.contact).unwrap_or_default();
            return Err(StoreError::Refused(taken(phone, &other)));
        }
    }
    Ok((done, id))
}

fn taken(phone: &str, other: &str) -> String {
    format!("phone {phone} belongs to contact {other}; a phone belongs to one contact")
}

fn find_row(conn: &mut Conn, application: i64, id: &str) -> Result<Option<Row>> {
    Ok(on_backend!(conn, |c| contacts::table.find((application, id)).select(Row::as_select()).first(c).optional())?)
}

pub fn get(conn: &mut Conn, application: i64, id: &str) -> Result<Option<(String, Contact)>> {
    find_row(conn, application, id)?.map(Row::into_contact).transpose()
}

/// Contacts with an id above `after`, in the order of ids; only that of one phone when `phone` is given.
pub fn list(conn: &mut Conn, application: i64, after: Option<&str>, phone: Option<&str>, limit: i64) -> Result<Vec<(String, Contact)>> {
    if let Some(phone) = phone {
        let found = responsible(conn, application, phone)?;
        return Ok(match found {
            Some(r) => get(conn, application, &r.contact)?.into_iter().collect(),
            None => Vec::new(),
        });
    }
    let rows: Vec<Row> = on_backend!(conn, |c| contacts::table
        .filter(contacts::application.eq(application).and(contacts::id.gt(after.unwrap_or_default())))
        .order(contacts::id)
        .limit(limit)
        .select(Row::as_select())
        .load(c))?;
    rows.into_iter().map(Row::into_contact).collect()
}

/// False when there is none of this id.
pub fn delete(conn: &mut Conn, application: i64, id: &str) -> Result<bool> {
    let Some(row) = find_row(conn, application, id)? else { return Ok(false) };
    for phone in from_json::<Vec<String>>(&row.phones)? {
        on_backend!(conn, |c| diesel::delete(contact_phones::table.find((application, &phone)).filter(contact_phones::contact.eq(id)))
            .execute(c))?;
    }
    on_backend!(conn, |c| diesel::delete(contacts::table.find((application, id))).execute(c))?;
    Ok(true)
}

/// The ids and keys of the contacts that `origin` made.
pub fn keys(conn: &mut Conn, application: i64, origin: Origin) -> Result<Vec<(String, String)>> {
    Ok(on_backend!(conn, |c| contacts::table
        .filter(contacts::application.eq(application).and(contacts::origin.eq(origin.as_str())))
        .select((contacts::id, contacts::key))
        .load(c))?)
}

/// True when the contact is there and `origin` made it.
pub fn is_made_by(conn: &mut Conn, application: i64, id: &str, origin: Origin) -> Result<bool> {
    Ok(find_row(conn, application, id)?.is_some_and(|row| row.origin == origin.as_str()))
}

/// A contact that an agent is responsible for, if there is one: what a delete of the agent would leave dangling.
pub fn of_agent(conn: &mut Conn, application: i64, agent: &str) -> Result<Option<String>> {
    Ok(on_backend!(conn, |c| contacts::table
        .filter(contacts::application.eq(application).and(contacts::owner.eq(agent).or(contacts::deputy.eq(agent))))
        .select(contacts::id)
        .first(c)
        .optional())?)
}

/// Takes an agent off every contact that he is responsible for.
pub fn unassign(conn: &mut Conn, application: i64, agent: &str) -> Result<()> {
    let none = None::<String>;
    on_backend!(conn, |c| {
        diesel::update(contacts::table.filter(contacts::application.eq(application).and(contacts::owner.eq(agent))))
            .set(contacts::owner.eq(&none))
            .execute(c)?;
        diesel::update(contacts::table.filter(contacts::application.eq(application).and(contacts::deputy.eq(agent))))
            .set(contacts::deputy.eq(&none))
            .execute(c)?;
        diesel::update(contact_phones::table.filter(contact_phones::application.eq(application).and(contact_phones::owner.eq(agent))))
            .set(contact_phones::owner.eq(&none))
            .execute(c)?;
        diesel::update(contact_phones::table.filter(contact_phones::application.eq(application).and(contact_phones::deputy.eq(agent))))
            .set(contact_phones::deputy.eq(&none))
            .execute(c)?;
    });
    Ok(())
}

/// Every agent whom some contact names.
pub fn agents_named(conn: &mut Conn, application: i64) -> Result<Vec<String>> {
    let of = || contacts::table.filter(contacts::application.eq(application));
    let owners: Vec<Option<String>> = on_backend!(conn, |c| of().select(contacts::owner).distinct().load(c))?;
    let deputies: Vec<Option<String>> = on_backend!(conn, |c| of().select(contacts::deputy).distinct().load(c))?;
    let mut named: Vec<String> = owners.into_iter().chain(deputies).flatten().collect();
    named.sort();
    named.dedup();
    Ok(named)
}
