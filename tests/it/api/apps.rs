//! Applications, and their health.

use hookflash::auth::Role;
use hookflash::declare::seal;
use hookflash::domain::spec::PbxKind;
use hookflash::store::{Conn, Durability, contacts, roster};
use serde_json::{Value, json};

use super::shop;
use crate::support::{House, SHOP, on_both};

fn second() -> Value {
    json!({
        "name": "Second shop", "pbx": "telphin", "login": "TLP2", "country": "RU", "key": "hook-word",
        "telphin": {"client_prefix": "0048", "client_id": "literal-id", "client_secret": "literal-secret"}
    })
}

#[actix_web::test]
async fn an_application_is_declared_read_and_changed() {
    on_both(async |house| {
        let client = house.client().await;
        let made = client.put("/api/v1/apps/900", second()).await;
        assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/apps/900")));
        let read = client.get("/api/v1/apps/900").await.ok();
        assert_eq!(read, made.body);
        assert_eq!(
            (read["id"].clone(), read["timezone"].clone(), read["routing"]["cool_down_s"]["busy"].clone()),
            (json!(900), json!("UTC"), json!(10))
        );
        let changed = Value::Object(
            second()
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone()))
                .chain([("name".into(), json!("Renamed"))])
                .collect(),
        );
        let reply = client.put("/api/v1/apps/900", changed).await;
        assert_eq!((reply.status, reply.body["name"].as_str()), (200, Some("Renamed")));
        let (all, pages) = client.every("/api/v1/apps", 1).await;
        assert_eq!((all.iter().map(|a| a["id"].clone()).collect::<Vec<_>>(), pages), (vec![json!(807), json!(900)], 2));
    })
    .await;
}

#[actix_web::test]
async fn secrets_are_sealed_kept_and_never_shown() {
    on_both(async |house| {
        let client = house.client().await;
        let made = client.put("/api/v1/apps/900", second()).await.ok();
        for shown in [made.clone(), client.get("/api/v1/apps/900").await.ok(), client.get("/api/v1/apps").await.ok()] {
            let text = shown.to_string();
            assert!(!["hook-word", "literal-", "sealed:", "env:"].iter().any(|s| text.contains(s)), "{text}");
        }
        assert_eq!((made["key"].clone(), made["telphin"]["client_secret"].clone()), (Value::Null, Value::Null));
        let stored = |house: &House| {
            let app = house.hookflash.roster.app(900).expect("the application");
            (app.spec.key.clone(), app.spec.telphin.clone())
        };
        let before = stored(house);
        assert!(before.0.as_deref().is_some_and(|key| key.starts_with("sealed:")), "{before:?}");
        // What was read can be put back: null keeps a secret, and so does leaving it out.
        client.put("/api/v1/apps/900", made).await.ok();
        assert_eq!(stored(house), before);
        let mut without = second();
        without.as_object_mut().expect("an object").remove("key");
        client.put("/api/v1/apps/900", without).await.ok();
        assert_eq!(stored(house).0, before.0);
        let mut emptied = second();
        emptied["key"] = json!("");
        client.put("/api/v1/apps/900", emptied).await.ok();
        assert_eq!(stored(house).0, None);
    })
    .await;
}

#[actix_web::test]
async fn a_change_leaves_the_lists_alone() {
    on_both(async |house| {
        let client = house.client().await;
        let shop_now = client.get(&shop("")).await.ok();
        client.put(&shop(""), shop_now.clone()).await.ok();
        assert_eq!(client.get(&shop("")).await.ok(), shop_now);
        assert_eq!(client.every(&shop("/agents"), 500).await.0.len(), 2);
        let mut dangling = shop_now;
        dangling["routing"]["responsible"] = json!(["group:none"]);
        assert_eq!(client.put(&shop(""), dangling).await.refused(422), ["routing.responsible[0]"]);
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_application_is_named() {
    on_both(async |house| {
        let client = house.client().await;
        let cases: [(&str, Value, &str); 16] = [
            ("/id", json!(901), "id"),
            ("/pbx", json!("phone"), "pbx"),
            ("/pbx", json!("exotel"), "pbx"),
            ("/login", json!("a/b"), "login"),
            ("/name", json!(""), "name"),
            ("/country", json!("Russia"), "country"),
            ("/timezone", json!("Moscow"), "timezone"),
            ("/allow_ips", json!(["10.0.0.0/33"]), "allow_ips[0]"),
            ("/allowed_origins", json!(["crm.example.com"]), "allowed_origins[0]"),
            ("/routing", json!({"wrap_up_s": 3601}), "routing.wrap_up_s"),
            ("/routing", json!({"cool_down_s": {"busy": -1}}), "routing.cool_down_s.busy"),
            ("/routing", json!({"fall_back": "101"}), "routing.fall_back"),
            ("/telphin", json!({"client_prefix": "0048", "client_id": 7}), "telphin.client_id"),
            ("/telphin", json!({"client_prefix": "0048", "secret": "x"}), "telphin.secret"),
            ("/agent", json!([]), "agent"),
            ("/colour", json!("red"), "colour"),
        ];
        for (pointer, value, field) in cases {
            let mut body = second();
            body[&pointer[1..]] = value;
            assert_eq!(client.put("/api/v1/apps/900", body.clone()).await.refused(422), [field], "{body}");
        }
        client.get("/api/v1/apps/900").await.refused(404);
    })
    .await;
}

#[actix_web::test]
async fn the_country_stays_while_there_are_contacts() {
    on_both(async |house| {
        let client = house.client().await;
        client.post(&shop("/contacts"), json!({"phones": ["+79990001122"]})).await.ok();
        let mut moved = client.get(&shop("")).await.ok();
        moved["country"] = json!("VN");
        assert_eq!(client.put(&shop(""), moved).await.refused(422), ["country"]);
    })
    .await;
}

#[actix_web::test]
async fn an_application_goes_with_all_that_is_its_own_and_nothing_else() {
    on_both(async |house| {
        let client = house.client().await;
        client.put("/api/v1/apps/900", second()).await.ok();
        for app in [807, 900] {
            client.post(&format!("/api/v1/apps/{app}/contacts"), json!({"phones": ["+79990001122"]})).await.ok();
        }
        house
            .event(
                "EventType=dial-in&EventTime=1767000000000000&CallID=c1&SubCallID=s1&CalledExtension=0047*101&CallerIDNum=%2B79990001122",
            )
            .await;
        let refused = client.delete(&shop("")).await;
        let detail = refused.body["detail"].as_str().unwrap_or_default().to_owned();
        refused.refused(409);
        assert!(["agent ann", "its contacts", "its calls"].iter().all(|who| detail.contains(who)), "{detail}");
        assert_eq!(client.delete(&shop("?force=true")).await.status, 204);
        client.get(&shop("")).await.refused(404);
        client.delete(&shop("?force=true")).await.refused(404);
        assert_eq!(client.every("/api/v1/apps/900/contacts", 500).await.0.len(), 1);
        // The same number again is a new application: nothing of the old one comes back.
        let mut again = second();
        again["login"] = json!("TLP55522");
        client.put(&shop(""), again).await.ok();
        for list in ["/agents", "/contacts", "/calls", "/legs", "/groups"] {
            assert_eq!(client.every(&shop(list), 500).await.0, Vec::<Value>::new(), "{list}");
        }
        let left = house.hookflash.db.read(|conn| contacts::responsible(conn, 807, "+79990001122")).await.expect("read");
        assert_eq!(left, None);
    })
    .await;
}

#[actix_web::test]
async fn health_tells_what_could_not_be_read_and_what_cannot_be_used() {
    on_both(async |house| {
        let client = house.client().await;
        assert_eq!(client.get(&shop("/health")).await.ok(), json!({"status": "ok", "findings": []}));
        house.event("EventType=dial-in&EventTime=1").await;
        let health = client.get(&shop("/health")).await.ok();
        assert_eq!((health["status"].as_str(), health["findings"][0]["what"].as_str()), (Some("warning"), Some("events")));
        assert!(health["findings"][0]["detail"].as_str().is_some_and(|d| d.contains("CallID is missing")), "{health}");
        house.pass_s(25 * 3600);
        assert_eq!(client.get(&shop("/health")).await.ok()["status"], "ok", "a day later it is history");

        let mut keyed = second();
        keyed["key"] = json!("env:HOOKFLASH_TEST_NO_SUCH_VARIABLE");
        client.put("/api/v1/apps/900", keyed).await.ok();
        let health = client.get("/api/v1/apps/900/health").await.ok();
        assert_eq!((health["status"].as_str(), health["findings"][0]["what"].as_str()), (Some("failing"), Some("declaration")));
    })
    .await;
}

#[actix_web::test]
async fn an_application_that_cannot_be_used_says_why_and_can_be_mended() {
    on_both(async |house| {
        let client = house.client().await;
        let good = client.get(&shop("")).await.ok();
        let mut spec = house.hookflash.roster.app(807).expect("the shop").spec.clone();
        spec.pbx = PbxKind::Exotel;
        let spoil = move |conn: &mut Conn| roster::put_application(conn, &spec).and_then(|()| roster::bump_revision(conn));
        house.hookflash.db.write(Durability::Process, spoil).await.expect("written");
        house.hookflash.roster.refresh().await.expect("read again");
        client.get(&shop("/agents")).await.refused(409);
        let health = client.get(&shop("/health")).await.ok();
        assert!(health["findings"][0]["detail"].as_str().is_some_and(|d| d.contains("exotel")), "{health}");
        client.put(&shop(""), good.clone()).await.ok();
        assert_eq!(client.get(&shop("")).await.ok(), good);
    })
    .await;
}

#[actix_web::test]
async fn who_administers_one_application_cannot_read_the_servers_files_and_variables() {
    on_both(async |house| {
        let bound = house.client().await.with(&house.token(Role::Admin, Some(SHOP), None).await);
        let given = |secret: &str| {
            let mut spec = house.app().spec.clone();
            spec.telphin.as_mut().unwrap()["client_secret"] = json!(secret);
            seal::shown(&spec).map(|mut shown| {
                shown["telphin"]["client_secret"] = json!(secret);
                shown
            })
        };
        for reference in ["file:hookflash.db.key", "env:HOME"] {
            let refused = bound.put(&shop(""), given(reference).unwrap()).await.refused(422);
            assert!(refused.iter().any(|field| field.contains("telphin.client_secret")), "{refused:?}");
        }
        bound.put(&shop(""), given("a literal").unwrap()).await.ok();
        let everybodys = house.client().await;
        everybodys.put(&shop(""), given("env:HOME").unwrap()).await.ok();
        // What is there already stays: it was not he who said it.
        bound.put(&shop(""), given("env:HOME").unwrap()).await.ok();
    })
    .await;
}
