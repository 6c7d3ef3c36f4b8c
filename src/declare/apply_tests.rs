use secrecy::SecretString;
use tempfile::TempDir;

use super::super::file::parse;
use super::*;
use crate::domain::agent::ManualStatus;
use crate::domain::spec::Contact;
use crate::roster::secret_context;
use crate::store::{self, Durability, agents};

const NOW: Timestamp = Timestamp(1_767_000_000_000_000);
const HEAD: &str = "[[application]]\nid = 807\nname = \"Shop\"\npbx = \"telphin\"\nlogin = \"L\"\ncountry = \"RU\"\n\
                    [application.telphin]\nclient_prefix = \"0047\"\n";
const ANN: &str = "[[application.agent]]\nid = \"ann\"\nname = \"Ann\"\nextension = \"101\"\n";
const BOB: &str = "[[application.agent]]\nid = \"bob\"\nname = \"Bob\"\nextension = \"102\"\n";
const CLIENT: &str = "[[application.contact]]\nname = \"One\"\nphones = [\"+79990001122\"]\nowner = \"ann\"\n";

struct House {
    _dir: TempDir,
    db: Db,
    vault: Arc<Vault>,
    clock: Clock,
}

impl House {
    fn new() -> House {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        let db = Db::open(&store::Options { url, pool_size: 2 }).unwrap();
        let vault = Arc::new(Vault::open("sqlite://:memory:", None).unwrap());
        House { _dir: dir, db, vault, clock: Clock::manual(NOW) }
    }

    fn with(&self, text: &str, options: Options) -> Result<Vec<String>, Vec<String>> {
        let declared = parse("shop.toml".into(), text.into()).unwrap();
        match apply(&self.db, &self.vault, &self.clock, declared, options) {
            Ok(changes) => Ok(changes.iter().map(|c| format!("{} {} {}", c.difference.verb, c.difference.what, c.difference.id)).collect()),
            Err(ApplyError::Invalid(mistakes)) => Err(mistakes.iter().map(ToString::to_string).collect()),
            Err(ApplyError::Store(e)) => panic!("{e}"),
        }
    }

    fn apply(&self, text: &str) -> Result<Vec<String>, Vec<String>> {
        self.with(text, Options::default())
    }

    fn prune(&self, text: &str) -> Result<Vec<String>, Vec<String>> {
        self.with(text, Options { prune: true, dry_run: false })
    }

    fn stored(&self) -> (Application, Vec<Item>) {
        self.db.read_blocking(|conn| roster::lock(conn, 807)).unwrap().unwrap()
    }

    fn revision(&self) -> i64 {
        self.db.read_blocking(roster::current_revision).unwrap()
    }

    fn by_rest(&self, edit: impl Fn(&mut Application) + Send + 'static) {
        let write = move |conn: &mut Conn| {
            let edited = super::super::write(conn, 807, Origin::Rest, NOW, |app, _| {
                edit(app);
                Ok(())
            });
            edited.map_err(|e| StoreError::Refused(e.to_string()))
        };
        self.db.write_blocking(Durability::Process, write).unwrap();
    }
}

#[test]
fn the_second_time_changes_nothing() {
    let house = House::new();
    let text = [HEAD, ANN, BOB, CLIENT].concat();
    assert_eq!(house.apply(&text).unwrap(), ["added application 807", "added agent ann", "added agent bob", "added contact +79990001122"]);
    let revision = house.revision();
    assert_eq!(house.apply(&text).unwrap(), [""; 0]);
    assert_eq!(house.prune(&text).unwrap(), [""; 0]);
    assert_eq!(house.revision(), revision);
    let changed = text.replace("\"Ann\"", "\"Ann Lee\"").replace("One", "Two");
    assert_eq!(house.apply(&changed).unwrap(), ["changed agent ann", "changed contact +79990001122"]);
    assert_eq!(house.revision(), revision + 1);
}

#[test]
fn a_dry_run_tells_the_same_and_writes_nothing() {
    let house = House::new();
    let dry = Options { prune: false, dry_run: true };
    let text = [HEAD, ANN, CLIENT].concat();
    let told = house.with(&text, dry).unwrap();
    assert_eq!(house.revision(), 0);
    assert!(house.db.read_blocking(|conn| roster::lock(conn, 807)).unwrap().is_none());
    assert_eq!(house.apply(&text).unwrap(), told);
}

#[test]
fn one_mistake_keeps_everything_out() {
    let house = House::new();
    let other = HEAD.replace("807", "808");
    let text =
        [HEAD, ANN, &other, ANN, &BOB.replace("102", "101"), "[[application.group]]\nid = \"g\"\nname = \"G\"\nagents = [\"eve\"]\n"]
            .concat();
    assert_eq!(
        house.apply(&text).unwrap_err(),
        [
            "shop.toml:28: application[1].agent[1].extension: agent \"ann\" has extension 101 already",
            "shop.toml:32: application[1].group[0].agents[0]: there is no agent \"eve\"; declare it first",
        ]
    );
    assert_eq!(house.revision(), 0);
}

#[test]
fn manual_status_is_applied_when_the_agent_is_made_and_never_again() {
    let house = House::new();
    let away = format!("{HEAD}{ANN}manual_status = \"OFFLINE\"\n");
    house.apply(&away).unwrap();
    let status = || house.db.read_blocking(|conn| agents::get(conn, 807, "ann")).unwrap().unwrap().manual_status;
    assert_eq!(status(), ManualStatus::Offline);
    assert_eq!(house.apply(&[HEAD, ANN].concat()).unwrap(), [""; 0]);
    assert_eq!(status(), ManualStatus::Offline);
}

#[test]
fn prune_removes_what_a_file_made_and_nothing_else() {
    let house = House::new();
    let group = "[[application.group]]\nid = \"sales\"\nname = \"Sales\"\nagents = [\"bob\"]\n";
    house.apply(&[HEAD, ANN, BOB, group, CLIENT].concat()).unwrap();
    house.by_rest(|app| {
        let eve = crate::domain::spec::Agent { id: "eve".into(), extension: Some("103".into()), ..app.agent[0].clone() };
        app.agent.push(eve);
    });
    let second = Contact { phones: vec!["+79990001133".into()], ..Contact::default() };
    house.db.write_blocking(Durability::Process, move |conn| contacts::put(conn, 807, None, &second, Origin::Rest, NOW)).unwrap();

    assert_eq!(house.apply(&[HEAD, ANN].concat()).unwrap(), [""; 0], "without --prune everything stays");
    assert_eq!(house.prune(&[HEAD, ANN].concat()).unwrap(), ["removed agent bob", "removed group sales", "removed contact +79990001122"]);
    assert_eq!(house.stored().0.agent.iter().map(|a| a.id.as_str()).collect::<Vec<_>>(), ["ann", "eve"]);
    assert!(house.db.read_blocking(|conn| agents::get(conn, 807, "bob")).unwrap().is_none());
    let left = house.db.read_blocking(|conn| contacts::list(conn, 807, None, None, 10)).unwrap();
    assert_eq!(left.iter().map(|(_, c)| c.phones[0].as_str()).collect::<Vec<_>>(), ["+79990001133"]);
}

#[test]
fn prune_leaves_no_reference_dangling() {
    let house = House::new();
    house.apply(&[HEAD, ANN, BOB].concat()).unwrap();
    house
        .by_rest(|app| app.group.push(crate::domain::spec::Group { id: "sales".into(), name: "Sales".into(), agents: vec!["bob".into()] }));
    let told = house.prune(&[HEAD, ANN].concat()).unwrap_err();
    assert_eq!(
        told,
        ["shop.toml:1: application[0].group \"sales\".agents[0]: there is no agent \"bob\"; declare it first \
          (it is stored and not in the file: declare it, or remove it; --prune removes what apply made)"]
    );
    house.by_rest(|app| app.group.clear());
    let his = Contact { phones: vec!["+79990001133".into()], owner: Some("bob".into()), ..Contact::default() };
    house.db.write_blocking(Durability::Process, move |conn| contacts::put(conn, 807, None, &his, Origin::Import, NOW)).unwrap();
    let told = house.prune(&[HEAD, ANN].concat()).unwrap_err();
    assert!(told[0].starts_with("shop.toml:1: application[0].agent \"bob\": cannot be removed: contact "), "{told:?}");
    assert_eq!(house.stored().0.agent.len(), 2);
}

#[test]
fn secrets_are_stored_as_references_or_sealed_and_compared_by_what_they_say() {
    let house = House::new();
    let text = format!("{HEAD}client_id = \"env:ID\"\nclient_secret = \"hunter2\"\n").replace("country", "key = \"open sesame\"\ncountry");
    house.apply(&text).unwrap();
    let (stored, _) = house.stored();
    let telphin = stored.telphin.unwrap();
    assert_eq!(telphin["client_id"], "env:ID");
    let sealed = telphin["client_secret"].as_str().unwrap();
    assert!(sealed.starts_with("sealed:") && stored.key.as_deref().is_some_and(|key| key.starts_with("sealed:")));
    use secrecy::ExposeSecret as _;
    let opened: SecretString = house.vault.reveal(&secret_context(807, "telphin.client_secret"), sealed).unwrap();
    assert_eq!(opened.expose_secret(), "hunter2");
    assert_eq!(house.apply(&text).unwrap(), [""; 0]);
    assert_eq!(house.apply(&text.replace("hunter2", "hunter3")).unwrap(), ["changed application 807"]);
    assert_eq!(house.apply(HEAD).unwrap(), ["changed application 807"]);
    let (without, _) = house.stored();
    assert_eq!((without.key, without.telphin), (None, Some(serde_json::json!({ "client_prefix": "0047" }))));
}

#[test]
fn a_literal_secret_without_a_key_is_told_where_it_stands() {
    let house = House { vault: Arc::new(Vault::open("postgres://h/d", None).unwrap()), ..House::new() };
    let text = format!("{HEAD}client_id = \"env:ID\"\nclient_secret = \"hunter2\"\n");
    let told = house.apply(&text).unwrap_err();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("shop.toml:10: application[0].telphin.client_secret: a literal secret cannot be stored"), "{told:?}");
    assert!(house.apply(&text.replace("hunter2", "file:/run/secret")).is_ok());
}

#[test]
fn a_phone_of_another_contact_and_a_changed_country_are_told() {
    let house = House::new();
    house.apply(&[HEAD, ANN, CLIENT].concat()).unwrap();
    let second = CLIENT.replace("phones", "external_id = \"7\"\nphones");
    let told = house.apply(&[HEAD, ANN, &second].concat()).unwrap_err();
    assert!(told[0].starts_with("shop.toml:16: application[0].contact[0].phones: phone +79990001122 belongs to contact "), "{told:?}");
    assert_eq!(house.prune(&[HEAD, ANN, &second].concat()).unwrap(), ["removed contact +79990001122", "added contact 7"]);
    let told = house.apply(&[&HEAD.replace("RU", "VN"), ANN].concat()).unwrap_err();
    assert!(told[0].starts_with("shop.toml:6: application[0].country: cannot change while"), "{told:?}");
}
