//! Queues, numbers and what a caller may meet before an agent, as they are declared. Fields, defaults and limits: Stringee page, sections 3
//! and 12; names ours.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text_enum;

text_enum! {
    /// How a queue chooses among the agents who are free (routing reference, section 3).
    pub enum Strategy {
        /// Who was neither busy nor offered a call for the longest time.
        LongestIdle = "longest_idle",
        /// Whose last offer lies furthest back.
        RoundRobin = "round_robin",
        /// In the order of the groups and their lists.
        TopDown = "top_down",
        /// As many as `ring_at_once` together.
        RingAll = "ring_all",
        /// One, and one more every `ring_step_s`.
        RingProgressively = "ring_progressively",
        /// Who has answered the fewest calls of queues within `window_s`.
        FewestCalls = "fewest_calls",
        /// Who has talked least in calls of queues within `window_s`.
        LeastTalkTime = "least_talk_time",
        Random = "random",
        /// By chance, in proportion to the agents' `weight`.
        WeightedRandom = "weighted_random",
        /// Who is best at the queue's `skills`.
        HighestSkill = "highest_skill",
    }
}

text_enum! {
    /// What the opening of the backup groups means for the primary ones.
    pub enum BackupMode {
        /// They ring too.
        Widen = "widen",
        /// They ring no more.
        Replace = "replace",
    }
}

/// `[[application.queue]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    pub id: String,
    pub name: String,
    pub strategy: Strategy,
    /// Seconds that one agent is rung, 3 to 120.
    pub wait_agent_answer_timeout: i64,
    /// Whether an agent has wrap-up after a call.
    pub agent_wrap_up_after_calls: bool,
    /// Seconds of wrap-up after a call, 0 to 3600.
    pub wrap_up_time_limit: i64,
    pub primary_groups: Vec<String>,
    pub backup_groups: Vec<String>,
    /// Seconds of waiting after which the backup groups are asked too; at once when nobody of the primary ones is on duty.
    pub route_to_backup_groups_after: i64,
    pub backup_mode: BackupMode,
    /// Skills that an agent needs, as `english` or `english:3` (level 3 at least).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Of two waiting calls the one of the higher priority is served first, until the other has waited longer by `priority_age_s` a point.
    pub priority: i64,
    pub priority_age_s: i64,
    /// Calls that may wait, 0 to 1000. With 0 a call is taken only when an agent is free.
    pub maximum_queue_size: i64,
    /// Seconds that a call may wait, 0 to 86400; 0: without end.
    pub maximum_queue_wait_time: i64,
    /// Where a call goes for which there is no place: `queue:ID`, `number:+…`, `voicemail` or `hangup`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_full: Option<String>,
    /// Where a call goes that has waited too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_timeout: Option<String>,
    /// Where a call goes outside business hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_closed: Option<String>,
    /// Where a call goes when nobody is on duty; absent: it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_no_staff: Option<String>,
    /// Calls that find no place, or wait too long, go to voicemail, unless `overflow_…` says otherwise; without it they are ended.
    pub enable_voicemail: bool,
    /// 1: always open; 2: in the hours of `business_hours_id`.
    pub schedule: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_hours_id: Option<String>,
    pub record_calls: bool,
    /// A file played to those who wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_greeting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_greeting: Option<String>,
    /// The number shown to agents who are rung on their own phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_number_callout_to_agent: Option<String>,
    /// The most agents that ring together, 1 to 50.
    pub ring_at_once: i64,
    /// Seconds until one more agent rings, 3 to 120.
    pub ring_step_s: i64,
    /// How far back calls and talk time count, seconds.
    pub window_s: i64,
    pub sla_target_percent: i64,
    pub sla_answered_within: i64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            strategy: Strategy::LongestIdle,
            wait_agent_answer_timeout: 15,
            agent_wrap_up_after_calls: true,
            wrap_up_time_limit: 10,
            primary_groups: Vec::new(),
            backup_groups: Vec::new(),
            route_to_backup_groups_after: 15,
            backup_mode: BackupMode::Widen,
            skills: Vec::new(),
            priority: 0,
            priority_age_s: 60,
            maximum_queue_size: 5,
            maximum_queue_wait_time: 60,
            overflow_full: None,
            overflow_timeout: None,
            overflow_closed: None,
            overflow_no_staff: None,
            enable_voicemail: false,
            schedule: 1,
            business_hours_id: None,
            record_calls: true,
            wait_greeting: None,
            hold_greeting: None,
            from_number_callout_to_agent: None,
            ring_at_once: 10,
            ring_step_s: 5,
            window_s: 3_600,
            sla_target_percent: 80,
            sla_answered_within: 20,
        }
    }
}

impl Queue {
    /// Seconds that an agent is left alone after a call of this queue.
    pub fn wrap_up_s(&self) -> i64 {
        if self.agent_wrap_up_after_calls { self.wrap_up_time_limit } else { 0 }
    }

    /// Where a call goes that leaves by this door.
    pub fn overflow(&self, door: Door) -> Option<Target> {
        let declared = match door {
            Door::Full => &self.overflow_full,
            Door::Timeout => &self.overflow_timeout,
            Door::Closed => &self.overflow_closed,
            Door::NoStaff => return Target::parse(self.overflow_no_staff.as_deref()?),
        };
        let otherwise = if self.enable_voicemail { Target::Voicemail } else { Target::Hangup };
        Some(declared.as_deref().and_then(Target::parse).unwrap_or(otherwise))
    }

    /// The keys that name a target, with what they hold.
    pub fn overflows(&self) -> [(&'static str, &Option<String>); 4] {
        [
            ("overflow_full", &self.overflow_full),
            ("overflow_timeout", &self.overflow_timeout),
            ("overflow_closed", &self.overflow_closed),
            ("overflow_no_staff", &self.overflow_no_staff),
        ]
    }
}

text_enum! {
    /// Why a call leaves a queue without an agent.
    pub enum Door {
        Full = "full",
        Timeout = "timed_out",
        Closed = "closed_hours",
        NoStaff = "no_staff",
    }
}

text_enum! {
    /// What became of a call in a queue (routing reference, section 2).
    pub enum EntryOutcome {
        Answered = "answered",
        Abandoned = "abandoned",
        Overflowed = "overflowed",
        TimedOut = "timed_out",
        ClosedHours = "closed_hours",
        Full = "full",
        NoStaff = "no_staff",
    }
}

/// Where a call can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Queue(String),
    Number(String),
    Voicemail,
    Hangup,
}

impl Target {
    pub fn parse(text: &str) -> Option<Target> {
        match text.split_once(':') {
            Some(("queue", id)) => Some(Target::Queue(id.to_owned())),
            Some(("number", number)) => Some(Target::Number(number.to_owned())),
            None if text == "voicemail" => Some(Target::Voicemail),
            None if text == "hangup" => Some(Target::Hangup),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Queue(id) => write!(f, "queue:{id}"),
            Target::Number(number) => write!(f, "number:{number}"),
            Target::Voicemail => f.write_str("voicemail"),
            Target::Hangup => f.write_str("hangup"),
        }
    }
}

/// A skill as it is written: its name and its level, 1 when none is given.
pub fn skill(text: &str) -> (&str, i64) {
    match text.split_once(':') {
        Some((name, level)) => (name, level.parse().unwrap_or(0)),
        None => (text, 1),
    }
}

/// `[[application.number]]`: a public number of the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Number {
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// True: a caller meets the tree of `ivr_menu` first.
    #[serde(default)]
    pub enable_ivr: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ivr_menu: Option<String>,
    /// True: the application's responsible chain is asked first, then the queue.
    #[serde(default)]
    pub responsible: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(default = "yes")]
    pub allow_outbound_calls: bool,
    #[serde(default = "yes")]
    pub all_group_can_make_outbound_call: bool,
    #[serde(default)]
    pub record_outbound_calls: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// `[[application.blacklist]]`: a caller who is not let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Blacklisted {
    pub number: String,
    /// Turned away where an IVR begins.
    #[serde(default = "yes")]
    pub ivr_blocked: bool,
    /// Turned away where a queue or the responsible chain begins.
    #[serde(default = "yes")]
    pub queue_blocked: bool,
    /// Not called either, as the one or the other side of a click-to-call.
    #[serde(default)]
    pub outbound_blocked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_up_is_as_long_as_the_queue_says_where_it_has_any() {
        let queue = |wrap_up, limit| Queue { agent_wrap_up_after_calls: wrap_up, wrap_up_time_limit: limit, ..Queue::default() };
        assert_eq!((queue(true, 30).wrap_up_s(), queue(true, 0).wrap_up_s(), queue(false, 30).wrap_up_s()), (30, 0, 0));
    }

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for (text, target) in [
            ("queue:main", Target::Queue("main".into())),
            ("number:+79990001122", Target::Number("+79990001122".into())),
            ("voicemail", Target::Voicemail),
            ("hangup", Target::Hangup),
        ] {
            assert_eq!(Target::parse(text).as_ref(), Some(&target));
            assert_eq!(target.to_string(), text);
        }
        for text in ["", "voicemail:main", "Hangup", "agent:ann"] {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
