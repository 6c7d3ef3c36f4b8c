//! Secrets that live elsewhere: `env:NAME` and `file:PATH`.

use std::fs::File;
use std::io::Read;

use secrecy::SecretString;

use super::SecretError;

/// A secret is a line or a PEM block; a larger file is a mistaken path.
const MOST_BYTES: u64 = 64 << 10;

pub fn is(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// The value now; one newline at its end is not part of it. An empty value is an error: it is what a mistake looks like.
pub fn resolve(reference: &str) -> Result<SecretString, SecretError> {
    let value = match reference.split_once(':') {
        Some(("env", name)) => variable(name),
        Some(("file", path)) => content(path),
        _ => Err("is neither env:NAME nor file:PATH".into()),
    };
    let value = value.and_then(|mut value| {
        if value.ends_with('\n') {
            value.pop();
            if value.ends_with('\r') {
                value.pop();
            }
        }
        if value.is_empty() { Err("is empty".into()) } else { Ok(SecretString::from(value)) }
    });
    value.map_err(|reason| SecretError::Reference { reference: reference.into(), reason })
}

fn variable(name: &str) -> Result<String, String> {
    // A name that the system would refuse makes var_os panic on some platforms.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("is not the name of a variable".into());
    }
    match std::env::var_os(name).map(std::ffi::OsString::into_string) {
        None => Err("the variable is not set".into()),
        Some(Err(_)) => Err("is not UTF-8".into()),
        Some(Ok(value)) => Ok(value),
    }
}

fn content(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("is larger than {MOST_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".into())
}
