//! What callers, agents and time do.

use super::*;

/// How long a caller takes who presses no key, seconds.
const NO_KEY_S: i64 = 6;

impl History {
    pub(super) async fn arrive(&mut self, n: usize) {
        let now = self.now();
        self.calls.push(Call {
            name: format!("c{}", self.calls.len()),
            caller: self.callers[n / self.dids.len() % self.callers.len()].clone(),
            did: self.dids[n % self.dids.len()].clone(),
            journey: Journey::begins(now),
            stage: Stage::Waiting,
            place: String::new(),
            offer: String::new(),
            stale: String::new(),
            rung: Vec::new(),
            asked_at: now,
            rings_for_s: 0,
            by: String::new(),
            answered_at: now,
            told: None,
        });
        self.ask(self.calls.len() - 1, None, None).await;
    }

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
                Stage::Waiting if waited >= 1_000_000 => self.ask(call, None, None).await,
                Stage::Listening if waited >= NO_KEY_S * 1_000_000 => self.ask(call, None, Some("")).await,
                Stage::Ringing | Stage::Outside if waited >= self.calls[call].rings_for_s * 1_000_000 => {
                    self.ask(call, Some(OfferState::NoAnswer), None).await
                }
                _ => {}
            }
        }
    }

    pub(super) async fn tell(&mut self, form: String) {
        // No two events come at the same instant.
        self.house.clock.advance(1);
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let raw = Raw { hook: "event", query: "", content_type: FORM, body: form.as_bytes() };
        ingest::accept(&self.house.hookflash.db, &app, raw, HookKind::Event, &self.house.clock).await.expect("stored");
        self.last_event = Some(form);
        self.watch("an event").await;
    }

    pub(super) async fn answer(&mut self, n: usize, who: usize, heard: bool) {
        let Some(call) = self.pick(n, &[Stage::Ringing, Stage::Outside]) else { return };
        let now = self.now();
        let record = &mut self.calls[call];
        let is_agent = record.stage == Stage::Ringing;
        let (by, peer) = match record.rung.get(who % record.rung.len()) {
            Some(agent) if is_agent => (agent.clone(), format!("PJSIP/{}-00000001", extension(agent))),
            number => {
                let number = number.expect("a number").clone();
                (number.clone(), format!("PJSIP/%2B{}@trunk-00000002", &number[1..]))
            }
        };
        (record.stage, record.by, record.answered_at) = (Stage::Talking, by.clone(), now);
        let form = format!("event=answer&{}&peer={peer}", record.fields());
        if !heard {
            self.unheard.push(form);
            return;
        }
        let (name, id, others) = (record.name.clone(), record.id(), record.rung.len() - 1);
        let stood = self.seen.pending.iter().any(|o| o.call_id == id && o.agent == by && o.until > now.0);
        self.tell(form).await;
        if is_agent {
            self.one_winner(&name, stood.then_some(by.as_str())).await;
            self.met(2, others + 1);
        }
    }

    pub(super) async fn hang_up(&mut self, call: usize) {
        let now = self.now();
        let record = &mut self.calls[call];
        let (stage, rung, name) = (record.stage, std::mem::take(&mut record.rung), record.name.clone());
        let talk_s = if stage == Stage::Talking { now.since(record.answered_at) as f64 / 1e6 } else { 0.0 };
        let status = match stage {
            Stage::Talking => "ANSWER",
            Stage::Ringing | Stage::Outside => "CANCEL",
            _ => {
                record.offer.clear();
                ""
            }
        };
        let form = format!("{}&place={}&dialstatus={status}&answeredtime={talk_s:.6}", record.fields(), record.place.replace('+', "%2B"));
        record.stage = Stage::Over;
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

    /// A phone rings for the call.
    fn stands(&self, call: usize) -> bool {
        let (id, now) = (self.calls[call].id(), self.now());
        self.seen.pending.iter().any(|o| o.call_id == id && o.until > now.0)
    }

    pub(super) async fn twice(&mut self) {
        let before = self.look().await;
        let mut again = 0;
        if let Some(form) = self.last_event.clone() {
            self.tell(form).await;
            again += 1;
        }
        let asked = (0..self.calls.len()).rev().find(|c| self.calls[*c].stage == Stage::Ringing);
        if let Some(call) = asked {
            let app = self.house.hookflash.roster.app(APP).expect("the centre");
            let request = self.request(call, &self.calls[call].offer, None, None);
            if self.stands(call) {
                again += 1;
                let told = acd::ask(&self.house.hookflash.db, &self.house.clock, &app, &request).await.expect("answered");
                let dialled = matches!(&told.action, Some(Action::Dial(d)) if d.offer == self.calls[call].offer);
                if !dialled || told.decision.is_some() {
                    self.fault(10, format!("asked again about {}: {told:?}", self.calls[call].name));
                }
            }
        }
        self.watch("again").await;
        if before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(10, "the same event or question again changed something".into());
        }
        self.met(10, again);
    }

    pub(super) async fn stale(&mut self, n: usize) {
        let Some(call) = self.pick(n, &[Stage::Ringing]) else { return };
        let old = self.calls[call].stale.clone();
        if !self.stands(call) {
            return;
        }
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let request = self.request(call, if old.is_empty() { "0198.nobody" } else { &old }, Some(OfferState::Rejected), None);
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
        // Every other time one ends, so that not everybody is busy in the end.
        let busy = self.own.keys().nth(n / 2 % self.own.len().max(1)).filter(|_| n.is_multiple_of(2)).cloned();
        let agent = busy.unwrap_or_else(|| self.agents[n % self.agents.len()].clone());
        let extension = extension(&agent);
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

    /// The PBX never hears the answer, and asks the same again: it is told the same, and nothing more happens.
    pub(super) async fn lose(&mut self, call: usize) {
        let (digits, outcome) = match self.calls[call].stage {
            Stage::Listening => (Some("1"), None),
            Stage::Waiting => (None, None),
            _ => (None, Some(OfferState::Busy)),
        };
        let request = self.request(call, &self.calls[call].offer, outcome, digits);
        self.ask(call, outcome, digits).await;
        let before = self.look().await;
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let again = acd::ask(&self.house.hookflash.db, &self.house.clock, &app, &request).await.expect("answered");
        self.watch("a lost answer").await;
        if again.action != self.calls[call].told || before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(10, format!("{} is told {:?}, and then {:?}", self.calls[call].name, self.calls[call].told, again.action));
        }
        self.met(10, 1);
    }
}

pub(super) fn extension(agent: &str) -> usize {
    1_000 + agent[1..].parse::<usize>().expect("a number")
}
