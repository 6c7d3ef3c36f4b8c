//! Callbacks of which nothing is heard: a phone that nobody picked up sends no event, and an unclear reply may have meant no.

use std::sync::Arc;

use crate::app::Hookflash;
use crate::dial;
use crate::ingest::callback::ADOPT_S;
use crate::store::{Durability, Result, callbacks};

const AT_ONCE: i64 = 100;
/// A call that was heard of and then nothing more: its legs' watchdog is as patient.
const LOST_S: i64 = 4 * 3_600;

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let now = server.clock.now();
    let stale = server.db.read(move |conn| callbacks::stale(conn, now.plus_s(-ADOPT_S), AT_ONCE)).await?;
    for callback in stale {
        let silent = callback.status == "accepted";
        if !silent && now < crate::domain::time::Timestamp(callback.updated_at).plus_s(LOST_S) {
            continue;
        }
        let Some(app) = server.roster.app(callback.application) else { continue };
        let reason = match (silent, callback.unclear) {
            (true, true) => "the PBX gave no clear reply and no call followed",
            (true, false) => "no call followed; the source did not pick up",
            (false, _) => "the end of the call was never heard of",
        };
        let clock = server.clock.clone();
        server
            .db
            .write(Durability::Full, move |conn| {
                let now = clock.now();
                let (seen_at, mut callback) = (callback.updated_at, callback.clone());
                dial::fail(conn, &app, &mut callback, reason, now)?;
                callback.updated_at = now.0;
                callbacks::save(conn, &callback, seen_at)
            })
            .await?;
    }
    Ok(())
}
