//! Speaks to a PBX's API: keeps the token, obeys the limits, repeats what may be repeated, and tells a clear refusal from an unclear failure.
//!
//! A request goes this way: the application's [`Line`] is read, a row that all nodes share, and while the PBX has told us to wait nothing
//! is sent; it gets a token, and a new one once when the PBX says 401, because a token may die before its time; what the reply says about
//! the hour's limit, about waiting and about the PBX's health is written to the row. Only a GET is sent again after a failure, and not for
//! longer than one request may take: whether anything else has been done, nobody can say.
//!
//! Tokens live in memory only. They are asked for 60 s before they expire (Telphin page, 9.2).

mod said;
mod statistics;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use crate::domain::time::{Clock, Timestamp};
use crate::net::{Http, NetError, Request, Response, Streaming};
use crate::pbx::telphin::api;
use crate::roster::{self, App};
use crate::secrets::Vault;
use crate::store::lines::{self, Line, News};
use crate::store::{Db, Durability};

/// Pauses before a GET is sent again.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// Why a PBX did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The application has no credentials, they cannot be read, or the PBX does not take them.
    #[error("{0}")]
    Credentials(String),
    /// The PBX said no, in its own words. Nothing happened there.
    #[error("the PBX refused ({status}): {words}")]
    Refused { status: u16, words: String },
    /// The PBX has told us to wait; nothing was done.
    #[error("the PBX is not asked before {}: {why}", .until.rfc3339())]
    Waiting { until: Timestamp, why: String },
    /// Somebody else's request for statistics is being answered; nothing was done.
    #[error("the PBX is busy: {0}")]
    Busy(String),
    /// Our own settings forbid the PBX's address.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing reached the PBX.
    #[error("the PBX cannot be reached: {0}")]
    Unreachable(String),
    /// The PBX may have done it.
    #[error("the PBX gave no clear reply: {0}")]
    Unclear(String),
}

impl GatewayError {
    fn from_net(error: &NetError) -> GatewayError {
        match error {
            NetError::Forbidden(_) => GatewayError::Forbidden(error.to_string()),
            _ if error.may_have_acted() => GatewayError::Unclear(error.to_string()),
            _ => GatewayError::Unreachable(error.to_string()),
        }
    }

    /// The same request may succeed in a moment.
    fn passes(&self) -> bool {
        matches!(self, GatewayError::Unclear(_) | GatewayError::Unreachable(_))
    }
}

#[derive(Clone)]
pub struct Gateway {
    http: Http,
    db: Db,
    vault: Arc<Vault>,
    clock: Clock,
    timeout: Duration,
    tokens: tokens::Tokens,
    /// Numeric ids of extensions, as the API told them: (application, short form).
    extensions: Arc<Mutex<HashMap<(i64, String), i64>>>,
    /// Who asks for statistics of an application waits here for those before him.
    queues: Arc<Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Gateway {
    pub fn new(http: Http, db: Db, vault: Arc<Vault>, clock: Clock, timeout: Duration) -> Gateway {
        let (tokens, extensions, queues) = Default::default();
        Gateway { http, db, vault, clock, timeout, tokens, extensions, queues }
    }

    /// Sends with a token.
    ///
    /// # Errors
    /// Anything but a 2xx, told apart by whether the PBX may have acted.
    pub async fn send(&self, app: &App, request: Request) -> Result<Response, GatewayError> {
        let (began, mut pauses) = (Instant::now(), PAUSES.iter());
        loop {
            let result = self.once(app, &request).await;
            let Err(error) = &result else { return result };
            if request.method != "GET" || !error.passes() || began.elapsed() >= self.timeout {
                return result;
            }
            let Some(pause) = pauses.next() else { return result };
            tokio::time::sleep(*pause).await;
        }
    }

    async fn once(&self, app: &App, request: &Request) -> Result<Response, GatewayError> {
        self.may_ask(app).await?;
        let mut dead = None;
        let reply = loop {
            let token = self.token(app, dead.as_ref()).await?;
            match self.http.send(bearing(request, &token), self.timeout).await {
                Ok(reply) if reply.status == 401 && dead.is_none() => dead = Some(token),
                Ok(reply) => break reply,
                Err(error) => return Err(self.failed(app, &error).await),
            }
        };
        let words = words(&reply);
        let news = said::news(&reply, &words, self.clock.now());
        self.note(app, news.clone()).await;
        match (reply.status, news.wait) {
            (200..=299, _) => Ok(reply),
            (429, _) if said::is_concurrent(&reply) => Err(GatewayError::Busy(words)),
            (429, Some((until, why))) => Err(GatewayError::Waiting { until, why }),
            // Whether a broken PBX did it before it broke, nobody can say.
            (status @ 500.., _) => Err(GatewayError::Unclear(format!("status {status}: {words}"))),
            (status, _) => Err(GatewayError::Refused { status, words }),
        }
    }

    /// Starts a download with a token; the status is the PBX's own.
    pub async fn download(&self, app: &App, request: Request) -> Result<Streaming, GatewayError> {
        self.may_ask(app).await?;
        let mut dead = None;
        loop {
            let token = self.token(app, dead.as_ref()).await?;
            match self.http.stream(bearing(&request, &token)).await {
                Ok(streaming) if streaming.status == 401 && dead.is_none() => dead = Some(token),
                Ok(streaming) => {
                    let head = Response { status: streaming.status, headers: streaming.headers.clone(), body: bytes::Bytes::new() };
                    self.note(app, said::news(&head, "", self.clock.now())).await;
                    return Ok(streaming);
                }
                Err(error) => return Err(self.failed(app, &error).await),
            }
        }
    }

    /// Fetches a link that carries its own right, such as a storage link.
    pub async fn fetch(&self, request: Request) -> Result<Streaming, GatewayError> {
        self.http.stream(request).await.map_err(|e| GatewayError::from_net(&e))
    }

    /// A secret of the application's declaration.
    pub fn reveal(&self, app: &App, key: &str, stored: &str) -> Result<SecretString, GatewayError> {
        let context = roster::secret_context(app.id(), key);
        self.vault.reveal(&context, stored).map_err(|e| GatewayError::Credentials(format!("{key}: {e}")))
    }

    /// How the line to the PBX fares.
    pub async fn line(&self, app: i64) -> crate::store::Result<Line> {
        self.db.read(move |conn| lines::get(conn, app)).await
    }

    /// # Errors
    /// [`GatewayError::Waiting`]. A database that is away keeps nobody from asking.
    async fn may_ask(&self, app: &App) -> Result<(), GatewayError> {
        let now = self.clock.now();
        match self.line(app.id()).await {
            Ok(line) => match line.waits(now) {
                Some((until, why)) => Err(GatewayError::Waiting { until, why: why.to_owned() }),
                None => Ok(()),
            },
            Err(error) => {
                tracing::warn!(app = app.id(), %error, "the limits of the PBX cannot be read; it is asked all the same");
                Ok(())
            }
        }
    }

    async fn note(&self, app: &App, news: News) {
        let (id, clock) = (app.id(), self.clock.clone());
        let noted = self.db.write(Durability::Process, move |conn| lines::note(conn, id, &news, clock.now())).await;
        if let Err(error) = noted {
            tracing::warn!(app = id, %error, "what the PBX said of its limits could not be kept");
        }
    }

    async fn failed(&self, app: &App, error: &NetError) -> GatewayError {
        self.note(app, News { down: Some(error.to_string()), ..News::default() }).await;
        GatewayError::from_net(error)
    }

    fn queue_of(&self, app: i64) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.queues).entry(app).or_default().clone()
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

fn bearing(request: &Request, token: &SecretString) -> Request {
    request.clone().header("authorization", format!("Bearer {}", token.expose_secret()))
}

fn words(response: &Response) -> String {
    let text = api::error_text(&response.body).unwrap_or_else(|| String::from_utf8_lossy(&response.body).into_owned());
    text.chars().take(300).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
