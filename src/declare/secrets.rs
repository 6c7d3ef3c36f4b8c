//! The secrets of an application: which keys they are, and how a declaration's become what is stored.

use serde_json::Value;

use crate::domain::spec::Application;
use crate::domain::validate::Problem;
use crate::pbx::telphin;
use crate::roster::secret_context;
use crate::secrets::Vault;

/// The secrets that an application has, by key.
pub fn of(app: &mut Application) -> Vec<(String, &mut String)> {
    let mut found: Vec<(String, &mut String)> = app.key.as_mut().map(|key| ("key".into(), key)).into_iter().collect();
    if let Some(Value::Object(table)) = &mut app.telphin {
        for (name, value) in table.iter_mut().filter(|(name, _)| telphin::SECRETS.contains(&name.as_str())) {
            if let Value::String(secret) = value
                && !secret.is_empty()
            {
                found.push((format!("telphin.{name}"), secret));
            }
        }
    }
    found
}

/// Makes the secrets of `new` fit to be stored. One that says what the stored application's says stays as it is stored.
pub fn seal(vault: &Vault, new: &mut Application, old: Option<&Application>) -> Vec<Problem> {
    let id = new.id;
    let mut old = old.cloned();
    let old = old.as_mut().map(of).unwrap_or_default();
    let mut problems = Vec::new();
    for (key, secret) in of(new) {
        let context = secret_context(id, &key);
        let stored = old.iter().find(|(k, _)| *k == key).map(|(_, stored)| stored.as_str());
        match stored.filter(|stored| vault.holds(&context, stored, secret)) {
            Some(stored) => *secret = stored.to_owned(),
            None => match vault.store(&context, secret) {
                Ok(sealed) => *secret = sealed,
                Err(e) => problems.push(Problem::new(key, e.to_string())),
            },
        }
    }
    problems
}
