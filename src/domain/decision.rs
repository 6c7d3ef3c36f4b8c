//! A routing decision with its reasons: what was asked, who was looked at in which order, who was named and why the others were not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;
use crate::text_enum;

text_enum! {
    pub enum Outcome {
        /// One agent was named.
        Agent = "agent",
        /// Nobody was named; the PBX goes on with its next rule.
        Nobody = "nobody",
        /// Several agents were named in order.
        List = "list",
    }
}

/// One agent who was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    pub agent: String,
    /// The step of the application's chain that proposed him: `owner`, `deputy`, `last_agent`, `group:sales`.
    pub step: String,
    pub eligible: bool,
    /// One clause about him: `is on a call`, `is free`.
    pub reason: String,
}

/// A decision as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: String,
    pub at: Timestamp,
    /// Our id of the call; `None` when the PBX did not name one.
    pub call: Option<String>,
    /// The PBX's id of the call, as written.
    pub pbx_call_id: Option<String>,
    /// The caller as the PBX wrote him.
    pub caller: String,
    pub outcome: Outcome,
    pub agents: Vec<String>,
    /// One sentence.
    pub reason: String,
    pub candidates: Vec<Candidate>,
    pub took_us: i64,
    /// The answer came after the deadline, and the PBX was given the safe reply.
    pub late: bool,
}
