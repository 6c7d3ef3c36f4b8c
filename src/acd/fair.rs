//! First come, first served, over every queue that shares agents.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::SLACK_S;
use super::offer::seed_of;
use super::walk::tries_of;
use crate::domain::agent::{AgentState, OfferState};
use crate::domain::queue::Queue;
use crate::domain::spec::Application;
use crate::domain::time::Timestamp;
use crate::lookup::people;
use crate::roster::App;
use crate::routing::choose::{People, Seeker, Stage, choose, kept_for_older};
use crate::store::offers::{self, Offer};
use crate::store::routed::{self, RoutedCall};
use crate::store::{Conn, Result};

/// So many of those who have waited longest are looked at.
const LOOKED_AT: i64 = 100;
/// A call that is later than this with its next question is not waited for, seconds.
const LATE_S: i64 = 2;
/// Nor is one that cannot ask before so long, seconds beyond the pause of those who wait: it hears a greeting, or a phone rings for it.
const SOON_S: i64 = 1;

/// The agents that calls which have waited longer than `mine` would take now.
pub fn kept(
    conn: &mut Conn,
    app: &App,
    mine: &RoutedCall,
    stage: &Stage,
    states: &mut HashMap<String, AgentState>,
    now: Timestamp,
) -> Result<BTreeSet<String>> {
    let alive = now.plus_s(SLACK_S - LATE_S);
    let busy = now.plus_s(SLACK_S + app.pbx.poll_s() + SOON_S);
    let mut older: Vec<(RoutedCall, &Queue)> = Vec::new();
    for queue in rivals(&app.spec, stage) {
        for call in routed::waiting(conn, app.id(), &queue.id, alive, LOOKED_AT)? {
            if (call.rank_at, &call.call_id) < (mine.rank_at, &mine.call_id) && call.silent_at <= busy.0 {
                older.push((call, queue));
            }
        }
    }
    if older.is_empty() {
        return Ok(BTreeSet::new());
    }
    older.sort_by(|a, b| (a.0.rank_at, &a.0.call_id).cmp(&(b.0.rank_at, &b.0.call_id)));
    let ids: Vec<String> = older.iter().map(|(call, _)| call.call_id.clone()).collect();
    let mut of_call: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
    for offer in offers::in_hand_of(conn, app.id(), &ids)? {
        of_call.entry(offer.call_id.clone()).or_default().push(offer);
    }
    let mut wishes = Vec::new();
    for (call, queue) in older {
        let offers = of_call.remove(&call.call_id).unwrap_or_default();
        // Somebody is being rung for it already.
        if offers.iter().any(|o| o.ended_at.is_none() && (o.state() != OfferState::Pending || o.until > now.0)) {
            continue;
        }
        let stage = Stage::queue(&app.spec, queue, now);
        people::load(conn, app, &stage, states)?;
        let tallies = people::tallies(conn, app, queue, now)?;
        let people = People { agent: &|id| app.agent(id), states, tallies: &tallies };
        let tries = tries_of(&offers);
        let waited_us = now.since(Timestamp(call.joined_at));
        let seeker = Seeker {
            caller: &call.caller,
            tries: &tries,
            waited_us,
            seed: &seed_of(&call.call_id, &offers),
            only_reachable: app.spec.routing.only_reachable,
            extensions_only: false,
            now,
        };
        wishes.push((choose(&stage, &people, &seeker).eligible, stage.at_once()));
    }
    Ok(kept_for_older(&wishes))
}

/// The queues that share an agent with the stage.
fn rivals<'a>(app: &'a Application, stage: &Stage) -> Vec<&'a Queue> {
    let mine: BTreeSet<&str> = stage.agents().map(String::as_str).collect();
    let shares = |group: &str| app.group.iter().any(|g| g.id == group && g.agents.iter().any(|a| mine.contains(a.as_str())));
    app.queue.iter().filter(|q| q.primary_groups.iter().chain(&q.backup_groups).any(|g| shares(g))).collect()
}
