//! A queued next status is applied when the work in hand is over, also when nothing but time ended it.

use std::sync::Arc;

use crate::app::Hookflash;
use crate::store::{Durability, Result, agents};

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let now = server.clock.now();
    let waiting = server.db.read(agents::with_next_status).await?;
    let due: Vec<_> = waiting.into_iter().filter(|(_, state)| !state.engaged(now) && state.wrap_until <= now).collect();
    if due.is_empty() {
        return Ok(());
    }
    let clock = server.clock.clone();
    server
        .db
        .write(Durability::Full, move |conn| {
            let now = clock.now();
            for (application, state) in &due {
                agents::apply_next(conn, *application, state, now)?;
            }
            Ok(())
        })
        .await
}
