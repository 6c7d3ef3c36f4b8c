//! Setting a PBX up for us, as data: what its parts look like now, what they should be, and the requests that lead there.
//!
//! An adapter gives a [`Survey`], which names the [`Part`]s of a PBX that are set up each for itself (the subscriptions of an extension,
//! the rules of an IVR). Neither does IO: each is asked for its next request with the replies so far, and for a [`Plan`] when it has no
//! more. Who sends is `provision`. A plan is made of what is there, so a run that was interrupted is simply begun again.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::spec::ExtensionType;
use crate::net::{Request, Response};

/// Our own hooks of one application, as the PBX is told them.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// `https://host/cid/807`
    root: String,
    login: String,
    key: Option<SecretString>,
}

impl Hooks {
    /// `public_url`: scheme, host and path without a slash at its end.
    pub fn new(public_url: &str, application: i64, login: &str, key: Option<SecretString>) -> Hooks {
        Hooks { root: format!("{public_url}/cid/{application}"), login: login.to_owned(), key }
    }

    /// The address without the key.
    pub fn address(&self, hook: &str) -> String {
        format!("{}/{hook}/{}", self.root, self.login)
    }

    /// What the PBX has to call.
    pub fn url(&self, hook: &str) -> String {
        match &self.key {
            Some(key) => {
                let query = serde_urlencoded::to_string([("key", key.expose_secret())]).unwrap_or_default();
                format!("{}?{query}", self.address(hook))
            }
            None => self.address(hook),
        }
    }

    /// As it stands in a function of Asterisk's dialplan, where none of its characters may mean anything but itself.
    pub fn in_dialplan(&self, hook: &str) -> String {
        let mut url = String::new();
        for c in self.url(hook).chars() {
            if ",;(){}$|^'`".contains(c) { url.push_str(&format!("%{:02X}", c as u32)) } else { url.push(c) }
        }
        url
    }

    /// The same for people who may not see the key.
    pub fn shown(&self, hook: &str) -> String {
        if self.key.is_some() { format!("{}?key=…", self.address(hook)) } else { self.address(hook) }
    }

    /// True for a URL that ends like this hook and leads elsewhere: a former address, or another installation of ours.
    pub fn is_elsewhere(&self, hook: &str, url: &str) -> bool {
        let path = |url: &str| url.split("://").nth(1).and_then(|rest| rest.split_once('/')).map(|(_, path)| path.to_owned());
        let end = path(&self.address(hook)).and_then(|p| p.find("cid/").map(|at| p[at..].to_owned()));
        let url = url.split(['?', '#']).next().unwrap_or_default();
        !self.is(hook, url) && end.is_some_and(|end| url.ends_with(&format!("/{end}")))
    }

    /// True for a URL that leads to this hook, whatever its key.
    pub fn is(&self, hook: &str, url: &str) -> bool {
        url.split(['?', '#']).next() == Some(self.address(hook).as_str())
    }
}

/// What the PBX said to one request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub status: u16,
    /// Its own words, of a refusal.
    pub words: String,
    /// `None`: it was refused.
    pub reply: Option<Response>,
}

impl Seen {
    /// # Errors
    /// [`Trouble`] when it was refused, or says something that cannot be read; `what` names what was asked for.
    pub fn read<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, Trouble> {
        match &self.reply {
            Some(reply) => reply.json().map_err(|e| Trouble::Stuck(format!("{what}: the PBX's reply cannot be read: {e}"))),
            None => Err(Trouble::of(self.status, what, &self.words)),
        }
    }
}

/// Why a part is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The application at the PBX may not do it.
    #[error("the PBX does not allow it: {0}")]
    Forbidden(String),
    /// The PBX holds something that we must not touch or cannot complete; says what, and the mend.
    #[error("{0}")]
    Stuck(String),
}

impl Trouble {
    pub fn of(status: u16, what: &str, words: &str) -> Trouble {
        match status {
            403 => Trouble::Forbidden(format!("{what}: {words}")),
            _ => Trouble::Stuck(format!("{what}: the PBX refused ({status}): {words}")),
        }
    }
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Add,
    Change,
    Remove,
}

/// One line of the difference between what is there and what should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub sign: Sign,
    /// For people; without secrets.
    pub text: String,
}

/// A request that leads on from here. Doing it again does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub change: Change,
    pub request: Request,
    /// The reply names what was made; [`Part::learn`] wants to know.
    pub makes: bool,
}

/// What to do about a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All that differs; empty: it is as it should be.
    pub changes: Vec<Change>,
    /// What can be done from what was seen; after it the part is looked at again.
    pub next: Vec<Step>,
    /// Why the part cannot become what it should be. `next` then leads to what is safe.
    pub trouble: Option<Trouble>,
    /// Some of ours is there and some is not: what cannot be completed has to be undone.
    pub half: bool,
    /// What must be remembered before `next` is done.
    pub memory: Memory,
}

/// What has to be known of a part beside what can be seen in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// We have begun to make it ourselves: what is not known to be ours is somebody else's.
    pub begun: bool,
    /// Ids at the PBX of what we made there and could not tell from others' by its content alone.
    pub ours: BTreeSet<u64>,
    /// Ids of what looks like ours and was there before.
    pub others: BTreeSet<u64>,
    /// One was about to be made, and nobody knows its id yet.
    pub making: bool,
}

/// A part of a PBX that is set up for itself.
pub trait Part: Send + Sync {
    /// For people, and what its memory is kept under: `extension 101`, `IVR 099`.
    fn name(&self) -> String;

    /// Whether anything of ours shall be there; a run that takes everything away says no for all parts.
    fn wanted(&self) -> bool;

    /// The next request to know how the part is; `None`: it is known.
    fn ask(&self, seen: &[Seen]) -> Result<Option<Request>, Trouble>;

    /// The difference between what was seen and what is wanted.
    fn plan(&self, seen: &[Seen], memory: &Memory, wanted: bool) -> Result<Plan, Trouble>;

    /// What the reply to a step that makes something adds to the memory.
    fn learn(&self, memory: Memory, _step: &Step, _reply: &Response) -> Memory {
        memory
    }

    /// What is worth a word beside the difference, each with its mend.
    fn remarks(&self, _seen: &[Seen]) -> Vec<(String, String)> {
        Vec::new()
    }

    /// How somebody does it in the PBX's own panel, with the exact values.
    fn by_hand(&self, wanted: bool) -> String;

    /// Requests that changing it may take; it is not begun when fewer are left in the hour. 0: it may stay half done.
    fn cost(&self) -> i64 {
        0
    }
}

/// Finds the parts of a PBX.
pub trait Survey: Send + Sync {
    fn ask(&self, seen: &[Seen]) -> Result<Option<Request>, Trouble>;

    fn parts(&self, seen: &[Seen]) -> Result<Vec<Box<dyn Part>>, Trouble>;

    /// Every extension in its short form, with its kind.
    fn numbers(&self, seen: &[Seen]) -> Result<Vec<(String, ExtensionType)>, Trouble>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_known_by_its_address_whatever_its_key() {
        let hooks = Hooks::new("https://pbx.example.com/in", 807, "TLP55522", Some("a&b".into()));
        assert_eq!(hooks.url("event"), "https://pbx.example.com/in/cid/807/event/TLP55522?key=a%26b");
        assert_eq!(hooks.shown("event"), "https://pbx.example.com/in/cid/807/event/TLP55522?key=…");
        for (url, ours) in [
            ("https://pbx.example.com/in/cid/807/event/TLP55522", true),
            ("https://pbx.example.com/in/cid/807/event/TLP55522?key=old", true),
            ("https://pbx.example.com/in/cid/807/event/TLP555222", false),
            ("https://pbx.example.com/in/cid/807/event/TLP55522/x", false),
            ("https://pbx.example.com/in/cid/8071/event/TLP55522", false),
            ("https://pbx.example.com/in/cid/807/agent/TLP55522", false),
            ("http://pbx.example.com/in/cid/807/event/TLP55522", false),
        ] {
            assert_eq!(hooks.is("event", url), ours, "{url}");
        }
        assert!(hooks.is_elsewhere("event", "https://old.example/cid/807/event/TLP55522?key=k"));
        for url in ["https://old.example/cid/807/event/TLP1", "https://pbx.example.com/in/cid/807/event/TLP55522", "x"] {
            assert!(!hooks.is_elsewhere("event", url), "{url}");
        }
    }
}
