//! Subscriptions (sections 4.1 and 6): ours are those that lead to our hook; whatever leads elsewhere is not looked at twice.
//!
//! Each is added, changed or removed by its own id. The request that removes all of them takes foreign ones along and is not written here.

use serde::Deserialize;
use serde_json::json;

use super::super::{Settings, api};
use crate::net::Request;
use crate::pbx::setup::{Change, Hooks, Memory, Part, Plan, Seen, Sign, Step, Trouble};

/// The subscriptions of one extension or queue agent.
pub struct Subscriptions {
    name: String,
    /// Where its subscriptions are, with a slash at its end.
    place: String,
    hook: &'static str,
    hooks: Hooks,
    types: &'static [&'static str],
    /// The PBX changes one in place; those of queue agents it only adds and removes (section 6).
    can_change: bool,
}

/// A subscription as the PBX shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subscription {
    pub id: u64,
    pub url: String,
    pub event_type: String,
    pub method: String,
}

impl Subscriptions {
    /// `None`: a kind that has no events (fax).
    pub fn of_extension(settings: &Settings, hooks: &Hooks, extension: &api::Extension) -> Option<Subscriptions> {
        let types: &[&str] = match extension.kind.as_str() {
            "phone" => &["dial-in", "dial-out", "answer", "hangup"],
            "ivr" | "queue" => &["hangup"],
            _ => return None,
        };
        Some(Subscriptions {
            name: format!("{} {}", extension.kind, extension.short()),
            place: api::path(settings, format_args!("/extension/{}/event/", extension.id)),
            hook: "event",
            hooks: hooks.clone(),
            types,
            can_change: true,
        })
    }

    pub fn of_agent(settings: &Settings, hooks: &Hooks, id: u64) -> Subscriptions {
        Subscriptions {
            name: format!("queue agent {id}"),
            place: api::path(settings, format_args!("/client/@me/agent/local/{id}/event/")),
            hook: "agent",
            hooks: hooks.clone(),
            types: &["agent-login", "agent-logout"],
            can_change: false,
        }
    }

    fn body(&self, event_type: &str) -> serde_json::Value {
        json!({"url": self.hooks.url(self.hook), "event_type": event_type, "method": "POST"})
    }

    fn step(&self, sign: Sign, event_type: &str, request: Request) -> Step {
        let text = match sign {
            Sign::Remove => event_type.to_owned(),
            _ => format!("{event_type} to {} (POST)", self.hooks.shown(self.hook)),
        };
        Step { change: Change { sign, text }, request, makes: false }
    }

    /// From what is there to what is wanted: added and changed first, removed last, so that no event goes missing between.
    pub fn difference(&self, there: &[Subscription], wanted: bool) -> Vec<Step> {
        let url = self.hooks.url(self.hook);
        let right = |s: &&&Subscription| s.url == url && s.method == "POST";
        let mut ours: Vec<&Subscription> = there.iter().filter(|s| self.hooks.is(self.hook, &s.url)).collect();
        let mut steps = Vec::new();
        for event_type in self.types.iter().filter(|_| wanted) {
            let of_type: Vec<&Subscription> = ours.iter().copied().filter(|s| s.event_type == *event_type).collect();
            let kept = of_type.iter().find(right).or(of_type.first().filter(|_| self.can_change));
            match kept {
                None => steps.push(self.step(Sign::Add, event_type, Request::post_json(&self.place, &self.body(event_type)))),
                Some(kept) => {
                    ours.retain(|s| s.id != kept.id);
                    if !right(&kept) {
                        let request = Request::put_json(format!("{}{}", self.place, kept.id), &self.body(event_type));
                        steps.push(self.step(Sign::Change, event_type, request));
                    }
                }
            }
        }
        for s in ours {
            steps.push(self.step(Sign::Remove, &s.event_type, Request::delete(format!("{}{}", self.place, s.id))));
        }
        steps
    }
}

impl Part for Subscriptions {
    fn name(&self) -> String {
        format!("events of {}", self.name)
    }

    fn wanted(&self) -> bool {
        true
    }

    fn ask(&self, seen: &[Seen]) -> Result<Option<Request>, Trouble> {
        Ok(seen.is_empty().then(|| Request::get(&self.place)))
    }

    fn plan(&self, seen: &[Seen], memory: &Memory, wanted: bool) -> Result<Plan, Trouble> {
        let Some(seen) = seen.first() else { return Ok(Plan::default()) };
        let there: Vec<Subscription> = seen.read("its subscriptions")?;
        let next = self.difference(&there, wanted);
        Ok(Plan { changes: next.iter().map(|s| s.change.clone()).collect(), next, memory: memory.clone(), ..Plan::default() })
    }

    fn remarks(&self, seen: &[Seen]) -> Vec<(String, String)> {
        let there: Vec<Subscription> = seen.first().and_then(|s| s.read("its subscriptions").ok()).unwrap_or_default();
        let mut urls: Vec<String> = there.into_iter().map(|s| s.url).filter(|url| self.hooks.is_elsewhere(self.hook, url)).collect();
        urls.sort();
        urls.dedup();
        urls.iter().map(|url| super::elsewhere(url)).collect()
    }

    fn by_hand(&self, wanted: bool) -> String {
        if !wanted {
            return format!(
                "In the panel, remove the subscriptions of {} whose URL begins with {}",
                self.name,
                self.hooks.address(self.hook)
            );
        }
        let list: Vec<String> = self.types.iter().map(|t| format!("  event {t}, URL {}, method POST", self.hooks.url(self.hook))).collect();
        format!("In the panel, subscribe {} to its events:\n{}", self.name, list.join("\n"))
    }
}
