//! Decisions in one sentence, as a supervisor would say it.

use crate::domain::decision::Candidate;
use crate::domain::phone::Party;
use crate::roster::App;
use crate::routing::Known;

/// Why a caller without an outside number is not looked up.
pub fn no_client(caller: &Party) -> &'static str {
    match caller {
        Party::Internal(_) => "The caller is a colleague, not a client.",
        _ => "The caller's number is withheld or cannot be read.",
    }
}

pub fn sentence(app: &App, known: &Known, has_contact: bool, chosen: Option<&str>, candidates: &[Candidate]) -> String {
    let refused: Vec<String> = candidates.iter().filter(|c| !c.eligible).map(|c| format!("{} {}", who(app, c), c.reason)).collect();
    let because = if refused.is_empty() { String::new() } else { format!("; before: {}", refused.join(", ")) };
    match candidates.iter().find(|c| chosen == Some(c.agent.as_str())) {
        Some(c) => format!("{} {}{because}.", who(app, c), c.reason),
        None if !refused.is_empty() => format!("Nobody can take the call: {}.", refused.join(", ")),
        None if !has_contact && known.last_agent.is_none() => {
            "Nobody is responsible: no contact has this number and nobody spoke with it lately.".into()
        }
        None => "Nobody is responsible: the contact names no agent.".into(),
    }
}

/// `Ann Lee (owner)`
fn who(app: &App, candidate: &Candidate) -> String {
    let name = app.agent(&candidate.agent).map_or(candidate.agent.as_str(), |a| a.name.as_str());
    format!("{name} ({})", candidate.step)
}
