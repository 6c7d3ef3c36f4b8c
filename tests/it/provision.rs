//! Setting the simulated PBX up and taking ours away again, over real HTTP.

use hookflash::domain::spec::Application;
use hookflash::domain::time::Clock;
use hookflash::pbx::setup::{Change, Sign};
use hookflash::provision::check::Report;
use hookflash::provision::{self, Outcome, Provision, Stop, Task};
use hookflash::roster::secret_context;
use hookflash::simulator::telphin::{Conditions, Config, Directory, Extension, ExtensionType, Method, Rule, Simulator};
use hookflash::store::{Conn, Durability, roster};
use rstest::rstest;
use serde_json::json;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, House, SHOP, START, at_pbx};

const HERE: &str = "https://pbx.example.com";
const EVENTS: &str = "https://pbx.example.com/cid/807/event/TLP55522?key=k%267";
const ASKS: &str = "https://pbx.example.com/cid/807/getmanager/TLP55522?key=k%267";

struct Site {
    house: House,
    pbx: Simulator,
    /// The PBX's.
    clock: Clock,
}

impl Site {
    /// A PBX where nothing is ours yet and a stranger has subscribed to a phone.
    async fn open(backend: Backend) -> Site {
        let clock = Clock::manual(START);
        let config = Config { conditions: Conditions::instant(), seed: Some(1), clock: clock.clone(), ..Config::default() };
        let pbx = Simulator::start(config).await.unwrap();
        pbx.subscribe_to("101", "https://stranger.example/ev", "hangup", Method::Get);
        let url = pbx.base_url();
        let edit = |app: &mut Application| {
            at_pbx(app, &url);
            app.key = Some("k&7".into());
            app.telphin.as_mut().unwrap()["provision_ivr"] = json!(["099"]);
        };
        let house = House::open_with(backend, |_| {}, edit).await;
        Site { house, pbx, clock }
    }

    async fn run(&self, task: Task, dry: bool) -> (Vec<Outcome>, Result<(), Stop>) {
        let app = self.house.app();
        let hooks = provision::hooks(&app, HERE).unwrap();
        let h = &self.house.hookflash;
        let work = Provision { gateway: &h.gateway, link: &h.link, db: &h.db, clock: &h.clock, app: &app, hooks };
        let mut outcomes = Vec::new();
        let each = |o: Outcome| outcomes.push(o);
        let ended = if dry { work.plan(task, each).await } else { work.carry_out(task, each).await };
        outcomes.retain(|o| !o.changes.is_empty() || o.trouble.is_some());
        (outcomes, ended)
    }

    async fn check(&self) -> Report {
        let app = self.house.app();
        let hooks = provision::hooks(&app, HERE).unwrap();
        let h = &self.house.hookflash;
        Provision { gateway: &h.gateway, link: &h.link, db: &h.db, clock: &h.clock, app: &app, hooks }.check().await
    }

    async fn declare(&self, edit: impl FnOnce(&mut Application)) {
        let mut app = self.house.app().spec.clone();
        edit(&mut app);
        let write = move |conn: &mut Conn| {
            roster::put_application(conn, &app)?;
            roster::bump_revision(conn)
        };
        self.house.hookflash.db.write(Durability::Full, write).await.unwrap();
        self.house.hookflash.roster.refresh().await.unwrap();
    }

    fn pass_s(&self, seconds: i64) {
        self.house.pass_s(seconds);
        self.clock.advance(seconds * 1_000_000);
    }

    fn set_rules(&self, rules: Vec<Rule>) {
        self.pbx.directory(|d| d.ivrs.get_mut("099").unwrap().set(1, "start", rules));
    }

    async fn does(&self, task: Task) -> Vec<Outcome> {
        let (outcomes, ended) = self.run(task, false).await;
        ended.unwrap();
        outcomes
    }

    /// By extension and type, what leads to us.
    fn subscribed(&self) -> Vec<(String, String)> {
        let ours = self.pbx.subscriptions().into_iter().filter(|(_, s)| s.url == EVENTS && s.method == Method::Post);
        let mut ours: Vec<_> = ours.map(|(number, s)| (number, s.event_type)).collect();
        ours.sort();
        ours
    }

    fn start(&self) -> Vec<Rule> {
        self.pbx.directory(|d| d.ivrs["099"].start())
    }

    fn is_clean(&self) -> bool {
        let strangers = self.pbx.subscriptions().iter().all(|(_, s)| s.url.starts_with("https://stranger.example"));
        strangers && self.start() == theirs() && self.pbx.delete_all_calls() == 0
    }
}

fn theirs() -> Vec<Rule> {
    vec![Rule::PlaySound { ms: 3_000 }, Rule::Transfer { to: "200".into() }]
}

fn ours() -> Vec<Rule> {
    let asks = Rule::CallInteractive { url: ASKS.into(), method: Method::Post };
    vec![asks, Rule::TransferFromVariable { variable: "managerExt".into() }]
}

fn writes(pbx: &Simulator) -> usize {
    pbx.requests().iter().filter(|r| r.method != "GET" && r.path.starts_with("/api/")).count()
}

#[rstest]
#[tokio::test]
async fn it_is_set_up_once_and_taken_away_whole(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    let (planned, _) = site.run(Task::On, true).await;
    assert!(site.is_clean() && writes(&site.pbx) == 0, "a plan changes nothing");
    let done = site.does(Task::On).await;
    assert_eq!(done.iter().map(|o| o.changes.len()).collect::<Vec<_>>(), planned.iter().map(|o| o.changes.len()).collect::<Vec<_>>());
    assert!(done.iter().all(|o| o.trouble.is_none() && o.changes.iter().all(|c| c.sign == Sign::Add)), "{done:?}");
    let mut wanted: Vec<(String, String)> = vec![("099".into(), "hangup".into()), ("200".into(), "hangup".into())];
    for phone in ["101", "102", "103"] {
        wanted.extend(["dial-in", "dial-out", "answer", "hangup"].map(|t| (phone.to_owned(), t.to_owned())));
    }
    wanted.sort();
    assert_eq!(site.subscribed(), wanted);
    assert_eq!(site.start(), [ours(), theirs()].concat());

    let before = writes(&site.pbx);
    assert_eq!(site.does(Task::On).await, vec![]);
    assert_eq!(writes(&site.pbx), before, "a second run changes nothing");
    assert!(!done.iter().flat_map(|o| &o.changes).any(|c| c.text.contains("k%267")), "the key is not shown");

    let gone = site.does(Task::Off).await;
    assert!(gone.iter().all(|o| o.trouble.is_none() && o.changes.iter().all(|c| c.sign == Sign::Remove)), "{gone:?}");
    assert!(site.is_clean(), "{:?}", site.start());
    assert_eq!(site.does(Task::Off).await, vec![]);
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_ivr_that_is_no_longer_named_loses_its_rules_alone(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    site.does(Task::On).await;
    // The administrator has moved things since.
    site.pbx.directory(|d| d.ivrs.get_mut("099").unwrap().rules.values_mut().for_each(|r| r.swap(1, 3)));
    site.declare(|app| app.telphin.as_mut().unwrap()["provision_ivr"] = json!([])).await;
    let done = site.does(Task::On).await;
    assert_eq!((done.len(), done[0].part.as_str(), done[0].changes.len()), (1, "rules of IVR 099", 2), "{done:?}");
    let mut left = site.start();
    left.reverse();
    assert_eq!(left, theirs());
    assert_eq!(site.subscribed().len(), 14);
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_the_key_or_the_hand_left_behind_is_brought_right_in_place(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    let old = "https://pbx.example.com/cid/807/event/TLP55522?key=old";
    let id = site.pbx.subscribe_to("102", old, "answer", Method::Get);
    site.pbx.subscribe_to("200", old, "dial-in", Method::Post);
    site.pbx.directory(|d| {
        let by_hand = Rule::CallInteractive { url: "https://pbx.example.com/cid/807/getmanager/TLP55522".into(), method: Method::Get };
        let ivr = d.ivrs.get_mut("099").unwrap();
        ivr.set(1, "start", [vec![by_hand, ours().remove(1)], theirs()].concat());
    });
    let done = site.does(Task::On).await;
    let of = |part: &str| done.iter().find(|o| o.part == part).map(|o| o.changes.clone()).unwrap_or_default();
    let signs = |changes: Vec<Change>| changes.iter().map(|c| c.sign).collect::<Vec<_>>();
    assert_eq!(signs(of("events of phone 102")), [Sign::Add, Sign::Add, Sign::Change, Sign::Add]);
    assert_eq!(signs(of("events of queue 200")), [Sign::Add, Sign::Remove]);
    assert_eq!(signs(of("rules of IVR 099")), [Sign::Change]);
    assert!(site.pbx.subscriptions().iter().any(|(_, s)| s.id == id && s.url == EVENTS), "changed, not made anew");
    assert_eq!(site.start(), [ours(), theirs()].concat());
    site.does(Task::Off).await;
    assert!(site.is_clean());
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_new_key_and_a_new_name_of_the_variable_leave_nothing_of_the_old(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    site.does(Task::On).await;
    let before = site.pbx.subscriptions().len();
    let key = site.house.hookflash.vault.store(&secret_context(SHOP, "key"), "new").unwrap();
    site.declare(|app| {
        app.key = Some(key);
        app.telphin.as_mut().unwrap()["variable"] = json!("boss");
    })
    .await;
    let (done, ended) = site.run(Task::On, false).await;
    ended.unwrap();
    assert!(done.iter().all(|outcome| outcome.trouble.is_none()), "{done:?}");
    let there = site.pbx.subscriptions();
    let mut ours = there.iter().filter(|(_, s)| !s.url.starts_with("https://stranger.example"));
    assert!(there.len() == before && ours.all(|(_, s)| s.url.ends_with("?key=new")), "{there:?}");
    let transfers: Vec<Rule> = site.start().into_iter().filter(|r| matches!(r, Rule::TransferFromVariable { .. })).collect();
    assert_eq!(transfers, [Rule::TransferFromVariable { variable: "boss".into() }]);
    assert_eq!(site.does(Task::On).await.len(), 0, "nothing is left to do");
    site.does(Task::Off).await;
    assert!(site.is_clean());
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn without_the_right_the_values_to_enter_are_told(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    site.pbx.change(|c| c.forbidden = vec!["ivr".into()]);
    let done = site.does(Task::On).await;
    let rules = done.iter().find(|o| o.part == "rules of IVR 099").unwrap();
    assert!(rules.trouble.as_ref().unwrap().to_string().contains("does not allow"), "{rules:?}");
    let by_hand = rules.by_hand.as_deref().unwrap();
    assert!(by_hand.contains(&format!("URL {ASKS}, method POST")) && by_hand.contains("variable managerExt"), "{by_hand}");
    assert_eq!(site.subscribed().len(), 14, "what is allowed is done");
    site.pbx.change(|c| c.forbidden = vec!["event".into()]);
    let done = site.does(Task::On).await;
    assert!(done.iter().any(|o| o.by_hand.as_ref().is_some_and(|t| t.contains(EVENTS))), "{done:?}");
    site.pbx.stop().await;
}

#[rstest]
#[case::it_cannot_be_moved(|site: &Site| site.pbx.change(|c| c.put_position = false), "does not do it")]
#[case::nothing_would_follow(|site: &Site| site.pbx.directory(|d| d.ivrs.get_mut("099").unwrap().set(1, "start", vec![])), "must not be the last")]
#[tokio::test]
async fn an_ivr_that_cannot_be_completed_is_left_as_it_was(#[case] break_it: fn(&Site), #[case] why: &str) {
    let site = Site::open(Sqlite).await;
    break_it(&site);
    let before = site.start();
    let done = site.does(Task::On).await;
    let rules = done.iter().find(|o| o.part == "rules of IVR 099").unwrap();
    assert!(rules.trouble.as_ref().unwrap().to_string().contains(why), "{rules:?}");
    assert!(rules.by_hand.is_some());
    assert_eq!(site.start(), before);
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_ivr_is_not_begun_that_the_hours_limit_would_leave_half_done(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    // A list of extensions and one of agents, six lists and fourteen new subscriptions and a look at each, and some.
    site.pbx.change(|c| c.hourly_limit = 42);
    let (_, ended) = site.run(Task::On, false).await;
    assert!(matches!(&ended, Err(Stop::Hour { part, .. }) if part == "rules of IVR 099"), "{ended:?}");
    assert_eq!(site.start(), theirs());
    site.pbx.change(|c| c.hourly_limit = 1_000);
    site.pass_s(3_600);
    assert_eq!(site.does(Task::On).await.len(), 1, "the rest, and only that");
    assert_eq!(site.start(), [ours(), theirs()].concat());
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn broken_replies_make_nothing_twice(#[values(0, 1, 2, 3, 4)] seed: u32) {
    let site = Site::open(Sqlite).await;
    for n in 0..12 {
        let broken = if (n + seed).is_multiple_of(2) { (1, 0) } else { (0, 3) };
        site.pbx.change(|c| (c.half_replies, c.fail_next, c.fail_status) = (broken.0, broken.1, 502));
        let _ = site.run(Task::On, false).await;
    }
    site.pbx.change(|c| (c.half_replies, c.fail_next) = (0, 0));
    site.does(Task::On).await;
    assert_eq!(site.subscribed().len(), 14);
    assert_eq!(site.start(), [ours(), theirs()].concat());
    site.does(Task::Off).await;
    assert!(site.is_clean());
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_pbx_that_is_set_up_proves_everything(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    let bare = site.check().await;
    assert_eq!(bare.findings.iter().filter(|f| f.mend == "run hookflash provision 807").count(), 9, "{:?}", bare.findings);
    site.does(Task::On).await;
    let before = writes(&site.pbx);
    let report = site.check().await;
    assert_eq!(report.findings, vec![]);
    assert_eq!(writes(&site.pbx), before, "a check changes nothing");
    let proved = report.proved.join(", ");
    for word in [
        "a token lives 3600 s",
        "knows us as TLP55522",
        "the clocks differ by 0 s",
        "the PBX has 6 extensions",
        "9 parts",
        "of 10000 requests are left",
    ] {
        assert!(proved.contains(word), "{word}: {proved}");
    }
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn rules_follow_the_main_context(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    site.does(Task::On).await;
    site.pbx.directory(|d| {
        let ivr = d.ivrs.get_mut("099").unwrap();
        ivr.set(2, "start", theirs());
        ivr.entry_context = 2;
    });
    site.does(Task::On).await;
    assert_eq!(site.start(), [ours(), theirs()].concat());
    let old = |site: &Site| {
        site.pbx.directory(|d| d.ivrs["099"].rules[&(1, "start".to_owned())].iter().map(|r| r.rule.clone()).collect::<Vec<_>>())
    };
    assert_eq!(old(&site), theirs());
    site.does(Task::Off).await;
    assert!(site.is_clean() && old(&site) == theirs());
    site.pbx.stop().await;
}

type Break = fn(&Site);

/// Another extension like one that is there.
fn add(directory: &mut Directory, like: &str, number: &str) {
    let template = directory.by_number(like).unwrap().clone();
    directory.extensions.push(Extension { id: 700_000 + number.parse::<u64>().unwrap(), number: number.into(), ..template });
}

#[rstest]
#[case::a_subscription_is_gone(
    |s: &Site| s.pbx.directory(|d| add(d, "200", "201")),
    "events of queue 201", "missing: hangup to https://pbx.example.com/cid/807/event/TLP55522?key=…", "hookflash provision 807"
)]
#[case::another_rule_is_first(
    |s: &Site| s.set_rules([vec![Rule::Hangup], ours(), theirs()].concat()),
    "rules of IVR 099", "not as it must be: 1. Call interactive", "hookflash provision 807"
)]
#[case::the_rules_are_gone(|s: &Site| s.set_rules(theirs()), "rules of IVR 099", "missing: 1. Call interactive", "hookflash provision 807")]
#[case::the_transfer_is_the_last(|s: &Site| s.set_rules(ours()), "rules of IVR 099", "must not be the last", "by hand")]
#[case::the_variable_differs(
    |s: &Site| s.set_rules([vec![ours().remove(0), Rule::TransferFromVariable { variable: "boss".into() }], theirs()].concat()),
    "rules of IVR 099", "sets the variable managerExt, and the rule behind it transfers from boss", "name managerExt in the rule"
)]
#[case::a_former_address(
    |s: &Site| { s.pbx.subscribe_to("102", "https://old.example/cid/807/event/TLP55522?key=s3cret", "hangup", Method::Post); },
    "events of phone 102", "also calls https://old.example/cid/807/event/TLP55522", "former address"
)]
#[case::no_right(|s: &Site| s.pbx.change(|c| c.forbidden = vec!["ivr".into()]), "rules of IVR 099", "does not allow it", "access All")]
#[case::an_agents_phone_is_not_there(
    |s: &Site| s.pbx.directory(|d| d.extensions.retain(|e| e.number != "102")),
    "extensions", "102 of agent bob is not at the PBX", "make it at the PBX"
)]
#[case::a_phone_is_nobodys(
    |s: &Site| s.pbx.directory(|d| add(d, "101", "109")),
    "extensions", "phones of no agent: 109", "declare an agent"
)]
#[case::another_type(
    |s: &Site| s.pbx.directory(|d| d.extensions.iter_mut().filter(|e| e.number == "300").for_each(|e| e.kind = ExtensionType::Queue)),
    "extensions", "300 is declared as a fax and is a queue", "correct its type"
)]
#[case::another_login(|s: &Site| s.pbx.directory(|d| d.login = "TLP70001".into()), "login", "those of TLP70001", "correct login")]
#[case::short_tokens(|s: &Site| s.pbx.change(|c| c.token_life_s = 61), "token", "lives only 61 s", "provider")]
#[case::few_requests(|s: &Site| s.pbx.change(|c| c.hourly_limit = 15), "hourly limit", "only 1 of the 15 requests", "shared by all")]
#[case::the_clock(|s: &Site| s.pbx.change(|c| c.clock_ahead_s = -90), "clock", "90 s behind ours", "time server")]
#[case::no_requests(|s: &Site| s.pbx.change(|c| c.hourly_limit = 1), "PBX", "not asked before", "asked again then")]
#[case::away(|s: &Site| s.pbx.change(|c| (c.fail_status, c.fail_next) = (502, 100)), "PBX", "502", "until the PBX is back")]
#[tokio::test]
async fn each_thing_that_is_wrong_is_found_with_its_mend(
    #[case] break_it: Break,
    #[case] what: &str,
    #[case] detail: &str,
    #[case] mend: &str,
) {
    let site = Site::open(Sqlite).await;
    site.does(Task::On).await;
    // What setting up used of the hour does not count.
    site.pass_s(3_600);
    break_it(&site);
    let report = site.check().await;
    let found = report.findings.iter().find(|f| f.what == what && f.detail.contains(detail));
    let found = found.unwrap_or_else(|| panic!("{report:#?}"));
    assert!(found.mend.contains(mend), "{found:?}");
    assert!(!format!("{report:?}").contains("k%267") && !format!("{report:?}").contains("s3cret"), "no secret is told");
    // The same is in the application's health.
    let health = site.house.client().await.get("/api/v1/apps/807/health").await.ok();
    assert!(health["checked_at"].is_string());
    assert!(health["findings"].as_array().unwrap().iter().any(|f| f["what"] == what && f["detail"] == found.detail.as_str()), "{health}");
    site.pbx.stop().await;
}

#[tokio::test]
async fn wrong_credentials_are_found_and_nothing_else_is_asked() {
    let site = Site::open(Sqlite).await;
    site.declare(|app| app.telphin.as_mut().unwrap()["client_secret"] = "env:HOOKFLASH_TEST_NO_SUCH_VARIABLE".into()).await;
    let report = site.check().await;
    assert_eq!(report.findings.len(), 1);
    assert!(report.findings[0].detail.contains("HOOKFLASH_TEST_NO_SUCH_VARIABLE"), "{report:?}");
    assert_eq!(site.pbx.requests().len(), 0);
    site.pbx.stop().await;
}

#[rstest]
#[tokio::test]
async fn health_says_what_is_waited_for_and_setting_up_makes_findings_history(#[values(Sqlite, Postgres)] backend: Backend) {
    let site = Site::open(backend).await;
    let client = site.house.client().await;
    let health = async || client.get("/api/v1/apps/807/health").await.ok();
    let whats = |health: &serde_json::Value| {
        let all = health["findings"].as_array().unwrap().iter();
        all.map(|f| f["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    site.check().await;
    assert_eq!(health().await["status"], "failing");
    site.does(Task::On).await;
    let now = health().await;
    assert_eq!((now["status"].as_str(), now["findings"].as_array().map(Vec::len)), (Some("ok"), Some(0)), "{now}");
    site.pbx.change(|c| (c.fail_status, c.fail_next) = (503, 100));
    assert!(site.run(Task::On, true).await.1.is_err());
    assert_eq!(whats(&health().await), ["PBX away"]);
    site.pbx.change(|c| (c.fail_status, c.fail_next) = (429, 1));
    assert!(site.run(Task::On, true).await.1.is_err());
    let waits = health().await;
    assert_eq!(whats(&waits), ["PBX waits"]);
    assert!(waits["findings"][0]["detail"].as_str().unwrap().contains("2025-12-29T10:00:00.000Z"), "{waits}");
    site.pass_s(3_600);
    assert_eq!(health().await["status"], "ok");
    site.pbx.stop().await;
}
