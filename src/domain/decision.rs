//! A routing decision with its reasons: what was asked, who was looked at in which order, who was named and why the others were not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id;
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
    /// What it was made from, as `routing::record` writes it; empty: no agents were looked at.
    pub inputs: String,
    pub took_us: i64,
    /// The answer came after the deadline, and the PBX was given the safe reply.
    pub late: bool,
}

impl Decision {
    /// The longest caller that is kept, characters.
    const CALLER: usize = 64;

    /// A decision before anything is decided: nobody is named. The call is as the PBX names it.
    pub fn begin(application: i64, pbx_call_id: Option<&str>, caller: &str, now: Timestamp) -> Decision {
        let call = pbx_call_id.map(|name| id::call_id(application, name));
        Decision {
            id: call.as_deref().map_or_else(|| id::fresh(now), |call| id::about(call, now)),
            at: now,
            call,
            pbx_call_id: pbx_call_id.map(|name| id::spelling(name).to_owned()),
            caller: caller.chars().take(Decision::CALLER).collect(),
            outcome: Outcome::Nobody,
            agents: Vec::new(),
            reason: String::new(),
            candidates: Vec::new(),
            inputs: String::new(),
            took_us: 0,
            late: false,
        }
    }
}
