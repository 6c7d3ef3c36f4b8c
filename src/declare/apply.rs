//! Applying declaration files: what they say becomes what is stored, in one short transaction, whole or not at all.
//!
//! For each application, inside the transaction: it is locked; the file's settings replace the stored ones, and the file's agents, groups,
//! queues, numbers and extensions replace those of the same ids; others stay, unless they shall be pruned and a file made them; the whole is
//! validated and the difference written; then the contacts. Mistakes of all applications are gathered, and one is enough to undo everything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::file::{self, Mistake};
use super::{DeclareError, Difference, InItem, attempt, seal, store};
use crate::domain::declared::Declared;
use crate::domain::hours::BusinessHours;
use crate::domain::ivr::{IvrKey, IvrNode, IvrTree};
use crate::domain::spec::{Agent, Application, Blacklisted, Extension, Group, Number, Queue};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::validate::{self, Problem};
use crate::secrets::Vault;
use crate::store::contacts::{self, Put};
use crate::store::roster::{self, Item, Kind, Origin};
use crate::store::{Conn, Db, Result as StoreResult, StoreError};

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Remove what a file made and no file names any more, in the applications that are named.
    pub prune: bool,
    /// Do everything, and undo it.
    pub dry_run: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("the declaration is not valid")]
    Invalid(Vec<Mistake>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One difference that was (or, in a dry run, would be) written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub application: i64,
    pub difference: Difference,
}

/// Applies what [`super::file::read`] has read.
pub fn apply(
    db: &Db,
    vault: &Arc<Vault>,
    clock: &Clock,
    declared: Vec<file::Declared>,
    options: Options,
) -> Result<Vec<Change>, ApplyError> {
    let (vault, clock) = (vault.clone(), clock.clone());
    // Looking through a large directory takes its time: not while others wait for the writer.
    let mut stale: HashMap<i64, Vec<(String, String)>> = HashMap::new();
    for one in declared.iter().filter(|_| options.prune) {
        stale.insert(one.spec.id, db.read_blocking(|conn| unnamed(conn, &one.spec))?);
    }
    let applied = attempt(db, move |conn| {
        let (mut changes, mut mistakes) = (Vec::new(), Vec::new());
        for one in &declared {
            let stale = stale.get(&one.spec.id).map(Vec::as_slice);
            match application(conn, &vault, &one.spec, stale, clock.now())? {
                Ok(differences) => {
                    changes.extend(differences.into_iter().map(|difference| Change { application: one.spec.id, difference }))
                }
                Err(problems) => mistakes.extend(one.source.mistakes(&problems)),
            }
        }
        let keep = mistakes.is_empty() && !options.dry_run;
        Ok((if mistakes.is_empty() { Ok(changes) } else { Err(mistakes) }, keep))
    })?;
    applied.map_err(ApplyError::Invalid)
}

type Attempt = Result<Vec<Difference>, Vec<Problem>>;

/// `stale`: contacts to be pruned, when that is wanted.
fn application(
    conn: &mut Conn,
    vault: &Vault,
    declared: &Application,
    stale: Option<&[(String, String)]>,
    now: Timestamp,
) -> StoreResult<Attempt> {
    let stored = roster::lock(conn, declared.id)?;
    let mut whole = declared.clone();
    seal::leave_none(&mut whole);
    let mut problems = seal::seal(vault, &mut whole, stored.as_ref().map(|(old, _)| old)).err().unwrap_or_default();
    if let Some((old, items)) = &stored {
        keep(&mut whole, old, items, stale.is_some());
    }
    if !problems.is_empty() {
        problems.extend(validate::application(&whole));
        return Ok(Err(named(declared, &whole, problems)));
    }
    let pruned = prune_contacts(conn, declared.id, stale.unwrap_or_default())?;
    let old = stored.as_ref().map(|(old, items)| (old, items.as_slice()));
    let mut differences = match store(conn, old, &whole, Origin::Apply, now) {
        Ok(differences) => differences,
        Err(DeclareError::Invalid(problems)) => return Ok(Err(named(declared, &whole, problems))),
        Err(DeclareError::Store(e)) => return Err(e),
        Err(other) => return Err(StoreError::Refused(other.to_string())),
    };
    let gone: Vec<String> =
        differences.iter().filter(|d| d.verb == "removed" && d.what == Kind::Agent.as_str()).map(|d| d.id.clone()).collect();
    differences.extend(pruned);
    for (i, put) in contacts::put_many(conn, declared.id, &declared.contact, Origin::Apply, now)?.into_iter().enumerate() {
        let verb = match put {
            Ok(Put::Added) => "added",
            Ok(Put::Changed) => "changed",
            Ok(Put::Unchanged) => continue,
            Err(reason) => {
                problems.push(Problem::new(format!("contact[{i}].phones"), reason));
                continue;
            }
        };
        differences.push(Difference { verb, what: "contact", id: shown(&declared.contact[i].key()) });
    }
    // Of the contacts as they are now, for the file may have given them to others.
    for agent in gone {
        if let Some(contact) = contacts::of_agent(conn, declared.id, &agent)? {
            let reason = format!("cannot be removed: contact {contact} names him; declare him, or change the contact");
            problems.push(Problem::new(format!("agent {agent:?}"), reason));
        }
    }
    Ok(if problems.is_empty() { Ok(differences) } else { Err(problems) })
}

/// Adds to the declared items, which stand first, the stored ones that stay.
fn keep(new: &mut Application, old: &Application, items: &[Item], prune: bool) {
    fn add<T: Declared>(new: &mut Application, old: &Application, stays: impl Fn(&str) -> bool) {
        let list = T::list_mut(new);
        let kept: Vec<T> = T::list(old).iter().filter(|o| stays(o.key()) && !list.iter().any(|n| n.key() == o.key())).cloned().collect();
        list.extend(kept);
    }
    let stays =
        |kind: Kind| move |id: &str| !prune || !items.iter().any(|item| item.kind == kind && item.id == id && item.origin == Origin::Apply);
    for agent in &mut new.agent {
        if let Some(known) = old.agent.iter().find(|known| known.id == agent.id) {
            // What the agent has chosen since is not the file's to change.
            agent.manual_status = known.manual_status;
        }
    }
    add::<Agent>(new, old, stays(Kind::Agent));
    add::<Extension>(new, old, stays(Kind::Extension));
    add::<Group>(new, old, stays(Kind::Group));
    add::<Queue>(new, old, stays(Kind::Queue));
    add::<Number>(new, old, stays(Kind::Number));
    add::<BusinessHours>(new, old, stays(Kind::BusinessHours));
    add::<IvrTree>(new, old, stays(Kind::IvrTree));
    add::<IvrNode>(new, old, stays(Kind::IvrNode));
    add::<IvrKey>(new, old, stays(Kind::IvrKey));
    add::<Blacklisted>(new, old, stays(Kind::Blacklisted));
}

/// Problems of items that the file does not name are told by their ids, since they have no line.
fn named(declared: &Application, whole: &Application, problems: Vec<Problem>) -> Vec<Problem> {
    let named = |problem: Problem| match InItem::find(whole, &problem.path) {
        Some(item) if InItem::find(declared, &problem.path).is_none() => {
            let why = "it is stored and not in the file: declare it, or remove it; --prune removes what apply made";
            Problem::new(item.path(), format!("{} ({why})", problem.reason))
        }
        _ => problem,
    };
    problems.into_iter().map(named).collect()
}

/// The contacts that a file made and this one does not name: (id, key).
fn unnamed(conn: &mut Conn, declared: &Application) -> StoreResult<Vec<(String, String)>> {
    let named: HashSet<String> = declared.contact.iter().map(|c| c.key()).collect();
    let mut made = contacts::keys(conn, declared.id, Origin::Apply)?;
    made.retain(|(_, key)| !named.contains(key));
    Ok(made)
}

/// Removes contacts, unless somebody else has taken them over since they were read.
fn prune_contacts(conn: &mut Conn, application: i64, stale: &[(String, String)]) -> StoreResult<Vec<Difference>> {
    let mut removed = Vec::new();
    for (id, key) in stale {
        if contacts::is_made_by(conn, application, id, Origin::Apply)? && contacts::delete(conn, application, id)? {
            removed.push(Difference { verb: "removed", what: "contact", id: shown(key) });
        }
    }
    Ok(removed)
}

/// A contact's key as an operator knows it: the external id, or the phone.
fn shown(key: &str) -> String {
    key.split_once(':').map_or(key, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
