//! Our server dies, is away, or hangs: no caller hears silence because of it, and nobody is bound by it.

use rstest::rstest;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::Lab;
use super::phone::Scenario;
use super::street::DID;
use crate::support::Backend::{self, Postgres, Sqlite};

/// A caller whom the PBX's own route answers, and within twelve seconds.
fn by_the_own_route() -> Scenario {
    Scenario::dials(DID).then("is_answered", &[("patience_ms", "12000")]).stays()
}

fn took_the_own_route(lab: &Lab) {
    let channels = lab.channels();
    assert!(channels.values().all(|c| c.own_route.is_some()) && channels.len() == 1, "{channels:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_call_it_knows_the_call_when_it_is_back(#[values(Sqlite, Postgres)] backend: Backend) {
    let lab = Lab::without_server(backend, |_| {}).await;
    lab.serve().await;
    let ann = lab.agent(101, &Scenario::answers(100).stays(), 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(15_000)).await;
    lab.until("ann", "on_call").await;
    lab.kill();
    // The dead one's lease of the connection has to end first, which takes eight seconds.
    lab.serve().await;
    assert_eq!(lab.is("ann").await, "on_call");
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    lab.at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ends_while_it_is_dead_binds_nobody() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::answers(100).stays(), 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(2_000)).await;
    lab.until("ann", "on_call").await;
    lab.kill();
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.serve().await;
    lab.until("ann", "available").await;
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    // And he takes the next call.
    let ann = lab.agent(101, &Scenario::answers(0).stays(), 1).await;
    let caller = lab.caller(2, &Scenario::dials(DID).talks(300)).await;
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"], &["in 101 answered"]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_our_server_calls_go_the_pbx_s_own_way() {
    let lab = Lab::without_server(Sqlite, |_| {}).await;
    lab.caller(1, &by_the_own_route()).await.done().await;
    took_the_own_route(&lab);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_and_never_answers_holds_nobody_up() {
    let lab = Lab::without_server(Sqlite, |_| {}).await;
    let listener = TcpListener::bind(lab.address()).await.unwrap();
    let hangs = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            open.push((stream, asked));
        }
    });
    lab.caller(1, &by_the_own_route()).await.done().await;
    took_the_own_route(&lab);
    hangs.abort();
}
