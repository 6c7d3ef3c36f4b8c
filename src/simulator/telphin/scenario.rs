//! The table of section 5.4 as data: each row's events, in order, without any IO.
//!
//! The same row, cast, start and seed give the same events. The rows are played exactly as the page writes them: H, I and J come straight
//! from a public number to the phone, so no IVR speaks in them, and J and L leave a leg without a hangup, as the page does.

use std::time::Duration;

use super::directory::{Directory, Extension};
use super::event::{CallStatus, Event, Scheduled};
use super::leg::{Call, Desk, Ids, Leg};
use crate::domain::time::Timestamp;

/// A row of section 5.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// A: outgoing, answered.
    OutgoingAnswered,
    /// B: outgoing, not answered; the seed chooses BUSY, NOANSWER or CANCEL.
    OutgoingUnanswered,
    /// C: incoming through the IVR, the manager answers.
    ManagerAnswers,
    /// D: the manager does not answer, the next rule leads to the queue.
    ManagerThenQueue,
    /// E: three phones ring at once, one answers.
    ParallelRing,
    /// F: missed in the queue.
    MissedInQueue,
    /// G: the caller hangs up in the greeting.
    HangupInGreeting,
    /// H: blind transfer.
    BlindTransfer,
    /// I: attended transfer.
    AttendedTransfer,
    /// J: forwarded to a mobile.
    Forwarded,
    /// K: click-to-call; the seed chooses whether the dial-out comes before or after the source picks up.
    ClickToCall,
    /// L: website callback into a queue, missed.
    WebsiteCallback,
    /// M: phone to phone.
    Internal,
    /// N: fax, which has no events.
    Fax,
}

impl Row {
    pub const ALL: [Row; 14] = [
        Row::OutgoingAnswered,
        Row::OutgoingUnanswered,
        Row::ManagerAnswers,
        Row::ManagerThenQueue,
        Row::ParallelRing,
        Row::MissedInQueue,
        Row::HangupInGreeting,
        Row::BlindTransfer,
        Row::AttendedTransfer,
        Row::Forwarded,
        Row::ClickToCall,
        Row::WebsiteCallback,
        Row::Internal,
        Row::Fax,
    ];

    /// The row of this letter, `A` to `N`.
    pub fn from_letter(letter: &str) -> Option<Row> {
        Row::ALL.into_iter().find(|row| row.letter().to_string().eq_ignore_ascii_case(letter))
    }

    pub fn letter(self) -> char {
        (b'A' + self as u8) as char
    }
}

/// Who takes part.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The outside party.
    pub client: String,
    /// Where 101 forwards to in row J.
    pub mobile: String,
    /// The public number.
    pub did: String,
    /// 101, 102, 103.
    pub phones: [Extension; 3],
    /// 099.
    pub ivr: Extension,
    /// 200.
    pub queue: Extension,
}

impl Cast {
    /// The cast of the protocol page, from [`Directory::sample`].
    pub fn sample() -> Cast {
        Cast::of(&Directory::sample(), "+79995550101").expect("the sample directory has all parts")
    }

    /// The first three phones, first IVR, first queue and first public number of a directory; `None` when it lacks one.
    pub fn of(directory: &Directory, client: &str) -> Option<Cast> {
        let mut phones = directory.phones().cloned();
        let first = |kind| directory.extensions.iter().find(|e| e.kind == kind).cloned();
        Some(Cast {
            client: client.into(),
            mobile: "+79995550199".into(),
            did: directory.dids.keys().next()?.clone(),
            phones: [phones.next()?, phones.next()?, phones.next()?],
            ivr: first(super::directory::ExtensionType::Ivr)?,
            queue: first(super::directory::ExtensionType::Queue)?,
        })
    }
}

/// The events of one row. `seed` gives the ids and the exact times.
pub fn scenario(row: Row, cast: &Cast, start: Timestamp, seed: u64) -> Vec<Scheduled> {
    let mut ids = Ids::new(seed);
    let [a, b, c] = &cast.phones;
    let call = match row {
        Row::OutgoingAnswered | Row::OutgoingUnanswered | Row::ClickToCall | Row::Internal => ids.call(&a.name(), &a.label, None),
        Row::WebsiteCallback => {
            let mut call = ids.call(&cast.client, &cast.client, None);
            call.callback_id = Some(ids.hex(16));
            call
        }
        _ => ids.call(&cast.client, &cast.client, Some(&cast.did)),
    };
    let mut s = Script { call, ids, start, at: Duration::ZERO, out: Vec::new() };
    let ivr = Desk { extension: cast.ivr.clone(), entered: start };
    match row {
        Row::OutgoingAnswered => {
            let mut leg = s.dial_out(a, &cast.client);
            s.later(6_000).answer(&mut leg);
            s.later(48_000).hangup(&leg, CallStatus::Answer);
        }
        Row::OutgoingUnanswered => {
            let leg = s.dial_out(a, &cast.client);
            let how = [CallStatus::Busy, CallStatus::NoAnswer, CallStatus::Cancel][(seed % 3) as usize];
            s.later(20_000).hangup(&leg, how);
        }
        Row::ManagerAnswers => {
            s.desk_dial_in(&ivr);
            let mut leg = s.later(400).ring(a, Some(&cast.ivr));
            s.later(5_000).answer(&mut leg);
            s.later(60_000).hangup(&leg, CallStatus::Answer);
            s.later(100).desk_hangup(&ivr, true);
        }
        Row::ManagerThenQueue => {
            let first = s.ring(a, Some(&cast.ivr));
            s.later(15_000).hangup(&first, CallStatus::NoAnswer);
            let queue = s.later(300).enter(&cast.queue);
            s.desk_dial_in(&queue);
            let mut leg = s.later(200).ring(b, Some(&cast.queue));
            s.later(4_000).answer(&mut leg);
            s.later(50_000).hangup(&leg, CallStatus::Answer);
            s.later(100).desk_hangup(&queue, true);
            s.later(100).desk_hangup(&ivr, true);
        }
        Row::ParallelRing => {
            let queue = s.enter(&cast.queue);
            let l1 = s.ring(a, Some(&cast.queue));
            let mut l2 = s.later(10).ring(b, Some(&cast.queue));
            let l3 = s.later(10).ring(c, Some(&cast.queue));
            s.later(4_000).answer(&mut l2);
            s.later(20).hangup(&l1, CallStatus::Cancel);
            s.later(10).hangup(&l3, CallStatus::Cancel);
            s.later(40_000).hangup(&l2, CallStatus::Answer);
            s.later(100).desk_hangup(&queue, true);
            s.later(100).desk_hangup(&ivr, true);
        }
        Row::MissedInQueue => {
            let queue = s.enter(&cast.queue);
            let l1 = s.ring(a, Some(&cast.queue));
            s.later(15_000).hangup(&l1, CallStatus::NoAnswer);
            let l2 = s.later(1_000).ring(a, Some(&cast.queue));
            s.later(9_000).hangup(&l2, CallStatus::Cancel);
            s.later(50).desk_hangup(&ivr, false);
            s.later(600).desk_hangup(&queue, false);
        }
        Row::HangupInGreeting => {
            s.later(7_000).desk_hangup(&ivr, false);
        }
        Row::BlindTransfer => {
            let mut l1 = s.ring(a, None);
            s.later(4_000).answer(&mut l1);
            s.later(25_000).hangup(&l1, CallStatus::Answer);
            let mut l2 = s.later(100).ring_for(b, a, &cast.client);
            s.later(5_000).answer(&mut l2);
            s.later(35_000).hangup(&l2, CallStatus::Answer);
        }
        Row::AttendedTransfer => {
            let mut l1 = s.ring(a, None);
            s.later(4_000).answer(&mut l1);
            let mut l3 = s.later(20_000).dial_out(a, &b.name());
            let mut l2 = s.later(50).ring_for(b, a, &cast.client);
            s.later(3_000).answer(&mut l3);
            s.later(5).answer(&mut l2);
            s.later(8_000).hangup(&l3, CallStatus::Answer);
            s.later(20).hangup(&l1, CallStatus::Answer);
            s.later(35_000).hangup(&l2, CallStatus::Answer);
        }
        Row::Forwarded => {
            s.ring(a, None);
            let mut l2 = s.later(500).forward(a, &cast.mobile);
            s.later(7_000).answer(&mut l2);
            s.later(30_000).hangup(&l2, CallStatus::Answer);
        }
        Row::ClickToCall => {
            let ring = if seed.is_multiple_of(2) { 0 } else { 3_000 };
            let mut leg = s.later(ring).dial_out(a, &cast.client);
            s.later(9_000).answer(&mut leg);
            s.later(45_000).hangup(&leg, CallStatus::Answer);
        }
        Row::WebsiteCallback => {
            let mut leg = s.dial_out(a, &cast.client);
            s.later(5_000).answer(&mut leg);
            let queue = s.later(200).enter(&cast.queue);
            s.later(30_000).desk_hangup(&queue, false);
        }
        Row::Internal => {
            let mut l1 = s.dial_out(a, &b.name());
            let mut l2 = s.later(30).ring(b, Some(a));
            s.later(3_000).answer(&mut l2);
            s.later(5).answer(&mut l1);
            s.later(20_000).hangup(&l1, CallStatus::Answer);
            s.later(10).hangup(&l2, CallStatus::Answer);
        }
        Row::Fax => {}
    }
    s.out
}

/// Writes the events down while the call's time goes on.
struct Script {
    call: Call,
    ids: Ids,
    start: Timestamp,
    at: Duration,
    out: Vec<Scheduled>,
}

impl Script {
    /// Moves on by `ms` and up to a fifth more, by the seed: no two calls take the same time.
    fn later(&mut self, ms: u64) -> &mut Script {
        let extra = self.ids.below(ms * 200);
        self.at += Duration::from_micros(ms * 1_000 + extra);
        self
    }

    fn now(&self) -> Timestamp {
        self.start.plus(self.at)
    }

    fn push(&mut self, event: Event, optional: bool) {
        self.out.push(Scheduled { at: self.at, event, optional });
    }

    fn dialled(&mut self, leg: Leg) -> Leg {
        self.push(leg.dial(&self.call), false);
        leg
    }

    fn ring(&mut self, phone: &Extension, passed_by: Option<&Extension>) -> Leg {
        let now = self.now();
        let leg = Leg::incoming(&mut self.ids, &self.call, phone, passed_by, now);
        self.dialled(leg)
    }

    fn ring_for(&mut self, phone: &Extension, by: &Extension, remote: &str) -> Leg {
        let now = self.now();
        let leg = Leg::incoming(&mut self.ids, &self.call, phone, None, now).handed_over(by, remote);
        self.dialled(leg)
    }

    fn dial_out(&mut self, phone: &Extension, called: &str) -> Leg {
        let now = self.now();
        let leg = Leg::outgoing(&mut self.ids, phone, called, now);
        self.dialled(leg)
    }

    fn forward(&mut self, phone: &Extension, called: &str) -> Leg {
        let now = self.now();
        let leg = Leg::outgoing(&mut self.ids, phone, called, now);
        self.dialled(Leg { transfered: true, ..leg })
    }

    fn answer(&mut self, leg: &mut Leg) {
        let event = leg.answer(&self.call, self.now());
        self.push(event, false);
    }

    fn hangup(&mut self, leg: &Leg, status: CallStatus) {
        self.push(leg.hangup(&self.call, self.now(), status), false);
    }

    fn enter(&mut self, desk: &Extension) -> Desk {
        Desk { extension: desk.clone(), entered: self.now() }
    }

    fn desk_dial_in(&mut self, desk: &Desk) {
        self.push(desk.dial_in(&self.call), true);
    }

    fn desk_hangup(&mut self, desk: &Desk, bridged: bool) {
        self.push(desk.hangup(&self.call, self.now(), bridged), false);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const T0: Timestamp = Timestamp(1_767_000_000_000_000);

    /// `101 dial-in L1` for phones, `099 hangup no` for the others; legs are numbered as they appear.
    fn story(row: Row, seed: u64) -> Vec<String> {
        let mut legs = BTreeMap::new();
        scenario(row, &Cast::sample(), T0, seed)
            .iter()
            .map(|s| {
                let e = &s.event;
                let mut line = format!("{} {}", e.extension.number, e.kind.as_str());
                if let Some(id) = e.get("SubCallID") {
                    let next = legs.len() + 1;
                    line += &format!(" L{}", legs.entry(id.to_owned()).or_insert(next));
                }
                if e.kind == super::super::event::EventType::Hangup && e.get("Bridged").is_none() {
                    line += &format!(" {}", e.get("CallStatus").unwrap());
                }
                line += e.get("Bridged").map(|b| format!(" {b}")).unwrap_or_default().as_str();
                line += e.get("RemoteNumber").map(|r| format!(" +{r}")).unwrap_or_default().as_str();
                line += if e.get("Transfered").is_some() { " transfered" } else { "" };
                line += if e.get("CallBackID").is_some() { " callback" } else { "" };
                line += if s.optional { " (optional)" } else { "" };
                line
            })
            .collect()
    }

    #[rstest::rstest]
    #[case(Row::OutgoingAnswered, "101 dial-out L1|101 answer L1|101 hangup L1 ANSWER")]
    #[case(Row::OutgoingUnanswered, "101 dial-out L1|101 hangup L1 NOANSWER")]
    #[case(Row::ManagerAnswers, "099 dial-in (optional)|101 dial-in L1|101 answer L1|101 hangup L1 ANSWER|099 hangup yes")]
    #[case(
        Row::ManagerThenQueue,
        "101 dial-in L1|101 hangup L1 NOANSWER|200 dial-in (optional)|102 dial-in L2|102 answer L2|102 hangup L2 ANSWER|200 hangup yes|099 hangup yes"
    )]
    #[case(
        Row::ParallelRing,
        "101 dial-in L1|102 dial-in L2|103 dial-in L3|102 answer L2|101 hangup L1 CANCEL|103 hangup L3 CANCEL|102 hangup L2 ANSWER|200 hangup yes|099 hangup yes"
    )]
    #[case(Row::MissedInQueue, "101 dial-in L1|101 hangup L1 NOANSWER|101 dial-in L2|101 hangup L2 CANCEL|099 hangup no|200 hangup no")]
    #[case(Row::HangupInGreeting, "099 hangup no")]
    #[case(
        Row::BlindTransfer,
        "101 dial-in L1|101 answer L1|101 hangup L1 ANSWER|102 dial-in L2 ++79995550101|102 answer L2|102 hangup L2 ANSWER"
    )]
    #[case(
        Row::AttendedTransfer,
        "101 dial-in L1|101 answer L1|101 dial-out L2|102 dial-in L3 ++79995550101|101 answer L2|102 answer L3|101 hangup L2 ANSWER|101 hangup L1 ANSWER|102 hangup L3 ANSWER"
    )]
    #[case(Row::Forwarded, "101 dial-in L1|101 dial-out L2 transfered|101 answer L2 transfered|101 hangup L2 ANSWER transfered")]
    #[case(Row::ClickToCall, "101 dial-out L1|101 answer L1|101 hangup L1 ANSWER")]
    #[case(Row::WebsiteCallback, "101 dial-out L1 callback|101 answer L1 callback|200 hangup no callback")]
    #[case(Row::Internal, "101 dial-out L1|102 dial-in L2|102 answer L2|101 answer L1|101 hangup L1 ANSWER|102 hangup L2 ANSWER")]
    #[case(Row::Fax, "")]
    fn plays_the_row_of_the_page(#[case] row: Row, #[case] expected: &str) {
        assert_eq!(story(row, 1).join("|"), expected);
    }

    #[test]
    fn every_row_is_one_call_in_rising_time_with_16_digit_times() {
        for row in Row::ALL {
            for seed in 0..20 {
                let events = scenario(row, &Cast::sample(), T0, seed);
                assert!(events.windows(2).all(|w| w[0].at <= w[1].at && w[0].event.get("CallID") == w[1].event.get("CallID")), "{row:?}");
                for s in &events {
                    assert_eq!(s.event.get("EventTime").map(str::len), Some(16), "{row:?}");
                    assert_eq!(s.event.time, T0.plus(s.at), "{row:?}");
                }
            }
        }
    }

    #[test]
    fn the_queue_follows_the_ivr_within_a_second_in_a_missed_call() {
        for seed in 0..50 {
            let events = scenario(Row::MissedInQueue, &Cast::sample(), T0, seed);
            let [.., ivr, queue] = &events[..] else { panic!("too short") };
            assert!(queue.event.time.since(ivr.event.time) <= 1_000_000);
        }
    }

    #[test]
    fn the_seed_decides_everything() {
        let of = |seed| scenario(Row::ManagerAnswers, &Cast::sample(), T0, seed);
        assert_eq!(of(5), of(5));
        assert_ne!(of(5)[0].event.get("CallID"), of(6)[0].event.get("CallID"));
        let endings: std::collections::BTreeSet<_> = (0..3).map(|s| story(Row::OutgoingUnanswered, s).join("|")).collect();
        assert_eq!(endings.len(), 3);
    }

    #[test]
    fn letters_name_the_rows() {
        assert_eq!(Row::from_letter("f"), Some(Row::MissedInQueue));
        assert_eq!(Row::Fax.letter(), 'N');
        assert_eq!(Row::from_letter("O"), None);
    }
}
