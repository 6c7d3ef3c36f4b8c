//! The settings of a process: what an operator may choose, read once at start.
//!
//! Three layers, the later wins: `config/default.toml` (compiled in, and the list of what exists), the file of `--config`, the
//! `HOOKFLASH__SECTION__KEY` variables. A key that does not exist, a value of the wrong type or one that makes no sense is a
//! [`Finding`] that says where it stands, what is wrong and how to mend it; all findings are told at once, and there are no
//! [`Settings`] while there is one. Secrets do not show in `Debug`.

mod de;
mod load;
mod validate;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

pub use load::{DEFAULT_TOML, Invalid};

/// Everything that can be set. `config/default.toml` shows each key with its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub server: Server,
    pub database: Database,
    pub auth: Auth,
    pub routing: Routing,
    pub log: Log,
    pub outbound: Outbound,
    pub records: Records,
    pub retention: Retention,
    pub secrets: Secrets,
}

/// `[server]`: how others reach us.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Our address as others see it; see [`Server::base_url`].
    #[serde(deserialize_with = "de::optional")]
    pub public_url: Option<String>,
    /// Peers whose forward headers are believed; empty: nobody's.
    #[serde(deserialize_with = "de::nets")]
    pub trusted_proxies: Vec<IpNet>,
    /// Certificate chain, a PEM file; with `tls_key` or not at all.
    #[serde(deserialize_with = "de::optional")]
    pub tls_cert: Option<PathBuf>,
    /// Private key, a PEM file.
    #[serde(deserialize_with = "de::optional")]
    pub tls_key: Option<PathBuf>,
    /// Threads that serve requests; 0: one per core. See [`Server::worker_threads`].
    pub workers: usize,
}

impl Server {
    /// Scheme, host and path that our links start with, never with a slash at its end: `public_url`, or made from `bind`.
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.tls_cert.is_some() => format!("https://{}", self.bind),
            None => format!("http://{}", self.bind),
        }
    }

    /// `workers`, with 0 replaced by the number of cores.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

/// `[database]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: DatabaseUrl,
    /// Connections kept open.
    pub pool: u32,
}

/// A database's URL. It may hold a password, so `Debug` and `Display` show it without; [`DatabaseUrl::as_str`] is the whole.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL as given, password included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_postgres(&self) -> bool {
        self.0.starts_with("postgres://") || self.0.starts_with("postgresql://")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_postgres() {
            return f.write_str(&self.0);
        }
        // Credentials stand before the last `@` (a password may hold one); a password may also be a parameter, so those go whole.
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        write!(f, "{scheme}://{}", rest.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// `[auth]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// A token with the role admin, to begin with.
    #[serde(deserialize_with = "de::secret")]
    pub admin_token: Option<SecretString>,
}

/// `[routing]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// Milliseconds within which a routing hook answers.
    pub deadline_ms: u64,
    /// Seconds that a claim lives which no event follows.
    pub claim_s: u64,
}

impl Routing {
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub fn claim(&self) -> Duration {
        Duration::from_secs(self.claim_s)
    }
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level, or levels of parts: `info,hookflash::pbx=debug`.
    pub level: String,
    pub format: LogFormat,
    /// Folder of the per-application logs.
    pub dir: PathBuf,
    /// Write `dir/807.log` for application 807 too.
    pub per_application: bool,
    /// Days that finished per-application logs are kept; 0: for ever.
    pub keep_days: u64,
    /// Show only the last four digits of phone numbers.
    pub mask_numbers: bool,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Logfmt,
    Json,
}

/// `[outbound]`: our own requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Networks that may be reached although they are private.
    #[serde(deserialize_with = "de::nets")]
    pub allow_private: Vec<IpNet>,
    /// Milliseconds that a request may take as a whole.
    pub timeout_ms: u64,
}

impl Outbound {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// `[records]`: recordings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Days after which a link expires; 0: never.
    pub link_days: u64,
}

/// `[retention]`: days that things are kept; 0: for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Raw events as they came; `replay` can rebuild a call while they are kept.
    pub journal_days: u64,
    /// Routing decisions with their inputs; `explain` can tell about a call while they are kept.
    pub decisions_days: u64,
    /// Calls with their legs and recordings.
    pub calls_days: u64,
}

/// `[secrets]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The key that seals literal secrets: 32 bytes in hexadecimal or base64.
    #[serde(deserialize_with = "de::secret")]
    pub key: Option<SecretString>,
}

/// Something wrong with a setting, and how to mend it. Never holds a value that could be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it was set: `hookflash.toml:3`, the variable's name, or `default`.
    pub place: String,
    /// `section.key`; empty when the place as a whole is unreadable.
    pub key: String,
    pub reason: String,
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.reason, self.mend)
    }
}
