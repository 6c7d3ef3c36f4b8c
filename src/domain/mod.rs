//! Plain types and rules: no IO, no vendor, no web framework, no SQL.

pub mod time;
