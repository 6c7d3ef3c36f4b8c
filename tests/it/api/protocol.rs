//! What holds for every request: who asks, what is read, how it is refused.

use actix_web::http::Method;
use serde_json::json;

use super::shop;
use crate::support::on_both;

#[actix_web::test]
async fn without_a_valid_token_nothing_is_told() {
    on_both(async |house| {
        let client = house.client().await;
        for stranger in [client.without_token(), client.with("hf_unknown"), client.with("")] {
            for path in ["/api/v1/apps", "/api/v1/apps/807", "/api/v1/apps/999", "/api/v1/tokens"] {
                let reply = stranger.get(path).await;
                assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"hookflash\""));
                reply.refused(401);
            }
        }
        let basic = client.without_token().request(Method::GET, "/api/v1/apps").insert_header(("authorization", "Basic eDp5"));
        client.send(basic).await.refused(401);
    })
    .await;
}

#[actix_web::test]
async fn an_unknown_application_is_not_found() {
    on_both(async |house| {
        let client = house.client().await;
        for path in
            ["/api/v1/apps/808", "/api/v1/apps/808/agents", "/api/v1/apps/flowers/agents", "/api/v1/apps/-1", "/api/v1/apps/0/health"]
        {
            client.get(path).await.refused(404);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_path_tells_its_methods_and_an_unknown_path_is_a_problem() {
    on_both(async |house| {
        let client = house.client().await;
        let reply = client.put(&shop("/groups"), json!({})).await;
        assert_eq!(reply.header("allow"), Some("GET, POST"));
        reply.refused(405);
        let reply = client.send(client.request(Method::PATCH, &shop("/agents/ann"))).await;
        assert_eq!(reply.header("allow"), Some("GET, PUT, DELETE"));
        reply.refused(405);
        for path in ["/api", "/api/", "/api/v1", "/api/v2/apps", "/api/v1/apps/807/nothing", "/api/v1/apps/807/agents/ann/nothing"] {
            client.get(path).await.refused(404);
        }
    })
    .await;
}

#[actix_web::test]
async fn query_parameters_are_known_and_readable_or_named() {
    on_both(async |house| {
        let client = house.client().await;
        for (path, field) in [
            ("/agents?limt=5", "limt"),
            ("/agents?limit=0", "limit"),
            ("/agents?limit=501", "limit"),
            ("/agents?limit=some", "limit"),
            ("/agents?cursor=%21", "cursor"),
            ("/agents?cursor=WzFd", "cursor"),
            ("/agents/ann?verbose=1", "verbose"),
            ("/health?since=1", "since"),
            ("/contacts?phone=123", "phone"),
            ("/contacts?name=x", "name"),
            ("/calls?status=lost", "status"),
            ("/calls?direction=up", "direction"),
            ("/calls?from=yesterday", "from"),
            ("/legs?to=31.12.2025", "to"),
            ("/legs?number=89990001122", "number"),
            ("/legs?did=100", "did"),
            ("/legs?tags.team=sales", "tags.team"),
            ("/legs?cursor=WyJ4Il0", "cursor"),
        ] {
            assert_eq!(client.get(&shop(path)).await.refused(400), [field], "{path}");
        }
        assert_eq!(client.delete(&shop("/groups/sales?force=yes")).await.refused(400), ["force"]);
        assert_eq!(client.post(&shop("/groups?dry=1"), json!({"name": "X"})).await.refused(400), ["dry"]);
    })
    .await;
}

#[actix_web::test]
async fn a_body_is_json_of_a_bearable_size() {
    on_both(async |house| {
        let client = house.client().await;
        let post = |body: &str, kind: &str| {
            client.request(Method::POST, &shop("/groups")).set_payload(body.to_owned()).insert_header(("content-type", kind.to_owned()))
        };
        client.send(post("name=Night", "application/x-www-form-urlencoded")).await.refused(415);
        client.send(client.request(Method::POST, &shop("/groups")).set_payload("{}")).await.refused(415);
        client.send(post("{\"name\": ", "application/json")).await.refused(400);
        client.send(post("", "application/json")).await.refused(400);
        client.send(post("[]", "application/json")).await.refused(400);
        client.send(post("\u{0}", "application/json")).await.refused(400);
        let large = format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20));
        client.send(post(&large, "application/json")).await.refused(413);
        let deep = "[".repeat(100_000);
        client.send(post(&deep, "application/json")).await.refused(400);
        assert_eq!(client.send(post("{\"name\": \"Night\"}", "Application/JSON; charset=utf-8")).await.status, 201);
    })
    .await;
}

#[actix_web::test]
async fn a_browser_of_a_listed_origin_may_and_no_other() {
    on_both(async |house| {
        let client = house.client().await;
        house.declare("id = 808\nname = \"Other\"\npbx = \"telphin\"\nlogin = \"T2\"\n[telphin]\nclient_prefix = \"0048\"").await;
        let get = |app: i64, origin: &str| {
            client.request(Method::GET, &format!("/api/v1/apps/{app}")).insert_header(("origin", origin.to_owned()))
        };
        let allowed = "access-control-allow-origin";
        assert_eq!(client.send(get(807, "https://crm.example.com")).await.header(allowed), Some("https://crm.example.com"));
        assert_eq!(client.send(get(807, "https://crm.example.com.evil.example")).await.header(allowed), None);
        assert_eq!(client.send(get(808, "https://crm.example.com")).await.header(allowed), None);
        // A refusal can be read by the browser too.
        let refused = client.without_token().request(Method::GET, &shop("/agents")).insert_header(("origin", "https://crm.example.com"));
        let refused = client.send(refused).await;
        assert_eq!((refused.status, refused.header(allowed)), (401, Some("https://crm.example.com")));

        let preflight = |origin: &str| {
            let request = client.without_token().request(Method::OPTIONS, &shop("/agents/ann/status"));
            request
                .insert_header(("origin", origin.to_owned()))
                .insert_header(("access-control-request-method", "PUT"))
                .insert_header(("access-control-request-headers", "authorization, content-type, range"))
        };
        let answer = client.send(preflight("https://crm.example.com")).await;
        assert_eq!((answer.status, answer.header(allowed)), (200, Some("https://crm.example.com")));
        assert!(answer.header("access-control-allow-methods").is_some_and(|m| m.contains("PUT")));
        assert_eq!(client.send(preflight("https://evil.example")).await.header(allowed), None);
    })
    .await;
}

#[actix_web::test]
async fn the_root_leads_to_the_documentation() {
    on_both(async |house| {
        let client = house.client().await.without_token();
        let root = client.get("/").await;
        assert_eq!((root.status, root.header("location")), (307, Some("/api/docs")));
        assert_eq!(client.get("/api/docs").await.header("location"), Some("/api/docs/"));
        let page = client.get("/api/docs/").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    })
    .await;
}

#[actix_web::test]
async fn zero_bytes_are_refused_before_a_database_has_to() {
    on_both(async |house| {
        let client = house.client().await;
        for path in ["/calls/%00", "/calls/a%00b/explain", "/contacts/%00", "/agents/%00", "/groups/%00"] {
            client.get(&shop(path)).await.refused(404);
        }
        for (query, field) in
            [("/legs?agent=%00", "agent"), ("/calls?number=%2B79995550101%00", "number"), ("/calls?tag.team=%00", "tag.team")]
        {
            assert_eq!(client.get(&shop(query)).await.refused(400), [field]);
        }
        let status = json!({"manual_status": "NOT_AVAILABLE", "reason": "a\0b"});
        assert_eq!(client.put(&shop("/agents/ann/status"), status).await.refused(422), ["reason"]);
        let contact = json!({"name": "a\0b", "phones": ["+79995550177"]});
        assert_eq!(client.post(&shop("/contacts"), contact).await.refused(422), ["name"]);
    })
    .await;
}
