//! The lines of our own that stand above an event in the journal: what the event alone does not tell.

use super::wire::Block;

/// What their names begin with. The PBX's own lines have none such.
const OURS: &str = "Hookflash-";

pub const CALL: &str = "Hookflash-Call";
/// The line of ours that the channel is on, and that the dialled one is on.
pub const LINE: &str = "Hookflash-Line";
pub const DEST_LINE: &str = "Hookflash-Dest-Line";
/// The channel is the caller's from outside.
pub const CALLER: &str = "Hookflash-Caller";
/// The channel was rung for a click-to-call.
pub const CLICK: &str = "Hookflash-Click";
/// The channel calls; else it is called.
pub const CALLS: &str = "Hookflash-Calls";
pub const DIALS: &str = "Hookflash-Dials";
pub const TALKED: &str = "Hookflash-Talked";
pub const PASSED_ON: &str = "Hookflash-Passed-On";
/// The outside party of the call, as the PBX writes it.
pub const CLIENT: &str = "Hookflash-Client";
/// The telephone of the PBX, no line of ours, from which the channel that dials calls.
pub const PHONE: &str = "Hookflash-Phone";
/// When we saw it, microseconds: of events of our own, which are told apart by it.
pub const SEEN: &str = "Hookflash-Seen";

pub fn annotated(known: &[(&'static str, String)], block: &Block) -> Block {
    let mut note = Block::default();
    for (name, value) in known {
        note = note.with(name, value);
    }
    let is_ours = |key: &str| key.get(..OURS.len()).is_some_and(|k| k.eq_ignore_ascii_case(OURS));
    for (key, value) in block.lines().iter().filter(|(key, _)| !is_ours(key) && key != "Privilege") {
        note = note.with(key, value);
    }
    note
}
