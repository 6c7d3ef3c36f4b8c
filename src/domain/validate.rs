//! What makes a declaration wrong: each problem names the key, the reason and the mend. All of them at once, before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::phone;
use super::spec::{Application, Contact, ExtensionType};

#[path = "validate_entrance.rs"]
mod entrance;

/// One thing that is wrong, and where: `agent[2].extension`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl Problem {
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

/// Everything wrong with an application as a whole, contacts included.
pub fn application(app: &Application) -> Vec<Problem> {
    let mut problems = Vec::new();
    settings(app, &mut problems);
    agents(app, &mut problems);
    extensions(app, &mut problems);
    groups_queues_numbers(app, &mut problems);
    steps(app, &mut problems);
    let agents: BTreeSet<&str> = app.agent.iter().map(|a| a.id.as_str()).collect();
    let mut phones = BTreeMap::new();
    let mut external_ids = BTreeSet::new();
    for (i, c) in app.contact.iter().enumerate() {
        problems
            .extend(contact(c, &|id| agents.contains(id)).into_iter().map(|p| Problem::new(format!("contact[{i}].{}", p.path), p.reason)));
        if let Some(id) = c.external_id.as_deref().filter(|id| !external_ids.insert(*id)) {
            problems.push(Problem::new(format!("contact[{i}].external_id"), format!("{id:?} is declared twice")));
        }
        for (n, phone) in c.phones.iter().enumerate() {
            if let Some(other) = phones.insert(phone.as_str(), i).filter(|other| *other != i) {
                problems.push(Problem::new(
                    format!("contact[{i}].phones[{n}]"),
                    format!("contact {} has this phone already; a phone belongs to one contact", other + 1),
                ));
            }
        }
    }
    problems
}

/// Everything wrong with one contact.
pub fn contact(c: &Contact, is_agent: &dyn Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if c.phones.is_empty() && c.external_id.is_none() {
        problems.push(Problem::new("phones", "a contact needs at least one phone, or an external_id"));
    }
    if c.phones.len() > 50 {
        problems.push(Problem::new("phones", "a contact has at most 50 phones"));
    }
    for (n, phone) in c.phones.iter().enumerate() {
        if !phone::is_e164(phone) {
            problems.push(Problem::new(format!("phones[{n}]"), format!("{phone:?} is not a number of the form +79990001122")));
        }
    }
    for (field, agent) in [("owner", &c.owner), ("deputy", &c.deputy)] {
        if let Some(id) = agent.as_deref().filter(|id| !is_agent(id)) {
            problems.push(Problem::new(field, format!("there is no agent {id:?}; declare it first")));
        }
    }
    length("name", &c.name, 200, &mut problems);
    length("external_id", c.external_id.as_deref().unwrap_or_default(), 200, &mut problems);
    problems
}

fn settings(app: &Application, problems: &mut Vec<Problem>) {
    if app.id <= 0 {
        problems.push(Problem::new("id", "must be a whole number above 0"));
    }
    let url_safe = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    if app.login.is_empty() || app.login.len() > 100 || !app.login.chars().all(url_safe) {
        problems.push(Problem::new("login", "must be 1 to 100 letters, digits or -_.~ : it is part of every hook's path"));
    }
    name("name", &app.name, problems);
    if let Some(country) = app.country.as_deref().filter(|c| !phone::is_region(c)) {
        problems.push(Problem::new("country", format!("{country:?} is no region; use two capital letters such as RU or VN")));
    }
    if jiff::tz::TimeZone::get(&app.timezone).is_err() {
        problems.push(Problem::new("timezone", format!("{:?} is no time zone; use a name such as Europe/Moscow", app.timezone)));
    }
    for (i, origin) in app.allowed_origins.iter().enumerate() {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if rest.is_none_or(|r| r.is_empty() || r.contains('/')) {
            problems.push(Problem::new(
                format!("allowed_origins[{i}]"),
                format!("{origin:?} is no origin; use https://host or https://host:port"),
            ));
        }
    }
    let r = &app.routing;
    range("routing.wrap_up_s", r.wrap_up_s, 0, 3_600, problems);
    range("routing.last_agent_days", r.last_agent_days, 0, 3_650, problems);
    range("routing.no_answer_limit", r.no_answer_limit.into(), 0, 100, problems);
    range("routing.deadline_ms", r.deadline_ms.unwrap_or(1_000), 50, 10_000, problems);
    for (name, s) in [
        ("no_answer", r.cool_down_s.no_answer),
        ("busy", r.cool_down_s.busy),
        ("rejected", r.cool_down_s.rejected),
        ("unreachable", r.cool_down_s.unreachable),
    ] {
        range(&format!("routing.cool_down_s.{name}"), s, 0, 3_600, problems);
    }
    if !r.fallback.is_empty() && !is_extension(&r.fallback) {
        problems.push(Problem::new("routing.fallback", "must be an extension such as 101, or empty for nobody"));
    }
}

fn agents(app: &Application, problems: &mut Vec<Problem>) {
    let mut by_extension = BTreeMap::new();
    let mut by_number = BTreeMap::new();
    unique("agent", app.agent.iter().map(|a| a.id.as_str()), problems);
    for (i, agent) in app.agent.iter().enumerate() {
        let at = |field: &str| format!("agent[{i}].{field}");
        identifier(&at("id"), &agent.id, problems);
        name(&at("name"), &agent.name, problems);
        if let Some(extension) = &agent.extension {
            if !is_extension(extension) {
                problems.push(Problem::new(
                    at("extension"),
                    format!("{extension:?} is no extension; use its short form of 1 to 10 digits, such as 101"),
                ));
            }
            if let Some(other) = by_extension.insert(extension.as_str(), agent.id.as_str()) {
                problems.push(Problem::new(at("extension"), format!("agent {other:?} has extension {extension} already")));
            }
        }
        if agent.routing_type != 1 && agent.routing_type != 2 {
            problems.push(Problem::new(at("routing_type"), "must be 1 (app or SIP phone) or 2 (own phone number)"));
        }
        range(&at("weight"), agent.weight.into(), 1, 100, problems);
        entrance::skills(&at("skills"), &agent.skills, problems);
        line(&at("crm_user"), agent.crm_user.as_deref().unwrap_or_default(), problems);
        match &agent.phone_number {
            Some(number) if !phone::is_e164(number) => {
                problems.push(Problem::new(at("phone_number"), format!("{number:?} is not a number of the form +79990001122")))
            }
            None if agent.routing_type == 2 => problems.push(Problem::new(at("phone_number"), "is needed when routing_type is 2")),
            _ => {}
        }
        if let Some(number) = agent.phone_number.as_deref().filter(|_| agent.routing_type == 2)
            && let Some(other) = by_number.insert(number, agent.id.as_str())
        {
            problems.push(Problem::new(at("phone_number"), format!("agent {other:?} is rung on {number} already")));
        }
    }
}

fn extensions(app: &Application, problems: &mut Vec<Problem>) {
    unique("extension", app.extension.iter().map(|e| e.number.as_str()), problems);
    for (i, e) in app.extension.iter().enumerate() {
        if !is_extension(&e.number) {
            problems.push(Problem::new(
                format!("extension[{i}].number"),
                format!("{:?} is no extension; use its short form of 1 to 10 digits", e.number),
            ));
        }
        if e.kind != ExtensionType::Phone
            && let Some(agent) = app.agent.iter().find(|a| a.extension.as_deref() == Some(&e.number))
        {
            problems.push(Problem::new(format!("extension[{i}].type"), format!("{} is the phone of agent {:?}", e.number, agent.id)));
        }
    }
}

fn groups_queues_numbers(app: &Application, problems: &mut Vec<Problem>) {
    let agents: BTreeSet<&str> = app.agent.iter().map(|a| a.id.as_str()).collect();
    let groups: BTreeSet<&str> = app.group.iter().map(|g| g.id.as_str()).collect();
    unique("group", app.group.iter().map(|g| g.id.as_str()), problems);
    unique("queue", app.queue.iter().map(|q| q.id.as_str()), problems);
    unique("number", app.number.iter().map(|n| n.number.as_str()), problems);
    for (i, group) in app.group.iter().enumerate() {
        identifier(&format!("group[{i}].id"), &group.id, problems);
        let at = format!("group[{i}].name");
        name(&at, &group.name, problems);
        if let Some(other) = app.group[..i].iter().find(|g| g.name.trim().to_lowercase() == group.name.trim().to_lowercase()) {
            problems.push(Problem::new(&at, format!("group {:?} has this name already", other.id)));
        }
        known(&format!("group[{i}].agents"), "agent", &group.agents, &agents, problems);
    }
    let queues: BTreeSet<&str> = app.queue.iter().map(|q| q.id.as_str()).collect();
    for (i, queue) in app.queue.iter().enumerate() {
        let problems_of = entrance::queue(app, queue, &groups, &queues);
        problems.extend(problems_of.into_iter().map(|p| Problem::new(format!("queue[{i}].{}", p.path), p.reason)));
    }
    entrance::application(app, &queues, problems);
}

fn steps(app: &Application, problems: &mut Vec<Problem>) {
    for (i, step) in app.routing.responsible.iter().enumerate() {
        let path = format!("routing.responsible[{i}]");
        let reason = match step.to().split_once(':') {
            None if ["owner", "deputy", "last_agent"].contains(&step.to()) => None,
            Some(("group", id)) if app.group.iter().any(|g| g.id == id) => None,
            Some(("group", id)) => Some(format!("there is no group {id:?}; declare it first")),
            Some(("queue", id)) if app.queue.iter().any(|q| q.id == id) => None,
            Some(("queue", id)) => Some(format!("there is no queue {id:?}; declare it first")),
            Some(("number", number)) if phone::is_e164(number) => None,
            Some(("number", number)) => Some(format!("{number:?} is not a number of the form +79990001122")),
            _ => Some(format!("{:?} is no step; use owner, deputy, last_agent, group:ID, queue:ID or number:+…", step.to())),
        };
        range(&format!("{path}.wait_s"), step.wait_s(), 0, 3_600, problems);
        problems.extend(reason.map(|r| Problem::new(path, r)));
    }
}

/// True for what can be declared as an extension's number: 1 to 10 digits.
pub fn is_extension(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn identifier(path: &str, id: &str, problems: &mut Vec<Problem>) {
    let ok = (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !ok {
        problems.push(Problem::new(path, format!("{id:?} is no id; use 1 to 64 letters, digits, - or _")));
    }
}

/// A list names what is declared, and each once: who stood there twice would count twice.
fn known(path: &str, what: &str, ids: &[String], declared: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (n, id) in ids.iter().enumerate() {
        if !declared.contains(id.as_str()) {
            problems.push(Problem::new(format!("{path}[{n}]"), format!("there is no {what} {id:?}; declare it first")));
        } else if !seen.insert(id) {
            problems.push(Problem::new(format!("{path}[{n}]"), format!("{id:?} is in the list already; name it once")));
        }
    }
}

fn unique<'a>(list: &str, ids: impl Iterator<Item = &'a str>, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (i, id) in ids.enumerate() {
        if !seen.insert(id) {
            problems.push(Problem::new(format!("{list}[{i}]"), format!("{id:?} is declared twice")));
        }
    }
}

fn range(path: &str, value: i64, least: i64, most: i64, problems: &mut Vec<Problem>) {
    if !(least..=most).contains(&value) {
        problems.push(Problem::new(path, format!("{value} is out of range; use {least} to {most}")));
    }
}

/// A name that people give.
pub(super) fn name(path: &str, text: &str, problems: &mut Vec<Problem>) {
    if text.trim().is_empty() {
        problems.push(Problem::new(path, "must not be empty"));
    }
    line(path, text, problems);
}

/// A short text that stands in logs and on terminals.
fn line(path: &str, text: &str, problems: &mut Vec<Problem>) {
    if text.chars().any(char::is_control) {
        problems.push(Problem::new(path, "must not hold control characters such as line breaks"));
    }
    length(path, text, 200, problems);
}

fn length(path: &str, text: &str, most: usize, problems: &mut Vec<Problem>) {
    if text.chars().count() > most {
        problems.push(Problem::new(path, format!("is longer than {most} characters")));
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
