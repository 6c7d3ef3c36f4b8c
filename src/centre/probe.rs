//! What the room cannot show is tried on some occasions, which a lot of their own chooses: the same event again, in other words, late; an
//! outcome of an offer that is stale; a choice of status in the middle of a talk. None of it may change anything, and so the day stays the
//! same whether it is tried or not.

use super::day::Day;
use super::people::Stage;
use super::plan::{APP, BEGIN, id_of};
use crate::acd::{self, Position};
use crate::domain::agent::{AgentState, ManualStatus, OfferState};
use crate::domain::agent_choice::Choice;
use crate::domain::id;
use crate::ingest::Accepted;
use crate::pbx::action::Action;
use crate::store::{Conn, Durability, Result, agents, calls, offers, routed, times};

/// A line for each thing that the core holds of a call and of all agents.
type Held = Vec<String>;

fn held(conn: &mut Conn, call: &str) -> Result<Held> {
    // Since when, and by whom, an agent has his status is his own affair.
    let agent = |state| format!("{:?}", AgentState { status_since: BEGIN, status_by: None, ..state });
    let mut held: Held = agents::all(conn, APP)?.into_iter().map(agent).collect();
    held.extend(routed::get(conn, APP, call)?.map(|row| {
        // How far it has come since it was asked about is of the last question alone.
        let at = Position::read(&row.place);
        format!("{:?}", (at.place, at.token, row.queue, row.entry, row.rank_at, row.silent_at, row.waiting, row.ended_at))
    }));
    held.extend(offers::in_hand(conn, APP, call)?.into_iter().map(|offer| format!("{offer:?}")));
    held.extend(routed::entries_of(conn, APP, call)?.into_iter().map(|entry| format!("{entry:?}")));
    held.extend(calls::legs_of(conn, APP, &[call.to_owned()])?.into_iter().map(|leg| format!("{leg:?}")));
    Ok(held)
}

impl Day<'_> {
    /// Whether this is one of the occasions.
    fn probes(&self, what: &str, call: usize) -> bool {
        self.chance.happens(&format!("probe {what}"), call as u64, self.steps, self.plan.probed)
    }

    async fn held(&self, call: usize) -> anyhow::Result<Held> {
        Ok(self.hookflash.db.read(move |conn| held(conn, &id_of(call))).await?)
    }

    /// What is held must be what was held `before` something that changes nothing.
    async fn unchanged(&mut self, invariant: u8, call: usize, at: i64, before: Held, what: &str) -> anyhow::Result<()> {
        let after = self.held(call).await?;
        self.world.checks(invariant, 1);
        if after != before {
            let news: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
            self.world.fault(invariant, at, format!("{what} of call {call} changed something: {news:?}"));
        }
        Ok(())
    }

    /// Invariant 2, in the middle of it: with the answer the others are let go.
    pub(super) async fn one_winner(&mut self, call: usize, at: i64) -> anyhow::Result<()> {
        if !self.probes("winner", call) {
            return Ok(());
        }
        let open = self.hookflash.db.read(move |conn| offers::in_hand(conn, APP, &id_of(call))).await?;
        let open: Vec<_> = open.into_iter().filter(|offer| offer.ended_at.is_none()).collect();
        let winner = self.world.calls[call].answered_by.clone();
        self.world.checks(2, 1);
        if !matches!(open.as_slice(), [one] if one.state() == OfferState::Accepted && Some(&one.agent) == winner.as_ref()) {
            self.world.fault(2, at, format!("call {call} is answered by {winner:?}, and open is {open:?}"));
        }
        Ok(())
    }

    /// Invariant 6: by the room's own clock, nobody who waits stands behind one who came later by more than their priorities are worth.
    pub(super) async fn ranks(&mut self, at: i64) -> anyhow::Result<()> {
        if self.world.waiting.len() < 2 || !self.probes("ranks", 0) {
            return Ok(());
        }
        let (queues, now) = (self.plan.queues.max(1), self.clock.now());
        let read = move |conn: &mut Conn| {
            let mut rows = Vec::new();
            for queue in 0..queues {
                rows.extend(routed::waiting(conn, APP, &format!("q{queue}"), now, 1_000)?);
            }
            Ok(rows)
        };
        let mut rows = self.hookflash.db.read(read).await?;
        rows.sort_by(|a, b| (a.rank_at, &a.call_id).cmp(&(b.rank_at, &b.call_id)));
        let line: Vec<usize> = rows.iter().filter_map(|row| row.pbx_call_id.strip_prefix("call-")?.parse().ok()).collect();
        self.world.checks(6, line.len().saturating_sub(1));
        for pair in line.windows(2).filter(|pair| self.world.rank(pair[0]) > self.world.rank(pair[1])).collect::<Vec<_>>() {
            self.world.fault(6, at, format!("call {} stands before call {}, which has waited for longer", pair[0], pair[1]));
        }
        Ok(())
    }

    /// Invariant 10: the same event again.
    pub(super) async fn again(&mut self, call: usize, at: i64, form: &str) -> anyhow::Result<()> {
        if !self.probes("again", call) {
            return Ok(());
        }
        let before = self.held(call).await?;
        let told = self.hear(form).await?;
        if told != Accepted::Duplicate {
            self.world.fault(10, at, format!("an event of call {call} that is known is {told:?}"));
        }
        self.unchanged(10, call, at, before, "an event that came again").await
    }

    /// Invariant 10: of a call that is over its answer will be told once more.
    pub(super) fn is_over(&mut self, call: usize) {
        if self.world.calls[call].answered.is_some() && self.probes("late", call) {
            self.untold.push(call);
        }
    }

    /// … and now it is, in other words, whatever the agent does by now.
    pub(super) async fn late(&mut self, at: i64) -> anyhow::Result<()> {
        for call in std::mem::take(&mut self.untold) {
            let agent = self.world.calls[call].answered_by.clone().unwrap_or_default();
            let before = self.held(call).await?;
            let form = format!("{}&note=late", self.answered(call, &agent)?);
            let told = self.hear(&form).await?;
            if told != Accepted::Applied {
                self.world.fault(10, at, format!("an answer of call {call} that was told late is {told:?}"));
            }
            self.unchanged(10, call, at, before, "an answer that was told late").await?;
        }
        Ok(())
    }

    /// Invariant 12: a call that nobody has asked about ends, and later it is told that it was answered, by a telephone of nobody.
    pub(super) async fn stranger(&mut self, call: usize, at: i64) -> anyhow::Result<()> {
        if !self.probes("stranger", call) {
            return Ok(());
        }
        let of = format!("call=stranger-{call}&from=%2B79990000000&peer=PJSIP/99999-00000001&offer=none");
        self.hear(&format!("{of}&dialstatus=ANSWER&answeredtime=5")).await?;
        self.hear(&format!("{of}&event=answer")).await?;
        let id = id::call_id(APP, &format!("stranger-{call}"));
        let legs = self.hookflash.db.read(move |conn| calls::legs_of(conn, APP, &[id])).await?;
        self.world.checks(12, 1);
        if !matches!(legs.as_slice(), [one] if one.status == "answered" && one.talk_us == 5_000_000 && one.ended_at.is_some()) {
            self.world.fault(12, at, format!("a call whose end came before its answer is {legs:?}"));
        }
        Ok(())
    }

    /// Invariant 11: while somebody is rung, a refusal of the offer before, or of one that never was.
    pub(super) async fn stale(&mut self, call: usize, at: i64, offer: &str) -> anyhow::Result<()> {
        let rung = &self.world.calls[call];
        if rung.stage != Stage::Ringing || offer == rung.offer || !self.probes("stale", call) {
            return Ok(());
        }
        let before = self.held(call).await?;
        let mut request = self.request(call, Some("REJECTED"));
        request.report.offer = Some(if offer.is_empty() { "0198.nobody" } else { offer }.to_owned());
        let told = acd::ask(&self.hookflash.db, &self.clock, &self.app, &request).await?;
        let rung = &self.world.calls[call];
        if !matches!(&told.action, Some(Action::Dial(dial)) if dial.offer == rung.offer && dial.agents == rung.rung) {
            let what = format!("call {call} rings {:?} and is told {:?}", rung.rung, told.action);
            self.world.fault(11, at, what);
        }
        self.unchanged(11, call, at, before, "the outcome of a stale offer").await
    }

    /// Invariant 16: somebody who talks wants a break, and thinks better of it.
    pub(super) async fn on_a_break(&mut self, call: usize, at: i64, agent: &str) -> anyhow::Result<()> {
        if !self.probes("break", call) {
            return Ok(());
        }
        let before = self.held(call).await?;
        let engaged = |s: &AgentState| (s.ringing, s.talking, s.claim.clone(), s.engaged_since);
        for chosen in [ManualStatus::NotAvailable, ManualStatus::Available] {
            let (app, agent, now) = (self.app.clone(), agent.to_owned(), self.clock.now());
            let change = move |conn: &mut Conn| {
                let Some(mut state) = agents::lock(conn, APP, &agent)? else { return Ok(None) };
                let was = state.clone();
                acd::take(conn, &app, &mut state, Choice { status: chosen, reason: None, is_next: false, by: "supervisor" }, now)?;
                agents::save(conn, APP, app.agent(&agent).and_then(|a| a.line()), &state)?;
                times::record(conn, APP, &state, now, "supervisor")?;
                Ok(Some((was, state)))
            };
            let changed = self.hookflash.db.write(Durability::Process, change).await?;
            if !changed.as_ref().is_some_and(|(was, is)| was.talking > 0 && engaged(was) == engaged(is)) {
                self.world.fault(16, at, format!("{chosen} freed {changed:?} from call {call}"));
            }
        }
        self.unchanged(16, call, at, before, "a break in the middle").await
    }
}
