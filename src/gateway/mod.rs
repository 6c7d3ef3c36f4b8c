//! Speaks to a PBX's API: keeps the token, asks for a new one once when it died early, and tells a clear refusal from an unclear failure.
//!
//! Tokens live in memory only. They are asked for 60 s before they expire (Telphin page, 9.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::domain::time::{Clock, Timestamp};
use crate::net::{Http, NetError, Request, Response, Streaming};
use crate::pbx::telphin::{self, api};
use crate::roster::{self, App};
use crate::secrets::Vault;

/// Why a PBX did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The application has no credentials, or they cannot be read.
    #[error("{0}")]
    Credentials(String),
    /// The PBX said no, in its own words. Nothing happened there.
    #[error("the PBX refused ({status}): {words}")]
    Refused { status: u16, words: String },
    /// Nothing reached the PBX.
    #[error("the PBX cannot be reached: {0}")]
    Unreachable(String),
    /// The PBX may have done it.
    #[error("the PBX gave no clear reply: {0}")]
    Unclear(String),
}

impl GatewayError {
    fn from_net(error: NetError) -> GatewayError {
        if error.may_have_acted() { GatewayError::Unclear(error.to_string()) } else { GatewayError::Unreachable(error.to_string()) }
    }
}

#[derive(Clone)]
pub struct Gateway {
    http: Http,
    vault: Arc<Vault>,
    clock: Clock,
    timeout: Duration,
    tokens: Arc<Mutex<HashMap<i64, Held>>>,
    /// Numeric ids of extensions, as the API told them: (application, short form).
    extensions: Arc<Mutex<HashMap<(i64, String), i64>>>,
}

#[derive(Clone)]
struct Held {
    token: SecretString,
    until: Timestamp,
}

impl Gateway {
    pub fn new(http: Http, vault: Arc<Vault>, clock: Clock, timeout: Duration) -> Gateway {
        Gateway { http, vault, clock, timeout, tokens: Arc::default(), extensions: Arc::default() }
    }

    /// Sends with a token; a 401 gets a new token and one more try, because a token may die before its time.
    ///
    /// # Errors
    /// Anything but a 2xx, told apart by whether the PBX may have acted.
    pub async fn send(&self, app: &App, request: Request) -> Result<Response, GatewayError> {
        let response = self.attempt(app, &request, false).await?;
        let response = if response.status == 401 { self.attempt(app, &request, true).await? } else { response };
        match response.status {
            200..=299 => Ok(response),
            // Whether a broken PBX did it before it broke, nobody can say.
            500.. => Err(GatewayError::Unclear(format!("status {}: {}", response.status, words(&response)))),
            status => Err(GatewayError::Refused { status, words: words(&response) }),
        }
    }

    async fn attempt(&self, app: &App, request: &Request, renew: bool) -> Result<Response, GatewayError> {
        let token = self.token(app, renew).await?;
        let request = request.clone().header("authorization", format!("Bearer {}", token.expose_secret()));
        self.http.send(request, self.timeout).await.map_err(GatewayError::from_net)
    }

    /// Starts a download with a token; the status is the PBX's own.
    pub async fn download(&self, app: &App, request: Request) -> Result<Streaming, GatewayError> {
        for renew in [false, true] {
            let token = self.token(app, renew).await?;
            let request = request.clone().header("authorization", format!("Bearer {}", token.expose_secret()));
            let streaming = self.http.stream(request).await.map_err(GatewayError::from_net)?;
            if streaming.status != 401 || renew {
                return Ok(streaming);
            }
        }
        Err(GatewayError::Refused { status: 401, words: "Unauthorized".into() })
    }

    /// Fetches a link that carries its own right, such as a storage link.
    pub async fn fetch(&self, request: Request) -> Result<Streaming, GatewayError> {
        self.http.stream(request).await.map_err(GatewayError::from_net)
    }

    async fn token(&self, app: &App, renew: bool) -> Result<SecretString, GatewayError> {
        let now = self.clock.now();
        if !renew && let Some(held) = lock(&self.tokens).get(&app.id()).filter(|h| h.until > now) {
            return Ok(held.token.clone());
        }
        let settings = app.pbx.telphin().ok_or_else(no_api)?;
        let (id, secret) = self.credentials(app, settings)?;
        let request = api::token(settings, id.expose_secret(), secret.expose_secret());
        let response = self.http.send(request, self.timeout).await.map_err(|e| GatewayError::Unreachable(e.to_string()))?;
        if !response.is_success() {
            return Err(GatewayError::Credentials(format!("the PBX gave no token ({}): {}", response.status, words(&response))));
        }
        let token: api::Token =
            response.json().map_err(|_| GatewayError::Credentials("the PBX's reply to the request for a token cannot be read".into()))?;
        let held = Held { token: SecretString::from(token.access_token), until: now.plus_s((token.expires_in - 60).max(1)) };
        lock(&self.tokens).insert(app.id(), held.clone());
        Ok(held.token)
    }

    fn credentials(&self, app: &App, settings: &telphin::Settings) -> Result<(SecretString, SecretString), GatewayError> {
        if settings.client_id.is_empty() {
            let mend = "set telphin.client_id and telphin.client_secret";
            return Err(GatewayError::Credentials(format!("application {} has no credentials for its PBX; {mend}", app.id())));
        }
        let reveal = |key: &str, stored: &str| {
            let context = roster::secret_context(app.id(), key);
            self.vault.reveal(&context, stored).map_err(|e| GatewayError::Credentials(format!("{key}: {e}")))
        };
        Ok((reveal("telphin.client_id", &settings.client_id)?, reveal("telphin.client_secret", &settings.client_secret)?))
    }

    /// The numeric id that the API knows an extension by; asked once and remembered.
    ///
    /// # Errors
    /// [`GatewayError::Refused`] with 404 when the PBX has no such phone.
    pub async fn extension_id(&self, app: &App, extension: &str) -> Result<i64, GatewayError> {
        let key = (app.id(), extension.to_owned());
        if let Some(id) = lock(&self.extensions).get(&key) {
            return Ok(*id);
        }
        let settings = app.pbx.telphin().ok_or_else(no_api)?;
        for page in 1..=100 {
            let reply = self.send(app, api::extensions(settings, page)).await?;
            let found: Vec<api::Extension> =
                reply.json().map_err(|e| GatewayError::Refused { status: reply.status, words: format!("the list of extensions: {e}") })?;
            let last = found.len() < api::EXTENSIONS_PAGE;
            let mut known = lock(&self.extensions);
            for e in found.into_iter().filter(|e| e.kind == "phone") {
                let short = e.name.rsplit('*').next().unwrap_or_default().to_owned();
                known.insert((app.id(), short), e.id);
            }
            if let Some(id) = known.get(&key) {
                return Ok(*id);
            }
            if last {
                break;
            }
        }
        Err(GatewayError::Refused { status: 404, words: format!("the PBX has no phone {extension}") })
    }
}

/// A PBX that is asked nothing over HTTP.
fn no_api() -> GatewayError {
    GatewayError::Credentials("this PBX has no API that is asked".into())
}

fn words(response: &Response) -> String {
    let text = api::error_text(&response.body).unwrap_or_else(|| String::from_utf8_lossy(&response.body).into_owned());
    text.chars().take(300).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
