//! What must hold: after each step, and at the end.

use super::*;

impl History {
    /// Looks again, and at what a step has changed.
    pub(super) async fn watch(&mut self, what: &str) {
        let now = self.now();
        let seen = self.look().await;
        let before = std::mem::replace(&mut self.seen, seen);
        let (mut wrong, mut met) = (Vec::new(), BTreeMap::new());
        let mut bound: BTreeMap<&str, &str> = BTreeMap::new();
        for offer in self.seen.pending.iter().filter(|o| o.until > now.0) {
            if let Some(other) = bound.insert(&offer.agent, &offer.call_id) {
                wrong.push((1, format!("{} is offered to {other} and to {}", offer.agent, offer.call_id)));
            }
            let state = self.seen.states.get(&offer.agent);
            if state.is_some_and(|s| s.claim.as_ref().map(|c| &c.call) != Some(&offer.call_id)) {
                wrong.push((1, format!("{what}: an offer of {} stands without a claim on him: {state:?}", offer.agent)));
            }
            if before.pending.iter().any(|o| o.id == offer.id) {
                continue;
            }
            *met.entry(1).or_default() += 1;
            let then = before.states.get(&offer.agent);
            if !then.is_some_and(|s| is_free(s, now)) {
                let invariant = if then.is_some_and(|s| s.engaged(now)) { 1 } else { 4 };
                wrong.push((invariant, format!("{what}: {} is offered and was {then:?}", offer.agent)));
            }
            // Somebody was there who is left alone.
            *met.entry(4).or_default() += usize::from(before.states.values().any(|s| s.wrap_until > now || s.cool_until > now));
        }
        for (agent, state) in &self.seen.states {
            let Some(then) = before.states.get(agent) else { continue };
            if state.manual_status != then.manual_status && what != "status" && then.next_status.is_none() {
                wrong.push((16, format!("{what}: {agent} became {} by itself", state.manual_status)));
            }
        }
        for (invariant, times) in met {
            self.met(invariant, times);
        }
        for (invariant, text) in wrong {
            self.fault(invariant, text);
        }
    }

    pub(super) async fn one_winner(&mut self, name: &str, winner: Option<&str>) {
        let id = id::call_id(APP, name);
        let offers = self.house.read(move |conn| offers::in_hand(conn, APP, &id)).await;
        let accepted: Vec<&Offer> = offers.iter().filter(|o| o.state() == OfferState::Accepted).collect();
        let pending = offers.iter().filter(|o| o.state() == OfferState::Pending && o.ended_at.is_none()).count();
        let wrong = accepted.len() > 1
            || (winner.is_some() && (pending > 0 || accepted.len() != 1 || accepted[0].agent != winner.unwrap_or_default()));
        if wrong {
            self.fault(2, format!("{name}, answered by {winner:?}, has {offers:?}"));
        }
    }

    /// All hang up, everything that was held back comes, and time goes by.
    pub(super) async fn close(&mut self) {
        for call in 0..self.calls.len() {
            if self.calls[call].stage != Stage::Over {
                self.hang_up(call).await;
            }
        }
        for form in std::mem::take(&mut self.unheard) {
            self.tell(form).await;
        }
        for (agent, k) in std::mem::take(&mut self.own) {
            let phone = deeds::extension(&agent);
            self.tell(format!("call=own{k}&from=%2B79990001102&dialstatus=ANSWER&answeredtime=5&peer=PJSIP/{phone}-00000001")).await;
        }
        self.house.pass_s(600);
        timers::sweep(&self.house.hookflash).await;
        self.watch("the end").await;
        let now = self.now();
        let left: Vec<String> = self.seen.pending.iter().map(|o| format!("{o:?}")).collect();
        let engaged: Vec<String> = self.seen.states.values().filter(|s| s.engaged(now)).map(|s| format!("{s:?}")).collect();
        for what in left.into_iter().chain(engaged) {
            let gone = self.removed > 0 && !self.agents.iter().any(|a| what.contains(&format!("\"{a}\"")));
            self.fault(if gone { 22 } else { 3 }, format!("when all is over: {what}"));
        }
        self.count().await;
        self.add_up().await;
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("the centre"));
        let report = tokio::task::spawn_blocking(move || replay::run(&db, &app, Timestamp(0), false, |_, _| {})).await.unwrap().unwrap();
        // An event that names its agent by the offer alone cannot be read again as it was once he is declared no more.
        let ids: Vec<String> = report.differences.iter().map(|d| d.call.clone()).collect();
        let offered = self.house.read(move |conn| offers::of_calls(conn, APP, &ids)).await;
        for difference in report.differences {
            let of_gone = offered.iter().any(|o| o.call_id == difference.call && !self.agents.contains(&o.agent));
            if !of_gone {
                let text = format!("a replay differs: {difference:?}");
                self.fault(10, text.clone());
                self.fault(12, text);
            }
        }
    }

    /// Each time in a queue has one outcome, and a call that was answered says so.
    pub(super) async fn count(&mut self) {
        let ids: Vec<String> = self.calls.iter().map(Call::id).collect();
        let read =
            move |conn: &mut Conn| ids.iter().map(|call| routed::entries_of(conn, APP, call)).collect::<hookflash::store::Result<Vec<_>>>();
        let entries = self.house.read(read).await;
        let mut wrong = Vec::new();
        for (call, stored) in self.calls.iter().zip(&entries) {
            // The last one ends with the call: answered, or given up.
            let last = if call.by.is_empty() { "abandoned" } else { "answered" };
            let expected: Vec<(&str, &str)> = call.journey.times.iter().map(|(queue, end)| (queue.as_str(), end.unwrap_or(last))).collect();
            let stored: Vec<(&str, &str)> = stored.iter().map(|e| (e.queue.as_str(), e.outcome.as_deref().unwrap_or("open"))).collect();
            if expected != stored {
                wrong.push(format!("{} was {stored:?} and should have been {expected:?}", call.name));
            }
        }
        for text in wrong {
            self.fault(13, text);
        }
        let stats =
            self.client.get(&format!("/api/v1/apps/{APP}/stats/queues?from=2025-12-01T00:00:00Z&to=2026-12-01T00:00:00Z")).await.ok();
        let mut offered = 0;
        for queue in stats["items"].as_array().expect("queues").clone() {
            let n = |field: &str| queue[field].as_i64().unwrap_or(0);
            let ends =
                ["answered", "abandoned", "short_abandoned", "overflowed", "timed_out", "closed_hours", "full", "no_staff", "waiting"];
            offered += n("offered");
            // Who gives up at once is not counted as offered.
            let all = ends.into_iter().map(n).sum::<i64>();
            if n("queued") != all || n("offered") != all - n("short_abandoned") {
                self.fault(13, format!("does not add up: {queue}"));
            }
        }
        self.met(13, offered as usize);
    }

    /// The times in state of each agent have no gap and no overlap.
    pub(super) async fn add_up(&mut self) {
        let (from, to) = (self.begun, self.now());
        for agent in self.agents.clone() {
            let id = agent.clone();
            let marks = self.house.read(move |conn| times::between(conn, APP, &id, from, to)).await;
            let spans = agent_time::spans(&marks, from, to);
            let joined = spans.windows(2).all(|w| w[0].until == w[1].since);
            let total: i64 = spans.iter().map(|s| s.until.0 - s.since.0).sum();
            self.met(14, spans.len());
            if !joined || total != to.0 - from.0 {
                self.fault(14, format!("{agent}: {total} of {} µs", to.0 - from.0));
            }
        }
    }
}
