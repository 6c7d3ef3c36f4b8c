//! Secrets of applications: PBX and CRM credentials, hook keys.
//!
//! An operator gives a secret as a reference (`env:NAME`, `file:PATH`), which is stored as it is and resolved at each use, or as a
//! literal, which is stored sealed: `sealed:v1:` and the base64 of nonce and ciphertext (ChaCha20-Poly1305). The caller's context,
//! which names the row and the field, is authenticated with it, so a sealed value that is copied to another row does not open there.
//!
//! What it promises: a literal is never stored readable, what cannot be opened is an error and never an empty or raw value, and no
//! error and no `Debug` shows a value.

mod key;
pub mod reference;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use secrecy::{ExposeSecret, SecretString};

const SEALED: &str = "sealed:v1:";
const NONCE_BYTES: usize = 12;

/// Why a secret cannot be stored or used. Names the reference or the context, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("a literal secret cannot be stored without secrets.key: set it, or give the secret as env:NAME or file:PATH")]
    NoKey,
    #[error("secrets.key is not 32 bytes in 64 hexadecimal or 44 base64 characters: make one with `openssl rand -hex 32`")]
    BadKey,
    #[error("the key file {path}: {reason}")]
    KeyFile { path: String, reason: String },
    /// `reference` as the operator wrote it.
    #[error("{reference}: {reason}")]
    Reference { reference: String, reason: String },
    #[error("the secret of {0} does not open: it was sealed with another key or for another place, or it was changed; give it anew")]
    Sealed(String),
}

/// Stores and reveals secrets. Make one at start and share it.
pub struct Vault {
    /// `None`: only references can be stored.
    cipher: Option<ChaCha20Poly1305>,
}

impl Vault {
    /// `key` is `secrets.key` (itself maybe a reference). Without it an SQLite database (`sqlite://PATH`) has a key file beside it,
    /// `PATH.key`, made here with mode 0600; any other database then stores references only.
    pub fn open(database_url: &str, key: Option<&SecretString>) -> Result<Vault, SecretError> {
        let key = match key {
            Some(given) => Some(key::given(given.expose_secret())?),
            None => key::beside(database_url)?,
        };
        Ok(Vault { cipher: key.map(|key| ChaCha20Poly1305::new(&key.into())) })
    }

    /// What to write into the database for a secret that an operator gave. `context` names its place, as `807/telphin/client_secret`,
    /// and must be the same in [`Vault::reveal`].
    pub fn store(&self, context: &str, given: &str) -> Result<String, SecretError> {
        if reference::is(given) {
            return Ok(given.to_owned());
        }
        let cipher = self.cipher.as_ref().ok_or(SecretError::NoKey)?;
        let nonce = Nonce::generate();
        let payload = Payload { msg: given.as_bytes(), aad: context.as_bytes() };
        let ciphertext = cipher.encrypt(&nonce, payload).map_err(|_| SecretError::Sealed(context.into()))?;
        Ok(format!("{SEALED}{}", STANDARD.encode([nonce.as_slice(), &ciphertext].concat())))
    }

    /// The secret itself. Reads the environment or a file for a reference: not for a hook's path.
    pub fn reveal(&self, context: &str, stored: &str) -> Result<SecretString, SecretError> {
        if reference::is(stored) {
            return reference::resolve(stored);
        }
        let opened = || {
            let bytes = STANDARD.decode(stored.strip_prefix(SEALED)?).ok()?;
            let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES)?;
            let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
            let plain = self.cipher.as_ref()?.decrypt(&Nonce::try_from(nonce).ok()?, payload).ok()?;
            String::from_utf8(plain).ok().map(SecretString::from)
        };
        opened().ok_or_else(|| SecretError::Sealed(context.into()))
    }

    /// True when `stored` already says what `given` would: sealing the same literal twice gives two texts, so they cannot be compared.
    pub fn holds(&self, context: &str, stored: &str, given: &str) -> bool {
        if reference::is(stored) || reference::is(given) {
            return stored == given;
        }
        self.reveal(context, stored).is_ok_and(|secret| secret.expose_secret() == given)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("seals", &self.cipher.is_some()).finish()
    }
}

#[cfg(test)]
mod tests;
