//! The database that a scenario plays on: two applications with 1,000 agents each, and as many contacts as it asks for.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use hookflash::declare;
use hookflash::domain::agent::ManualStatus;
use hookflash::domain::spec::{Agent, Application, Contact};
use hookflash::domain::time::Clock;
use hookflash::store::roster::Origin;
use hookflash::store::{Conn, Db, Durability, Options, Url, contacts};
use tempfile::TempDir;

use crate::fill;

pub const AGENTS: u64 = 1_000;
/// Callers' numbers lie below this.
pub const NUMBERS: u64 = 10_000_000;

/// An application as its hooks' path names it.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub application: i64,
    pub login: &'static str,
}

/// Names the responsible manager whatever his state.
pub const NAMING: Site = Site { application: 807, login: "TLP55522" };
/// Names and claims whoever is free, as an application does by default.
pub const CLAIMING: Site = Site { application: 808, login: "TLP55523" };

/// An Asterisk whose calls wait in a queue of 20 agents.
pub const WAITING: Site = Site { application: 809, login: "pbx1" };

/// The number of contact `n`, in a code that no telephone has.
pub fn phone(n: u64) -> String {
    format!("+1555{n:07}")
}

/// The agent that contact `n` belongs to.
pub fn owner(n: u64) -> u64 {
    n % AGENTS
}

pub fn extension(agent: u64) -> u64 {
    1_000 + agent
}

/// The folder of the databases; removed at the end.
pub struct Stage(TempDir);

impl Stage {
    /// In the build's own folder: a disk, where the system's temporary folder may be memory.
    pub fn new() -> anyhow::Result<Stage> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(folder)?;
        Ok(Stage(TempDir::with_prefix_in("bench-", folder)?))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name).with_extension("db")
    }

    /// Makes a database with the two applications, each with so many contacts.
    pub fn database(&self, name: &str, contacts: u64) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        let db = Db::open(&Options { url: format!("sqlite://{}", path.display()), pool_size: 2 })?;
        for (site, only_available) in [(NAMING, false), (CLAIMING, true)] {
            let application = application(site, only_available)?;
            let now = Clock::system().now();
            db.write_blocking(Durability::Full, move |conn| Ok(declare::store(conn, None, &application, Origin::Apply, now)))?
                .map_err(|e| anyhow!("{e:?}"))?;
        }
        drop(db);
        fill::contacts(&path, contacts)?;
        Ok(path)
    }

    /// A database with the application whose calls wait.
    pub fn waiting(&self) -> anyhow::Result<PathBuf> {
        let path = self.path("waiting");
        let db = Db::open(&Options { url: format!("sqlite://{}", path.display()), pool_size: 2 })?;
        let value = serde_json::json!({
            "id": WAITING.application, "name": "Bench", "pbx": "asterisk", "login": WAITING.login, "country": "US",
            "agent": (0..20).map(|n| serde_json::json!({"id": format!("a{n}"), "name": format!("Agent {n}"), "extension": (100 + n).to_string()})).collect::<Vec<_>>(),
            "group": [{"id": "all", "name": "All", "agents": (0..20).map(|n| format!("a{n}")).collect::<Vec<_>>()}],
            "queue": [{"id": "main", "name": "Main", "primary_groups": ["all"]}],
            "number": [{"number": "+15550000000", "queue": "main"}],
        });
        let application: Application = serde_json::from_value(value).context("the bench's queue")?;
        let now = Clock::system().now();
        db.write_blocking(Durability::Full, move |conn| Ok(declare::store(conn, None, &application, Origin::Apply, now)))?
            .map_err(|e| anyhow!("{e:?}"))?;
        Ok(path)
    }
}

/// Makes a database of its own on a PostgreSQL, with the application that claims and a contact for each agent; its URL.
pub fn postgres(server: &str, name: &str) -> anyhow::Result<String> {
    let name = format!("bench_{}_{name}", std::process::id());
    Conn::open(&Url::Postgres(server.to_owned()))?.execute(&format!("CREATE DATABASE {name}"))?;
    let (base, _) = server.rsplit_once('/').context("a URL with a database")?;
    let url = format!("{base}/{name}");
    let db = Db::open(&Options { url: url.clone(), pool_size: 2 })?;
    let application = application(CLAIMING, true)?;
    let now = Clock::system().now();
    db.write_blocking(Durability::Full, move |conn| {
        let declared = declare::store(conn, None, &application, Origin::Apply, now);
        for n in 0..AGENTS {
            let agent = |n: u64| Some(format!("agent-{:04}", n % AGENTS));
            let contact = Contact {
                name: format!("Client {n}"),
                phones: vec![phone(n)],
                owner: agent(owner(n)),
                deputy: agent(owner(n) + 1),
                external_id: None,
            };
            contacts::put(conn, CLAIMING.application, None, &contact, Origin::Apply, now.plus_ms(n as i64))?;
        }
        Ok(declared)
    })?
    .map_err(|e| anyhow!("{e:?}"))?;
    Ok(url)
}

fn application(site: Site, only_available: bool) -> anyhow::Result<Application> {
    let declaration = format!(
        r#"
        id = {}
        name = "Bench"
        pbx = "telphin"
        login = "{}"
        country = "RU"
        telphin = {{ client_prefix = "0047" }}
        routing = {{ only_available = {only_available} }}
        extension = [{{ number = "099", type = "ivr" }}]
        "#,
        site.application, site.login
    );
    let mut application: Application = toml::from_str(&declaration).context("the bench's application")?;
    application.agent = (0..AGENTS)
        .map(|n| Agent {
            id: format!("agent-{n:04}"),
            name: format!("Agent {n}"),
            extension: Some(extension(n).to_string()),
            phone_number: None,
            routing_type: 1,
            manual_status: ManualStatus::Available,
            skills: Vec::new(),
            weight: 1,
            crm_user: None,
        })
        .collect();
    Ok(application)
}
