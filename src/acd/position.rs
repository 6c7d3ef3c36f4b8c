//! Where a call is on its way, as its row keeps it.

use serde::{Deserialize, Serialize};

use crate::domain::id;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub place: Place,
    /// Since when it is there.
    pub since: Timestamp,
    /// When it first came into a queue: what it has waited in one counts in the next.
    #[serde(default)]
    pub joined: Option<Timestamp>,
    /// The queue whose greeting it was told to hear last, and when.
    #[serde(default)]
    pub greeted: Option<(String, Timestamp)>,
    /// IVR nodes that it has seen.
    #[serde(default)]
    pub visits: u32,
    /// Keys in a row that led nowhere.
    #[serde(default)]
    pub faults: u32,
    /// Places that it has been in since it was asked about.
    #[serde(default)]
    pub hops: u32,
    /// What the PBX says back of the last answer; anything else is stale.
    #[serde(default)]
    pub token: Option<String>,
    /// The last decision that was recorded, and what it said: the same again is not recorded again.
    #[serde(default)]
    pub decision: Option<(String, i64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    #[default]
    Start,
    /// An IVR node.
    Node(String),
    /// A step of the responsible chain, from 0.
    Chain(usize),
    Queue(InQueue),
    Left(Left),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InQueue {
    pub id: String,
    /// It is there as a step of the chain, and goes on with the next one at this time.
    #[serde(default)]
    pub step: Option<(usize, Timestamp)>,
}

/// How a call has left us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    Forward(String),
    Voicemail(String),
    Hangup(i32),
    Default,
}

impl Position {
    /// Unreadable text is that of a newer version: such a call begins anew.
    pub fn read(text: &str) -> Position {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn go(&mut self, place: Place, now: Timestamp) {
        (self.place, self.since, self.hops, self.faults) = (place, now, self.hops + 1, 0);
        self.token = None;
    }

    /// What the PBX says back is of the answer that it had last.
    pub fn is_current(&self, offer: Option<&str>) -> bool {
        offer.is_some() && offer == self.token.as_deref()
    }
}

/// Digest of what a decision says.
pub fn digest(parts: &[&str]) -> i64 {
    id::digest(&parts.iter().map(|p| p.as_bytes()).collect::<Vec<_>>())
}
