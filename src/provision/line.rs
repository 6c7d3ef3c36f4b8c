//! What a run works with: the PBX, and what is remembered of its parts.

use crate::gateway::{Gateway, GatewayError};
use crate::net::{Request, Response};
use crate::pbx::setup::{Memory, Seen};
use crate::roster::App;
use crate::store::{Db, Durability, Result, StoreError, provisioned};

use super::is_blank;

pub trait Line {
    async fn send(&self, request: Request) -> std::result::Result<Response, GatewayError>;

    async fn memory(&self, part: &str) -> Result<Memory>;

    /// Returns when it is kept: what follows relies on it.
    async fn remember(&self, part: &str, memory: &Memory) -> Result<()>;

    /// Requests left in this hour, as far as it is known.
    async fn left(&self) -> Result<Option<i64>>;
}

/// One look; a clear refusal is something to see.
pub async fn look(line: &impl Line, request: Request) -> std::result::Result<Seen, GatewayError> {
    match line.send(request).await {
        Ok(reply) => Ok(Seen { status: reply.status, words: String::new(), reply: Some(reply) }),
        Err(GatewayError::Refused { status, words }) => Ok(Seen { status, words, reply: None }),
        Err(error) => Err(error),
    }
}

/// The line to the PBX of an application.
pub struct Real<'a> {
    pub gateway: &'a Gateway,
    pub db: &'a Db,
    pub app: &'a App,
    pub clock: &'a crate::domain::time::Clock,
}

impl Line for Real<'_> {
    async fn send(&self, request: Request) -> std::result::Result<Response, GatewayError> {
        self.gateway.send(self.app, request).await
    }

    async fn memory(&self, part: &str) -> Result<Memory> {
        let (app, part) = (self.app.id(), part.to_owned());
        let body = self.db.read(move |conn| provisioned::get(conn, app, &part)).await?;
        body.map_or(Ok(Memory::default()), |body| serde_json::from_str(&body).map_err(|e| StoreError::Unreadable(e.to_string())))
    }

    async fn remember(&self, part: &str, memory: &Memory) -> Result<()> {
        let body = serde_json::to_string(memory).map_err(|e| StoreError::Unreadable(e.to_string()))?;
        let (app, part, blank) = (self.app.id(), part.to_owned(), is_blank(memory));
        let write = move |conn: &mut crate::store::Conn| provisioned::put(conn, app, &part, (!blank).then_some(body.as_str()));
        self.db.write(Durability::Full, write).await
    }

    async fn left(&self) -> Result<Option<i64>> {
        Ok(self.gateway.line(self.app.id()).await?.left(self.clock.now()))
    }
}
