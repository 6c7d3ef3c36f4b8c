//! Offers that no leg followed end with their time, and their agents are free again.

use std::sync::Arc;

use crate::app::Hookflash;
use crate::domain::agent::OfferState;
use crate::store::{Durability, Result, agents, live, offers};

const AT_ONCE: i64 = 200;

pub async fn sweep(server: &Arc<Hookflash>) -> Result<()> {
    let now = server.clock.now();
    let due = server.db.read(move |conn| offers::expired(conn, now, AT_ONCE)).await?;
    if due.is_empty() {
        return Ok(());
    }
    let clock = server.clock.clone();
    server
        .db
        .write(Durability::Process, move |conn| {
            let now = clock.now();
            for offer in &due {
                // A phone that is rung for this call is not waited for: its leg ends the offer.
                let legs = live::calls_of(conn, offer.application, &offer.extension)?;
                if legs.iter().any(|l| l.call_id == offer.call_id) {
                    continue;
                }
                if offers::set_state(conn, offer, OfferState::Rescinded, Some(now))? {
                    agents::release(conn, offer.application, &offer.agent, &offer.call_id, now)?;
                }
            }
            Ok(())
        })
        .await
}
