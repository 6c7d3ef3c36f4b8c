//! An Asterisk beside the house: click-to-call over AMI, what `check --live` finds there, recordings on its web server.

use std::time::Duration;

use hookflash::net::{Http, Request, Response};
use hookflash::pbx::asterisk::setup::{Dialplan, loaded};
use hookflash::pbx::{Pbx, setup::Hooks};
use hookflash::provision::{self, Provision, check::Report};
use hookflash::server::{self, Running};
use hookflash::simulator::asterisk::{Ami, Lines, block, value};
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{ADMIN, Backend, House, eventually};

const APP: i64 = 808;
const RECORD: &str = "808-1767000000.7-1767000000.wav";

/// Our server, and the AMI and the web server of its PBX.
struct Street {
    house: House,
    ami: Ami,
    web: MockServer,
    server: Running,
    http: Http,
}

impl Street {
    async fn open(backend: Backend) -> Street {
        Street::declared(backend, |_| {}).await
    }

    async fn declared(backend: Backend, edit: impl FnOnce(&mut Value)) -> Street {
        let (ami, web) = (Ami::start("hookflash", "s3cret").await.unwrap(), MockServer::start().await);
        let house = House::shop(backend).await;
        let mut asterisk = json!({
            "ami_address": ami.address(), "ami_user": "hookflash", "ami_secret": "s3cret",
            "outside_device": "PJSIP/{number}@trunk", "default_context": "from-pstn",
            "recordings_url": format!("{}/rec/", web.uri()), "recordings_user": "player", "recordings_password": "pass word",
        });
        edit(&mut asterisk);
        let app = json!({
            "id": APP, "name": "Flower shop by post", "pbx": "asterisk", "login": "pbx1", "country": "RU", "key": "k&1",
            "agent": [
                {"id": "ann", "name": "Ann Lee", "extension": "101"},
                {"id": "bob", "name": "Bob Ray", "extension": "102"},
            ],
            "blacklist": [{"number": "+79995550199", "outbound_blocked": true}],
            "asterisk": asterisk,
        });
        house.declare_application(serde_json::from_value(app).expect("an application")).await;
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server::start(house.hookflash.clone(), listener).unwrap();
        let http = Http::new(vec!["127.0.0.0/8".parse().unwrap()], Duration::from_secs(10));
        Street { house, ami, web, server, http }
    }

    async fn listened_to(&self) {
        eventually(async || self.ami.listening() > 0).await;
    }

    async fn send(&self, request: Request) -> Response {
        self.http.send(request, Duration::from_secs(20)).await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/apps/{APP}{path}", self.server.url())
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Request::get(self.url(path)).header("authorization", format!("Bearer {ADMIN}"))).await
    }

    async fn click(&self, body: Value) -> (u16, Value) {
        let reply = self.send(Request::post_json(self.url("/callbacks"), &body).header("authorization", format!("Bearer {ADMIN}"))).await;
        (reply.status, reply.json().unwrap())
    }

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

    async fn told(&self, form: &str) -> u16 {
        let url = format!("{}/cid/{APP}/event/pbx1?key=k%261", self.server.url());
        let mut request = Request::post_form(url, &[]);
        request.body = Some(form.to_owned().into());
        self.send(request).await.status
    }

    /// How often the PBX was asked to place a call.
    fn placed(&self) -> Vec<Lines> {
        self.ami.actions().into_iter().filter(|a| value(a, "Action") == Some("Originate") && value(a, "Channel").is_some()).collect()
    }

    async fn check(&self) -> Report {
        let h = &self.house.hookflash;
        let app = h.roster.app(APP).expect("declared");
        let hooks = provision::hooks(&app, "https://pbx.example.com").unwrap();
        Provision { gateway: &h.gateway, link: &h.link, db: &h.db, clock: &h.clock, app: &app, hooks }.check().await
    }

    async fn close(self) {
        self.server.stop().await.unwrap();
    }
}

fn to(dst: &str) -> Value {
    json!({"src_num": "101", "dst_num": dst, "caller_id_name": "Client One"})
}

/// What a real Asterisk said of a click, as of this callback, block by block.
fn stream(name: &str, callback: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{}/tests/fixtures/asterisk/{name}.ami", env!("CARGO_MANIFEST_DIR"))).expect("a fixture");
    let text = text.replace("\r\n", "\n").replace("hookflash-cb1", &format!("hookflash-{callback}"));
    let text = text.replace("ActionID: cb1", &format!("ActionID: hookflash-{callback}"));
    text.split("\n\n").map(str::to_owned).filter(|b| b.contains("Event: ")).collect()
}

/// Tells what comes up to the first block that holds all of these lines.
fn tell_to(street: &Street, blocks: &mut std::vec::IntoIter<String>, lines: &[&str]) {
    for block in blocks.by_ref() {
        let found = !lines.is_empty() && lines.iter().all(|line| block.lines().any(|l| l.starts_with(line)));
        street.ami.tell(&block);
        if found {
            return;
        }
    }
    assert!(lines.is_empty(), "no block holds {lines:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_rings_the_agent_first_and_follows_the_call_to_its_end(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    street.listened_to().await;
    let (status, placed) = street.click(to("+79995550177")).await;
    assert_eq!((status, &placed["status"]), (202, &json!("accepted")), "{placed}");
    let id = placed["id"].as_str().unwrap();
    let asked = street.placed();
    let (channel, said) = (format!("hookflash-{id}"), |key| value(&asked[0], key));
    assert_eq!((said("ChannelId"), said("ActionID")), (Some(channel.as_str()), Some(channel.as_str())));
    assert_eq!((said("Channel"), said("Context"), said("Exten")), (Some("PJSIP/101"), Some("hookflash-808-out"), Some("+79995550177")));
    assert_eq!(said("CallerID"), Some("\"Client One\" <+79995550177>"), "his phone shows whom he calls");
    let (status, problem) = street.click(to("+79995550178")).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("Ann Lee (101) is busy")));

    let own = format!("Uniqueid: {channel}");
    let mut blocks = stream("originate_answered", id).into_iter();
    tell_to(&street, &mut blocks, &["Event: Newstate", "ChannelStateDesc: Ringing", &own]);
    street.becomes(id, "ringing_source").await;
    tell_to(&street, &mut blocks, &["Event: DialBegin", &own]);
    street.becomes(id, "ringing_destination").await;
    tell_to(&street, &mut blocks, &["Event: DialEnd", &own, "DialStatus: ANSWER"]);
    street.becomes(id, "talking").await;
    tell_to(&street, &mut blocks, &[]);
    let done = street.becomes(id, "done").await;
    let call: Value = street.get(&format!("/calls/{}", done["call_id"].as_str().unwrap())).await.json().unwrap();
    assert_eq!((&call["direction"], &call["status"]), (&json!("out"), &json!("answered")), "{call}");
    let logged: Value = street.get("/legs").await.json().unwrap();
    assert_eq!(logged["items"].as_array().unwrap().len(), 1, "one row, of the call that was placed: {logged}");
    assert_eq!((&logged["items"][0]["agent"], &logged["items"][0]["callback_id"]), (&json!("ann"), &json!(id)), "{logged}");
    assert_eq!(street.placed().len(), 1);
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_that_comes_to_nothing_says_why(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    street.listened_to().await;
    for (name, reason) in [
        ("originate_agent_busy", "the source was busy"),
        ("originate_no_answer_of_agent", "the source did not answer"),
        ("originate_destination_busy", "the destination was busy"),
    ] {
        let (status, placed) = street.click(to("+79995550177")).await;
        assert_eq!(status, 202, "{name}: {placed}");
        let id = placed["id"].as_str().unwrap();
        stream(name, id).iter().for_each(|block| street.ami.tell(block));
        let failed = street.becomes(id, "failed").await;
        assert_eq!(failed["reason"], json!(reason), "{name}: {failed}");
        let h = &street.house.hookflash;
        let engaged = async || {
            let state = h.db.read(|conn| hookflash::store::agents::get(conn, APP, "ann")).await.unwrap().unwrap();
            state.engaged(h.clock.now())
        };
        eventually(async || !engaged().await).await;
    }
    street.ami.tell("Event: DeviceStateChange\nDevice: PJSIP/102\nState: UNAVAILABLE");
    let away = json!("the PBX cannot reach the phone of Bob Ray (102): it is not registered");
    let h = &street.house.hookflash;
    let bob = async || h.db.read(|conn| hookflash::store::agents::get(conn, APP, "bob")).await.unwrap().unwrap();
    eventually(async || bob().await.phone_is_away()).await;
    let (status, problem) = street.click(json!({"src_num": "102", "dst_num": "+79995550177"})).await;
    assert_eq!((status, &problem["detail"]), (409, &away), "nothing rings that cannot");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_pbx_refuses_is_a_problem_in_its_words_and_what_is_unclear_is_not_asked_again(
    #[values(Sqlite, Postgres)] backend: Backend,
) {
    let street = Street::open(backend).await;
    street.listened_to().await;
    street.ami.on("Originate", |_| vec![block("Response: Error\nMessage: Extension does not exist.")]);
    let (status, problem) = street.click(to("+79995550177")).await;
    assert_eq!(status, 502, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("Extension does not exist."), "{problem}");
    // Asked, and the connection is gone before it answers: it is not known whether a phone rings, and its events tell.
    street.ami.on("Originate", |_| Vec::new());
    let asked = street.placed().len();
    let click = street.click(to("+79995550177"));
    let cut = async {
        eventually(async || street.placed().len() > asked).await;
        street.ami.drop_connections();
    };
    let ((status, unclear), ()) = tokio::join!(click, cut);
    assert_eq!((status, &unclear["status"], &unclear["reason"]), (202, &json!("accepted"), &json!("unclear")), "{unclear}");
    street.listened_to().await;
    let id = unclear["id"].as_str().unwrap();
    stream("originate_answered", id).iter().for_each(|block| street.ami.tell(block));
    assert!(street.becomes(id, "done").await["call_id"].is_string());
    assert_eq!(street.placed().len(), asked + 1);
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_placed_is_said_before_anything_is_asked(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::declared(backend, |asterisk| asterisk["outside_device"] = json!("")).await;
    street.listened_to().await;
    let (status, problem) = street.click(to("+79995550177")).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("dst_num")), "{problem}");
    assert!(problem["errors"][0]["reason"].as_str().unwrap().contains("asterisk.outside_device"), "{problem}");
    let (status, problem) = street.click(json!({"src_num": "+79995550177", "on_behalf": "101", "dst_num": "102"})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("src_num")), "{problem}");
    let (status, problem) = street.click(to("+79995550199")).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("dst_num")), "on the blacklist: {problem}");
    let (status, problem) = street.click(json!({"src_num": "+79995550199", "on_behalf": "101", "dst_num": "102"})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("src_num")), "it would be called first: {problem}");
    assert!(problem["errors"][0]["reason"].as_str().unwrap().contains("on the blacklist"), "{problem}");
    let (status, placed) = street.click(to("102")).await;
    assert_eq!((status, &placed["dst_num"]), (202, &json!("102")), "a colleague needs no line to the outside: {placed}");
    street.close().await;

    let street = Street::declared(backend, |asterisk| asterisk["ami_address"] = json!("")).await;
    let (status, problem) = street.click(to("+79995550177")).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("asterisk.ami_address"), "{problem}");
    street.close().await;
}

/// Has the simulated PBX hold this dialplan.
fn load(street: &Street, text: &str) {
    let contexts = loaded::of_text(text);
    street.ami.on("ShowDialPlan", move |asked| {
        let name = value(asked, "Context").unwrap_or_default();
        if name == "from-pstn" {
            return list(&["Set(X=1)".to_owned()]);
        }
        match contexts.get(name) {
            Some(lines) => list(lines),
            None => vec![block(&format!("Response: Error\nMessage: Did not find context {name}"))],
        }
    });
}

fn list(lines: &[String]) -> Vec<Lines> {
    let mut blocks = vec![block("Response: Success\nEventList: start")];
    for line in lines {
        let (application, data) = line.split_once('(').unwrap();
        blocks.push(block(&format!("Event: ListDialplan\nApplication: {application}\nAppData: {}", data.strip_suffix(')').unwrap())));
    }
    blocks.push(block("Event: ShowDialPlanComplete\nEventList: Complete"));
    blocks
}

fn printed(street: &Street, plain: bool) -> String {
    let app = street.house.hookflash.roster.app(APP).unwrap();
    let hooks = Hooks::new("https://pbx.example.com", APP, "pbx1", Some("k&1".into()));
    let Pbx::Asterisk(settings) = &app.pbx else { panic!("an Asterisk") };
    Dialplan { application: APP, settings, hooks: &hooks, plain }.text()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_proves_everything_that_a_call_needs(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    load(&street, &printed(&street, false));
    street.ami.set_devices(&[("PJSIP/101", "NOT_INUSE"), ("PJSIP/102", "UNAVAILABLE")]);
    street.ami.on("Originate", |_| vec![block("Response: Error\nMessage: Channel not specified")]);
    street.ami.on("Getvar", |asked| {
        assert_eq!(value(asked, "Variable"), Some("CURL(https://pbx.example.com/cid/808/check/pbx1?key=k%261)"));
        vec![block("Response: Success\nValue: OK")]
    });
    let report = street.check().await;
    assert_eq!(report.findings, vec![]);
    assert_eq!(
        report.proved.join(", "),
        "AMI lets hookflash in, Asterisk 22.0.0-simulated, the clocks differ by 0 ms, 8 of 8 contexts are loaded as they must be, \
         the PBX reaches https://pbx.example.com/cid/808/check/pbx1?key=…, 1 of 2 phones can be reached, the recordings' web server answers"
    );
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_finds_what_is_wrong_and_names_the_mend(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    // A context of another version, a context less, and a PBX without JSON.
    let old = printed(&street, false).replace("event=hangup", "event=end").replace("[hookflash-808-out]", "[elsewhere]");
    load(&street, &old);
    street.ami.set_devices(&[("PJSIP/101", "NOT_INUSE")]);
    street.ami.on("CoreSettings", |_| vec![block("Response: Success\nAsteriskVersion: 18.9.0")]);
    street.ami.on("Originate", |_| vec![block("Response: Error\nMessage: Permission denied")]);
    street.ami.on("Getvar", |_| vec![block("Response: Success\nValue: {\"title\":\"the key is missing or wrong\",\"status\":403}")]);
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).mount(&street.web).await;
    street.house.clock.advance(60_000_000);
    let found: Vec<String> = street.check().await.findings.iter().map(|f| format!("{}: {}; {}", f.what, f.detail, f.mend)).collect();
    for expected in [
        "AMI: hookflash of manager.conf lacks the right that places calls; add originate to write",
        "clock: the PBX's clock is 60 s behind ours",
        "dialplan: the context hookflash-808-out is not loaded; paste what hookflash provision 808 prints",
        "dialplan: the context hookflash-808-hangup is not the one for this application as it is declared",
        "dialplan: Asterisk 18.9.0 has no JSON_DECODE; paste what hookflash provision 808 --plain prints",
        "hooks: the PBX is not let in at https://pbx.example.com/cid/808/check/pbx1?key=…: the key is missing or wrong",
        "phones: PJSIP/102 of agent bob is not at the PBX",
        "recordings: the recordings' web server says 401",
    ] {
        assert!(found.iter().any(|f| f.starts_with(expected)), "{expected}\n{found:#?}");
    }
    let health: Value = street.get("/health").await.json().unwrap();
    assert!(health.to_string().contains("hookflash-808-out is not loaded"), "{health}");
    street.ami.set_open(false);
    street.ami.drop_connections();
    let stopped = street.check().await.findings;
    assert!(stopped.iter().any(|f| f.what == "PBX" && f.mend.contains("asterisk.ami_address")), "{stopped:?}");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_hook_lets_in_whom_the_others_do_and_does_nothing(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    let hook = |query: &str| Request::get(format!("{}/cid/{APP}/check/pbx1{query}", street.server.url()));
    let reply = street.send(hook("?key=k%261")).await;
    assert_eq!((reply.status, &reply.body[..]), (200, &b"OK"[..]));
    assert_eq!(street.send(hook("?key=other")).await.status, 403);
    let calls: Value = street.get("/calls").await.json().unwrap();
    assert_eq!(calls["items"], json!([]));
    street.close().await;
}

/// A call that an agent took, recorded.
async fn recorded(street: &Street) {
    let call = "call=1767000000.7&from=%2B79995550101&to=%2B74955550100&peer=PJSIP%2F101-0000002a&peerid=1767000000.8";
    assert_eq!(street.told(&format!("event=answer&{call}&time=1767000001.5")).await, 200);
    let end = format!("event=hangup&{call}&dialstatus=ANSWER&answeredms=2004&dialedms=3004&time=1767000003.504&record={RECORD}");
    assert_eq!(street.told(&end).await, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_comes_from_the_pbx_s_web_server_whole_and_in_parts(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    recorded(&street).await;
    let list: Value = street.get("/records").await.json().unwrap();
    let row = &list["items"][0];
    assert_eq!((&row["id"], &row["extension"], &row["talk_ms"]), (&json!(RECORD), &json!("101"), &json!(2004)), "{list}");
    let audio = format!("/records/{RECORD}/audio");
    let waits = street.get(&audio).await;
    assert_eq!((waits.status, waits.header("retry-after")), (202, Some("5")), "it is not written yet");
    street.house.pass_s(5);
    let file: Vec<u8> = (0..200).collect();
    Mock::given(method("GET"))
        .and(path(format!("/rec/{RECORD}")))
        .and(header("authorization", "Basic cGxheWVyOnBhc3Mgd29yZA=="))
        .respond_with(ResponseTemplate::new(200).set_body_raw(file.clone(), "text/html"))
        .mount(&street.web)
        .await;
    let whole = street.get(&audio).await;
    assert_eq!((whole.status, whole.header("content-type"), &whole.body[..]), (200, Some("audio/wav"), &file[..]));
    let part = Request::get(street.url(&audio)).header("authorization", format!("Bearer {ADMIN}")).header("range", "bytes=10-19");
    let part = street.send(part).await;
    assert_eq!((part.status, part.header("content-range"), &part.body[..]), (206, Some("bytes 10-19/200"), &file[10..20]));

    let link: Value = street.get(&format!("/records/{RECORD}/storage_url")).await.json().unwrap();
    let token = link["record_url"].as_str().unwrap().split("/r/").nth(1).unwrap().to_owned();
    let plays = async || street.get(&format!("/records/{RECORD}/plays")).await.json::<Value>().unwrap()["items"].as_array().unwrap().len();
    let before = plays().await;
    let head = Request { method: "HEAD", ..Request::get(format!("{}/r/{token}", street.server.url())) };
    let head = street.send(head).await;
    assert_eq!((head.status, head.header("content-type"), head.header("content-length")), (200, Some("audio/wav"), Some("200")));
    assert_eq!((head.body.len(), head.header("accept-ranges")), (0, Some("bytes")));
    assert_eq!(plays().await, before, "who asks for the size has heard nothing");
    assert_eq!(street.send(Request::get(format!("{}/r/{token}", street.server.url()))).await.status, 200);
    assert_eq!(plays().await, before + 1);
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_deleted_as_far_as_the_web_server_lets_us(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend).await;
    recorded(&street).await;
    let delete = async || {
        street.send(Request::delete(street.url(&format!("/records/{RECORD}"))).header("authorization", format!("Bearer {ADMIN}"))).await
    };
    Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(405)).up_to_n_times(1).mount(&street.web).await;
    let refused = delete().await;
    let problem: Value = refused.json().unwrap();
    assert_eq!(refused.status, 502);
    assert!(problem["detail"].as_str().unwrap().contains("let the web server take DELETE"), "{problem}");
    assert_eq!(street.get("/records").await.json::<Value>().unwrap()["items"].as_array().unwrap().len(), 1, "it is still there");
    Mock::given(method("DELETE"))
        .and(path(format!("/rec/{RECORD}")))
        .respond_with(ResponseTemplate::new(204))
        .up_to_n_times(1)
        .mount(&street.web)
        .await;
    assert_eq!(delete().await.status, 204);
    assert_eq!(street.get("/records").await.json::<Value>().unwrap()["items"], json!([]));
    assert_eq!(delete().await.status, 404);
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_of_a_recording_leads_out_of_its_folder(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::declared(backend, |asterisk| asterisk["recordings_url"] = json!("")).await;
    for name in ["..%2Fsecret.wav", "%2E%2E", ".htaccess", "a%20b.wav", "a%3Fb.wav"] {
        assert_eq!(street.get(&format!("/records/{name}/audio")).await.status, 404, "{name}");
    }
    // What the dialplan would never say is not kept as a recording.
    let call = "event=hangup&call=1&from=%2B79995550101&peer=PJSIP%2F101-0000002a&peerid=2&dialstatus=ANSWER&answeredms=5";
    assert_eq!(street.told(&format!("{call}&record=..%2Fetc%2Fpasswd")).await, 200);
    assert_eq!(street.get("/records").await.json::<Value>().unwrap()["items"], json!([]));
    recorded(&street).await;
    let problem = street.get(&format!("/records/{RECORD}/audio")).await;
    assert_eq!(problem.status, 409);
    assert!(problem.json::<Value>().unwrap()["detail"].as_str().unwrap().contains("asterisk.recordings_url"));
    street.close().await;
}
