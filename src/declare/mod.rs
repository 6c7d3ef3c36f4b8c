//! Declarations: read, validated as a whole, written as far as they differ. Nothing is applied by halves.
//!
//! Every change of an application's settings, agents, groups, queues, numbers and extensions goes through [`write`], whether it comes from a
//! file or over REST: it locks the application, edits a copy, validates the whole, writes the difference, and bumps the revision that
//! servers poll.

pub mod apply;
mod csv_rows;
pub mod edit;
pub mod file;
pub mod import;
pub mod seal;
mod tree;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::spec::{Application, Extension, ExtensionType};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::validate::{self, Problem};
use crate::pbx::Pbx;
use crate::roster::Roster;
use crate::store::roster::{self, Item, Kind, Origin};
use crate::store::{Conn, Db, Durability, Result as StoreResult, StoreError, agents};

/// Why a declaration was not written.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    #[error("the declaration is not valid")]
    Invalid(Vec<Problem>),
    #[error("there is no application {0}")]
    NoApplication(i64),
    #[error("there is no {what} {id}")]
    Missing { what: &'static str, id: String },
    #[error("there is a {what} {id} already")]
    Exists { what: &'static str, id: String },
    /// It cannot go while others need it.
    #[error("{what} {id} is still needed by {}", by.join(", "))]
    Referred { what: &'static str, id: String, by: Vec<String> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One difference that was (or, in a dry run, would be) written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `added`, `changed`, `removed`.
    pub verb: &'static str,
    /// `agent`, `group`, … or `application`.
    pub what: &'static str,
    pub id: String,
}

/// Edits an application inside a write job. `edit` gets a copy with its lists (contacts excepted) and changes it; what it refuses is
/// refused. Secrets in it must be sealed already. The items that differ afterwards get `origin`; the others keep theirs.
pub fn write(
    conn: &mut Conn,
    id: i64,
    origin: Origin,
    now: Timestamp,
    edit: impl FnOnce(&mut Application, &[Item]) -> Result<(), DeclareError>,
) -> Result<Vec<Difference>, DeclareError> {
    let (old, items) = roster::lock(conn, id)?.ok_or(DeclareError::NoApplication(id))?;
    let mut new = old.clone();
    edit(&mut new, &items)?;
    store(conn, Some((&old, &items)), &new, origin, now)
}

/// Validates an application as a whole and writes it as far as it differs from `old`.
pub fn store(
    conn: &mut Conn,
    old: Option<(&Application, &[Item])>,
    new: &Application,
    origin: Origin,
    now: Timestamp,
) -> Result<Vec<Difference>, DeclareError> {
    let mut problems = validate::application(new);
    problems.extend(Pbx::problems(new));
    problems.extend(crate::crm::validate(&new.crm.connector));
    if let Some((old, _)) = old
        && old.country != new.country
        && roster::has_contacts(conn, new.id)?
    {
        problems
            .push(Problem::new("country", "cannot change while the application has contacts: their numbers were read with the old one"));
    }
    if !problems.is_empty() {
        return Err(DeclareError::Invalid(problems));
    }
    let differences = write_difference(conn, old, new, origin, now)?;
    if !differences.is_empty() {
        roster::bump_revision(conn)?;
    }
    Ok(differences)
}

fn write_difference(
    conn: &mut Conn,
    old: Option<(&Application, &[Item])>,
    new: &Application,
    origin: Origin,
    now: Timestamp,
) -> StoreResult<Vec<Difference>> {
    let mut differences = Vec::new();
    if old.is_none_or(|(old, _)| old.without_lists() != new.without_lists()) {
        roster::put_application(conn, new)?;
        let verb = if old.is_some() { "changed" } else { "added" };
        differences.push(Difference { verb, what: "application", id: new.id.to_string() });
    }
    let had = old.map(|(_, items)| items).unwrap_or_default();
    let wanted = roster::items_of(new, origin)?;
    let (known_by_name, wanted_by_name) = (by_name(had), by_name(&wanted));
    for item in &wanted {
        let known = known_by_name.get(&name(item));
        if known.is_none_or(|k| k.body != item.body) {
            roster::put_item(conn, new.id, item)?;
            let verb = if known.is_some() { "changed" } else { "added" };
            differences.push(Difference { verb, what: item.kind.as_str(), id: item.id.clone() });
        }
    }
    for gone in had.iter().filter(|h| !wanted_by_name.contains_key(&name(h))) {
        roster::delete_item(conn, new.id, gone.kind, &gone.id)?;
        if gone.kind == Kind::Agent {
            agents::remove(conn, new.id, &gone.id)?;
        }
        differences.push(Difference { verb: "removed", what: gone.kind.as_str(), id: gone.id.clone() });
    }
    let of_old = old.iter().flat_map(|(old, _)| &old.agent);
    let lines_of: HashMap<&str, Vec<&str>> = of_old.map(|a| (a.id.as_str(), a.lines().collect())).collect();
    for agent in &new.agent {
        if lines_of.get(agent.id.as_str()).is_none_or(|lines| !agent.lines().eq(lines.iter().copied())) {
            agents::declare(conn, new.id, agent, now)?;
        }
    }
    Ok(differences)
}

/// What makes two items the same one.
fn name(item: &Item) -> (Kind, &str) {
    (item.kind, &item.id)
}

fn by_name(items: &[Item]) -> HashMap<(Kind, &str), &Item> {
    items.iter().map(|item| (name(item), item)).collect()
}

/// Remembers that an extension is an IVR, because it asked where a call shall go. Anything that is declared already stays.
pub async fn learn_ivr(db: &Db, roster: &Roster, app: i64, number: &str, clock: &Clock) -> Result<(), DeclareError> {
    let (number, clock) = (number.to_owned(), clock.clone());
    let written = db.write(Durability::Full, move |conn| {
        let number = number.clone();
        let written = write(conn, app, Origin::Pbx, clock.now(), |spec, _| {
            let known =
                spec.extension.iter().any(|e| e.number == number) || spec.agent.iter().any(|a| a.extension.as_ref() == Some(&number));
            if !known {
                spec.extension.push(Extension { number, kind: ExtensionType::Ivr });
            }
            Ok(())
        });
        Ok(written)
    });
    written.await??;
    roster.refresh().await?;
    Ok(())
}

/// What a problem's path leads to, when that is an item of one of the lists.
pub struct InItem<'a> {
    pub list: &'a str,
    pub index: usize,
    pub id: String,
    /// The rest of the path: `.extension`.
    pub field: &'a str,
}

impl<'a> InItem<'a> {
    pub fn find(app: &Application, path: &'a str) -> Option<InItem<'a>> {
        let (list, rest) = path.split_once('[')?;
        let (index, field) = rest.split_once(']')?;
        let index: usize = index.parse().ok()?;
        let id = match list {
            "agent" => &app.agent.get(index)?.id,
            "extension" => &app.extension.get(index)?.number,
            "group" => &app.group.get(index)?.id,
            "queue" => &app.queue.get(index)?.id,
            "number" => &app.number.get(index)?.number,
            "business_hours" => &app.business_hours.get(index)?.id,
            "ivr_tree" => &app.ivr_tree.get(index)?.id,
            "ivr_node" => &app.ivr_node.get(index)?.id,
            "ivr_key" => &app.ivr_key.get(index)?.id,
            "blacklist" => &app.blacklist.get(index)?.number,
            _ => return None,
        };
        Some(InItem { list, index, id: id.clone(), field })
    }

    /// The path with the item's id in place of its index: `agent "ann".extension`.
    pub fn path(&self) -> String {
        format!("{} {:?}{}", self.list, self.id, self.field)
    }
}

/// Runs `work` in one write transaction, which is kept only if `work` says so: a dry run is the real run, undone.
fn attempt<T: Send + 'static>(db: &Db, mut work: impl FnMut(&mut Conn) -> StoreResult<(T, bool)> + Send + 'static) -> StoreResult<T> {
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    let written = db.write_blocking(Durability::Full, move |conn| {
        let (value, keep) = work(conn)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((value, keep));
        if keep { Ok(()) } else { Err(StoreError::Refused("undone".into())) }
    });
    match (written, result.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        (Ok(()), Some((value, _))) | (Err(StoreError::Refused(_)), Some((value, false))) => Ok(value),
        (Err(error), _) => Err(error),
        (Ok(()), None) => Err(StoreError::Busy),
    }
}
