//! Tokens over the API.

use hookflash::auth::Role;
use serde_json::json;

use super::shop;
use crate::support::{SHOP, on_both};

#[actix_web::test]
async fn a_token_is_shown_once_works_and_is_revoked() {
    on_both(async |house| {
        let client = house.client().await;
        let made = client.post("/api/v1/tokens", json!({"name": "Widget", "role": "agent", "app": 807, "agent": "ann"})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let path = made.header("location").expect("a location").to_owned();
        let secret = made.body["token"].as_str().expect("the secret").to_owned();
        assert!(secret.starts_with("hf_"));
        let his = client.with(&secret);
        his.get(&shop("/agents/ann")).await.ok();
        let listed = client.get("/api/v1/tokens").await.ok();
        assert_eq!(listed["items"][0]["name"], "Widget");
        assert!(listed["items"][0].get("token").is_none() && !listed.to_string().contains(&secret));
        client.get(&path).await.refused(405);
        assert_eq!(client.delete(&path).await.status, 204);
        his.get(&shop("/agents/ann")).await.refused(401);
        client.delete(&path).await.refused(404);
        assert!(client.get("/api/v1/tokens").await.ok()["items"][0]["revoked_at"].is_string());
    })
    .await;
}

#[actix_web::test]
async fn what_is_wrong_is_named() {
    on_both(async |house| {
        let client = house.client().await;
        for (body, fields) in [
            (json!({"role": "admin"}), vec!["name"]),
            (json!({"name": " ", "role": "admin"}), vec!["name"]),
            (json!({"name": "x", "role": "owner"}), vec!["role"]),
            (json!({"name": "x", "role": "integration"}), vec!["app"]),
            (json!({"name": "x", "role": "integration", "app": 808}), vec!["app"]),
            (json!({"name": "x", "role": "agent"}), vec!["app", "agent"]),
            (json!({"name": "x", "role": "agent", "app": 807, "agent": "eve"}), vec!["agent"]),
            (json!({"name": "x", "role": "supervisor", "agent": "ann"}), vec!["agent"]),
            (json!({"name": "x", "role": "admin", "application": 807}), vec!["application"]),
        ] {
            assert_eq!(client.post("/api/v1/tokens", body.clone()).await.refused(422), fields, "{body}");
        }
        assert!(client.every("/api/v1/tokens", 500).await.0.is_empty());
    })
    .await;
}

#[actix_web::test]
async fn an_administrator_of_one_application_reaches_its_tokens_only() {
    on_both(async |house| {
        let client = house.client().await;
        let all = client.post("/api/v1/tokens", json!({"name": "of all", "role": "supervisor"})).await;
        let bound = client.with(&house.token(Role::Admin, Some(SHOP), None).await);
        let seen = bound.every("/api/v1/tokens", 500).await.0;
        assert_eq!(seen.iter().map(|t| t["name"].clone()).collect::<Vec<_>>(), [json!("admin")]);
        bound.delete(all.header("location").expect("a location")).await.refused(404);
        bound.post("/api/v1/tokens", json!({"name": "more", "role": "admin"})).await.refused(403);
        assert_eq!(bound.post("/api/v1/tokens", json!({"name": "own", "role": "integration", "app": 807})).await.status, 201);
    })
    .await;
}
