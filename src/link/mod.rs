//! The line to PBXs that are spoken to over a connection of their own: AMI.
//!
//! What it promises: each application with AMI has one connection that takes its events, at one node at a time (a lease in `ami_links`). It
//! logs in, asks for events, reads what is up at the PBX and what we believe is up, and makes ours follow; then every event that tells of a
//! call of ours goes through the journal and the fold as a hook's does, in order. When the connection ends it is made again, after a pause
//! that grows, and the comparison heals what was told meanwhile. A store that is slow makes the PBX wait; nothing is lost by it.
//!
//! [`Link::send`] has an action done: over that connection where this process has it, else over one of its own.

mod feed;
pub mod session;
mod supervise;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::time::Clock;
use crate::net::Http;
use crate::pbx::asterisk::ami::Action;
use crate::pbx::asterisk::ami::action::Reply;
use crate::roster::{self, App};
use crate::secrets::Vault;
use crate::store::Db;

pub use session::{Limits, Line, Session};
pub use supervise::{Running, start};

/// Why a PBX did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The application has no AMI user, his secret cannot be read, or the PBX does not let him in.
    #[error("{0}")]
    Credentials(String),
    /// The PBX said no, in its own words. Nothing happened there.
    #[error("the PBX refused: {0}")]
    Refused(String),
    /// Our own settings forbid the PBX's address.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing reached the PBX.
    #[error("the PBX cannot be reached: {0}")]
    Unreachable(String),
    /// The PBX may have done it.
    #[error("the PBX gave no clear reply: {0}")]
    Unclear(String),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Link {
    http: Http,
    db: Db,
    vault: Arc<Vault>,
    clock: Clock,
    limits: Limits,
    /// The standing connections of this process, by application.
    standing: Arc<Mutex<HashMap<i64, Arc<Session>>>>,
}

impl Link {
    pub fn new(http: Http, db: Db, vault: Arc<Vault>, clock: Clock, limits: Limits) -> Link {
        Link { http, db, vault, clock, limits, standing: Arc::default() }
    }

    /// Has an action done and returns its answer.
    ///
    /// # Errors
    /// Told apart by whether the PBX may have acted.
    pub async fn send(&self, app: &App, action: &Action) -> Result<Reply, LinkError> {
        let standing = self.standing().get(&app.id()).cloned();
        match standing {
            Some(session) if session.ended().is_none() => session.send(action).await,
            _ => {
                let session = self.visit(app).await?;
                let reply = session.send(action).await;
                session.close().await;
                reply
            }
        }
    }

    /// A connection for a few actions, without events.
    ///
    /// # Errors
    /// As [`Session::open`]; and when the application has no AMI.
    pub async fn visit(&self, app: &App) -> Result<Session, LinkError> {
        Ok(Session::open(&self.http, &self.line(app)?, self.limits).await?.0)
    }

    fn line(&self, app: &App) -> Result<Line, LinkError> {
        let Some(ami) = app.pbx.ami() else {
            let mend = "set asterisk.ami_address, asterisk.ami_user and asterisk.ami_secret";
            return Err(LinkError::Credentials(format!("application {} has no AMI access to its PBX; {mend}", app.id())));
        };
        let context = roster::secret_context(app.id(), "asterisk.ami_secret");
        let secret = self.vault.reveal(&context, ami.secret).map_err(|e| LinkError::Credentials(format!("asterisk.ami_secret: {e}")))?;
        Ok(Line { address: ami.address.to_owned(), user: ami.user.to_owned(), secret })
    }

    /// How many connections take events here.
    pub fn connections(&self) -> usize {
        self.standing().values().filter(|session| session.ended().is_none()).count()
    }

    fn standing(&self) -> MutexGuard<'_, HashMap<i64, Arc<Session>>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
