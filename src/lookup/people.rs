//! The people of a stage, as the store has them.

use std::collections::HashMap;

use crate::domain::agent::AgentState;
use crate::domain::queue::{Queue, Strategy};
use crate::domain::time::Timestamp;
use crate::roster::App;
use crate::routing::choose::{Stage, Tally};
use crate::store::{Conn, Result, agents, routed};

/// Reads the states of a stage's agents that are not there yet.
pub fn load(conn: &mut Conn, app: &App, stage: &Stage, states: &mut HashMap<String, AgentState>) -> Result<()> {
    let missing: Vec<&str> = stage.agents().map(String::as_str).filter(|a| !states.contains_key(*a)).collect();
    if !missing.is_empty() {
        states.extend(agents::get_many(conn, app.id(), &missing)?.into_iter().map(|s| (s.agent.clone(), s)));
    }
    Ok(())
}

/// What a queue's agents have done lately, where its strategy counts that.
pub fn tallies(conn: &mut Conn, app: &App, queue: &Queue, now: Timestamp) -> Result<HashMap<String, Tally>> {
    if !matches!(queue.strategy, Strategy::FewestCalls | Strategy::LeastTalkTime) {
        return Ok(HashMap::new());
    }
    let counted = routed::tallies(conn, app.id(), now.plus_s(-queue.window_s))?;
    Ok(counted.into_iter().map(|(agent, (calls, talk_us))| (agent, Tally { calls, talk_us })).collect())
}

/// [`tallies`] of the queue that a stage is, if it is one.
pub fn tallies_of(conn: &mut Conn, app: &App, stage: &Stage, now: Timestamp) -> Result<HashMap<String, Tally>> {
    let queue = stage.name.strip_prefix("queue:").and_then(|id| app.spec.queue.iter().find(|q| q.id == id));
    queue.map_or_else(|| Ok(HashMap::new()), |queue| tallies(conn, app, queue, now))
}
