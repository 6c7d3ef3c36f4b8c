//! Telphin "Ringme" and its white-label copies. Source of every fact: the protocol page, whose sections the items name.

pub mod api;
pub mod history;
pub mod setup;
pub mod webhook;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::validate::Problem;

/// `[application.telphin]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The API's address without a path (section 1, hosts).
    pub api_url: String,
    /// A trusted application's credentials (section 9): references or sealed literals.
    pub client_id: String,
    pub client_secret: String,
    /// `0047` of `0047*101`.
    pub client_prefix: String,
    /// The variable that the lookup sets; the transfer rule must name the same (section 2, requirement 7).
    pub variable: String,
    /// How the lookup names an extension: `full` (0047*101) or `short` (101).
    pub extension_form: ExtensionForm,
    /// The IVRs that shall ask for the responsible manager.
    pub provision_ivr: Vec<String>,
    /// How long a missed call waits for later news, milliseconds (section 5.3 rule 4).
    pub missed_wait_ms: i64,
    /// How often the call history is compared, seconds; 0: only when told (section 10.3).
    pub reconcile_s: i64,
    /// Agents' manual status and their login at the PBX's queues follow each other (section 6).
    pub mirror_status: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtensionForm {
    Full,
    Short,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: "https://apiproxy.telphin.ru".into(),
            client_id: String::new(),
            client_secret: String::new(),
            client_prefix: String::new(),
            variable: "managerExt".into(),
            extension_form: ExtensionForm::Full,
            provision_ivr: Vec::new(),
            missed_wait_ms: 3_000,
            reconcile_s: 1_800,
            mirror_status: false,
        }
    }
}

/// The keys of this table that are secrets.
pub const SECRETS: &[&str] = &["client_id", "client_secret"];

impl Settings {
    pub fn read(table: Option<&Value>) -> Result<Settings, Vec<Problem>> {
        let Some(table) = table else {
            return Err(vec![Problem::new("telphin", "an application with pbx = \"telphin\" needs a table [application.telphin]")]);
        };
        let settings: Settings = match serde_path_to_error::deserialize(table) {
            Ok(settings) => settings,
            Err(e) => {
                let path = e.path().to_string();
                let path = if path == "." { "telphin".into() } else { format!("telphin.{path}") };
                return Err(vec![Problem::new(path, e.into_inner().to_string())]);
            }
        };
        let mut problems = Vec::new();
        let mut want = |ok: bool, key: &str, reason: &str| {
            if !ok {
                problems.push(Problem::new(format!("telphin.{key}"), reason));
            }
        };
        let url = settings.api_url.as_str();
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        want(host.is_some_and(|host| !host.is_empty()), "api_url", "must begin with https:// or http://, and name a host");
        let host = host.unwrap_or_default();
        want(!host.contains('@'), "api_url", "must not hold a user or a password; credentials are client_id and client_secret");
        want(
            !host.trim_end_matches('/').contains(['/', '?', '#']),
            "api_url",
            "must be the address alone, such as https://apiproxy.telphin.ru; the paths of the API are added to it",
        );
        want(settings.client_prefix.bytes().all(|b| b.is_ascii_digit()), "client_prefix", "must be digits, such as 0047");
        want(
            settings.extension_form == ExtensionForm::Short || !settings.client_prefix.is_empty(),
            "client_prefix",
            "is needed for extension_form = \"full\"",
        );
        let name_ok = !settings.variable.is_empty() && settings.variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        want(name_ok, "variable", "must be letters, digits or _");
        want((0..=60_000).contains(&settings.missed_wait_ms), "missed_wait_ms", "must be 0 to 60000");
        want(settings.reconcile_s == 0 || (60..=86_400).contains(&settings.reconcile_s), "reconcile_s", "must be 0 or 60 to 86400");
        want(
            settings.client_id.is_empty() == settings.client_secret.is_empty(),
            "client_secret",
            "client_id and client_secret come together",
        );
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// The name of an extension as the API and the lookup use it.
    pub fn name_of(&self, extension: &str) -> String {
        match self.extension_form {
            ExtensionForm::Full => self.full_name_of(extension),
            ExtensionForm::Short => extension.to_owned(),
        }
    }

    /// `0047*101`, the canonical form of the API (section 1).
    pub fn full_name_of(&self, extension: &str) -> String {
        if self.client_prefix.is_empty() { extension.to_owned() } else { format!("{}*{extension}", self.client_prefix) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Settings;

    #[test]
    fn the_address_of_the_api_is_an_address_alone() {
        let read = |url: &str| Settings::read(Some(&json!({"api_url": url, "client_prefix": "0047"})));
        for url in ["https://pbx.example", "https://pbx.example/", "http://127.0.0.1:8081"] {
            assert!(read(url).is_ok(), "{url}");
        }
        for (url, word) in [
            ("pbx.example", "https://"),
            ("https://", "host"),
            ("https://me:secret@pbx.example", "client_secret"),
            ("https://pbx.example/api/ver1.0", "the paths of the API"),
            ("https://pbx.example?x=1", "the paths of the API"),
        ] {
            let problems = read(url).expect_err(url);
            assert!(
                problems.len() == 1 && problems[0].path == "telphin.api_url" && problems[0].reason.contains(word),
                "{url}: {problems:?}"
            );
        }
    }
}
