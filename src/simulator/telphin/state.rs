//! What the PBX knows at a moment. Everything is behind one lock that nobody holds across an await.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use super::calls::{Behaviour, CallReport, LiveLeg};
use super::conditions::Conditions;
use super::deliver::Delivery;
use super::directory::{Directory, Method};
use super::history::PastCall;
use super::leg::Ids;
use super::records::Record;
use crate::domain::time::Timestamp;

/// Deliveries, requests, recordings and call reports beyond these are forgotten, the oldest first.
const MEMORY: usize = 50_000;

/// One event subscription of one extension (section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subscription {
    pub id: u64,
    #[serde(skip)]
    pub extension_id: u64,
    pub url: String,
    pub method: Method,
    pub event_type: String,
}

/// One request that the PBX served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Served {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub status: u16,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub app: String,
    pub expires: Timestamp,
}

pub(super) struct State {
    pub conditions: Conditions,
    pub directory: Directory,
    pub ids: Ids,

    pub tokens: BTreeMap<String, Token>,
    /// Refresh token → application.
    pub refresh: BTreeMap<String, String>,
    /// Authorization code → application.
    pub codes: BTreeMap<String, Token>,
    /// Token requests in the current second.
    pub oauth_second: (i64, u32),
    /// API requests in the current clock hour.
    pub hour: (i64, u64),

    pub subscriptions: BTreeMap<u64, Subscription>,
    pub last_subscription: u64,
    /// How often somebody removed all subscriptions of an extension, foreign ones too.
    pub delete_all_calls: u64,

    /// Queue agents who are logged out, by id.
    pub logged_out: BTreeSet<u64>,
    /// Subscriptions of queue agents: their `extension_id` is the agent's id.
    pub agent_subscriptions: BTreeMap<u64, Subscription>,

    /// What phones and outside parties do, by short or outside number.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Ringing and talking legs, by `SubCallID`.
    pub legs: BTreeMap<String, LiveLeg>,
    /// How often a phone was rung while it was ringing or talking.
    pub rung_while_busy: u64,

    pub records: VecDeque<Record>,
    /// Storage link → recording and end of its life.
    pub links: BTreeMap<String, (String, Timestamp)>,
    /// What was written down of each call, told or not.
    pub history: VecDeque<PastCall>,
    /// A list of records or calls is being made.
    pub listing: bool,

    pub deliveries: VecDeque<Delivery>,
    pub served: VecDeque<Served>,
    pub reports: VecDeque<CallReport>,
}

impl State {
    pub fn new(conditions: Conditions, directory: Directory, seed: u64) -> State {
        State {
            conditions,
            directory,
            ids: Ids::new(seed),
            tokens: BTreeMap::new(),
            refresh: BTreeMap::new(),
            codes: BTreeMap::new(),
            oauth_second: (0, 0),
            hour: (0, 0),
            subscriptions: BTreeMap::new(),
            last_subscription: 0,
            delete_all_calls: 0,
            logged_out: BTreeSet::new(),
            agent_subscriptions: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            legs: BTreeMap::new(),
            rung_while_busy: 0,
            records: VecDeque::new(),
            links: BTreeMap::new(),
            history: VecDeque::new(),
            listing: false,
            deliveries: VecDeque::new(),
            served: VecDeque::new(),
            reports: VecDeque::new(),
        }
    }

    /// The phone rings or talks.
    pub fn is_occupied(&self, extension_id: u64) -> bool {
        self.legs.values().any(|l| l.leg.phone.id == extension_id)
    }

    pub fn remember(&mut self, delivery: Delivery) {
        keep(&mut self.deliveries, delivery);
    }

    pub fn serve(&mut self, served: Served) {
        keep(&mut self.served, served);
    }

    /// Adds a subscription and returns its id.
    pub fn subscribe(&mut self, extension_id: u64, url: String, method: Method, event_type: String) -> u64 {
        self.last_subscription += 1;
        let id = self.last_subscription;
        self.subscriptions.insert(id, Subscription { id, extension_id, url, method, event_type });
        id
    }
}

pub(super) fn keep<T>(memory: &mut VecDeque<T>, item: T) {
    if memory.len() == MEMORY {
        memory.pop_front();
    }
    memory.push_back(item);
}
