//! PBXs as data and pure functions: an adapter reads what its PBX sends, writes what it expects, and builds the requests that it takes.
//!
//! Nothing here does IO. The core asks [`Pbx`] and sends, stores and answers itself, so every vendor is testable from recorded bytes.
//! Each adapter is a folder with the same files: `mod` (settings), `webhook` (parse and reply), `api` (requests to the PBX).

pub mod action;
pub mod asterisk;
pub mod setup;
pub mod telphin;

use std::borrow::Cow;

use self::action::{Action, Report};
use crate::domain::agent::QueueLogin;
use crate::domain::event::CallEvent;
use crate::domain::phone::{Numbering, Party};
use crate::domain::spec::{Application, ExtensionType, PbxKind};
use crate::domain::validate::Problem;
use crate::net::Request;

/// Under this name the journal keeps records of a PBX's call history; no PBX has a hook of that name.
pub const HISTORY_HOOK: &str = "history";

/// A hook's request as it came, before anybody has understood it.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub hook: &'a str,
    pub query: &'a str,
    pub content_type: &'a str,
    pub body: &'a [u8],
}

/// What kind of answer a hook owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// Asks where a call shall go: always answered with 200 and something that the PBX can obey.
    Routing,
    /// Tells about calls.
    Event,
    /// Tells about queue agents' logins.
    AgentEvent,
    /// Asks whether it would be let in.
    Check,
}

/// What an application's world looks like to an adapter.
pub struct Context<'a> {
    pub numbering: Numbering<'a>,
    pub extension_type: &'a dyn Fn(&str) -> Option<ExtensionType>,
    /// What rings for an agent.
    pub agent_line: &'a dyn Fn(&str) -> Option<String>,
    /// Whether it rings for an agent: an extension, or a phone number of his own.
    pub is_agents: &'a dyn Fn(&str) -> bool,
}

/// What a routing hook asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingRequest {
    /// The PBX's id of the call.
    pub call: Option<String>,
    /// The caller as written.
    pub caller: String,
    pub did: Option<String>,
    /// The extension that asks (short form), for PBXs whose IVR asks.
    pub asking_extension: Option<String>,
    /// The number that was dialled, as written.
    pub dialled: Option<String>,
    /// What the PBX says of the answer before, where it asks again.
    pub report: Report,
}

/// What an event hook was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The event's own time in microseconds, 0 without a usable one.
    pub at: i64,
    /// Digest of what makes two deliveries the same event.
    pub digest: i64,
    pub events: Vec<CallEvent>,
    /// What is told about a queue agent.
    pub agent: Option<AgentReport>,
}

/// A PBX says that one of its queue agents logged in or out. He is named by his extension or, outside, by his number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentReport {
    pub party: Party,
    pub login: QueueLogin,
}

/// A hook's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub content_type: &'static str,
    pub body: String,
}

/// An event that cannot be read, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// One application's PBX, with its settings read.
#[derive(Clone, Debug)]
pub enum Pbx {
    Telphin(telphin::Settings),
    Asterisk(Box<asterisk::Settings>),
}

/// The fields of a form. Bytes that are no UTF-8 spoil the one value that holds them; what is not escaped stays where it was received.
fn form(bytes: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    form_urlencoded::parse(bytes.trim_ascii()).map(|(name, value)| (name.to_ascii_lowercase(), value))
}

/// A parameter of a request: its name in lower case, and its value.
type Parameter<'a> = (String, Cow<'a, str>);

impl Pbx {
    /// Reads the PBX's own table of a declaration.
    ///
    /// # Errors
    /// What is wrong with it, by key.
    pub fn from_application(app: &Application) -> Result<Pbx, Vec<Problem>> {
        match app.pbx {
            PbxKind::Telphin => telphin::Settings::read(app.telphin.as_ref()).map(Pbx::Telphin),
            PbxKind::Asterisk => asterisk::Settings::read(app.asterisk.as_ref()).map(|settings| Pbx::Asterisk(Box::new(settings))),
            other => Err(vec![Problem::new("pbx", format!("{other} is not supported by this version; use telphin or asterisk"))]),
        }
    }

    /// What is wrong with the PBX's own table, or what the application declares that its PBX, set up so, cannot do.
    pub fn problems(app: &Application) -> Vec<Problem> {
        match Pbx::from_application(app) {
            Ok(Pbx::Telphin(_)) => Vec::new(),
            Ok(Pbx::Asterisk(settings)) => settings.problems_with(app),
            Err(problems) => problems,
        }
    }

    /// The keys of the PBX's own table that are secrets.
    pub fn secret_keys(kind: PbxKind) -> &'static [&'static str] {
        match kind {
            PbxKind::Telphin => telphin::SECRETS,
            PbxKind::Asterisk => asterisk::SECRETS,
            PbxKind::Exotel | PbxKind::Stringee => &[],
        }
    }

    /// Telphin's settings, for what is asked of its API; `None`: this PBX has none that we ask.
    pub fn telphin(&self) -> Option<&telphin::Settings> {
        match self {
            Pbx::Telphin(s) => Some(s),
            Pbx::Asterisk(_) => None,
        }
    }

    pub fn asterisk(&self) -> Option<&asterisk::Settings> {
        match self {
            Pbx::Telphin(_) => None,
            Pbx::Asterisk(s) => Some(s),
        }
    }

    /// Where the PBX tells of its calls over a connection of ours; `None`: it does not.
    pub fn ami(&self) -> Option<asterisk::Ami<'_>> {
        match self {
            Pbx::Telphin(_) => None,
            Pbx::Asterisk(s) => s.ami(),
        }
    }

    /// The PBX asks again and again what to do with a call, so a call can wait.
    pub fn asks_again(&self) -> bool {
        matches!(self, Pbx::Asterisk(_))
    }

    /// Seconds after which a call that waits asks again.
    pub fn poll_s(&self) -> i64 {
        match self {
            Pbx::Telphin(_) => 1,
            Pbx::Asterisk(s) => s.poll_s,
        }
    }

    pub fn hook(&self, name: &str) -> Option<HookKind> {
        match self {
            Pbx::Telphin(_) => telphin::webhook::hook(name),
            Pbx::Asterisk(_) => asterisk::webhook::hook(name),
        }
    }

    /// Asks whom our credentials speak for; `None`: the PBX cannot say.
    pub fn who(&self) -> Option<Request> {
        match self {
            Pbx::Telphin(s) => Some(telphin::api::user(s)),
            Pbx::Asterisk(_) => None,
        }
    }

    /// What setting the PBX up begins with; `None`: it has no API to be set up over.
    pub fn survey(&self, hooks: &setup::Hooks) -> Option<Box<dyn setup::Survey>> {
        match self {
            Pbx::Telphin(s) => Some(Box::new(telphin::setup::Telphin { settings: s.clone(), hooks: hooks.clone() })),
            Pbx::Asterisk(_) => None,
        }
    }

    /// The name of the call that comes of a callback, where we choose it.
    pub fn call_of(&self, callback: &str) -> Option<String> {
        match self {
            Pbx::Telphin(_) => None,
            Pbx::Asterisk(_) => Some(asterisk::ami::click::channel(callback)),
        }
    }

    pub fn prefix(&self) -> Option<&str> {
        match self {
            Pbx::Telphin(s) => Some(s.client_prefix.as_str()).filter(|p| !p.is_empty()),
            Pbx::Asterisk(_) => None,
        }
    }

    pub fn code_without_plus(&self) -> bool {
        match self {
            Pbx::Telphin(_) => true,
            Pbx::Asterisk(_) => false,
        }
    }

    /// Whether agents' manual status and their login at the PBX's queues follow each other.
    pub fn mirrors_status(&self) -> bool {
        match self {
            Pbx::Telphin(s) => s.mirror_status,
            Pbx::Asterisk(_) => false,
        }
    }

    /// How long a missed call waits for later news, milliseconds.
    pub fn missed_wait_ms(&self) -> i64 {
        match self {
            Pbx::Telphin(s) => s.missed_wait_ms,
            Pbx::Asterisk(s) => s.missed_wait_ms,
        }
    }

    /// Reads a routing hook's request.
    ///
    /// # Errors
    /// [`Unreadable`] with the reason; it must be answered all the same.
    pub fn routing_request(&self, raw: Raw<'_>, context: &Context<'_>) -> Result<RoutingRequest, Unreadable> {
        match self {
            Pbx::Telphin(_) => telphin::webhook::routing_request(raw, context),
            Pbx::Asterisk(_) => asterisk::webhook::routing_request(raw, context),
        }
    }

    /// The answer in the PBX's words. Telphin takes [`Action::Name`] alone.
    pub fn routing_reply(&self, action: &Action, asked: &RoutingRequest) -> Reply {
        match (self, action) {
            (Pbx::Telphin(s), Action::Name(extension)) => telphin::webhook::reply(s, extension.as_deref()),
            (Pbx::Telphin(s), _) => telphin::webhook::reply(s, None),
            (Pbx::Asterisk(s), action) => asterisk::reply::reply(s, action, asked),
        }
    }

    /// # Errors
    /// [`Unreadable`] with the reason.
    pub fn events(&self, raw: Raw<'_>, context: &Context<'_>) -> Result<Reading, Unreadable> {
        match self {
            Pbx::Telphin(_) => telphin::webhook::events(raw, context),
            Pbx::Asterisk(_) if raw.hook == asterisk::ami::HOOK => asterisk::ami::read::events(raw, context),
            Pbx::Asterisk(_) => asterisk::webhook::events(raw, context),
        }
    }
}
