//! What Prometheus is told of queues, offers and agents.
//!
//! It is read from the database when Prometheus asks, so that nobody who routes a call waits for a counter, what was undone is not counted,
//! and a call counts once. Every server tells of the whole house: with several of them take one, or the greatest.
//!
//! Counters begin when the server starts. An ask reads what has come since the one before, and again what had not ended then.

mod counted;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::agent::State;
use crate::domain::time::Timestamp;
use crate::roster::{App, Roster};
use crate::store::{Conn, Db, Result, agents, routed};

use counted::Counted;

/// Callers in one queue that are looked at.
const MOST_WAITING: i64 = 10_000;

/// The counters, which outlive one ask.
pub struct Figures {
    since: Timestamp,
    counted: Arc<Mutex<BTreeMap<i64, Counted>>>,
}

/// How an application is now.
#[derive(Debug, Default)]
struct Now {
    /// By queue: how many wait, and microseconds since the one who waits longest joined.
    waiting: BTreeMap<String, (i64, i64)>,
    agents: BTreeMap<State, i64>,
}

impl Figures {
    /// Counts what happens from now on.
    pub fn new(now: Timestamp) -> Figures {
        Figures { since: now, counted: Arc::default() }
    }

    /// The families of queues, offers and agents in Prometheus' text format.
    ///
    /// # Errors
    /// The database could not be read; what happened meanwhile is counted with the next ask.
    pub async fn text(&self, db: &Db, roster: &Roster, now: Timestamp) -> Result<String> {
        let (since, counted, snapshot) = (self.since, self.counted.clone(), roster.snapshot());
        db.read(move |conn| {
            let apps: BTreeMap<i64, &Arc<App>> = snapshot.apps.iter().map(|(id, app)| (*id, app)).collect();
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            counted.retain(|id, _| apps.contains_key(id));
            let mut all = Vec::new();
            for (id, app) in apps {
                counted.entry(id).or_insert_with(|| Counted::new(since)).follow(conn, app, now)?;
                all.push((app.as_ref(), look(conn, app, now)?));
            }
            Ok(text::write(&all, &counted))
        })
        .await
    }
}

fn look(conn: &mut Conn, app: &App, now: Timestamp) -> Result<Now> {
    let mut found = Now::default();
    for queue in &app.spec.queue {
        let rows = routed::waiting(conn, app.id(), &queue.id, now, MOST_WAITING)?;
        let longest = rows.iter().map(|row| now.since(Timestamp(row.joined_at))).max().unwrap_or(0);
        found.waiting.insert(queue.id.clone(), (rows.len() as i64, longest));
    }
    found.agents = State::ALL.iter().map(|state| (*state, 0)).collect();
    for state in agents::all(conn, app.id())?.iter().filter(|s| app.agent(&s.agent).is_some()) {
        *found.agents.entry(state.at(now).0).or_default() += 1;
    }
    Ok(found)
}
