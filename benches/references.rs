//! The bare references: what nobody can leave out, and nothing else.
//!
//! Of a lookup: HTTP and a small JSON answer. Of an event: HTTP, reading the form, one writer that commits what waits together
//! (SQLite, WAL, `synchronous=FULL`), and the answer after the commit. Both have as many workers as the server.

use std::path::Path;

use actix_web::rt::System;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use hookflash::config::Settings;
use tokio::sync::{mpsc, oneshot};

/// Jobs that share one commit at the most, as in the server.
const BATCH: usize = 256;

pub fn hello(port: u16) -> anyhow::Result<()> {
    let app = || App::new().default_service(web::to(|| async { HttpResponse::Ok().json(serde_json::json!({"hello": "world"})) }));
    let server = HttpServer::new(app).workers(Settings::default().server.worker_threads()).bind(("127.0.0.1", port))?;
    Ok(System::new().block_on(server.run())?)
}

diesel::table! {
    events (id) {
        id -> BigInt,
        call_id -> Text,
        raw -> Binary,
    }
}

struct Event {
    call_id: String,
    raw: Bytes,
    done: oneshot::Sender<()>,
}

pub fn ingest(port: u16, database: &Path) -> anyhow::Result<()> {
    let mut conn = SqliteConnection::establish(&database.to_string_lossy())?;
    conn.batch_execute(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
         CREATE TABLE events (id INTEGER PRIMARY KEY, call_id TEXT NOT NULL, raw BLOB NOT NULL)",
    )?;
    let (queue, events) = mpsc::channel(4096);
    std::thread::spawn(move || write(conn, events));
    let queue = Data::new(queue);
    let app = move || App::new().app_data(queue.clone()).route("/readyz", web::get().to(HttpResponse::Ok)).default_service(web::to(accept));
    let server = HttpServer::new(app).workers(Settings::default().server.worker_threads()).bind(("127.0.0.1", port))?;
    Ok(System::new().block_on(server.run())?)
}

async fn accept(raw: Bytes, queue: Data<mpsc::Sender<Event>>) -> HttpResponse {
    let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&raw).unwrap_or_default();
    let Some((_, call_id)) = fields.into_iter().find(|(name, _)| name == "CallID") else {
        return HttpResponse::BadRequest().finish();
    };
    let (done, stored) = oneshot::channel();
    if queue.send(Event { call_id, raw, done }).await.is_err() || stored.await.is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Ok().body("OK")
}

fn write(mut conn: SqliteConnection, mut queue: mpsc::Receiver<Event>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let stored = conn.immediate_transaction(|conn| {
            for event in &batch {
                let row = (events::call_id.eq(&event.call_id), events::raw.eq(&event.raw[..]));
                diesel::insert_into(events::table).values(row).execute(conn)?;
            }
            diesel::QueryResult::Ok(())
        });
        // Without a commit nobody is answered: dropping the events tells each that it failed.
        let stored = stored.is_ok();
        for event in batch.drain(..).filter(|_| stored) {
            let _ = event.done.send(());
        }
    }
}
