//! `hookflash check --live`: proves at the PBX that everything is as the application needs it, and changes nothing.
//!
//! In this order, each needing the one before: the credentials, whom they speak for, the clock and the hour's limit, then every part as
//! setting it up would see it, then whether the declared extensions are the PBX's.

use super::{Outcome, Provision, Stop, Task, line, parts_of, run, survey};
use crate::domain::health::Finding;
use crate::domain::spec::ExtensionType;
use crate::gateway::GatewayError;
use crate::link::LinkError;
use crate::net::Response;
use crate::pbx::Pbx;
use crate::pbx::setup::{Sign, Trouble};
use crate::store::{Durability, lines};

/// A token that lives shorter is asked for all the time, seconds.
const SHORT_LIFE_S: i64 = 300;
/// Clocks that differ by more show times that nobody can compare, seconds.
pub(super) const CLOCK_S: i64 = 5;
/// Fewer requests left than this share of the hour's limit are worth a word.
const FEW: i64 = 10;

/// What a check proved, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In words, for people.
    pub proved: Vec<String>,
    pub findings: Vec<Finding>,
}

impl Provision<'_> {
    /// Asks the PBX, keeps what it found for the application's health, and says it.
    pub async fn check(&self) -> Report {
        let mut report = Report::default();
        if let Err(stop) = self.prove(&mut report).await {
            report.findings.push(stopped(&stop));
        }
        let (app, at, findings) = (self.app.id(), self.clock.now(), report.findings.clone());
        if let Err(error) = self.db.write(Durability::Process, move |conn| lines::checked(conn, app, at, &findings)).await {
            report.findings.push(stopped(&error.into()));
        }
        report
    }

    async fn prove(&self, report: &mut Report) -> Result<(), Stop> {
        if let Pbx::Asterisk(settings) = &self.app.pbx {
            return self.prove_asterisk(settings, report).await;
        }
        let Some(found) = self.app.pbx.survey(&self.hooks) else {
            report.proved.push("its PBX has no API to ask".into());
            return Ok(());
        };
        let (_, life_s) = self.gateway.new_token(self.app).await?;
        report.proved.push(format!("the credentials are taken, a token lives {life_s} s"));
        if life_s < SHORT_LIFE_S {
            let detail = format!("a token lives only {life_s} s");
            report.findings.push(Finding::warning("token", detail, "ask the provider; each token is a request more"));
        }
        if let Some(request) = self.app.pbx.who() {
            let reply = self.gateway.send(self.app, request).await?;
            self.user(&reply, report);
            self.time(&reply, report);
        }
        let line = self.line();
        let seen = survey(&line, &*found).await?;
        self.extensions(&found.numbers(&seen)?, report);
        let mut right = 0;
        for part in parts_of(&*found, &seen)? {
            let memory = line::Line::memory(&line, &part.name()).await?;
            let looked = run::look(&line, &*part).await?;
            if let Ok(seen) = &looked {
                let remarks = part.remarks(seen);
                report.findings.extend(remarks.into_iter().map(|(detail, mend)| Finding::warning(part.name(), detail, mend)));
            }
            let planned = looked.and_then(|seen| part.plan(&seen, &memory, Task::On.wants(&*part)));
            let outcome = match planned {
                Ok(plan) => super::outcome(&*part, Task::On, plan.changes, plan.trouble),
                Err(trouble) => super::outcome(&*part, Task::On, Vec::new(), Some(trouble)),
            };
            let findings = findings(&outcome, self.app.id());
            right += usize::from(findings.is_empty());
            report.findings.extend(findings);
        }
        report.proved.push(format!("{right} parts of the PBX are set up"));
        self.hour(report).await
    }

    /// Whom the credentials speak for.
    fn user(&self, reply: &Response, report: &mut Report) {
        let user: serde_json::Value = reply.json().unwrap_or_default();
        let Some(login) = user["login"].as_str() else { return };
        report.proved.push(format!("the PBX knows us as {login}"));
        let declared = &self.app.spec.login;
        if login != declared {
            let detail = format!("the credentials are those of {login}, the application's login is {declared}");
            let mend = "correct login, or telphin.client_id and client_secret, and apply the declaration; two customers may be mixed up";
            report.findings.push(Finding::warning("login", detail, mend));
        }
    }

    fn time(&self, reply: &Response, report: &mut Report) {
        let Some(theirs) = reply.header("date").and_then(|d| jiff::fmt::rfc2822::parse(d).ok()) else { return };
        // Their time has whole seconds, and the reply has travelled.
        let off_us = theirs.timestamp().as_microsecond() + 500_000 - self.clock.now().micros();
        let off_s = (off_us as f64 / 1e6).round() as i64;
        let off_s = if off_s.abs() <= 1 { 0 } else { off_s };
        report.proved.push(format!("the clocks differ by {} s", off_s.abs()));
        if off_s.abs() > CLOCK_S {
            let detail = format!("the PBX's clock is {} s {}", off_s.abs(), if off_s > 0 { "ahead of ours" } else { "behind ours" });
            report.findings.push(Finding::warning("clock", detail, "have this machine follow a time server, and restart"));
        }
    }

    async fn hour(&self, report: &mut Report) -> Result<(), Stop> {
        let (now, line) = (self.clock.now(), self.gateway.line(self.app.id()).await?);
        if let (Some(limit), Some(left)) = (line.hour_limit, line.left(now)) {
            report.proved.push(format!("{left} of {limit} requests are left in this hour"));
            if left * FEW < limit {
                let detail = format!("only {left} of the {limit} requests of this hour are left");
                let mend = "the limit is shared by all integrations of this customer: see which asks so much, or have it raised";
                report.findings.push(Finding::warning("hourly limit", detail, mend));
            }
        }
        Ok(())
    }

    /// The declared extensions and the PBX's are the same.
    fn extensions(&self, there: &[(String, ExtensionType)], report: &mut Report) {
        let kind = |number: &str| there.iter().find(|(n, _)| n == number).map(|(_, kind)| *kind);
        let spec = &self.app.spec;
        let mut add = |detail: String, mend: &str| report.findings.push(Finding::warning("extensions", detail, mend));
        for agent in &spec.agent {
            let Some(extension) = &agent.extension else { continue };
            match kind(extension) {
                Some(ExtensionType::Phone) => {}
                Some(other) => add(
                    format!("{extension} of agent {} is {} at the PBX, not a phone", agent.id, an(other)),
                    "correct the agent's extension",
                ),
                None => add(
                    format!("{extension} of agent {} is not at the PBX", agent.id),
                    "correct the agent's extension, or make it at the PBX",
                ),
            }
        }
        for e in &spec.extension {
            match kind(&e.number) {
                Some(there) if there == e.kind => {}
                Some(there) => {
                    add(format!("{} is declared as {} and is {} at the PBX", e.number, an(e.kind), an(there)), "correct its type")
                }
                None => {
                    add(format!("{} is declared and is not at the PBX", e.number), "remove it from the declaration, or make it at the PBX")
                }
            }
        }
        let unknown = |wanted: &dyn Fn(ExtensionType) -> bool| {
            let list = there.iter().filter(|(number, kind)| wanted(*kind) && self.app.extension_type(number).is_none());
            list.map(|(number, _)| number.as_str()).collect::<Vec<_>>().join(", ")
        };
        let phones = unknown(&|kind| kind == ExtensionType::Phone);
        if !phones.is_empty() {
            add(
                format!("phones of no agent: {phones}"),
                "declare an agent with each, or an extension of type phone; their calls are logged without an agent",
            );
        }
        let places = unknown(&|kind| matches!(kind, ExtensionType::Ivr | ExtensionType::Queue));
        if !places.is_empty() {
            add(
                format!("IVRs and queues that are not declared: {places}"),
                "declare each as an extension, or missed calls may name the wrong place",
            );
        }
        report.proved.push(format!("the PBX has {} extensions", there.len()));
    }
}

fn an(kind: ExtensionType) -> String {
    match kind {
        ExtensionType::Ivr => "an ivr".into(),
        other => format!("a {other}"),
    }
}

/// What setting the part up would have to do is what is wrong with it.
pub fn findings(outcome: &Outcome, app: i64) -> Vec<Finding> {
    let provision = format!("run hookflash provision {app}");
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(trouble) = &outcome.trouble {
        let mend = match trouble {
            Trouble::Forbidden(_) => format!(
                "have an administrator grant the application at the PBX access All, or {provision}, which says what to enter by hand"
            ),
            Trouble::Stuck(_) => format!("{provision}, which says what to do by hand"),
        };
        findings.push(Finding::failing(outcome.part.clone(), trouble.to_string(), mend));
    }
    let of = |sign| outcome.changes.iter().filter(move |c| c.sign == sign).map(|c| c.text.as_str()).collect::<Vec<_>>().join("; ");
    for (sign, how) in [(Sign::Add, "missing"), (Sign::Change, "there but not as it must be"), (Sign::Remove, "there and should not be")] {
        let list = of(sign);
        if !list.is_empty() {
            findings.push(Finding::failing(outcome.part.clone(), format!("{how}: {list}"), provision.clone()));
        }
    }
    findings
}

fn stopped(stop: &Stop) -> Finding {
    let mend = match stop {
        Stop::Gateway(GatewayError::Credentials(_)) => "correct telphin.client_id and telphin.client_secret, and apply the declaration",
        Stop::Gateway(GatewayError::Refused { .. }) => "have the application's access at the PBX checked",
        Stop::Gateway(GatewayError::Forbidden(_)) => "correct telphin.api_url, or outbound.allow_private",
        Stop::Gateway(GatewayError::Waiting { .. } | GatewayError::Busy(_)) => "nothing: it is asked again then",
        Stop::Gateway(_) => "correct telphin.api_url, or wait until the PBX is back",
        Stop::Link(LinkError::Credentials(_)) => {
            "correct asterisk.ami_user and asterisk.ami_secret, or the section of manager.conf: its secret, and a permit for this server's address"
        }
        Stop::Link(LinkError::Forbidden(_)) => "correct asterisk.ami_address, or outbound.allow_private",
        Stop::Link(_) => "correct asterisk.ami_address; at the PBX: enabled = yes and bindaddr in manager.conf, the firewall",
        Stop::Trouble(Trouble::Forbidden(_)) => "have an administrator grant the application at the PBX access All",
        Stop::Trouble(Trouble::Stuck(_)) | Stop::Hour { .. } => "run it again later",
        Stop::NoApi(_) => "nothing",
        Stop::Store(_) => "see to the database",
    };
    Finding::failing("PBX", stop.to_string(), mend)
}
