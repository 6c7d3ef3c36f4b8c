//! Tokens: 256 random bits, shown once when they are made; what is stored is their SHA-256.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Principal, Role};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::store::tokens::Token;

/// What every token begins with, so that a secret scanner and a person know one when they see it.
const PREFIX: &str = "hf_";

/// A token that was just made.
pub struct Issued {
    /// The row to store.
    pub token: Token,
    /// What its owner is given; nobody can show it again.
    pub secret: SecretString,
}

/// Makes a token for `principal`.
pub fn issue(principal: &Principal, now: Timestamp) -> Issued {
    let mut bits = [0u8; 32];
    rand::rng().fill_bytes(&mut bits);
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits));
    let token = Token {
        id: id::fresh(now),
        hash: hash(&secret),
        role: principal.role.as_str().into(),
        application: principal.application,
        agent: principal.agent.clone(),
        name: principal.name.clone(),
        created_at: now.0,
        revoked_at: None,
    };
    Issued { token, secret: secret.into() }
}

/// Whom a presented token stands for: one of `tokens` (by hash), or the administrator of the settings. `None`: nobody.
pub fn identify(tokens: &HashMap<String, Token>, admin_token: Option<&SecretString>, presented: &str) -> Option<Principal> {
    let hash = hash(presented);
    if let Some(admin) = admin_token
        && bool::from(self::hash(admin.expose_secret()).as_bytes().ct_eq(hash.as_bytes()))
    {
        return Some(Principal { name: "auth.admin_token".into(), role: Role::Admin, application: None, agent: None });
    }
    // Finding a hash in a map takes a time that tells about the hash, which tells nothing about the token.
    let token = tokens.get(&hash)?;
    // A role that this version does not know may do nothing.
    let role = Role::parse(&token.role)?;
    Some(Principal { name: token.name.clone(), role, application: token.application, agent: token.agent.clone() })
}

fn hash(secret: &str) -> String {
    id::hex(&Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_000_000_000_000);

    fn ann() -> Principal {
        Principal { name: "widget".into(), role: Role::Agent, application: Some(807), agent: Some("ann".into()) }
    }

    #[test]
    fn a_token_stands_for_whom_it_was_issued() {
        let Issued { token, secret } = issue(&ann(), NOW);
        assert_eq!(secret.expose_secret().len(), PREFIX.len() + 43, "256 bits in base64url");
        assert!(!format!("{token:?}").contains(secret.expose_secret()), "the secret is not stored");
        let tokens = HashMap::from([(token.hash.clone(), token.clone())]);
        assert_eq!(identify(&tokens, None, secret.expose_secret()), Some(ann()));
        assert_eq!(identify(&tokens, None, &token.hash), None, "the stored hash is no token");
        assert_eq!(identify(&tokens, None, ""), None);
        assert_ne!(issue(&ann(), NOW).token.hash, token.hash);
    }

    #[test]
    fn the_settings_token_is_an_administrator_and_nothing_else_is() {
        let admin = SecretString::from("first-token");
        let found = identify(&HashMap::new(), Some(&admin), "first-token").expect("the administrator");
        assert_eq!((found.role, found.application), (Role::Admin, None));
        for wrong in ["", "first-toke", "first-token ", "First-token"] {
            assert_eq!(identify(&HashMap::new(), Some(&admin), wrong), None, "{wrong:?}");
        }
        assert_eq!(identify(&HashMap::new(), None, ""), None);
    }

    #[test]
    fn a_role_of_another_version_may_nothing() {
        let Issued { mut token, secret } = issue(&ann(), NOW);
        token.role = "owner".into();
        let tokens = HashMap::from([(token.hash.clone(), token)]);
        assert_eq!(identify(&tokens, None, secret.expose_secret()), None);
    }
}
