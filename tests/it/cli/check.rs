use super::*;
use hookflash::domain::agent::ManualStatus;
use hookflash::domain::spec::{Agent, Contact};
use hookflash::domain::time::Timestamp;
use hookflash::store::roster::{Item, Kind, Origin};
use hookflash::store::{Durability, contacts, roster};

const ORDER: &str = "settings, database, secrets and applications are in order\n";

#[test]
fn a_sound_installation_has_no_findings() {
    for mut house in House::each() {
        assert_eq!(house.run(&["check"]).ok(), ORDER);
        house.write("shop.toml", SAMPLE);
        house.run(&["apply", "shop.toml"]).ok();
        let run = house.run(&["check"]);
        assert_eq!((run.status, run.err.as_str()), (1, ""));
        assert_eq!(
            run.out,
            "application 807: telphin.client_id: env:TELPHIN_ID: the variable is not set; set it for this process too, or declare it anew\n\
             application 807: telphin.client_secret: env:TELPHIN_SECRET: the variable is not set; set it for this process too, or declare it anew\n\
             2 findings\n"
        );
        house.set("TELPHIN_ID", "id");
        house.set("TELPHIN_SECRET", "secret");
        assert_eq!(house.run(&["check"]).ok(), ORDER);
    }
}

#[test]
fn what_is_broken_is_found_with_its_place() {
    for mut house in House::each() {
        house.set("TELPHIN_ID", "id");
        house.set("TELPHIN_SECRET", "secret");
        house.set("HOOKFLASH__SERVER__TLS_CERT", "none.pem");
        house.set("HOOKFLASH__SERVER__TLS_KEY", "none.pem");
        house.write("shop.toml", SAMPLE);
        house.run(&["apply", "shop.toml"]).ok();
        let break_it = |conn: &mut hookflash::store::Conn| {
            let mut app = roster::applications(conn)?.remove(0);
            app.crm.connector = "vendor".into();
            roster::put_application(conn, &app)?;
            roster::delete_item(conn, 807, Kind::Agent, "bob")?;
            let ann = Agent {
                id: "ann".into(),
                name: "Ann".into(),
                extension: Some("1o1".into()),
                phone_number: None,
                routing_type: 1,
                manual_status: ManualStatus::Available,
                skills: vec![],
                weight: 1,
                crm_user: None,
            };
            let body = serde_json::to_string(&ann).unwrap();
            roster::put_item(conn, 807, &Item { kind: Kind::Agent, id: "ann".into(), body, origin: Origin::Rest })?;
            let contact = Contact { phones: vec!["+79990003301".into()], owner: Some("bob".into()), ..Contact::default() };
            contacts::put(conn, 807, None, &contact, Origin::Rest, Timestamp(1))
        };
        house.db().write_blocking(Durability::Full, break_it).unwrap();
        let run = house.run(&["check"]);
        assert_eq!((run.status, run.err.as_str()), (1, ""));
        let lines: Vec<&str> = run.out.lines().collect();
        assert_eq!(lines.len(), 6, "{}", run.out);
        assert!(lines[0].starts_with("settings: server.tls_cert: cannot be read: "), "{}", lines[0]);
        assert!(lines[1].starts_with("settings: server.tls_key: cannot be read: "), "{}", lines[1]);
        assert!(lines[2].starts_with("application 807: agent \"ann\".extension: \"1o1\" is no extension"), "{}", lines[2]);
        assert!(lines[4].starts_with("application 807: contact: there is no agent \"bob\", whom a contact names"), "{}", lines[4]);
        assert!(lines[3].starts_with("application 807: crm.connector: there is no connector \"vendor\""), "{}", lines[3]);
        assert_eq!(lines[5], "5 findings");
    }
}

#[test]
fn what_is_allowed_and_hardly_meant_is_a_finding_with_its_mend() {
    for house in House::each() {
        house.write(
            "shop.toml",
            r#"
            [[application]]
            id = 808
            name = "Flower shop by post"
            pbx = "asterisk"
            login = "pbx1"
            agent = [{ id = "ann", name = "Ann Lee", extension = "101" }]
            group = [{ id = "sales", name = "Sales", agents = ["ann"] }]
            queue = [{ id = "main", name = "Main", primary_groups = ["sales"] }, { id = "late", name = "Late", maximum_queue_wait_time = 0 }]
            number = [{ number = "+74955550100", queue = "main" }, { number = "+74955550200" }]
            ivr_tree = [{ id = "menu", tree_name = "Menu" }]
            "#,
        );
        house.run(&["apply", "shop.toml"]).ok();
        let run = house.run(&["check"]);
        assert_eq!((run.status, run.err.as_str()), (1, ""));
        assert_eq!(
            run.out,
            "application 808: ivr_tree \"menu\": has no node: nobody can be led to it; declare a node of it, or remove it\n\
             application 808: queue \"late\": has no agents, and lets its callers wait without end; give it a group, or a maximum_queue_wait_time\n\
             application 808: number \"+74955550200\": leads nowhere here: its calls take the PBX's own route; give it a queue, an ivr_menu with enable_ivr, or responsible\n\
             3 findings\n"
        );
    }
}

#[test]
fn a_certificate_that_is_none_is_a_finding() {
    let mut house = House::sqlite();
    house.write("cert.pem", "not a certificate\n");
    let path = house.dir.path().join("cert.pem").display().to_string();
    house.set("HOOKFLASH__SERVER__TLS_CERT", &path);
    house.set("HOOKFLASH__SERVER__TLS_KEY", &path);
    let run = house.run(&["check"]);
    assert_eq!(run.status, 1);
    assert!(run.out.starts_with(&format!("settings: server.tls_cert: {path} holds no certificate; name ")), "{}", run.out);
}

#[test]
fn a_database_that_cannot_be_had_and_a_bad_key_are_findings() {
    let mut house = House::sqlite();
    house.set("HOOKFLASH__SECRETS__KEY", "short");
    let run = house.run(&["check"]);
    assert!(run.status == 1 && run.out.starts_with("settings: secrets.key: "), "{run:?}");
    let mut house = House::sqlite();
    house.set("HOOKFLASH__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none");
    let run = house.run(&["check"]);
    assert!(run.status == 1 && run.out.starts_with("database: database.url: "), "{run:?}");
    assert_eq!(run.out.lines().count(), 2, "{run:?}");
}
