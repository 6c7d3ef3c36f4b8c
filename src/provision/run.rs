//! The loop over one part: look, plan, do, look again.

use super::line::{self, Line};
use super::{Outcome, Stop, Task, outcome};
use crate::gateway::GatewayError;
use crate::net::Request;
use crate::pbx::setup::{Change, Memory, Part, Seen, Trouble};

/// A part that differs after so many rounds is one that somebody else keeps changing, or that the PBX does not change as asked.
const ROUNDS: usize = 24;

/// Everything that the part's plan wants to know.
pub async fn look(line: &impl Line, part: &dyn Part) -> Result<Result<Vec<Seen>, Trouble>, Stop> {
    let mut seen = Vec::new();
    loop {
        match part.ask(&seen) {
            Ok(Some(request)) => seen.push(line::look(line, request).await?),
            Ok(None) => return Ok(Ok(seen)),
            Err(trouble) => return Ok(Err(trouble)),
        }
    }
}

pub async fn set_up(line: &impl Line, part: &dyn Part, task: Task) -> Result<Outcome, Stop> {
    let mut memory = line.memory(&part.name()).await?;
    let mut changes = Vec::new();
    let wanted = task.wants(part);
    let reached = reach(line, part, wanted, &mut memory, &mut changes).await?;
    if let Reached::Not { half, .. } = &reached
        && wanted
        && (*half || !changes.is_empty())
        && part.cost() > 0
    {
        // What was begun and cannot be completed goes again, all of it.
        let undone = reach(line, part, false, &mut memory, &mut changes).await?;
        let Reached::Not { trouble, .. } = reached else { unreachable!("matched above") };
        return Ok(match undone {
            Reached::All => outcome(part, task, Vec::new(), Some(trouble)),
            Reached::Not { trouble: why, .. } => {
                let both = Trouble::Stuck(format!("{trouble}; and what was begun could not be undone: {why}"));
                outcome(part, task, changes, Some(both))
            }
        });
    }
    Ok(match reached {
        Reached::All => outcome(part, task, summed(changes), None),
        Reached::Not { trouble, .. } => outcome(part, task, summed(changes), Some(trouble)),
    })
}

enum Reached {
    All,
    /// `half`: some of ours is there and some is not.
    Not {
        trouble: Trouble,
        half: bool,
    },
}

async fn reach(line: &impl Line, part: &dyn Part, wanted: bool, memory: &mut Memory, changes: &mut Vec<Change>) -> Result<Reached, Stop> {
    // What could not be done, with how it looked then: the same again would be refused again.
    let mut refused: Vec<(Request, Trouble)> = Vec::new();
    let mut last: Option<(Vec<bytes::Bytes>, Request)> = None;
    let mut half = false;
    for round in 0..ROUNDS {
        let seen = match look(line, part).await? {
            Ok(seen) => seen,
            Err(trouble) => return Ok(Reached::Not { trouble, half }),
        };
        let plan = match part.plan(&seen, memory, wanted) {
            Ok(plan) => plan,
            Err(trouble) => return Ok(Reached::Not { trouble, half }),
        };
        half = plan.half;
        if plan.memory != *memory {
            line.remember(&part.name(), &plan.memory).await?;
            *memory = plan.memory;
        }
        let steps: Vec<_> = plan.next.into_iter().filter(|s| refused.iter().all(|(r, _)| *r != s.request)).collect();
        let Some(first) = steps.first() else {
            let why = plan.trouble.or_else(|| refused.into_iter().next().map(|(_, trouble)| trouble));
            return Ok(match why {
                Some(trouble) => Reached::Not { trouble, half },
                None => Reached::All,
            });
        };
        // The same step on the same state: what was done before had no effect.
        let picture: Vec<bytes::Bytes> = seen.iter().filter_map(|s| Some(s.reply.as_ref()?.body.clone())).collect();
        let now = Some((picture, first.request.clone()));
        if now == last {
            let trouble = Trouble::Stuck(format!("the PBX takes the request and does not do it: {}", first.change.text));
            return Ok(Reached::Not { trouble, half });
        }
        last = now;
        if round == 0 {
            afford(line, part).await?;
        }
        for step in steps {
            match line.send(step.request.clone()).await {
                Ok(reply) => {
                    changes.push(step.change.clone());
                    let learnt = part.learn(memory.clone(), &step, &reply);
                    if learnt != *memory {
                        line.remember(&part.name(), &learnt).await?;
                        *memory = learnt;
                    }
                }
                // Somebody else has removed it, or nobody knows whether it is done: the next look tells.
                Err(GatewayError::Refused { status: 404, .. } | GatewayError::Unclear(_)) => break,
                Err(GatewayError::Refused { status, words }) => {
                    refused.push((step.request.clone(), Trouble::of(status, &step.change.text, &words)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    let trouble = Trouble::Stuck("it was changed by somebody else again and again; run it again when nobody works on it".into());
    Ok(Reached::Not { trouble, half })
}

/// Does not begin what this hour's limit would leave half done.
async fn afford(line: &impl Line, part: &dyn Part) -> Result<(), Stop> {
    match line.left().await? {
        Some(left) if left < part.cost() => Err(Stop::Hour { part: part.name(), needs: part.cost(), left }),
        _ => Ok(()),
    }
}

/// What was added and then moved to its place was added.
fn summed(changes: Vec<Change>) -> Vec<Change> {
    let mut sum: Vec<Change> = Vec::new();
    for change in changes {
        if !sum.iter().any(|c| c.text == change.text) {
            sum.push(change);
        }
    }
    sum
}
