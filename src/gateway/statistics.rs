//! Statistics (call history, CDR, lists of recordings): the PBX answers one such request of a client at a time (Telphin page, section 9.3).
//!
//! In this process they queue; among nodes the turn is a row that is taken before the request and given back after it, and that ends by
//! itself when its holder dies. Somebody else's program may still be asking: then the PBX says so, and we ask again, later and later.

use std::time::Duration;

use super::{Gateway, GatewayError};
use crate::domain::id;
use crate::net::{Request, Response};
use crate::roster::App;
use crate::store::{Durability, lines};

/// How long somebody waits for his turn, and for those who ask beside us.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether the turn is free.
const LOOK: Duration = Duration::from_millis(200);
/// The longest pause before the PBX is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

impl Gateway {
    /// Sends a request for statistics, a GET, when it is its turn.
    ///
    /// # Errors
    /// As [`Gateway::send`]; [`GatewayError::Busy`] when the turn did not come within a minute.
    pub async fn statistics(&self, app: &App, request: Request) -> Result<Response, GatewayError> {
        let queue = self.queue_of(app.id());
        let patience = async {
            let _here = queue.lock().await;
            let me = id::fresh(self.clock.now());
            self.take_turn(app, &me).await;
            let reply = self.ask_until_free(app, request).await;
            let (id, who) = (app.id(), me);
            if let Err(error) = self.db.write(Durability::Process, move |conn| lines::end_turn(conn, id, &who)).await {
                tracing::warn!(app = id, %error, "the turn for statistics ends by itself");
            }
            reply
        };
        match tokio::time::timeout(PATIENCE, patience).await {
            Ok(reply) => reply,
            Err(_) => Err(GatewayError::Busy("another request for statistics is being answered".into())),
        }
    }

    /// Returns when the turn is ours. Without a database there is nobody to wait for.
    async fn take_turn(&self, app: &App, me: &str) {
        loop {
            let (id, who, clock) = (app.id(), me.to_owned(), self.clock.clone());
            let until = move |now: crate::domain::time::Timestamp| now.plus(PATIENCE);
            let taken = self.db.write(Durability::Process, move |conn| {
                let now = clock.now();
                lines::take_turn(conn, id, &who, now, until(now))
            });
            match taken.await {
                Ok(true) => return,
                Ok(false) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::warn!(app = id, %error, "the turn for statistics cannot be kept");
                    return;
                }
            }
        }
    }

    async fn ask_until_free(&self, app: &App, request: Request) -> Result<Response, GatewayError> {
        let mut pause = LOOK;
        loop {
            match self.send(app, request.clone()).await {
                Err(GatewayError::Busy(_)) => tokio::time::sleep(pause).await,
                reply => return reply,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
