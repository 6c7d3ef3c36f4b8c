//! What must come of a trial, said plainly.

use super::trial::{Is, Trial, agent};

/// A reason of the step, not of the agent.
const CLOSED: &str = "works for a queue that is closed at this hour";

/// What must come of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Must {
    pub(super) chosen: Option<String>,
    /// Each who was passed over: the step, the agent, the reason.
    pub(super) refused: Vec<(String, String, String)>,
    /// Steps that name nobody.
    pub(super) empty: Vec<String>,
    /// The caller is not let in.
    pub(super) turned_away: bool,
}

impl Trial {
    /// `once`: who was refused at a step for a reason of his own is not told of again at a later one, and nobody is turned away.
    pub(super) fn must(&self, once: bool) -> Must {
        let mut must = Must::default();
        if self.is_blocked && !once {
            must.turned_away = true;
            return must;
        }
        for step in &self.chain {
            let people: Vec<usize> = match *step {
                "owner" => self.owner.into_iter().collect(),
                "deputy" => self.deputy.into_iter().collect(),
                "last_agent" => self.last_agent.into_iter().collect(),
                "group:g" => self.group.clone(),
                _ => self.queue.clone(),
            };
            if people.is_empty() {
                must.empty.push((*step).to_owned());
            }
            let closed = (*step == "queue:q" && !self.is_open).then_some(CLOSED);
            for n in &people {
                let told = once && must.refused.iter().any(|(_, a, reason)| *a == agent(*n) && reason != CLOSED);
                if let Some(reason) = closed.or(self.people[*n].reason()).filter(|_| !told) {
                    must.refused.push(((*step).to_owned(), agent(*n), reason.to_owned()));
                }
            }
            // In the order of idleness, which is that of the numbers.
            if let Some(n) = people.iter().find(|n| self.people[**n] == Is::Free && closed.is_none()) {
                must.chosen = Some(agent(*n));
                break;
            }
        }
        must.refused.sort();
        must
    }
}
