//! Any bytes at the hooks: a routing hook answers what the PBX can obey, an event hook takes it or says what is wrong with it.

use hookflash::domain::time::Timestamp;
use hookflash::store::journal;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rstest::rstest;

use super::refused;
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::client::Reply;
use crate::support::hooks::*;
use crate::support::{Backend, House, SHOP};

/// One request to a hook.
#[derive(Clone, Debug)]
struct Said {
    query: String,
    content_type: String,
    /// `None`: GET.
    body: Option<Vec<u8>>,
}

const NAMES: [&str; 22] = [
    "EventType",
    "EventTime",
    "CallID",
    "SubCallID",
    "CallFlow",
    "CallStatus",
    "CallerIDNum",
    "CallerExtension",
    "CalledNumber",
    "CalledExtension",
    "CalledDID",
    "RemoteNumber",
    "Bridged",
    "Duration",
    "BridgedDuration",
    "RecID",
    "CallBackID",
    "Transfered",
    "agent_id",
    "agent_status",
    "key",
    "Foo",
];

/// Values that mean something, that nearly do, and that mean nothing.
fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "dial-in",
        "dial-out",
        "answer",
        "hangup",
        "voicemail",
        "IN",
        "out",
        "yes",
        "no",
        "ANSWER",
        "BUSY",
        "null",
        "",
        "0047%2A101",
        "101",
        "0047*099@sip.example",
        "0047*",
        "*",
        "@",
        "+79995550101",
        "%2B79995550101",
        "89161234567",
        "1767000000000000",
        "\"1767000000000000\"",
        "-1",
        "0",
        "9223372036854775807",
        "99999999999999999999",
        "1e9",
        "%00",
        "%ff%fe",
        "%F0%9F%8C%B9",
        "%",
        "%zz",
        "+7٩٩٩٥٥٥٠١٠١",
        "＋７９９９５５５０１０１",
        "%E2%80%AE101",
        "c1",
    ])
    .prop_map(str::to_owned);
    prop_oneof![6 => known, 2 => "\\PC{0,12}", 1 => "[a-z%&=+]{0,300}"]
}

fn parameters() -> impl Strategy<Value = String> {
    let cased = |name: &str, upper: bool| if upper { name.to_uppercase() } else { name.to_owned() };
    let pair =
        (prop::sample::select(NAMES.to_vec()), any::<bool>(), value()).prop_map(move |(n, upper, v)| format!("{}={v}", cased(n, upper)));
    prop_oneof![8 => prop::collection::vec(pair, 0..14).prop_map(|pairs| pairs.join("&")), 1 => "\\PC{0,80}"]
}

fn said() -> impl Strategy<Value = Said> {
    let types = prop::sample::select(vec![
        FORM,
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/xml",
        "application/x-www-form-urlencoded; charset=koi8-r",
        "nonsense",
        "*/*",
    ]);
    let body = prop_oneof![
        2 => Just(None),
        6 => parameters().prop_map(|p| Some(p.into_bytes())),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Some),
        1 => parameters().prop_map(|p| Some(format!("{p}\0").into_bytes())),
        1 => prop::sample::select(vec!["{\"EventType\":\"hangup\"}", "<a>", "\0", "=", "&&&", "\u{feff}CallID=1"]).prop_map(|t| Some(t.as_bytes().to_vec())),
    ];
    (parameters(), types, body).prop_map(|(query, content_type, body)| Said {
        // What cannot stand in a request line never reaches a hook.
        query: query
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "=&%+*@._-~".contains(c) { c.to_string() } else { percent(c) })
            .collect(),
        content_type: content_type.into(),
        body,
    })
}

fn percent(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("%{b:02X}")).collect()
}

async fn send(client: &crate::support::client::Client, path: &str, said: &Said) -> Reply {
    match &said.body {
        None => client.hook_get(path, &said.query).await,
        Some(body) => client.hook_post(&format!("{path}?{}", said.query), &said.content_type, body.clone()).await,
    }
}

/// Runs a property of a request against one house; what the requests before left behind is part of the trial.
fn hold(backend: Backend, cases: u32, fallback: &'static str, test: impl AsyncFn(&House, &crate::support::client::Client, Said)) {
    actix_web::rt::System::new().block_on(async {
        let house = House::open_with(backend, |_| {}, |app| app.routing.fallback = fallback.into()).await;
        let client = house.client().await.without_token();
        let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let strategy = said();
        for _ in 0..cases {
            use proptest::strategy::ValueTree;
            let said = strategy.new_tree(&mut runner).expect("a request").current();
            eprintln!("{said:?}");
            house.clock.advance(1_000);
            test(&house, &client, said).await;
        }
    });
}

#[rstest]
fn a_routing_hook_answers_anything(#[values(Sqlite, Postgres)] backend: Backend, #[values("", "103")] fallback: &'static str) {
    let cases = if backend == Sqlite { 400 } else { 150 };
    hold(backend, cases, fallback, async |house, client, said| {
        let reply = send(client, ASK, &said).await;
        if let Some((variable, extension)) = reply.named() {
            assert_eq!(variable, "managerExt");
            assert!(["0047*101", "0047*102", "0047*103"].contains(&extension.as_str()), "{extension}");
        }
        let id = reply.decision();
        house.hookflash.db.flush().await;
        let recorded = house.read(move |conn| hookflash::store::decisions::get(conn, SHOP, &id)).await;
        assert!(recorded.is_some(), "the decision is not recorded");
    });
}

#[rstest]
fn an_event_hook_takes_anything_or_says_what_is_wrong(
    #[values(Sqlite, Postgres)] backend: Backend,
    #[values(EVENT, AGENT)] path: &'static str,
) {
    let cases = if backend == Sqlite { 400 } else { 150 };
    hold(backend, cases, "", async |house, client, said| {
        let count = async || house.read(|conn| journal::errors_since(conn, SHOP, Timestamp(0))).await.0;
        let before = count().await;
        let first = send(client, path, &said).await;
        let between = count().await;
        let second = send(client, path, &said).await;
        assert!([200, 400].contains(&first.status), "{} {}", first.status, first.body);
        assert_eq!(first.status, second.status, "the same again is answered the same: {}", second.body);
        assert!((before..=before + 1).contains(&between));
        assert_eq!(count().await, between, "the same is kept once");
        if first.status == 400 {
            let reason = first.body["title"].as_str().expect("a reason").to_owned();
            let journal = house.journal().await;
            assert!(refused(&journal).contains(&reason.as_str()), "{reason}");
        }
    });
}
