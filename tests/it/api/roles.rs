//! The table of roles over HTTP: each route asked by each role, in its application and in another.

use actix_web::http::Method;
use hookflash::auth::Role;
use hookflash::store::callbacks::{self, Callback};
use hookflash::store::{Conn, Durability};
use serde_json::{Value, json};

use super::shop;
use crate::support::{House, SHOP, START, on_both};

/// Method, path, body, and who may: admin, supervisor, agent ann, integration.
fn table() -> Vec<(Method, String, Option<Value>, [bool; 4])> {
    const ALL: [bool; 4] = [true, true, true, true];
    const READERS: [bool; 4] = [true, true, false, false];
    const ADMIN: [bool; 4] = [true, false, false, false];
    const OWN: [bool; 4] = [true, true, true, false];
    const CALLS: [bool; 4] = [true, true, false, true];
    let get = |path: &str, who| (Method::GET, shop(path), None, who);
    let status = json!({"manual_status": "AVAILABLE"});
    let mut rows = vec![
        get("", READERS),
        get("/health", READERS),
        get("/agents", READERS),
        get("/agents/ann", OWN),
        get("/agents/bob", READERS),
        (Method::PUT, shop("/agents/ann/status"), Some(status.clone()), OWN),
        (Method::PUT, shop("/agents/bob/status"), Some(status), READERS),
        (Method::POST, shop("/agents/ann/wrap-up/done"), None, OWN),
        (Method::POST, shop("/agents/bob/wrap-up/done"), None, READERS),
        get("/calls", ALL),
        get("/calls?agent=ann", ALL),
        get("/calls?agent=bob", CALLS),
        get("/legs", ALL),
        get("/callbacks", ALL),
        get("/legs?agent=bob", CALLS),
        (Method::PUT, shop(""), Some(json!({})), ADMIN),
        (Method::GET, "/api/v1/tokens".into(), None, ADMIN),
        (Method::POST, "/api/v1/tokens".into(), Some(json!({"name": "x", "role": "supervisor", "app": 807})), ADMIN),
        (Method::DELETE, "/api/v1/tokens/none".into(), None, ADMIN),
        (Method::POST, shop("/contacts"), Some(json!({"phones": []})), ADMIN),
        (Method::PUT, shop("/contacts/none"), Some(json!({"phones": ["+79990001122"]})), ADMIN),
        (Method::DELETE, shop("/contacts/none"), None, ADMIN),
        get("/contacts", READERS),
        get("/contacts/none", READERS),
    ];
    for (list, key) in [("/agents", "none"), ("/groups", "none"), ("/queues", "none"), ("/numbers", "none"), ("/extensions", "none")] {
        rows.push((Method::POST, shop(list), Some(json!({})), ADMIN));
        rows.push((Method::PUT, shop(&format!("{list}/{key}")), Some(json!({"name": "x"})), ADMIN));
        rows.push((Method::DELETE, shop(&format!("{list}/{key}")), None, ADMIN));
        if list != "/agents" {
            rows.push(get(list, READERS));
            rows.push(get(&format!("{list}/{key}"), READERS));
        }
    }
    rows
}

async fn tokens(house: &House, application: i64) -> Vec<(Role, String)> {
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let agent = (*role == Role::Agent).then_some("ann");
        tokens.push((*role, house.token(*role, Some(application), agent).await));
    }
    tokens
}

#[actix_web::test]
async fn each_role_may_what_the_table_says() {
    on_both(async |house| {
        let client = house.client().await;
        house.declare("id = 808\nname = \"Other\"\npbx = \"telphin\"\nlogin = \"T2\"\n[telphin]\nclient_prefix = \"0048\"").await;
        let (own, others) = (tokens(house, SHOP).await, tokens(house, 808).await);
        for (method, path, body, who) in table() {
            let ask = async |token: &str| {
                let request = client.with(token).request(method.clone(), &path);
                client.send(if let Some(body) = &body { request.set_json(body) } else { request }).await.status
            };
            for ((role, token), allowed) in own.iter().zip(who) {
                let status = ask(token).await;
                assert_eq!(status != 403, allowed, "{role} {method} {path}: {status}");
                assert!(status != 401 && status < 500, "{role} {method} {path}: {status}");
            }
            if path.contains("/apps/") {
                for (role, token) in &others {
                    assert_eq!(ask(token).await, 403, "{role} of another application: {method} {path}");
                }
            }
        }
    })
    .await;
}

fn clicked(id: &str, extension: &str, at: i64) -> Callback {
    Callback {
        application: SHOP,
        id: id.into(),
        idempotency_key: None,
        request: "{}".into(),
        extension: extension.into(),
        src_num: extension.into(),
        dst_num: "+79995550103".into(),
        caller_id_name: None,
        caller_id_number: None,
        status: "done".into(),
        reason: None,
        unclear: false,
        finished: true,
        call_id: None,
        created_at: at,
        updated_at: at,
    }
}

#[actix_web::test]
async fn an_agent_sees_the_calls_that_he_has_placed_and_no_others() {
    on_both(async |house| {
        let client = house.client().await;
        let write = |conn: &mut Conn| {
            [("a1", "101"), ("b1", "102"), ("a2", "101")]
                .into_iter()
                .try_for_each(|(id, e)| callbacks::insert(conn, &clicked(id, e, START.0)))
        };
        house.hookflash.db.write(Durability::Process, write).await.expect("written");
        let ann = client.with(&house.token(Role::Agent, Some(SHOP), Some("ann")).await);
        let ids = |rows: &[Value]| rows.iter().map(|c| c["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>();
        let (own, pages) = ann.every(&shop("/callbacks"), 1).await;
        assert_eq!((ids(&own), pages), (vec!["a2".to_owned(), "a1".to_owned()], 2));
        assert_eq!(ann.get(&shop("/callbacks/a1")).await.ok()["src_num"], "101");
        ann.get(&shop("/callbacks/b1")).await.refused(404);
        let (all, _) = client.every(&shop("/callbacks"), 500).await;
        assert_eq!(ids(&all), ["b1", "a2", "a1"]);
    })
    .await;
}

#[actix_web::test]
async fn a_token_without_an_application_reaches_all_and_a_bound_one_its_own() {
    on_both(async |house| {
        let client = house.client().await;
        house.declare("id = 808\nname = \"Other\"\npbx = \"telphin\"\nlogin = \"T2\"\n[telphin]\nclient_prefix = \"0048\"").await;
        let seen = async |role, app| {
            let client = client.with(&house.token(role, app, None).await);
            client.every("/api/v1/apps", 500).await.0.iter().map(|a| a["id"].as_i64().expect("an id")).collect::<Vec<_>>()
        };
        assert_eq!(seen(Role::Supervisor, None).await, [807, 808]);
        assert_eq!(seen(Role::Supervisor, Some(808)).await, [808]);
        assert_eq!(seen(Role::Integration, Some(808)).await, Vec::<i64>::new());
    })
    .await;
}
