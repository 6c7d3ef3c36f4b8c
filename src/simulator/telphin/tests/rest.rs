use serde_json::json;

use super::*;

#[actix_web::test]
async fn an_api_request_without_gzip_is_refused_and_json_comes_compressed() {
    let b = bench().await;
    let plain = b.send(b.request("GET", "/user/", None).header("accept-encoding", "identity")).await;
    assert_eq!(plain.status, 400);
    assert!(String::from_utf8_lossy(&plain.body).contains("Accept-Encoding"));
    let mut stream = tokio::net::TcpStream::connect(b.pbx.base_url().trim_start_matches("http://")).await.unwrap();
    let text = format!(
        "GET /api/ver1.0/user/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer {}\r\n\r\n",
        b.token
    );
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await.unwrap();
    assert!(String::from_utf8_lossy(&raw).contains("content-encoding: gzip"));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn slashes_are_as_the_page_writes_them() {
    let b = bench().await;
    for (path, status) in [
        ("/user/", 200),
        ("/user", 404),
        ("/client/@me/extension/", 200),
        ("/client/4700/extension/", 200),
        ("/client/4701/extension/", 404),
        ("/client/@me/extension", 404),
        ("/client/@me/extension/700101", 200),
        ("/client/@me/extension/700101/", 404),
        ("/client/@me/extension/1", 404),
        ("/client/@me/limit/", 200),
        ("/extension/700101/event/", 200),
        ("/extension/700101/event", 404),
        ("/extension/1/event/", 404),
        ("/nothing", 404),
    ] {
        let (got, body) = b.get(path).await;
        assert_eq!(got, status, "{path}");
        if status == 404 {
            assert_eq!(body, json!({"message": "Not found"}), "{path}");
        }
    }
    b.pbx.stop().await;
}

#[actix_web::test]
async fn extensions_are_filtered_and_paged() {
    let b = bench().await;
    let names = |value: &Value| value.as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&b.get("/client/@me/extension/?type=phone").await.1), ["0047*101", "0047*102", "0047*103"]);
    assert_eq!(names(&b.get("/client/@me/extension/?type=phone&page=2&per_page=2").await.1), ["0047*103"]);
    assert_eq!(names(&b.get("/client/@me/extension/?name=20").await.1), ["0047*200"]);
    for bad in ["type=robot", "page=0", "per_page=x", "sort=name"] {
        assert_eq!(b.get(&format!("/client/@me/extension/?{bad}")).await.0, 400, "{bad}");
    }
    b.pbx.stop().await;
}

#[actix_web::test]
async fn subscriptions_are_made_changed_and_removed() {
    let b = bench().await;
    let body = json!({"url": "https://crm.example:8443/ev", "method": "POST", "event_type": "hangup"});
    let (status, made) = b.api("POST", "/extension/700101/event/", Some(body.clone())).await;
    let id = made["id"].as_u64().unwrap();
    assert_eq!((status, &made["url"]), (201, &body["url"]));
    let one = format!("/extension/700101/event/{id}");
    assert_eq!(b.get(&one).await, (200, made.clone()));
    assert_eq!(b.get(&format!("/extension/700102/event/{id}")).await.0, 404);
    let (status, changed) =
        b.api("PUT", &one, Some(json!({"url": "https://crm.example/2", "method": "GET", "event_type": "answer"}))).await;
    assert_eq!((status, changed["id"].as_u64(), changed["method"].as_str()), (200, Some(id), Some("GET")));
    assert_eq!(b.get("/extension/700101/event/").await, (200, json!([changed])));
    assert_eq!(b.api("DELETE", &one, None).await.0, 204);
    assert_eq!(b.api("DELETE", &one, None).await.0, 404);
    assert_eq!(b.pbx.delete_all_calls(), 0);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_subscription_needs_its_three_fields_and_no_other() {
    let b = bench().await;
    let good = json!({"url": "https://crm.example/", "method": "POST", "event_type": "hangup"});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let mut cases: Vec<Value> = ["url", "method", "event_type"]
        .iter()
        .map(|name| {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(*name);
            body
        })
        .collect();
    cases.extend([
        with("url", json!("crm.example")),
        with("url", json!("https:///x")),
        with("method", json!("post")),
        with("event_type", json!("ringing")),
        with("secret", json!("x")),
    ]);
    for body in cases {
        let (status, reply) = b.api("POST", "/extension/700101/event/", Some(body.clone())).await;
        assert_eq!((status, reply["status"].as_str(), reply["message"].is_string()), (400, Some("bad_request"), true), "{body}");
    }
    b.pbx.change(|c| c.subscription_limit = 1);
    assert_eq!(b.api("POST", "/extension/700101/event/", Some(good.clone())).await.0, 201);
    assert_eq!(b.api("POST", "/extension/700101/event/", Some(good)).await.0, 400);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn removing_all_takes_foreign_subscriptions_along_and_is_counted() {
    let b = bench().await;
    b.pbx.subscribe_to("101", "https://foreign.example/", "hangup", Method::Get);
    b.pbx.subscribe_to("102", "https://foreign.example/", "hangup", Method::Get);
    assert_eq!(b.api("DELETE", "/extension/700101/event/", None).await.0, 204);
    assert_eq!(b.pbx.delete_all_calls(), 1);
    assert_eq!(b.pbx.subscriptions().iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["102"]);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn the_hourly_limit_is_shown_and_kept_until_the_hour_ends() {
    let b = bench().await;
    b.pbx.change(|c| c.hourly_limit = 2);
    for left in ["1", "0"] {
        let reply = b.send(b.request("GET", "/user/", None)).await;
        assert_eq!((reply.status, reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")), (200, Some("2"), Some(left)));
    }
    let reply = b.send(b.request("GET", "/user/", None)).await;
    assert_eq!((reply.status, reply.json::<Value>().unwrap()["status"].as_str()), (429, Some("rate_limit_exceeded")));
    let reset: i64 = reply.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&reset));
    b.clock.advance(reset * 1_000_000);
    assert_eq!(b.get("/user/").await.0, 200);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn faults_come_as_told_and_go() {
    let b = bench().await;
    let url = format!("{}/_sim/conditions", b.pbx.base_url());
    let patch = Request { method: "PATCH", ..Request::post_json(&url, &json!({"fail_status": 503, "fail_next": 1, "half_replies": 1})) };
    assert_eq!(b.send(patch).await.status, 200);
    let broken = b.http.send(b.request("GET", "/user/", None), Duration::from_secs(5)).await;
    assert!(broken.as_ref().is_err_and(crate::net::NetError::may_have_acted), "{broken:?}");
    assert_eq!(b.get("/user/").await.0, 200);
    b.pbx.change(|c| c.fail_next = 1);
    assert_eq!(b.get("/user/").await.0, 503);
    assert_eq!(b.get("/user/").await.0, 200);
    b.pbx.change(|c| c.slow_ms = 600_000);
    let slow = b.http.send(b.request("GET", "/user/", None), Duration::from_millis(300)).await;
    assert!(slow.as_ref().is_err_and(crate::net::NetError::may_have_acted), "{slow:?}");
    b.pbx.change(|c| c.slow_ms = 0);
    let kill = Request { method: "POST", ..Request::get(format!("{}/_sim/kill-tokens", b.pbx.base_url())) };
    assert_eq!(b.send(kill).await.status, 204);
    assert_eq!(b.get("/user/").await.0, 401);
    assert_eq!(b.pbx.requests().iter().filter(|r| r.status == 503).count(), 2);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn an_application_with_a_lower_limit_is_refused_by_the_total_of_all() {
    let small = OauthApp { hourly_limit: Some(2), ..OauthApp::trusted("small", "secret") };
    let apps = vec![OauthApp::trusted("app", "secret"), small];
    let mut b = bench_with(Config { apps, conditions: Conditions::instant(), ..Config::default() }).await;
    assert_eq!((b.get("/user/").await.0, b.get("/user/").await.0), (200, 200));
    let first = b.token.clone();
    let reply = b.grant(&[("grant_type", "client_credentials"), ("client_id", "small"), ("client_secret", "secret")]).await;
    b.token = reply["access_token"].as_str().unwrap().into();
    assert_eq!(b.get("/user/").await.0, 429);
    b.token = first;
    assert_eq!(b.get("/user/").await.0, 200);
    b.pbx.stop().await;
}
