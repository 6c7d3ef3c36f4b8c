//! Whether a call was told what the reference says, and which invariant speaks of the difference.

use super::*;

impl History {
    pub(super) fn compare(&mut self, name: &str, told: &Told, action: &Action, dialled: &[String], asks: &Asks, eligible: &[String]) {
        let waits = matches!(action, Action::Wait { .. });
        self.met(0, 1);
        self.met(7, usize::from(waits));
        self.met(5, usize::from(matches!(told, Told::Waits { .. }) && !eligible.is_empty()));
        self.met(8, usize::from(!asks.tries.is_empty() && !dialled.is_empty()));
        *self.outcome.told.entry(action.name()).or_default() += 1;
        if is_it(told, action) {
            return;
        }
        let text = format!("{name} is told {action:?}, and should be: {told:?}");
        let again = dialled.iter().any(|a| asks.tries.contains_key(a)) && eligible.iter().any(|a| !asks.tries.contains_key(a));
        let invariant = match told {
            _ if again => 8,
            Told::Rings { .. } if waits => 7,
            Told::Waits { .. } if !dialled.is_empty() => 5,
            Told::HangsUp(_) if !dialled.is_empty() => 4,
            _ => 0,
        };
        self.fault(invariant, text.clone());
        if invariant != 0 {
            self.fault(0, text);
        }
    }
}

/// Whether a call was told what it should be.
fn is_it(told: &Told, action: &Action) -> bool {
    match (told, action) {
        (Told::Rings { who, for_s, place }, Action::Dial(dial)) => {
            let those = match who {
                Expected::RingsOneOf(agents) => matches!(dial.agents.as_slice(), [one] if agents.contains(one)),
                who => *who == Expected::Rings(dial.agents.clone()),
            };
            those && dial.timeout_s == *for_s && dial.place == *place
        }
        (Told::Outside { number, for_s }, Action::Dial(dial)) => {
            dial.lines == [Line::Number(number.clone())] && dial.agents.is_empty() && dial.timeout_s == *for_s
        }
        (Told::Waits { place, greeting }, Action::Wait { seconds: 1, place: at, greeting: heard }) => place == at && greeting == heard,
        (Told::Plays(node), Action::Prompt(prompt)) => prompt.node == *node,
        (Told::Forwards(number), Action::Forward { number: to, .. }) => number == to,
        (Told::Voicemail(mailbox), Action::Voicemail { place }) => mailbox == place,
        (Told::HangsUp(cause), Action::Hangup { cause: because }) => cause == because,
        (Told::OwnRoute, Action::Default) => true,
        _ => false,
    }
}
