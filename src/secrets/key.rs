//! The key that seals: given by the operator, or kept in a file beside an SQLite database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::Key;
use chacha20poly1305::aead::Generate;
use secrecy::ExposeSecret;

use super::{SecretError, reference};

/// Bytes of a key.
pub type Bytes = [u8; 32];

/// The key that the settings give, maybe as a reference.
pub fn given(text: &str) -> Result<Bytes, SecretError> {
    if reference::is(text) {
        return parse(reference::resolve(text)?.expose_secret()).ok_or(SecretError::BadKey);
    }
    parse(text).ok_or(SecretError::BadKey)
}

/// The key beside an SQLite database, made when there is none; a database in memory gets one that lives as long. `None`: not SQLite.
pub fn beside(database_url: &str) -> Result<Option<Bytes>, SecretError> {
    let Some(path) = database_url.strip_prefix("sqlite://").map(|rest| rest.split('?').next().unwrap_or_default()) else {
        return Ok(None);
    };
    if path == ":memory:" {
        return Ok(Some(Key::generate().into()));
    }
    let path = PathBuf::from(format!("{path}.key"));
    let failed = |reason: String| SecretError::KeyFile { path: path.display().to_string(), reason };
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => make(&path).and_then(|()| fs::read_to_string(&path)),
        read => read,
    };
    let key = parse(&text.map_err(|e| failed(e.to_string()))?);
    if fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        tracing::warn!(file = %path.display(), "the key of the secrets can be read by others: chmod 600 it");
    }
    key.map(Some).ok_or_else(|| failed("does not hold a key: restore it, or remove it and give every literal secret anew".into()))
}

/// Makes the key file unless another process was faster: it appears whole and on the disk, or not at all. Both then read the same one.
fn make(path: &Path) -> io::Result<()> {
    let draft = path.with_extension(format!("key.{:016x}", rand::random::<u64>()));
    let text: String = Key::generate().iter().map(|byte| format!("{byte:02x}")).collect();
    let made = write_new(&draft, &text).and_then(|()| match fs::hard_link(&draft, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    made.and(removed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

fn parse(text: &str) -> Option<Bytes> {
    let text = text.trim();
    if text.len() == 64 {
        let mut key = Bytes::default();
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = hex(digits[0])? << 4 | hex(digits[1])?;
        }
        return Some(key);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}
