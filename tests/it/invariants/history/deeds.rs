//! What callers, agents and time do.

use super::*;

impl History {
    pub(super) async fn pass(&mut self, ms: i64, turn: usize) {
        self.house.clock.advance(ms * 1_000);
        let due: Vec<Offer> = self.seen.pending.iter().filter(|o| o.until <= self.now().0).cloned().collect();
        timers::sweep(&self.house.hookflash).await;
        self.watch("a sweep").await;
        self.met(3, due.len());
        let now = self.now();
        let late: Vec<String> = self.seen.pending.iter().filter(|o| o.until <= now.0).map(|o| format!("{o:?}")).collect();
        for offer in late {
            self.fault(3, format!("outlives its time: {offer}"));
        }
        let calls = self.calls.len();
        for k in 0..calls {
            let call = (k + turn) % calls;
            // One in nine has a PBX that forgets to ask.
            if (call + turn / 7).is_multiple_of(9) {
                continue;
            }
            let waited = now.since(self.calls[call].asked_at);
            match self.calls[call].stage {
                Stage::Waiting if waited >= 1_000_000 => self.ask(call, None).await,
                Stage::Ringing if waited >= self.calls[call].rings_for_s * 1_000_000 => self.ask(call, Some(OfferState::NoAnswer)).await,
                _ => {}
            }
        }
    }

    pub(super) async fn tell(&mut self, form: String) {
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let raw = Raw { hook: "event", query: "", content_type: FORM, body: form.as_bytes() };
        ingest::accept(&self.house.hookflash.db, &app, raw, HookKind::Event, &self.house.clock).await.expect("stored");
        self.last_event = Some(form);
        self.watch("an event").await;
    }

    pub(super) async fn answer(&mut self, call: usize, who: usize, heard: bool) {
        let now = self.now();
        let record = &mut self.calls[call];
        let agent = record.rung[who % record.rung.len()].clone();
        (record.stage, record.by, record.answered_at) = (Stage::Talking, agent.clone(), now);
        let extension = 1_000 + agent[1..].parse::<usize>().expect("a number");
        let form = format!(
            "event=answer&call={}&from=%2B79990001101&to=%2B{}&offer={}&peer=PJSIP/{extension}-00000001",
            record.name,
            &number(record.queue)[1..],
            record.offer.replace('+', "%2B")
        );
        if !heard {
            self.unheard.push(form);
            return;
        }
        let (name, others) = (record.name.clone(), record.rung.len() - 1);
        let stood = self.seen.pending.iter().any(|o| o.call_id == id::call_id(APP, &name) && o.agent == agent && o.until > now.0);
        self.tell(form).await;
        self.one_winner(&name, stood.then_some(agent.as_str())).await;
        self.met(2, others + 1);
    }

    pub(super) async fn hang_up(&mut self, call: usize) {
        let now = self.now();
        let record = &mut self.calls[call];
        let (stage, rung, name) = (record.stage, std::mem::take(&mut record.rung), record.name.clone());
        let talk_s = if stage == Stage::Talking { now.since(record.answered_at) as f64 / 1e6 } else { 0.0 };
        let (status, offer) = match stage {
            Stage::Talking => ("ANSWER", record.offer.as_str()),
            Stage::Ringing => ("CANCEL", record.offer.as_str()),
            _ => ("", ""),
        };
        let form = format!(
            "call={}&from=%2B79990001101&to=%2B{}&place=q{:02}&offer={}&dialstatus={status}&answeredtime={talk_s:.6}",
            record.name,
            &number(record.queue)[1..],
            record.queue,
            offer.replace('+', "%2B")
        );
        record.stage = Stage::Over;
        record.told = Some(Action::Hangup { cause: 16 });
        let before: Vec<(String, i32, Timestamp)> =
            rung.iter().filter_map(|a| self.seen.states.get(a)).map(|s| (s.agent.clone(), s.misses, s.cool_until)).collect();
        self.tell(form).await;
        if stage == Stage::Ringing {
            self.met(9, rung.len());
            for (agent, misses, cool) in before {
                let state = &self.seen.states[&agent];
                if (state.misses, state.cool_until) != (misses, cool) {
                    let text = format!("{name} left while {agent} was rung: {state:?}");
                    self.fault(9, text);
                }
            }
            self.one_winner(&name, None).await;
        }
    }

    pub(super) async fn status(&mut self, n: usize, status: usize) {
        let agent = self.agents[n % self.agents.len()].clone();
        let word = ["AVAILABLE", "AVAILABLE", "NOT_AVAILABLE", "OFFLINE"][status % 4];
        let when = if status % 8 < 6 { "now" } else { "next" };
        let before = self.seen.states[&agent].clone();
        self.client.put(&format!("/api/v1/apps/{APP}/agents/{agent}/status"), json!({"manual_status": word, "when": when})).await.ok();
        self.watch("status").await;
        let after = self.seen.states[&agent].clone();
        self.met(16, usize::from(before.talking > 0));
        if (before.talking, before.ringing) != (after.talking, after.ringing) {
            self.fault(16, format!("{word} freed {agent}: {before:?}, {after:?}"));
        }
    }

    pub(super) async fn twice(&mut self) {
        let before = self.look().await;
        if let Some(form) = self.last_event.clone() {
            self.tell(form).await;
        }
        let asked = (0..self.calls.len()).rev().find(|c| self.calls[*c].stage == Stage::Ringing);
        if let Some(call) = asked {
            let app = self.house.hookflash.roster.app(APP).expect("the centre");
            let request = self.request(call, &self.calls[call].offer, None);
            let stands = self.seen.pending.iter().any(|o| o.call_id == id::call_id(APP, &self.calls[call].name) && o.until > self.now().0);
            if stands {
                let again = acd::ask(&self.house.hookflash.db, &self.house.clock, &app, &request).await.expect("answered");
                let dialled = matches!(&again.action, Some(Action::Dial(d)) if d.offer == self.calls[call].offer);
                if !dialled || again.decision.is_some() {
                    self.fault(10, format!("asked again about {}: {again:?}", self.calls[call].name));
                }
            }
        }
        self.watch("again").await;
        if before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(10, "the same event or question again changed something".into());
        }
        self.met(10, 1);
    }

    pub(super) async fn stale(&mut self, n: usize) {
        let Some(call) = self.pick(n, Stage::Ringing) else { return };
        let old = self.calls[call].stale.clone();
        let stands = self.seen.pending.iter().any(|o| o.call_id == id::call_id(APP, &self.calls[call].name) && o.until > self.now().0);
        if !stands {
            return;
        }
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let request = self.request(call, if old.is_empty() { "0198.nobody" } else { &old }, Some(OfferState::Rejected));
        let before = self.look().await;
        let told = acd::ask(&self.house.hookflash.db, &self.house.clock, &app, &request).await.expect("answered");
        self.watch("a stale outcome").await;
        let same = matches!(&told.action, Some(Action::Dial(d)) if d.offer == self.calls[call].offer);
        if !same || before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(11, format!("a stale outcome of {} had an effect: {told:?}", self.calls[call].name));
        }
        self.met(11, 1);
    }

    pub(super) async fn own_call(&mut self, n: usize) {
        let agent = self.agents[n % self.agents.len()].clone();
        let extension = 1_000 + agent[1..].parse::<usize>().expect("a number");
        match self.own.remove(&agent) {
            Some(k) => {
                self.tell(format!("call=own{k}&from=%2B79990001102&dialstatus=ANSWER&answeredtime=5&peer=PJSIP/{extension}-00000001")).await
            }
            None => {
                self.owns += 1;
                let k = self.owns;
                self.own.insert(agent.clone(), k);
                self.tell(format!("event=answer&call=own{k}&from=%2B79990001102&peer=PJSIP/{extension}-00000001")).await;
                if self.seen.states[&agent].talking == 0 {
                    self.fault(1, format!("a call beside ours is not seen at {agent}"));
                }
            }
        }
    }

    /// An agent is declared no more, whatever he does just then; at most a few.
    pub(super) async fn remove(&mut self, n: usize) {
        if self.agents.len() < 10 || self.outcome.met.get(&22).is_some_and(|n| *n >= 5) {
            return;
        }
        let engaged: Vec<String> =
            self.agents.iter().filter(|a| self.seen.states[*a].engaged(self.now()) && !self.own.contains_key(*a)).cloned().collect();
        if engaged.is_empty() {
            return;
        }
        let gone = engaged[n % engaged.len()].clone();
        let (now, id) = (self.now(), gone.clone());
        let write = move |conn: &mut hookflash::store::Conn| {
            edit::remove_agent(conn, APP, &id, true, now).map_err(|e| StoreError::Refused(format!("{e:?}")))
        };
        self.house.hookflash.db.write(Durability::Process, write).await.expect("removed");
        self.house.hookflash.roster.refresh().await.expect("read again");
        self.agents.retain(|a| *a != gone);
        self.met(22, 1);
        self.watch("a removal").await;
    }
}
