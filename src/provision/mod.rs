//! Sets a PBX up for us, and takes away what is ours: subscriptions, rules, whatever its adapter says ([`crate::pbx::setup`]).
//!
//! What it promises: only what is ours is ever changed or removed; a second run changes nothing; a run that was interrupted anywhere is
//! simply begun again; a part of the PBX that cannot be completed is left as it was found, with what to do by hand.
//!
//! One part after another: it is looked at, a plan is made of what is there, its steps are done, and it is looked at again, until nothing
//! differs. No reply is believed about the state of a part, only a look at it, because the administrator may be at work there too.

mod asterisk;
pub mod check;
mod line;
mod run;
#[cfg(test)]
mod tests;

use crate::domain::spec::PbxKind;
use crate::domain::time::{Clock, Timestamp};
use crate::gateway::{Gateway, GatewayError};
use crate::link::{Link, LinkError};
use crate::pbx::setup::{Change, Hooks, Memory, Part, Plan, Seen, Survey, Trouble};
use crate::roster::App;
use crate::store::{Conn, Db, Durability, lines};
use line::Line;

/// What a run shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Make the PBX as the declaration wants it.
    On,
    /// Remove everything of ours.
    Off,
}

impl Task {
    fn wants(self, part: &dyn Part) -> bool {
        self == Task::On && part.wanted()
    }
}

/// What became of a part, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub part: String,
    /// What was changed; for a plan: what would be.
    pub changes: Vec<Change>,
    pub trouble: Option<Trouble>,
    /// What somebody can do in the panel, when there is trouble. It holds the hooks' key.
    pub by_hand: Option<String>,
}

/// Why a run ended before its end; what it had done is done, and it can be begun again.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("a PBX of the kind {0} has no API to be set up over; its page in docs/ says what to write there")]
    NoApi(PbxKind),
    /// A part is not begun that the hour's limit would leave half done.
    #[error("{part} may take {needs} requests, and the PBX allows {left} more in this hour; run it again when the hour is over")]
    Hour { part: String, needs: i64, left: i64 },
}

/// One application's PBX, to be set up.
pub struct Provision<'a> {
    pub gateway: &'a Gateway,
    pub link: &'a Link,
    pub db: &'a Db,
    pub clock: &'a Clock,
    pub app: &'a App,
    pub hooks: Hooks,
}

impl Provision<'_> {
    fn line(&self) -> line::Real<'_> {
        line::Real { gateway: self.gateway, db: self.db, app: self.app, clock: self.clock }
    }

    fn survey(&self) -> Result<Box<dyn Survey>, Stop> {
        self.app.pbx.survey(&self.hooks).ok_or(Stop::NoApi(self.app.spec.pbx))
    }

    /// What would be done; nothing is. `each` is told of every part.
    pub async fn plan(&self, task: Task, each: impl FnMut(Outcome)) -> Result<(), Stop> {
        plan(&self.line(), &*self.survey()?, task, each).await
    }

    /// Does it. `each` is told of every part when it is done. What a check has found of these parts is then history.
    pub async fn carry_out(&self, task: Task, mut each: impl FnMut(Outcome)) -> Result<(), Stop> {
        let mut done = Vec::new();
        let told = |outcome: Outcome| {
            done.push(Outcome { changes: Vec::new(), ..outcome.clone() });
            each(outcome);
        };
        let ended = carry_out(&self.line(), &*self.survey()?, task, told).await;
        let app = self.app.id();
        let amend = move |conn: &mut Conn| {
            let line = lines::get(conn, app)?;
            let Some(at) = line.checked_at else { return Ok(()) };
            let mut findings = line.findings()?;
            findings.retain(|f| !done.iter().any(|o| o.part == f.what));
            findings.extend(done.iter().flat_map(|o| check::findings(o, app)));
            lines::checked(conn, app, Timestamp(at), &findings)
        };
        self.db.write(Durability::Process, amend).await?;
        ended
    }
}

/// An application's hooks as its PBX is told them. `public_url`: where the PBX reaches this server, without a slash at its end.
///
/// # Errors
/// The hooks' key cannot be read.
pub fn hooks(app: &App, public_url: &str) -> Result<Hooks, String> {
    let key = match &app.key {
        Some(Ok(key)) => Some(key.clone()),
        Some(Err(reason)) => return Err(format!("key: {reason}")),
        None => None,
    };
    Ok(Hooks::new(public_url, app.id(), &app.spec.login, key))
}

/// Everything that finding the parts of a PBX wants to know.
async fn survey(line: &impl Line, survey: &dyn Survey) -> Result<Vec<Seen>, Stop> {
    let mut seen = Vec::new();
    while let Some(request) = survey.ask(&seen)? {
        seen.push(line::look(line, request).await?);
    }
    Ok(seen)
}

async fn parts(line: &impl Line, found: &dyn Survey) -> Result<Vec<Box<dyn Part>>, Stop> {
    parts_of(found, &survey(line, found).await?)
}

fn parts_of(found: &dyn Survey, seen: &[Seen]) -> Result<Vec<Box<dyn Part>>, Stop> {
    Ok(found.parts(seen)?)
}

/// What would be done, and nothing done. `each` is told of every part.
async fn plan(line: &impl Line, survey: &dyn Survey, task: Task, mut each: impl FnMut(Outcome)) -> Result<(), Stop> {
    for part in parts(line, survey).await? {
        let memory = line.memory(&part.name()).await?;
        let planned = run::look(line, &*part).await?.and_then(|seen| part.plan(&seen, &memory, task.wants(&*part)));
        each(match planned {
            Ok(Plan { changes, trouble, .. }) => outcome(&*part, task, changes, trouble),
            Err(trouble) => outcome(&*part, task, Vec::new(), Some(trouble)),
        });
    }
    Ok(())
}

/// Does it. `each` is told of every part when it is done.
async fn carry_out(line: &impl Line, survey: &dyn Survey, task: Task, mut each: impl FnMut(Outcome)) -> Result<(), Stop> {
    for part in parts(line, survey).await? {
        each(run::set_up(line, &*part, task).await?);
    }
    Ok(())
}

fn outcome(part: &dyn Part, task: Task, changes: Vec<Change>, trouble: Option<Trouble>) -> Outcome {
    let by_hand = trouble.is_some().then(|| part.by_hand(task.wants(part)));
    Outcome { part: part.name(), changes, trouble, by_hand }
}

/// A memory that says nothing needs no row.
fn is_blank(memory: &Memory) -> bool {
    *memory == Memory::default()
}
