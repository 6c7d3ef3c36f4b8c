//! The table of roles (contract, section 3), as one pure function.

use super::{Principal, Role};

/// What somebody wants to do in one application. An action on an agent names him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// The application, its agents, groups, queues, numbers, extensions, contacts and health. Secrets are never read.
    ReadSettings,
    /// Any of those written.
    WriteSettings,
    /// One agent with his state.
    ReadAgent(&'a str),
    /// His manual status, the end of his wrap-up.
    SetStatus(&'a str),
    /// Calls, legs and decisions; of one agent, or of all.
    ReadCalls(Option<&'a str>),
    /// Where a call would go now.
    Explain,
    /// Click-to-call from the extension of this agent; `None`: of an extension that is nobody's.
    Callback(Option<&'a str>),
    /// Recordings of this agent's calls, or of all.
    ReadRecords(Option<&'a str>),
    DeleteRecords,
    /// What happens now: calls, agents' states, queues; what concerns one agent, or all of it.
    ReadLive(Option<&'a str>),
    ReadStats,
    ManageTokens,
}

/// True when `principal` may do `action` in application `application`.
pub fn may(principal: &Principal, action: Action<'_>, application: i64) -> bool {
    if principal.application.is_some_and(|own| own != application) {
        return false;
    }
    match principal.role {
        Role::Admin => true,
        Role::Supervisor => matches!(
            action,
            Action::ReadSettings
                | Action::ReadAgent(_)
                | Action::SetStatus(_)
                | Action::ReadCalls(_)
                | Action::Explain
                | Action::ReadRecords(_)
                | Action::ReadLive(_)
                | Action::ReadStats
        ),
        // A role that is bound to one application may do nothing without it.
        Role::Agent => principal.application.is_some() && principal.agent.is_some() && own(action) == principal.agent.as_deref(),
        Role::Integration => {
            principal.application.is_some()
                && matches!(action, Action::Callback(_) | Action::ReadCalls(_) | Action::ReadRecords(_) | Action::DeleteRecords)
        }
    }
}

/// The agent whose own business an action is.
fn own(action: Action<'_>) -> Option<&str> {
    match action {
        Action::ReadAgent(agent) | Action::SetStatus(agent) => Some(agent),
        Action::ReadCalls(agent) | Action::Callback(agent) | Action::ReadRecords(agent) | Action::ReadLive(agent) => agent,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every action with who may do it in his own application: admin, supervisor, agent ann, integration.
    const TABLE: &[(Action<'static>, [bool; 4])] = &[
        (Action::ReadSettings, [true, true, false, false]),
        (Action::WriteSettings, [true, false, false, false]),
        (Action::ReadAgent("ann"), [true, true, true, false]),
        (Action::ReadAgent("bob"), [true, true, false, false]),
        (Action::SetStatus("ann"), [true, true, true, false]),
        (Action::SetStatus("bob"), [true, true, false, false]),
        (Action::ReadCalls(None), [true, true, false, true]),
        (Action::ReadCalls(Some("ann")), [true, true, true, true]),
        (Action::ReadCalls(Some("bob")), [true, true, false, true]),
        (Action::Explain, [true, true, false, false]),
        (Action::Callback(None), [true, false, false, true]),
        (Action::Callback(Some("ann")), [true, false, true, true]),
        (Action::Callback(Some("bob")), [true, false, false, true]),
        (Action::ReadRecords(None), [true, true, false, true]),
        (Action::ReadRecords(Some("ann")), [true, true, true, true]),
        (Action::ReadRecords(Some("bob")), [true, true, false, true]),
        (Action::DeleteRecords, [true, false, false, true]),
        (Action::ReadLive(None), [true, true, false, false]),
        (Action::ReadLive(Some("ann")), [true, true, true, false]),
        (Action::ReadLive(Some("bob")), [true, true, false, false]),
        (Action::ReadStats, [true, true, false, false]),
        (Action::ManageTokens, [true, false, false, false]),
    ];

    fn principal(role: Role, application: Option<i64>) -> Principal {
        let agent = (role == Role::Agent).then(|| "ann".to_owned());
        Principal { name: String::new(), role, application, agent }
    }

    #[test]
    fn every_role_may_what_the_table_says_and_only_in_its_application() {
        for (action, allowed) in TABLE {
            for (role, expected) in Role::ALL.iter().zip(allowed) {
                assert_eq!(may(&principal(*role, Some(807)), *action, 807), *expected, "{role} {action:?}");
                assert!(!may(&principal(*role, Some(808)), *action, 807), "{role} {action:?} in another application");
            }
        }
    }

    #[test]
    fn only_admins_and_supervisors_can_be_unbound() {
        for (action, [admin, supervisor, ..]) in TABLE {
            assert_eq!(may(&principal(Role::Admin, None), *action, 807), *admin, "{action:?}");
            assert_eq!(may(&principal(Role::Supervisor, None), *action, 807), *supervisor, "{action:?}");
            assert!(!may(&principal(Role::Agent, None), *action, 807), "{action:?}");
            assert!(!may(&principal(Role::Integration, None), *action, 807), "{action:?}");
        }
    }

    #[test]
    fn an_agent_token_without_an_agent_may_nothing() {
        let nobody = Principal { agent: None, ..principal(Role::Agent, Some(807)) };
        for (action, _) in TABLE {
            assert!(!may(&nobody, *action, 807), "{action:?}");
        }
    }
}
