//! Recordings: found, streamed, linked and deleted, without the PBX's credentials ever leaving the server.
//!
//! Where the provider has a storage server, its link is asked for at each play (its lifetime is unknown: Telphin page, section 8) and the
//! audio comes from there; otherwise the file is fetched with our token. An Asterisk's recordings are files on its web server. What is not
//! ready yet is a wait, not an error.

mod asterisk;
pub mod links;
pub mod range;
mod telphin;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::domain::id;
use crate::domain::time::{Clock, Timestamp};
use crate::gateway::{Gateway, GatewayError};
use crate::net::{NetError, Streaming};
use crate::pbx::Pbx;
use crate::roster::App;
use crate::store::calls::LegRow;
use crate::store::{Db, Durability, Result as StoreResult, StoreError, records};
use range::{Asked, Part};

/// A recording may come this long after its call's end, seconds (Telphin page, section 8, "Delay").
const READY_WITHIN_S: i64 = 600;
/// The PBX is asked for a recording that was not ready at most this often, seconds.
const ASK_EVERY_S: i64 = 5;
/// A file whose length the PBX does not tell is read whole, up to this size, when a part of it is wanted.
const WHOLE_MAX: usize = 64 << 20;
/// Recordings that one range deletion looks through at a time.
const LIST_AT_ONCE: i64 = 500;

pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, NetError>>>>;

/// Audio on its way.
pub struct Audio {
    pub content_type: String,
    /// The part that the body is; `None`: the whole.
    pub part: Option<Part>,
    /// Bytes of the body, where they are known.
    pub length: Option<u64>,
    pub body: Body,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("there is no such recording")]
    NotFound,
    /// Come again after this many seconds.
    #[error("the recording is not ready yet")]
    NotReady(i64),
    /// The part lies outside; the whole has this many bytes.
    #[error("the range lies outside the recording")]
    OutOfRange(u64),
    #[error("{0}")]
    Pbx(String),
    /// The application does not say how its PBX's recordings are reached.
    #[error("{0}")]
    NoWay(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<GatewayError> for RecordError {
    fn from(error: GatewayError) -> Self {
        RecordError::Pbx(error.to_string())
    }
}

/// Fetches recordings. Remembers which were not ready, so that impatient players do not use up the PBX's hourly limit.
#[derive(Clone)]
pub struct Recordings {
    db: Db,
    gateway: Gateway,
    clock: Clock,
    refused: Arc<Mutex<HashMap<(i64, String), Timestamp>>>,
}

impl Recordings {
    pub fn new(db: Db, gateway: Gateway, clock: Clock) -> Recordings {
        Recordings { db, gateway, clock, refused: Arc::default() }
    }

    /// Starts the audio of a recording, or of the part of it that was asked for.
    pub async fn open(&self, app: &App, record: &str, asked: Option<Asked>) -> Result<Audio, RecordError> {
        if !id::is_record(record) {
            return Err(RecordError::NotFound);
        }
        let (id, name) = (app.id(), record.to_owned());
        let (deleted, leg) =
            self.db.read(move |conn| Ok((records::is_deleted(conn, id, &name)?, records::leg_of(conn, id, &name)?))).await?;
        if deleted {
            return Err(RecordError::NotFound);
        }
        let now = self.clock.now();
        let key = (app.id(), record.to_owned());
        let last = lock(&self.refused).get(&key).copied();
        if let Some(wait) = last.map(|at| ASK_EVERY_S - now.since(at) / 1_000_000).filter(|wait| *wait > 0) {
            return Err(absent(leg.as_ref(), now, wait));
        }
        let Some(streaming) = self.fetch(app, record, asked).await? else {
            let mut refused = lock(&self.refused);
            refused.retain(|_, at| now.since(*at) < ASK_EVERY_S * 1_000_000);
            refused.insert(key, now);
            return Err(absent(leg.as_ref(), now, ASK_EVERY_S));
        };
        let mut audio = cut(streaming, asked).await?;
        if let Pbx::Asterisk(_) = app.pbx {
            audio.content_type = asterisk::content_type(record, &audio.content_type);
        }
        Ok(audio)
    }

    /// The audio from wherever it is; `None`: nowhere, or not yet.
    async fn fetch(&self, app: &App, record: &str, asked: Option<Asked>) -> Result<Option<Streaming>, RecordError> {
        match &app.pbx {
            Pbx::Telphin(settings) => telphin::fetch(&self.gateway, app, settings, record, asked).await,
            Pbx::Asterisk(settings) => asterisk::fetch(&self.gateway, app, settings, record, asked).await,
        }
    }

    /// Deletes one recording at the PBX; one that the PBX no longer has counts as deleted.
    pub async fn delete(&self, app: &App, record: &str) -> Result<(), RecordError> {
        if !id::is_record(record) {
            return Err(RecordError::NotFound);
        }
        let known = {
            let (id, name) = (app.id(), record.to_owned());
            self.db.read(move |conn| Ok(records::leg_of(conn, id, &name)?.is_some() && !records::is_deleted(conn, id, &name)?)).await?
        };
        let was_there = match &app.pbx {
            Pbx::Telphin(settings) => telphin::delete(&self.gateway, app, settings, record).await?,
            Pbx::Asterisk(settings) => asterisk::delete(&self.gateway, app, settings, record).await?,
        };
        if !was_there && !known {
            return Err(RecordError::NotFound);
        }
        self.forget(app.id(), vec![record.to_owned()]).await?;
        Ok(())
    }

    /// Deletes every known recording of a period, one by one, and says how many. What fails stays listed.
    pub async fn delete_range(&self, app: &App, filter: records::Filter) -> Result<(usize, Option<RecordError>), RecordError> {
        let mut deleted = 0;
        let mut filter = filter;
        loop {
            let (id, now_filter) = (app.id(), filter.clone());
            let rows = self.db.read(move |conn| records::list(conn, id, &now_filter, LIST_AT_ONCE)).await?;
            let Some(last) = rows.last() else { return Ok((deleted, None)) };
            filter.before = Some((last.logged_at.unwrap_or_default(), last.call_id.clone(), last.leg.clone()));
            for record in rows.iter().filter_map(|r| r.record_id.as_deref()) {
                match self.delete(app, record).await {
                    Ok(()) => deleted += 1,
                    Err(error) => return Ok((deleted, Some(error))),
                }
            }
        }
    }

    async fn forget(&self, app: i64, ids: Vec<String>) -> StoreResult<()> {
        let clock = self.clock.clone();
        self.db.write(Durability::Full, move |conn| records::mark_deleted(conn, app, &ids, clock.now())).await
    }
}

/// Not there: a wait while it may still come, else an error.
fn absent(leg: Option<&LegRow>, now: Timestamp, wait: i64) -> RecordError {
    let ended = leg.and_then(|l| l.logged_at).map(Timestamp);
    if ended.is_some_and(|at| now.since(at) < READY_WITHIN_S * 1_000_000) { RecordError::NotReady(wait) } else { RecordError::NotFound }
}

/// Gives what was asked for, whether the other side understood the range or not.
async fn cut(streaming: Streaming, asked: Option<Asked>) -> Result<Audio, RecordError> {
    let content_type = streaming.header("content-type").unwrap_or("audio/mpeg").to_owned();
    let length = streaming.header("content-length").and_then(|l| l.parse::<u64>().ok());
    let told = streaming.header("content-range").map(str::to_owned);
    let status = streaming.status;
    let whole = Box::pin(streaming.into_stream());
    let Some(asked) = asked else { return Ok(Audio { content_type, part: None, length, body: whole }) };
    if status == 416 {
        return Err(RecordError::OutOfRange(told.as_deref().and_then(Part::total_of).unwrap_or(0)));
    }
    if status == 206
        && let Some(part) = told.as_deref().and_then(Part::parse)
    {
        return Ok(Audio { content_type, length: Some(part.length()), part: Some(part), body: whole });
    }
    let (total, body): (u64, Body) = match length {
        Some(total) => (total, whole),
        None => {
            let bytes = collect(whole).await?;
            (bytes.len() as u64, Box::pin(futures_util::stream::once(async { Ok(bytes) })))
        }
    };
    let part = asked.of(total).ok_or(RecordError::OutOfRange(total))?;
    Ok(Audio { content_type, length: Some(part.length()), body: range::slice(body, part), part: Some(part) })
}

async fn collect(mut body: Body) -> Result<Bytes, RecordError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| RecordError::Pbx(e.to_string()))?;
        if all.len() + chunk.len() > WHOLE_MAX {
            return Err(RecordError::Pbx("the recording is too large to take a part of".into()));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
