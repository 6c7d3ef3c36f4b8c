//! What is up at the PBX: every channel with the call that it belongs to, followed event by event.
//!
//! It answers what one event alone does not tell. Which call is it: that of the channel's first `Linkedid`, or, once channels of two calls
//! are bridged (an attended transfer), the older of the two. Whose line is it, who called whom, has it been passed on. Each event that
//! tells of a call of ours leaves as a [`Note`]: the event as it came under lines of our own with those answers.
//!
//! It forgets nothing that it needs when events come late, twice or not at all: a channel that hung up is remembered for a while, and
//! [`Board::compare`] makes it follow a list of what is really up.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::channel::{Channel, State, extension_of_device, number_dialled};
use super::wire::Block;
use super::{CLICK_TO_CALL, note};
use crate::domain::time::Timestamp;
use crate::pbx::Context;
use crate::pbx::asterisk::Settings;

/// So many channels that hung up are remembered.
const REMEMBERED: usize = 4_096;

/// What the board judges by.
pub struct Rules<'a> {
    pub settings: &'a Settings,
    pub context: &'a Context<'a>,
}

/// What goes into the journal: about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The PBX's id of the call.
    pub call: String,
    pub block: Block,
}

#[derive(Clone, Debug, Default)]
struct Chan {
    call: String,
    /// The line of ours that it is on.
    line: Option<String>,
    /// It calls; else it is called.
    calls: bool,
    /// It began by being called: by somebody else's request, if nobody dialled it.
    was_down: bool,
    /// It has begun to dial.
    dials: bool,
    /// It has talked with somebody.
    talked: bool,
    /// Whom it dials was handed over.
    passed_on: bool,
    /// The next that it dials is one to whom the phone that rang has passed it on.
    forwards: bool,
    bridge: Option<String>,
    is_local: bool,
    /// The other half of a local channel.
    other: Option<String>,
}

impl Chan {
    fn is_click(id: &str) -> bool {
        id.starts_with(CLICK_TO_CALL)
    }

    /// The one who called from outside, after whom the call is named.
    fn is_caller(&self, id: &str) -> bool {
        self.call == id && self.line.is_none() && !self.is_local && !self.was_down && !Chan::is_click(id)
    }
}

#[derive(Clone, Debug, Default)]
struct Call {
    /// Told of: a line of ours is in it, or it came in where ours come in.
    ours: bool,
    /// The outside party, as the PBX writes it.
    client: Option<String>,
}

#[derive(Debug, Default)]
pub struct Board {
    up: HashMap<String, Chan>,
    calls: HashMap<String, Call>,
    bridges: HashMap<String, BTreeSet<String>>,
    hung_up: HashMap<String, Chan>,
    order: VecDeque<String>,
}

/// A leg that we believe is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    /// The channel.
    pub id: String,
    pub call: String,
    pub line: String,
    pub calls: bool,
    pub answered: bool,
}

/// A call that we believe is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The PBX's id of it.
    pub call: String,
    /// It came from outside, and nobody has taken it.
    pub waits: bool,
}

impl Board {
    /// The channels that are up.
    pub fn ids(&self) -> HashSet<String> {
        self.up.keys().cloned().collect()
    }

    pub fn is_up(&self, id: &str) -> bool {
        self.up.contains_key(id)
    }

    /// Looks at one event; gives what the journal has to know of it.
    pub fn look(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        match block.event() {
            "Newchannel" => self.new_channel(block, rules),
            "Newstate" => self.new_state(block, rules),
            "DialBegin" => self.dial_begin(block, rules),
            "DialEnd" => self.dial_end(block, rules),
            "HangupRequest" => self.asked_to_hang_up(block, rules),
            "BridgeEnter" => self.enters(block, rules),
            "BridgeLeave" => {
                if let Some(channel) = Channel::of(block, "") {
                    self.leaves(channel.id);
                }
                Vec::new()
            }
            "BridgeDestroy" => {
                if let Some(bridge) = block.get("BridgeUniqueid") {
                    self.bridges.remove(bridge);
                }
                Vec::new()
            }
            "LocalBridge" => self.halves(block, rules),
            "BlindTransfer" => self.passed_on(block, "Transferee", rules),
            "Pickup" => self.picked_up(block, rules),
            "Hangup" => self.hang_up(block, rules),
            "QueueCallerJoin" | "QueueCallerAbandon" => self.in_queue(block, rules),
            "OriginateResponse" => originated(block, rules),
            _ => Vec::new(),
        }
    }

    /// The channel, met for the first time or again.
    fn meet(&mut self, channel: &Channel<'_>, rules: &Rules<'_>) -> &mut Chan {
        let id = channel.id;
        // What is told of a channel that hung up does not bring it back.
        if self.hung_up.contains_key(id) {
            return self.hung_up.entry(id.to_owned()).or_default();
        }
        let fresh = !self.up.contains_key(id);
        let chan = self.up.entry(id.to_owned()).or_default();
        if fresh {
            *chan = Chan {
                call: channel.linked().to_owned(),
                line: channel.line(rules.settings, rules.context),
                is_local: channel.is_local(),
                calls: channel.state() == State::Calling,
                ..Chan::default()
            };
            let call = self.calls.entry(chan.call.clone()).or_default();
            call.ours |= chan.line.is_some() || Chan::is_click(id);
        }
        chan
    }

    fn see(&self, id: &str) -> Option<&Chan> {
        self.up.get(id).or_else(|| self.hung_up.get(id))
    }

    fn is_ours(&self, call: &str) -> bool {
        self.calls.get(call).is_some_and(|c| c.ours)
    }

    fn new_channel(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(channel) = Channel::of(block, "") else { return Vec::new() };
        let chan = self.meet(&channel, rules);
        match channel.state() {
            State::Calling => chan.calls = true,
            State::Down if chan.line.is_none() => chan.was_down = true,
            _ => {}
        }
        let chan = chan.clone();
        if chan.is_caller(channel.id) {
            let call = self.calls.entry(chan.call.clone()).or_default();
            let contexts = &rules.settings.ami_contexts;
            call.ours |= contexts.is_empty() || channel.get("Context").is_some_and(|c| contexts.iter().any(|ours| ours == c));
            call.client = channel.get("CallerIDNum").map(str::to_owned);
            return if call.ours { vec![self.note(channel.id, &chan, block)] } else { Vec::new() };
        }
        if chan.line.is_some() {
            return vec![self.note(channel.id, &chan, block)];
        }
        Vec::new()
    }

    fn new_state(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(channel) = Channel::of(block, "") else { return Vec::new() };
        let chan = self.meet(&channel, rules).clone();
        let news = matches!(channel.state(), State::Ringing | State::Up) && chan.line.is_some();
        if news { vec![self.note(channel.id, &chan, block)] } else { Vec::new() }
    }

    fn dial_begin(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(called) = Channel::of(block, "Dest") else { return Vec::new() };
        let calling = Channel::of(block, "");
        let mut passed_on = false;
        let mut dials = false;
        if let Some(calling) = &calling {
            let chan = self.meet(calling, rules);
            chan.dials = true;
            chan.calls |= chan.line.is_some();
            (passed_on, dials) = (chan.passed_on || std::mem::take(&mut chan.forwards), chan.line.is_some());
        }
        let number = block.get("DialString").and_then(|dialled| number_dialled(dialled, rules.settings, rules.context));
        let chan = self.meet(&called, rules);
        chan.line = chan.line.take().or(number);
        chan.passed_on |= passed_on;
        let chan = chan.clone();
        // Whom the other half of a local channel dials is dialled by this one.
        if let Some(other) = chan.other.as_ref().and_then(|other| self.up.get_mut(other)) {
            other.passed_on |= chan.passed_on;
        }
        if chan.line.is_none() && !dials {
            return Vec::new();
        }
        self.calls.entry(chan.call.clone()).or_default().ours = true;
        vec![self.note_of_dial(&called, &chan, calling.as_ref(), block)]
    }

    fn dial_end(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(called) = Channel::of(block, "Dest") else { return Vec::new() };
        let calling = Channel::of(block, "");
        let status = block.get("DialStatus");
        let mut dials = false;
        if let Some(calling) = &calling {
            let chan = self.meet(calling, rules);
            chan.talked |= status == Some("ANSWER");
            chan.forwards |= block.get("Forward").is_some();
            dials = chan.line.is_some();
        }
        let chan = self.meet(&called, rules).clone();
        if chan.line.is_none() && !dials {
            return Vec::new();
        }
        vec![self.note_of_dial(&called, &chan, calling.as_ref(), block)]
    }

    /// The cause for which a phone does not take a call is told here before the dialling says how it ended.
    fn asked_to_hang_up(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(channel) = Channel::of(block, "") else { return Vec::new() };
        let chan = self.meet(&channel, rules).clone();
        let tells = channel.state() != State::Up && chan.line.is_some() && !chan.calls && block.get("Cause").is_some();
        if tells { vec![self.note(channel.id, &chan, block)] } else { Vec::new() }
    }

    fn enters(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let (Some(channel), Some(bridge)) = (Channel::of(block, ""), block.get("BridgeUniqueid")) else { return Vec::new() };
        // Where people are parked or listen to music they do not talk with each other.
        if block.get("BridgeTechnology") == Some("holding_bridge") {
            return Vec::new();
        }
        let chan = self.meet(&channel, rules);
        chan.talked = true;
        chan.bridge = Some(bridge.to_owned());
        let chan = chan.clone();
        let told = chan.line.is_some() || (chan.is_caller(channel.id) && self.is_ours(&chan.call));
        let mut notes = if told { vec![self.note(channel.id, &chan, block)] } else { Vec::new() };
        if self.up.contains_key(channel.id) {
            let inside = self.bridges.entry(bridge.to_owned()).or_default();
            // The one in whose place it comes.
            if let Some(swapped) = block.get("SwapUniqueid") {
                inside.remove(swapped);
            }
            inside.insert(channel.id.to_owned());
            notes.extend(self.become_one(bridge, block));
        }
        notes
    }

    fn leaves(&mut self, id: &str) {
        if let Some(bridge) = self.up.get_mut(id).and_then(|chan| chan.bridge.take())
            && let Some(inside) = self.bridges.get_mut(&bridge)
        {
            inside.remove(id);
        }
    }

    /// Whoever talk with each other are in one call: the older one.
    fn become_one(&mut self, bridge: &str, block: &Block) -> Vec<Note> {
        let inside: Vec<String> = self.bridges.get(bridge).into_iter().flatten().cloned().collect();
        let calls: BTreeSet<&str> = inside.iter().filter_map(|id| self.up.get(id)).map(|chan| chan.call.as_str()).collect();
        let Some(oldest) = calls.iter().min_by_key(|call| age(call)).map(|call| (*call).to_owned()) else { return Vec::new() };
        if calls.len() < 2 {
            return Vec::new();
        }
        let mut notes = Vec::new();
        for id in inside {
            let Some(chan) = self.up.get(&id).filter(|chan| chan.call != oldest).cloned() else { continue };
            let ours = self.is_ours(&chan.call);
            let moved = Chan { call: oldest.clone(), passed_on: true, ..chan.clone() };
            self.calls.entry(oldest.clone()).or_default().ours |= ours;
            self.up.insert(id.clone(), moved.clone());
            // In this order: nobody is free between the one call and the other.
            if moved.line.is_some() {
                notes.push(Note { call: oldest.clone(), block: self.own("Joined", &id, &moved, block) });
            }
            if chan.line.is_some() || (chan.is_caller(&id) && ours) {
                notes.push(Note { call: chan.call.clone(), block: self.own("Moved", &id, &chan, block) });
            }
        }
        notes
    }

    fn halves(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        if let (Some(one), Some(two)) = (Channel::of(block, "LocalOne"), Channel::of(block, "LocalTwo")) {
            self.meet(&one, rules).other = Some(two.id.to_owned());
            self.meet(&two, rules).other = Some(one.id.to_owned());
        }
        Vec::new()
    }

    fn passed_on(&mut self, block: &Block, prefix: &'static str, rules: &Rules<'_>) -> Vec<Note> {
        if let (Some(channel), Some("Success")) = (Channel::of(block, prefix), block.get("Result")) {
            self.meet(&channel, rules).passed_on = true;
        }
        Vec::new()
    }

    /// Somebody takes a call that rings at another's phone: that one rings no more, whatever becomes of its channel.
    fn picked_up(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let (Some(taker), Some(target)) = (Channel::of(block, ""), Channel::of(block, "Target")) else { return Vec::new() };
        let by = self.meet(&taker, rules).clone();
        let at = self.meet(&target, rules).clone();
        let mut notes = Vec::new();
        if at.line.is_some() {
            notes.push(Note { call: at.call.clone(), block: self.own("PickedUp", target.id, &at, block) });
        }
        // From here on the taker is in that call.
        if by.line.is_some() && by.call != at.call {
            let moved = Chan { call: at.call.clone(), calls: false, talked: true, ..by.clone() };
            notes.push(Note { call: at.call.clone(), block: self.own("Joined", taker.id, &moved, block) });
            notes.push(Note { call: by.call.clone(), block: self.own("Moved", taker.id, &by, block) });
            if let Some(chan) = self.up.get_mut(taker.id) {
                *chan = moved;
            }
        }
        notes
    }

    fn hang_up(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(channel) = Channel::of(block, "") else { return Vec::new() };
        let chan = self.meet(&channel, rules).clone();
        let told = chan.line.is_some() || (chan.is_caller(channel.id) && self.is_ours(&chan.call));
        let notes = if told { vec![self.note(channel.id, &chan, block)] } else { Vec::new() };
        self.forget(channel.id);
        notes
    }

    fn forget(&mut self, id: &str) {
        self.leaves(id);
        let Some(chan) = self.up.remove(id) else { return };
        // A call's last channel takes what is known of the call with it, after a while.
        self.hung_up.insert(id.to_owned(), chan);
        self.order.push_back(id.to_owned());
        if self.order.len() <= REMEMBERED {
            return;
        }
        if let Some(gone) = self.order.pop_front().and_then(|oldest| self.hung_up.remove(&oldest)) {
            let lives = self.up.values().any(|c| c.call == gone.call);
            if !lives {
                self.calls.remove(&gone.call);
            }
        }
    }

    fn in_queue(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(channel) = Channel::of(block, "") else { return Vec::new() };
        let chan = self.meet(&channel, rules).clone();
        let told = chan.is_caller(channel.id) && self.is_ours(&chan.call);
        if told { vec![self.note(channel.id, &chan, block)] } else { Vec::new() }
    }

    /// The event with what the board knows of its channel.
    fn note(&self, id: &str, chan: &Chan, block: &Block) -> Note {
        Note { call: chan.call.clone(), block: note::annotated(&self.known(id, chan), block) }
    }

    fn note_of_dial(&self, called: &Channel<'_>, chan: &Chan, calling: Option<&Channel<'_>>, block: &Block) -> Note {
        let mut known = vec![(note::CALL, chan.call.clone())];
        known.extend(chan.line.clone().map(|line| (note::DEST_LINE, line)));
        if chan.passed_on {
            known.push((note::PASSED_ON, "yes".into()));
        }
        // What a click had rung is called by nobody.
        if Chan::is_click(called.id) {
            known.push((note::CLICK, "yes".into()));
        }
        if let Some(calling) = calling
            && let Some(by) = self.see(calling.id).filter(|by| by.call == chan.call)
        {
            known.extend(by.line.clone().map(|line| (note::LINE, line)));
        }
        Note { call: chan.call.clone(), block: note::annotated(&known, block) }
    }

    fn known(&self, id: &str, chan: &Chan) -> Vec<(&'static str, String)> {
        let mut known = vec![(note::CALL, chan.call.clone())];
        let mut flag = |name, is: bool| {
            if is {
                known.push((name, "yes".to_owned()));
            }
        };
        flag(note::CALLER, chan.is_caller(id));
        flag(note::CLICK, Chan::is_click(id));
        flag(note::CALLS, chan.calls);
        flag(note::DIALS, chan.dials);
        flag(note::TALKED, chan.talked);
        flag(note::PASSED_ON, chan.passed_on);
        known.extend(chan.line.clone().map(|line| (note::LINE, line)));
        known
    }

    /// An event of our own about a channel, with the one that brought it about.
    fn own(&self, event: &str, id: &str, chan: &Chan, cause: &Block) -> Block {
        let mut known = self.known(id, chan);
        if let Some(client) = self.calls.get(&chan.call).and_then(|call| call.client.clone()) {
            known.push((note::CLIENT, client));
        }
        let mut block = Block::default().with("Event", event).with("Uniqueid", id);
        for key in ["Timestamp", "Event"] {
            if let Some(value) = cause.get(key) {
                block = block.with(if key == "Event" { "Because" } else { key }, value);
            }
        }
        note::annotated(&known, &block)
    }

    /// Takes what we believed when nothing was known of the PBX: legs by their channels' names.
    pub fn believe(&mut self, legs: &[Believed]) {
        for leg in legs {
            let chan = Chan {
                call: leg.call.clone(),
                line: Some(leg.line.clone()),
                calls: leg.calls,
                talked: leg.answered,
                dials: leg.calls,
                ..Chan::default()
            };
            self.up.insert(leg.id.clone(), chan);
            self.calls.entry(leg.call.clone()).or_default().ours = true;
        }
    }

    /// Makes the board follow `listed`, all channels that the PBX says are up. Of those that the board has, only `before` can be missing:
    /// the others came later. `open`: calls that we believe are not over.
    pub fn compare(&mut self, listed: &[Block], before: &HashSet<String>, open: &[Open], rules: &Rules<'_>, now: Timestamp) -> Vec<Note> {
        let seen = Block::default().with(note::SEEN, &now.0.to_string());
        let mut notes = Vec::new();
        let channels: Vec<Channel<'_>> = listed.iter().filter_map(|block| Channel::of(block, "")).collect();
        let ids: HashSet<&str> = channels.iter().map(|c| c.id).collect();
        let mut missing: Vec<String> =
            before.iter().filter(|id| !ids.contains(id.as_str()) && self.up.contains_key(*id)).cloned().collect();
        missing.sort_unstable();
        for id in missing {
            let Some(chan) = self.up.get(&id).cloned() else { continue };
            if chan.line.is_some() || (chan.is_caller(&id) && self.is_ours(&chan.call)) {
                notes.push(Note { call: chan.call.clone(), block: self.own("Gone", &id, &chan, &Block::default()) });
            }
            self.forget(&id);
        }
        for channel in channels {
            if self.hung_up.contains_key(channel.id) {
                continue;
            }
            let known = self.up.get(channel.id).cloned();
            let talks = channel.get("BridgeId").is_some();
            let chan = self.meet(&channel, rules);
            if known.is_none() {
                // Who is called runs what calls him; who calls runs the dialplan.
                chan.calls = chan.line.is_some() && !called_by_dial(channel.get("Application"));
            }
            chan.talked |= talks;
            if let Some(bridge) = channel.get("BridgeId") {
                chan.bridge = Some(bridge.to_owned());
            }
            let chan = chan.clone();
            if let Some(bridge) = chan.bridge.clone() {
                self.bridges.entry(bridge).or_default().insert(channel.id.to_owned());
            }
            let caller = chan.is_caller(channel.id);
            if caller && known.is_none() {
                let contexts = &rules.settings.ami_contexts;
                let call = self.calls.entry(chan.call.clone()).or_default();
                call.ours |= contexts.is_empty() || channel.get("Context").is_some_and(|c| contexts.iter().any(|ours| ours == c));
                call.client = channel.get("CallerIDNum").map(str::to_owned);
            }
            let news = known.as_ref().is_none_or(|k| talks && !k.talked);
            if news && (chan.line.is_some() || (caller && self.is_ours(&chan.call))) {
                notes.push(self.note(channel.id, &chan, channel.block));
            }
        }
        let up: HashSet<&str> = self.up.values().map(|chan| chan.call.as_str()).collect();
        for open in open.iter().filter(|open| !up.contains(open.call.as_str())) {
            // Who has called and was taken by nobody is a caller who was lost.
            let chan = Chan { call: open.call.clone(), was_down: !open.waits, ..Chan::default() };
            notes.push(Note { call: open.call.clone(), block: self.own("Over", &open.call, &chan, &Block::default()) });
        }
        for note in &mut notes {
            note.block = seen.clone().and(&note.block);
        }
        notes
    }
}

fn called_by_dial(application: Option<&str>) -> bool {
    matches!(application, Some("AppDial" | "AppDial2" | "AppQueue"))
}

/// Ids begin with the second in which the channel was made, then count up; before it may stand the PBX's name.
fn age(call: &str) -> (u64, u64, String) {
    let mut numbers = call.rsplit('-').next().unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap_or(u64::MAX), numbers.next().unwrap_or(u64::MAX), call.to_owned())
}

/// Where no channel could be made for a click-to-call, only this tells of it.
fn originated(block: &Block, rules: &Rules<'_>) -> Vec<Note> {
    let call = [block.get("ActionID"), block.get("Uniqueid")].into_iter().flatten().find(|id| Chan::is_click(id));
    let (Some(call), Some("Failure")) = (call, block.get("Response")) else { return Vec::new() };
    let named = block.clone().with("Uniqueid", call);
    let Some(line) = Channel::of(&named, "").and_then(|channel| channel.line(rules.settings, rules.context)) else { return Vec::new() };
    let known = [(note::CALL, call.to_owned()), (note::CLICK, "yes".to_owned()), (note::LINE, line)];
    vec![Note { call: call.to_owned(), block: note::annotated(&known, &named) }]
}

/// A device as the PBX reports it: whose it is, and whether it can be reached; `None` there: the PBX does not know.
pub fn device(block: &Block, rules: &Rules<'_>) -> Option<(String, Option<bool>)> {
    let extension = extension_of_device(block.get("Device")?, rules.settings)?;
    let reached = match block.raw("State")? {
        "UNAVAILABLE" | "INVALID" => Some(false),
        "NOT_INUSE" | "INUSE" | "BUSY" | "RINGING" | "RINGINUSE" | "ONHOLD" => Some(true),
        _ => None,
    };
    Some((extension, reached))
}
