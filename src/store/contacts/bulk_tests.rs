use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::on_backend;
use crate::store::contacts::{get, list, put, responsible};
use crate::store::{Db, Durability, Options};

const NOW: Timestamp = Timestamp(1_767_000_000_000_000);

fn open() -> (tempfile::TempDir, Db) {
    let dir = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", dir.path().join("test.db").display());
    (dir, Db::open(&Options { url, pool_size: 2 }).unwrap())
}

fn on(db: &Db, contacts: &[Contact]) -> Vec<std::result::Result<Put, String>> {
    let contacts = contacts.to_vec();
    db.write_blocking(Durability::Process, move |conn| put_many(conn, 807, &contacts, Origin::Import, NOW)).unwrap()
}

fn contact(id: Option<&str>, name: &str, phones: &[&str]) -> Contact {
    let phones = phones.iter().map(|p| format!("+7999555{p}")).collect();
    Contact { name: name.into(), phones, owner: Some("ann".into()), deputy: None, external_id: id.map(str::to_owned) }
}

fn all(db: &Db) -> BTreeMap<String, (String, Contact)> {
    let rows = db.read_blocking(|conn| list(conn, 807, None, None, 10_000)).unwrap();
    rows.into_iter().map(|(id, c)| (c.key(), (id, c))).collect()
}

#[test]
fn adds_changes_and_leaves_alone() {
    let (_dir, db) = open();
    let (a, b) = (contact(Some("1"), "A", &["0001", "0002"]), contact(None, "B", &["0003"]));
    assert_eq!(on(&db, &[a.clone(), b.clone()]), [Ok(Put::Added), Ok(Put::Added)]);
    assert_eq!(on(&db, &[a.clone(), b.clone()]), [Ok(Put::Unchanged), Ok(Put::Unchanged)]);
    let before = all(&db);
    let changed = contact(Some("1"), "A", &["0001", "0004"]);
    assert_eq!(on(&db, &[changed.clone(), b]), [Ok(Put::Changed), Ok(Put::Unchanged)]);
    assert_eq!(all(&db)["id:1"], (before["id:1"].0.clone(), changed));
    let owner = |phone: &str| db.read_blocking(|conn| responsible(conn, 807, phone)).unwrap().map(|r| r.contact);
    assert_eq!((owner("+79995550002"), owner("+79995550004")), (None, Some(before["id:1"].0.clone())));
}

#[test]
fn phones_change_hands_in_any_order() {
    let (_dir, db) = open();
    on(&db, &[contact(Some("1"), "A", &["0001"]), contact(Some("2"), "B", &["0002"])]);
    let swapped = [contact(Some("1"), "A", &["0002"]), contact(Some("2"), "B", &["0001"])];
    assert_eq!(on(&db, &swapped), [Ok(Put::Changed), Ok(Put::Changed)]);
    assert_eq!(on(&db, &swapped), [Ok(Put::Unchanged), Ok(Put::Unchanged)]);
}

#[test]
fn whoever_wants_a_phone_of_another_is_refused_and_keeps_what_he_had() {
    let (_dir, db) = open();
    on(&db, &[contact(Some("1"), "A", &["0001"]), contact(Some("2"), "B", &["0002"])]);
    let before = all(&db);
    // 3 wants the phone of 1, which 1 would give up, but 1 wants that of 2 and is refused: so is 3.
    let puts = on(&db, &[contact(Some("3"), "C", &["0001"]), contact(Some("1"), "A", &["0002"]), contact(Some("4"), "D", &["0009"])]);
    let one = &before["id:1"].0;
    let two = &before["id:2"].0;
    assert_eq!(
        puts,
        [
            Err(format!("phone +79995550001 belongs to contact {one}; a phone belongs to one contact")),
            Err(format!("phone +79995550002 belongs to contact {two}; a phone belongs to one contact")),
            Ok(Put::Added)
        ]
    );
    let mut after = all(&db);
    after.remove("id:4");
    assert_eq!(after, before);
    let twice = on(&db, &[contact(Some("5"), "E", &["0011"]), contact(Some("5"), "E", &["0012"]), contact(Some("6"), "F", &["0011"])]);
    assert_eq!(twice[1], Err("id:5 is given twice; give it once".into()));
    assert!(twice[0].is_ok() && twice[2].is_err(), "{twice:?}");
}

fn some_contact() -> impl Strategy<Value = Contact> {
    (prop::option::of("[1-6]"), "[AB]", prop::collection::vec("000[1-8]", 1..4)).prop_map(|(id, name, phones)| {
        let phones: Vec<&str> = phones.iter().map(String::as_str).collect();
        contact(id.as_deref(), &name, &phones)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes: a phone leads to the one contact that has it, and nothing else is in the table of phones.
    #[test]
    fn phones_and_contacts_agree(batches in prop::collection::vec(prop::collection::vec(some_contact(), 1..8), 1..6)) {
        let (_dir, db) = open();
        for batch in batches {
            let before = all(&db);
            let puts = on(&db, &batch);
            let after = all(&db);
            for (given, put) in batch.iter().zip(&puts) {
                match put {
                    Ok(_) => prop_assert_eq!(&after[&given.key()].1, given),
                    Err(reason) if reason.contains("twice") => {}
                    Err(_) => prop_assert_eq!(after.get(&given.key()), before.get(&given.key())),
                }
            }
            let mut phones = 0;
            for (id, stored) in after.values() {
                for phone in stored.phones.iter().collect::<std::collections::BTreeSet<_>>() {
                    let owner = db.read_blocking(|conn| responsible(conn, 807, phone)).unwrap();
                    prop_assert_eq!(owner.map(|r| r.contact), Some(id.clone()));
                    phones += 1;
                }
            }
            let rows: i64 = db.read_blocking(|conn| Ok(on_backend!(conn, |c| contact_phones::table.count().get_result(c))?)).unwrap();
            prop_assert_eq!(rows, phones);
        }
    }

    /// One at a time is the same as [`put`].
    #[test]
    fn a_batch_of_one_is_a_put(contacts in prop::collection::vec(some_contact(), 1..12)) {
        let ((_a, many), (_b, single)) = (open(), open());
        for contact in contacts {
            let by_many = on(&many, std::slice::from_ref(&contact)).remove(0);
            let by_one = single.write_blocking(Durability::Process, {
                let contact = contact.clone();
                move |conn| put(conn, 807, None, &contact, Origin::Import, NOW)
            });
            prop_assert_eq!(by_many.ok(), by_one.ok().map(|(put, _)| put));
        }
        let content = |db: &Db| all(db).into_iter().map(|(key, (id, c))| {
            let stored = db.read_blocking(|conn| get(conn, 807, &id)).unwrap().map(|(_, c)| c);
            (key, c, stored)
        }).collect::<Vec<_>>();
        prop_assert_eq!(content(&many), content(&single));
    }
}
