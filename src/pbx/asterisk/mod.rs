//! Asterisk and what is built on it (FreePBX and its kin), asked through the dialplan. Source of every fact: the protocol page, section 2.
//!
//! The dialplan asks `route` for a call, does what it is told, and asks again with the outcome until somebody has answered; `event` tells of
//! answers and of the call's end.

pub mod ami;
pub mod reply;
pub mod setup;
pub mod webhook;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

use super::action::Line;
use crate::domain::ivr::PlayMode;
use crate::domain::spec::Application;
use crate::domain::validate::Problem;

/// `[application.asterisk]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What rings for an agent's extension.
    pub device: String,
    /// What rings for an outside number; empty: there is no such line.
    pub outside_device: String,
    /// Where a call goes that the PBX routes by itself; empty: the answer names no context, and the dialplan has its own default.
    pub default_context: String,
    /// Where calls that are forwarded to outside numbers go, with the number as extension.
    pub forward_context: String,
    /// Where calls go that leave a message, with the queue as extension.
    pub voicemail_context: String,
    /// Where prompts are played, with the node as extension.
    pub ivr_context: String,
    /// Seconds after which a call that waits asks again.
    pub poll_s: i64,
    /// How long a missed call waits for later news, milliseconds.
    pub missed_wait_ms: i64,
    /// The context in which the PBX's own rules place calls, with the number as extension; empty: `outside_device` and `device` are dialled.
    pub outbound_context: String,
    /// The number that those see who are called by a click; empty: the extension of the one who calls.
    pub outside_caller_id: String,
    /// Calls that agents take, or place by a click, are recorded.
    pub record: bool,
    /// The ending of a recording's file, which says how it is written.
    pub record_format: String,
    /// The folder of the recordings, over the PBX's own web server; empty: they cannot be played here.
    pub recordings_url: String,
    /// What that web server wants to know: references or sealed literals.
    pub recordings_user: String,
    pub recordings_password: String,
    /// `host:port` of AMI; empty: there is none, and the dialplan alone tells of calls.
    pub ami_address: String,
    pub ami_user: String,
    /// As it is stored: sealed, or a reference.
    pub ami_secret: String,
    /// The contexts in which calls from outside begin that are ours; empty: all are.
    pub ami_contexts: Vec<String>,
}

/// The keys of `[application.asterisk]` that are secrets.
pub const SECRETS: &[&str] = &["ami_secret", "recordings_password"];

/// AMI as an application has it.
pub struct Ami<'a> {
    pub address: &'a str,
    pub user: &'a str,
    /// As it is stored: sealed, or a reference.
    pub secret: &'a str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            device: "PJSIP/{extension}".into(),
            outside_device: String::new(),
            default_context: String::new(),
            forward_context: "hookflash-forward".into(),
            voicemail_context: "hookflash-voicemail".into(),
            ivr_context: "hookflash-ivr".into(),
            poll_s: 1,
            missed_wait_ms: 3_000,
            outbound_context: String::new(),
            outside_caller_id: String::new(),
            record: false,
            record_format: "wav".into(),
            recordings_url: String::new(),
            recordings_user: String::new(),
            recordings_password: String::new(),
            ami_address: String::new(),
            ami_user: String::new(),
            ami_secret: String::new(),
            ami_contexts: Vec::new(),
        }
    }
}

impl Settings {
    pub fn read(table: Option<&Value>) -> Result<Settings, Vec<Problem>> {
        let Some(table) = table else { return Ok(Settings::default()) };
        let settings: Settings = serde_path_to_error::deserialize(table).map_err(|e| {
            let path = e.path().to_string();
            let path = if path == "." { "asterisk".into() } else { format!("asterisk.{path}") };
            vec![Problem::new(path, e.into_inner().to_string())]
        })?;
        let mut problems = Vec::new();
        let mut want = |ok: bool, key: &str, reason: &str| {
            if !ok {
                problems.push(Problem::new(format!("asterisk.{key}"), reason));
            }
        };
        // All of these stand in the dialplan, where none of them may mean anything but itself.
        let safe = |text: &str| text.len() <= 100 && text.chars().all(|c| !c.is_control() && !"|&,\"\\;$()[]".contains(c));
        want(
            settings.device.contains("{extension}") && safe(&settings.device),
            "device",
            "must hold {extension}, as PJSIP/{extension} does",
        );
        let outside = settings.outside_device.is_empty() || settings.outside_device.contains("{number}");
        want(outside && safe(&settings.outside_device), "outside_device", "must hold {number}, as PJSIP/{number}@trunk does, or be empty");
        for (key, context) in [
            ("default_context", &settings.default_context),
            ("forward_context", &settings.forward_context),
            ("voicemail_context", &settings.voicemail_context),
            ("ivr_context", &settings.ivr_context),
            ("outbound_context", &settings.outbound_context),
        ] {
            want(
                context.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
                key,
                "must be a context's name: letters, digits, - or _",
            );
        }
        want((1..=30).contains(&settings.poll_s), "poll_s", "must be 1 to 30");
        want((0..=60_000).contains(&settings.missed_wait_ms), "missed_wait_ms", "must be 0 to 60000");
        want(
            settings.outside_caller_id.len() <= 20 && settings.outside_caller_id.chars().all(|c| c.is_ascii_digit() || c == '+'),
            "outside_caller_id",
            "must be a number, such as +74955550100, or empty",
        );
        let format = settings.record_format.as_str();
        want(
            (1..=8).contains(&format.len()) && format.bytes().all(|b| b.is_ascii_alphanumeric()),
            "record_format",
            "must be the ending of a file that MixMonitor writes, such as wav",
        );
        let url = settings.recordings_url.as_str();
        want(
            url.is_empty() || ((url.starts_with("https://") || url.starts_with("http://")) && !url.contains(['?', '#', '@'])),
            "recordings_url",
            "must begin with https:// or http:// and end with a folder, without user, ? or #",
        );
        want(
            settings.recordings_user.is_empty() == settings.recordings_password.is_empty(),
            "recordings_password",
            "recordings_user and recordings_password come together",
        );
        let named = |context: &String| !context.is_empty() && context.len() <= 80 && !context.contains(char::is_whitespace);
        want(settings.ami_contexts.iter().all(named), "ami_contexts", "must be names of contexts");
        let address = &settings.ami_address;
        want(address.is_empty() || is_address(address), "ami_address", "must be host:port, as 192.0.2.10:5038 or pbx.example.com:5038 is");
        let user = &settings.ami_user;
        want(user.len() <= 80 && user.chars().all(|c| c.is_ascii_graphic()), "ami_user", "must be the name of a section of manager.conf");
        if !address.is_empty() {
            want(!user.is_empty(), "ami_user", "is needed with ami_address: the name of a section of manager.conf");
            want(
                !settings.ami_secret.is_empty(),
                "ami_secret",
                "is needed with ami_address: the secret of that section, or env:NAME, or file:PATH",
            );
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// What the application declares that these settings cannot do.
    pub fn problems_with(&self, app: &Application) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mend = "needs asterisk.outside_device, which says how numbers outside are called, as PJSIP/{number}@trunk does";
        if self.outside_device.is_empty() {
            let outside = app.agent.iter().position(|agent| agent.routing_type == 2);
            problems.extend(outside.map(|i| Problem::new(format!("agent[{i}].routing_type"), format!("2, the agent's own phone, {mend}"))));
            let step = app.routing.responsible.iter().position(|step| step.to().starts_with("number:"));
            problems.extend(step.map(|i| Problem::new(format!("routing.responsible[{i}]"), format!("a number {mend}"))));
        }
        // A file's name stands among the arguments of the dialplan, and in the plain form in a line of its own.
        let is_sound = |name: &str| name.len() <= 200 && name.chars().all(|c| !c.is_control() && !"|,&;\"\\$()[]{}".contains(c));
        let mend = "is no name of a sound file that the dialplan can play: use letters, digits, / . _ -";
        for (i, node) in app.ivr_node.iter().enumerate() {
            if node.node_play_mode == PlayMode::Play && !is_sound(&node.node_play_content) {
                problems.push(Problem::new(format!("ivr_node[{i}].node_play_content"), format!("{:?} {mend}", node.node_play_content)));
            }
        }
        for (i, queue) in app.queue.iter().enumerate() {
            if let Some(file) = queue.wait_greeting.as_deref().filter(|file| !is_sound(file)) {
                problems.push(Problem::new(format!("queue[{i}].wait_greeting"), format!("{file:?} {mend}")));
            }
        }
        if self.ami().is_some() && self.device.get(..6).is_some_and(|tech| tech.eq_ignore_ascii_case("Local/")) {
            let reason = "must be a telephone's own device where ami_address is given: AMI tells of those, as PJSIP/{extension}";
            problems.push(Problem::new("asterisk.device", reason));
        }
        problems
    }

    /// Whether there is a way to call numbers outside.
    pub fn places_calls(&self) -> bool {
        !self.outbound_context.is_empty() || !self.outside_device.is_empty()
    }

    /// The name of our user in `manager.conf`.
    pub fn manager_user(&self) -> &str {
        if self.ami_user.is_empty() { "hookflash" } else { &self.ami_user }
    }

    /// The address that we come from, where the PBX is this machine.
    pub fn seen_from(&self) -> Option<&'static str> {
        let host = self.ami_address.rsplit_once(':').map_or("", |(host, _)| host);
        let here = host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        here.then_some("127.0.0.1")
    }

    /// `None`: the application has no AMI.
    pub fn ami(&self) -> Option<Ami<'_>> {
        (!self.ami_address.is_empty()).then_some(Ami { address: &self.ami_address, user: &self.ami_user, secret: &self.ami_secret })
    }

    /// What the dialplan dials; `None`: there is no line to the outside.
    pub fn device(&self, line: &Line) -> Option<String> {
        match line {
            Line::Extension(extension) => Some(self.device.replace("{extension}", extension)),
            Line::Number(_) if self.outside_device.is_empty() => None,
            Line::Number(number) => Some(self.outside_device.replace("{number}", number)),
        }
    }
}

/// `host:port`, with an IPv6 address in brackets.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let named = !host.is_empty() && host.len() <= 253 && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    port.parse::<u16>().is_ok_and(|port| port > 0) && (named || bare.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()))
}

/// True for the name of a recording's file as the dialplan makes it: nothing that could mean another place.
pub fn is_file(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    plain && !name.starts_with('.') && name.len() <= 200 && !name.is_empty()
}
