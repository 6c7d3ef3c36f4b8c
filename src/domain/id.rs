//! Identifiers. Calls and legs have ids derived from what the PBX calls them, so that a replay gives the same ids and no second index is
//! needed to find a call by the PBX's name; everything else has a time-ordered UUID.

use sha2::{Digest, Sha256};
use uuid::{ContextV7, Timestamp as UuidTime, Uuid};

use super::time::Timestamp;

/// Our id of a call: 32 hex digits derived from the application and the PBX's call id, which is compared without regard to case
/// (Telphin writes it in lower case in events and in upper case in its history).
pub fn call_id(application: i64, pbx_call_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(application.to_be_bytes());
    hash.update(pbx_call_id.trim().to_lowercase().as_bytes());
    hex(&hash.finalize()[..16])
}

/// What is stored of a PBX's name of a call, a leg or a place: its beginning. Names are compared whole.
pub fn spelling(name: &str) -> &str {
    const MOST_CHARACTERS: usize = 255;
    name.char_indices().nth(MOST_CHARACTERS).map_or(name, |(end, _)| &name[..end])
}

/// The name of a leg inside its call: 16 hex digits derived from the PBX's leg id.
pub fn leg_key(pbx_leg: &str) -> String {
    hex(&Sha256::digest(pbx_leg.as_bytes())[..8])
}

/// The name of a call's missed-call row inside its call.
pub const MISSED: &str = "missed";

/// The id of a leg as the REST API shows it.
pub fn leg_id(call: &str, leg: &str) -> String {
    format!("{call}-{leg}")
}

/// The 63 bits of `text`'s hash that the journal's key uses.
pub fn digest(parts: &[&[u8]]) -> i64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut first = [0u8; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    i64::from_be_bytes(first)
}

/// A new id whose order is the order of time: 32 hex digits (UUID version 7 without dashes).
pub fn fresh(now: Timestamp) -> String {
    thread_local! {
        static CONTEXT: ContextV7 = const { ContextV7::new() };
    }
    let us = now.micros().max(0) as u64;
    let id = CONTEXT.with(|context| Uuid::new_v7(UuidTime::from_unix(context, us / 1_000_000, ((us % 1_000_000) * 1_000) as u32)));
    id.simple().to_string()
}

/// The smallest id that [`fresh`] can give at `at`: a time as the bound of a range of ids.
pub fn floor(at: Timestamp) -> String {
    format!("{:012x}{:020}", (at.micros().max(0) / 1_000) as u64, 0)
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[(byte >> 4) as usize] as char);
        text.push(DIGITS[(byte & 15) as usize] as char);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_id_however_the_pbx_spells_it() {
        assert_eq!(call_id(807, "0F3C7A"), call_id(807, " 0f3c7a"));
        assert_ne!(call_id(807, "0f3c7a"), call_id(808, "0f3c7a"));
        assert_eq!(call_id(807, "x").len(), 32);
    }

    #[test]
    fn fresh_ids_follow_time() {
        let (a, b) = (fresh(Timestamp(1_767_000_000_000_000)), fresh(Timestamp(1_767_000_000_001_000)));
        assert!(a < b && floor(Timestamp(1_767_000_000_001_000)) <= b && a < floor(Timestamp(1_767_000_000_001_000)), "{a} {b}");
    }
}
