//! A process that asks for decisions, each with its reservation and its row, as fast as it gets them.
//!
//! Nothing tells it of calls. So that agents come free again, its clock goes faster than the world's, from an instant that it shares with the
//! other processes: the 20 s of a claim pass in 50 ms.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use hookflash::app::Hookflash;
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::lookup::{self, Mode};
use hookflash::pbx::RoutingRequest;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::stage::{self, CLAIMING};

pub const CLAIM_S: i64 = 20;
const SPEED: i64 = 400;
const ASKERS: u64 = 32;

/// Asks from `begin` on for so long; how many of the decisions claimed an agent.
pub fn run(url: String, seed: u64, begin: Timestamp, lasts: Duration) -> anyhow::Result<u64> {
    let (world, clock) = (Clock::system(), Clock::manual(begin));
    let mut settings = Settings::default();
    settings.database.url = DatabaseUrl::new(url);
    settings.secrets.key = Some("00".repeat(32).into());
    tokio::runtime::Runtime::new()?.block_on(async {
        let hookflash = Hookflash::open(settings, clock.clone()).await?;
        let app = hookflash.roster.app(CLAIMING.application).context("the application")?;
        tokio::time::sleep(Duration::from_micros(begin.since(world.now()) as u64)).await;
        let started = Instant::now();
        let moving = Arc::new(Mutex::new(()));
        let asker = |k: u64| {
            let (db, world, clock, app, moving) = (hookflash.db.clone(), world.clone(), clock.clone(), app.clone(), moving.clone());
            tokio::spawn(async move {
                let mut random = SmallRng::seed_from_u64(seed << 32 | k);
                let mut claimed = 0u64;
                for n in 0u64.. {
                    if started.elapsed() >= lasts {
                        break;
                    }
                    if let Ok(_one) = moving.lock() {
                        let should_be = begin.0 + world.now().since(begin) * SPEED;
                        clock.advance((should_be - clock.now().0).max(0));
                    }
                    let caller = stage::phone(random.random_range(0..stage::AGENTS));
                    let request = RoutingRequest { call: Some(format!("{seed}x{k}x{n}")), caller, ..RoutingRequest::default() };
                    let answer = lookup::decide(&db, &clock, &app, &request, Mode::Live { claim_s: CLAIM_S }).await?;
                    claimed += u64::from(answer.claim.is_some());
                    db.decide_later(answer.decision.context("a decision")?, app.id());
                }
                Ok::<u64, anyhow::Error>(claimed)
            })
        };
        let askers: Vec<_> = (0..ASKERS).map(asker).collect();
        let mut claimed = 0;
        for asker in askers {
            claimed += asker.await??;
        }
        hookflash.db.flush().await;
        Ok(claimed)
    })
}
