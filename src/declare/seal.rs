//! The secrets of an application's declaration: sealed before they are stored, and never shown.

use serde_json::Value;

use crate::domain::spec::{Application, PbxKind};
use crate::domain::validate::Problem;
use crate::pbx::Pbx;
use crate::roster::secret_context;
use crate::secrets::{Vault, reference};

/// Seals what `new` gives readable. What it leaves out (or null) stays as `old` has it; an empty secret is removed.
///
/// # Errors
/// Which secret cannot be stored, and why.
pub fn seal(vault: &Vault, new: &mut Application, old: Option<&Application>) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    for name in names(new.pbx) {
        let stored = old.and_then(|old| get(old, &name));
        let given = get(new, &name);
        if given.is_none() && is_other_than_text(new, &name) {
            // Not a secret and not the absence of one: whoever reads the table says so.
            continue;
        }
        let context = secret_context(new.id, &name);
        let kept = match (given, stored) {
            (None, stored) => stored,
            (Some(given), _) if given.is_empty() => None,
            (Some(given), Some(stored)) if vault.holds(&context, &stored, &given) => Some(stored),
            (Some(given), _) => match vault.store(&context, &given) {
                Ok(sealed) => Some(sealed),
                Err(e) => {
                    problems.push(Problem::new(&name, e.to_string()));
                    continue;
                }
            },
        };
        set(new, &name, kept);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The secrets that `new` lets be read from the server's own variables and files, and that `old` does not already read from there.
pub fn new_references(new: &Application, old: Option<&Application>) -> Vec<Problem> {
    let is_new = |name: &String| {
        let given = get(new, name);
        given.as_deref().is_some_and(reference::is) && given != old.and_then(|old| get(old, name))
    };
    let reason = "env: and file: read what is the server's; give the secret itself, or have it declared with hookflash apply or by an \
                  administrator of all applications";
    names(new.pbx).into_iter().filter(is_new).map(|name| Problem::new(&name, reason)).collect()
}

/// Makes a declaration whole: a secret that it leaves out is no longer one of the application's. For [`seal`], which comes after.
pub fn leave_none(new: &mut Application) {
    for name in names(new.pbx) {
        if get(new, &name).is_none() && !is_other_than_text(new, &name) {
            set(new, &name, Some(String::new()));
        }
    }
}

/// The secrets that an application has: each key with what is stored for it.
pub fn stored(app: &Application) -> Vec<(String, String)> {
    let names = names(app.pbx).into_iter();
    names.filter_map(|name| get(app, &name).filter(|secret| !secret.is_empty()).map(|secret| (name, secret))).collect()
}

/// The application's own settings as clients see them: without lists, and with null for every secret.
pub fn shown(app: &Application) -> serde_json::Result<Value> {
    let mut shown = serde_json::to_value(app)?;
    if let Some(fields) = shown.as_object_mut() {
        for list in LISTS {
            fields.remove(*list);
        }
        for name in names(app.pbx) {
            match name.split_once('.') {
                None => _ = fields.insert(name, Value::Null),
                Some((table, key)) => {
                    if let Some(table) = fields.get_mut(table).and_then(Value::as_object_mut) {
                        table.insert(key.to_owned(), Value::Null);
                    }
                }
            }
        }
    }
    Ok(shown)
}

/// The lists of an application, which are not part of its own settings.
pub const LISTS: &[&str] =
    &["agent", "extension", "group", "queue", "number", "business_hours", "ivr_tree", "ivr_node", "ivr_key", "blacklist", "contact"];

/// `key`, and the PBX's own: `telphin.client_secret`.
fn names(pbx: PbxKind) -> Vec<String> {
    let own = Pbx::secret_keys(pbx).iter().map(|key| format!("{pbx}.{key}"));
    std::iter::once("key".to_owned()).chain(own).collect()
}

fn table(app: &Application) -> &Option<Value> {
    match app.pbx {
        PbxKind::Telphin => &app.telphin,
        PbxKind::Exotel => &app.exotel,
        PbxKind::Stringee => &app.stringee,
        PbxKind::Asterisk => &app.asterisk,
    }
}

fn table_mut(app: &mut Application) -> &mut Option<Value> {
    match app.pbx {
        PbxKind::Telphin => &mut app.telphin,
        PbxKind::Exotel => &mut app.exotel,
        PbxKind::Stringee => &mut app.stringee,
        PbxKind::Asterisk => &mut app.asterisk,
    }
}

fn get(app: &Application, name: &str) -> Option<String> {
    match name.split_once('.') {
        None => app.key.clone(),
        Some((_, key)) => Some(table(app).as_ref()?.get(key)?.as_str()?.to_owned()),
    }
}

fn is_other_than_text(app: &Application, name: &str) -> bool {
    let value = name.split_once('.').and_then(|(_, key)| table(app).as_ref()?.get(key));
    value.is_some_and(|v| !v.is_null() && !v.is_string())
}

fn set(app: &mut Application, name: &str, value: Option<String>) {
    match name.split_once('.') {
        None => app.key = value,
        Some((_, key)) => {
            if let Some(table) = table_mut(app).as_mut().and_then(Value::as_object_mut) {
                match value {
                    Some(value) => _ = table.insert(key.to_owned(), value.into()),
                    None => _ = table.remove(key),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::{ExposeSecret, SecretString};
    use serde_json::json;

    fn vault() -> Vault {
        Vault::open("postgres://h/n", Some(&SecretString::from("00".repeat(32)))).expect("a vault")
    }

    fn app(key: Value, telphin: Value) -> Application {
        serde_json::from_value(json!({"id": 807, "name": "Shop", "pbx": "telphin", "login": "T", "key": key, "telphin": telphin}))
            .expect("app")
    }

    fn revealed(app: &Application, name: &str) -> String {
        vault().reveal(&secret_context(807, name), &get(app, name).expect(name)).expect(name).expose_secret().to_owned()
    }

    #[test]
    fn literals_are_sealed_references_stay_and_the_same_again_changes_nothing() {
        let given = || app(json!("word"), json!({"client_id": "id-1", "client_secret": "env:TELPHIN_SECRET"}));
        let mut first = given();
        seal(&vault(), &mut first, None).expect("sealed");
        let text = serde_json::to_string(&first).expect("json");
        assert!(!text.contains("word") && !text.contains("id-1"), "{text}");
        assert_eq!((revealed(&first, "key"), revealed(&first, "telphin.client_id")), ("word".into(), "id-1".into()));
        assert_eq!(get(&first, "telphin.client_secret").as_deref(), Some("env:TELPHIN_SECRET"));
        let mut again = given();
        seal(&vault(), &mut again, Some(&first)).expect("sealed");
        assert_eq!(again, first);
    }

    #[test]
    fn what_is_left_out_stays_and_what_is_empty_goes() {
        let mut first = app(json!("word"), json!({"client_id": "id-1", "client_secret": "s-1"}));
        seal(&vault(), &mut first, None).expect("sealed");
        let mut shown_again: Application = serde_json::from_value(shown(&first).expect("shown")).expect("what is shown can be put");
        seal(&vault(), &mut shown_again, Some(&first)).expect("sealed");
        assert_eq!(shown_again, first);
        let mut emptied = app(json!(""), json!({"client_id": "", "client_secret": ""}));
        seal(&vault(), &mut emptied, Some(&first)).expect("sealed");
        assert_eq!((emptied.key, emptied.telphin), (None, Some(json!({}))));
    }

    #[test]
    fn no_secret_is_shown() {
        let first = app(json!("word"), json!({"client_id": "id-1", "client_secret": "env:X", "variable": "v"}));
        let shown = shown(&first).expect("shown");
        assert_eq!(shown["telphin"], json!({"client_id": null, "client_secret": null, "variable": "v"}));
        assert_eq!(shown["key"], Value::Null);
    }

    #[test]
    fn without_a_key_only_references_can_be_stored() {
        let vault = Vault::open("postgres://h/n", None).expect("a vault");
        let problems = seal(&vault, &mut app(json!("env:KEY"), json!({"client_id": "id-1"})), None).expect_err("no key");
        assert_eq!(problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["telphin.client_id"]);
    }
}
