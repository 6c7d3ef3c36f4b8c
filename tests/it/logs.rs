//! One application's own log, written by the real program.

use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::process::Program;
use crate::support::{Backend, House};

const KEY: &str = "sesame-opens-it";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_has_its_own_log_without_numbers_and_keys(
    #[values(Sqlite, Postgres)] backend: Backend,
    #[values("logfmt", "json")] format: &str,
) {
    let house = House::live(backend, |_| {}, |app| app.key = Some(KEY.into())).await;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::serve(
        &house,
        &[
            ("HOOKFLASH__LOG__PER_APPLICATION", "true"),
            ("HOOKFLASH__LOG__DIR", folder.path().to_str().unwrap()),
            ("HOOKFLASH__LOG__FORMAT", format),
        ],
    );
    let http = http();
    let send = async |path: &str, key: &str, form: &str, post: bool| {
        let url = format!("{}{path}?{key}", program.url);
        let request = hookflash::net::Request { method: "POST", body: Some(form.to_owned().into()), ..hookflash::net::Request::get(&url) };
        let request = if post { request.header("content-type", FORM) } else { hookflash::net::Request::get(format!("{url}&{form}")) };
        http.send(request, std::time::Duration::from_secs(30)).await.unwrap()
    };
    let key = format!("key={KEY}");
    let lookup = send(ASK, &key, &asked("c1"), false).await;
    let decision = lookup.header("x-hookflash-decision").unwrap().to_owned();
    let odd = format!("%6B%65y={KEY}");
    for (key, post) in [(&key, true), (&key, false), (&odd, true)] {
        assert_eq!(send(EVENT, key, &leg("dial-in", "c1", "101", if post { 0 } else { 1 }, ""), post).await.status, 200);
    }
    assert_eq!(send(EVENT, &key, "EventType=hangup&CallerIDNum=%2B79995550101", true).await.status, 400);
    assert_eq!(send("/cid/%38%307/ev%65nt/TLP55522", &key, &leg("answer", "c1", "101", 5, ""), true).await.status, 200);
    assert_eq!(send(EVENT, &format!("key={KEY}x"), "", true).await.status, 403);
    assert_eq!(send("/cid/1/event/TLP55522", &key, "", true).await.status, 404);
    program.terminate();
    let (main, code) = program.ended();
    assert_eq!(code, Some(0));

    let own = std::fs::read_to_string(folder.path().join("807.log")).unwrap();
    let lines: Vec<&str> = own.lines().collect();
    let field = |name: &str, value: &str| match format {
        "json" => format!("\"{name}\":\"{value}\""),
        _ => format!("{name}={value}"),
    };
    let lookups: Vec<&&str> = lines.iter().filter(|l| l.contains(&field("path", ASK))).collect();
    assert_eq!(lookups.len(), 1, "{own}");
    for (name, value) in [("call", "c1"), ("login", "TLP55522"), ("decision", &decision), ("caller", "***0101"), ("extension", "101")] {
        assert!(lookups[0].contains(&field(name, value)), "{name}: {}", lookups[0]);
    }
    let events: Vec<&&str> = lines.iter().filter(|l| l.contains(&field("path", EVENT))).collect();
    assert_eq!(events.len(), 6, "{own}");
    for (name, value) in [("call", "c1"), ("login", "TLP55522"), ("leg", "7001101-c1"), ("kind", "dial-in"), ("outcome", "applied")] {
        assert!(events[0].contains(&field(name, value)), "{name}: {}", events[0]);
    }
    assert!(lines.iter().all(|l| l.contains("took_ms")), "{own}");
    assert!(main.iter().any(|l| l.contains("/cid/1/event/TLP55522")) && !own.contains("/cid/1/"), "another application's path is not here");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    for line in lines.into_iter().chain(main.iter().map(String::as_str)) {
        assert!(!line.contains("sesame") && !line.contains("key=") && !line.contains("%6B"), "{line}");
        assert!(!line.contains("9995550101"), "{line}");
        assert!(!line.contains('?') && !line.contains("CallerIDNum"), "no query string: {line}");
    }
    for entry in house.journal().await {
        assert!(!String::from_utf8_lossy(&entry.raw).contains("sesame"), "{}", String::from_utf8_lossy(&entry.raw));
    }
}
