//! What comes next for a call in each place that it can be in.

use super::position::{InQueue, Left, Place};
use super::walk::{Decided, Walk};
use super::{NORMAL_CLEARING, REJECTED, chain, ivr, queue};
use crate::domain::queue::Target;
use crate::routing::entrance::{self, Next};
use crate::store::Result;

pub enum Turn {
    Say(Decided),
    /// On to another place, and why.
    Go(Place, String),
}

pub fn next(walk: &mut Walk<'_>) -> Result<Turn> {
    match walk.position.place.clone() {
        Place::Start => {
            let (next, why) = entrance::enter(&walk.app.spec, walk.row.did.as_deref(), &walk.row.caller);
            go(walk, next, why)
        }
        Place::Node(node) => ivr::prompt(walk, &node),
        Place::Chain(step) => chain::chain(walk, step),
        Place::Queue(at) => queue::queue(walk, at),
        Place::Left(left) => Ok(Turn::Say(walk.leave(left, String::new())?)),
    }
}

pub fn go(walk: &mut Walk<'_>, next: Next, why: String) -> Result<Turn> {
    let left = match next {
        Next::Node(node) => return Ok(Turn::Go(Place::Node(node), why)),
        Next::Chain => return Ok(Turn::Go(Place::Chain(0), why)),
        Next::To(Target::Queue(id)) => return Ok(Turn::Go(Place::Queue(InQueue { id, step: None }), why)),
        Next::To(Target::Number(number)) => Left::Forward(number),
        Next::To(Target::Voicemail) => Left::Voicemail(walk.row.queue.clone().or(walk.row.did.clone()).unwrap_or_default()),
        Next::To(Target::Hangup) => Left::Hangup(NORMAL_CLEARING),
        Next::Blocked => Left::Hangup(REJECTED),
        Next::Default => Left::Default,
    };
    Ok(Turn::Say(walk.leave(left, why)?))
}
