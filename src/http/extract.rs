//! Who asks, and about which application.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use serde::Deserialize;

use super::error::Failure;
use crate::app::Hookflash;
use crate::auth::{self, Action, Principal};
use crate::roster::App;
use crate::store::{Conn, Durability, StoreError};

/// Whoever the bearer token stands for, and the components to serve him with.
pub struct Caller {
    pub hookflash: Arc<Hookflash>,
    pub principal: Principal,
}

impl Caller {
    fn of(request: &HttpRequest) -> Result<Caller, Failure> {
        let hookflash = hookflash(request)?;
        let token = request.headers().get(header::AUTHORIZATION).and_then(|v| bearer(v.to_str().ok()?)).ok_or(Failure::Unauthorized)?;
        let snapshot = hookflash.roster.snapshot();
        let principal =
            auth::identify(&snapshot.tokens, hookflash.settings.auth.admin_token.as_ref(), token).ok_or(Failure::Unauthorized)?;
        Ok(Caller { hookflash, principal })
    }

    pub fn may(&self, action: Action<'_>, application: i64) -> bool {
        auth::may(&self.principal, action, application)
    }

    /// Refuses what the caller may not do.
    pub fn must(&self, action: Action<'_>, application: i64) -> Result<(), Failure> {
        if self.may(action, application) { Ok(()) } else { Err(Failure::Forbidden) }
    }

    /// Runs a query.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Conn) -> crate::store::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        Ok(self.hookflash.db.read(query).await?)
    }

    /// Runs a job in a transaction that survives loss of power; what it refuses is rolled back.
    pub async fn write<T: Send + 'static>(
        &self,
        mut job: impl FnMut(&mut Conn) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        // The store knows only its own errors: a refusal goes around it, and the transaction is undone by an error in its place.
        let (refuse, mut refused) = tokio::sync::mpsc::unbounded_channel();
        let written = self
            .hookflash
            .db
            .write(Durability::Full, move |conn| {
                job(conn).map_err(|failure| match failure {
                    Failure::Store(error) => error,
                    failure => {
                        let error = StoreError::Refused(failure.to_string());
                        let _ = refuse.send(failure);
                        error
                    }
                })
            })
            .await;
        match (written, refused.try_recv()) {
            (Ok(value), _) => Ok(value),
            (Err(StoreError::Refused(_)), Ok(failure)) => Err(failure),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// [`Caller::write`] of declarations or tokens, which this server then reads again, so that whoever asks afterwards sees them.
    pub async fn declare<T: Send + 'static>(
        &self,
        job: impl FnMut(&mut Conn) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.write(job).await?;
        if let Err(error) = self.hookflash.roster.refresh().await {
            // It is written; the server reads it again within a second anyway.
            tracing::warn!(%error, "the roster was not read again");
        }
        Ok(done)
    }
}

/// The application of the path, which exists and works, and which the caller's token reaches.
pub struct AppPath {
    caller: Caller,
    pub app: Arc<App>,
}

impl AppPath {
    fn of(request: &HttpRequest) -> Result<AppPath, Failure> {
        let AppId { caller, id } = AppId::of(request)?;
        // The reason stands in the application's health.
        let app = caller.hookflash.roster.app(id).ok_or_else(|| {
            Failure::Conflict(format!("application {id} cannot be used as it is declared; GET /api/v1/apps/{id}/health says why"))
        })?;
        Ok(AppPath { caller, app })
    }

    pub fn id(&self) -> i64 {
        self.app.id()
    }

    pub fn may(&self, action: Action<'_>) -> bool {
        self.caller.may(action, self.id())
    }

    /// Refuses what the caller may not do in this application.
    pub fn must(&self, action: Action<'_>) -> Result<(), Failure> {
        self.caller.must(action, self.id())
    }
}

impl Deref for AppPath {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// The application of the path, even when its declaration cannot be used.
pub struct AppId {
    caller: Caller,
    pub id: i64,
}

impl AppId {
    fn of(request: &HttpRequest) -> Result<AppId, Failure> {
        let NewAppId { caller, id } = NewAppId::of(request)?;
        let snapshot = caller.hookflash.roster.snapshot();
        if !snapshot.apps.contains_key(&id) && !snapshot.broken.iter().any(|(broken, _)| *broken == id) {
            return Err(Failure::missing("application", &id.to_string()));
        }
        if caller.principal.application.is_some_and(|own| own != id) {
            return Err(Failure::Forbidden);
        }
        Ok(AppId { caller, id })
    }
}

impl Deref for AppId {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// The number of an application in the path that may not exist yet.
pub struct NewAppId {
    caller: Caller,
    pub id: i64,
}

impl NewAppId {
    fn of(request: &HttpRequest) -> Result<NewAppId, Failure> {
        let caller = Caller::of(request)?;
        let written = request.match_info().get("app").unwrap_or_default();
        let id = written.parse().ok().filter(|id| *id > 0).ok_or_else(|| Failure::missing("application", written))?;
        Ok(NewAppId { caller, id })
    }
}

impl Deref for NewAppId {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// The last name in the path, `{id}`.
pub struct Id(pub String);

impl Id {
    fn of(request: &HttpRequest) -> Result<Id, Failure> {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let decoded = web::Path::<Named>::extract(request).into_inner();
        decoded.map(|named| Id(named.into_inner().id)).map_err(|_| Failure::NotFound("the path cannot be read".into()))
    }
}

fn hookflash(request: &HttpRequest) -> Result<Arc<Hookflash>, Failure> {
    let shared = request.app_data::<web::Data<Hookflash>>().ok_or_else(|| Failure::Internal("the server has no components".into()))?;
    Ok(shared.clone().into_inner())
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Extractors that are ready at once.
macro_rules! from_request {
    ($($extractor:ty),+) => {$(
        impl FromRequest for $extractor {
            type Error = Failure;
            type Future = Ready<Result<Self, Failure>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(<$extractor>::of(request))
            }
        }
    )+};
}

from_request!(Caller, AppPath, AppId, NewAppId, Id);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        assert_eq!(bearer("Bearer hf_abc"), Some("hf_abc"));
        assert_eq!(bearer("bearer  hf_abc "), Some("hf_abc"));
        for none in ["", "Bearer", "Bearer ", "Basic hf_abc", "hf_abc"] {
            assert_eq!(bearer(none), None, "{none:?}");
        }
    }
}
