//! Who is in the centre: an agent and a call as somebody in the room sees them.

use std::collections::BTreeMap;

use crate::domain::agent::OfferState;

#[derive(Clone, Debug, Default)]
pub struct Person {
    /// The call that rings, or talks, at his desk.
    pub call: Option<usize>,
    pub talking: bool,
    /// When wrap-up, and when being left alone, is over.
    pub wrap_until: i64,
    pub cool_until: i64,
    pub busy_since: i64,
    pub busy_us: i64,
}

impl Person {
    pub fn is_free(&self, now: i64) -> bool {
        self.call.is_none() && self.wrap_until <= now && self.cool_until <= now
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Ringing,
    Talking,
    Over,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub queue: usize,
    pub joined: i64,
    pub stage: Stage,
    /// Changes with each step: what was planned before is void.
    pub step: u64,
    pub offer: String,
    pub rung: Vec<String>,
    pub rings: u64,
    pub answered: Option<i64>,
    pub ended: Option<i64>,
    pub answered_by: Option<String>,
    /// How often it was refused by whom.
    pub tries: BTreeMap<String, u32>,
    /// How each ringing of an agent ended.
    pub ends: Vec<(String, OfferState)>,
}

impl Call {
    pub fn new(queue: usize, now: i64) -> Call {
        Call {
            queue,
            joined: now,
            stage: Stage::Waiting,
            step: 0,
            offer: String::new(),
            rung: Vec::new(),
            rings: 0,
            answered: None,
            ended: None,
            answered_by: None,
            tries: BTreeMap::new(),
            ends: Vec::new(),
        }
    }

    pub fn tried(&self, agent: &str) -> u32 {
        self.tries.get(agent).copied().unwrap_or(0)
    }
}
