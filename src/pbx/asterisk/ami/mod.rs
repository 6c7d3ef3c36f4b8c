//! AMI, the manager's interface of Asterisk: what goes over its wire, as data and pure functions (protocol page, section 3).
//!
//! [`wire`] cuts bytes into blocks of `Key: value` lines. [`action`] is what we ask, and cannot be made to ask anything else. [`board`] looks
//! at every event in the order in which it comes and says which of them tell of calls of ours, and of which call: a channel's `Linkedid`
//! may change, its call does not. What it lets through is journalled as it came under a line of its own; [`read`] turns such a note into
//! `CallEvent`s, from the note alone, so that a replay reads the same.

pub mod action;
pub mod board;
mod channel;
pub mod click;
pub mod note;
pub mod read;
pub mod wire;

#[cfg(test)]
mod tests;

pub use action::Action;
pub use click::Click;
pub use wire::{Block, Splitter};

/// Under this name the journal keeps what AMI told; no PBX has a hook of that name.
pub const HOOK: &str = "ami";

/// What the unique id of an agent's channel begins with that we had rung for a click-to-call; the callback's id follows.
pub const CLICK_TO_CALL: &str = "hookflash-";
