//! Following a list: what the board believes when a connection begins, and what the PBX says is up.

use std::collections::HashSet;

use super::{Board, Chan, Note, Rules};
use crate::domain::time::Timestamp;
use crate::pbx::asterisk::ami::channel::Channel;
use crate::pbx::asterisk::ami::{Block, note};

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
        for open in open {
            self.calls.entry(open.call.clone()).or_default().ours = true;
        }
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
            // A phone that was rung for a click, and has been picked up, dials or has dialled.
            chan.dials |= Chan::is_click(channel.id) && (talks || channel.get("Application") == Some("Dial"));
            if let Some(bridge) = channel.get("BridgeId") {
                chan.bridge = Some(bridge.to_owned());
            }
            let chan = chan.clone();
            if let Some(bridge) = chan.bridge.clone() {
                self.bridges.entry(bridge).or_default().insert(channel.id.to_owned());
            }
            let caller = chan.is_caller(channel.id);
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
            self.calls.remove(&open.call);
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
