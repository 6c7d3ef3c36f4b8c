//! A call in an IVR: the prompt of its node, and the keys that were pressed there.

use super::NORMAL_CLEARING;
use super::position::Left;
use super::turn::{Turn, go};
use super::walk::{Decided, Walk};
use crate::domain::ivr::PlayMode;
use crate::pbx::action::{Action, Prompt};
use crate::routing::entrance::{self, MOST_FAULTS, MOST_VISITS};
use crate::store::Result;

/// The keys that were pressed at a node, when the PBX tells of them; `None`: the call goes on from its place.
pub fn keys(walk: &mut Walk<'_>, node: &str) -> Result<Option<Decided>> {
    let report = &walk.asked.report;
    let Some(digits) = report.digits.clone().filter(|_| report.offer.is_none() || walk.position.is_current(report.offer.as_deref())) else {
        return Ok(None);
    };
    let pressed = if digits.is_empty() { "pressed no key".to_owned() } else { format!("pressed {digits}") };
    let Some(next) = entrance::pressed(&walk.app.spec, node, &digits) else {
        walk.position.faults += 1;
        if walk.position.faults > MOST_FAULTS {
            return walk
                .leave(Left::Hangup(NORMAL_CLEARING), format!("The caller {pressed} at {node}, once more without a way on."))
                .map(Some);
        }
        // The prompt is played again, under a token of its own.
        walk.position.token = None;
        walk.passed.push(format!("The caller {pressed} at {node}, which leads nowhere."));
        return Ok(None);
    };
    match go(walk, next, format!("The caller {pressed} at {node}."))? {
        Turn::Say(decided) => Ok(Some(decided)),
        Turn::Go(place, why) => {
            walk.passed.push(why);
            walk.position.go(place, walk.now);
            Ok(None)
        }
    }
}

pub fn prompt(walk: &mut Walk<'_>, id: &str) -> Result<Turn> {
    let Some(node) = walk.app.spec.ivr_node.iter().find(|n| n.id == id) else {
        let why = format!("The IVR node {id} is not there any more.");
        return Ok(Turn::Say(walk.leave(Left::Default, why)?));
    };
    let again = walk.position.token.clone();
    if again.is_none() {
        walk.position.visits += 1;
        if walk.position.visits > MOST_VISITS {
            let why = format!("The caller has heard {MOST_VISITS} prompts.");
            return Ok(Turn::Say(walk.leave(Left::Hangup(NORMAL_CLEARING), why)?));
        }
    }
    let offer = again.clone().unwrap_or_else(|| walk.fresh_token());
    let action = Action::Prompt(Prompt {
        node: node.id.clone(),
        mode: if node.node_play_mode == PlayMode::Talk { "talk" } else { "play" },
        content: node.node_play_content.clone(),
        barge_in: node.barge_in,
        loops: node.loop_count,
        pause_ms: node.sched,
        timeout_s: node.keypress_timeout,
        voice: node.voice.clone(),
        speed: node.speed,
        offer,
    });
    if again.is_some() {
        return Ok(Turn::Say(Decided::again(action)));
    }
    Ok(Turn::Say(Decided::plain(action, format!("The caller hears {}.", node.node_name))))
}
