//! What every integration test needs: a fresh database of either kind with the sample application in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::Connection;
use diesel::connection::SimpleConnection;
use hookflash::app::Hookflash;
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::declare;
use hookflash::domain::spec::Application;
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::store::roster::Origin;
use hookflash::store::{Durability, StoreError};

/// Both databases run the same tests. PostgreSQL is where `HOOKFLASH_TEST_POSTGRES` points; `make test` starts one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A server's components on a database of their own, with a clock that the test moves.
pub struct House {
    pub hookflash: Arc<Hookflash>,
    pub clock: Clock,
    _folder: tempfile::TempDir,
    postgres: Option<(String, String)>,
}

pub const START: Timestamp = Timestamp(1_767_000_000_000_000);

impl House {
    /// Application 807 with three agents on 101 to 103, IVR 099 and queue 200.
    pub async fn open(backend: Backend) -> House {
        House::open_with(backend, |_| {}, |_| {}).await
    }

    pub async fn open_with(backend: Backend, settings: impl FnOnce(&mut Settings), edit: impl FnOnce(&mut Application)) -> House {
        let folder = tempfile::tempdir().unwrap();
        let (url, postgres) = match backend {
            Backend::Sqlite => (format!("sqlite://{}", folder.path().join("test.db").display()), None),
            Backend::Postgres => {
                let (url, name) = fresh_postgres();
                (url, Some(name))
            }
        };
        let mut chosen = Settings::default();
        chosen.database.url = DatabaseUrl::new(url);
        chosen.database.pool = 4;
        chosen.secrets.key = Some("11".repeat(32).into());
        chosen.outbound.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        settings(&mut chosen);
        let clock = Clock::manual(START);
        let hookflash = Hookflash::open(chosen, clock.clone()).await.unwrap();
        let house = House { hookflash, clock, _folder: folder, postgres };
        let mut app = application();
        edit(&mut app);
        house.declare(app).await;
        house
    }

    /// Declares an application as `apply` would.
    pub async fn declare(&self, app: Application) {
        let now = self.clock.now();
        let write = move |conn: &mut hookflash::store::Conn| {
            declare::store(conn, None, &app, Origin::Apply, now).map_err(|e| StoreError::Refused(format!("{e:?}")))?;
            for (n, contact) in app.contact.iter().enumerate() {
                hookflash::store::contacts::put(conn, app.id, None, contact, Origin::Apply, now.plus_ms(n as i64))?;
            }
            Ok(())
        };
        self.hookflash.db.write(Durability::Full, write).await.unwrap();
        self.hookflash.roster.refresh().await.unwrap();
    }

    pub fn app(&self) -> Arc<hookflash::roster::App> {
        self.hookflash.roster.app(807).unwrap()
    }

    /// Reads, on a thread where waiting is allowed.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut hookflash::store::Conn) -> hookflash::store::Result<T> + Send + 'static,
    ) -> T {
        self.hookflash.db.read(query).await.unwrap()
    }

    /// One delivery to the event hook, past the HTTP.
    pub async fn event(&self, form: &str) -> hookflash::ingest::Accepted {
        let raw =
            hookflash::pbx::Raw { hook: "event", query: "", content_type: "application/x-www-form-urlencoded", body: form.as_bytes() };
        let kind = hookflash::pbx::HookKind::Event;
        hookflash::ingest::accept(&self.hookflash.db, &self.app(), raw, kind, &self.clock).await.unwrap().accepted
    }

    /// Who is named for a call from this number.
    pub async fn lookup(&self, call: Option<&str>, caller: &str) -> hookflash::lookup::Answer {
        let request = hookflash::pbx::RoutingRequest { call: call.map(str::to_owned), caller: caller.to_owned(), ..Default::default() };
        let mode = hookflash::lookup::Mode::Live { claim_s: 20 };
        hookflash::lookup::decide(&self.hookflash.db, &self.clock, &self.app(), &request, mode).await.unwrap()
    }

    pub async fn state(&self, agent: &str) -> hookflash::domain::agent::AgentState {
        let agent = agent.to_owned();
        self.read(move |conn| hookflash::store::agents::get(conn, 807, &agent)).await.unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.postgres {
            // Connections of the pool may linger for a moment: FORCE ends them.
            if let Ok(mut conn) = diesel::PgConnection::establish(server) {
                let _ = conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            }
        }
    }
}

/// A new database on the tests' PostgreSQL: its URL, and what is needed to drop it.
fn fresh_postgres() -> (String, (String, String)) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("HOOKFLASH_TEST_POSTGRES")
        .expect("HOOKFLASH_TEST_POSTGRES must point at a PostgreSQL for tests; `make test` starts one");
    let name = format!("hookflash_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    let mut conn = diesel::PgConnection::establish(&server).expect("the tests' PostgreSQL answers");
    conn.batch_execute(&format!("CREATE DATABASE {name}")).expect("a database can be made");
    let (base, _) = server.rsplit_once('/').expect("the URL ends with a database");
    (format!("{base}/{name}"), (server.clone(), name))
}

/// The sample application.
pub fn application() -> Application {
    let text = r#"
        id = 807
        name = "Flower shop"
        pbx = "telphin"
        login = "TLP55522"
        country = "RU"
        timezone = "Europe/Moscow"
        agent = [
            { id = "ann", name = "Ann Lee", extension = "101" },
            { id = "bob", name = "Bob Ray", extension = "102" },
            { id = "eve", name = "Eve Fox", extension = "103" },
        ]
        extension = [ { number = "099", type = "ivr" }, { number = "200", type = "queue" }, { number = "300", type = "fax" } ]
        group = [ { id = "sales", name = "Sales", agents = ["ann", "bob", "eve"] } ]
        contact = [ { name = "Client One", phones = ["+79995550101"], owner = "ann", deputy = "bob" } ]
        [telphin]
        client_prefix = "0047"
        [routing]
        responsible = ["owner", "deputy", "last_agent", "group:sales"]
    "#;
    toml::from_str(text).expect("the sample application is TOML")
}
