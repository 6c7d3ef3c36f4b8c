//! `hookflash apply`: declaration files become what is stored.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::tools::{Failure, Outcome, Tools};
use crate::config::Settings;
use crate::declare::apply::{ApplyError, Change, Options, apply};
use crate::declare::file::{self, Mistake};

/// Declare applications, agents, groups, queues, numbers and contacts from TOML files
///
/// All files are checked first, then written in one transaction, whole or not at all; a running server follows within a second. The same
/// files again change nothing.
#[derive(Args)]
pub struct Apply {
    /// Declaration files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Also remove what earlier files declared in these applications and these do not
    #[arg(long)]
    prune: bool,
}

impl Apply {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let declared = file::read(&self.files).map_err(|mistakes| refused(&mistakes))?;
        let tools = Tools::open(&settings)?;
        let options = Options { prune: self.prune, dry_run: self.dry_run };
        let changes = apply(&tools.db, &tools.vault, &tools.clock, declared, options).map_err(|e| match e {
            ApplyError::Invalid(mistakes) => refused(&mistakes),
            ApplyError::Store(e) => e.into(),
        })?;
        print(&changes, self.dry_run, out)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn refused(mistakes: &[Mistake]) -> Failure {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Failure::Failed(format!("{}\nnothing was applied", lines.join("\n")))
}

fn print(changes: &[Change], dry_run: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let mut application = None;
    for Change { application: id, difference } in changes {
        if application.replace(id) != Some(id) {
            writeln!(out, "application {id}")?;
        }
        let sign = match difference.verb {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        match difference.what {
            "application" => writeln!(out, "  {sign} settings")?,
            what => writeln!(out, "  {sign} {what} {}", difference.id)?,
        }
    }
    let count = |verb: &str| changes.iter().filter(|c| c.difference.verb == verb).count();
    match (changes.is_empty(), dry_run) {
        (true, _) => writeln!(out, "nothing changed"),
        (false, false) => writeln!(out, "{} added, {} changed, {} removed", count("added"), count("changed"), count("removed")),
        (false, true) => {
            writeln!(out, "{} to add, {} to change, {} to remove; nothing was written", count("added"), count("changed"), count("removed"))
        }
    }
}
