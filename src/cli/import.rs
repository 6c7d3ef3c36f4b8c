//! `hookflash import`: tables into the built-in directory.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::progress::Progress;
use super::tools::{Failure, Outcome, Tools};
use crate::config::Settings;
use crate::declare::import::{Counts, ImportError, Watcher, import};

/// Import tables into the built-in directory
#[derive(Subcommand)]
pub enum Import {
    Contacts(Contacts),
}

/// Import contacts from a CSV file with the header name,phones,owner,deputy,external_id
///
/// Columns may stand in any order, and all but phones may be missing; several phones are separated by semicolons. A contact is known by its
/// external_id, else by its first phone: the same file again changes nothing. A row that is refused is listed with its line and reason, and
/// the others are imported. A running server is not held up.
#[derive(Args)]
pub struct Contacts {
    /// The table, UTF-8
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// The application whose directory it is
    #[arg(long, value_name = "ID")]
    app: i64,
    /// Check every row, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let Import::Contacts(command) = self;
        let name = command.file.display().to_string();
        let unreadable = |e: std::io::Error| Failure::Failed(format!("{name}: cannot be read: {e}; name a readable file"));
        let file = File::open(&command.file).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let tools = Tools::open(&settings)?;
        let mut shown = Shown { progress: Progress::new(length, "{wide_bar} {percent}%, {eta} left"), name: name.clone() };
        let counts = import(&tools.db, &tools.clock, command.app, file, command.dry_run, &mut shown).map_err(|e| match e {
            ImportError::Store(e) => e.into(),
            ImportError::NoApplication(_) => Failure::Failed(e.to_string()),
            other => Failure::Failed(format!("{name}: {other}; the rows before are imported, the same file may be imported again")),
        })?;
        drop(shown);
        let Counts { added, changed, unchanged, refused } = counts;
        let note = if command.dry_run { "; nothing was written" } else { "" };
        writeln!(out, "{added} added, {changed} changed, {unchanged} unchanged, {refused} refused{note}")?;
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

struct Shown {
    progress: Progress,
    name: String,
}

impl Watcher for Shown {
    fn refused(&mut self, line: u64, reason: &str) {
        self.progress.tell(&format!("{}:{line}: {reason}", self.name));
    }

    fn done(&mut self, bytes: u64) {
        self.progress.at(bytes);
    }
}
