//! What the simulated customer has: extensions, public numbers, IVR rules, queues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The kinds of internal numbers (protocol page, section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtensionType {
    Phone,
    Ivr,
    Queue,
    Fax,
}

/// One internal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The id in API URLs and in `CalledExtensionID`.
    pub id: u64,
    /// Client prefix, such as `0047`.
    pub prefix: String,
    /// Short number, such as `101`.
    pub number: String,
    /// SIP domain of the full name.
    pub domain: String,
    pub kind: ExtensionType,
    pub label: String,
    /// `status` is `blocked` in place of `active`; its phone cannot be reached.
    pub blocked: bool,
    /// Answered calls of this phone are recorded.
    pub recorded: bool,
}

impl Extension {
    /// `0047*101`: the canonical form of the API.
    pub fn name(&self) -> String {
        format!("{}*{}", self.prefix, self.number)
    }

    /// `0047*101@sip.example`: the form of most event fields.
    pub fn full_name(&self) -> String {
        format!("{}*{}@{}", self.prefix, self.number, self.domain)
    }
}

/// What an IVR does, one after another (section 10.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Asks the integration and does what its reply says (section 3).
    CallInteractive {
        url: String,
        method: Method,
    },
    /// Dials the number in the variable; skipped when the variable is unset or empty.
    TransferFromVariable {
        variable: String,
    },
    /// Dials an extension of any kind.
    Transfer {
        to: String,
    },
    SetVariable {
        name: String,
        value: String,
    },
    /// Goes on in another place of the IVR.
    Jump {
        context: u64,
        option: String,
    },
    /// An action that is kept and shown and does nothing here, with its fields.
    Other(serde_json::Map<String, serde_json::Value>),
    /// A greeting of this length, during which the caller may hang up.
    PlaySound {
        ms: u64,
    },
    Hangup,
}

/// How the PBX calls a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// A rule with the id that the PBX gave it, which it keeps wherever it is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedRule {
    pub id: u64,
    pub rule: Rule,
}

/// An IVR: rules by context and option; a call enters at option `start` of `entry_context`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ivr {
    pub entry_context: u64,
    pub rules: BTreeMap<(u64, String), Vec<PlacedRule>>,
    /// The newest rule's id.
    pub last_rule: u64,
}

impl Ivr {
    /// An IVR with nothing but a main context.
    pub fn main(rules: Vec<Rule>) -> Ivr {
        let mut ivr = Ivr { entry_context: 1, rules: BTreeMap::new(), last_rule: 500 };
        ivr.set(1, "start", rules);
        ivr
    }

    /// Replaces the rules of an option.
    pub fn set(&mut self, context: u64, option: &str, rules: Vec<Rule>) {
        let placed = rules.into_iter().map(|rule| {
            self.last_rule += 1;
            PlacedRule { id: self.last_rule, rule }
        });
        let placed = placed.collect();
        self.rules.insert((context, option.to_owned()), placed);
    }

    /// What a caller meets first, in order.
    pub fn start(&self) -> Vec<Rule> {
        let placed = self.rules.get(&(self.entry_context, "start".to_owned()));
        placed.into_iter().flatten().map(|p| p.rule.clone()).collect()
    }
}

/// A queue: it rings its free phones, round after round, until one answers or the time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Short numbers of the phones.
    pub phones: Vec<String>,
    /// All free phones at once, else one after another in the order given.
    pub ring_all: bool,
    /// How long one round rings, milliseconds.
    pub ring_ms: u64,
    /// How long a caller stays at most, milliseconds.
    pub max_wait_ms: u64,
}

/// The whole customer.
#[derive(Clone, Debug)]
pub struct Directory {
    pub client_id: u64,
    /// Login of the user who made the applications.
    pub login: String,
    pub extensions: Vec<Extension>,
    /// Public number, digits without plus → short number it leads to.
    pub dids: BTreeMap<String, String>,
    /// By short number.
    pub ivrs: BTreeMap<String, Ivr>,
    /// By short number.
    pub queues: BTreeMap<String, Queue>,
}

impl Directory {
    /// The customer of the protocol page: prefix 0047, phones 101 to 103, IVR 099, queue 200, fax 300, one public number that leads to the IVR.
    pub fn sample() -> Directory {
        let extension = |id, number: &str, kind, label: &str| Extension {
            id,
            prefix: "0047".into(),
            number: number.into(),
            domain: "sip.example".into(),
            kind,
            label: label.into(),
            blocked: false,
            recorded: kind == ExtensionType::Phone,
        };
        let queue = Queue { phones: vec!["101".into(), "102".into(), "103".into()], ring_all: false, ring_ms: 15_000, max_wait_ms: 60_000 };
        Directory {
            client_id: 4700,
            login: "TLP55522".into(),
            extensions: vec![
                extension(700_099, "099", ExtensionType::Ivr, "Greeting"),
                extension(700_101, "101", ExtensionType::Phone, "Ann Lee"),
                extension(700_102, "102", ExtensionType::Phone, "Bob Ray"),
                extension(700_103, "103", ExtensionType::Phone, "Eve Fox"),
                extension(700_200, "200", ExtensionType::Queue, "Main"),
                extension(700_300, "300", ExtensionType::Fax, "Fax"),
            ],
            dids: BTreeMap::from([("74955550100".to_owned(), "099".to_owned())]),
            ivrs: BTreeMap::from([("099".to_owned(), Ivr::main(vec![Rule::PlaySound { ms: 3_000 }, Rule::Transfer { to: "200".into() }]))]),
            queues: BTreeMap::from([("200".to_owned(), queue)]),
        }
    }

    /// Replaces the main rules of an IVR by those of section 2: ask, transfer to the number in the variable, else the queue.
    pub fn ask_first(&mut self, ivr: &str, url: impl Into<String>, method: Method, variable: &str, queue: &str) {
        let rules = vec![
            Rule::CallInteractive { url: url.into(), method },
            Rule::TransferFromVariable { variable: variable.into() },
            Rule::Transfer { to: queue.into() },
        ];
        self.ivrs.insert(ivr.into(), Ivr::main(rules));
    }

    pub fn by_id(&self, id: u64) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.id == id)
    }

    /// Finds by `101`, `0047*101` or `0047*101@domain`.
    pub fn by_number(&self, number: &str) -> Option<&Extension> {
        let (name, domain) = number.split_once('@').map_or((number, None), |(n, d)| (n, Some(d)));
        let (prefix, short) = name.rsplit_once('*').map_or((None, name), |(p, s)| (Some(p), s));
        self.extensions.iter().find(|e| e.number == short && prefix.is_none_or(|p| p == e.prefix) && domain.is_none_or(|d| d == e.domain))
    }

    pub fn phones(&self) -> impl Iterator<Item = &Extension> {
        self.extensions.iter().filter(|e| e.kind == ExtensionType::Phone)
    }
}

/// True for a number outside the PBX: an optional plus and 5 to 15 digits.
pub fn is_external(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    (5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_extension_in_each_of_its_forms_and_in_no_other() {
        let d = Directory::sample();
        for form in ["101", "0047*101", "0047*101@sip.example"] {
            assert_eq!(d.by_number(form).map(|e| e.id), Some(700_101), "{form}");
        }
        for form in ["", "0048*101", "0047*101@elsewhere", "+101", "1010"] {
            assert_eq!(d.by_number(form), None, "{form}");
        }
    }

    #[test]
    fn knows_an_external_number() {
        assert!(is_external("+79995550101") && is_external("74955550100"));
        assert!(!is_external("101") && !is_external("0047*101") && !is_external("+7 999") && !is_external(""));
    }
}
