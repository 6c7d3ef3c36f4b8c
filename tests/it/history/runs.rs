//! How a run goes on and ends: calls that are still up, limits, the schedule, the command.

use hookflash::domain::agent::State;
use hookflash::reconcile::{Asked, Stopped};
use hookflash::simulator::telphin::{Behaviour, Conditions, Incoming};
use hookflash::store::{live, reconciliations};
use hookflash::timers;
use rstest::rstest;

use super::{DID, Pbx, logged, reconcile, reconciled};
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, House, SHOP, START, eventually, no_differences, process};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_goes_on_is_not_ended(#[values(Sqlite, Postgres)] backend: Backend) {
    let pbx = Pbx::open(Conditions { history_running: true, speed: 100.0, ..Conditions::default() }, 3).await;
    let house = pbx.house(backend).await;
    let talks = Behaviour::answers(1_000, 3_600_000);
    let call = pbx.pbx.incoming_call(Incoming::new("+79995550104", DID).others(talks)).unwrap();
    eventually(async || pbx.pbx.deliveries().iter().any(|d| d.event_type == "answer")).await;
    let report = reconciled(&house).await;
    assert_eq!((report.new_calls, report.added), (1, 0), "{report:?}");
    assert_eq!(logged(&house).await, vec![]);
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::OnCall);

    // Its end is told: the leg of the history is the leg of the event.
    let ended = pbx.pbx.deliveries();
    let answer = &ended.iter().find(|d| d.event_type == "answer").unwrap().form;
    let at = answer.split('&').find_map(|p| p.strip_prefix("EventTime=")).unwrap().parse::<i64>().unwrap();
    let hangup = answer
        .replace("EventType=answer", "EventType=hangup")
        .replace(&format!("EventTime={at}"), &format!("EventTime={}", at + 60_000_000));
    house.event(&hangup).await;
    let rows = logged(&house).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].status.as_str(), rows[0].extension.as_deref(), rows[0].source.as_str()), ("answered", Some("101"), "history"));
    assert!((rows[0].talk_us - 60_000_000).abs() <= 1_000_000, "{rows:?}");
    assert_eq!(house.read(|conn| live::all(conn, SHOP)).await, vec![]);
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Available);
    no_differences(&house).await;
    drop(call);
    pbx.pbx.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_hangup_frees_the_agent_as_soon_as_the_history_tells(#[values(Sqlite, Postgres)] backend: Backend) {
    let pbx = Pbx::open(Conditions::instant(), 3).await;
    let house = pbx.house(backend).await;
    pbx.pbx.incoming_call(Incoming::new("+79995550104", DID).others(Behaviour::answers(1_000, 9_000))).unwrap().finished().await;
    for delivery in pbx.pbx.deliveries().iter().filter(|d| d.event_type != "hangup") {
        house.event(&delivery.form).await;
    }
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::OnCall);
    let report = reconciled(&house).await;
    assert_eq!((report.new_calls, report.added, report.corrected), (0, 1, 0), "{report:?}");
    assert_eq!(house.state("ann").await.at(house.clock.now()).0, State::Available);
    pbx.pbx.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_obeyed_and_a_stopped_run_goes_on_where_it_was(#[values(Sqlite, Postgres)] backend: Backend) {
    let pbx = Pbx::open(Conditions { history_page: 2, ..Conditions::instant() }, 5).await;
    pbx.calls(20, 5).await;
    let house = pbx.house(backend).await;
    pbx.pbx.change(|c| c.hourly_limit = 9);
    let (report, stopped) = reconcile(&house).await;
    assert!(matches!(stopped, Some(Stopped::Limit(s)) if (1..=3_600).contains(&s)), "{stopped:?}");
    assert!((2..20).contains(&report.records), "{report:?}");
    let asked = pbx.pbx.requests().iter().filter(|r| r.path.ends_with("/call_history/")).count();
    assert_eq!(asked, report.records / 2, "no request after the limit was near");
    assert!(told_of_gaps(&house).await.is_some_and(|finding| finding["detail"].to_string().contains("hourly limit")));
    let first = logged(&house).await;
    pbx.clock.advance(3_600_000_000);
    house.clock.advance(3_600_000_000);
    pbx.pbx.change(|c| c.hourly_limit = 1_000);
    let on = Asked { from: report.reached, to: house.clock.now(), dry_run: false };
    let (rest, stopped) = house.hookflash.reconciler.run(&house.app(), on, &mut ()).await;
    assert!(stopped.is_none(), "{stopped:?}");
    assert!(rest.records + report.records >= 20 && logged(&house).await.len() > first.len());
    assert!(reconciled(&house).await.is_quiet(), "nothing is left");
    assert_eq!(told_of_gaps(&house).await, None);
    pbx.pbx.stop().await;
}

/// What the application's health says of a history that was not read to its end.
async fn told_of_gaps(house: &House) -> Option<serde_json::Value> {
    let health = house.client().await.get("/api/v1/apps/807/health").await.ok();
    health["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "call history").cloned()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_list_at_a_time(#[values(Sqlite, Postgres)] backend: Backend) {
    let pbx = Pbx::open(Conditions { list_ms: 100, ..Conditions::instant() }, 5).await;
    pbx.calls(3, 5).await;
    let house = pbx.house(backend).await;
    // Two at once: one has the lease, and the PBX never hears of the other.
    let ((_, one), (_, two)) = tokio::join!(reconcile(&house), reconcile(&house));
    assert!(one.is_none() != two.is_none(), "{one:?} {two:?}");
    assert!(one.or(two).is_some_and(|s| matches!(s, Stopped::Held(SHOP))));
    // Two servers of different owners: the PBX refuses one, which waits.
    let other = pbx.house(backend).await;
    let ((_, one), (_, two)) = tokio::join!(reconcile(&house), reconcile(&other));
    assert!(one.is_none() && two.is_none(), "{one:?} {two:?}");
    assert_eq!(logged(&house).await.len(), logged(&other).await.len());
    pbx.pbx.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_start_and_from_time_to_time_it_runs_by_itself(#[values(Sqlite, Postgres)] backend: Backend) {
    let pbx = Pbx::open(Conditions::instant(), 5).await;
    let forms = pbx.calls(4, 5).await;
    let house = pbx.house(backend).await;
    house.pass_s(-5 * 3_600);
    house.event(&forms[0]).await;
    let history = |pbx: &Pbx| pbx.pbx.requests().iter().filter(|r| r.path.ends_with("/call_history/")).count();
    let repaired = async |house: &House| logged(house).await.iter().filter(|r| r.source == "history").count();
    timers::sweep(&house.hookflash).await;
    assert_eq!(history(&pbx), 0, "what is on its way comes first");
    house.pass_s(11);
    timers::sweep(&house.hookflash).await;
    let settled = |conn: &mut hookflash::store::Conn| reconciliations::get(conn, SHOP);
    eventually(async || house.read(settled).await.is_some_and(|r| r.holder.is_none() && r.settled_until > 0)).await;
    let before = repaired(&house).await;
    assert!(before > 0);
    // Later events are lost as well.
    pbx.calls(4, 6).await;
    house.pass_s(1_801);
    eventually(async || {
        timers::sweep(&house.hookflash).await;
        repaired(&house).await > before
    })
    .await;
    // Its first repair is seen before its last.
    eventually(async || house.read(settled).await.is_some_and(|r| r.holder.is_none())).await;
    assert_eq!(history(&pbx), 2);
    no_differences(&house).await;
    pbx.pbx.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_shows_repairs_and_can_only_look(#[values(Sqlite, Postgres)] backend: Backend) {
    let pbx = Pbx::open(Conditions::instant(), 5).await;
    pbx.calls(6, 5).await;
    let house = pbx.house(backend).await;
    let run = |args: &'static [&'static str]| {
        let mut command = process::command(&house, args);
        command.env("HOOKFLASH__OUTBOUND__ALLOW_PRIVATE", "127.0.0.0/8");
        tokio::task::spawn_blocking(move || {
            let output = command.output().expect("it ran");
            (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        })
    };
    let (status, looked, err) = run(&["reconcile", "807", "--since", "2025-12-29", "--until", "2025-12-30", "--dry-run"]).await.unwrap();
    assert_eq!((status, err.as_str()), (Some(0), ""), "{looked}");
    assert!(looked.contains("application 807: 6 calls compared; would be added: "), "{looked}");
    assert_eq!((logged(&house).await.len(), house.journal().await.len()), (0, 0));

    let (status, done, err) = run(&["reconcile", "807", "--since", "2025-12-29", "--until", "2025-12-30"]).await.unwrap();
    assert_eq!((status, err.as_str()), (Some(0), ""), "{done}");
    let rows = logged(&house).await;
    assert_eq!(done.lines().filter(|l| l.starts_with("807 ") && l.contains(" added: ")).count(), rows.len(), "{done}");
    assert_eq!(done.lines().count(), rows.len() + 1);
    assert!(rows.iter().all(|r| r.source == "history"));
    let (_, again, _) = run(&["reconcile", "807", "--since", "2025-12-29", "--until", "2025-12-30"]).await.unwrap();
    assert_eq!(again, "application 807: 6 calls compared; added: 0 legs, 0 missed calls; corrected: 0\n");

    let (status, recent, _) = run(&["reconcile", "807", "--since", "2h"]).await.unwrap();
    assert_eq!((status, recent.as_str()), (Some(0), "application 807: 0 calls compared; added: 0 legs, 0 missed calls; corrected: 0\n"));
    for (args, status, says) in [
        (&["reconcile", "807", "--since", "yesterday"][..], 2, "--since \"yesterday\" is no time"),
        (&["reconcile", "807", "--since", "2099-01-01"], 2, "is not before"),
        (&["reconcile", "9", "--since", "2025-12-29"], 1, "there is no application 9"),
    ] {
        let (code, out, err) = run(args).await.unwrap();
        assert_eq!((code, out.as_str()), (Some(status), ""));
        assert!(err.contains(says), "{err}");
    }
    pbx.pbx.stop().await;
    let (code, _, err) = run(&["reconcile", "807", "--since", "2025-12-29T10:00"]).await.unwrap();
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot be reached") && err.contains("go on with --since 2025-12-29T07:00:00.000Z"), "{err}");
}

#[rstest]
#[tokio::test]
async fn a_record_that_cannot_be_read_is_kept_and_harms_no_other(#[values(Sqlite, Postgres)] backend: Backend) {
    use hookflash::ingest::history::{Told, accept};
    let house = House::open(backend).await;
    let bad = serde_json::json!({"call_uuid": "AA", "init_time_gmt": "soon"});
    for _ in 0..2 {
        let told = accept(&house.hookflash.db, &house.app(), &bad, &house.clock).await.unwrap();
        assert!(matches!(told, Told::Unreadable(reason) if reason.contains("time")));
    }
    let journal = house.journal().await;
    assert_eq!((journal.len(), journal[0].hook.as_str(), journal[0].received_at), (1, "history", START.0));
    assert!(journal[0].error.is_some());
}
