//! `check --live` at an Asterisk: everything that a call needs is asked over AMI, and nothing is done there.
//!
//! In this order, each needing the one before: the login, the version and the clock, our rights, the dialplan as it is loaded against the one
//! that `provision` prints, whether the PBX reaches our hooks, the agents' phones, the recordings' folder.

use super::check::{CLOCK_S, Report};
use super::{Provision, Stop};
use crate::domain::health::Finding;
use crate::link::{LinkError, Session};
use crate::net::Request;
use crate::pbx::action::Line;
use crate::pbx::asterisk::Settings;
use crate::pbx::asterisk::ami::Action;
use crate::pbx::asterisk::ami::read::timestamp;
use crate::pbx::asterisk::setup::{Dialplan, loaded};

/// How Asterisk says that a user may not.
const DENIED: &str = "Permission denied";

impl Provision<'_> {
    pub(super) async fn prove_asterisk(&self, settings: &Settings, report: &mut Report) -> Result<(), Stop> {
        if settings.ami().is_none() {
            report.proved.push("no AMI access is declared, so nothing is asked there".into());
            return self.recordings(settings, report).await;
        }
        let session = self.link.visit(self.app).await?;
        let asked = self.ask_asterisk(&session, settings, report).await;
        session.close().await;
        asked?;
        self.recordings(settings, report).await
    }

    async fn ask_asterisk(&self, session: &Session, settings: &Settings, report: &mut Report) -> Result<(), Stop> {
        let provision = format!("paste what hookflash provision {} prints", self.app.id());
        let version = session.send(&Action::core_settings()).await;
        let version = version.ok().and_then(|r| r.response.get("AsteriskVersion").map(str::to_owned)).unwrap_or_default();
        report.proved.push(format!("AMI lets {} in, Asterisk {version}", settings.manager_user()));
        self.asterisk_s_clock(session, report).await?;
        for (action, right, what) in [
            (Action::originate_nothing(), "originate", "places calls"),
            (Action::channels(), "reporting", "reads channels"),
            (Action::devices(), "reporting", "reads devices"),
        ] {
            if matches!(session.send(&action).await, Err(LinkError::Refused(words)) if words.contains(DENIED)) {
                let detail = format!("{} of manager.conf lacks the right that {what}", settings.manager_user());
                report.findings.push(Finding::failing("AMI", detail, format!("add {right} to write in its section there, and reload")));
            }
        }
        self.contexts(session, settings, &version, &provision, report).await?;
        self.reaches_us(session, report).await?;
        self.phones(session, settings, report).await
    }

    async fn asterisk_s_clock(&self, session: &Session, report: &mut Report) -> Result<(), Stop> {
        let before = self.clock.now();
        let reply = session.send(&Action::ping()).await?;
        let after = self.clock.now();
        let Some(theirs) = reply.response.get("Timestamp").and_then(timestamp) else { return Ok(()) };
        let off_ms = (theirs.micros() - (before.micros() + after.micros()) / 2) / 1_000;
        report.proved.push(format!("the clocks differ by {} ms", off_ms.abs()));
        if off_ms.abs() > CLOCK_S * 1_000 {
            let detail = format!("the PBX's clock is {} s {} ours", off_ms.abs() / 1_000, if off_ms > 0 { "ahead of" } else { "behind" });
            report.findings.push(Finding::warning("clock", detail, "have both machines follow a time server"));
        }
        Ok(())
    }

    /// The dialplan is there, and it is the one for this application as it is declared.
    async fn contexts(
        &self,
        session: &Session,
        settings: &Settings,
        version: &str,
        provision: &str,
        report: &mut Report,
    ) -> Result<(), Stop> {
        let text = |plain| Dialplan { application: self.app.id(), settings, hooks: &self.hooks, plain }.text();
        let [json, plain] = [false, true].map(|plain| loaded::of_text(&text(plain)));
        let (mut right, mut uses_json) = (0, false);
        for (name, lines) in &json {
            let Some(there) = context(session, name).await? else {
                report.findings.push(Finding::failing("dialplan", format!("the context {name} is not loaded"), provision));
                continue;
            };
            if there == *lines || Some(&there) == plain.get(name) {
                right += 1;
                uses_json |= there == *lines && Some(lines) != plain.get(name);
            } else {
                let detail = format!("the context {name} is not the one for this application as it is declared");
                report.findings.push(Finding::failing("dialplan", detail, format!("{provision}, in place of what is there")));
            }
        }
        report.proved.push(format!("{right} of {} contexts are loaded as they must be", json.len()));
        if uses_json && loaded::decodes_json(version) == Some(false) {
            let mend = format!("paste what hookflash provision {} --plain prints", self.app.id());
            report.findings.push(Finding::failing("dialplan", format!("Asterisk {version} has no JSON_DECODE"), mend));
        }
        let own = if settings.default_context.is_empty() { "default" } else { settings.default_context.as_str() };
        for (key, name) in [("default_context", own), ("outbound_context", settings.outbound_context.as_str())] {
            if !name.is_empty() && context(session, name).await?.is_none() {
                let detail = match key {
                    "default_context" => format!("the context {name} is not there, where calls go when this server cannot be asked"),
                    _ => format!("the context {name} is not there, which places calls"),
                };
                report.findings.push(Finding::failing("dialplan", detail, format!("correct asterisk.{key}, or make it at the PBX")));
            }
        }
        Ok(())
    }

    /// The PBX itself calls a hook of ours that does nothing.
    async fn reaches_us(&self, session: &Session, report: &mut Report) -> Result<(), Stop> {
        let shown = self.hooks.shown("check");
        let said = match session.send(&Action::value(&format!("CURL({})", self.hooks.in_dialplan("check")))).await {
            Ok(reply) => reply.response.raw("Value").unwrap_or_default().to_owned(),
            Err(LinkError::Refused(words)) => {
                report.findings.push(Finding::warning(
                    "hooks",
                    format!("whether the PBX reaches us was not told: {words}"),
                    "see to its rights",
                ));
                return Ok(());
            }
            Err(LinkError::Unclear(_)) => String::new(),
            Err(error) => return Err(error.into()),
        };
        match said.as_str() {
            "OK" => report.proved.push(format!("the PBX reaches {shown}")),
            "" => report.findings.push(Finding::failing(
                "hooks",
                format!("the PBX has no answer from {shown}"),
                "is this server running, and func_curl loaded at the PBX? Try curl there: name, firewall, certificate",
            )),
            other => {
                let problem: serde_json::Value = serde_json::from_str(other).unwrap_or_default();
                let words = problem["title"].as_str().map_or_else(|| other.chars().take(100).collect(), str::to_owned);
                let detail = format!("the PBX is not let in at {shown}: {words}");
                report.findings.push(Finding::failing("hooks", detail, "correct the application's allow_ips or server.public_url"));
            }
        }
        Ok(())
    }

    /// What rings for the agents is known to the PBX.
    async fn phones(&self, session: &Session, settings: &Settings, report: &mut Report) -> Result<(), Stop> {
        let Ok(list) = session.send(&Action::devices()).await else { return Ok(()) };
        let state = |device: &str| list.events.iter().find(|b| b.get("Device") == Some(device)).and_then(|b| b.raw("State"));
        let techs = |device: &str| device.starts_with("PJSIP/") || device.starts_with("SIP/");
        let (mut known, mut ready) = (0, 0);
        for agent in self.app.spec.agent.iter().filter(|a| a.routing_type == 1) {
            let Some(extension) = &agent.extension else { continue };
            let Some(device) = settings.device(&Line::Extension(extension.clone())).filter(|d| techs(d)) else { continue };
            match state(&device) {
                Some(state) => {
                    known += 1;
                    ready += usize::from(!matches!(state, "UNAVAILABLE" | "INVALID" | "UNKNOWN"));
                }
                None => report.findings.push(Finding::warning(
                    "phones",
                    format!("{device} of agent {} is not at the PBX", agent.id),
                    "correct the agent's extension or asterisk.device, or make it at the PBX",
                )),
            }
        }
        report.proved.push(format!("{ready} of {known} phones can be reached"));
        Ok(())
    }

    async fn recordings(&self, settings: &Settings, report: &mut Report) -> Result<(), Stop> {
        if settings.recordings_url.is_empty() {
            if settings.record {
                let detail = "calls are recorded, and recordings_url does not say where they can be had";
                report.findings.push(Finding::warning("recordings", detail, "set asterisk.recordings_url, or record = false"));
            }
            return Ok(());
        }
        // No recording has this name; whoever may read there is told so.
        let mut request = Request::get(format!("{}/hookflash-check.wav", settings.recordings_url.trim_end_matches('/')));
        if !settings.recordings_user.is_empty() {
            let password = self.gateway.reveal(self.app, "asterisk.recordings_password", &settings.recordings_password)?;
            request = request.basic(&settings.recordings_user, &password);
        }
        let status = match self.gateway.fetch(request).await {
            Ok(reply) => reply.status.to_string(),
            Err(error) => error.to_string(),
        };
        match status.as_str() {
            "404" | "200" => report.proved.push("the recordings' web server answers".into()),
            other => report.findings.push(Finding::failing(
                "recordings",
                format!("the recordings' web server says {other}"),
                "correct asterisk.recordings_url, recordings_user and recordings_password, or outbound.allow_private",
            )),
        }
        Ok(())
    }
}

/// What a context holds; `None`: there is none of that name.
async fn context(session: &Session, name: &str) -> Result<Option<Vec<String>>, Stop> {
    match session.send(&Action::dialplan(name)).await {
        Ok(reply) => Ok(Some(loaded::of_list(&reply.events))),
        Err(LinkError::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
