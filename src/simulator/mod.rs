//! Simulated PBXs: what the tests, `hookflash demo` and `hookflash simulate` talk to instead of a telephone exchange.
//!
//! One PBX a folder. A simulator is a server in the same process that is stricter than its original: what the protocol page forbids or
//! leaves unsaid it refuses, so that whatever works against it works against the PBX.

pub mod asterisk;
pub mod telphin;
