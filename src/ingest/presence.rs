//! What the PBX tells of its queue agents: whether its queues ring an agent of ours, and where the application wants it his status.
//!
//! The events carry no time and are idempotent by effect: only a change of what we knew does anything. Where status and login follow each
//! other (`mirror_status`), a login makes an agent AVAILABLE and a logout OFFLINE, unless his status means that already; the other
//! direction is [`crate::presence`]'s. No loop comes of the two: what we tell the PBX is written down before it is told, so its echo is known
//! as one and changes no status, and a report that contradicts what we told a moment ago is of the time before.

use crate::domain::agent::{AgentState, ManualStatus, QueueLogin};
use crate::domain::phone::Party;
use crate::domain::time::Timestamp;
use crate::pbx::AgentReport;
use crate::roster::App;
use crate::store::{Conn, Result, agents, times};

/// So long after we told the PBX, a report of the opposite is taken for a late one.
const ECHO_S: i64 = 10;

/// Applies a report; false when it changes nothing, or is about nobody of ours.
pub fn report(conn: &mut Conn, app: &App, report: &AgentReport, now: Timestamp) -> Result<bool> {
    let agent = match &report.party {
        Party::Internal(extension) => app.agent_of(extension),
        Party::External(number) => app.spec.agent.iter().find(|a| a.phone_number.as_ref() == Some(number)),
        Party::Unknown => None,
    };
    let Some(agent) = agent else { return Ok(false) };
    let Some(mut state) = agents::lock(conn, app.id(), &agent.id)? else { return Ok(false) };
    if !follow(&mut state, report.login, app.pbx.mirrors_status(), now) {
        return Ok(false);
    }
    agents::save(conn, app.id(), agent.line(), &state)?;
    times::record(conn, app.id(), &state, now, times::PHONE)?;
    Ok(true)
}

/// Whether the PBX can reach a phone is not known any more: of one extension, or of all.
pub fn forget(conn: &mut Conn, app: &App, extension: Option<&str>, now: Timestamp) -> Result<()> {
    let agents = app.spec.agent.iter().filter(|a| extension.is_none_or(|e| a.extension.as_deref() == Some(e)));
    for agent in agents {
        let Some(mut state) = agents::get(conn, app.id(), &agent.id)?.filter(|s| s.queue_login.is_some()) else { continue };
        if let Some(locked) = agents::lock(conn, app.id(), &agent.id)? {
            state = AgentState { queue_login: None, ..locked };
        }
        agents::save(conn, app.id(), agent.line(), &state)?;
        times::record(conn, app.id(), &state, now, times::PHONE)?;
    }
    Ok(())
}

/// The rule; false: nothing changed.
pub fn follow(state: &mut AgentState, login: QueueLogin, mirrors: bool, now: Timestamp) -> bool {
    let known = state.queue_login.map(|(login, _)| login);
    let told = state.mirror_to.filter(|_| mirrors && now < state.mirror_at.plus_s(ECHO_S));
    if known == Some(login) || told.is_some_and(|told| told != login) {
        return false;
    }
    state.queue_login = Some((login, now));
    // An echo of what we told is nobody's wish, and the first that is heard of him no change: his status holds, and the PBX is told.
    if mirrors && told.is_none() && known.is_some() && QueueLogin::of(state.chosen_status()) != login {
        let status = match login {
            QueueLogin::Available => ManualStatus::Available,
            QueueLogin::LoggedOut | QueueLogin::Unreachable => ManualStatus::Offline,
        };
        (state.manual_status, state.manual_reason, state.next_status, state.status_since) = (status, None, None, now);
        (state.status_by, state.next_by) = (Some(times::PHONE.into()), None);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use QueueLogin::{Available, LoggedOut};

    fn agent() -> AgentState {
        AgentState { queue_login: Some((Available, Timestamp(0))), ..AgentState::new("ann", ManualStatus::Available, Timestamp(0)) }
    }

    #[test]
    fn a_report_is_reachability_and_a_status_only_where_it_is_wanted() {
        let mut state = agent();
        assert!(follow(&mut state, LoggedOut, false, Timestamp(5)));
        assert_eq!((state.queue_login, state.manual_status), (Some((LoggedOut, Timestamp(5))), ManualStatus::Available));
        assert!(!follow(&mut state, LoggedOut, false, Timestamp(6)), "the same again");
        let mut state = agent();
        assert!(follow(&mut state, LoggedOut, true, Timestamp(5)));
        assert_eq!((state.manual_status, state.status_since), (ManualStatus::Offline, Timestamp(5)));
        assert!(follow(&mut state, Available, true, Timestamp(6)));
        assert_eq!(state.manual_status, ManualStatus::Available);
    }

    #[test]
    fn a_break_is_no_logout_undone() {
        let mut state = AgentState { manual_status: ManualStatus::NotAvailable, ..agent() };
        assert!(follow(&mut state, LoggedOut, true, Timestamp(5)));
        assert_eq!(state.manual_status, ManualStatus::NotAvailable);
    }

    #[test]
    fn what_we_told_does_not_come_back_and_a_late_report_is_let_go() {
        let told =
            AgentState { queue_login: Some((LoggedOut, Timestamp(0))), mirror_to: Some(LoggedOut), mirror_at: Timestamp(0), ..agent() };
        let mut state = AgentState { manual_status: ManualStatus::Offline, ..told };
        assert!(!follow(&mut state, LoggedOut, true, Timestamp(1)));
        assert!(!follow(&mut state, Available, true, Timestamp(1)), "it was on its way when we told");
        assert!(follow(&mut state, Available, true, Timestamp(ECHO_S * 1_000_000)), "somebody logged him in");
        assert_eq!(state.manual_status, ManualStatus::Available);
    }

    #[test]
    fn a_choice_that_was_made_since_outlives_the_echo_of_the_one_before() {
        // OFFLINE was chosen and told; before its echo came, AVAILABLE was chosen.
        let mut state = AgentState { mirror_to: Some(LoggedOut), mirror_at: Timestamp(1), ..agent() };
        assert!(follow(&mut state, LoggedOut, true, Timestamp(2)));
        assert_eq!((state.queue_login, state.manual_status), (Some((LoggedOut, Timestamp(2))), ManualStatus::Available));
    }

    #[test]
    fn the_first_news_changes_no_status() {
        let mut state = AgentState::new("ann", ManualStatus::Available, Timestamp(0));
        assert!(follow(&mut state, LoggedOut, true, Timestamp(1)));
        assert_eq!(state.manual_status, ManualStatus::Available);
    }
}
