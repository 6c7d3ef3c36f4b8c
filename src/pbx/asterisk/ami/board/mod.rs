//! What is up at the PBX: every channel with the call that it belongs to, followed event by event.
//!
//! It answers what one event alone does not tell. Which call is it: that of the channel's first `Linkedid`, or, once channels of two calls
//! are bridged (an attended transfer), the older of the two. Whose line is it, who called whom, has it been passed on. Each event that
//! tells of a call of ours leaves as a [`Note`]: the event as it came under lines of our own with those answers.
//!
//! It forgets nothing that it needs when events come late, twice or not at all: a channel that hung up is remembered for a while, and
//! [`Board::compare`] makes it follow a list of what is really up.

mod bridge;
mod compare;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

pub use self::compare::{Believed, Open};
use super::channel::{Channel, State, extension_of_device, number_dialled};
use super::wire::Block;
use super::{CLICK_TO_CALL, note};
use crate::pbx::Context;
use crate::pbx::asterisk::Settings;

/// What the contexts of our dialplan begin with.
const DIALPLAN: &str = "hookflash-";
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
    /// A telephone of the PBX, no line of ours, that calls: its number.
    phone: Option<String>,
    /// The other half of a local channel.
    other: Option<String>,
}

impl Chan {
    fn is_click(id: &str) -> bool {
        id.starts_with(CLICK_TO_CALL)
    }

    /// The one who called from outside, after whom the call is named.
    fn is_caller(&self, id: &str) -> bool {
        self.call == id && self.line.is_none() && !self.is_local && self.phone.is_none() && !self.was_down && !Chan::is_click(id)
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
            chan.was_down = channel.state() == State::Down && chan.line.is_none();
            let comes_in =
                channel.get("Context").is_some_and(|c| c.starts_with(DIALPLAN) || rules.settings.ami_contexts.iter().any(|o| o == c));
            chan.phone = channel.telephone().filter(|_| chan.line.is_none() && !comes_in).map(str::to_owned);
            let call = self.calls.entry(chan.call.clone()).or_default();
            call.ours |= chan.line.is_some() || Chan::is_click(id);
            if chan.is_caller(id) {
                let contexts = &rules.settings.ami_contexts;
                call.ours |= contexts.is_empty() || channel.get("Context").is_some_and(|c| contexts.iter().any(|ours| ours == c));
                call.client = channel.get("CallerIDNum").map(str::to_owned);
            }
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
        let told = chan.line.is_some() || (chan.is_caller(channel.id) && self.is_ours(&chan.call));
        if told { vec![self.note(channel.id, &chan, block)] } else { Vec::new() }
    }

    fn new_state(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        let Some(channel) = Channel::of(block, "") else { return Vec::new() };
        let chan = self.meet(&channel, rules).clone();
        // The channel of a phone that calls is up when the dialplan says so: nobody may have answered.
        let answers = channel.state() == State::Up && (!chan.calls || Chan::is_click(channel.id));
        let news = chan.line.is_some() && (answers || channel.state() == State::Ringing);
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
            known.extend(by.phone.clone().map(|phone| (note::PHONE, phone)));
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
