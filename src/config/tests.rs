use std::path::PathBuf;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::super::LogFormat;
use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Settings, Invalid> {
    Settings::load(None, env(pairs))
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("hookflash.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// The findings of a file, its folder cut off.
fn findings(text: &str) -> Vec<String> {
    let (dir, path) = file(text);
    let folder = format!("{}/", dir.path().display());
    Settings::load(Some(&path), env(&[])).unwrap_err().0.iter().map(|f| f.to_string().replace(&folder, "")).collect()
}

fn finding(pairs: &[(&str, &str)]) -> String {
    let Invalid(found) = from_env(pairs).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

#[test]
fn the_defaults_are_those_that_scripts_rely_on() {
    let s = Settings::default();
    assert_eq!(s.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(s.server.base_url(), "http://127.0.0.1:8080");
    assert!(s.server.trusted_proxies.is_empty() && s.outbound.allow_private.is_empty());
    assert!(s.server.tls_cert.is_none() && s.server.tls_key.is_none());
    assert!(s.server.worker_threads() >= 1);
    assert_eq!(s.database.url.as_str(), "sqlite://hookflash.db");
    assert!(s.auth.admin_token.is_none() && s.secrets.key.is_none());
    assert_eq!((s.routing.deadline_ms, s.routing.claim_s), (1000, 20));
    assert_eq!((s.log.format, s.log.per_application, s.log.mask_numbers), (LogFormat::Logfmt, false, true));
    assert_eq!((s.records.link_days, s.retention.journal_days, s.retention.decisions_days, s.retention.calls_days), (0, 90, 90, 0));
}

#[test]
fn default_toml_names_exactly_the_keys_of_the_structs() {
    let whole: toml::Table = toml::from_str(DEFAULT_TOML).unwrap();
    let read = |table: &toml::Table| table.clone().try_into::<Settings>();
    assert!(read(&whole).is_ok());
    for (section, keys) in &whole {
        for key in keys.as_table().unwrap().keys() {
            let mut without = whole.clone();
            without[section].as_table_mut().unwrap().remove(key);
            assert!(read(&without).is_err(), "{section}.{key} is in default.toml and not in the structs");
        }
        let mut with = whole.clone();
        with[section].as_table_mut().unwrap().insert("more".into(), 1.into());
        assert!(read(&with).is_err(), "[{section}] takes unknown keys");
    }
}

#[test]
fn every_default_key_has_a_comment_above_it_or_above_its_group() {
    let mut explained = false;
    for line in DEFAULT_TOML.lines() {
        match line.chars().next() {
            None | Some('[') => explained = false,
            Some('#') => explained = true,
            Some(_) => assert!(explained, "{line}"),
        }
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let (_dir, path) = file("[server]\nbind = \"0.0.0.0:1\"\nworkers = 3\n[log]\nformat = \"json\"\n");
    let s = Settings::load(Some(&path), env(&[("HOOKFLASH__SERVER__BIND", "[::1]:2"), ("PATH", "/bin")])).unwrap();
    assert_eq!(s.server.bind.to_string(), "[::1]:2");
    assert_eq!(s.server.workers, 3);
    assert_eq!(s.log.format, LogFormat::Json);
    assert_eq!(s.routing.deadline_ms, 1000);
}

#[test]
fn variables_take_the_type_of_their_key() {
    let s = from_env(&[
        ("HOOKFLASH__AUTH__ADMIN_TOKEN", "0047"),
        ("HOOKFLASH__LOG__MASK_NUMBERS", "false"),
        ("HOOKFLASH__OUTBOUND__ALLOW_PRIVATE", "10.0.0.0/8, 192.0.2.7,"),
        ("HOOKFLASH__SERVER__TRUSTED_PROXIES", ""),
        ("HOOKFLASH__ROUTING__DEADLINE_MS", " 250 "),
        ("HOOKFLASH__SERVER__PUBLIC_URL", "https://pbx.example.com/h/"),
        ("HOOKFLASH__LOG__DIR", "/var/log/a,b"),
    ])
    .unwrap();
    assert_eq!(s.auth.admin_token.unwrap().expose_secret(), "0047");
    assert!(!s.log.mask_numbers);
    assert_eq!(s.outbound.allow_private, ["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()]);
    assert!(s.server.trusted_proxies.is_empty());
    assert_eq!(s.routing.deadline(), std::time::Duration::from_millis(250));
    assert_eq!(s.server.base_url(), "https://pbx.example.com/h");
    assert_eq!(s.log.dir, PathBuf::from("/var/log/a,b"));
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_known_one() {
    assert_eq!(
        findings("[server]\nbind = \"127.0.0.1:1\"\nworker = 2\n\n[sever]\nbind = \"x\"\n\n[server.deadline]\nms = 1\n"),
        [
            "hookflash.toml:3: server.worker: unknown key; the nearest known one is server.workers",
            "hookflash.toml:6: sever.bind: unknown key; the nearest known one is server.bind",
            "hookflash.toml:8: server.deadline: unknown key; the nearest known one is routing.deadline_ms",
        ]
    );
    assert_eq!(
        findings("[server]\ndeadline_ms = 5")[0],
        "hookflash.toml:2: server.deadline_ms: unknown key; the nearest known one is routing.deadline_ms"
    );
    assert_eq!(findings("[sever]\n[server]\n"), ["hookflash.toml:1: sever: unknown key; the nearest known one is server"]);
    assert_eq!(findings("bind = \"x\"")[0], "hookflash.toml:1: bind: unknown key; the nearest known one is server.bind");
    assert_eq!(
        finding(&[("HOOKFLASH__DATABASE__URI", "x")]),
        "HOOKFLASH__DATABASE__URI: database.uri: unknown key; the nearest known one is HOOKFLASH__DATABASE__URL"
    );
    assert_eq!(
        finding(&[("HOOKFLASH__SERVER", "x")]),
        "HOOKFLASH__SERVER: server: is a section, not a value; name a key of it: HOOKFLASH__SERVER__…"
    );
}

#[test]
fn a_wrong_type_is_told_where_it_stands() {
    assert_eq!(
        findings("server = 3\n[routing]\ndeadline_ms = \"1000\"\n[outbound]\nallow_private = [1]\n[log]\nmask_numbers = 1\n"),
        [
            "hookflash.toml:1: server: is a section, not a value; write [server] and its keys below",
            "hookflash.toml:3: routing.deadline_ms: expected an integer, found a string; the default is 1000",
            "hookflash.toml:5: outbound.allow_private: expected a list of strings, found another list; the default is []",
            "hookflash.toml:7: log.mask_numbers: expected true or false, found an integer; the default is true",
        ]
    );
    assert_eq!(
        finding(&[("HOOKFLASH__ROUTING__CLAIM_S", "soon")]),
        "HOOKFLASH__ROUTING__CLAIM_S: routing.claim_s: expected an integer; the default is 20"
    );
    assert_eq!(
        finding(&[("HOOKFLASH__SERVER__BIND", "localhost")]),
        "HOOKFLASH__SERVER__BIND: server.bind: invalid socket address syntax; the default is \"127.0.0.1:8080\""
    );
    assert_eq!(
        finding(&[("HOOKFLASH__SERVER__TRUSTED_PROXIES", "10.0.0.0/8,proxy")]),
        "HOOKFLASH__SERVER__TRUSTED_PROXIES: server.trusted_proxies: \"proxy\" is neither an address nor a network such as 10.0.0.0/8; \
         the default is []"
    );
    let negative = findings("[log]\nlevel = \"info\"\n[routing]\nclaim_s = -1\n");
    assert!(negative[0].starts_with("hookflash.toml:4: routing.claim_s: expected an unsigned"), "{negative:?}");
    let format = findings("[log]\nformat = \"xml\"\n");
    assert!(format[0].starts_with("hookflash.toml:2: log.format: ") && format[0].contains("logfmt"), "{format:?}");
}

#[test]
fn an_unreadable_file_is_told_without_quoting_it() {
    let found = findings("[auth]\nadmin_token = \"hunter2\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("hookflash.toml:2: is not TOML: ") && !found[0].contains("hunter2"), "{found:?}");
    let Invalid(found) = Settings::load(Some(Path::new("/nowhere/h.toml")), env(&[])).unwrap_err();
    assert!(found[0].to_string().starts_with("/nowhere/h.toml: cannot be read: "), "{found:?}");
}

#[test]
fn a_value_that_makes_no_sense_names_where_it_was_set() {
    let cases = [
        ("HOOKFLASH__SERVER__PUBLIC_URL", "pbx.example.com", "server.public_url"),
        ("HOOKFLASH__SERVER__PUBLIC_URL", "https://u:p@example.com", "server.public_url"),
        ("HOOKFLASH__SERVER__WORKERS", "5000", "server.workers"),
        ("HOOKFLASH__DATABASE__URL", "mysql://x", "database.url"),
        ("HOOKFLASH__DATABASE__URL", "sqlite://", "database.url"),
        ("HOOKFLASH__DATABASE__POOL", "0", "database.pool"),
        ("HOOKFLASH__ROUTING__DEADLINE_MS", "0", "routing.deadline_ms"),
        ("HOOKFLASH__ROUTING__CLAIM_S", "0", "routing.claim_s"),
        ("HOOKFLASH__LOG__LEVEL", "inof", "log.level"),
        ("HOOKFLASH__LOG__LEVEL", "info,=debug", "log.level"),
        ("HOOKFLASH__OUTBOUND__TIMEOUT_MS", "0", "outbound.timeout_ms"),
        ("HOOKFLASH__RETENTION__CALLS_DAYS", "40000", "retention.calls_days"),
    ];
    for (name, value, key) in cases {
        let told = finding(&[(name, value)]);
        assert!(told.starts_with(&format!("{name}: {key}: is ")), "{told}");
    }
    let half = finding(&[("HOOKFLASH__SERVER__TLS_CERT", "cert.pem")]);
    assert!(half.starts_with("default: server.tls_key: is empty although server.tls_cert is set; "), "{half}");
    let half = finding(&[("HOOKFLASH__LOG__PER_APPLICATION", "true"), ("HOOKFLASH__LOG__DIR", "")]);
    assert!(half.starts_with("HOOKFLASH__LOG__DIR: log.dir: "), "{half}");
}

#[test]
fn secrets_show_neither_in_debug_nor_in_findings() {
    let s = from_env(&[
        ("HOOKFLASH__AUTH__ADMIN_TOKEN", "hunter2"),
        ("HOOKFLASH__SECRETS__KEY", "hunter2"),
        ("HOOKFLASH__DATABASE__URL", "postgres://me:hunter2@h@db.example.com/hookflash?password=hunter2"),
    ])
    .unwrap();
    let shown = format!("{s:?}");
    assert!(!shown.contains("hunter2") && shown.contains("postgres://db.example.com/hookflash\""), "{shown}");
    assert!(s.database.url.as_str().contains("hunter2"));

    let told = findings("[auth]\nadmin_token = [\"hunter2\"]\n[secrets]\nkey = 4711\n[database]\nurl = { password = \"hunter2\" }\n");
    assert_eq!(told.len(), 3);
    assert!(!told.iter().any(|t| t.contains("hunter2") || t.contains("4711")), "{told:?}");
}
