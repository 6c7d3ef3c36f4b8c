//! Click-to-call and recordings against the simulated PBX, over real HTTP in both directions.

use std::time::Duration;

use hookflash::net::{Http, Request, Response};
use hookflash::server::{self, Running};
use hookflash::simulator::telphin::{Behaviour, Conditions, Config, Row, Served, Simulator};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{ADMIN, Backend, House, eventually};

const APP: &str = "/api/v1/apps/807";

/// A house whose PBX is a simulator that sends its events to the house's server.
struct Street {
    house: House,
    pbx: Simulator,
    server: Running,
    http: Http,
}

impl Street {
    async fn open(backend: Backend, conditions: Conditions) -> Street {
        let pbx = Simulator::start(Config { conditions, seed: Some(7), ..Config::default() }).await.unwrap();
        let house = House::open_with(
            backend,
            |_| {},
            |app| {
                let telphin = app.telphin.as_mut().unwrap();
                telphin["api_url"] = pbx.base_url().into();
                (telphin["client_id"], telphin["client_secret"]) = ("app".into(), "secret".into());
            },
        )
        .await;
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server::start(house.hookflash.clone(), listener).unwrap();
        pbx.subscribe_all(&format!("{}/cid/807/event/TLP55522", server.url()));
        let http = Http::new(vec!["127.0.0.0/8".parse().unwrap()], Duration::from_secs(10));
        Street { house, pbx, server, http }
    }

    async fn send(&self, request: Request) -> Response {
        self.http.send(request, Duration::from_secs(20)).await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{APP}{path}", self.server.url())
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Request::get(self.url(path)).header("authorization", format!("Bearer {ADMIN}"))).await
    }

    async fn delete(&self, path: &str) -> Response {
        self.send(Request::delete(self.url(path)).header("authorization", format!("Bearer {ADMIN}"))).await
    }

    async fn click(&self, body: Value) -> (u16, Value) {
        self.click_with(body, "").await
    }

    async fn click_with(&self, body: Value, key: &str) -> (u16, Value) {
        let mut request = Request::post_json(self.url("/callbacks"), &body).header("authorization", format!("Bearer {ADMIN}"));
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let reply = self.send(request).await;
        (reply.status, reply.json().unwrap())
    }

    /// How often the PBX was asked to place a call.
    fn placed(&self) -> usize {
        let is_callback = |r: &&Served| r.method == "POST" && r.path.ends_with("/callback/");
        self.pbx.requests().iter().filter(is_callback).count()
    }

    /// Reads a callback until it has this status; the events come when they come.
    async fn becomes(&self, id: &str, status: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..1_000 {
            last = self.get(&format!("/callbacks/{id}")).await.json().unwrap();
            if last["status"] == status {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the callback never became {status}: {last}");
    }

    async fn close(self) {
        self.pbx.stop().await;
        self.server.stop().await.unwrap();
    }
}

fn to(dst: &str) -> Value {
    json!({"src_num": "101", "dst_num": dst})
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_rings_the_source_first_and_follows_the_call_to_its_end(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, Conditions::instant()).await;
    let (status, placed) = street.click_with(to("+79995550103"), "k1").await;
    assert_eq!((status, &placed["src_num"], &placed["dst_num"]), (202, &json!("101"), &json!("+79995550103")), "{placed}");
    assert_eq!((&placed["caller_id_name"], &placed["caller_id_number"]), (&json!("+79995550103"), &json!("+79995550103")));
    let id = placed["id"].as_str().unwrap();
    let done = street.becomes(id, "done").await;
    let legs: Value = street.get("/legs").await.json().unwrap();
    let leg = &legs["items"][0];
    assert_eq!((&leg["call_id"], &leg["callback_id"]), (&done["call_id"], &json!(id)), "{leg}");
    assert_eq!((&leg["direction"], &leg["status"], &leg["agent"]), (&json!("out"), &json!("answered"), &json!("ann")));
    let (again, same) = street.click_with(to("+79995550103"), "k1").await;
    assert_eq!((again, &same["id"], street.placed()), (202, &json!(id), 1), "the same key is the same call");
    let (other, problem) = street.click_with(to("+79995550104"), "k1").await;
    assert_eq!(other, 409, "{problem}");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_is_a_clear_problem(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, Conditions::instant()).await;
    for (body, field) in [
        (json!({"src_num": "999", "dst_num": "+79995550103"}), "src_num"),
        (json!({"src_num": "200", "dst_num": "+79995550103"}), "src_num"),
        (json!({"src_num": "101", "dst_num": "12"}), "dst_num"),
        (json!({"src_num": "101", "dst_num": "101"}), "dst_num"),
        (json!({"src_num": "+79995550199", "dst_num": "+79995550103"}), "on_behalf"),
        (json!({"src_num": "101", "dst_num": "+79995550103", "dial": 1}), "dial"),
        (json!({"dst_num": "+79995550103"}), "src_num"),
    ] {
        let (status, problem) = street.click(body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    assert_eq!(street.placed(), 0);
    // The source is on the phone.
    street.house.event("EventType=dial-in&EventTime=1767000000000000&CallID=b&SubCallID=b1&CallFlow=IN&CallerIDNum=%2B79995550109&CalledExtension=0047*101").await;
    let (status, problem) = street.click(to("+79995550103")).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("Ann Lee (101) is busy")));
    // The PBX refuses: its own words.
    street.pbx.change(|c| (c.fail_status, c.fail_next) = (403, 100));
    let (status, problem) = street.click(json!({"src_num": "102", "dst_num": "+79995550103"})).await;
    assert_eq!(status, 502, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("403"), "{problem}");
    street.pbx.change(|c| c.fail_next = 0);
    assert!(!street.house.state("bob").await.engaged(street.house.clock.now()), "a refused call keeps nobody");
    let (status, _) = street.click(json!({"src_num": "102", "dst_num": "+79995550103"})).await;
    assert_eq!(status, 202, "the refused one is over");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_died_early_is_renewed_once(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, Conditions::instant()).await;
    let (_, first) = street.click(to("+79995550103")).await;
    street.becomes(first["id"].as_str().unwrap(), "done").await;
    street.pbx.kill_tokens();
    let (status, second) = street.click(to("+79995550104")).await;
    assert_eq!(status, 202, "{second}");
    street.becomes(second["id"].as_str().unwrap(), "done").await;
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_pbx_has_us_wait_no_call_is_placed(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, Conditions::instant()).await;
    let (_, first) = street.click(to("+79995550103")).await;
    street.becomes(first["id"].as_str().unwrap(), "done").await;
    street.pbx.change(|c| (c.fail_status, c.fail_next) = (429, 1));
    for _ in 0..2 {
        let (status, problem) = street.click(json!({"src_num": "102", "dst_num": "+79995550104"})).await;
        assert_eq!(status, 502, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("not asked before"), "{problem}");
        assert!(!street.house.state("bob").await.engaged(street.house.clock.now()), "nobody is kept for it");
    }
    assert_eq!(street.placed(), 2, "one was placed, one was refused, and then none was sent");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_clear_reply_is_never_asked_again_and_adopts_its_call(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, Conditions::instant()).await;
    // The extension's id is known from a first call, so that the next thing to break is the callback itself.
    let (_, first) = street.click(to("+79995550104")).await;
    street.becomes(first["id"].as_str().unwrap(), "done").await;
    street.pbx.change(|c| c.half_replies = 1);
    let (status, unclear) = street.click(to("+79995550103")).await;
    assert_eq!(status, 202, "{unclear}");
    let id = unclear["id"].as_str().unwrap();
    let adopted = street.becomes(id, "done").await;
    assert!(adopted["call_id"].is_string(), "{adopted}");
    assert_eq!(street.placed(), 2);
    street.close().await;
}

#[rstest]
#[tokio::test]
async fn an_unclear_callback_that_nothing_follows_fails_after_two_minutes(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, Conditions::instant()).await;
    street.pbx.behave("101", Behaviour::NoAnswer);
    let (_, first) = street.click(to("+79995550104")).await;
    let id = first["id"].as_str().unwrap();
    street.house.pass_s(121);
    hookflash::timers::sweep(&street.house.hookflash).await;
    let failed = street.becomes(id, "failed").await;
    assert!(failed["reason"].as_str().unwrap().contains("did not"), "{failed}");
    // Its leg may still be on the way.
    eventually(async || !street.house.state("ann").await.engaged(street.house.clock.now())).await;
    street.close().await;
}

/// A street with one recorded call; its recording's id.
async fn recorded(backend: Backend, conditions: Conditions) -> (Street, String) {
    let street = Street::open(backend, conditions).await;
    street.pbx.play(Row::OutgoingAnswered, "+79995550103", 3).await;
    let list: Value = street.get("/records").await.json().unwrap();
    let id = list["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned();
    assert_eq!(list["items"][0]["extension"], "101");
    (street, id)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_comes_whole_and_in_parts_wherever_it_lies(
    #[values(Sqlite, Postgres)] backend: Backend,
    #[values(false, true)] storage: bool,
    #[values(false, true)] honour_range: bool,
) {
    let (street, id) = recorded(backend, Conditions { storage, honour_range, ..Conditions::instant() }).await;
    let audio = |range: &str| {
        let request = Request::get(street.url(&format!("/records/{id}/audio"))).header("authorization", format!("Bearer {ADMIN}"));
        if range.is_empty() { request } else { request.header("range", range) }
    };
    let whole = street.send(audio("")).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("audio/mpeg")));
    let total = whole.body.len();
    assert!(total > 100);
    let part = street.send(audio("bytes=10-19")).await;
    assert_eq!((part.status, part.header("content-range")), (206, Some(format!("bytes 10-19/{total}").as_str())));
    assert_eq!(part.body, whole.body[10..20]);
    let end = street.send(audio("bytes=-5")).await;
    assert_eq!((end.status, &end.body[..]), (206, &whole.body[total - 5..]));
    let outside = street.send(audio(&format!("bytes={total}-"))).await;
    assert_eq!((outside.status, outside.header("content-range")), (416, Some(format!("bytes */{total}").as_str())));
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_not_ready_is_a_wait(#[values(Sqlite, Postgres)] backend: Backend) {
    let (street, id) = recorded(backend, Conditions { record_delay_ms: 3_600_000, ..Conditions::instant() }).await;
    let path = format!("/records/{id}/audio");
    let first = street.get(&path).await;
    assert_eq!((first.status, first.header("retry-after")), (202, Some("5")));
    let asked = street.pbx.requests().len();
    assert_eq!(street.get(&path).await.status, 202);
    assert_eq!(street.pbx.requests().len(), asked, "the PBX is not asked again within five seconds");
    street.house.pass_s(5);
    assert_eq!(street.get(&path).await.status, 202);
    assert!(street.pbx.requests().len() > asked);
    street.house.pass_s(600);
    assert_eq!(street.get(&path).await.status, 404, "after ten minutes it will not come any more");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_play_without_a_token_until_they_are_revoked(#[values(Sqlite, Postgres)] backend: Backend) {
    let (street, id) = recorded(backend, Conditions::instant()).await;
    let reply: Value = street.get(&format!("/records/{id}/storage_url")).await.json().unwrap();
    assert_eq!(reply.as_object().unwrap().len(), 1, "the PBX's own shape: {reply}");
    let token = reply["record_url"].as_str().unwrap().split("/r/").nth(1).unwrap().to_owned();
    let link = format!("{}/r/{token}", street.server.url());
    assert_eq!(street.send(Request::get(&link)).await.status, 200);
    let again: Value = street.get(&format!("/records/{id}/storage_url")).await.json().unwrap();
    assert_eq!(again, reply, "asking again gives the same link");
    let mut forged = token.clone();
    forged.replace_range(4..5, if &token[4..5] == "A" { "B" } else { "A" });
    for wrong in [forged.as_str(), "", "807.x.y", &token[..token.len() - 1]] {
        assert_eq!(street.send(Request::get(format!("{}/r/{wrong}", street.server.url()))).await.status, 404, "{wrong}");
    }
    let plays: Value = street.get(&format!("/records/{id}/plays")).await.json().unwrap();
    assert_eq!((plays["items"].as_array().unwrap().len(), &plays["items"][0]["by"]), (1, &json!("link")));
    let links: Value = street.get(&format!("/records/{id}/links")).await.json().unwrap();
    let name = links["items"][0]["id"].as_str().unwrap();
    assert_eq!(street.delete(&format!("/record-links/{name}")).await.status, 204);
    assert_eq!(street.send(Request::get(&link)).await.status, 404);
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_deleted_here_and_at_the_pbx(#[values(Sqlite, Postgres)] backend: Backend) {
    let (street, id) = recorded(backend, Conditions::instant()).await;
    assert_eq!(street.delete(&format!("/records/{id}")).await.status, 204);
    assert_eq!(street.get(&format!("/records/{id}/audio")).await.status, 404);
    assert_eq!(street.delete(&format!("/records/{id}")).await.status, 404);
    for seed in [4, 5] {
        street.pbx.play(Row::OutgoingAnswered, "+79995550103", seed).await;
    }
    assert_eq!(street.delete("/records").await.status, 400, "the range is mandatory");
    let none: Value = street.delete("/records?from=2001-01-01&to=2001-01-02").await.json().unwrap();
    assert_eq!(none, json!({"deleted": 0}));
    let both: Value = street.delete("/records?from=2001-01-01&to=2999-01-01").await.json().unwrap();
    assert_eq!(both, json!({"deleted": 2}));
    let list: Value = street.get("/records").await.json().unwrap();
    assert_eq!(list["items"], json!([]));
    street.close().await;
}

#[rstest]
#[tokio::test]
async fn a_recording_is_not_asked_for_by_the_name_of_a_place(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await;
    for id in ["%2e", "%2e%2e", ".."] {
        for path in ["audio", "storage_url"] {
            client.get(&format!("/api/v1/apps/807/records/{id}/{path}")).await.refused(404);
        }
        client.delete(&format!("/api/v1/apps/807/records/{id}")).await.refused(404);
    }
    client.get("/api/v1/apps/807/records/nosuch/storage_url").await.refused(404);
}
