//! Everything about the PBX that a test or an operator may change while it runs: limits, pace, faults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Spelling;

/// The defaults are a PBX in good health at its natural pace. `PATCH /_sim/conditions` takes any of the fields as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Pace of calls: 1 is natural, 10 ten times as fast, 0 without any waiting, one event after another.
    pub speed: f64,

    /// Life of a token, seconds.
    pub token_life_s: i64,
    /// What the user answers when a public application asks for access.
    pub user_consents: bool,
    /// Requests per clock hour of the whole client (section 9.3).
    pub hourly_limit: u64,
    /// Subscriptions per extension.
    pub subscription_limit: usize,

    /// Resources that the application's access does not reach, by a part of their path, such as `ivr` (access Call API).
    pub forbidden: Vec<String>,
    /// Whether making and changing an IVR's rule heeds `position`.
    pub post_position: bool,
    pub put_position: bool,
    /// The PBX's clock is ahead of ours by this, seconds; in the `Date` of its replies.
    pub clock_ahead_s: i64,

    /// Each API reply waits this long first, milliseconds.
    pub slow_ms: u64,
    /// The next `fail_next` API requests get this status, whatever they ask.
    pub fail_status: u16,
    pub fail_next: u32,
    /// The next replies with a body break off in its middle.
    pub half_replies: u32,

    /// The call history lists calls that go on, without their ends; else only those that are over.
    pub history_running: bool,
    /// A page of the call history has at most so many calls, whatever was asked for.
    pub history_page: usize,
    /// A list of records or calls takes this long, milliseconds; a parallel one is refused meanwhile.
    pub list_ms: u64,
    /// From the hangup until the recording can be had, milliseconds.
    pub record_delay_ms: i64,
    /// Whether the provider has a storage server (section 2, item 16).
    pub storage: bool,
    /// Life of a storage link, seconds.
    pub link_life_s: i64,
    /// Whether the storage server honours `Range`.
    pub honour_range: bool,

    /// How long an integration may take to answer Call interactive, milliseconds.
    pub interactive_limit_ms: u64,
    /// How long a receiver of events may take, milliseconds. Nothing is ever sent again.
    pub delivery_limit_ms: u64,
    /// `CallFlow=in` in place of `IN`.
    pub lower_flow: bool,
    /// `+` in events is not escaped.
    pub bare_plus: bool,
    /// Click-to-call: the dial-out comes before the source picks up, else after (unknown which one; section 5.4, K).
    pub dial_out_first: bool,

    /// Decides which events the following four hit.
    pub fault_seed: u64,
    /// Share of events that never leave, 0 to 1.
    pub loss: f64,
    /// Share of events sent twice.
    pub duplicate: f64,
    /// Share of events that change places with the next one of their call.
    pub reorder: f64,
    /// Share of events that come late, by at most `delay_ms`.
    pub delay: f64,
    pub delay_ms: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions {
            speed: 1.0,
            token_life_s: 3_600,
            user_consents: true,
            hourly_limit: 10_000,
            subscription_limit: 20,
            forbidden: Vec::new(),
            post_position: false,
            put_position: true,
            clock_ahead_s: 0,
            slow_ms: 0,
            fail_status: 500,
            fail_next: 0,
            half_replies: 0,
            history_running: false,
            history_page: 1_000,
            list_ms: 0,
            record_delay_ms: 0,
            storage: true,
            link_life_s: 3_600,
            honour_range: true,
            interactive_limit_ms: 5_000,
            delivery_limit_ms: 10_000,
            lower_flow: false,
            bare_plus: false,
            dial_out_first: true,
            fault_seed: 0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            delay: 0.0,
            delay_ms: 0,
        }
    }
}

impl Conditions {
    /// Good health, without any waiting: what most tests want.
    pub fn instant() -> Conditions {
        Conditions { speed: 0.0, ..Conditions::default() }
    }

    pub fn is_instant(&self) -> bool {
        self.speed <= 0.0
    }

    pub fn spelling(&self) -> Spelling {
        Spelling { lower_flow: self.lower_flow, bare_plus: self.bare_plus }
    }

    /// Real time that this much time of a call takes.
    pub fn real(&self, call_time: Duration) -> Duration {
        if self.is_instant() { Duration::ZERO } else { call_time.div_f64(self.speed) }
    }

    /// These conditions with the fields that `patch` names.
    ///
    /// # Errors
    /// An unknown field, or a value of the wrong type or outside its range.
    pub fn patched(&self, patch: &serde_json::Value) -> Result<Conditions, String> {
        let mut value = serde_json::to_value(self).map_err(|e| e.to_string())?;
        let (Some(fields), Some(changes)) = (value.as_object_mut(), patch.as_object()) else { return Err("expected a JSON object".into()) };
        for (name, change) in changes {
            fields.insert(name.clone(), change.clone());
        }
        let new: Conditions = serde_json::from_value(value).map_err(|e| e.to_string())?;
        let shares = [new.loss, new.duplicate, new.reorder, new.delay];
        if !shares.iter().all(|s| (0.0..=1.0).contains(s)) || !(0.0..=10_000.0).contains(&new.speed) {
            return Err("loss, duplicate, reorder and delay are shares from 0 to 1, speed is from 0 to 10000".into());
        }
        if !(400..=599).contains(&new.fail_status) {
            return Err("fail_status is from 400 to 599".into());
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let before = Conditions::default();
        let after = before.patched(&json!({"loss": 0.5, "storage": false})).unwrap();
        assert_eq!(after, Conditions { loss: 0.5, storage: false, ..before.clone() });
        for bad in [json!({"los": 0.5}), json!({"loss": 2}), json!({"loss": "x"}), json!([]), json!({"fail_status": 200})] {
            assert!(before.patched(&bad).is_err(), "{bad}");
        }
    }
}
