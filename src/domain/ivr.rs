//! IVR trees as they are declared: nodes that speak, keys that lead on (Stringee page, section 3.7).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spec::Application;
use crate::text_enum;

text_enum! {
    /// How a node speaks.
    pub enum PlayMode {
        /// Text to speech.
        Talk = "talk",
        /// A file.
        Play = "play",
    }
}

/// `[[application.ivr_tree]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IvrTree {
    #[serde(default)]
    pub id: String,
    pub tree_name: String,
    /// Where it begins; absent: at the first of its nodes, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_node: Option<String>,
}

/// `[[application.ivr_node]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IvrNode {
    #[serde(default)]
    pub id: String,
    pub tree: String,
    pub node_name: String,
    pub node_play_mode: PlayMode,
    /// The text, or the file's name.
    pub node_play_content: String,
    /// A key ends the prompt.
    #[serde(default = "yes")]
    pub barge_in: bool,
    /// How many times the prompt plays, 1 to 10.
    #[serde(default = "one")]
    pub loop_count: i64,
    /// Milliseconds of silence before the prompt.
    #[serde(default)]
    pub sched: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// -3 to 3; talk only.
    #[serde(default)]
    pub speed: i64,
    /// Seconds that a key is waited for after the prompt, 1 to 60.
    #[serde(default = "five")]
    pub keypress_timeout: i64,
}

fn yes() -> bool {
    true
}

fn one() -> i64 {
    1
}

fn five() -> i64 {
    5
}

/// No key was pressed.
pub const EMPTY_KEY: &str = "EMPTY_KEY";
/// A key that leads nowhere.
pub const INVALID_KEY: &str = "INVALID_KEY";

/// What a key does, by its number in the declaration.
pub mod action {
    pub const VOICEMAIL: i32 = 1;
    pub const QUEUE: i32 = 2;
    pub const NUMBER: i32 = 3;
    pub const NODE: i32 = 4;
    pub const STOP: i32 = 6;
}

/// `[[application.ivr_key]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IvrKey {
    #[serde(default)]
    pub id: String,
    pub node: String,
    /// `0` to `9`, `*`, `#`, `EMPTY_KEY` (none in time) or `INVALID_KEY` (one that leads nowhere).
    pub node_key: String,
    /// 1 voicemail, 2 queue, 3 phone number, 4 another node, 6 end of the call.
    pub action: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_phone_number: Option<String>,
}

/// The node where a tree begins.
pub fn entry<'a>(app: &'a Application, tree: &IvrTree) -> Option<&'a IvrNode> {
    match &tree.root_node {
        Some(id) => app.ivr_node.iter().find(|n| n.id == *id && n.tree == tree.id),
        None => app.ivr_node.iter().filter(|n| n.tree == tree.id).min_by_key(|n| &n.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_that_says_no_more_is_ended_by_a_key_plays_once_and_waits_five_seconds() {
        let bare = json!({"tree": "m", "node_name": "n", "node_play_mode": "talk", "node_play_content": "x"});
        let node: IvrNode = serde_json::from_value(bare).expect("a node");
        assert_eq!((node.barge_in, node.loop_count, node.keypress_timeout, node.sched, node.speed), (true, 1, 5, 0, 0));
    }
}
