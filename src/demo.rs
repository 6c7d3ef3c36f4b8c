//! `hookflash demo`: the whole product on one command, with a throw-away database and a simulated PBX that makes calls.
//!
//! In this order: a folder of its own, the server, the simulator, the application that points at it, the contacts, the PBX set up over its
//! API as `hookflash provision` does it, then the traffic. What is printed is what a person would want to try first; after that, each leg as it is logged.

mod asterisk;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use serde::Deserialize;

use crate::app::Hookflash;
use crate::config::{DatabaseUrl, Settings};
use crate::declare::{self, seal};
use crate::domain::spec::{Application, Contact};
use crate::domain::time::{Clock, Timestamp};
use crate::provision::{self, Provision, Task};
use crate::server::{self, Running};
use crate::simulator::telphin::{Conditions, Config, Directory, Extension, ExtensionType, OauthApp, Queue, Simulator, Traffic};
use crate::store::calls::LegRow;
use crate::store::roster::Origin;
use crate::store::{Durability, StoreError, contacts, log};

const DECLARATION: &str = include_str!("../config/demo.toml");
/// With a real Asterisk beside it, this too.
const WITH_ASTERISK: &str = include_str!("../config/demo-asterisk.toml");
/// The bootstrap token of the demo, which listens on loopback only.
const TOKEN: &str = "demo";
const CONTACTS: usize = 300;

/// What a person may choose.
#[derive(Clone, Debug)]
pub struct Options {
    pub port: u16,
    /// Calls a minute of the calls' own time.
    pub calls_per_minute: f64,
    /// How many times faster than life the simulated people talk.
    pub speed: f64,
    pub seed: u64,
    /// A real Asterisk is brought up beside it.
    pub with_asterisk: bool,
}

/// Runs until Ctrl-C.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("a folder for the demo's database")?;
    let url = format!("sqlite://{}", folder.path().join("demo.db").display());
    let hookflash = Hookflash::open(settings(url, options.port), Clock::system()).await?;
    let listener = server::listen(hookflash.settings.server.bind).context("choose another port with --port")?;
    let running = server::start(hookflash, listener)?;
    let pbx = simulator(&options).await?;
    declare_all(&running.hookflash, &pbx, DECLARATION).await?;
    set_up(&running).await?;
    let asterisk = if options.with_asterisk {
        declare_all(&running.hookflash, &pbx, WITH_ASTERISK).await?;
        Some(asterisk::Asterisk::start(&running)?)
    } else {
        None
    };
    asterisk.iter().for_each(asterisk::Asterisk::greet);
    greet(&running, &pbx);
    let traffic = pbx.traffic(Traffic { per_minute: options.calls_per_minute, seed: options.seed, callers: numbers(40), calls: None });
    tokio::select! {
        result = follow(&running.hookflash) => result?,
        result = tokio::signal::ctrl_c() => result?,
    }
    println!("\nThe demo ends; its database goes with it.");
    traffic.stop();
    pbx.stop().await;
    let stopped = running.stop().await;
    drop(asterisk);
    stopped
}

fn settings(url: String, port: u16) -> Settings {
    let mut settings = Settings::default();
    settings.server.bind = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    settings.database.url = DatabaseUrl::new(url);
    settings.auth.admin_token = Some(SecretString::from(TOKEN));
    // All of loopback: the real Asterisk has an address of its own there.
    settings.outbound.allow_private = ipnet::IpNet::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8).into_iter().collect();
    settings
}

/// The first of the demo's outside numbers are the simulated callers; a contact has each.
fn numbers(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("+7999555{n:04}")).collect()
}

async fn simulator(options: &Options) -> anyhow::Result<Simulator> {
    let mut directory = Directory::sample();
    let template = directory.extensions.iter().find(|e| e.kind == ExtensionType::Phone).cloned().context("the sample has a phone")?;
    for (id, number, label) in [(700_104, "104", "Dan Oak"), (700_105, "105", "Ida Elm")] {
        directory.extensions.push(Extension { id, number: number.into(), label: label.into(), ..template.clone() });
    }
    let phones: Vec<String> = directory.phones().map(|e| e.number.clone()).collect();
    directory.queues.insert("200".into(), Queue { phones, ring_all: false, ring_ms: 15_000, max_wait_ms: 60_000 });
    let pbx = Simulator::start(Config {
        directory,
        apps: vec![OauthApp::trusted("app", "secret")],
        conditions: Conditions { speed: options.speed, ..Conditions::default() },
        ..Config::default()
    })
    .await?;
    Ok(pbx)
}

/// The PBX knows nothing of us until here.
async fn set_up(running: &Running) -> anyhow::Result<()> {
    let hookflash = &running.hookflash;
    let app = hookflash.roster.app(807).context("config/demo.toml declares application 807")?;
    let hooks = provision::hooks(&app, &running.url()).map_err(anyhow::Error::msg)?;
    let work =
        Provision { gateway: &hookflash.gateway, link: &hookflash.link, db: &hookflash.db, clock: &hookflash.clock, app: &app, hooks };
    let (mut added, mut trouble) = (0, None);
    let each = |outcome: provision::Outcome| {
        added += outcome.changes.len();
        trouble = trouble.take().or(outcome.trouble);
    };
    work.carry_out(Task::On, each).await.context("setting the simulated PBX up")?;
    if let Some(trouble) = trouble {
        anyhow::bail!("setting the simulated PBX up: {trouble}");
    }
    println!("The simulated PBX was set up over its API, as hookflash provision does it: {added} subscriptions and IVR rules.\n");
    Ok(())
}

async fn declare_all(hookflash: &Arc<Hookflash>, pbx: &Simulator, declaration: &str) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct File {
        application: Vec<Application>,
    }
    let mut file: File = toml::from_str(declaration).context("config/demo.toml")?;
    for app in &mut file.application {
        if let Some(telphin) = &mut app.telphin {
            telphin["api_url"] = pbx.base_url().into();
        }
        seal::seal(&hookflash.vault, app, None).map_err(|problems| anyhow::anyhow!("config/demo.toml: {problems:?}"))?;
    }
    let now = hookflash.clock.now();
    hookflash
        .db
        .write(Durability::Full, move |conn| {
            for app in &file.application {
                declare::store(conn, None, app, Origin::Apply, now).map_err(|e| StoreError::Refused(format!("config/demo.toml: {e:?}")))?;
                for (n, contact) in people(app).into_iter().enumerate() {
                    contacts::put(conn, app.id, None, &contact, Origin::Apply, now.plus_ms(n as i64))?;
                }
            }
            Ok(())
        })
        .await?;
    hookflash.roster.refresh().await?;
    Ok(())
}

fn people(app: &Application) -> Vec<Contact> {
    let agent = |n: usize| app.agent.get(n % app.agent.len().max(1)).map(|a| a.id.clone());
    numbers(CONTACTS)
        .into_iter()
        .enumerate()
        .map(|(n, phone)| Contact {
            name: format!("Client {}", n + 1),
            phones: vec![phone],
            owner: agent(n),
            deputy: agent(n + 1),
            external_id: None,
        })
        .collect()
}

fn greet(running: &Running, pbx: &Simulator) {
    let (url, database) = (running.url(), running.hookflash.settings.database.url.as_str());
    let program = std::env::args().next().unwrap_or_else(|| "hookflash".into());
    println!(
        "Hookflash demo: application 807, login TLP55522, five agents, {CONTACTS} contacts, a simulated Telphin at {}\n\n\
         Who shall take a call from +79995550200? (asked twice, the same call gets the same answer)\n  \
         curl '{url}/cid/807/getmanager/TLP55522?CallID=demo-1&CallerIDNum=%2B79995550200&CalledExtension=0047*099'\n\n\
         Where would his next call go, and why?\n  \
         curl -H 'Authorization: Bearer {TOKEN}' '{url}/api/v1/apps/807/explain?number=%2B79995550200'\n\n\
         The call log, as a CRM reads it:\n  \
         curl -H 'Authorization: Bearer {TOKEN}' '{url}/api/v1/apps/807/legs?limit=5'\n\n\
         Every event and decision, in another terminal:\n  \
         HOOKFLASH__DATABASE__URL={database} {program} tail 807\n\n\
         The API: {url}/api/docs     Numbers: {url}/metrics     Ctrl-C ends it.\n\n\
         Calls as they are logged (the first after half a minute; the people talk faster than life, so their ends lie ahead of the clock):",
        pbx.base_url()
    );
}

/// Prints each leg as it comes into the log.
async fn follow(hookflash: &Hookflash) -> anyhow::Result<()> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tick.tick().await;
        let now = hookflash.clock.now();
        let mut rows = Vec::new();
        for app in hookflash.roster.snapshot().apps.keys().copied() {
            let filter = log::Filter::default();
            rows.extend(hookflash.db.read(move |conn| log::legs(conn, app, &filter, None, now, 50)).await?);
        }
        rows.sort_by_key(|row| row.logged_at);
        for row in rows {
            if seen.insert(row.id()) {
                println!("{}", line(&row));
            }
        }
    }
}

fn line(row: &LegRow) -> String {
    let time = Timestamp(row.started_at).rfc3339();
    let number = row.number.as_deref().unwrap_or("withheld");
    let who = match (&row.agent, &row.extension) {
        (Some(agent), Some(extension)) => format!("{extension} {agent}"),
        (None, Some(extension)) => extension.clone(),
        _ => String::new(),
    };
    match &row.place {
        Some(place) => format!("  {}  missed    {number}  lost in {place} after {} s", &time[11..19], row.duration_us / 1_000_000),
        None => {
            let arrow = if row.direction == "in" { "→" } else { "←" };
            format!("  {}  {:<9} {number} {arrow} {who}  talk {} s", &time[11..19], row.status, row.talk_us / 1_000_000)
        }
    }
}
