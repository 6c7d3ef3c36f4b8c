//! Where a call goes before it looks for an agent: the number it came through, the keys of an IVR, the doors of a queue.

use serde::{Deserialize, Serialize};

use crate::domain::hours::BusinessHours;
use crate::domain::ivr::{EMPTY_KEY, INVALID_KEY, IvrKey, action, entry};
use crate::domain::queue::{Door, Queue, Target};
use crate::domain::spec::{Application, Number};
use crate::domain::time::Timestamp;

/// More nodes than this is a caller who goes in circles (Stringee page, section 12).
pub const MOST_VISITS: u32 = 50;
/// So often a node is played again to a caller whose key leads nowhere (section 3.7).
pub const MOST_FAULTS: u32 = 3;

/// What comes next for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The prompt of this node.
    Node(String),
    /// The responsible chain.
    Chain,
    To(Target),
    /// What the PBX does by itself with such a call.
    Default,
    /// The caller is not let in.
    Blocked,
}

/// Where a call through `did` begins, with the reason.
pub fn enter(app: &Application, did: Option<&str>, caller: &str) -> (Next, String) {
    let Some(number) = did.and_then(|did| app.number.iter().find(|n| n.number == did)) else {
        return (Next::Default, format!("The number {} is not one of this application.", did.unwrap_or("that was dialled")));
    };
    let tree = number.ivr_menu.as_deref().filter(|_| number.enable_ivr).and_then(|id| app.ivr_tree.iter().find(|t| t.id == id));
    let listed = app.blacklist.iter().find(|b| b.number == caller);
    match tree.and_then(|tree| entry(app, tree)) {
        Some(_) if listed.is_some_and(|b| b.ivr_blocked) => (Next::Blocked, "The caller is on the blacklist for the IVR.".into()),
        Some(node) => (Next::Node(node.id.clone()), format!("The number begins with the IVR node {}.", node.node_name)),
        // Those whom the chain would ring are spared him as those of a queue are.
        None if number.responsible && listed.is_some_and(|b| b.queue_blocked) => {
            (Next::Blocked, "The caller is on the blacklist for queues.".into())
        }
        None if number.responsible => (Next::Chain, "The number asks for the responsible manager first.".into()),
        None => after_chain(number),
    }
}

/// Where a call goes for which the responsible chain found nobody.
pub fn after_chain(number: &Number) -> (Next, String) {
    match &number.queue {
        Some(queue) => (Next::To(Target::Queue(queue.clone())), format!("The number leads to queue {queue}.")),
        None => (Next::Default, "The number leads to no queue.".into()),
    }
}

/// Where the keys that a caller pressed at a node lead; `None`: nowhere, and the node plays again. Empty digits: none in time.
pub fn pressed(app: &Application, node: &str, digits: &str) -> Option<Next> {
    let key = |name: &str| app.ivr_key.iter().find(|k| k.node == node && k.node_key == name);
    let found = match digits.chars().next() {
        None => key(EMPTY_KEY),
        Some(first) => key(first.encode_utf8(&mut [0; 4])).or_else(|| key(INVALID_KEY)),
    };
    found.map(leads_to)
}

fn leads_to(key: &IvrKey) -> Next {
    match (key.action, &key.queue_id, &key.to_phone_number, &key.next_node) {
        (action::QUEUE, Some(queue), ..) => Next::To(Target::Queue(queue.clone())),
        (action::NUMBER, _, Some(number), _) => Next::To(Target::Number(number.clone())),
        (action::NODE, .., Some(node)) => Next::Node(node.clone()),
        (action::VOICEMAIL, ..) => Next::To(Target::Voicemail),
        _ => Next::To(Target::Hangup),
    }
}

/// The limits that a queue's doors stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds of waiting; 0: none.
    pub wait_s: i64,
    /// Calls that may wait.
    pub room: i64,
    /// A call leaves when nobody is on duty.
    pub needs_staff: bool,
}

impl Limits {
    pub fn of(queue: &Queue) -> Limits {
        Limits { wait_s: queue.maximum_queue_wait_time, room: queue.maximum_queue_size, needs_staff: queue.overflow_no_staff.is_some() }
    }
}

/// What a queue's doors are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub limits: Limits,
    /// Outside business hours.
    pub closed: bool,
    pub waited_us: i64,
    /// Others who wait in it.
    pub waiting: i64,
    /// This call has only just come.
    pub is_new: bool,
    pub someone_free: bool,
    pub staffed: bool,
}

/// The door by which a call has to leave a queue now. A closed queue offers nobody to anybody; any other does as long as somebody is free.
pub fn door(gate: &Gate) -> Option<Door> {
    let limit_us = gate.limits.wait_s.saturating_mul(1_000_000);
    if gate.closed {
        Some(Door::Closed)
    } else if gate.someone_free {
        None
    } else if limit_us > 0 && gate.waited_us >= limit_us {
        Some(Door::Timeout)
    } else if !gate.staffed && gate.limits.needs_staff {
        Some(Door::NoStaff)
    } else if gate.is_new && gate.waiting >= gate.limits.room {
        Some(Door::Full)
    } else {
        None
    }
}

/// Hours that are not there are closed.
pub fn is_open(app: &Application, queue: &Queue, now: Timestamp) -> bool {
    if queue.schedule != 2 {
        return true;
    }
    let hours: Option<&BusinessHours> = app.business_hours.iter().find(|h| queue.business_hours_id.as_ref() == Some(&h.id));
    hours.is_some_and(|h| h.is_open(now, &app.timezone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app() -> Application {
        serde_json::from_value(json!({
            "id": 1, "name": "Shop", "pbx": "asterisk", "login": "p",
            "queue": [{"id": "main", "name": "Main", "maximum_queue_size": 2, "maximum_queue_wait_time": 10, "overflow_no_staff": "hangup"}],
            "number": [
                {"number": "+74955550100", "queue": "main"}, {"number": "+74955550101", "responsible": true, "queue": "main"},
                {"number": "+74955550102", "enable_ivr": true, "ivr_menu": "m", "queue": "main"}, {"number": "+74955550103"},
            ],
            "ivr_tree": [{"id": "m", "tree_name": "M"}],
            "ivr_node": [
                {"id": "b", "tree": "m", "node_name": "B", "node_play_mode": "talk", "node_play_content": "b"},
                {"id": "a", "tree": "m", "node_name": "A", "node_play_mode": "talk", "node_play_content": "a"},
            ],
            "ivr_key": [
                {"id": "1", "node": "a", "node_key": "1", "action": 1}, {"id": "2", "node": "a", "node_key": "#", "action": 2, "queue_id": "main"},
                {"id": "3", "node": "a", "node_key": "EMPTY_KEY", "action": 6}, {"id": "4", "node": "b", "node_key": "INVALID_KEY", "action": 4, "next_node": "a"},
            ],
            "blacklist": [{"number": "+79990000666"}],
        }))
        .expect("an application")
    }

    #[test]
    fn each_number_has_its_beginning() {
        let enters = |did: &str, caller: &str| enter(&app(), Some(did), caller).0;
        let main = Next::To(Target::Queue("main".into()));
        assert_eq!(enters("+74955550100", "+79990000666"), main, "the queue has a door of its own for those");
        assert_eq!(enters("+74955550101", "+79990001101"), Next::Chain);
        assert_eq!(enters("+74955550101", "+79990000666"), Next::Blocked, "nobody of the chain is rung for him");
        assert_eq!(enters("+74955550102", "+79990001101"), Next::Node("a".into()), "the first node by id is the root");
        assert_eq!(enters("+74955550102", "+79990000666"), Next::Blocked);
        assert_eq!(
            (enters("+74955550103", "x"), enters("+74955550199", "x"), enter(&app(), None, "x").0),
            (Next::Default, Next::Default, Next::Default)
        );
    }

    #[test]
    fn keys_lead_where_they_are_declared_to() {
        let app = app();
        for (node, digits, expected) in [
            ("a", "1", Some(Next::To(Target::Voicemail))),
            ("a", "#5", Some(Next::To(Target::Queue("main".into())))),
            ("a", "", Some(Next::To(Target::Hangup))),
            ("a", "7", None),
            ("b", "7", Some(Next::Node("a".into()))),
            ("b", "", None),
            ("none", "1", None),
        ] {
            assert_eq!(pressed(&app, node, digits), expected, "{node} {digits}");
        }
    }

    #[test]
    fn the_doors_of_a_queue() {
        let limits = Limits::of(&app().queue[0]);
        let gate = Gate { limits, closed: false, waited_us: 0, waiting: 0, is_new: true, someone_free: false, staffed: true };
        for (gate, expected) in [
            (gate, None),
            (Gate { waiting: 1, ..gate }, None),
            (Gate { waiting: 2, ..gate }, Some(Door::Full)),
            (Gate { waiting: 2, is_new: false, ..gate }, None),
            (Gate { waiting: 2, someone_free: true, ..gate }, None),
            (Gate { waited_us: 10_000_000, ..gate }, Some(Door::Timeout)),
            (Gate { waited_us: 9_999_999, ..gate }, None),
            (Gate { waited_us: 10_000_000, someone_free: true, ..gate }, None),
            (Gate { staffed: false, ..gate }, Some(Door::NoStaff)),
            (Gate { closed: true, someone_free: true, ..gate }, Some(Door::Closed)),
        ] {
            assert_eq!(door(&gate), expected, "{gate:?}");
        }
        let waits = Limits { needs_staff: false, wait_s: 0, ..limits };
        assert_eq!(door(&Gate { limits: waits, staffed: false, waited_us: i64::MAX, ..gate }), None);
    }

    #[test]
    fn a_queue_is_open_always_or_in_hours_that_are_there() {
        let mut app = app();
        let kept = Queue { schedule: 2, business_hours_id: Some("day".into()), ..app.queue[0].clone() };
        let monday_noon = Timestamp(1_767_600_000_000_000);
        assert!(is_open(&app, &app.queue[0], monday_noon) && !is_open(&app, &kept, monday_noon));
        app.business_hours =
            serde_json::from_value(json!([{"id": "day", "name": "Day", "weekly": [{"day": 1, "from": "00:00", "to": "23:00"}]}]))
                .expect("hours");
        assert!(is_open(&app, &kept, monday_noon) && !is_open(&app, &kept, monday_noon.plus_s(86_400)));
    }
}
