//! Bodies that are too big, too slow or broken off, over real HTTP.

use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::refused;
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::{Backend, House};

const MIB: usize = 1 << 20;

fn padded(form: &str, length: usize) -> Vec<u8> {
    let mut body = format!("{form}&Padding=").into_bytes();
    body.resize(length, b'x');
    body
}

#[rstest]
#[actix_web::test]
async fn a_body_past_the_limit_is_refused_once_and_kept_with_its_reason(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::live(backend, |_| {}, |_| {}).await;
    let served = house.serve();
    let form = leg("dial-in", "big", "101", 0, "");
    for length in [MIB + 1, 10 * MIB, 10 * MIB] {
        let reply = served.post(EVENT, padded(&form, length)).await;
        assert_eq!((reply.status, reply.header("content-type")), (413, Some("application/problem+json")), "{length}");
    }
    let journal = house.journal().await;
    assert_eq!(refused(&journal), ["the body is larger than 1 MiB"; 1]);
    assert!(journal[0].raw.len() < 100_000 && journal[0].raw.starts_with(b"\nEventType=dial-in"), "its beginning is kept");
    // What fits is taken.
    assert_eq!(served.post(EVENT, padded(&form, MIB)).await.status, 200);
    assert_eq!(house.journal().await.len(), 2);
    served.stop().await;
}

#[rstest]
#[case("", None)]
#[case("103", Some("0047*103"))]
#[actix_web::test]
async fn a_routing_hook_answers_a_body_past_the_limit_safely(#[case] fallback: &str, #[case] extension: Option<&str>) {
    let fallback = fallback.to_owned();
    let house = House::live(Sqlite, |_| {}, |app| app.routing.fallback = fallback).await;
    let served = house.serve();
    for length in [MIB + 1, 10 * MIB] {
        let reply = served.post(ASK, padded(&asked("big"), length)).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("x-hookflash-decision").is_some());
        assert_eq!(named(std::str::from_utf8(&reply.body).unwrap()).map(|(_, e)| e).as_deref(), extension);
    }
    served.stop().await;
}

/// Sends a head and a part of the body that it promises, and reads the answer.
async fn half(served: &Served, path: &str, part: &str) -> String {
    let mut stream = TcpStream::connect(served.running.address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 500\r\n\r\n{part}");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") || !(answer.ends_with(b">") || answer.ends_with(b"}")) {
        let n = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.expect("an answer").unwrap();
        assert!(n > 0, "the connection was dropped: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8(answer).unwrap()
}

#[actix_web::test]
async fn a_body_that_does_not_come_keeps_a_routing_hook_from_nothing() {
    let house = House::live(Sqlite, |s| s.routing.deadline_ms = 100, |app| app.routing.fallback = "103".into()).await;
    let served = house.serve();
    let answer = half(&served, ASK, &asked("slow")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("x-hookflash-decision: "), "{answer}");
    assert_eq!(named(answer.split_once("\r\n\r\n").unwrap().1).unwrap().1, "0047*103");
    house.hookflash.db.flush().await;
    served.stop().await;
}

#[actix_web::test]
async fn an_event_whose_body_does_not_come_is_refused_and_kept() {
    let house = House::live(Sqlite, |_| {}, |_| {}).await;
    let served = house.serve();
    let answer = half(&served, EVENT, "EventType=hangup").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(refused(&house.journal().await).len(), 1);
    served.stop().await;
}
