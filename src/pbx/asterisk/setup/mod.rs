//! What an administrator pastes on his Asterisk: the dialplan and the `manager.conf` user, filled in for one application.
//!
//! The texts are templates with names between `@`; a line that begins with `?name` is there only when the name holds. `@dial.device@` is a
//! field of the answer that the dialplan was given, read from JSON or, in the plain form, by its place in the line ([`super::reply::PLAIN`]).
//! Nothing that a caller sends gets into an expression or a list of arguments unencoded.

pub mod loaded;
#[cfg(test)]
mod tests;

use super::{Settings, reply};
use crate::pbx::setup::Hooks;

const DIALPLAN: &str = include_str!("dialplan.conf");
const MANAGER: &str = include_str!("manager.conf");

/// The context of a PBX's own route where the application names none.
const OWN_ROUTE: &str = "default";

/// One application's dialplan.
pub struct Dialplan<'a> {
    pub application: i64,
    pub settings: &'a Settings,
    pub hooks: &'a Hooks,
    /// For versions without `JSON_DECODE`.
    pub plain: bool,
}

impl Dialplan<'_> {
    /// With the hooks' key.
    pub fn text(&self) -> String {
        fill(DIALPLAN, |flag| self.holds(flag), |name| self.value(name))
    }

    fn holds(&self, flag: &str) -> bool {
        let s = self.settings;
        match flag {
            "record" => s.record,
            "other_ivr" => s.ivr_context != Settings::default().ivr_context,
            "own_forward" => s.forward_context == Settings::default().forward_context && s.places_calls(),
            "own_voicemail" => s.voicemail_context == Settings::default().voicemail_context,
            _ => false,
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        let s = self.settings;
        Some(match name {
            "app" => self.application.to_string(),
            "default" if s.default_context.is_empty() => OWN_ROUTE.into(),
            "default" => s.default_context.clone(),
            "route" => self.hook("route", '&'),
            "event" => self.hook("event", '\0'),
            "format" if self.plain => "&format=plain".into(),
            "format" => String::new(),
            "ivr_context" => s.ivr_context.clone(),
            "record_format" => s.record_format.clone(),
            "outside_caller_id" if s.outside_caller_id.is_empty() => "${HOOKFLASH_SOURCE}".into(),
            "outside_caller_id" => s.outside_caller_id.clone(),
            "dial_inside" => self.place(&s.device, "{extension}", "${HF_TO}"),
            "dial_outside" => self.place(&s.outside_device, "{number}", "${HF_TO}"),
            "dial_forward" => self.place(&s.outside_device, "{number}", "${FILTER(0-9+,${EXTEN})}"),
            _ => {
                let (action, field) = name.split_once('.')?;
                if self.plain { format!("${{CUT(HF_REPLY,|,{})}}", reply::position(action, field)?) } else { json(field) }
            }
        })
    }

    /// Rings a device, or lets the PBX's own rules place the call where the application says so.
    fn place(&self, device: &str, mark: &str, number: &str) -> String {
        match self.settings.outbound_context.as_str() {
            "" if device.is_empty() => "Set(HANGUPCAUSE=3)".into(),
            "" => format!("Dial({},60)", device.replace(mark, number)),
            context => format!("Goto({context},{number},1)"),
        }
    }

    /// The hook's address as it stands in `CURL(…)`; with `next`, more parameters can follow.
    fn hook(&self, hook: &str, next: char) -> String {
        let url = self.hooks.in_dialplan(hook);
        match next {
            '&' if url.contains('?') => format!("{url}&"),
            '&' => format!("{url}?"),
            _ => url,
        }
    }
}

fn json(field: &str) -> String {
    format!("${{JSON_DECODE(HF_REPLY,{field})}}")
}

/// The user of `manager.conf`: its events tell of calls, and it may place calls and ask how things are, nothing else.
/// `permit`: the address that we come from, where it is known.
pub fn manager(user: &str, secret: &str, permit: Option<&str>) -> String {
    let permit = match permit {
        Some(address) => format!("permit = {address}/255.255.255.255"),
        None => {
            "; permit = ADDRESS/255.255.255.255      the address of this server, as the PBX sees it: without it nobody is let in".into()
        }
    };
    fill(
        MANAGER,
        |_| false,
        |name| {
            Some(match name {
                "user" => user.to_owned(),
                // What follows a semicolon is a remark there.
                "secret" => secret.replace(';', "\\;"),
                "permit" => permit.clone(),
                _ => return None,
            })
        },
    )
}

/// A name that is not known stays as it is.
fn fill(template: &str, holds: impl Fn(&str) -> bool, value: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    for line in template.lines() {
        let line = match line.strip_prefix('?').and_then(|rest| rest.split_once(' ')) {
            Some((flag, line)) if holds(flag) => line,
            Some(_) => continue,
            None => line,
        };
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('@') {
            text.push_str(before);
            let filled = after.split_once('@').filter(|(name, _)| is_name(name)).and_then(|(name, tail)| Some((value(name)?, tail)));
            match filled {
                Some((value, tail)) => {
                    text.push_str(&value);
                    rest = tail;
                }
                None => {
                    text.push('@');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        text.push('\n');
    }
    text
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b"_.".contains(&b))
}
