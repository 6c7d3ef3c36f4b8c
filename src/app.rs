//! The server's components: each built once, handed to whoever needs it; there are no globals.

use std::sync::Arc;

use anyhow::Context as _;

use crate::config::Settings;
use crate::domain::time::Clock;
use crate::figures::Figures;
use crate::gateway::Gateway;
use crate::link::{Limits, Link};
use crate::live::Hub;
use crate::net::Http;
use crate::presence::Presence;
use crate::reconcile::Reconciler;
use crate::reconcile::schedule::Schedule;
use crate::records::Recordings;
use crate::records::links::Links;
use crate::roster::Roster;
use crate::secrets::Vault;
use crate::store::{Db, Options};

/// Everything that a request, a command or a background task works with. Share it in an [`Arc`].
pub struct Hookflash {
    pub settings: Settings,
    pub clock: Clock,
    pub db: Db,
    pub vault: Arc<Vault>,
    pub roster: Arc<Roster>,
    pub gateway: Gateway,
    pub link: Link,
    pub recordings: Recordings,
    pub links: Links,
    pub reconciler: Reconciler,
    pub schedule: Arc<Schedule>,
    pub presence: Presence,
    pub figures: Figures,
    pub live: Hub,
}

impl Hookflash {
    /// Opens the database (made and migrated when needed) and reads the roster.
    ///
    /// # Errors
    /// The database or the secrets' key cannot be had.
    pub async fn open(settings: Settings, clock: Clock) -> anyhow::Result<Arc<Hookflash>> {
        let options = Options { url: settings.database.url.as_str().to_owned(), pool_size: settings.database.pool };
        let db = Db::open(&options).context("opening the database")?;
        let vault = Arc::new(Vault::open(settings.database.url.as_str(), settings.secrets.key.as_ref()).context("opening the secrets")?);
        let roster = Arc::new(Roster::load(db.clone(), vault.clone()).await.context("reading the applications")?);
        let http = Http::new(settings.outbound.allow_private.clone(), settings.outbound.timeout());
        let link = Link::new(http.clone(), db.clone(), vault.clone(), clock.clone(), Limits::default());
        let gateway = Gateway::new(http, db.clone(), vault.clone(), clock.clone(), settings.outbound.timeout());
        let presence = Presence::new(db.clone(), gateway.clone(), clock.clone());
        let reconciler = Reconciler::new(db.clone(), gateway.clone(), clock.clone());
        let recordings = Recordings::new(db.clone(), gateway.clone(), clock.clone());
        let links = Links::open(db.clone(), clock.clone(), settings.records.link_days).await.context("the key of recordings' links")?;
        let figures = Figures::new(clock.now());
        Ok(Arc::new(Hookflash {
            settings,
            clock,
            db,
            vault,
            roster,
            gateway,
            link,
            recordings,
            links,
            reconciler,
            schedule: Arc::default(),
            presence,
            figures,
            live: Hub::default(),
        }))
    }
}
