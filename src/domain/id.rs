//! Identifiers. Calls and legs have ids derived from what the PBX calls them, so that a replay gives the same ids and no second index is
//! needed to find a call by the PBX's name; everything else has a time-ordered UUID.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

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

/// True when a PBX's id of a recording can stand in the path of a request: readers of URLs take `.` and `..` for places, also encoded.
pub fn is_record(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && spelling(id) == id
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

/// A new id of something that happened to a call: in the order of time like those of [`fresh`], and it tells about which call it is, so that a
/// search by time and call needs no index but the one of ids. 15 digits of the time, 9 of the call's id, 8 that make it unique.
pub fn about(call: &str, now: Timestamp) -> String {
    thread_local! {
        static NEXT: Cell<u32> = Cell::new(RandomState::new().hash_one(0) as u32 / 2);
    }
    let us = now.micros().max(0) as u64;
    let next = NEXT.get();
    NEXT.set(next.wrapping_add(1));
    format!("{:012x}{:03x}{}{next:08x}", us / 1_000, us % 1_000, call_part(call))
}

/// The digits of an id made by [`about`] that tell the call: where they begin, counted from one, and what they are.
pub const CALL_PART: (i32, i32) = (16, 9);

/// What stands there for this call (our id of it).
pub fn call_part(call: &str) -> String {
    format!("{call:0<digits$.digits$}", digits = CALL_PART.1 as usize)
}

/// The smallest id that [`fresh`] and [`about`] can give at `at`: a time as the bound of a range of ids.
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
    fn a_recording_is_not_called_by_a_place() {
        assert!(is_record("700101-AB") && is_record("...") && is_record(".a"));
        assert!(!is_record("") && !is_record(".") && !is_record("..") && !is_record(&"a".repeat(256)));
    }

    #[test]
    fn an_id_about_a_call_tells_time_and_call() {
        let call = call_id(807, "x");
        let (a, b) = (about(&call, Timestamp(1_767_000_000_000_001)), about(&call, Timestamp(1_767_000_000_000_002)));
        assert!(a < b && a.len() == 32, "{a} {b}");
        assert!(floor(Timestamp(1_767_000_000_000_000)) < a && b < floor(Timestamp(1_767_000_000_001_000)), "{a} {b}");
        let (from, digits) = (CALL_PART.0 as usize - 1, CALL_PART.1 as usize);
        assert_eq!(a[from..from + digits], call_part(&call));
        assert_ne!(about(&call, Timestamp(0)), about(&call, Timestamp(0)));
    }

    #[test]
    fn fresh_ids_follow_time() {
        let (a, b) = (fresh(Timestamp(1_767_000_000_000_000)), fresh(Timestamp(1_767_000_000_001_000)));
        assert!(a < b && floor(Timestamp(1_767_000_000_001_000)) <= b && a < floor(Timestamp(1_767_000_000_001_000)), "{a} {b}");
    }
}
