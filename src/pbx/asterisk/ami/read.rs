//! A note of the board as `CallEvent`s: from the note alone, so that whoever reads the journal again reads the same.
//!
//! A leg is a channel on a line of ours, its key the channel's unique id. What tells the same of it twice, in whatever order, ends in the
//! same facts: `DialEnd` may come twice for one leg, with two statuses; a phone that rang out hangs up with cause 0, and the dialling says
//! why; one that declines says it by its cause alone. A caller whom the dialplan itself answered has not been taken by anybody: only a
//! bridge says that. A channel rung for a click-to-call is two legs: its phone that rings (`…/source`), and the call that it then places.

use super::wire::Block;
use super::{HOOK, note};
use crate::domain::event::{CallEvent, Direction, EndStatus, LegEnd, LegEvent, Phase, PlaceEnd, Ranked, Source, What};
use crate::domain::id;
use crate::domain::phone::Party;
use crate::domain::time::Timestamp;
use crate::pbx::{Context, Raw, Reading, Unreadable};

pub fn events(raw: Raw<'_>, context: &Context<'_>) -> Result<Reading, Unreadable> {
    let block = Block::parse(raw.body);
    let call = block.get(note::CALL).ok_or_else(|| Unreadable("the note names no call".into()))?.to_owned();
    let seen = block.get(note::SEEN).and_then(|us| us.parse().ok()).map(Timestamp).filter(|t| *t <= Timestamp::MAX);
    let at = block.get("Timestamp").and_then(timestamp);
    let note = Noted { block: &block, context, call, at };
    let events = note.events(seen);
    let own_at = at.or(seen).map_or(0, Timestamp::micros);
    Ok(Reading { at: own_at, digest: id::digest(&[HOOK.as_bytes(), raw.body]), events, agent: None })
}

/// `1795546689.389050`, with or without the fraction.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || !plain(seconds) || !plain(fraction) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6.6}").parse().ok()?;
    let at = Timestamp(seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?);
    (at.0 > 0 && at <= Timestamp::MAX).then_some(at)
}

struct Noted<'a> {
    block: &'a Block,
    context: &'a Context<'a>,
    call: String,
    at: Option<Timestamp>,
}

/// One leg as this note shows it.
struct Told {
    key: String,
    line: String,
    direction: Ranked<Direction>,
    number: Option<Ranked<Party>>,
}

impl Noted<'_> {
    fn events(&self, seen: Option<Timestamp>) -> Vec<CallEvent> {
        match self.block.event() {
            "Newchannel" => self.begins(None),
            "CoreShowChannel" => self.is_there(seen),
            "Newstate" => self.state(),
            "DialBegin" => self.dial(|_| Phase::Begin, |_| vec![Phase::Begin]),
            "DialEnd" => self.dial(
                |status| if status == Some("ANSWER") { Phase::Answer } else { ended(status.and_then(dial_status)) },
                |status| match status.and_then(dial_status) {
                    Some(EndStatus::Answered) => vec![Phase::Answer, Phase::Outcome(EndStatus::Answered)],
                    Some(status) => vec![Phase::Outcome(status)],
                    None => Vec::new(),
                },
            ),
            "HangupRequest" => self.legs(false, |_| ended(self.cause())),
            "BridgeEnter" if self.is(note::CALLER) => vec![self.told(What::Taken)],
            "BridgeEnter" => self.talks(),
            "Hangup" | "Gone" => self.ends(),
            "QueueCallerJoin" => vec![self.told(What::Touched)],
            "QueueCallerAbandon" => vec![self.lost(self.block.get("Queue").unwrap_or_default(), true)],
            "OriginateResponse" => self.legs(false, |_| ended(self.reason())),
            "PickedUp" => self.legs(true, |_| ended(Some(EndStatus::Cancelled))),
            "Moved" if self.is(note::CALLER) => vec![self.told(What::Taken), self.told(What::Over)],
            "Moved" => self.legs(true, |_| ended(None)),
            "Joined" => self.joins(),
            "Over" if self.is(note::CALLER) => vec![self.lost("", false), self.told(What::Over)],
            "Over" => vec![self.told(What::Over)],
            _ => Vec::new(),
        }
    }

    fn is(&self, flag: &str) -> bool {
        self.block.get(flag) == Some("yes")
    }

    fn told(&self, what: What) -> CallEvent {
        // The caller's own channel says who he is, and for what number he came.
        let caller = self.is(note::CALLER);
        let client = if caller { self.block.get("CallerIDNum").and_then(|n| self.party(n)) } else { None };
        let arrives = caller && self.block.event() == "Newchannel";
        let did =
            if arrives { self.block.get("Exten").and_then(|e| self.context.numbering.read(e).external().map(str::to_owned)) } else { None };
        CallEvent { source: Source::Events, call: self.call.clone(), at: self.at, client: client.map(|c| Ranked::new(2, c)), did, what }
    }

    fn lost(&self, place: &str, queue: bool) -> CallEvent {
        self.told(What::PlaceEnd(PlaceEnd { place: place.to_owned(), queue, begun: None, bridged: Some(false) }))
    }

    fn leg(&self, told: &Told, phase: Phase) -> CallEvent {
        let client = told.number.as_ref().filter(|n| matches!(n.value, Party::External(_)));
        CallEvent {
            client: client.map(|n| Ranked::new(1, n.value.clone())),
            ..self.told(What::Leg(LegEvent {
                key: told.key.clone(),
                sub_call_id: Some(told.key.clone()),
                phase,
                direction: told.direction,
                extension: Some(Ranked::new(1, told.line.clone())),
                number: told.number.clone(),
                transferred: self.is(note::PASSED_ON),
                on_behalf: false,
                via_place: false,
                exact: true,
            }))
        }
    }

    /// A number as the PBX writes it; `None` when it says nothing.
    fn party(&self, text: &str) -> Option<Party> {
        Some(self.context.numbering.read(text)).filter(|p| *p != Party::Unknown)
    }

    /// What a phone has dialled: short numbers and services are the PBX's own.
    fn dialled(&self, text: &str) -> Option<Party> {
        let inside = text.starts_with(['*', '#']) || (text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()));
        self.party(text).or_else(|| inside.then(|| Party::Internal(text.to_owned())))
    }

    /// The phone that a click-to-call has rung, and is told of as a leg for itself.
    fn source(&self, id: &str, line: &str) -> Told {
        Told {
            key: format!("{id}/source"),
            line: line.to_owned(),
            direction: Ranked::new(3, Direction::In),
            number: Some(Ranked::new(4, Party::Internal(line.to_owned()))),
        }
    }

    /// The event's channel as a leg, if it is on a line of ours.
    fn own(&self) -> Option<(&str, &str)> {
        Some((self.block.get("Uniqueid")?, self.block.get(note::LINE)?))
    }

    /// The leg, or the two of a click-to-call of which the second has begun.
    fn legs(&self, may_dial: bool, phase: impl Fn(&Told) -> Phase) -> Vec<CallEvent> {
        let Some((id, line)) = self.own() else { return Vec::new() };
        let mut legs = Vec::new();
        if self.is(note::CLICK) {
            legs.push(self.source(id, line));
        }
        if !self.is(note::CLICK) || (may_dial && self.is(note::DIALS)) {
            legs.push(self.plain(id, line));
        }
        legs.iter().map(|told| self.leg(told, phase(told))).collect()
    }

    fn plain(&self, id: &str, line: &str) -> Told {
        let direction = if self.is(note::CALLS) { Direction::Out } else { Direction::In };
        // Later the other end may be somebody else: what is told at the beginning holds.
        let number = self.block.get("ConnectedLineNum").and_then(|n| self.party(n)).map(|n| Ranked::new(0, n));
        Told { key: id.to_owned(), line: line.to_owned(), direction: Ranked::new(1, direction), number }
    }

    fn begins(&self, begun: Option<Timestamp>) -> Vec<CallEvent> {
        if self.is(note::CALLER) {
            return vec![self.told(What::Touched)];
        }
        let Some((id, line)) = self.own() else { return Vec::new() };
        let mut told = if self.is(note::CLICK) { self.source(id, line) } else { self.plain(id, line) };
        let calls = self.block.get("ChannelState") == Some("4");
        if !self.is(note::CLICK) && (calls || self.is(note::CALLS)) {
            // A phone that calls is seen at its beginning; later it may be anywhere in the dialplan.
            let (rank, surely) = if calls { (2, 3) } else { (1, 1) };
            told.direction = Ranked::new(rank, Direction::Out);
            told.number = self.block.get("Exten").and_then(|e| self.dialled(e)).map(|n| Ranked::new(surely, n)).or(told.number);
        }
        let event = self.leg(&told, Phase::Begin);
        vec![CallEvent { at: begun.or(event.at), ..event }]
    }

    /// It was up when we looked: since when, the PBX knows to the second; since when it talks, it does not say.
    fn is_there(&self, seen: Option<Timestamp>) -> Vec<CallEvent> {
        let since = seen.zip(self.block.get("Duration").and_then(duration_s)).map(|(seen, s)| seen.plus_s(-s));
        let mut events = self.begins(since);
        if self.block.get("BridgeId").is_some() {
            events.extend(if self.is(note::CALLER) { vec![self.told(What::Taken)] } else { self.talks() });
        }
        if self.is(note::CLICK) && self.is(note::DIALS) {
            let number = self.block.get("Exten").and_then(|e| self.dialled(e)).map(|n| Ranked::new(1, n));
            events.extend(self.own().map(|(id, line)| {
                let told = self.plain(id, line);
                let direction = Ranked::new(1, Direction::Out);
                self.leg(&Told { direction, number: number.or(told.number), ..told }, Phase::Begin)
            }));
        }
        events
    }

    fn state(&self) -> Vec<CallEvent> {
        match self.block.get("ChannelState") {
            Some("5") => self.legs(false, |_| Phase::Begin),
            Some("6") if self.is(note::CLICK) || !self.is(note::CALLS) => self.legs(false, |_| Phase::Answer),
            _ => Vec::new(),
        }
    }

    fn talks(&self) -> Vec<CallEvent> {
        let Some((id, line)) = self.own() else { return Vec::new() };
        let told = if self.is(note::CLICK) && !self.is(note::DIALS) { self.source(id, line) } else { self.plain(id, line) };
        vec![self.leg(&told, Phase::Answer)]
    }

    /// Both ends of a dialling: what becomes of the leg that is called, and of the one that calls.
    fn dial(&self, called: impl Fn(Option<&str>) -> Phase, calling: impl Fn(Option<&str>) -> Vec<Phase>) -> Vec<CallEvent> {
        let status = self.block.get("DialStatus");
        let (caller, mut events) = (self.block.get("Uniqueid"), Vec::new());
        let by = self.block.get(note::LINE);
        if let (Some(id), Some(line)) = (self.block.get("DestUniqueid"), self.block.get(note::DEST_LINE)) {
            let told = if self.is(note::CLICK) {
                self.source(id, line)
            } else {
                let inside = by.or(self.block.get(note::PHONE)).map(|line| Ranked::new(4, Party::Internal(line.to_owned())));
                let from = self.block.get("CallerIDNum").and_then(|n| self.party(n)).map(|n| Ranked::new(3, n));
                let shown = self.block.get("DestConnectedLineNum").and_then(|n| self.party(n)).map(|n| Ranked::new(2, n));
                // Without one who calls, somebody else's request has it rung: it may yet turn out to be the one who calls.
                let rank = if caller.is_some() { 3 } else { 2 };
                Told {
                    key: id.to_owned(),
                    line: line.to_owned(),
                    direction: Ranked::new(rank, Direction::In),
                    number: inside.or(from).or(shown),
                }
            };
            events.push(self.leg(&told, called(status)));
        }
        if let (Some(id), Some(line)) = (caller, by) {
            let exten = self.block.get("Exten").and_then(|n| self.dialled(n)).map(|n| Ranked::new(2, n));
            let string = || self.block.get("DialString").and_then(|d| self.party(d.rsplit('/').next()?)).map(|n| Ranked::new(1, n));
            let number = exten.or_else(string);
            let told = Told { key: id.to_owned(), line: line.to_owned(), direction: Ranked::new(3, Direction::Out), number };
            events.extend(calling(status).into_iter().map(|phase| self.leg(&told, phase)));
        }
        events
    }

    fn ends(&self) -> Vec<CallEvent> {
        if self.is(note::CALLER) {
            return vec![self.lost("", false)];
        }
        let up = self.block.get("ChannelState") == Some("6");
        self.legs(true, |told| {
            ended(match (up, told.direction.value) {
                // The phone was answered, whatever is said of why it hung up.
                (true, Direction::In) => Some(EndStatus::Answered),
                (true, Direction::Out) => None,
                (false, _) => self.cause(),
            })
        })
    }

    /// A leg that has come from another call: it talks on in this one.
    fn joins(&self) -> Vec<CallEvent> {
        let Some((id, line)) = self.own() else { return Vec::new() };
        let number = self.block.get(note::CLIENT).and_then(|n| self.party(n)).map(|n| Ranked::new(4, n));
        let told = Told { number, ..self.plain(id, line) };
        let mut phases = vec![Phase::Begin];
        if self.is(note::TALKED) {
            phases.push(Phase::Answer);
        }
        phases.into_iter().map(|phase| self.leg(&told, phase)).collect()
    }

    /// What a cause of Q.850 says of a leg that was not answered.
    fn cause(&self) -> Option<EndStatus> {
        Some(match self.block.get("Cause")?.parse::<u32>().ok()? {
            17 => EndStatus::Busy,
            18 | 19 => EndStatus::NoAnswer,
            21 => EndStatus::Rejected,
            26 => EndStatus::Cancelled,
            1..=3 | 20 | 27 | 38 | 42 => EndStatus::Unreachable,
            _ => return None,
        })
    }

    /// Why a phone could not be rung by itself.
    fn reason(&self) -> Option<EndStatus> {
        Some(match self.block.get("Reason")? {
            "5" => EndStatus::Busy,
            "1" | "3" => EndStatus::NoAnswer,
            _ => EndStatus::Unreachable,
        })
    }
}

fn ended(status: Option<EndStatus>) -> Phase {
    Phase::End(LegEnd { status, ..LegEnd::default() })
}

fn dial_status(status: &str) -> Option<EndStatus> {
    Some(match status {
        "ANSWER" => EndStatus::Answered,
        "NOANSWER" => EndStatus::NoAnswer,
        "CANCEL" => EndStatus::Cancelled,
        "BUSY" => EndStatus::Busy,
        "CONGESTION" | "CHANUNAVAIL" => EndStatus::Unreachable,
        "DONTCALL" | "TORTURE" => EndStatus::Rejected,
        _ => return None,
    })
}

/// `00:01:05`.
fn duration_s(text: &str) -> Option<i64> {
    text.split(':').try_fold(0i64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse::<u32>().ok()?.into()))
}
