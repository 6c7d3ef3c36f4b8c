//! The commands that read what the PBX has told: tail, explain, replay.

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use super::*;
use hookflash::domain::decision::{Candidate, Decision, Outcome};
use hookflash::domain::id;
use hookflash::domain::time::{Clock, Timestamp};
use hookflash::ingest::{self, Accepted};
use hookflash::pbx::{HookKind, Raw};
use hookflash::roster::App;
use hookflash::store::{Durability, calls, facts, log};

const CALL: &str = "0f3c7a55";

struct Shop {
    house: House,
    db: Db,
    app: Arc<App>,
    runtime: tokio::runtime::Runtime,
}

impl Shop {
    fn each() -> Vec<Shop> {
        House::each().into_iter().map(Shop::new).collect()
    }

    fn new(house: House) -> Shop {
        house.write("shop.toml", SAMPLE);
        house.run(&["apply", "shop.toml"]).ok();
        let (db, vault) = (house.db(), house.vault());
        let app = db.read_blocking(|conn| hookflash::roster::read(conn, &vault)).unwrap().apps[&807].clone();
        Shop { house, db, app, runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    fn event(&self, query: &str) {
        let raw = Raw { hook: "event", query, content_type: "", body: b"" };
        let accepted = self.runtime.block_on(ingest::accept(&self.db, &self.app, raw, HookKind::Event, &Clock::system())).unwrap().accepted;
        assert!(matches!(accepted, Accepted::Applied | Accepted::Unreadable(_)), "{accepted:?}");
    }

    /// An answered call to 101.
    fn call(&self) {
        let leg = format!(
            "CallID={CALL}&SubCallID=468944-aa&CallerIDNum=%2B79990001122&CalledExtension=0047*101&CalledExtensionID=468944&CalledDID=74955550100"
        );
        self.event(&format!("EventType=dial-in&EventTime=1767000000000000&CallFlow=in&{leg}"));
        self.event(&format!("EventType=answer&EventTime=1767000005000000&CallFlow=in&{leg}"));
        self.event(&format!("EventType=hangup&EventTime=1767000065000000&CallFlow=in&CallStatus=ANSWER&Duration=65000000&{leg}"));
    }

    fn decision(&self) -> String {
        let now = Clock::system().now();
        let candidate = |agent: &str, step: &str, eligible, reason: &str| Candidate {
            agent: agent.into(),
            step: step.into(),
            eligible,
            reason: reason.into(),
        };
        let decision = Decision {
            outcome: Outcome::Agent,
            agents: vec!["bob".into()],
            reason: "bob is the deputy, and is free.".into(),
            candidates: vec![candidate("ann", "owner", false, "is on a call"), candidate("bob", "deputy", true, "is free")],
            inputs: String::new(),
            took_us: 1_500,
            ..Decision::begin(807, Some(CALL), "+79990001122", now)
        };
        let id = decision.id.clone();
        self.runtime.block_on(async {
            self.db.decide_later(decision, 807);
            self.db.flush().await;
        });
        id
    }
}

#[test]
fn explain_takes_a_decision_our_call_and_the_pbxs() {
    for shop in Shop::each() {
        shop.call();
        let id = shop.decision();
        let by_decision = shop.house.run(&["explain", &id]).ok();
        assert!(by_decision.starts_with("application 807 (Flower shop)\ncall "), "{by_decision}");
        assert!(by_decision.contains("incoming from ***1122 through ***0100: answered, begun 2025-12-29T09:20:00.000Z"), "{by_decision}");
        assert!(
            by_decision.contains("For the caller ***1122 Bob Ray (bob) was named.\n  Reason: bob is the deputy, and is free.\n"),
            "{by_decision}"
        );
        assert!(by_decision.contains("  Ann Lee (ann)  owner   no             is on a call\n"), "{by_decision}");
        assert!(!by_decision.contains("79990001122"), "{by_decision}");
        for asked in [id::call_id(807, CALL), CALL.to_owned(), CALL.to_uppercase()] {
            assert_eq!(shop.house.run(&["explain", &asked]).ok(), by_decision);
        }
        assert_eq!(shop.house.run(&["explain", CALL, "--app", "807"]).ok(), by_decision);
        let told = shop.house.run(&["explain", "nothing"]).failed(1);
        assert_eq!(told, "there is no decision and no call \"nothing\"; decisions are kept 90 days\n");
    }
}

#[test]
fn explain_says_where_a_call_would_go_now_and_binds_nobody() {
    for shop in Shop::each() {
        let told = shop.house.run(&["explain", "--app", "807", "--number", "8 (999) 000-11-22"]).ok();
        assert!(
            told.starts_with(
                "application 807 (Flower shop)\nIf this number called now:\n  For the caller ***1122 Ann Lee (ann) was named.\n"
            ),
            "{told}"
        );
        assert!(told.contains("  Ann Lee (ann)  owner  yes "), "{told}");
        assert_eq!(shop.db.read_blocking(|conn| hookflash::store::decisions::newest(conn, 807, 9)).unwrap(), []);
        let states = shop.db.read_blocking(|conn| hookflash::store::agents::all(conn, 807)).unwrap();
        assert!(states.iter().all(|state| state.claim.is_none()));
        let told = shop.house.run(&["explain", "--app", "807", "--number", "nobody"]).failed(1);
        assert_eq!(told, "\"nobody\" is no number; write it like +79990001122\n");
        let told = shop.house.run(&["explain", "--app", "807", "--number", "+79990001122", "--to", "nobody"]).failed(1);
        assert_eq!(told, "\"nobody\" is no number; write it like +79990001122\n");
        shop.house.write("post.toml", BY_POST);
        shop.house.run(&["apply", "post.toml"]).ok();
        for (to, queue) in [("+74955550100", "Main"), ("8 495 555-02-00", "Other")] {
            let told = shop.house.run(&["explain", "--app", "808", "--number", "+79990001122", "--to", to]).ok();
            assert!(told.contains(&format!("Queue {queue} lets the caller wait")), "{told}");
        }
        shop.house.run(&["explain", "--number", "+79990001122"]).failed(2);
        shop.house.run(&["explain", "--app", "807", "--to", "+74955550100"]).failed(2);
        shop.house.run(&["explain", CALL, "--app", "807", "--number", "+79990001122"]).failed(2);
        shop.house.run(&["explain"]).failed(2);
    }
}

#[test]
fn tail_shows_the_last_lines_and_follows_until_it_is_interrupted() {
    for mut shop in Shop::each() {
        shop.call();
        shop.decision();
        shop.event("EventType=%00");
        let mut child = shop.house.command(&["tail", "807", "--lines", "3"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut next = || lines.next().unwrap();
        let line = next();
        assert!(line.contains("/cid/807/event/TLP55522 call=0f3c7a55 "), "{line}");
        assert!(line.contains(" leg=468944-aa extension=101 direction=in number=***1122 end, answered"), "{line}");
        let line = next();
        assert!(line.contains(" agents=bob ") && line.ends_with("decided: agent (bob is the deputy, and is free.)"), "{line}");
        let line = next();
        assert!(line.ends_with("/cid/807/event/TLP55522 unreadable: a parameter holds a zero byte"), "{line}");
        shop.event(
            "EventType=dial-in&EventTime=1767000100000000&CallFlow=in&CallID=99&SubCallID=x&CalledExtension=0047*102&CallerIDNum=101",
        );
        let line = next();
        assert!(line.contains(" call=99 leg=x extension=102 direction=in number=101 begin"), "{line}");
        interrupt(&child);
        assert_eq!(next_of(&mut lines), None);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
        shop.house.set("HOOKFLASH__LOG__MASK_NUMBERS", "false");
        let mut child =
            shop.house.command(&["tail", "807", "--json", "--since", "1h", "--login", "TLP55522"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let first: serde_json::Value = serde_json::from_str(&next_of(&mut lines).unwrap()).unwrap();
        assert_eq!((&first["number"], &first["outcome"], &first["call"]), (&"+79990001122".into(), &"begin".into(), &CALL.into()));
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        shop.house.run(&["tail", "807", "--login", "other"]).failed(2);
    }
}

fn next_of(lines: &mut impl Iterator<Item = String>) -> Option<String> {
    lines.next()
}

/// Ctrl-C.
fn interrupt(child: &std::process::Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn replay_finds_what_differs_and_repairs_it() {
    for shop in Shop::each() {
        shop.call();
        assert_eq!(shop.house.run(&["replay"]).ok(), "application 807: 1 calls compared, 0 differ\n");
        let call = id::call_id(807, CALL);
        let damage = {
            let call = call.clone();
            move |conn: &mut hookflash::store::Conn| {
                let leg = calls::legs_of(conn, 807, std::slice::from_ref(&call))?.remove(0);
                let stored_at = calls::lock(conn, 807, &call)?.unwrap().stored_at;
                calls::delete_leg(conn, 807, stored_at, &call, &leg.leg)
            }
        };
        shop.db.write_blocking(Durability::Full, damage).unwrap();
        let run = shop.house.run(&["replay", "807"]);
        assert_eq!((run.status, run.err.as_str()), (1, ""));
        assert!(run.out.starts_with(&format!("807 {call} leg ")) && run.out.contains("not stored, rebuilt answered"), "{}", run.out);
        assert!(run.out.ends_with("application 807: 1 calls compared, 1 differ\n"), "{}", run.out);
        let repaired = shop.house.run(&["replay", "--write"]).ok();
        assert!(repaired.ends_with("application 807: 1 calls compared, 1 differ, 1 repaired\n"), "{repaired}");
        assert_eq!(shop.house.run(&["replay", "807"]).ok(), "application 807: 1 calls compared, 0 differ\n");

        // A call's row alone is lost: its legs are there, and are not written a second time.
        let rows =
            |shop: &Shop| shop.db.read_blocking(|conn| log::legs(conn, 807, &log::Filter::default(), None, Timestamp::MAX, 9)).unwrap();
        let before = rows(&shop);
        let lost = "DELETE FROM calls; UPDATE legs SET call_stored_at = 5";
        shop.db.write_blocking(Durability::Full, move |conn| conn.execute(lost)).unwrap();
        shop.house.run(&["replay", "--write"]).ok();
        assert_eq!(rows(&shop), before);
        assert_eq!(shop.house.run(&["replay", "807"]).ok(), "application 807: 1 calls compared, 0 differ\n");

        let pruned = Clock::system().now().plus_s(60).0.to_string();
        shop.db.write_blocking(Durability::Full, move |conn| facts::set(conn, "journal_pruned_before/807", &pruned)).unwrap();
        assert_eq!(shop.house.run(&["replay"]).ok(), "application 807: 0 calls compared, 0 differ\n");
        let told = shop.house.run(&["replay", "5"]).failed(1);
        assert_eq!(told, "there is no application 5; there is 807; `hookflash apply` declares one\n");
    }
}

const BY_POST: &str = r#"
[[application]]
id = 808
name = "Flower shop by post"
pbx = "asterisk"
login = "pbx1"
country = "RU"
agent = [ { id = "ann", name = "Ann Lee", extension = "101", manual_status = "OFFLINE" } ]
group = [ { id = "sales", name = "Sales", agents = ["ann"] } ]
queue = [ { id = "main", name = "Main", primary_groups = ["sales"] }, { id = "other", name = "Other", primary_groups = ["sales"] } ]
number = [ { number = "+74955550100", queue = "main" }, { number = "+74955550200", queue = "other" } ]
"#;
