//! What every test stands on: a [`House`] is a server's components on a fresh database of either kind, with a sample application declared
//! in it and a clock that the test moves.

pub mod client;
pub mod hooks;
pub mod killed;
pub mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hookflash::app::Hookflash;
use hookflash::auth::{self, Principal, Role};
use hookflash::config::{DatabaseUrl, Settings};
use hookflash::declare::{self, seal};
use hookflash::domain::agent::AgentState;
use hookflash::domain::spec::Application;
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::ingest::{self, Accepted, replay};
use hookflash::lookup::{self, Answer, Mode};
use hookflash::pbx::{HookKind, Raw, RoutingRequest};
use hookflash::roster::App;
use hookflash::store::roster::{Origin, bump_revision};
use hookflash::store::{Conn, Durability, StoreError, Url, agents, contacts, tokens};
use secrecy::ExposeSecret;

/// The application that every house has.
pub const SHOP: i64 = 807;
/// When every house opens: 2025-12-29T09:20:00Z.
pub const START: Timestamp = Timestamp(1_767_000_000_000_000);
/// The administrator's token of every house.
pub const ADMIN: &str = "the-admin-token";

/// Both databases run the same tests. PostgreSQL is where `HOOKFLASH_TEST_POSTGRES` points; `make test` starts one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

pub struct House {
    pub hookflash: Arc<Hookflash>,
    pub clock: Clock,
    // Dropped after the components: the database's files, or the database.
    _place: Place,
}

enum Place {
    Folder { _dir: tempfile::TempDir },
    Postgres { server: String, name: String },
}

/// Waits until something holds that others bring about; a minute without it is a failure.
#[track_caller]
pub fn eventually(mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..6_000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("it never came to hold at {caller}");
    }
}

/// A replay of the journal agrees with every stored call.
pub async fn no_differences(house: &House) {
    let (db, app) = (house.hookflash.db.clone(), house.app());
    let report = tokio::task::spawn_blocking(move || replay::run(&db, &app, Timestamp(0), false, |_, _| {})).await.unwrap().unwrap();
    assert_eq!(report.differences, vec![], "a replay of {} calls", report.calls);
    assert_eq!(report.skipped, 0);
}

/// Runs a test in a house with the flower shop on SQLite, and in one on PostgreSQL.
pub async fn on_both(test: impl AsyncFn(&House)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}:");
        test(&House::shop(backend).await).await;
    }
}

impl House {
    /// With the flower shop: two agents, groups, a queue, numbers with tags.
    pub async fn shop(backend: Backend) -> House {
        House::furnished(backend, Clock::manual(START), |_| {}, toml::from_str(include_str!("flower_shop.toml")).expect("TOML")).await
    }

    /// With three agents on 101 to 103, IVR 099, queue 200 and one contact, whose owner is Ann and whose deputy is Bob.
    pub async fn open(backend: Backend) -> House {
        House::open_with(backend, |_| {}, |_| {}).await
    }

    pub async fn open_with(backend: Backend, settings: impl FnOnce(&mut Settings), edit: impl FnOnce(&mut Application)) -> House {
        let mut app = application();
        edit(&mut app);
        House::furnished(backend, Clock::manual(START), settings, app).await
    }

    /// To be served: its timers run, and so does its clock.
    pub async fn live(backend: Backend, settings: impl FnOnce(&mut Settings), edit: impl FnOnce(&mut Application)) -> House {
        let mut app = application();
        edit(&mut app);
        House::furnished(backend, Clock::system(), settings, app).await
    }

    async fn furnished(backend: Backend, clock: Clock, edit: impl FnOnce(&mut Settings), app: Application) -> House {
        let (url, place) = fresh_database(backend);
        let mut settings = Settings::default();
        settings.database.url = DatabaseUrl::new(url);
        settings.database.pool = 4;
        settings.auth.admin_token = Some(ADMIN.into());
        settings.secrets.key = Some("00".repeat(32).into());
        settings.outbound.allow_private = vec!["127.0.0.0/8".parse().expect("a network")];
        edit(&mut settings);
        let hookflash = Hookflash::open(settings, clock.clone()).await.expect("the components");
        let house = House { hookflash, clock, _place: place };
        house.declare_application(app).await;
        house
    }

    /// Declares an application that is new, as `hookflash apply` would.
    pub async fn declare(&self, application: &str) {
        self.declare_application(toml::from_str(application).expect("an application")).await;
    }

    pub async fn declare_application(&self, mut app: Application) {
        seal::seal(&self.hookflash.vault, &mut app, None).expect("the secrets can be sealed");
        let now = self.clock.now();
        let write = move |conn: &mut Conn| {
            declare::store(conn, None, &app, Origin::Apply, now).map_err(|e| StoreError::Refused(format!("{e:?}")))?;
            for (n, contact) in app.contact.iter().enumerate() {
                contacts::put(conn, app.id, None, contact, Origin::Apply, now.plus_ms(n as i64))?;
            }
            Ok(())
        };
        self.hookflash.db.write(Durability::Full, write).await.expect("a valid application");
        self.hookflash.roster.refresh().await.expect("read again");
    }

    /// A token of a role; one of an agent names him.
    pub async fn token(&self, role: Role, application: Option<i64>, agent: Option<&str>) -> String {
        let principal = Principal { name: role.to_string(), role, application, agent: agent.map(str::to_owned) };
        let issued = auth::issue(&principal, self.clock.now());
        let write = move |conn: &mut Conn| tokens::insert(conn, &issued.token).and_then(|()| bump_revision(conn));
        self.hookflash.db.write(Durability::Process, write).await.expect("written");
        self.hookflash.roster.refresh().await.expect("read again");
        issued.secret.expose_secret().to_owned()
    }

    pub fn app(&self) -> Arc<App> {
        self.hookflash.roster.app(SHOP).expect("the shop")
    }

    /// Reads, on a thread where waiting is allowed.
    pub async fn read<T: Send + 'static>(&self, query: impl FnOnce(&mut Conn) -> hookflash::store::Result<T> + Send + 'static) -> T {
        self.hookflash.db.read(query).await.expect("read")
    }

    /// Has the PBX send an event: the form as it writes it, past the HTTP.
    pub async fn event(&self, form: &str) -> Accepted {
        let raw = Raw { hook: "event", query: "", content_type: "application/x-www-form-urlencoded", body: form.as_bytes() };
        ingest::accept(&self.hookflash.db, &self.app(), raw, HookKind::Event, &self.clock).await.expect("stored").accepted
    }

    /// Who is named for a call from this number.
    pub async fn lookup(&self, call: Option<&str>, caller: &str) -> Answer {
        let request = RoutingRequest { call: call.map(str::to_owned), caller: caller.to_owned(), ..RoutingRequest::default() };
        let mode = Mode::Live { claim_s: 20 };
        lookup::decide(&self.hookflash.db, &self.clock, &self.app(), &request, mode).await.expect("decided")
    }

    pub async fn state(&self, agent: &str) -> AgentState {
        let agent = agent.to_owned();
        self.read(move |conn| agents::get(conn, SHOP, &agent)).await.expect("an agent")
    }

    pub fn pass_s(&self, seconds: i64) {
        self.clock.advance(seconds * 1_000_000);
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

/// A database of its own for what opens one itself; gone with the second value.
pub fn database(backend: Backend) -> (String, impl Sized) {
    fresh_database(backend)
}

fn fresh_database(backend: Backend) -> (String, Place) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    match backend {
        Backend::Sqlite => {
            let dir = tempfile::tempdir().expect("a folder");
            (format!("sqlite://{}", dir.path().join("hookflash.db").display()), Place::Folder { _dir: dir })
        }
        Backend::Postgres => {
            let server = std::env::var("HOOKFLASH_TEST_POSTGRES")
                .expect("HOOKFLASH_TEST_POSTGRES must point at a PostgreSQL for tests; `make test` starts one");
            let name = format!("it_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
            admin(&server, &format!("CREATE DATABASE {name}")).expect("a database");
            let (base, _) = server.rsplit_once('/').expect("a URL with a database");
            (format!("{base}/{name}"), Place::Postgres { server: server.clone(), name })
        }
    }
}

fn admin(server: &str, sql: &str) -> hookflash::store::Result<()> {
    Conn::open(&Url::Postgres(server.to_owned()))?.execute(sql)
}

/// The sample application's settings for a simulated PBX.
pub fn at_pbx(app: &mut Application, url: &str) {
    let telphin = app.telphin.as_mut().expect("a Telphin");
    telphin["api_url"] = url.into();
    (telphin["client_id"], telphin["client_secret"]) = ("app".into(), "secret".into());
}

fn application() -> Application {
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
