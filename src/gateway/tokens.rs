//! Tokens of PBX APIs: one at a time is asked for, whoever needs it meanwhile waits for that one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};

use super::{Gateway, GatewayError, lock, no_api, words};
use crate::domain::time::Timestamp;
use crate::net::NetError;
use crate::pbx::telphin::{self, api};
use crate::roster::App;
use crate::store::lines::News;

#[derive(Clone)]
pub struct Held {
    token: SecretString,
    until: Timestamp,
}

pub type Tokens = Arc<Mutex<HashMap<i64, Arc<tokio::sync::Mutex<Option<Held>>>>>>;

impl Gateway {
    /// The application's token; another one than `dead`, which the PBX no longer takes.
    pub(super) async fn token(&self, app: &App, dead: Option<&SecretString>) -> Result<SecretString, GatewayError> {
        let slot = lock(&self.tokens).entry(app.id()).or_default().clone();
        let mut held = slot.lock().await;
        let now = self.clock.now();
        let is_dead = |h: &Held| dead.is_some_and(|d| d.expose_secret() == h.token.expose_secret());
        if let Some(held) = held.as_ref().filter(|h| h.until > now && !is_dead(h)) {
            return Ok(held.token.clone());
        }
        let (token, life_s) = self.new_token(app).await?;
        *held = Some(Held { token: token.clone(), until: now.plus_s((life_s - 60).max(1)) });
        Ok(token)
    }

    /// Asks for a token, whether there is one or not; with its life in seconds.
    pub async fn new_token(&self, app: &App) -> Result<(SecretString, i64), GatewayError> {
        let settings = app.pbx.telphin().ok_or_else(no_api)?;
        let (id, secret) = self.credentials(app, settings)?;
        let request = api::token(settings, id.expose_secret(), secret.expose_secret());
        // A request for a token does nothing at the PBX: what is unclear about it is not reached.
        let reply = match self.http.send(request, self.timeout).await {
            Ok(reply) if reply.status >= 500 => Err(format!("status {}: {}", reply.status, words(&reply))),
            Ok(reply) => Ok(reply),
            Err(error @ NetError::Forbidden(_)) => return Err(GatewayError::from_net(&error)),
            Err(error) => Err(error.to_string()),
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => {
                self.note(app, News { down: Some(why.clone()), ..News::default() }).await;
                return Err(GatewayError::Unreachable(why));
            }
        };
        if !reply.is_success() {
            return Err(GatewayError::Credentials(format!("the PBX gave no token ({}): {}", reply.status, words(&reply))));
        }
        let token: api::Token =
            reply.json().map_err(|_| GatewayError::Credentials("the PBX's reply to the request for a token cannot be read".into()))?;
        Ok((SecretString::from(token.access_token), token.expires_in))
    }

    fn credentials(&self, app: &App, settings: &telphin::Settings) -> Result<(SecretString, SecretString), GatewayError> {
        if settings.client_id.is_empty() {
            let mend = "set telphin.client_id and telphin.client_secret";
            return Err(GatewayError::Credentials(format!("application {} has no credentials for its PBX; {mend}", app.id())));
        }
        let reveal = |key: &str, stored: &str| self.reveal(app, key, stored);
        Ok((reveal("telphin.client_id", &settings.client_id)?, reveal("telphin.client_secret", &settings.client_secret)?))
    }
}
