//! The processes that are measured: this program, started again in another role.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Subcommand;
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::{server, telemetry};

use crate::{asker, references, wire};

/// What a process of this program is.
#[derive(Clone, Debug, Subcommand)]
pub enum Role {
    /// Hookflash with default settings.
    #[command(hide = true)]
    Serve {
        port: u16,
        /// A file; absent: the URL in the environment, which holds a password.
        database: Option<PathBuf>,
    },
    /// Asks for decisions, without HTTP, on the database whose URL is in the environment; says how many claimed an agent.
    #[command(hide = true)]
    Ask {
        seed: u64,
        /// When it begins, microseconds since 1970; its virtual clock then stands there.
        begin_us: i64,
        lasts_ms: u64,
    },
    /// The reference of lookups.
    #[command(hide = true)]
    Hello { port: u16 },
    /// The reference of events.
    #[command(hide = true)]
    Ingest { port: u16, database: PathBuf },
}

impl Role {
    /// Serves until the process is killed.
    pub fn play(self) -> anyhow::Result<()> {
        match self {
            Role::Serve { port, database } => serve(port, database.as_deref()),
            Role::Ask { seed, begin_us, lasts_ms } => {
                let made = asker::run(std::env::var(URL)?, seed, Timestamp(begin_us), Duration::from_millis(lasts_ms))?;
                println!("{made}");
                Ok(())
            }
            Role::Hello { port } => references::hello(port),
            Role::Ingest { port, database } => references::ingest(port, &database),
        }
    }
}

/// Where a server that has no file finds the URL of its database.
const URL: &str = "BENCH_DATABASE_URL";

fn serve(port: u16, database: Option<&Path>) -> anyhow::Result<()> {
    let mut settings = Settings::default();
    settings.server.bind = SocketAddr::from(([127, 0, 0, 1], port));
    settings.database.url = match database {
        Some(database) => DatabaseUrl::new(format!("sqlite://{}", database.display())),
        None => DatabaseUrl::new(std::env::var(URL)?),
    };
    settings.secrets.key = database.is_none().then(|| "00".repeat(32).into());
    let clock = Clock::system();
    let _telemetry = telemetry::init(&settings.log, telemetry::Output::Stdout, clock.clone())?;
    tokio::runtime::Runtime::new()?.block_on(server::run(settings, clock))
}

/// Starts a process that asks for decisions on the database at a URL.
pub fn ask(url: &str, seed: u64, begin: Timestamp, lasts: Duration) -> anyhow::Result<std::process::Child> {
    Command::new(std::env::current_exe()?)
        .arg("ask")
        .args([seed.to_string(), begin.0.to_string(), lasts.as_millis().to_string()])
        .env(URL, url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a process that asks")
}

/// A running process; killed when dropped, as a crash would end it.
pub struct Child {
    process: std::process::Child,
    pub address: SocketAddr,
    /// From the start of the process to its first 200 on `/readyz`.
    pub ready_after: Duration,
}

impl Child {
    /// Starts Hookflash on a database. Its log goes to a file beside it.
    pub fn serve(database: &Path) -> anyhow::Result<Child> {
        Child::start("serve", Some(database), None)
    }

    /// Starts Hookflash on the database at a URL, without its log.
    pub fn serve_url(url: &str) -> anyhow::Result<Child> {
        Child::start("serve", None, Some(url))
    }

    pub fn hello() -> anyhow::Result<Child> {
        Child::start("hello", None, None)
    }

    pub fn ingest(database: &Path) -> anyhow::Result<Child> {
        Child::start("ingest", Some(database), None)
    }

    fn start(role: &str, database: Option<&Path>, url: Option<&str>) -> anyhow::Result<Child> {
        let address = free_address()?;
        let log = match database {
            Some(database) => Stdio::from(File::create(database.with_extension("log"))?),
            None => Stdio::null(),
        };
        let started = Instant::now();
        let mut process = Command::new(std::env::current_exe()?)
            .arg(role)
            .arg(address.port().to_string())
            .args(database)
            .envs(url.map(|url| (URL, url)))
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .with_context(|| format!("starting {role}"))?;
        while started.elapsed() < Duration::from_secs(60) {
            if wire::get(address, "/readyz").is_ok_and(|status| status == 200) {
                return Ok(Child { process, address, ready_after: started.elapsed() });
            }
            if let Some(status) = process.try_wait()? {
                bail!("{role} ended with {status}");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        let _ = process.kill();
        bail!("{role} was not ready within a minute")
    }

    /// Processor time that it has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
        // utime and stime, in the kernel's ticks of 10 ms.
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
        Ok(Duration::from_millis(10 * ticks))
    }

    /// Anonymous resident memory, MB.
    pub fn anonymous_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).context("no RssAnon in /proc/PID/status")?;
        let kb: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kb / 1024.0)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
