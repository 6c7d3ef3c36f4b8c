//! What every test stands on: a [`House`] is a server's components on a database of its own, with the flower shop declared in it and a
//! clock that the test moves.

pub mod client;

use std::sync::Arc;

use hookflash::app::Hookflash;
use hookflash::auth::{self, Principal, Role};
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::declare;
use hookflash::domain::spec::Application;
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::ingest::{self, Accepted};
use hookflash::pbx::Raw;
use hookflash::store::roster::{Origin, bump_revision};
use hookflash::store::{Conn, Durability, Url, tokens};
use secrecy::ExposeSecret;

/// The application that [`House`] has.
pub const SHOP: i64 = 807;
/// When every house opens: 2025-12-29T09:20:00Z.
pub const OPENING: Timestamp = Timestamp(1_767_000_000_000_000);
/// The administrator's token of every house.
pub const ADMIN: &str = "the-admin-token";

pub struct House {
    pub app: Arc<Hookflash>,
    // Dropped after the components: the database's files, or the database.
    _place: Place,
}

enum Place {
    Folder { _dir: tempfile::TempDir },
    Postgres { server: String, name: String },
}

/// Runs a test in a house on SQLite, and in one on PostgreSQL when there is a server for it.
pub async fn on_both(test: impl AsyncFn(&House)) {
    eprintln!("on SQLite:");
    test(&House::on_sqlite().await).await;
    if let Ok(server) = std::env::var("HOOKFLASH_TEST_POSTGRES") {
        eprintln!("on PostgreSQL:");
        test(&House::on_postgres(&server).await).await;
    }
}

impl House {
    pub async fn on_sqlite() -> House {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", dir.path().join("hookflash.db").display());
        House::open(url, Place::Folder { _dir: dir }).await
    }

    /// `server`: the URL of any database of the server; a new one is made beside it.
    pub async fn on_postgres(server: &str) -> House {
        let name = format!("it_{}", uuid::Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)).simple());
        admin(server, &format!("CREATE DATABASE {name}")).expect("a database");
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        House::open(format!("{base}/{name}"), Place::Postgres { server: server.to_owned(), name }).await
    }

    async fn open(url: String, place: Place) -> House {
        let mut settings = Settings::default();
        settings.database.url = DatabaseUrl::new(url);
        settings.auth.admin_token = Some(ADMIN.into());
        settings.secrets.key = Some("00".repeat(32).into());
        let app = Hookflash::open(settings, Clock::manual(OPENING)).await.expect("the components");
        let house = House { app, _place: place };
        house.declare(include_str!("flower_shop.toml")).await;
        house
    }

    /// Declares an application that is new, as `hookflash apply` would.
    pub async fn declare(&self, application: &str) {
        let spec: Application = toml::from_str(application).expect("an application");
        let write = move |conn: &mut Conn| Ok(declare::store(conn, None, &spec, Origin::Apply, OPENING).expect("a valid application"));
        self.app.db.write(Durability::Process, write).await.expect("written");
        self.app.roster.refresh().await.expect("read again");
    }

    /// A token of a role; one of an agent names him.
    pub async fn token(&self, role: Role, application: Option<i64>, agent: Option<&str>) -> String {
        let principal = Principal { name: role.to_string(), role, application, agent: agent.map(str::to_owned) };
        let issued = auth::issue(&principal, self.app.clock.now());
        let write = move |conn: &mut Conn| tokens::insert(conn, &issued.token).and_then(|()| bump_revision(conn));
        self.app.db.write(Durability::Process, write).await.expect("written");
        self.app.roster.refresh().await.expect("read again");
        issued.secret.expose_secret().to_owned()
    }

    /// Has the shop's PBX send an event: the form as it writes it.
    pub async fn event(&self, form: &str) -> Accepted {
        let shop = self.app.roster.app(SHOP).expect("the shop");
        let raw = Raw { hook: "event", query: "", content_type: "application/x-www-form-urlencoded", body: form.as_bytes() };
        ingest::accept(&self.app.db, &shop, raw, &self.app.clock).await.expect("stored")
    }

    pub fn pass_s(&self, seconds: i64) {
        self.app.clock.advance(seconds * 1_000_000);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Place::Postgres { server, name } = self
            && let Err(e) = admin(server, &format!("DROP DATABASE {name} WITH (FORCE)"))
        {
            eprintln!("{name} is left behind: {e}");
        }
    }
}

fn admin(server: &str, sql: &str) -> hookflash::store::Result<()> {
    Conn::open(&Url::Postgres(server.to_owned()))?.execute(sql)
}
