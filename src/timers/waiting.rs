//! Calls whose PBX has stopped asking: the caller is gone, and his place is free.

use std::sync::Arc;

use crate::app::Hookflash;
use crate::domain::time::Timestamp;
use crate::ingest;
use crate::store::{Durability, Result, offers, routed};

const AT_ONCE: i64 = 200;

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let now = server.clock.now();
    for call in server.db.read(move |conn| routed::silent(conn, now, AT_ONCE)).await? {
        let Some(app) = server.roster.app(call.application) else { continue };
        let clock = server.clock.clone();
        server
            .db
            .write(Durability::Full, move |conn| {
                let now = clock.now();
                offers::lock_call(conn, &call.call_id)?;
                // Asked about meanwhile, or told of: it lives.
                let row = routed::get(conn, app.id(), &call.call_id)?;
                if row.is_some_and(|r| r.ended_at.is_none() && Timestamp(r.silent_at) <= now) {
                    ingest::queue::silenced(conn, &app, &call.pbx_call_id, call.queue.as_deref().unwrap_or_default(), now)?;
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}
