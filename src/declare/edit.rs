//! Single changes of an application's declaration, as the REST API makes them. Each is one job of [`super::write`].

use super::{DeclareError, seal, write};
use crate::domain::declared::Declared;
use crate::domain::id;
use crate::domain::spec::{Agent, Application};
use crate::domain::time::Timestamp;
use crate::domain::validate::Problem;
use crate::secrets::Vault;
use crate::store::roster::{self, Origin};
use crate::store::{Conn, agents, contacts, tokens};

/// Declares an application's own settings; its lists stay. Secrets come as they were given: one that is absent (or null) stays as stored,
/// an empty one is removed. The application as
/// stored, and whether it is new.
///
/// `references`: whether secrets may newly be read from the server's own variables and files.
pub fn put_application(
    conn: &mut Conn,
    vault: &Vault,
    mut new: Application,
    references: bool,
    now: Timestamp,
) -> Result<(Application, bool), DeclareError> {
    let known = roster::lock(conn, new.id)?;
    let foreign = if references { Vec::new() } else { seal::new_references(&new, known.as_ref().map(|(old, _)| old)) };
    if !foreign.is_empty() {
        return Err(DeclareError::Invalid(foreign));
    }
    seal::seal(vault, &mut new, known.as_ref().map(|(old, _)| old)).map_err(DeclareError::Invalid)?;
    let Some((old, items)) = known else {
        super::store(conn, None, &new, Origin::Rest, now)?;
        return Ok((new, true));
    };
    // Its own settings are new, its lists are the stored ones.
    new = new.with_lists_of(&old);
    super::store(conn, Some((&old, &items)), &new, Origin::Rest, now)?;
    Ok((new, false))
}

/// Adds an entry to its list; one without an id gets one. The entry as stored.
pub fn create<T: Declared>(conn: &mut Conn, app: i64, mut item: T, now: Timestamp) -> Result<T, DeclareError> {
    if item.key().is_empty() && T::KEY == "id" {
        item.set_key(id::fresh(now));
    }
    let mut place = 0;
    let written = write(conn, app, Origin::Rest, now, |spec, _| {
        place = T::list(spec).len();
        if T::list(spec).iter().any(|other| other.key() == item.key()) {
            return Err(DeclareError::Exists { what: T::WHAT, id: item.key().to_owned() });
        }
        T::list_mut(spec).push(item.clone());
        Ok(())
    });
    written.map_err(|e| told_of::<T>(e, place))?;
    Ok(item)
}

/// Replaces the entry of the same name.
pub fn replace<T: Declared>(conn: &mut Conn, app: i64, item: T, now: Timestamp) -> Result<T, DeclareError> {
    let mut place = 0;
    let written = write(conn, app, Origin::Rest, now, |spec, _| {
        place = position::<T>(spec, item.key())?;
        T::list_mut(spec)[place] = item.clone();
        Ok(())
    });
    written.map_err(|e| told_of::<T>(e, place))?;
    Ok(item)
}

/// Removes an entry. What refers to it is in the way, unless `force`: then the references go too. `outside`: what refers to it from
/// outside the application's declaration.
pub fn remove<T: Declared>(
    conn: &mut Conn,
    app: i64,
    key: &str,
    outside: Vec<String>,
    force: bool,
    now: Timestamp,
) -> Result<(), DeclareError> {
    write(conn, app, Origin::Rest, now, |spec, _| {
        let place = position::<T>(spec, key)?;
        let by: Vec<String> = T::referrers(spec, key).into_iter().chain(outside).collect();
        if !by.is_empty() && !force {
            return Err(DeclareError::Referred { what: T::WHAT, id: key.to_owned(), by });
        }
        T::unlink(spec, key);
        T::list_mut(spec).remove(place);
        Ok(())
    })?;
    Ok(())
}

/// What becomes of a group at a queue: primary (`true`) or backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    Add(bool),
    Set(bool),
    Remove,
}

/// Lets a group serve a queue, or not; each stands in one of the queue's two lists.
pub fn route_group(conn: &mut Conn, app: i64, queue: &str, group: &str, to: Routing, now: Timestamp) -> Result<(), DeclareError> {
    let refused = |field: &str, what: &str, id: &str| {
        DeclareError::Invalid(vec![Problem::new(field, format!("there is no {what} {id:?}; declare it first"))])
    };
    write(conn, app, Origin::Rest, now, |spec, _| {
        if !spec.group.iter().any(|g| g.id == group) {
            return Err(refused("group_id", "group", group));
        }
        let entry = spec.queue.iter_mut().find(|q| q.id == queue).ok_or_else(|| refused("queue_id", "queue", queue))?;
        let known = entry.primary_groups.iter().chain(&entry.backup_groups).any(|g| g == group);
        if known && matches!(to, Routing::Add(_)) {
            return Err(DeclareError::Exists { what: "group routing", id: format!("{queue}.{group}") });
        }
        let is_primary = entry.primary_groups.iter().any(|g| g == group);
        if to == Routing::Set(is_primary) {
            return Ok(());
        }
        entry.primary_groups.retain(|g| g != group);
        entry.backup_groups.retain(|g| g != group);
        match to {
            Routing::Add(true) | Routing::Set(true) => entry.primary_groups.push(group.to_owned()),
            Routing::Add(false) | Routing::Set(false) => entry.backup_groups.push(group.to_owned()),
            Routing::Remove => {}
        }
        Ok(())
    })?;
    Ok(())
}

/// [`remove`] for an agent, to whom contacts and tokens refer too.
pub fn remove_agent(conn: &mut Conn, app: i64, agent: &str, force: bool, now: Timestamp) -> Result<(), DeclareError> {
    let mut outside = Vec::new();
    if force {
        contacts::unassign(conn, app, agent)?;
        tokens::revoke_of(conn, app, Some(agent), now)?;
    } else {
        outside.extend(contacts::of_agent(conn, app, agent)?.map(|id| format!("contact {id}")));
        outside.extend(tokens::of_agent(conn, app, agent)?.into_iter().map(|id| format!("token {id}")));
        let is_busy = agents::get(conn, app, agent)?.is_some_and(|state| state.engaged(now));
        outside.extend(is_busy.then(|| "the call that the agent has in hand".to_owned()));
    }
    remove::<Agent>(conn, app, agent, outside, force, now)
}

/// Removes an application whose history is gone already. What it declares is in the way, unless `force`.
pub fn remove_application(conn: &mut Conn, app: i64, force: bool, now: Timestamp) -> Result<(), DeclareError> {
    let (spec, items) = roster::lock(conn, app)?.ok_or(DeclareError::NoApplication(app))?;
    if !force {
        let mut by: Vec<String> = items.iter().map(|i| format!("{} {}", i.kind, i.id)).collect();
        by.truncate(5);
        by.extend(roster::has_contacts(conn, app)?.then(|| "its contacts".to_owned()));
        by.extend(roster::has_history(conn, app)?.then(|| "its calls".to_owned()));
        if !by.is_empty() {
            return Err(DeclareError::Referred { what: "application", id: spec.id.to_string(), by });
        }
    }
    tokens::revoke_of(conn, app, None, now)?;
    roster::delete_application(conn, app)?;
    roster::bump_revision(conn)?;
    Ok(())
}

fn position<T: Declared>(spec: &Application, key: &str) -> Result<usize, DeclareError> {
    let found = T::list(spec).iter().position(|item| item.key() == key);
    found.ok_or_else(|| DeclareError::Missing { what: T::WHAT, id: key.to_owned() })
}

/// Who sent one entry is told of its fields (`extension`), not of its place in a list that he did not send (`agent[3].extension`).
fn told_of<T: Declared>(error: DeclareError, place: usize) -> DeclareError {
    let DeclareError::Invalid(problems) = error else { return error };
    let entry = format!("{}[{place}]", T::WHAT);
    let local = |p: Problem| {
        let path = match p.path.strip_prefix(&entry) {
            Some("") => T::KEY.to_owned(),
            Some(field) if field.starts_with('.') => field[1..].to_owned(),
            _ => p.path,
        };
        Problem { path, reason: p.reason }
    };
    DeclareError::Invalid(problems.into_iter().map(local).collect())
}
