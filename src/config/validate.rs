//! What types cannot say about settings.

use tracing_subscriber::filter::LevelFilter;

use super::{Finding, Settings};

/// A century: beyond it a number of days is a slip, and times stop fitting.
const MOST_DAYS: u64 = 36_500;

impl Settings {
    /// Values that are readable and make no sense. [`Settings::load`] has asked already; a caller that changed a field may ask again.
    pub fn validate(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut check = |holds: bool, key: &str, reason: &str, mend: &str| {
            if !holds {
                found.push(Finding { place: "settings".into(), key: key.into(), reason: reason.into(), mend: mend.into() });
            }
        };

        let server = &self.server;
        if let Some(url) = &server.public_url {
            check(is_base_url(url), "server.public_url", "is not the address of a web server", "write it like https://pbx.example.com");
        }
        check(
            server.tls_key.is_some() || server.tls_cert.is_none(),
            "server.tls_key",
            "is empty although server.tls_cert is set",
            "name the private key of the certificate, or empty both",
        );
        check(
            server.tls_cert.is_some() || server.tls_key.is_none(),
            "server.tls_cert",
            "is empty although server.tls_key is set",
            "name the certificate of the private key, or empty both",
        );
        check(server.workers <= 1024, "server.workers", "is more than 1024", "0 means one per core");

        let url = &self.database.url;
        let sqlite_path = url.as_str().strip_prefix("sqlite://").unwrap_or_default();
        check(
            url.is_postgres() || !sqlite_path.is_empty(),
            "database.url",
            "is neither sqlite://PATH nor postgres://…",
            "write it like sqlite://hookflash.db or postgres://user:password@host/name",
        );
        check((1..=1000).contains(&self.database.pool), "database.pool", "is not between 1 and 1000", "the default is 8");

        check(
            (1..=60_000).contains(&self.routing.deadline_ms),
            "routing.deadline_ms",
            "is not between 1 and 60000",
            "PBXs wait for a few seconds: 1000 is a good value",
        );
        check((1..=3600).contains(&self.routing.claim_s), "routing.claim_s", "is not between 1 and 3600", "the default is 20");

        check(
            is_level(&self.log.level),
            "log.level",
            "is not a level, nor levels of parts",
            "write it like info or info,hookflash::pbx=debug; levels are error, warn, info, debug, trace",
        );
        check(
            !self.log.per_application || !self.log.dir.as_os_str().is_empty(),
            "log.dir",
            "is empty although log.per_application is true",
            "name a folder",
        );
        check(
            (1..=600_000).contains(&self.outbound.timeout_ms),
            "outbound.timeout_ms",
            "is not between 1 and 600000",
            "the default is 10000",
        );

        let days = [
            ("log.keep_days", self.log.keep_days),
            ("records.link_days", self.records.link_days),
            ("retention.journal_days", self.retention.journal_days),
            ("retention.decisions_days", self.retention.decisions_days),
            ("retention.calls_days", self.retention.calls_days),
        ];
        for (key, value) in days {
            check(value <= MOST_DAYS, key, "is more than 36500 days", "0 means for ever");
        }
        found
    }
}

/// `http` or `https`, a host, maybe a path; no credentials, no query, no fragment, no blanks.
fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':') && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '\\'))
}

/// Stricter than the filter's own reader, which takes a misspelt level for the name of a part.
fn is_level(text: &str) -> bool {
    text.split(',').all(|part| {
        let level = part.split_once('=').map_or(part, |(_, level)| level);
        let name = part.split_once('=').map_or("hookflash", |(name, _)| name);
        !name.is_empty() && level.parse::<LevelFilter>().is_ok()
    })
}
