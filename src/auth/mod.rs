//! Who asks, and what he may do: tokens, the principal that a token stands for, and the table of roles.

mod access;
mod token;

pub use access::{Action, may};
pub use token::{Issued, identify, issue};

use crate::text_enum;

text_enum! {
    /// What a token is for.
    pub enum Role {
        /// Everything.
        Admin = "admin",
        /// Reads everything but secrets, and sets agents' status.
        Supervisor = "supervisor",
        /// One agent: his status, his calls, his callbacks.
        Agent = "agent",
        /// Another system: callbacks, calls and recordings of one application.
        Integration = "integration",
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name, for audit.
    pub name: String,
    pub role: Role,
    /// The only application that he may touch; `None`: every one.
    pub application: Option<i64>,
    /// Which agent he is; with the role agent.
    pub agent: Option<String>,
}

impl Principal {
    /// The agent to whom his view of calls is narrowed; `None`: he sees all of them.
    pub fn only_agent(&self) -> Option<&str> {
        // A token of this role without an agent (which cannot be issued) sees nobody's calls, not everybody's.
        (self.role == Role::Agent).then(|| self.agent.as_deref().unwrap_or_default())
    }
}
