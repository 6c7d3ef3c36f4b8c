//! What a PBX is told to do with a call. Each adapter says it in its own words.

use crate::domain::agent::OfferState;

/// What rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Extension(String),
    /// An outside number, E.164.
    Number(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The extension to transfer to, or nobody: what PBXs that ask once take.
    Name(Option<String>),
    Dial(Dial),
    /// Ask again after so many seconds.
    Wait {
        seconds: i64,
        place: String,
        greeting: Option<String>,
    },
    /// Play a node of an IVR and ask again with the keys.
    Prompt(Prompt),
    /// Forward to an outside number; nothing more is asked.
    Forward {
        number: String,
        place: String,
    },
    Voicemail {
        place: String,
    },
    /// The cause is that of Q.850.
    Hangup {
        cause: i32,
    },
    /// The PBX's own route.
    Default,
}

impl Action {
    /// A word for what it is.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Name(_) => "name",
            Action::Dial(_) => "dial",
            Action::Wait { .. } => "wait",
            Action::Prompt(_) => "prompt",
            Action::Forward { .. } => "forward",
            Action::Voicemail { .. } => "voicemail",
            Action::Hangup { .. } => "hangup",
            Action::Default => "default",
        }
    }
}

/// Rings one or several lines, and asks again when nobody answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub lines: Vec<Line>,
    /// Ids, in the order of the lines.
    pub agents: Vec<String>,
    pub timeout_s: i64,
    /// What the PBX says back with the outcome.
    pub offer: String,
    /// The queue or the step that offers the call.
    pub place: String,
    /// The caller's number as it is shown on outside lines.
    pub caller_id: Option<String>,
    /// It may be recorded, where calls are.
    pub record: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub node: String,
    /// `talk` or `play`.
    pub mode: &'static str,
    pub content: String,
    pub barge_in: bool,
    pub loops: i64,
    pub pause_ms: i64,
    pub timeout_s: i64,
    pub voice: Option<String>,
    pub speed: i64,
    /// What the PBX says back with the keys.
    pub offer: String,
}

/// What a PBX that asks again says of what it was told before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The offer of the answer before, as it was given.
    pub offer: Option<String>,
    /// How it ended; `None` when the PBX did not say.
    pub outcome: Option<OfferState>,
    /// The keys that were pressed, empty when none was in time; `None`: no prompt was played.
    pub digits: Option<String>,
    /// The answer is wanted in the old form.
    pub plain: bool,
}
