//! The two rules of an IVR that ask for the responsible manager (section 2, items 1 to 8; section 10.4), at the top of `start` of the Main
//! context: Call interactive, then Transfer from variable, and never as the last ones.
//!
//! Whose a rule is: a Call interactive is ours when its URL leads to our hook. A Transfer from variable is ours when it names our variable
//! and has the id that we were given when we made it, or, where nobody remembers our making any, stands directly behind our Call
//! interactive; its content alone could be anybody's. Places are never remembered: others move rules while we work.
//!
//! The way in and out is chosen so that a caller meets either nothing of ours or both rules, wherever we are interrupted. In: both are made
//! at the end, where no call comes; the transfer is moved to the top, where it does nothing while its variable is unset; then the question
//! is moved above it, and with that single request it works. Out: the question goes first, then the transfer that nobody fills any more.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Settings, api};
use crate::net::{Request, Response};
use crate::pbx::setup::{Change, Hooks, Memory, Part, Plan, Seen, Sign, Step, Trouble};

/// The rules of one IVR.
pub struct Rules {
    settings: Settings,
    hooks: Hooks,
    id: i64,
    number: String,
    wanted: bool,
}

fn is_transfer(rule: &Rule) -> bool {
    rule.action == "transfer_from_variable"
}

/// The settings of an IVR.
#[derive(Debug, Deserialize)]
struct Ivr {
    entry_context: Value,
}

#[derive(Debug, Deserialize)]
struct Context {
    id: Value,
}

/// A rule as the PBX shows it; the fields of other actions are not ours to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Rule {
    pub id: u64,
    pub action: String,
    /// From 1; rules are listed by it.
    pub position: Option<i64>,
    pub call_interactive_url: Option<String>,
    pub call_interactive_method: Option<String>,
    pub transfer_variable: Option<String>,
}

impl Rules {
    pub fn new(settings: &Settings, hooks: &Hooks, extension: &api::Extension) -> Rules {
        let number = extension.short().to_owned();
        let wanted = settings.provision_ivr.contains(&number);
        Rules { settings: settings.clone(), hooks: hooks.clone(), id: extension.id, number, wanted }
    }

    fn url(&self) -> String {
        self.hooks.url("getmanager")
    }

    fn asks_us(&self, rule: &Rule) -> bool {
        rule.action == "call_interactive" && rule.call_interactive_url.as_deref().is_some_and(|url| self.hooks.is("getmanager", url))
    }

    /// Looks like our second rule.
    fn transfers(&self, rule: &Rule) -> bool {
        is_transfer(rule) && self.names_ours(rule)
    }

    fn names_ours(&self, rule: &Rule) -> bool {
        rule.transfer_variable.as_deref() == Some(self.settings.variable.as_str())
    }

    /// Our second rule among the rules, as far as it can be told from others'.
    fn transfer<'r>(&self, rules: &'r [Rule], memory: &Memory) -> Option<&'r Rule> {
        let alike = || rules.iter().filter(|r| self.transfers(r));
        // Also under the name that the variable had when it was made.
        let made = rules.iter().find(|r| is_transfer(r) && memory.ours.contains(&r.id));
        let behind = || {
            // While it is being made, one that stands there is somebody else's; one that was made and is gone may have been made anew by hand.
            if memory.begun && memory.ours.is_empty() {
                return None;
            }
            let asks = rules.iter().position(|r| self.asks_us(r))?;
            rules.get(asks + 1).filter(|r| self.transfers(r) && !memory.others.contains(&r.id))
        };
        // The reply that told its id was lost: it is the one that was not there before.
        let new = || alike().filter(|_| memory.making).find(|r| !memory.others.contains(&r.id));
        made.or_else(behind).or_else(new)
    }

    /// From the rules of `start` in their order to what is wanted.
    pub fn difference(&self, context: &str, rules: &[Rule], memory: &Memory, wanted: bool) -> Plan {
        let place = self.place(context);
        let asking: Vec<&Rule> = rules.iter().filter(|r| self.asks_us(r)).collect();
        let asks = asking.first().copied();
        let transfer = self.transfer(rules, memory);
        let mut memory = memory.clone();
        if let Some(transfer) = transfer {
            (memory.ours, memory.making) = ([transfer.id].into(), false);
        }
        let half = asks.is_some() != transfer.is_some();
        if asking.len() > 1 {
            let reason = format!("{} rules of its Main context ask this server; remove all but one in the panel", asking.len());
            return Plan { trouble: Some(Trouble::Stuck(reason)), memory, ..Plan::default() };
        }
        if !wanted {
            let steps: Vec<Step> = [asks, transfer].into_iter().flatten().map(|rule| self.remove(&place, rule)).collect();
            let changes = steps.iter().map(|s| s.change.clone()).collect();
            if steps.is_empty() {
                memory = Memory::default();
            }
            return Plan { changes, next: steps.into_iter().take(1).collect(), half, memory, trouble: None };
        }
        if rules.len() == [asks, transfer].into_iter().flatten().count() {
            let reason = "it has no rule of its own at the start of its Main context, and the transfer must not be the last: a manager who \
                          does not answer would cost the call; add what shall happen then, such as a queue";
            let leave = self.difference(context, rules, &memory, false);
            return Plan { trouble: Some(Trouble::Stuck(reason.into())), ..leave };
        }
        let alike = |memory: &Memory| {
            let alike = rules.iter().filter(|r| self.transfers(r) && !memory.ours.contains(&r.id)).map(|r| r.id);
            alike.chain(memory.others.iter().copied()).collect()
        };
        let changes = self.changes(rules, asks, transfer);
        let next = match (asks, transfer) {
            (None, _) => {
                // Whatever looks like our second rule by now is somebody else's, wherever it will stand.
                (memory.begun, memory.others) = (true, alike(&memory));
                Some(self.add(&place, self.first(), self.text_of_first()))
            }
            (Some(rule), _) if !self.is_right(rule) => Some(self.put(&place, rule, self.first(), rule.position, self.text_of_first())),
            (_, None) => {
                memory = Memory { begun: true, ours: Default::default(), others: alike(&memory), making: true };
                Some(Step { makes: true, ..self.add(&place, self.second(), self.text_of_second()) })
            }
            (_, Some(rule)) if !self.names_ours(rule) => Some(self.put(&place, rule, self.second(), rule.position, self.text_of_second())),
            (Some(asks), Some(transfer)) => match (is_at(rules, 0, asks), is_at(rules, 1, transfer), is_at(rules, 0, transfer)) {
                (true, true, _) => None,
                (_, _, false) => Some(self.put(&place, transfer, self.second(), Some(1), self.text_of_second())),
                _ => Some(self.put(&place, asks, self.first(), Some(1), self.text_of_first())),
            },
        };
        Plan { changes, next: next.into_iter().collect(), trouble: None, half, memory }
    }

    /// Where the rules of a context's start are, with a slash at its end.
    fn place(&self, context: &str) -> String {
        api::path(&self.settings, format_args!("/extension/{}/ivr/context/{}/options/start/rules/", self.id, api::encode(context)))
    }

    fn is_right(&self, rule: &Rule) -> bool {
        rule.call_interactive_url.as_deref() == Some(self.url().as_str()) && rule.call_interactive_method.as_deref() == Some("POST")
    }

    /// All that differs, for people.
    fn changes(&self, rules: &[Rule], asks: Option<&Rule>, transfer: Option<&Rule>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (place, rule, right, text) in [
            (0, asks, asks.is_some_and(|r| self.is_right(r)), self.text_of_first()),
            (1, transfer, transfer.is_some_and(|r| self.names_ours(r)), self.text_of_second()),
        ] {
            let there = rule.is_some_and(|r| is_at(rules, place, r));
            match rule {
                None => changes.push(Change { sign: Sign::Add, text }),
                Some(_) if !there || !right => changes.push(Change { sign: Sign::Change, text }),
                Some(_) => {}
            }
        }
        changes
    }

    fn first(&self) -> Value {
        json!({"action": "call_interactive", "call_interactive_url": self.url(), "call_interactive_method": "POST"})
    }

    fn second(&self) -> Value {
        json!({"action": "transfer_from_variable", "transfer_variable": self.settings.variable})
    }

    fn text_of_first(&self) -> String {
        format!("1. Call interactive {} (POST)", self.hooks.shown("getmanager"))
    }

    fn text_of_second(&self) -> String {
        format!("2. Transfer from variable {}", self.settings.variable)
    }

    fn add(&self, place: &str, body: Value, text: String) -> Step {
        Step { change: Change { sign: Sign::Add, text }, request: Request::post_json(place, &body), makes: false }
    }

    fn put(&self, place: &str, rule: &Rule, mut body: Value, position: Option<i64>, text: String) -> Step {
        if let Some(position) = position {
            body["position"] = position.into();
        }
        let request = Request::put_json(format!("{place}{}", rule.id), &body);
        Step { change: Change { sign: Sign::Change, text }, request, makes: false }
    }

    fn remove(&self, place: &str, rule: &Rule) -> Step {
        let text = if self.asks_us(rule) { self.text_of_first() } else { self.text_of_second() };
        Step { change: Change { sign: Sign::Remove, text }, request: Request::delete(format!("{place}{}", rule.id)), makes: false }
    }

    /// The Main context, then every other: ours may stand there since it was the Main one.
    fn contexts(&self, seen: &[Seen]) -> Result<Vec<String>, Trouble> {
        let ivr: Ivr = seen.first().map_or(Err(Trouble::Stuck("it was not looked at".into())), |seen| seen.read("its settings"))?;
        let main = text_of(&ivr.entry_context).ok_or_else(|| Trouble::Stuck("it has no Main context".into()))?;
        // A PBX that does not list them has the Main one all the same.
        let all: Vec<Context> = seen.get(1).and_then(|seen| seen.read("its contexts").ok()).unwrap_or_default();
        let others = all.iter().filter_map(|c| text_of(&c.id)).filter(|id| *id != main);
        Ok(std::iter::once(main.clone()).chain(others).collect())
    }
}

/// An id, which may be a number or a text.
fn text_of(id: &Value) -> Option<String> {
    match id {
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) if !s.is_empty() => Some(s.clone()),
        _ => None,
    }
}

/// The rules of `start` of a context, in their order.
fn listed(seen: &[Seen], context: usize) -> Result<Vec<Rule>, Trouble> {
    let mut rules: Vec<Rule> = seen.get(2 + context).map_or(Ok(Vec::new()), |rules| rules.read("the rules of its contexts"))?;
    if rules.iter().all(|r| r.position.is_some()) {
        rules.sort_by_key(|r| r.position);
    }
    Ok(rules)
}

fn is_at(rules: &[Rule], place: usize, rule: &Rule) -> bool {
    rules.get(place).is_some_and(|r| r.id == rule.id)
}

impl Part for Rules {
    fn name(&self) -> String {
        format!("rules of IVR {}", self.number)
    }

    fn wanted(&self) -> bool {
        self.wanted
    }

    fn ask(&self, seen: &[Seen]) -> Result<Option<Request>, Trouble> {
        Ok(match seen {
            [] => Some(Request::get(api::path(&self.settings, format_args!("/extension/{}/ivr/", self.id)))),
            // An application without the right has put nothing there, either.
            [ivr] if ivr.reply.is_none() && !self.wanted => None,
            [_] => Some(Request::get(api::path(&self.settings, format_args!("/extension/{}/ivr/context/", self.id)))),
            _ => self.contexts(seen)?.get(seen.len() - 2).map(|context| Request::get(self.place(context))),
        })
    }

    fn plan(&self, seen: &[Seen], memory: &Memory, wanted: bool) -> Result<Plan, Trouble> {
        if let [ivr] = seen {
            return if *memory == Memory::default() {
                Ok(Plan::default())
            } else {
                Err(Trouble::of(ivr.status, "its settings", &ivr.words))
            };
        }
        let contexts = self.contexts(seen)?;
        for (n, context) in contexts.iter().enumerate().skip(1) {
            let leave = self.difference(context, &listed(seen, n)?, memory, false);
            if !leave.next.is_empty() || leave.trouble.is_some() {
                return Ok(leave);
            }
        }
        Ok(self.difference(&contexts[0], &listed(seen, 0)?, memory, wanted))
    }

    fn learn(&self, mut memory: Memory, step: &Step, reply: &Response) -> Memory {
        if step.makes
            && let Ok(made) = reply.json::<Rule>()
            && made.id != 0
        {
            (memory.ours, memory.making) = ([made.id].into(), false);
        }
        memory
    }

    fn remarks(&self, seen: &[Seen]) -> Vec<(String, String)> {
        let rules = listed(seen, 0).unwrap_or_default();
        let asks = rules.iter().position(|r| self.asks_us(r));
        let behind = asks.and_then(|n| rules.get(n + 1)).filter(|r| r.action == "transfer_from_variable" && !self.transfers(r));
        let mut remarks: Vec<(String, String)> = Vec::new();
        if let Some(rule) = behind {
            let (theirs, ours) = (rule.transfer_variable.as_deref().unwrap_or_default(), &self.settings.variable);
            let mend = format!("name {ours} in the rule, or {theirs} as telphin.variable in the declaration");
            remarks.push((format!("the lookup sets the variable {ours}, and the rule behind it transfers from {theirs}"), mend));
        }
        let urls = rules.iter().filter_map(|r| r.call_interactive_url.as_deref());
        remarks.extend(urls.filter(|url| self.hooks.is_elsewhere("getmanager", url)).map(super::elsewhere));
        remarks
    }

    fn by_hand(&self, wanted: bool) -> String {
        if !wanted {
            return format!(
                "In the panel, in the Main context of IVR {}, at start, remove the rule Call interactive with the URL {}, and the rule \
                 Transfer from variable {} directly behind it.",
                self.number,
                self.url(),
                self.settings.variable
            );
        }
        format!(
            "In the panel, in the Main context of IVR {}, at start, put these two rules before all others, in this order:\n  \
             1. Call interactive, URL {}, method POST\n  2. Transfer from variable, variable {}\n\
             Another rule must follow: a manager who does not answer would otherwise cost the call.",
            self.number,
            self.url(),
            self.settings.variable
        )
    }

    fn cost(&self) -> i64 {
        30
    }
}
