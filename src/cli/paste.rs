//! What `hookflash provision` prints for a PBX whose files the administrator writes himself: the parts, and where each goes.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;

use super::tools::{Failure, Outcome};
use crate::pbx::asterisk::Settings;
use crate::pbx::asterisk::setup::{self, Dialplan};
use crate::pbx::setup::Hooks;
use crate::provision::check::Report;

/// One part alone, to be written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The contexts of extensions.conf
    Dialplan,
    /// The user of manager.conf
    Manager,
}

pub struct Paste<'a> {
    pub application: i64,
    pub settings: &'a Settings,
    pub hooks: &'a Hooks,
    pub plain: bool,
    pub secret: &'a str,
    /// The secret was made now, and the declaration does not know it.
    pub fresh: bool,
}

impl Paste<'_> {
    pub fn part(&self, part: Part, out: &mut dyn Write) -> Result<(), Failure> {
        Ok(out.write_all(self.text(part).as_bytes())?)
    }

    fn text(&self, part: Part) -> String {
        match part {
            Part::Dialplan => {
                Dialplan { application: self.application, settings: self.settings, hooks: self.hooks, plain: self.plain }.text()
            }
            Part::Manager => setup::manager(self.settings.manager_user(), self.secret, self.settings.seen_from()),
        }
    }

    pub fn all(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (app, settings) = (self.application, self.settings);
        writeln!(out, "; 1. The dialplan, to the end of /etc/asterisk/extensions.conf (FreePBX: extensions_custom.conf); then")?;
        writeln!(out, ";    asterisk -rx 'dialplan reload'\n")?;
        self.part(Part::Dialplan, out)?;
        writeln!(
            out,
            "\n; 2. The user who hears of calls and places them, to the end of /etc/asterisk/manager.conf (FreePBX: manager_custom.conf);"
        )?;
        writeln!(out, ";    timestampevents = yes belongs under [general] there; then asterisk -rx 'manager reload'\n")?;
        self.part(Part::Manager, out)?;
        if self.fresh {
            writeln!(out, "\n;    and, where this PBX's application is declared, under [application.asterisk]:")?;
            writeln!(out, ";    ami_address = \"ADDRESS:5038\"")?;
            writeln!(out, ";    ami_user = \"{}\"", settings.manager_user())?;
            writeln!(out, ";    ami_secret = \"{}\"", self.secret)?;
        }
        writeln!(
            out,
            "\n; 3. The calls: have them come in at the context hookflash-{app}, as context = hookflash-{app} of the trunk's endpoint in"
        )?;
        writeln!(
            out,
            ";    pjsip.conf says (FreePBX: the trunk, pjsip Settings, Advanced, Context). The context that stood there before is where"
        )?;
        writeln!(out, ";    calls go when this server cannot be asked; {}", own_route(settings))?;
        Ok(())
    }

    /// What goes when the PBX is left again.
    pub fn off(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let app = self.application;
        writeln!(out, "; 1. Put back the context that the trunk had before hookflash-{app}.")?;
        writeln!(out, "; 2. Remove from extensions.conf (FreePBX: extensions_custom.conf), then asterisk -rx 'dialplan reload':")?;
        for context in self.text(Part::Dialplan).lines().filter(|l| l.starts_with('[')) {
            writeln!(out, ";    {context}")?;
        }
        writeln!(
            out,
            "; 3. Remove [{}] from manager.conf (FreePBX: manager_custom.conf), then asterisk -rx 'manager reload'.",
            self.settings.manager_user()
        )?;
        Ok(())
    }
}

/// What is there already, and what of it is not as it must be.
pub fn checked(report: &Report, out: &mut dyn Write) -> Outcome {
    writeln!(out, "\n; Checked: {}.", report.proved.join(", "))?;
    for finding in &report.findings {
        writeln!(out, "; ! {}: {}; {}", finding.what, finding.detail, finding.mend)?;
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn own_route(settings: &Settings) -> String {
    match settings.default_context.as_str() {
        "" => "it is not declared (default_context), so they go to `default`.".into(),
        context => format!("it is declared as {context}."),
    }
}
