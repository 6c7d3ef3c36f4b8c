//! Reads the layers, in order: defaults, file, environment; then types; then [`Settings::validate`].
//!
//! What exists is what `default.toml` names, so names and types are checked layer by layer against it, where the place of a mistake
//! is still known. Only layers without a finding are merged.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, ConfigError, File, FileFormat};
use toml::de::{DeTable, DeValue};

use super::{Finding, Settings};

/// The defaults, which are also the reference of every key.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

const PREFIX: &str = "HOOKFLASH__";

/// Why there are no settings: at least one finding.
#[derive(Debug, thiserror::Error)]
pub struct Invalid(pub Vec<Finding>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl Settings {
    /// Settings of this process: `file` is what `--config` names, `env` is [`std::env::vars_os`].
    pub fn load(file: Option<&Path>, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Settings, Invalid> {
        let mut layers = Layers::new();
        if let Some(path) = file {
            layers.add_file(path);
        }
        for (name, value) in env {
            if name.to_string_lossy().starts_with(PREFIX) {
                layers.add_variable(&name.to_string_lossy(), value.into_string().ok());
            }
        }
        layers.finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Layers::new().finish().expect("default.toml is valid: a test reads it")
    }
}

struct Layers {
    /// `section.key` → default, from `default.toml`.
    known: BTreeMap<String, toml::Value>,
    builder: ConfigBuilder<DefaultState>,
    /// `section.key` → where its value comes from.
    places: HashMap<String, String>,
    findings: Vec<Finding>,
}

impl Layers {
    fn new() -> Self {
        Layers {
            known: known_keys(),
            builder: Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml)),
            places: HashMap::new(),
            findings: Vec::new(),
        }
    }

    fn add_file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => return self.find(&shown, "", format!("cannot be read: {e}"), "name a readable file after --config".into()),
        };
        // The parser's own report quotes the line, which may hold a secret: only its sentence and the place are used.
        let table = match DeTable::parse(&text) {
            Ok(table) => table,
            Err(e) => {
                let place = format!("{shown}:{}", line_of(&text, e.span().map_or(0, |s| s.start)));
                return self.find(&place, "", format!("is not TOML: {}", e.message()), "correct the line".into());
            }
        };
        for (at, key, value) in entries(table.get_ref()) {
            let place = format!("{shown}:{}", line_of(&text, at));
            match self.known.get(&key) {
                Some(default) if same_type(default, value) => {
                    self.places.insert(key, place);
                }
                Some(default) => {
                    let reason = format!("expected {}, found {}", type_name(default.type_str()), found_type(value));
                    self.wrong(&place, &key, reason);
                }
                None if !self.is_section(&key) => self.unknown(&place, &key),
                None if value.is_table() => {}
                None => self.find(&place, &key, "is a section, not a value".into(), format!("write [{key}] and its keys below")),
            }
        }
        self.builder = std::mem::take(&mut self.builder).add_source(File::from_str(&text, FileFormat::Toml));
    }

    /// `value` is `None` when it is not UTF-8.
    fn add_variable(&mut self, name: &str, value: Option<String>) {
        let key = name[PREFIX.len()..].replace("__", ".").to_lowercase();
        let Some(default) = self.known.get(&key) else {
            return if self.is_section(&key) {
                self.find(name, &key, "is a section, not a value".into(), format!("name a key of it: {name}__…"))
            } else {
                self.unknown(name, &key)
            };
        };
        let Some(value) = value else {
            return self.wrong(name, &key, "is not UTF-8".into());
        };
        let parsed: Option<config::Value> = match default {
            toml::Value::Integer(_) => value.trim().parse::<i64>().ok().map(Into::into),
            toml::Value::Boolean(_) => value.trim().parse::<bool>().ok().map(Into::into),
            toml::Value::Array(_) => {
                Some(value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>().into())
            }
            _ => Some(value.into()),
        };
        let Some(parsed) = parsed else {
            let reason = format!("expected {}", type_name(default.type_str()));
            return self.wrong(name, &key, reason);
        };
        match std::mem::take(&mut self.builder).set_override(&key, parsed) {
            Ok(builder) => self.builder = builder,
            Err(e) => self.wrong(name, &key, e.to_string()),
        }
        self.places.insert(key, name.to_owned());
    }

    fn finish(mut self) -> Result<Settings, Invalid> {
        if !self.findings.is_empty() {
            return Err(Invalid(self.findings));
        }
        let read = std::mem::take(&mut self.builder).build().and_then(Config::try_deserialize::<Settings>);
        match read {
            Ok(settings) => {
                let findings = settings.validate();
                if findings.is_empty() {
                    return Ok(settings);
                }
                self.findings = findings.into_iter().map(|f| Finding { place: self.place(&f.key), ..f }).collect();
            }
            Err(e) => {
                let (key, reason) = explain(&e);
                let place = self.place(&key);
                self.wrong(&place, &key, reason);
            }
        }
        Err(Invalid(self.findings))
    }

    fn place(&self, key: &str) -> String {
        self.places.get(key).cloned().unwrap_or_else(|| "default".into())
    }

    fn is_section(&self, name: &str) -> bool {
        self.known.keys().any(|key| key.split('.').next() == Some(name))
    }

    fn unknown(&mut self, place: &str, key: &str) {
        let keys = self.known.keys().map(String::as_str);
        let sections = keys.clone().filter_map(|key| key.split('.').next()).filter(|_| !key.contains('.'));
        let nearest = nearest(key, keys.chain(sections));
        let mend = if place.starts_with(PREFIX) {
            format!("the nearest known one is {PREFIX}{}", nearest.replace('.', "__").to_uppercase())
        } else {
            format!("the nearest known one is {nearest}")
        };
        self.find(place, key, "unknown key".into(), mend);
    }

    /// A wrong value; the default shows how one is written.
    fn wrong(&mut self, place: &str, key: &str, reason: String) {
        let mend = match self.known.get(key) {
            Some(default) => format!("the default is {default}"),
            None => "see config/default.toml".into(),
        };
        self.find(place, key, reason, mend);
    }

    fn find(&mut self, place: &str, key: &str, reason: String, mend: String) {
        self.findings.push(Finding { place: place.into(), key: key.into(), reason, mend });
    }
}

fn known_keys() -> BTreeMap<String, toml::Value> {
    let sections: BTreeMap<String, toml::Table> = toml::from_str(DEFAULT_TOML).expect("default.toml is sections of keys: a test reads it");
    sections.into_iter().flat_map(|(name, keys)| keys.into_iter().map(move |(key, value)| (format!("{name}.{key}"), value))).collect()
}

/// What a file sets, in its order: offset, `section.key` (or what stands where a section should), value.
fn entries<'a>(table: &'a DeTable<'_>) -> Vec<(usize, String, &'a DeValue<'a>)> {
    let mut found = Vec::new();
    for (section, content) in table {
        match content.get_ref() {
            DeValue::Table(keys) if !keys.is_empty() => found.extend(
                keys.iter().map(|(key, value)| (key.span().start, format!("{}.{}", section.get_ref(), key.get_ref()), value.get_ref())),
            ),
            value => found.push((section.span().start, section.get_ref().to_string(), value)),
        }
    }
    found.sort_by_key(|(at, ..)| *at);
    found
}

/// Lists hold strings throughout, as in the environment.
fn same_type(default: &toml::Value, value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Array(items) => default.is_array() && items.iter().all(|item| item.get_ref().is_str()),
        _ => default.type_str() == value.type_str(),
    }
}

fn type_name(toml_type: &str) -> String {
    match toml_type {
        "array" => "a list of strings".into(),
        "integer" => "an integer".into(),
        "boolean" => "true or false".into(),
        other => format!("a {other}"),
    }
}

fn found_type(value: &DeValue<'_>) -> String {
    if value.is_array() { "another list".into() } else { type_name(value.type_str()) }
}

/// The key and the plain sentence of an error of the merged layers.
fn explain(e: &ConfigError) -> (String, String) {
    match e {
        ConfigError::Type { unexpected, expected, key, .. } => {
            (key.clone().unwrap_or_default(), format!("expected {expected}, found {unexpected}"))
        }
        ConfigError::At { error, key, .. } => (key.clone().unwrap_or_default(), error.to_string()),
        other => (String::new(), other.to_string()),
    }
}

/// The known key most like `key`: by its whole name, or by its last part when it stands in the wrong section.
fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, candidate);
        whole.max(0.95 * strsim::normalized_damerau_levenshtein(&last(key), &last(candidate)))
    };
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}

/// Lines count from one.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
