use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::time::Timestamp;
use crate::secrets::Vault;
use crate::store::Options;

const APP: &str = "[[application]]\nid = 807\nname = \"Shop\"\npbx = \"telphin\"\nlogin = \"L\"\ncountry = \"RU\"\n\
                   [application.telphin]\nclient_prefix = \"0047\"\n[[application.agent]]\nid = \"ann\"\nname = \"Ann\"\n";

struct House {
    _dir: TempDir,
    db: Db,
    clock: Clock,
}

#[derive(Default)]
struct Told(Vec<String>);

impl Watcher for Told {
    fn refused(&mut self, line: u64, reason: &str) {
        self.0.push(format!("{line}: {reason}"));
    }

    fn done(&mut self, _: u64) {}
}

impl House {
    fn new() -> House {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        let db = Db::open(&Options { url, pool_size: 2 }).unwrap();
        let clock = Clock::manual(Timestamp(1_767_000_000_000_000));
        let vault = Arc::new(Vault::open("sqlite://:memory:", None).unwrap());
        let declared = super::super::file::parse("a".into(), APP.into()).unwrap();
        super::super::apply::apply(&db, &vault, &clock, declared, Default::default()).unwrap();
        House { _dir: dir, db, clock }
    }

    fn run(&self, table: &[u8], dry_run: bool) -> Result<(Counts, Vec<String>), String> {
        let mut told = Told::default();
        let counts = import(&self.db, &self.clock, 807, table, dry_run, &mut told).map_err(|e| e.to_string())?;
        Ok((counts, told.0))
    }

    fn contacts(&self) -> Vec<Contact> {
        self.db.read_blocking(|conn| contacts::list(conn, 807, None, None, 100_000)).unwrap().into_iter().map(|(_, c)| c).collect()
    }
}

fn counts(added: u64, changed: u64, unchanged: u64, refused: u64) -> Counts {
    Counts { added, changed, unchanged, refused }
}

#[test]
fn rows_become_contacts_in_any_order_of_columns_with_or_without_a_mark() {
    let house = House::new();
    let table = "Phones,external_id,name,owner\n+79990001122; 8 (916) 123-45-67;,42,\"Client, One\",ann\n+79990001133,,Two,\n";
    let marked = [b"\xef\xbb\xbf", table.as_bytes()].concat();
    assert_eq!(house.run(&marked, false), Ok((counts(2, 0, 0, 0), vec![])));
    let first = Contact {
        name: "Client, One".into(),
        phones: vec!["+79990001122".into(), "+79161234567".into()],
        owner: Some("ann".into()),
        deputy: None,
        external_id: Some("42".into()),
    };
    assert_eq!(house.contacts()[0], first);
    assert_eq!(house.run(table.as_bytes(), false), Ok((counts(0, 0, 2, 0), vec![])));
    assert_eq!(house.run(table.replace("Two", "Three").as_bytes(), true), Ok((counts(0, 1, 1, 0), vec![])));
    assert_eq!(house.contacts()[1].name, "Two");
}

#[test]
fn every_refused_row_is_told_with_its_line_and_the_others_are_imported() {
    let house = House::new();
    let table = b"name,phones,owner\nA,+79990001101,ann\nB,101,ann\nC,+79990001103,eve\nD,+79990001101;+79990001104\n\
        \"E\nE\",+79990001101;+79990001105,\nF,+79990001106;+79990001101,\nG,,\n\xffH,+79990001107,\n\nI,+79990001108,ann\n";
    let (done, told) = house.run(table, false).unwrap();
    assert_eq!(done, counts(2, 1, 0, 6));
    let owner = house.db.read_blocking(|conn| contacts::responsible(conn, 807, "+79990001101")).unwrap().unwrap().contact;
    assert_eq!(
        told,
        [
            "5: has 2 fields, the header has 3; put a field that holds commas in quotes".into(),
            "3: phones[0]: \"101\" is not a number of the form +79990001122".into(),
            "4: owner: there is no agent \"eve\"; declare it first".into(),
            "10: name: is not UTF-8; save the file as UTF-8".into(),
            format!("8: phone +79990001101 belongs to contact {owner}; a phone belongs to one contact"),
            "9: phones: a contact needs at least one phone, or an external_id".into(),
        ]
    );
    assert_eq!(house.contacts().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["E\nE", "I"]);
}

#[test]
fn a_dry_run_sees_clashes_across_batches_and_writes_nothing() {
    let house = House::new();
    let rows = (0..3 * BATCH).map(|i| format!("N{i},+7999{:07}\n", i)).collect::<String>();
    let table = format!("name,phones\n{rows}Last,+79991111111;+79990000007\n");
    let (dry, told) = house.run(table.as_bytes(), true).unwrap();
    assert_eq!(dry, counts(3 * BATCH as u64, 0, 0, 1));
    assert_eq!(told.len(), 1);
    assert_eq!(house.contacts(), []);
    let (done, told) = house.run(table.as_bytes(), false).unwrap();
    assert_eq!((done, told.len(), house.contacts().len()), (dry, 1, 3 * BATCH));
}

#[test]
fn a_table_that_cannot_be_read_says_why() {
    let house = House::new();
    let told = |table: &str| house.run(table.as_bytes(), false).unwrap_err();
    assert_eq!(
        told("name,phone\n"),
        "line 1: column \"phone\" is unknown; the nearest known one is phones, and all are name,phones,owner,deputy,external_id"
    );
    assert_eq!(told("name,name,phones\n"), "line 1: column \"name\" is there twice; keep one of the two");
    assert_eq!(
        told("name,owner\n"),
        "line 1: names neither phones nor external_id; begin the file with name,phones,owner,deputy,external_id"
    );
    assert_eq!(told(""), "line 1: names neither phones nor external_id; begin the file with name,phones,owner,deputy,external_id");
    let open = format!("name,phones\nA,+79990001101\n\"B,+79990001102\n{}", "C,+79990001103\n".repeat(100_000));
    assert_eq!(told(&open), "line 3: cannot be read: a row of more than 1 MiB; close the quote that begins in this row or before it");
    let unknown = import(&house.db, &house.clock, 5, &b"phones\n"[..], false, &mut Told::default()).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no application 5; declare it with `hookflash apply`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_bytes_are_imported_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), headed in any::<bool>()) {
        let house = House::new();
        let table = if headed { [b"name,phones,owner\n", bytes.as_slice()].concat() } else { bytes };
        let _ = house.run(&table, false);
    }

    #[test]
    fn every_row_is_counted_once(rows in prop::collection::vec("[a-z\"]{0,3},\\+7999000000[0-9](;\\+7999000001[0-9])?(,(ann|eve)?)?", 0..30)) {
        let house = House::new();
        let table = format!("name,phones,owner\n{}\n", rows.join("\n"));
        let (done, told) = house.run(table.as_bytes(), false).unwrap();
        prop_assert_eq!(done.refused, told.len() as u64);
        let quoted = rows.iter().any(|r| r.contains('"'));
        prop_assert!(quoted || done.added + done.changed + done.unchanged + done.refused == rows.len() as u64);
        prop_assert!(house.contacts().len() as u64 <= done.added);
    }
}
