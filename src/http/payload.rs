//! The body of a hook's request: bounded in size and in time, and whatever came of it is kept.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt;

/// Larger bodies are no events.
const MOST_BYTES: usize = 1 << 20;

/// Why a body is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    Broken,
    Slow,
}

impl Fault {
    pub fn reason(self) -> &'static str {
        match self {
            Fault::TooLarge => "the body is larger than 1 MiB",
            Fault::Broken => "the body broke off",
            Fault::Slow => "the body did not come in time",
        }
    }

    /// What an event hook answers.
    pub fn status(self) -> StatusCode {
        match self {
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Broken | Fault::Slow => StatusCode::BAD_REQUEST,
        }
    }
}

/// A body as far as it came.
pub struct Received {
    pub body: Bytes,
    pub fault: Option<Fault>,
}

/// Reads a body, for as long as `patience`.
pub async fn receive(mut payload: Payload, patience: Duration) -> Received {
    let mut parts = Parts::default();
    let fault = match tokio::time::timeout(patience, parts.read(&mut payload)).await {
        Ok(result) => result.err(),
        Err(_) => Some(Fault::Slow),
    };
    Received { body: parts.join(), fault }
}

/// Nearly every body is one chunk, which is then not copied.
#[derive(Default)]
struct Parts {
    first: Bytes,
    rest: Vec<u8>,
}

impl Parts {
    async fn read(&mut self, payload: &mut Payload) -> Result<(), Fault> {
        while let Some(chunk) = payload.next().await {
            let mut chunk = chunk.map_err(|_| Fault::Broken)?;
            let room = MOST_BYTES - self.first.len() - self.rest.len();
            let fits = chunk.len() <= room;
            chunk.truncate(room);
            match self.first.is_empty() {
                true => self.first = chunk,
                false => self.rest.extend_from_slice(&chunk),
            }
            if !fits {
                return Err(Fault::TooLarge);
            }
        }
        Ok(())
    }

    fn join(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { [&self.first[..], &self.rest].concat().into() }
    }
}
