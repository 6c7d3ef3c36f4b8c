use serde_json::json;

use super::*;

fn apps() -> Vec<OauthApp> {
    let app = |id: &str, kind| OauthApp { kind, ..OauthApp::trusted(id, "secret") };
    vec![
        OauthApp::trusted("app", "secret"),
        app("public", AppType::Public { redirect_uri: "https://crm.example/back".into() }),
        app("password", AppType::Password { username: "TLP55522".into(), password: "pw".into() }),
    ]
}

async fn with_apps() -> Bench {
    bench_with(Config { apps: apps(), conditions: Conditions::instant(), ..Config::default() }).await
}

#[actix_web::test]
async fn a_trusted_application_gets_a_token_without_a_refresh_token() {
    let b = bench().await;
    let reply = b.grant(&[("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "secret")]).await;
    assert_eq!(
        (reply["token_type"].as_str(), reply["expires_in"].as_i64(), reply["scope"].as_str()),
        (Some("Bearer"), Some(3600), Some("all"))
    );
    assert!(reply.get("refresh_token").is_none());
    b.pbx.stop().await;
}

#[actix_web::test]
async fn wrong_token_requests_are_refused_with_an_error() {
    let b = with_apps().await;
    let url = format!("{}/oauth/token", b.pbx.base_url());
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let cases: [Case; 6] = [
        (&[("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "wrong")], 401, "invalid_client"),
        (&[("grant_type", "client_credentials"), ("client_id", "nobody"), ("client_secret", "secret")], 401, "invalid_client"),
        (&[("client_id", "app"), ("client_secret", "secret")], 400, "invalid_request"),
        (&[("grant_type", "implicit"), ("client_id", "app"), ("client_secret", "secret")], 400, "unsupported_grant_type"),
        (&[("grant_type", "client_credentials"), ("client_id", "public"), ("client_secret", "secret")], 400, "unauthorized_client"),
        (
            &[
                ("grant_type", "password"),
                ("client_id", "password"),
                ("client_secret", "secret"),
                ("username", "TLP55522"),
                ("password", "x"),
            ],
            400,
            "invalid_grant",
        ),
    ];
    for (form, status, error) in cases {
        let response = b.send(Request::post_form(&url, form)).await;
        assert_eq!((response.status, response.json::<Value>().unwrap()["error"].as_str()), (status, Some(error)), "{form:?}");
    }
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_refresh_token_works_once() {
    let b = with_apps().await;
    let password =
        [("client_id", "password"), ("client_secret", "secret"), ("username", "TLP55522"), ("password", "pw"), ("grant_type", "password")];
    let first = b.grant(&password).await;
    let refresh = first["refresh_token"].as_str().unwrap().to_owned();
    let form = [("grant_type", "refresh_token"), ("client_id", "password"), ("client_secret", "secret"), ("refresh_token", &refresh)];
    assert!(b.grant(&form).await["access_token"].is_string());
    assert_eq!(b.grant(&form).await["error"], "invalid_grant");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_public_application_gets_a_code_by_redirect_and_a_token_for_it_once() {
    let b = with_apps().await;
    let authorize = |redirect: &str| {
        let query = [("response_type", "code"), ("client_id", "public"), ("redirect_uri", redirect), ("scope", "all")];
        Request::get(format!("{}/oauth/authorize?{}", b.pbx.base_url(), serde_urlencoded::to_string(query).unwrap()))
    };
    assert_eq!(b.send(authorize("https://evil.example/")).await.status, 400);
    let response = b.send(authorize("https://crm.example/back")).await;
    let location = response.header("location").unwrap().to_owned();
    let code = location.strip_prefix("https://crm.example/back?code=").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "public"),
        ("client_secret", "secret"),
        ("code", code),
        ("redirect_uri", "https://crm.example/back"),
    ];
    assert!(b.grant(&form).await["access_token"].is_string());
    assert_eq!(b.grant(&form).await["error"], "invalid_grant");
    b.pbx.change(|c| c.user_consents = false);
    let response = b.send(authorize("https://crm.example/back")).await;
    assert_eq!((response.status, response.header("location")), (302, Some("https://crm.example/back?error=access_denied")));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_token_dies_with_its_time_and_when_it_is_killed() {
    let mut b = bench().await;
    assert_eq!(b.get("/user/").await.0, 200);
    b.clock.advance(3_600_000_000);
    assert_eq!(b.get("/user/").await, (401, json!({"message": "Unauthorized"})));
    let again = b.grant(&[("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "secret")]).await;
    b.token = again["access_token"].as_str().unwrap().into();
    assert_eq!(b.get("/user/").await.0, 200);
    b.pbx.kill_tokens();
    assert_eq!(b.get("/user/").await.0, 401);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn more_than_twenty_token_requests_in_a_second_are_refused() {
    let b = bench().await;
    let form = [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "secret")];
    for _ in 0..19 {
        assert!(b.grant(&form).await["access_token"].is_string());
    }
    assert_eq!(b.grant(&form).await["status"], "rate_limit_exceeded");
    b.clock.advance(1_000_000);
    assert!(b.grant(&form).await["access_token"].is_string());
    b.pbx.stop().await;
}
