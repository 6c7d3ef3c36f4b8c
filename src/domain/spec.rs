//! An application as it is declared: the same shape in a file, over REST and in the store (contract, section 5).

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::agent::{CoolDown, ManualStatus};
use super::hours::BusinessHours;
use super::ivr::{IvrKey, IvrNode, IvrTree};
pub use super::queue::{Blacklisted, Number, Queue, Strategy};
use crate::text_enum;

text_enum! {
    pub enum PbxKind {
        Telphin = "telphin",
        Exotel = "exotel",
        Stringee = "stringee",
        Asterisk = "asterisk",
    }
}

text_enum! {
    /// What stands behind an extension (Telphin page, section 1).
    pub enum ExtensionType {
        Phone = "phone",
        Ivr = "ivr",
        Queue = "queue",
        Fax = "fax",
    }
}

/// One customer's installation: a PBX account with its people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The serial number in every hook's path.
    pub id: i64,
    pub name: String,
    pub pbx: PbxKind,
    /// The PBX account in every hook's path.
    pub login: String,
    /// Two-letter region for numbers written without `+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    #[serde(default = "utc")]
    pub timezone: String,
    /// Secret that each hook URL must carry as `?key=`; a reference (`env:`, `file:`) or a literal, which is stored sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Networks that hooks may come from; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["203.0.113.0/24"]))]
    pub allow_ips: Vec<IpNet>,
    /// Origins whose browsers may use the API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// The PBX's own settings; read by its adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telphin: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exotel: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stringee: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asterisk: Option<Value>,
    #[serde(default)]
    pub routing: Routing,
    #[serde(default)]
    pub crm: CrmChoice,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub agent: Vec<Agent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub extension: Vec<Extension>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub group: Vec<Group>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub queue: Vec<Queue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub number: Vec<Number>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub business_hours: Vec<BusinessHours>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub ivr_tree: Vec<IvrTree>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub ivr_node: Vec<IvrNode>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub ivr_key: Vec<IvrKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub blacklist: Vec<Blacklisted>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub contact: Vec<Contact>,
}

impl Application {
    /// Its own settings with the lists of another.
    pub fn with_lists_of(self, other: &Application) -> Application {
        Application {
            id: self.id,
            name: self.name,
            pbx: self.pbx,
            login: self.login,
            country: self.country,
            timezone: self.timezone,
            key: self.key,
            allow_ips: self.allow_ips,
            allowed_origins: self.allowed_origins,
            telphin: self.telphin,
            exotel: self.exotel,
            stringee: self.stringee,
            asterisk: self.asterisk,
            routing: self.routing,
            crm: self.crm,
            ..other.clone()
        }
    }

    /// Its own settings alone: the lists empty.
    pub fn without_lists(&self) -> Application {
        Application {
            agent: Vec::new(),
            extension: Vec::new(),
            group: Vec::new(),
            queue: Vec::new(),
            number: Vec::new(),
            business_hours: Vec::new(),
            ivr_tree: Vec::new(),
            ivr_node: Vec::new(),
            ivr_key: Vec::new(),
            blacklist: Vec::new(),
            contact: Vec::new(),
            ..self.clone()
        }
    }
}

fn utc() -> String {
    "UTC".into()
}

/// `[application.routing]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// The responsible chain, asked in order.
    pub responsible: Vec<StepDecl>,
    /// `false`: name the responsible manager whatever his state, and claim nobody.
    pub only_available: bool,
    /// `true`: pass over an agent who is logged out of the PBX's queues. One of whom nothing is known counts as reachable.
    pub only_reachable: bool,
    /// An extension for the safe reply; empty: nobody.
    pub fallback: String,
    /// Wrap-up after calls outside a queue, seconds.
    pub wrap_up_s: i64,
    /// How far back the last agent who spoke with a caller is looked for, days.
    pub last_agent_days: i64,
    pub cool_down_s: CoolDowns,
    /// After so many offers in a row that an agent let ring out, `no_answer_status` is set for him; 0: never.
    pub no_answer_limit: i32,
    pub no_answer_status: ManualStatus,
    /// How long a lookup may take, milliseconds; absent: the server's `routing.deadline_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<i64>,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            responsible: ["owner", "deputy", "last_agent"].map(|s| StepDecl::Plain(s.into())).to_vec(),
            only_available: true,
            only_reachable: false,
            fallback: String::new(),
            wrap_up_s: 0,
            last_agent_days: 30,
            cool_down_s: CoolDowns::default(),
            no_answer_limit: 0,
            no_answer_status: ManualStatus::NotAvailable,
            deadline_ms: None,
        }
    }
}

/// A step of the responsible chain: a word, or a word with how long a waiting call stays at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a step: a word such as \"owner\", or { to = \"queue:main\", wait_s = 10 }")]
pub enum StepDecl {
    Plain(String),
    Waiting(WaitingStep),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitingStep {
    pub to: String,
    pub wait_s: i64,
}

impl StepDecl {
    pub fn to(&self) -> &str {
        match self {
            StepDecl::Plain(to) => to,
            StepDecl::Waiting(step) => &step.to,
        }
    }

    /// Seconds that a call which can wait stays at this step.
    pub fn wait_s(&self) -> i64 {
        match self {
            StepDecl::Plain(_) => 0,
            StepDecl::Waiting(step) => step.wait_s,
        }
    }
}

/// How long the router leaves an agent alone after an offer that failed, seconds by cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CoolDowns {
    pub no_answer: i64,
    pub busy: i64,
    pub rejected: i64,
    pub unreachable: i64,
}

impl Default for CoolDowns {
    fn default() -> Self {
        Self { no_answer: 30, busy: 10, rejected: 30, unreachable: 60 }
    }
}

impl CoolDowns {
    pub fn seconds(&self, cause: CoolDown) -> i64 {
        match cause {
            CoolDown::NoAnswer => self.no_answer,
            CoolDown::Busy => self.busy,
            CoolDown::Rejected => self.rejected,
            CoolDown::Unreachable => self.unreachable,
        }
    }
}

/// `[application.crm]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrmChoice {
    /// A connector file's name, or `directory`, the built-in one.
    pub connector: String,
    pub params: BTreeMap<String, Value>,
}

impl Default for CrmChoice {
    fn default() -> Self {
        Self { connector: "directory".into(), params: BTreeMap::new() }
    }
}

/// `[[application.agent]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    #[serde(default)]
    pub id: String,
    pub name: String,
    /// The phone that the PBX rings for him, in its short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// His own number, E.164; needed when `routing_type` is 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// 1: an app or a SIP phone; 2: his own phone number.
    #[serde(default = "one")]
    pub routing_type: i32,
    /// Applies when the agent is made.
    #[serde(default = "available")]
    pub manual_status: ManualStatus,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// His share of the calls where a queue chooses by `weighted_random`, 1 to 100.
    #[serde(default = "one")]
    pub weight: i32,
    /// The user's id in the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crm_user: Option<String>,
}

impl Agent {
    /// What is rung for him: his extension, or his own phone number.
    pub fn line(&self) -> Option<&str> {
        if self.routing_type == 2 { self.phone_number.as_deref() } else { self.extension.as_deref() }
    }

    /// Where he may be on a call: what is rung for him, and his extension, at which he may call and be called all the same.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let (line, extension) = (self.line(), self.extension.as_deref());
        line.into_iter().chain(extension.filter(|_| extension != line))
    }
}

fn one() -> i32 {
    1
}

fn available() -> ManualStatus {
    ManualStatus::Available
}

/// `[[application.extension]]`: what is not an agent's phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    pub number: String,
    #[serde(rename = "type")]
    pub kind: ExtensionType,
}

/// `[[application.group]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    #[serde(default)]
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub agents: Vec<String>,
}

/// `[[application.contact]]`: an entry of the built-in directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    #[serde(default)]
    pub name: String,
    /// E.164; a phone belongs to one contact.
    pub phones: Vec<String>,
    /// The responsible agent's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl Contact {
    /// What makes two entries the same contact: the external id, else the first phone.
    pub fn key(&self) -> String {
        match &self.external_id {
            Some(id) => format!("id:{id}"),
            None => format!("phone:{}", self.phones.first().map(String::as_str).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_and_lists_are_put_together_and_taken_apart() {
        let whole = json!({
            "id": 1, "name": "New", "pbx": "stringee", "login": "new", "country": "VN", "timezone": "Asia/Ho_Chi_Minh", "key": "k",
            "allow_ips": ["192.0.2.0/24"], "allowed_origins": ["https://a.example"], "telphin": {"a": 1}, "exotel": {"b": 2},
            "stringee": {"c": 3}, "asterisk": {"d": 4}, "routing": {"wrap_up_s": 7}, "crm": {"connector": "none"},
            "agent": [{"id": "ann", "name": "Ann"}],
        });
        let new: Application = serde_json::from_value(whole.clone()).expect("an application");
        let mut other: Application = serde_json::from_value(json!({
            "id": 2, "name": "Old", "pbx": "telphin", "login": "old", "agent": [{"id": "bob", "name": "Bob"}],
            "group": [{"id": "g", "name": "G"}],
        }))
        .expect("an application");
        let both = new.clone().with_lists_of(&other);
        assert_eq!((both.agent.clone(), both.group.clone()), (other.agent.clone(), other.group.clone()));
        assert_eq!(both.without_lists(), new.without_lists());
        let lists = json!({
            "extension": [{"number": "099", "type": "ivr"}], "queue": [{"id": "q", "name": "Q"}], "number": [{"number": "+74955550100"}],
            "business_hours": [{"id": "h", "name": "H"}], "ivr_tree": [{"id": "t", "tree_name": "T"}],
            "ivr_node": [{"id": "n", "tree": "t", "node_name": "N", "node_play_mode": "play", "node_play_content": "n"}],
            "ivr_key": [{"id": "k", "node": "n", "node_key": "1", "action": 6}], "blacklist": [{"number": "+79990000666"}],
            "contact": [{"name": "Jane", "phones": ["+79990001101"]}], "group": [{"id": "g", "name": "G"}],
        });
        let mut full = whole;
        full.as_object_mut().expect("fields").extend(lists.as_object().expect("lists").clone());
        let full: Application = serde_json::from_value(full).expect("an application");
        let bare = serde_json::to_value(full.without_lists()).expect("JSON");
        for list in lists.as_object().expect("lists").keys().chain([&"agent".to_owned()]) {
            assert!(bare.get(list).is_none_or(|left| left.as_array().is_some_and(Vec::is_empty)), "{list} is left");
        }
        assert_eq!(full.without_lists(), new.without_lists());
        other.group.clear();
        assert_ne!(both.without_lists(), other.without_lists());
    }
}
