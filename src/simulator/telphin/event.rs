//! The events of extensions and how they are written on the wire (protocol page, sections 4.2 to 4.4). [`super::leg`] makes them.

use std::time::Duration;

use super::directory::Extension;
use crate::domain::time::Timestamp;

/// The kinds of events that calls make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    DialIn,
    DialOut,
    Answer,
    Hangup,
}

/// What a subscription may name (section 4.1).
pub const SUBSCRIBABLE: [&str; 7] = ["dial-in", "dial-out", "answer", "hangup", "message-in", "message-out", "voicemail"];

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::DialIn => "dial-in",
            EventType::DialOut => "dial-out",
            EventType::Answer => "answer",
            EventType::Hangup => "hangup",
        }
    }
}

/// Section 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    Calling,
    Answer,
    Busy,
    NoAnswer,
    Cancel,
    Congestion,
    ChanUnavail,
}

impl CallStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            CallStatus::Calling => "CALLING",
            CallStatus::Answer => "ANSWER",
            CallStatus::Busy => "BUSY",
            CallStatus::NoAnswer => "NOANSWER",
            CallStatus::Cancel => "CANCEL",
            CallStatus::Congestion => "CONGESTION",
            CallStatus::ChanUnavail => "CHANUNAVAIL",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    In,
    Out,
}

impl Flow {
    pub fn as_str(self) -> &'static str {
        match self {
            Flow::In => "IN",
            Flow::Out => "OUT",
        }
    }

    /// As REST writes it.
    pub fn lower(self) -> &'static str {
        match self {
            Flow::In => "in",
            Flow::Out => "out",
        }
    }
}

/// How the same event may be spelled; receivers have to read all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spelling {
    /// `CallFlow=in` in place of `IN`.
    pub lower_flow: bool,
    /// `+` goes out as it is, and so arrives as a space.
    pub bare_plus: bool,
}

/// One event of one extension. Its subscriptions decide where it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The extension that it happened to.
    pub extension: Extension,
    pub kind: EventType,
    pub time: Timestamp,
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Event {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    /// All fields, in the order in which they are sent.
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.fields
    }

    /// The body of a POST, the query of a GET.
    pub fn form(&self, spelling: Spelling) -> String {
        let spelled = self.fields.iter().map(|(name, value)| match *name {
            "CallFlow" if spelling.lower_flow => (*name, value.to_ascii_lowercase()),
            _ => (*name, value.clone()),
        });
        encode(spelled, spelling.bare_plus)
    }
}

/// Form encoding in which `*` and `@` are escaped too, as the PBX does.
pub fn encode<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>, bare_plus: bool) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name.as_ref());
        out.push('=');
        for byte in value.as_ref().bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte as char),
                b' ' => out.push('+'),
                b'+' if bare_plus => out.push('+'),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    out
}

/// An event and when it happens, counted from the start of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    pub at: Duration,
    pub event: Event,
    /// In parentheses in section 5.4: an IVR's or queue's dial-in, which integrations do not subscribe to.
    pub optional: bool,
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Cast, Row, scenario};
    use super::*;

    #[test]
    fn is_written_as_the_pbx_writes_it() {
        let list = scenario(Row::BlindTransfer, &Cast::sample(), Timestamp(1_767_000_000_100_200), 1);
        let form = list[0].event.form(Spelling::default());
        assert!(form.starts_with("EventType=dial-in&EventTime=1767000000100200&CallID="), "{form}");
        assert!(form.contains("&CallFlow=IN&CallerIDNum=%2B79995550101&"), "{form}");
        assert!(form.contains("&CalledNumber=0047%2A101&CalledExtension=0047%2A101%40sip.example&"), "{form}");
        let other = list[0].event.form(Spelling { lower_flow: true, bare_plus: true });
        assert!(other.contains("&CallFlow=in&CallerIDNum=+79995550101&"), "{other}");
    }
}
