//! The OpenAPI document: every route that is registered, no other, and nothing in it that does not resolve.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::Value;

use crate::support::{Backend, House};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

async fn document() -> Value {
    let client = House::shop(Backend::Sqlite).await.client().await.without_token();
    client.get("/api/openapi.json").await.ok()
}

/// (method, path, operation) of a document.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| METHODS.iter().map(move |m| (m.to_uppercase(), path.clone(), &item[*m])));
    all.filter(|(_, _, operation)| operation.is_object()).collect()
}

#[actix_web::test]
async fn every_documented_route_is_registered() {
    let house = House::shop(Backend::Sqlite).await;
    let client = house.client().await.without_token();
    let document = client.get("/api/openapi.json").await.ok();
    let all = operations(&document);
    assert!(all.len() > 30, "{}", all.len());
    for (method, path, _) in all {
        let concrete = path.replace("{app}", "807").replace("{id}", "ann");
        let reply = client.send(client.request(Method::from_bytes(method.as_bytes()).expect("a method"), &concrete)).await;
        assert_eq!(reply.status, 401, "{method} {path} must ask for a token");
    }
}

/// The routes as the sources declare them, so that one that was left out of the document is found.
#[actix_web::test]
async fn every_registered_route_is_documented() {
    let document = document().await;
    let documented: BTreeSet<(String, String)> = operations(&document).into_iter().map(|(m, p, _)| (m, p)).collect();
    let mut declared = BTreeSet::new();
    let mut found = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/api"))];
    while let Some(path) = found.pop() {
        if path.is_dir() {
            found.extend(std::fs::read_dir(path).expect("the sources").map(|file| file.expect("a file").path()));
            continue;
        }
        let source = std::fs::read_to_string(path).expect("a source");
        assert!(!source.contains(".route("), "a route that is not documented");
        for line in source.lines() {
            for method in METHODS {
                if let Some(path) = line.trim().strip_prefix(&format!("#[{method}(\"")) {
                    declared.insert((method.to_uppercase(), format!("/api/v1{}", path.trim_end_matches("\")]"))));
                }
            }
            if let Some(list) = line.strip_prefix("super::crud::crud!(") {
                let paths: Vec<&str> = list.split('"').filter(|part| part.starts_with('/')).collect();
                let routes = [("GET", paths[0]), ("POST", paths[0]), ("GET", paths[1]), ("PUT", paths[1]), ("DELETE", paths[1])];
                declared.extend(routes.map(|(m, p)| (m.to_owned(), format!("/api/v1{p}"))));
            }
        }
    }
    assert_eq!(documented, declared);
}

#[actix_web::test]
async fn the_document_is_valid() {
    let document = document().await;
    assert!(document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{at} has no summary");
        assert!(names.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{at}: the id is taken");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: BTreeSet<&str> =
            parameters.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str().expect("a name")).collect();
        let wanted: BTreeSet<&str> = path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, wanted, "{at}");
        assert!(parameters.iter().filter(|p| p["in"] == "path").all(|p| p["required"] == true), "{at}");
        assert_eq!(
            parameters.len(),
            parameters.iter().map(|p| (p["in"].to_string(), p["name"].to_string())).collect::<BTreeSet<_>>().len(),
            "{at}"
        );
        assert_eq!(operation["requestBody"].is_object(), method == "PUT" || (method == "POST" && !path.ends_with("/done")), "{at}");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')) && responses.contains_key("default"), "{at}");
        assert!(responses.values().all(|r| r["description"].as_str().is_some_and(|d| !d.is_empty())), "{at}");
        assert!(operation["security"][0]["token"].is_array(), "{at}");
    }
    every_reference_resolves(&document, &document);
    let app = &document["components"]["schemas"]["Application"]["properties"];
    assert!(app["routing"].is_object() && app.get("agent").is_none(), "lists are resources of their own: {app}");
}

fn every_reference_resolves(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a reference into the document");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|v| every_reference_resolves(document, v));
        }
        Value::Array(items) => items.iter().for_each(|v| every_reference_resolves(document, v)),
        _ => {}
    }
}
