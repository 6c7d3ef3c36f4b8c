//! The built-in directory.

use serde_json::{Value, json};

use super::shop;
use crate::support::on_both;

fn one() -> Value {
    json!({"name": "Client One", "phones": ["+79990001122", "+79990001133"], "owner": "ann", "deputy": null, "external_id": "7"})
}

#[actix_web::test]
async fn a_contact_is_made_found_changed_and_deleted() {
    on_both(async |house| {
        let client = house.client().await;
        let made = client.post(&shop("/contacts"), one()).await;
        let (path, mut expected) = (made.header("location").expect("a location").to_owned(), one());
        expected["id"] = made.body["id"].clone();
        assert_eq!((made.status, &made.body), (201, &expected));
        assert_eq!(client.get(&path).await.ok(), expected);
        for phone in ["+79990001122", "%2B79990001133"] {
            assert_eq!(client.every(&shop(&format!("/contacts?phone={phone}")), 5).await.0, vec![expected.clone()]);
        }
        assert!(client.every(&shop("/contacts?phone=+79990009999"), 5).await.0.is_empty());
        let changed = client.put(&path, json!({"phones": ["+79990001133"], "owner": "bob", "external_id": "7"})).await.ok();
        assert_eq!((changed["owner"].clone(), changed["name"].clone()), (json!("bob"), json!("")));
        assert!(client.every(&shop("/contacts?phone=+79990001122"), 5).await.0.is_empty(), "the phone was taken off");
        assert_eq!(client.delete(&path).await.status, 204);
        client.get(&path).await.refused(404);
        client.put(&path, one()).await.refused(404);
        client.delete(&path).await.refused(404);
        assert_eq!(client.post(&shop("/contacts"), one()).await.status, 201, "its phones are free again");
    })
    .await;
}

#[actix_web::test]
async fn a_phone_and_an_external_id_belong_to_one_contact() {
    on_both(async |house| {
        let client = house.client().await;
        client.post(&shop("/contacts"), one()).await.ok();
        client.post(&shop("/contacts"), json!({"phones": ["+79990005555"], "external_id": "7"})).await.refused(409);
        client.post(&shop("/contacts"), json!({"phones": ["+79990005555", "+79990001133"]})).await.refused(409);
        let other = client.post(&shop("/contacts"), json!({"phones": ["+79990005555"]})).await;
        assert_eq!(other.status, 201, "what was refused left nothing behind: {}", other.body);
        let path = other.header("location").expect("a location").to_owned();
        client.put(&path, json!({"phones": ["+79990001122"]})).await.refused(409);
        assert_eq!(client.get(&path).await.ok()["phones"], json!(["+79990005555"]));
    })
    .await;
}

#[actix_web::test]
async fn what_is_wrong_is_named() {
    on_both(async |house| {
        let client = house.client().await;
        for (body, fields) in [
            (json!({}), vec!["phones"]),
            (json!({"phones": []}), vec!["phones"]),
            (json!({"phones": ["+79990001122", "89990001133"]}), vec!["phones[1]"]),
            (json!({"phones": ["+79990001122"], "owner": "eve", "deputy": "mallory"}), vec!["owner", "deputy"]),
            (json!({"phones": ["+79990001122"], "name": "x".repeat(201)}), vec!["name"]),
            (json!({"phones": ["+79990001122"], "id": "x"}), vec!["id"]),
        ] {
            assert_eq!(client.post(&shop("/contacts"), body.clone()).await.refused(422), fields, "{body}");
        }
        assert!(client.every(&shop("/contacts"), 500).await.0.is_empty());
    })
    .await;
}

#[actix_web::test]
async fn the_directory_is_read_whole_although_it_changes() {
    on_both(async |house| {
        let client = house.client().await;
        let mut ids = Vec::new();
        for n in 0..12 {
            ids.push(client.post(&shop("/contacts"), json!({"phones": [format!("+7999000{n:04}")]})).await.ok()["id"].clone());
        }
        let (all, pages) = client.every(&shop("/contacts"), 5).await;
        assert_eq!((all.iter().map(|c| c["id"].clone()).collect::<Vec<_>>(), pages), (ids.clone(), 3));
        // The last row of a page goes before the next page is read: none is left out.
        let first = client.get(&shop("/contacts?limit=5")).await.ok();
        client.delete(&shop(&format!("/contacts/{}", ids[4].as_str().expect("an id")))).await;
        let next = first["next_cursor"].as_str().expect("more");
        let second = client.get(&shop(&format!("/contacts?limit=5&cursor={next}"))).await.ok();
        assert_eq!(second["items"][0]["id"], ids[5]);
    })
    .await;
}
