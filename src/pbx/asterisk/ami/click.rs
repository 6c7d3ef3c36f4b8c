//! Click-to-call: the agent's phone is rung, and what he hears next is the one whom he calls.

use super::{Action, CLICK_TO_CALL};

/// The agent's phone rings for so long, milliseconds.
const RING_MS: &str = "30000";

pub struct Click<'a> {
    pub application: i64,
    /// Our id of the request.
    pub callback: &'a str,
    /// What rings for the agent.
    pub device: &'a str,
    /// His extension.
    pub source: &'a str,
    pub destination: &'a str,
    /// What his phone shows.
    pub shown_name: Option<&'a str>,
    pub shown_number: Option<&'a str>,
    pub record: bool,
}

/// The unique id of the channel on which the agent is rung: as the first of its call, it is the call's as well.
pub fn channel(callback: &str) -> String {
    format!("{CLICK_TO_CALL}{callback}")
}

impl Click<'_> {
    pub fn channel(&self) -> String {
        channel(self.callback)
    }

    pub fn originate(&self) -> Action {
        let channel = self.channel();
        Action::new("Originate")
            .field("ActionID", &channel)
            .field("ChannelId", &channel)
            .field("Channel", self.device)
            .field("Context", &format!("hookflash-{}-out", self.application))
            .field("Exten", self.destination)
            .field("Priority", "1")
            .field("Timeout", RING_MS)
            .field("CallerID", &self.shown())
            .field("Async", "true")
            .field("Variable", &format!("__HOOKFLASH_CALL={}", self.callback))
            .field("Variable", &format!("HOOKFLASH_SOURCE={}", self.source))
            .field("Variable", &format!("HOOKFLASH_RECORD={}", if self.record { "yes" } else { "no" }))
    }

    /// `"Name" <number>`, of which neither part can end itself.
    fn shown(&self) -> String {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control() && !"\"<>\\".contains(*c)).collect::<String>();
        let number = plain(self.shown_number.unwrap_or(self.destination));
        match self.shown_name.map(plain) {
            Some(name) if !name.is_empty() => format!("\"{name}\" <{number}>"),
            _ => format!("<{number}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(name: Option<&str>) -> String {
        let click = Click {
            application: 808,
            callback: "c1",
            device: "PJSIP/101",
            source: "101",
            destination: "+79990001122",
            shown_name: name,
            shown_number: Some("+79990001122"),
            record: true,
        };
        String::from_utf8(click.originate().encode("x").expect("writable")).expect("text")
    }

    #[test]
    fn the_agent_s_phone_rings_first_and_shows_whom_he_calls() {
        assert_eq!(
            click(Some("Client One")),
            "Action: Originate\r\nActionID: hookflash-c1\r\nChannelId: hookflash-c1\r\nChannel: PJSIP/101\r\n\
             Context: hookflash-808-out\r\nExten: +79990001122\r\nPriority: 1\r\nTimeout: 30000\r\n\
             CallerID: \"Client One\" <+79990001122>\r\nAsync: true\r\nVariable: __HOOKFLASH_CALL=c1\r\n\
             Variable: HOOKFLASH_SOURCE=101\r\nVariable: HOOKFLASH_RECORD=yes\r\n\r\n"
        );
    }

    #[test]
    fn a_name_cannot_be_more_than_a_name() {
        for name in ["a\" <666>", "a\r\nAction: Hangup", "<\\\">"] {
            let text = click(Some(name));
            assert_eq!(text.matches("Action: ").count(), 1 + usize::from(name.contains("Action: ")), "{text}");
            assert_eq!(text.lines().filter(|l| l.starts_with("Action")).count(), 2, "its action and its id: {text}");
            assert_eq!(text.matches('<').count(), 1, "{text}");
        }
    }
}
