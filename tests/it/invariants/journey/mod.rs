//! A call on its way through the doors, slowly and from the documents alone: the number that was called, the nodes of an IVR, the steps of the
//! responsible chain, queues and where their overflows lead. It keeps its own account of where a call is and since when, and says what the PBX
//! must be told now. Who is free in a queue is the [reference](super::reference)'s.

mod agents;

use std::collections::{BTreeMap, BTreeSet};

use hookflash::domain::ivr::{EMPTY_KEY, INVALID_KEY, IvrKey};
use hookflash::domain::time::Timestamp;

use super::reference::{Expected, Room, Waiting};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Rings {
        who: Expected,
        for_s: i64,
        place: String,
    },
    Outside {
        number: String,
        for_s: i64,
    },
    Waits {
        place: String,
        greeting: Option<String>,
    },
    Plays(String),
    Forwards(String),
    /// To the mailbox of this name.
    Voicemail(String),
    HangsUp(i32),
    OwnRoute,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Door,
    Node(String),
    Step(usize),
    /// Maybe as a step of the chain; when it joined, if it has.
    Queue {
        id: String,
        step: Option<usize>,
        joined: Option<Timestamp>,
    },
    Left(Told),
}

/// What is known of a call that asks.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    pub id: String,
    pub caller: String,
    pub did: String,
    pub tries: BTreeMap<String, u32>,
    pub owner: Option<String>,
    pub deputy: Option<String>,
    pub last_agent: Option<String>,
    /// The keys that were pressed at the last prompt.
    pub digits: Option<String>,
    /// The outside number that was rung has not taken it.
    pub outside_failed: bool,
    /// It was not asked about for so long that it counted as gone.
    pub gone: bool,
    /// Somebody was rung: only that tells what a lot came to.
    pub rang: bool,
}

#[derive(Clone, Debug)]
pub struct Journey {
    pub place: Place,
    pub since: Timestamp,
    first_joined: Option<Timestamp>,
    pub rank_at: i64,
    prompts: u32,
    faults: u32,
    /// The prompt of its node is yet to be told.
    fresh: bool,
    /// Its times in queues, and what became of those that are over.
    pub times: Vec<(String, Option<&'static str>)>,
}

impl Journey {
    pub fn begins(now: Timestamp) -> Journey {
        Journey {
            place: Place::Door,
            since: now,
            first_joined: None,
            rank_at: now.0,
            prompts: 0,
            faults: 0,
            fresh: false,
            times: Vec::new(),
        }
    }

    /// What the PBX is told now, unless phones ring for the call.
    pub fn goes_on(&mut self, room: &Room<'_>, mut asks: Asks) -> Told {
        if asks.gone
            && let Place::Queue { joined, .. } = &mut self.place
            && joined.take().is_some()
        {
            self.end_time("abandoned");
        }
        if let (Place::Node(node), Some(digits)) = (self.place.clone(), &asks.digits) {
            match key(room, &node, digits) {
                Some(key) => {
                    let key = key.clone();
                    if let Some(told) = self.pressed(room, &asks, &key) {
                        return told;
                    }
                }
                None => {
                    (self.faults, self.fresh) = (self.faults + 1, true);
                    if self.faults > 3 {
                        return self.leave(Told::HangsUp(16));
                    }
                }
            }
        }
        let mut been = BTreeSet::new();
        loop {
            let told = match self.place.clone() {
                Place::Door => self.enters(room, &asks),
                Place::Node(node) => Some(self.hears(node)),
                Place::Step(n) => self.step(room, &mut asks, n),
                Place::Queue { id, step, joined } => self.queue(room, &asks, &mut been, (id, step, joined)),
                Place::Left(told) => Some(told),
            };
            if let Some(told) = told {
                return told;
            }
        }
    }

    /// As one of those who wait, where it does.
    pub fn waiting(&self, asks: &Asks) -> Option<Waiting> {
        let Place::Queue { id, joined: Some(joined), .. } = &self.place else { return None };
        Some(Waiting {
            id: asks.id.clone(),
            caller: asks.caller.clone(),
            queue: id.clone(),
            rank_at: self.rank_at,
            joined_at: joined.0,
            tries: asks.tries.clone(),
            wants: true,
            is_new: false,
            once: false,
        })
    }

    fn go(&mut self, room: &Room<'_>, place: Place) -> Option<Told> {
        (self.place, self.since, self.faults, self.fresh) = (place, room.now, 0, true);
        None
    }

    fn leave(&mut self, told: Told) -> Told {
        self.place = Place::Left(told.clone());
        told
    }

    fn end_time(&mut self, outcome: &'static str) {
        if let Some((_, end @ None)) = self.times.last_mut() {
            *end = Some(outcome);
        }
    }

    fn enters(&mut self, room: &Room<'_>, asks: &Asks) -> Option<Told> {
        let Some(number) = room.spec.number.iter().find(|n| n.number == asks.did) else { return Some(self.leave(Told::OwnRoute)) };
        if number.enable_ivr {
            if room.spec.blacklist.iter().any(|b| b.number == asks.caller && b.ivr_blocked) {
                return Some(self.leave(Told::HangsUp(21)));
            }
            let tree = room.spec.ivr_tree.iter().find(|t| Some(&t.id) == number.ivr_menu.as_ref()).expect("a tree");
            let mut nodes: Vec<&String> = room.spec.ivr_node.iter().filter(|n| n.tree == tree.id).map(|n| &n.id).collect();
            nodes.sort();
            let root = tree.root_node.clone().unwrap_or_else(|| nodes[0].clone());
            return self.go(room, Place::Node(root));
        }
        if number.responsible {
            if room.spec.blacklist.iter().any(|b| b.number == asks.caller && b.queue_blocked) {
                return Some(self.leave(Told::HangsUp(21)));
            }
            return self.go(room, Place::Step(0));
        }
        self.after_chain(room, asks)
    }

    fn after_chain(&mut self, room: &Room<'_>, asks: &Asks) -> Option<Told> {
        let number = room.spec.number.iter().find(|n| n.number == asks.did);
        match number.and_then(|n| n.queue.clone()) {
            Some(id) => self.go(room, Place::Queue { id, step: None, joined: None }),
            None => Some(self.leave(Told::OwnRoute)),
        }
    }

    fn hears(&mut self, node: String) -> Told {
        if self.fresh {
            (self.prompts, self.fresh) = (self.prompts + 1, false);
        }
        if self.prompts > 50 { self.leave(Told::HangsUp(16)) } else { Told::Plays(node) }
    }

    fn pressed(&mut self, room: &Room<'_>, asks: &Asks, key: &IvrKey) -> Option<Told> {
        match key.action {
            1 => self.sent(room, asks, "voicemail", 16),
            2 => self.sent(room, asks, &format!("queue:{}", key.queue_id.as_ref().expect("a queue")), 16),
            3 => self.sent(room, asks, &format!("number:{}", key.to_phone_number.as_ref().expect("a number")), 16),
            4 => self.go(room, Place::Node(key.next_node.clone().expect("a node"))),
            _ => self.sent(room, asks, "hangup", 16),
        }
    }

    /// To `queue:ID`, `number:+…`, `voicemail`, or the end with a cause.
    fn sent(&mut self, room: &Room<'_>, asks: &Asks, to: &str, cause: i32) -> Option<Told> {
        match to.split_once(':') {
            Some(("queue", id)) => self.go(room, Place::Queue { id: id.to_owned(), step: None, joined: None }),
            Some((_, number)) => Some(self.leave(Told::Forwards(number.to_owned()))),
            None if to == "voicemail" => {
                let mailbox = self.times.last().map_or(&asks.did, |(queue, _)| queue).clone();
                Some(self.leave(Told::Voicemail(mailbox)))
            }
            None => Some(self.leave(Told::HangsUp(cause))),
        }
    }
}

/// The first of the keys that were pressed, or that none was; another one leads where `INVALID_KEY` says.
fn key<'a>(room: &'a Room<'_>, node: &str, digits: &str) -> Option<&'a IvrKey> {
    let find = |name: &str| room.spec.ivr_key.iter().find(|k| k.node == node && k.node_key == name);
    match digits.get(..1) {
        None => find(EMPTY_KEY),
        Some(first) => find(first).or_else(|| find(INVALID_KEY)),
    }
}
