//! Who is let in.

use std::net::SocketAddr;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::{Backend, House};

#[rstest]
#[actix_web::test]
async fn what_is_not_there_is_not_there_and_says_nothing(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open_with(backend, |_| {}, |app| app.key = Some("let-me-in".into())).await;
    let client = house.client().await.without_token();
    for path in [
        "/cid/808/event/TLP55522",
        "/cid/807/event/TLP55523",
        "/cid/807/event/tlp55522",
        "/cid/807/event/",
        "/cid/807/dial/TLP55522",
        "/cid/807/history/TLP55522",
        "/cid/807/GetManager/TLP55522",
        "/cid/-807/event/TLP55522",
        "/cid/+807/event/TLP55522",
        "/cid/0807/event/TLP55522",
        "/cid/99999999999999999999/event/TLP55522",
        "/cid/807%00/event/TLP55522",
        "/cid/%F0%9F%8C%B9/event/TLP55522",
        "/cid/807/event/TLP55522/",
        "/cid/807/event",
    ] {
        for method in [Method::GET, Method::POST] {
            let request = TestRequest::with_uri(&format!("{path}?key=let-me-in&EventType=hangup")).method(method);
            let reply = client.send(request).await;
            assert_eq!(reply.status, 404, "{path}");
            let text = String::from_utf8_lossy(&reply.bytes).into_owned();
            assert!(!text.contains("Flower") && !text.contains("let-me-in") && text.lines().count() <= 1, "{path}: {text}");
        }
    }
    assert_eq!(house.journal().await, vec![]);
}

#[actix_web::test]
async fn only_get_and_post_are_methods_of_a_hook() {
    let house = House::open(Sqlite).await;
    let client = house.client().await.without_token();
    for path in [EVENT, ASK, AGENT] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"BREW").unwrap()] {
            let reply = client.send(TestRequest::with_uri(path).method(method.clone())).await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, POST")), "{method} {path}");
        }
    }
}

#[rstest]
#[case::missing("", 403)]
#[case::empty("key=", 403)]
#[case::wrong("key=let-me-im", 403)]
#[case::shorter("key=let-me-i", 403)]
#[case::longer("key=let-me-in%20", 403)]
#[case::other_case("key=LET-ME-IN", 403)]
#[case::other_name("KEY=let-me-in", 403)]
#[case::the_first_counts("key=x&key=let-me-in", 403)]
#[case::right("key=let-me-in", 200)]
#[case::encoded("%6b%65%79=let%2Dme-in", 200)]
#[case::last("a=1&key=let-me-in", 200)]
#[actix_web::test]
async fn the_key_is_asked_for(#[case] query: &str, #[case] status: u16) {
    let house = House::open_with(Sqlite, |_| {}, |app| app.key = Some("let-me-in".into())).await;
    let client = house.client().await.without_token();
    let told = client.hook_post(&format!("{EVENT}?{query}"), FORM, leg("dial-in", "c1", "101", 0, "&key=let-me-in")).await;
    assert_eq!(told.status, status);
    let asked_for = client.hook_get(ASK, &format!("{query}&{}", asked("c9"))).await;
    assert_eq!(asked_for.status, status);
    if status == 403 {
        assert_eq!(asked_for.body["title"], "the key is missing or wrong");
        assert_eq!(house.journal().await, vec![]);
    }
    for entry in house.journal().await {
        let query = entry.raw.split(|b| *b == b'\n').next().unwrap();
        assert!(!String::from_utf8_lossy(query).contains("in"), "the key is in the journal: {}", String::from_utf8_lossy(query));
    }
}

#[rstest]
#[case::from_the_pbx("203.0.113.9:5", "", "", 200)]
#[case::from_elsewhere("198.51.100.7:5", "", "", 403)]
#[case::as_ipv6_writes_it("[::ffff:203.0.113.9]:5", "", "", 200)]
#[case::forged_without_a_proxy("198.51.100.7:5", "203.0.113.9", "", 403)]
#[case::the_proxy_says_so("10.0.0.1:5", "203.0.113.9", "10.0.0.0/8", 200)]
#[case::the_proxy_itself("10.0.0.1:5", "", "10.0.0.0/8", 403)]
#[case::forged_before_the_proxy("10.0.0.1:5", "203.0.113.9, 198.51.100.7", "10.0.0.0/8", 403)]
#[case::from_elsewhere_past_two_proxies("10.0.0.1:5", "203.0.113.9, 198.51.100.7, 10.0.0.2", "10.0.0.0/8", 403)]
#[case::with_a_port("10.0.0.1:5", "198.51.100.7, 203.0.113.9:80", "10.0.0.0/8", 200)]
#[case::nonsense("10.0.0.1:5", "203.0.113.9, 203.0.113.9:port", "10.0.0.0/8", 403)]
#[case::another_proxy("192.0.2.1:5", "203.0.113.9", "10.0.0.0/8", 403)]
#[actix_web::test]
async fn the_source_is_checked(#[case] peer: &str, #[case] forwarded: &str, #[case] trusted: &str, #[case] status: u16) {
    let trusted: Vec<_> = trusted.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let allow = |app: &mut hookflash::domain::spec::Application| app.allow_ips = vec!["203.0.113.0/24".parse().unwrap()];
    let house = House::open_with(Sqlite, |s| s.server.trusted_proxies = trusted, allow).await;
    let client = house.client().await.without_token();
    for path in [EVENT, ASK, AGENT] {
        let mut request = TestRequest::with_uri(&format!("{path}?{}", leg("dial-in", "c1", "101", 0, "&agent_id=1&agent_status=2")))
            .peer_addr(peer.parse::<SocketAddr>().unwrap());
        // Whatever other headers may say of the source, nobody here believes them.
        for name in ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip"] {
            request = request.insert_header((name, "203.0.113.9"));
        }
        if !forwarded.is_empty() {
            request = request.insert_header(("x-forwarded-for", forwarded));
        }
        assert_eq!(client.send(request).await.status, status, "{path}");
    }
}

#[actix_web::test]
async fn several_forward_headers_are_read_as_one() {
    let allow = |app: &mut hookflash::domain::spec::Application| app.allow_ips = vec!["203.0.113.0/24".parse().unwrap()];
    let house = House::open_with(Sqlite, |s| s.server.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()], allow).await;
    let client = house.client().await.without_token();
    let from = |hops: &[&str]| {
        let mut request =
            TestRequest::with_uri(&format!("{EVENT}?{}", leg("dial-in", "c1", "101", 0, ""))).peer_addr("10.0.0.1:5".parse().unwrap());
        for hop in hops {
            request = request.append_header(("x-forwarded-for", *hop));
        }
        request
    };
    assert_eq!(client.send(from(&["203.0.113.9", "198.51.100.7"])).await.status, 403, "the client wrote the first one");
    assert_eq!(client.send(from(&["198.51.100.7", "203.0.113.9"])).await.status, 200);
}
