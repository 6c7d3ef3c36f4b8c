use super::*;
use hookflash::store::contacts;

fn house_with_sample() -> Vec<House> {
    let houses = House::each();
    for house in &houses {
        house.write("shop.toml", SAMPLE);
        house.run(&["apply", "shop.toml"]).ok();
    }
    houses
}

#[test]
fn good_rows_are_imported_and_bad_ones_listed() {
    for house in house_with_sample() {
        house.write(
            "c.csv",
            "phones,name,owner\n+79990002201;8 (999) 000-22-02,Two,ann\n101,Bad,\n+79990002203,Three,eve\n+79990002204,Four,bob\n",
        );
        let run = house.run(&["import", "contacts", "c.csv", "--app", "807"]);
        assert_eq!(run.status, 1);
        assert_eq!(run.out, "2 added, 0 changed, 0 unchanged, 2 refused\n");
        assert_eq!(
            run.err,
            "c.csv:3: phones[0]: \"101\" is not a number of the form +79990001122\nc.csv:4: owner: there is no agent \"eve\"; declare it first\n"
        );
        let found = house.db().read_blocking(|conn| contacts::responsible(conn, 807, "+79990002202")).unwrap().unwrap();
        assert_eq!(found.owner.as_deref(), Some("ann"));
        // What a file declares is not what a table brought: neither prunes the other.
        assert_eq!(house.run(&["apply", "shop.toml", "--prune"]).ok(), "nothing changed\n");
    }
}

#[test]
fn many_batches_and_again() {
    for house in house_with_sample() {
        let rows: String = (0..4_500).map(|i| format!("Client {i},+7998{i:07},ann,bob,{i}\n")).collect();
        house.write("c.csv", format!("\u{feff}name,phones,owner,deputy,external_id\n{rows}"));
        let args = ["import", "contacts", "c.csv", "--app", "807"];
        let dry = house.run(&["import", "contacts", "--dry-run", "c.csv", "--app", "807"]).ok();
        assert_eq!(dry, "4500 added, 0 changed, 0 unchanged, 0 refused; nothing was written\n");
        assert_eq!(house.run(&args).ok(), "4500 added, 0 changed, 0 unchanged, 0 refused\n");
        assert_eq!(house.run(&args).ok(), "0 added, 0 changed, 4500 unchanged, 0 refused\n");
        house.write("c.csv", format!("name,phones,external_id\n{}", "New,+79980000007,7\n"));
        assert_eq!(house.run(&args).ok(), "0 added, 1 changed, 0 unchanged, 0 refused\n");
    }
}

#[test]
fn what_cannot_be_imported_says_why() {
    let house = House::sqlite();
    house.write("c.csv", "name,phone\n");
    let told = house.run(&["import", "contacts", "none.csv", "--app", "807"]).failed(1);
    assert!(told.starts_with("none.csv: cannot be read: "), "{told}");
    let told = house.run(&["import", "contacts", "c.csv", "--app", "807"]).failed(1);
    assert_eq!(told, "there is no application 807; declare it with `hookflash apply`\n");
    house.write("shop.toml", SAMPLE);
    house.run(&["apply", "shop.toml"]).ok();
    let told = house.run(&["import", "contacts", "c.csv", "--app", "807"]).failed(1);
    assert!(told.starts_with("c.csv: line 1: column \"phone\" is unknown; the nearest known one is phones"), "{told}");
}
