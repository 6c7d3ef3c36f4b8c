//! Who talks with whom, and who is handed over: what makes channels of two calls one, and moves a leg from the one into the other.

use std::collections::BTreeSet;

use super::{Board, CLICK_TO_CALL, Chan, Note, Rules};
use crate::pbx::asterisk::ami::Block;
use crate::pbx::asterisk::ami::channel::Channel;

impl Board {
    pub(super) fn enters(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
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

    pub(super) fn leaves(&mut self, id: &str) {
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

    pub(super) fn halves(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
        if let (Some(one), Some(two)) = (Channel::of(block, "LocalOne"), Channel::of(block, "LocalTwo")) {
            self.meet(&one, rules).other = Some(two.id.to_owned());
            self.meet(&two, rules).other = Some(one.id.to_owned());
        }
        Vec::new()
    }

    pub(super) fn passed_on(&mut self, block: &Block, prefix: &'static str, rules: &Rules<'_>) -> Vec<Note> {
        if let (Some(channel), Some("Success")) = (Channel::of(block, prefix), block.get("Result")) {
            self.meet(&channel, rules).passed_on = true;
        }
        Vec::new()
    }

    /// Somebody takes a call that rings at another's phone: that one rings no more, whatever becomes of its channel.
    pub(super) fn picked_up(&mut self, block: &Block, rules: &Rules<'_>) -> Vec<Note> {
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
}

/// Ids begin with the second in which the channel was made, then count up; before it may stand the PBX's name. The ids that a click-to-call
/// gives to its channel begin with the millisecond, in hexadecimal.
fn age(call: &str) -> (u64, u64, String) {
    let begun = |digits: &str| u64::from_str_radix(digits, 16).ok().map(|ms| ms / 1_000);
    if let Some(seconds) = call.strip_prefix(CLICK_TO_CALL).and_then(|id| begun(id.replace('-', "").get(..12)?)) {
        return (seconds, 0, call.to_owned());
    }
    let mut numbers = call.rsplit('-').next().unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap_or(u64::MAX), numbers.next().unwrap_or(u64::MAX), call.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_ordered_by_when_they_began_whoever_named_them() {
        // 1,795,546,690,000 ms.
        let click = format!("{CLICK_TO_CALL}{}", "01a20eec-31d0-7000-8000-000000000000");
        let mut calls = vec!["1795546691.1", click.as_str(), "pbx-1795546689.12", "1795546689.3"];
        calls.sort_by_key(|call| age(call));
        assert_eq!(calls, ["1795546689.3", "pbx-1795546689.12", click.as_str(), "1795546691.1"]);
    }
}
