//! What may happen, how often, and who does it.

use proptest::prelude::*;

use super::*;

/// A step. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub enum Step {
    Arrive(usize),
    /// Time passes, and every PBX whose call is due asks.
    Pass {
        ms: i64,
        turn: usize,
    },
    Answer(usize, usize),
    Refuse(usize, usize),
    HangUp(usize),
    /// The agent's status, now.
    Status(usize, usize),
    /// The last event comes again, and the last question.
    Twice,
    /// An answer of which we hear later, maybe after the hangup.
    AnswerUnheard(usize, usize),
    Hear,
    /// An outcome for an offer that is not the last.
    Stale(usize),
    /// A call beside ours at an agent's phone begins, or ends.
    Own(usize),
    Remove(usize),
    Restart,
    /// Keys at a prompt: right ones, wrong ones, none.
    Press(usize, usize),
    /// The answer to a question is lost on its way: the PBX asks the same again.
    Lost(usize),
    /// A call that has left us is asked about once more.
    After(usize),
    /// The program is killed, with whatever it had not written.
    Kill,
    /// A group is declared no more.
    Dissolve(usize),
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let any = any::<u16>().prop_map(usize::from);
    let two = (any.clone(), any.clone());
    prop_oneof![
        20 => any.clone().prop_map(Step::Arrive),
        24 => (100i64..1_600, any.clone()).prop_map(|(ms, turn)| Step::Pass { ms, turn }),
        14 => two.clone().prop_map(|(a, b)| Step::Answer(a, b)),
        6 => two.clone().prop_map(|(a, b)| Step::Refuse(a, b)),
        13 => any.clone().prop_map(Step::HangUp),
        8 => two.clone().prop_map(|(a, b)| Step::Status(a, b)),
        4 => Just(Step::Twice),
        2 => two.prop_map(|(a, b)| Step::AnswerUnheard(a, b)),
        2 => Just(Step::Hear),
        3 => any.clone().prop_map(Step::Stale),
        3 => any.clone().prop_map(Step::Own),
        1 => any.prop_map(Step::Remove),
        1 => Just(Step::Restart),
    ]
}

/// A step in a centre with every door.
pub fn wide_step() -> impl Strategy<Value = Step> {
    let any = any::<u16>().prop_map(usize::from);
    prop_oneof![
        160 => any_step(),
        14 => (any.clone(), any.clone()).prop_map(|(a, b)| Step::Press(a, b)),
        6 => any.clone().prop_map(Step::Lost),
        4 => any.clone().prop_map(Step::After),
        2 => Just(Step::Kill),
        1 => any.prop_map(Step::Dissolve),
    ]
}

impl History {
    pub(super) async fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Arrive(n) => self.arrive(n).await,
            Step::Pass { ms, turn } => self.pass(ms, turn).await,
            Step::Answer(n, who) => self.answer(n, who, true).await,
            Step::AnswerUnheard(n, who) => self.answer(n, who, false).await,
            Step::Hear => {
                if !self.unheard.is_empty() {
                    let form = self.unheard.remove(0);
                    self.met(12, 1);
                    self.tell(form).await;
                }
            }
            Step::Refuse(n, how) => {
                if let Some(call) = self.pick(n, &[Stage::Ringing, Stage::Outside]) {
                    let how = [OfferState::NoAnswer, OfferState::Busy, OfferState::Rejected, OfferState::Unreachable][how % 4];
                    self.ask(call, Some(how), None).await;
                }
            }
            Step::HangUp(n) => {
                // Every other time one whom an agent has in hand, so that agents come free.
                let in_hand = self.pick(n / 2, &[Stage::Ringing, Stage::Talking]).filter(|_| n.is_multiple_of(2));
                if let Some(call) = in_hand.or_else(|| self.pick(n, &ALIVE)) {
                    self.hang_up(call).await;
                }
            }
            Step::Status(n, status) => self.status(n, status).await,
            Step::Twice => self.twice().await,
            Step::Stale(n) => self.stale(n).await,
            Step::Own(n) => self.own_call(n).await,
            Step::Remove(n) => self.remove(n).await,
            Step::Restart => self.restart().await,
            Step::Press(n, keys) => {
                if let Some(call) = self.pick(n, &[Stage::Listening]) {
                    let keys = ["1", "2", "3", "*", "#", "9", "12", ""][keys % 8];
                    self.ask(call, None, Some(keys)).await;
                }
            }
            Step::Lost(n) => {
                if let Some(call) = self.pick(n, &[Stage::Waiting, Stage::Listening, Stage::Ringing, Stage::Outside]) {
                    self.lose(call).await;
                }
            }
            Step::After(n) => {
                if let Some(call) = self.pick(n, &[Stage::Away]) {
                    self.ask(call, None, None).await;
                }
            }
            Step::Kill => self.kill().await,
            Step::Dissolve(n) => self.dissolve(n).await,
        }
    }
}
