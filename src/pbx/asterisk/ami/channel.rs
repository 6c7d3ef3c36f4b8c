//! A channel as an event shows it, and whose line it is on.

use super::wire::Block;
use crate::domain::spec::ExtensionType;
use crate::pbx::Context;
use crate::pbx::asterisk::Settings;

/// What an event says of one channel. Its keys may have a prefix (`DestUniqueid`).
#[derive(Clone, Copy, Debug)]
pub struct Channel<'b> {
    pub block: &'b Block,
    prefix: &'static str,
    pub id: &'b str,
}

impl<'b> Channel<'b> {
    pub fn of(block: &'b Block, prefix: &'static str) -> Option<Channel<'b>> {
        let mut channel = Channel { block, prefix, id: "" };
        channel.id = channel.get("Uniqueid")?;
        Some(channel)
    }

    pub fn get(&self, key: &str) -> Option<&'b str> {
        if self.prefix.is_empty() { self.block.get(key) } else { self.block.get(&format!("{}{key}", self.prefix)) }
    }

    pub fn name(&self) -> &'b str {
        self.get("Channel").unwrap_or_default()
    }

    pub fn linked(&self) -> &'b str {
        self.get("Linkedid").unwrap_or(self.id)
    }

    pub fn state(&self) -> State {
        match self.get("ChannelState").and_then(|s| s.parse::<u8>().ok()) {
            Some(0..=2) => State::Down,
            Some(3 | 4) => State::Calling,
            Some(5) => State::Ringing,
            Some(6) => State::Up,
            _ => State::Other,
        }
    }

    /// One half of what Asterisk calls a local channel: no telephone is at it.
    pub fn is_local(&self) -> bool {
        self.name().get(..6).is_some_and(|tech| tech.eq_ignore_ascii_case("Local/"))
    }

    /// The number of a telephone of the PBX that calls: it goes by the name of its device, as no line from outside does.
    pub fn telephone(&self) -> Option<&'b str> {
        let (_, name) = endpoint(self.name()).split_once('/')?;
        let is_short = (1..=10).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit());
        (is_short && !self.is_local() && self.get("CallerIDNum") == Some(name)).then_some(name)
    }

    /// The line of ours that the channel's name says it is on.
    pub fn line(&self, settings: &Settings, context: &Context<'_>) -> Option<String> {
        if self.is_local() {
            return None;
        }
        let endpoint = endpoint(self.name());
        let (before, after) = settings.device.split_once("{extension}")?;
        let by_device = endpoint.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let by_name = endpoint.split_once('/').map(|(_, name)| name.split('@').next().unwrap_or_default());
        let is_ours = |line: &&str| (context.is_agents)(line) || (context.extension_type)(line) == Some(ExtensionType::Phone);
        by_device.into_iter().chain(by_name).find(is_ours).map(str::to_owned)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Down,
    /// It calls: its phone hears the ring.
    Calling,
    /// It is being called: its phone rings.
    Ringing,
    Up,
    Other,
}

/// `PJSIP/101` of `PJSIP/101-0000002a`.
pub fn endpoint(channel: &str) -> &str {
    match channel.rsplit_once('-') {
        Some((endpoint, unique)) if unique.len() == 8 && unique.bytes().all(|b| b.is_ascii_hexdigit()) => endpoint,
        _ => channel,
    }
}

/// The extension whose device this is.
pub fn extension_of_device(device: &str, settings: &Settings) -> Option<String> {
    let (before, after) = settings.device.split_once("{extension}")?;
    let extension = device.strip_prefix(before)?.strip_suffix(after)?;
    (!extension.is_empty()).then(|| extension.to_owned())
}

/// The agents' own number that a dial string leads to over the line to the outside.
pub fn number_dialled(dialled: &str, settings: &Settings, context: &Context<'_>) -> Option<String> {
    let (before, after) = settings.outside_device.split_once("{number}")?;
    // Dial leaves the technology out, a queue does not.
    let bare = before.split_once('/').map_or(before, |(_, rest)| rest);
    let number = dialled.strip_prefix(before).or_else(|| dialled.strip_prefix(bare))?.strip_suffix(after)?;
    (context.is_agents)(number).then(|| number.to_owned())
}
