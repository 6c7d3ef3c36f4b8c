//! The way of a call through the PBX: from the number it came in by, through IVR rules and queues, to the phones.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use super::directory::{Extension, ExtensionType, Queue, Rule};
use super::engine::{RING, RingEnd, Ringing, Run, Waited};
use super::interactive::{Verb, ask};
use super::leg::{Desk, Leg};

/// A call goes round in an IVR at most so often.
const JUMPS: usize = 20;
/// A sound whose length nobody says, milliseconds.
const SOUND_MS: u64 = 3_000;

/// What became of a call at the number that was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialled {
    /// A phone took it, and the talk is over.
    Taken,
    /// The next rule is due.
    NotTaken,
    /// The call has ended.
    Gone,
}

impl Run {
    /// The call comes in at this extension.
    pub async fn enter(&mut self, number: &str) {
        self.dial(number, None).await;
    }

    /// Dials an extension of any kind. A number that is none (an outside one, too) is not taken.
    pub fn dial<'a>(&'a mut self, number: &'a str, from: Option<&'a Extension>) -> Pin<Box<dyn Future<Output = Dialled> + Send + 'a>> {
        Box::pin(async move {
            let Some(extension) = self.pbx.state().directory.by_number(number).cloned() else { return Dialled::NotTaken };
            match extension.kind {
                ExtensionType::Phone => {
                    let leg = self.incoming_leg(&extension, from);
                    let end = self.ring(vec![leg], RING, Ringing::Called).await;
                    self.after_ring(end).await
                }
                ExtensionType::Ivr => self.ivr(&extension).await,
                ExtensionType::Queue => self.queue(&extension).await,
                ExtensionType::Fax => Dialled::NotTaken,
            }
        })
    }

    async fn after_ring(&mut self, end: RingEnd) -> Dialled {
        match end {
            RingEnd::Answered(leg) => {
                self.converse(*leg).await;
                Dialled::Taken
            }
            RingEnd::Nobody => Dialled::NotTaken,
            RingEnd::Gone => Dialled::Gone,
        }
    }

    async fn arrive(&mut self, extension: &Extension) {
        let desk = Desk { extension: extension.clone(), entered: self.now() };
        self.emit(desk.dial_in(&self.call)).await;
        self.desks.push(desk);
    }

    async fn ivr(&mut self, ivr: &Extension) -> Dialled {
        self.arrive(ivr).await;
        let Some(rules) = self.pbx.state().directory.ivrs.get(&ivr.number).cloned() else { return Dialled::NotTaken };
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        let mut place = (rules.entry_context, "start".to_owned());
        let (mut step, mut jumps) = (0, 0);
        while let Some(placed) = rules.rules.get(&place).and_then(|r| r.get(step)) {
            step += 1;
            let to = match &placed.rule {
                Rule::CallInteractive { url, method } => {
                    let caller = self.pbx.state().directory.by_number(&self.call.from).cloned();
                    let asked = ask(&self.pbx, &self.call, ivr, caller.as_ref(), url, *method).await;
                    self.at += Duration::from_micros(asked.took_us);
                    let verb = asked.verb.clone();
                    self.report.asked.push(asked);
                    if let Some(Verb::Jump { context, option }) = verb {
                        jumps += 1;
                        if jumps > JUMPS {
                            return Dialled::NotTaken;
                        }
                        (place, step) = ((context, option), 0);
                    } else if let Some(verb) = verb
                        && self.obey(verb, &mut variables).await == Waited::Gone
                    {
                        return Dialled::Gone;
                    }
                    None
                }
                Rule::TransferFromVariable { variable } => variables.get(variable).filter(|v| !v.is_empty()).cloned(),
                Rule::Transfer { to } => Some(to.clone()),
                Rule::PlaySound { ms } => {
                    if self.wait_ms(*ms).await == Waited::Gone {
                        return Dialled::Gone;
                    }
                    None
                }
                Rule::SetVariable { name, value } => {
                    variables.insert(name.clone(), value.clone());
                    None
                }
                Rule::Jump { context, option } => {
                    jumps += 1;
                    if jumps > JUMPS {
                        return Dialled::NotTaken;
                    }
                    (place, step) = ((*context, option.clone()), 0);
                    None
                }
                Rule::Other(_) => None,
                Rule::Hangup => return Dialled::Gone,
            };
            if let Some(to) = to {
                match self.dial(&to, Some(ivr)).await {
                    Dialled::NotTaken => {}
                    ended => return ended,
                }
            }
        }
        Dialled::NotTaken
    }

    /// Does what the integration said; a hangup is a caller gone.
    async fn obey(&mut self, verb: Verb, variables: &mut BTreeMap<String, String>) -> Waited {
        match verb {
            Verb::SetVar { name, value } => drop(variables.insert(name, value)),
            Verb::Hangup => return Waited::Gone,
            Verb::Pause { seconds } => return self.wait_ms(seconds.saturating_mul(1_000)).await,
            Verb::SetCaller { name, number } => (self.call.from_name, self.call.from) = (name, number),
            Verb::PlaySound { digitvar, .. } => {
                if let Some(variable) = digitvar {
                    variables.insert(variable, self.digits.clone());
                }
                return self.wait_ms(SOUND_MS).await;
            }
            // Changes the place in the IVR, which is the caller's.
            Verb::Jump { .. } => {}
        }
        Waited::Reached
    }

    async fn queue(&mut self, extension: &Extension) -> Dialled {
        self.arrive(extension).await;
        let Some(queue) = self.pbx.state().directory.queues.get(&extension.number).cloned() else { return Dialled::NotTaken };
        let deadline = self.at + Duration::from_millis(queue.max_wait_ms);
        let mut turn = 0;
        while self.at < deadline {
            let chosen = self.choose(&queue, &mut turn);
            let mut legs: Vec<Leg> = chosen.iter().map(|phone| self.incoming_leg(phone, Some(extension))).collect();
            // A phone that another call took meanwhile is left out: a queue rings free phones only.
            legs.retain(|leg| self.claim(leg));
            if !legs.is_empty() {
                let limit = Duration::from_millis(queue.ring_ms).min(deadline - self.at);
                let end = self.ring(legs, limit, Ringing::Called).await;
                match self.after_ring(end).await {
                    Dialled::NotTaken => {}
                    ended => return ended,
                }
            }
            // A second between the rounds, also when all phones are occupied.
            if self.wait((self.at + Duration::from_secs(1)).min(deadline)).await == Waited::Gone {
                return Dialled::Gone;
            }
        }
        Dialled::NotTaken
    }

    /// The free phones to ring in this round: all of them, or the next one in turn.
    fn choose(&self, queue: &Queue, turn: &mut usize) -> Vec<Extension> {
        let state = self.pbx.state();
        let free =
            |number: &String| state.directory.by_number(number).filter(|e| !state.is_occupied(e.id) && state.takes_queue_calls(e)).cloned();
        if queue.ring_all {
            return queue.phones.iter().filter_map(free).collect();
        }
        for _ in 0..queue.phones.len() {
            let number = &queue.phones[*turn % queue.phones.len()];
            *turn += 1;
            if let Some(phone) = free(number) {
                return vec![phone];
            }
        }
        Vec::new()
    }
}
