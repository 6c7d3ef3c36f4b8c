//! Old rows go, or move to where they are read sooner; a few at a time, so that nothing else waits for it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::app::Hookflash;
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::store::{Conn, Durability, Result, agent_sums, calls, decisions, facts, journal, offers, routed, times};

/// Rows that one transaction deletes.
const AT_ONCE: i64 = 500;
/// Transactions of one sweep and kind.
const ROUNDS: usize = 200;

/// The fact that says how far an application's journal was pruned: what is older cannot be replayed.
pub fn pruned_before(application: i64) -> String {
    format!("journal_pruned_before/{application}")
}

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let keep = server.settings.retention.clone();
    let now = server.clock.now();
    let before = |days: u64| (days > 0).then(|| now.plus_s(-(days as i64) * 86_400));
    for app in server.roster.snapshot().apps.keys().copied() {
        file_marks(server, app, now).await?;
        sum_up_marks(server, app, now).await?;
        if let Some(limit) = before(keep.journal_days) {
            prune(server, move |conn| prune_journal(conn, app, limit)).await?;
        }
        if let Some(limit) = before(keep.decisions_days) {
            let floor = id::floor(limit);
            prune(server, move |conn| decisions::prune(conn, app, &floor, AT_ONCE)).await?;
            let floor = id::floor(limit);
            prune(server, move |conn| offers::prune(conn, app, &floor, AT_ONCE)).await?;
        }
        if let Some(limit) = before(keep.calls_days) {
            prune(server, move |conn| calls::prune(conn, app, limit, AT_ONCE)).await?;
            prune(server, move |conn| routed::prune(conn, app, limit, AT_ONCE)).await?;
            prune(server, move |conn| agent_sums::prune(conn, app, limit, AT_ONCE)).await?;
            prune_marks(server, app, limit).await?;
        }
    }
    Ok(())
}

/// Marks of agents are filed by the hour, so that those of one agent find each other's page.
async fn file_marks(server: &Hookflash, app: i64, now: Timestamp) -> Result<()> {
    let oldest = server.db.read(move |conn| times::oldest_new(conn, app)).await?;
    if oldest.is_some_and(|oldest| oldest < now.plus_s(-2 * 3_600)) {
        prune(server, move |conn| times::file(conn, app, now.plus_s(-3_600), AT_ONCE)).await?;
    }
    Ok(())
}

/// Half hours of agents that are long over are added up. Reading is no work for the writer.
async fn sum_up_marks(server: &Hookflash, app: i64, now: Timestamp) -> Result<()> {
    for _ in 0..ROUNDS {
        let agents = agents_of(server, app);
        let Some(half) = server.db.read(move |conn| agent_sums::next(conn, app, &agents, now)).await? else { break };
        server.db.write(Durability::Process, move |conn| agent_sums::keep(conn, app, &half)).await?;
    }
    Ok(())
}

fn agents_of(server: &Hookflash, app: i64) -> Vec<String> {
    server.roster.app(app).map(|a| a.spec.agent.iter().map(|agent| agent.id.clone()).collect()).unwrap_or_default()
}

/// Of all of whom there are marks, those too who are declared no more.
async fn prune_marks(server: &Hookflash, app: i64, limit: Timestamp) -> Result<()> {
    let here = agents_of(server, app).into_iter().collect::<HashSet<_>>();
    let mut last = String::new();
    while let Some(agent) = server.db.read(move |conn| times::next_agent(conn, app, &last)).await? {
        let (one, is_here) = (agent.clone(), here.contains(&agent));
        prune(server, move |conn| times::prune(conn, app, &one, is_here, limit, AT_ONCE)).await?;
        last = agent;
    }
    Ok(())
}

fn prune_journal(conn: &mut Conn, app: i64, limit: Timestamp) -> Result<usize> {
    let gone = journal::prune(conn, app, limit, AT_ONCE)?;
    if gone > 0 {
        facts::set(conn, &pruned_before(app), &limit.micros().to_string())?;
    }
    Ok(gone)
}

async fn prune(server: &Hookflash, work: impl FnMut(&mut Conn) -> Result<usize> + Send + Clone + 'static) -> Result<()> {
    for _ in 0..ROUNDS {
        if server.db.write(Durability::Process, work.clone()).await? < AT_ONCE as usize {
            break;
        }
    }
    Ok(())
}
