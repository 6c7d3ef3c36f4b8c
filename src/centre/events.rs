//! What the PBX tells of: answers and hang-ups.

use super::day::{Day, What};
use super::plan::{caller, number};
use crate::ingest::queue::FORM;
use crate::ingest::{self, Accepted};
use crate::pbx::{HookKind, Raw};

impl Day<'_> {
    pub(super) async fn answer(&mut self, call: usize, at: i64, agent: &str) -> anyhow::Result<()> {
        self.world.answers(call, agent, at);
        self.world.calls[call].step += 1;
        let form = self.answered(call, agent)?;
        self.tell(call, at, &form).await?;
        self.one_winner(call, at).await?;
        self.on_a_break(call, at, agent).await?;
        let talk = self.chance.exponential_us("talk", call as u64, 0, self.plan.talk_s);
        self.plan_at(at + talk, What::HangUp(call));
        Ok(())
    }

    /// The event of an answer.
    pub(super) fn answered(&self, call: usize, agent: &str) -> anyhow::Result<String> {
        let extension = self.app.agent(agent).and_then(|a| a.extension.clone()).unwrap_or_default();
        let record = &self.world.calls[call];
        let fields = [
            ("event", "answer"),
            ("call", &format!("call-{call}")),
            ("from", &caller(call)),
            ("to", &number(record.queue)),
            ("offer", &record.offer),
            ("peer", &format!("PJSIP/{extension}-00000001")),
        ];
        Ok(serde_urlencoded::to_string(fields)?)
    }

    pub(super) async fn hang_up(&mut self, call: usize, at: i64, status: &str) -> anyhow::Result<()> {
        self.world.ends(call, at);
        let record = &self.world.calls[call];
        let talk_s = record.answered.map_or(0.0, |since| (at - since) as f64 / 1e6);
        // The handler tells of the last dialling; where none was going on, it is over and told already.
        let offer = if status == "CANCEL" && record.rung.is_empty() { "" } else { record.offer.as_str() };
        let (name, from, to, queue) = (format!("call-{call}"), caller(call), number(record.queue), format!("q{}", record.queue));
        let talk = format!("{talk_s:.6}");
        let fields = [
            ("call", name.as_str()),
            ("from", &from),
            ("to", &to),
            ("place", &queue),
            ("offer", offer),
            ("dialstatus", status),
            ("answeredtime", &talk),
        ];
        let form = serde_urlencoded::to_string(fields)?;
        self.is_over(call);
        self.tell(call, at, &form).await
    }

    async fn tell(&mut self, call: usize, at: i64, form: &str) -> anyhow::Result<()> {
        let times = 1 + usize::from(self.chance.happens("told twice", call as u64, self.steps, self.plan.chaos.twice));
        for _ in 0..times {
            self.hear(form).await?;
            self.report.told += 1;
        }
        self.again(call, at, form).await
    }

    /// An event reaches the core.
    pub(super) async fn hear(&self, form: &str) -> anyhow::Result<Accepted> {
        let raw = Raw { hook: "event", query: "", content_type: FORM, body: form.as_bytes() };
        Ok(ingest::accept(&self.hookflash.db, &self.app, raw, HookKind::Event, &self.clock).await?.accepted)
    }
}
