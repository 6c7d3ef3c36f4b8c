//! `hookflash check`: what would keep the server from working, found before it starts.
//!
//! In this order: settings and their files, the database, the secrets' key, then each stored application: whether it can be read, whether
//! what it names exists, whether its secrets can be had. With `--live` each application's PBX is asked, too.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::provision::public_url;
use super::serve::runtime;
use super::tools::{Failure, Outcome, quiet};
use crate::app::Hookflash;
use crate::config::{Finding, Settings};
use crate::crm;
use crate::declare::{InItem, seal};
use crate::domain::time::Clock;
use crate::domain::{doubts, validate};
use crate::pbx::Pbx;
use crate::provision::{self, Provision};
use crate::roster::secret_context;
use crate::secrets::Vault;
use crate::store::{Conn, Db, Options, Result as StoreResult, StoreError, contacts, migrate, roster};

/// Check settings, database, secrets and every stored application
///
/// Each finding names its place, the key and the mend. Status 1 when there is one.
#[derive(Args)]
pub struct Check {
    /// Also ask each application's PBX: credentials, rights, subscriptions, IVR rules, extensions, the hour's limit, the clock. Nothing is
    /// changed there; what is found also shows in GET /api/v1/apps/{app}/health
    #[arg(long)]
    live: bool,
}

impl Check {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let (_, _telemetry) = quiet(&settings)?;
        let mut findings = files(&settings);
        match Vault::open(settings.database.url.as_str(), settings.secrets.key.as_ref()) {
            Ok(vault) => stored(&settings, &vault, &mut findings),
            Err(e) => findings.push(finding("settings", "secrets.key", e, "correct the key, or restore its file")),
        }
        if self.live && findings.is_empty() {
            live(settings, out, &mut findings)?;
        } else if self.live {
            writeln!(out, "the PBXs were not asked: first mend what follows")?;
        }
        for finding in &findings {
            writeln!(out, "{finding}")?;
        }
        match findings.len() {
            0 => writeln!(out, "settings, database, secrets and applications are in order")?,
            1 => writeln!(out, "1 finding")?,
            n => writeln!(out, "{n} findings")?,
        }
        Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What the PBXs say. What they prove is printed as it comes.
fn live(settings: Settings, out: &mut dyn Write, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let url = match public_url(&settings) {
        Ok(url) => url,
        Err(_) => {
            let mend = "set it to where the PBX reaches this server, such as https://pbx.example.com";
            findings.push(finding("settings", "server.public_url", "is not set", mend));
            return Ok(());
        }
    };
    runtime()?.block_on(async {
        let hookflash = Hookflash::open(settings, Clock::system()).await.map_err(|e| Failure::Failed(format!("{e:#}")))?;
        let mut apps: Vec<_> = hookflash.roster.snapshot().apps.values().cloned().collect();
        apps.sort_by_key(|app| app.id());
        for app in apps {
            let place = format!("application {}", app.id());
            let hooks = match provision::hooks(&app, &url) {
                Ok(hooks) => hooks,
                Err(reason) => {
                    findings.push(finding(&place, "key", reason, "set it for this process too, or declare it anew"));
                    continue;
                }
            };
            let work = Provision {
                gateway: &hookflash.gateway,
                link: &hookflash.link,
                db: &hookflash.db,
                clock: &hookflash.clock,
                app: &app,
                hooks,
            };
            let report = work.check().await;
            writeln!(out, "{place}: {}", report.proved.join(", "))?;
            findings.extend(report.findings.into_iter().map(|f| finding(&place, &f.what, f.detail, &f.mend)));
        }
        Ok(())
    })
}

fn finding(place: &str, key: &str, reason: impl ToString, mend: &str) -> Finding {
    Finding { place: place.into(), key: key.into(), reason: reason.to_string(), mend: mend.into() }
}

/// Files that the settings name.
fn files(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, path) in [("server.tls_cert", &settings.server.tls_cert), ("server.tls_key", &settings.server.tls_key)] {
        if let Some(Err(e)) = path.as_deref().map(File::open) {
            findings.push(finding("settings", key, format!("cannot be read: {e}"), "name a PEM file that this user may read"));
        }
    }
    if let (true, Some(cert), Some(key)) = (findings.is_empty(), &settings.server.tls_cert, &settings.server.tls_key) {
        crate::net::install_tls();
        if let Err(e) = crate::server::tls(cert, key) {
            let text = format!("{e:#}");
            let (at, reason) = text.split_once(": ").unwrap_or(("server.tls_cert", &text));
            findings.push(finding("settings", at, reason, "name the certificate chain and the key that belongs to it, both PEM"));
        }
    }
    if settings.log.per_application
        && let Err(e) = writable(&settings.log.dir)
    {
        findings.push(finding("settings", "log.dir", format!("cannot be written: {e}"), "name a folder that this user may write"));
    }
    findings
}

fn writable(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(".hookflash-check");
    File::create(&probe)?;
    std::fs::remove_file(&probe)
}

/// What the database holds.
fn stored(settings: &Settings, vault: &Vault, findings: &mut Vec<Finding>) {
    let options = Options { url: settings.database.url.as_str().to_owned(), pool_size: settings.database.pool };
    let read = Db::open(&options).and_then(|db| {
        db.read_blocking(|conn| {
            if !migrate::is_current(conn)? {
                findings.push(finding("database", "", "its schema is not that of this version", "start the newest version that used it"));
            }
            applications(conn, vault, findings)
        })
    });
    if let Err(e) = read {
        let mend = match e {
            StoreError::Connection(_) => "is the address right, and is the database there?",
            StoreError::Unreadable(_) => "declare what the row holds anew, or restore a backup",
            _ => "mend what the database says",
        };
        findings.push(finding("database", "database.url", Failure::from(e), mend));
    }
}

fn applications(conn: &mut Conn, vault: &Vault, findings: &mut Vec<Finding>) -> StoreResult<()> {
    for mut app in roster::applications(conn)? {
        let place = format!("application {}", app.id);
        let items = roster::items(conn, app.id)?;
        roster::fill(&mut app, &items)?;
        let mut problems = validate::application(&app);
        problems.extend(Pbx::problems(&app));
        problems.extend(crm::validate(&app.crm.connector));
        for problem in problems {
            let key = InItem::find(&app, &problem.path).map_or_else(|| problem.path.clone(), |item| item.path());
            findings.push(finding(&place, &key, problem.reason, "declare it anew with `hookflash apply`"));
        }
        for doubt in doubts::of(&app) {
            let key = InItem::find(&app, &doubt.path).map_or_else(|| doubt.path.clone(), |item| item.path());
            findings.push(finding(&place, &key, doubt.reason, doubt.mend));
        }
        for agent in contacts::agents_named(conn, app.id)?.iter().filter(|id| !app.agent.iter().any(|a| a.id == **id)) {
            let reason = format!("there is no agent {agent:?}, whom a contact names");
            findings.push(finding(&place, "contact", reason, "declare him, or change the contact"));
        }
        let id = app.id;
        for (key, secret) in seal::stored(&app) {
            if let Err(e) = vault.reveal(&secret_context(id, &key), &secret) {
                findings.push(finding(&place, &key, e, "set it for this process too, or declare it anew"));
            }
        }
    }
    Ok(())
}
