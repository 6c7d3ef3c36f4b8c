//! What commands work with: the database and the secrets, opened as the settings say, and how a command ends.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Invalid, LogFormat, Settings};
use crate::domain::time::Clock;
use crate::roster::{self, App, Snapshot};
use crate::secrets::{SecretError, Vault};
use crate::store::{Db, Options, StoreError};
use crate::telemetry::{self, Output, Telemetry};

pub type Outcome = Result<ExitCode, Failure>;

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments contradict each other, or what is stored.
    #[error("error: {0}\n\nFor more information, try '--help'.")]
    Usage(String),
    #[error("{0}")]
    Settings(#[from] Invalid),
    #[error("{}", database(.0))]
    Database(#[from] StoreError),
    #[error("secrets.key: {0}")]
    Secrets(#[from] SecretError),
    #[error("writing the output: {0}")]
    Output(#[from] io::Error),
    /// One line with its mend, or several.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    pub fn code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Failure::Usage(_)) { 2 } else { 1 })
    }
}

fn database(error: &StoreError) -> String {
    match error {
        StoreError::Connection(reason) => format!("database.url: no connection: {}; is it right, and is the database there?", line(reason)),
        StoreError::Busy => "the database is busy; try again".into(),
        other => line(&other.to_string()),
    }
}

/// Databases speak in several lines; an error here is one.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a command works with.
pub struct Tools {
    pub clock: Clock,
    pub db: Db,
    pub vault: Arc<Vault>,
    _telemetry: Telemetry,
}

impl Tools {
    /// Opens the database (made and migrated when needed) and the secrets. Only warnings are logged, on standard error.
    pub fn open(settings: &Settings) -> Result<Tools, Failure> {
        let (clock, telemetry) = quiet(settings)?;
        let db = Db::open(&Options { url: settings.database.url.as_str().to_owned(), pool_size: settings.database.pool })?;
        let vault = Arc::new(Vault::open(settings.database.url.as_str(), settings.secrets.key.as_ref())?);
        Ok(Tools { clock, db, vault, _telemetry: telemetry })
    }

    /// Every stored application.
    pub fn roster(&self) -> Result<Snapshot, Failure> {
        Ok(self.db.read_blocking(|conn| roster::read(conn, &self.vault))?)
    }

    /// One stored application that can be used.
    pub fn app(&self, id: i64) -> Result<Arc<App>, Failure> {
        let snapshot = self.roster()?;
        snapshot.apps.get(&id).cloned().ok_or_else(|| missing(&snapshot, id))
    }
}

/// Why there is no such application.
pub fn missing(snapshot: &Snapshot, id: i64) -> Failure {
    let broken = snapshot.broken.iter().find(|(broken, _)| *broken == id);
    Failure::Failed(match broken {
        Some((_, reason)) => format!("application {id} cannot be used: {reason}"),
        None => {
            let mut known: Vec<i64> = snapshot.apps.keys().copied().collect();
            known.sort_unstable();
            let known: Vec<String> = known.iter().map(i64::to_string).collect();
            let known = if known.is_empty() { "there is none yet".into() } else { format!("there is {}", known.join(", ")) };
            format!("there is no application {id}; {known}; `hookflash apply` declares one")
        }
    })
}

/// A log for commands: warnings, on standard error.
pub fn quiet(settings: &Settings) -> Result<(Clock, Telemetry), Failure> {
    let clock = Clock::system();
    let log = crate::config::Log { level: "warn".into(), per_application: false, format: LogFormat::Logfmt, ..settings.log.clone() };
    let telemetry = telemetry::init(&log, Output::Stderr, clock.clone()).map_err(|e| Failure::Failed(format!("the log: {e:#}")))?;
    Ok((clock, telemetry))
}
