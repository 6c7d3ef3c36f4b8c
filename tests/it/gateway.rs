//! The client of the PBX's API against the simulated PBX: limits, turns, tokens, and what is sent again.

use std::sync::Arc;

use hookflash::app::Hookflash;
use hookflash::gateway::GatewayError;
use hookflash::net::Request;
use hookflash::simulator::telphin::{Conditions, Config, Simulator};
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, House, SHOP, at_pbx};

/// A house whose PBX is simulated, on the house's clock.
async fn with_pbx(backend: Backend) -> (House, Simulator) {
    with_patience(backend, 2_000).await
}

async fn with_patience(backend: Backend, timeout_ms: u64) -> (House, Simulator) {
    let pbx = Simulator::start(Config { conditions: Conditions::instant(), seed: Some(1), ..Config::default() }).await.unwrap();
    let url = pbx.base_url();
    let house = House::open_with(backend, |settings| settings.outbound.timeout_ms = timeout_ms, |app| at_pbx(app, &url)).await;
    (house, pbx)
}

/// Another node of the same installation.
async fn node(house: &House) -> Arc<Hookflash> {
    Hookflash::open(house.hookflash.settings.clone(), house.clock.clone()).await.unwrap()
}

fn api(pbx: &Simulator, path: &str) -> String {
    format!("{}/api/ver1.0{path}", pbx.base_url())
}

fn user(pbx: &Simulator) -> Request {
    Request::get(api(pbx, "/user/"))
}

fn served(pbx: &Simulator, method: &str, path: &str) -> usize {
    pbx.requests().iter().filter(|r| r.method == method && r.path.ends_with(path)).count()
}

#[rstest]
#[tokio::test]
async fn the_hourly_limit_that_one_node_met_is_every_nodes(#[values(Sqlite, Postgres)] backend: Backend) {
    let (house, pbx) = with_pbx(backend).await;
    let other = node(&house).await;
    pbx.change(|c| c.hourly_limit = 2);
    let app = house.app();
    house.hookflash.gateway.send(&app, user(&pbx)).await.unwrap();
    house.hookflash.gateway.send(&app, user(&pbx)).await.unwrap();
    let before = pbx.requests().len();
    for gateway in [&house.hookflash.gateway, &other.gateway] {
        let error = gateway.send(&app, user(&pbx)).await.unwrap_err();
        assert!(matches!(&error, GatewayError::Waiting { why, .. } if why.contains("used up")), "{error}");
    }
    assert_eq!(pbx.requests().len(), before, "nothing was sent");
    house.pass_s(3_601);
    pbx.change(|c| c.hourly_limit = 1_000);
    other.gateway.send(&app, user(&pbx)).await.unwrap();
    let line = house.hookflash.gateway.line(SHOP).await.unwrap();
    assert_eq!((line.hour_limit, line.waits(house.clock.now())), (Some(1_000), None));
    pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_refusal_for_the_hour_is_waited_out_and_never_repeated(#[values(Sqlite, Postgres)] backend: Backend) {
    let (house, pbx) = with_pbx(backend).await;
    pbx.change(|c| (c.fail_status, c.fail_next) = (429, 1));
    let (gateway, app) = (&house.hookflash.gateway, house.app());
    for _ in 0..2 {
        assert!(matches!(gateway.send(&app, user(&pbx)).await, Err(GatewayError::Waiting { .. })));
    }
    assert_eq!(served(&pbx, "GET", "/user/"), 1);
    house.pass_s(3_601);
    gateway.send(&app, user(&pbx)).await.unwrap();
    pbx.stop().await;
}

#[rstest]
#[case::broken(|c: &mut Conditions| (c.fail_status, c.fail_next) = (502, 1))]
#[case::half(|c: &mut Conditions| c.half_replies = 1)]
#[tokio::test]
async fn a_get_is_sent_again_and_nothing_else_is(#[case] break_it: fn(&mut Conditions)) {
    let (house, pbx) = with_pbx(Sqlite).await;
    let (gateway, app) = (&house.hookflash.gateway, house.app());
    gateway.send(&app, user(&pbx)).await.unwrap();
    pbx.change(break_it);
    gateway.send(&app, user(&pbx)).await.unwrap();
    assert_eq!(served(&pbx, "GET", "/user/"), 3);
    pbx.change(break_it);
    let body = serde_json::json!({"url": "https://crm.example/", "method": "POST", "event_type": "hangup"});
    let error = gateway.send(&app, Request::post_json(api(&pbx, "/extension/700101/event/"), &body)).await.unwrap_err();
    assert!(matches!(error, GatewayError::Unclear(_)), "{error}");
    assert_eq!(served(&pbx, "POST", "/event/"), 1);
    pbx.stop().await;
}

#[tokio::test]
async fn a_pbx_that_does_not_answer_in_time_is_given_up_and_nothing_is_sent_twice() {
    let (house, pbx) = with_patience(Sqlite, 300).await;
    let (gateway, app) = (&house.hookflash.gateway, house.app());
    gateway.send(&app, user(&pbx)).await.unwrap();
    pbx.change(|c| c.slow_ms = 600_000);
    let callback = serde_json::json!({"src_num": ["0047*101"], "dst_num": "+79995550103"});
    let error = gateway.send(&app, Request::post_json(api(&pbx, "/extension/700101/callback/"), &callback)).await.unwrap_err();
    assert!(matches!(error, GatewayError::Unclear(_)), "{error}");
    let error = gateway.send(&app, user(&pbx)).await.unwrap_err();
    assert!(matches!(error, GatewayError::Unclear(_)), "{error}");
    let line = gateway.line(SHOP).await.unwrap();
    assert!(line.down_since.is_some() && line.down_why.is_some(), "{line:?}");
    pbx.stop().await;
    let error = gateway.send(&app, user_at("http://127.0.0.1:1")).await.unwrap_err();
    assert!(matches!(error, GatewayError::Unreachable(_)), "{error}");
}

fn user_at(host: &str) -> Request {
    Request::get(format!("{host}/api/ver1.0/user/"))
}

#[rstest]
#[tokio::test]
async fn a_token_that_dies_early_is_replaced_once_for_all_who_need_it(#[values(Sqlite, Postgres)] backend: Backend) {
    let (house, pbx) = with_pbx(backend).await;
    let (gateway, app) = (&house.hookflash.gateway, house.app());
    gateway.send(&app, user(&pbx)).await.unwrap();
    pbx.kill_tokens();
    let asked = futures_util::future::join_all((0..5).map(|_| gateway.send(&app, user(&pbx)))).await;
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    assert_eq!(served(&pbx, "POST", "/oauth/token"), 2);
    pbx.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_are_asked_for_one_at_a_time_by_all_nodes(#[values(Sqlite, Postgres)] backend: Backend) {
    let (house, pbx) = with_pbx(backend).await;
    let other = node(&house).await;
    pbx.change(|c| c.list_ms = 30);
    let app = house.app();
    let list = Request::get(api(&pbx, "/client/@me/record/?start_datetime=2025-12-29%2000:00:00&end_datetime=2025-12-29%2001:00:00"));
    let gateways = [&house.hookflash.gateway, &other.gateway, &house.hookflash.gateway, &other.gateway];
    let replies = futures_util::future::join_all(gateways.map(|gateway| gateway.statistics(&app, list.clone()))).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!(pbx.requests().iter().filter(|r| r.status == 429).count(), 0, "nobody was in the way of another");
    assert_eq!(house.hookflash.gateway.line(SHOP).await.unwrap().turn_of, None);
    pbx.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_statistics_are_waited_for() {
    let (house, pbx) = with_pbx(Sqlite).await;
    pbx.change(|c| (c.list_ms, c.slow_ms) = (400, 0));
    let (gateway, app) = (&house.hookflash.gateway, house.app());
    let list = Request::get(api(&pbx, "/client/@me/record/?start_datetime=2025-12-29%2000:00:00&end_datetime=2025-12-29%2001:00:00"));
    // One that does not wait for its turn: another program of the customer's.
    let (stranger, ours) = futures_util::join!(gateway.send(&app, list.clone()), gateway.statistics(&app, list.clone()));
    assert!(stranger.is_ok() || ours.is_ok());
    assert!(ours.is_ok(), "{ours:?}");
    pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_outage_is_told_from_its_beginning_and_ends_with_the_first_reply(#[values(Sqlite, Postgres)] backend: Backend) {
    let (house, pbx) = with_pbx(backend).await;
    let (gateway, app) = (&house.hookflash.gateway, house.app());
    gateway.send(&app, user(&pbx)).await.unwrap();
    let began = house.clock.now();
    pbx.change(|c| (c.fail_status, c.fail_next) = (503, 1_000));
    for _ in 0..2 {
        assert!(matches!(gateway.send(&app, user(&pbx)).await, Err(GatewayError::Unclear(_))));
        house.pass_s(3_600);
    }
    let line = gateway.line(SHOP).await.unwrap();
    assert_eq!((line.down_since, line.down_why.as_deref()), (Some(began.0), Some("status 503: A failure, as told")));
    pbx.change(|c| c.fail_next = 0);
    gateway.send(&app, user(&pbx)).await.unwrap();
    assert_eq!(gateway.line(SHOP).await.unwrap().down_since, None);
    pbx.stop().await;
}
