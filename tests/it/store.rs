//! The store's own promises: one schema on both databases, hot statements that use their indexes, many starts at once, a full disk.

use std::sync::{Arc, Mutex};

use diesel::connection::{Connection, InstrumentationEvent};
use diesel::deserialize::QueryableByName;
use diesel::sql_types::Text;
use diesel::{RunQueryDsl, sql_query};
use hookflash::domain::agent::State;
use hookflash::domain::agent_time::Mark;
use hookflash::domain::time::Timestamp;
use hookflash::pbx::Raw;
use hookflash::store::{Conn, Db, Durability, Options, StoreError};
use hookflash::store::{agents, callbacks, calls, contacts, decisions, live, log, migrate, offers, records, routed, times};
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, House};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut Conn, sql: &str) -> Vec<String> {
    let found: Vec<Line> = match conn {
        Conn::Sqlite(c) => sql_query(sql).load(c).unwrap(),
        Conn::Postgres(c) => sql_query(sql).load(c).unwrap(),
    };
    found.into_iter().map(|l| l.line).collect()
}

#[tokio::test]
async fn both_databases_have_the_same_tables_columns_and_indexes() {
    let columns = |c: &mut Conn, sql: &'static str| Ok(lines(c, sql));
    let sqlite = House::open(Sqlite).await;
    let of_sqlite = sqlite
        .hookflash
        .db
        .read(move |c| {
            columns(
                c,
                "SELECT m.name || '.' || p.name || ' ' || replace(replace(lower(p.type), 'blob', 'bytea'), 'boolean', 'boolean') || \
                 CASE WHEN p.\"notnull\" OR p.pk > 0 THEN ' not null' ELSE '' END || ' key ' || p.pk AS line \
                 FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
                 AND m.name NOT LIKE '__diesel%' ORDER BY 1",
            )
        })
        .await
        .unwrap();
    let postgres = House::open(Postgres).await;
    let of_postgres = postgres
        .hookflash
        .db
        .read(move |c| {
            columns(
                c,
                "SELECT c.table_name || '.' || c.column_name || ' ' || c.data_type || CASE WHEN c.is_nullable = 'NO' THEN ' not null' ELSE '' END \
                 || ' key ' || COALESCE(k.ordinal_position, 0) AS line FROM information_schema.columns c \
                 LEFT JOIN (information_schema.key_column_usage k JOIN information_schema.table_constraints t \
                 ON t.constraint_name = k.constraint_name AND t.constraint_type = 'PRIMARY KEY') \
                 ON k.table_name = c.table_name AND k.column_name = c.column_name \
                 WHERE c.table_schema = 'public' AND c.table_name NOT LIKE '\\_\\_diesel%' AND c.table_name NOT LIKE 'report\\_%' ORDER BY 1",
            )
        })
        .await
        .unwrap();
    let sorted = |mut v: Vec<String>| {
        v.sort();
        v
    };
    assert!(of_sqlite.len() > 100, "{of_sqlite:?}");
    assert_eq!(sorted(of_sqlite), sorted(of_postgres));
    let indexes = |c: &mut Conn, sql: &'static str| Ok(lines(c, sql));
    let a = sqlite
        .hookflash
        .db
        .read(move |c| indexes(c, "SELECT name AS line FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        .await;
    let b = postgres
        .hookflash
        .db
        .read(move |c| {
            indexes(
                c,
                "SELECT indexname::text AS line FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'",
            )
        })
        .await;
    let without_key = |names: Vec<String>| sorted(names.into_iter().filter(|n| !n.ends_with("_key")).collect());
    assert_eq!(without_key(a.unwrap()), without_key(b.unwrap()));
}

/// Every statement that a lookup and an event run, as diesel wrote it.
async fn hot_statements(house: &House) -> Vec<String> {
    let url = house.hookflash.settings.database.url.as_str().to_owned();
    let app = house.app();
    let work = move || {
        let mut conn = Conn::open(&hookflash::store::Url::parse(&url).unwrap()).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        let listen = move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                let text = query.to_string();
                heard.lock().unwrap().push(text.split(" -- binds:").next().unwrap_or_default().to_owned());
            }
        };
        match &mut conn {
            Conn::Sqlite(c) => c.set_instrumentation(listen),
            Conn::Postgres(c) => c.set_instrumentation(listen),
        }
        conn.execute("BEGIN").unwrap();
        let now = Timestamp(1_767_000_000_000_000);
        for (kind, second) in [("dial-in", 0), ("answer", 5), ("hangup", 20)] {
            let form = format!(
                "EventType={kind}&EventTime={}&CallID=c1&SubCallID=l1&CallFlow=IN&CallerIDNum=%2B79995550101&CalledExtension=0047*101&CallStatus=ANSWER",
                now.plus_s(second).0
            );
            let raw = Raw { hook: "event", query: "", content_type: "", body: form.as_bytes() };
            let reading = app.with_context(|c| app.pbx.events(raw, c)).unwrap();
            let entry = hookflash::store::journal::Entry {
                application: 807,
                at: reading.at,
                digest: reading.digest,
                received_at: now.0,
                hook: "event".into(),
                call_id: None,
                content_type: String::new(),
                raw: form.into_bytes(),
                error: None,
            };
            hookflash::ingest::apply(&mut conn, &app, &entry, &reading.events).unwrap();
        }
        let c = &mut conn;
        contacts::responsible(c, 807, "+79995550101").unwrap();
        calls::last_agent(c, 807, "+79995550101", now).unwrap();
        offers::in_hand(c, 807, "x").unwrap();
        offers::of_calls(c, 807, &["x".into()]).unwrap();
        offers::expired(c, now, 10).unwrap();
        agents::get(c, 807, "ann").unwrap();
        agents::reserve(c, 807, "ann", "x", now, now).unwrap();
        decisions::of_call(c, 807, "x").unwrap();
        live::due(c, now, 10).unwrap();
        callbacks::open_of(c, 807, "101").unwrap();
        records::leg_of(c, 807, "r").unwrap();
        routed::get(c, 807, "x").unwrap();
        routed::waiting(c, 807, "main", now, 100).unwrap();
        routed::count_waiting(c, 807, "main", now).unwrap();
        routed::silent(c, now, 100).unwrap();
        routed::entry(c, 807, "x", 1).unwrap();
        routed::entries_of(c, 807, "x").unwrap();
        routed::tallies(c, 807, now).unwrap();
        times::between(c, 807, "ann", now, now).unwrap();
        times::file(c, 807, now, 10).unwrap();
        calls::set_callback(c, 807, "x", "y").unwrap();
        calls::legs_of(c, 807, &["x".into(), "y".into()]).unwrap();
        calls::range(c, 807, "a", "b").unwrap();
        log::legs(c, 807, &log::Filter::default(), Some(&(now.0, "a".into(), "b".into())), now, 50).unwrap();
        let month = (now, now.plus_s(30 * 86_400));
        hookflash::store::stats::legs(c, 807, month, now).unwrap();
        hookflash::store::stats::unanswered(c, 807, month, now).unwrap();
        hookflash::store::stats::missed(c, 807, month, now).unwrap();
        std::mem::take(&mut *said.lock().unwrap())
    };
    let mut all = tokio::task::spawn_blocking(work).await.unwrap();
    all.retain(|s| ["SELECT", "UPDATE", "DELETE"].iter().any(|verb| s.trim_start().starts_with(verb)));
    all.sort();
    all.dedup();
    all
}

#[rstest]
#[tokio::test]
async fn hot_statements_never_scan_a_table(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let statements = hot_statements(&house).await;
    assert!(statements.len() >= 12, "{statements:#?}");
    let plans = house
        .read(move |conn| {
            Ok(statements
                .into_iter()
                .map(|sql| {
                    let plan = match conn {
                        Conn::Sqlite(_) => explain_sqlite(conn, &sql),
                        Conn::Postgres(_) => explain_postgres(conn, &sql),
                    };
                    (sql, plan)
                })
                .collect::<Vec<_>>())
        })
        .await;
    for (sql, plan) in plans {
        // An application is no key: to search by it alone is to read all of its rows.
        let scans = ["SCAN ", "(application=?)", "Seq Scan"];
        let scans = plan.iter().any(|l| scans.iter().any(|scan| l.contains(scan)));
        assert!(!scans, "{sql}\n{plan:#?}");
        // What counts a period reads an index and groups what it found there; the few legs of some calls are sorted; all else comes in order.
        let counts = sql.contains("GROUP BY");
        let of_calls = sql.contains("JOIN") && !counts;
        let holds = |words: &str| plan.iter().any(|l| l.contains(words));
        let well = if counts { holds("COVERING INDEX legs_by_start") || holds("using legs_by_start") } else { !holds("USE TEMP B-TREE") };
        assert!(well || of_calls, "{sql}\n{plan:#?}");
    }
}

#[derive(QueryableByName)]
struct Detail {
    #[diesel(sql_type = Text)]
    detail: String,
}

fn explain_sqlite(conn: &mut Conn, sql: &str) -> Vec<String> {
    let Conn::Sqlite(c) = conn else { return Vec::new() };
    let found: Vec<Detail> = sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(c).unwrap();
    found.into_iter().map(|d| d.detail).collect()
}

#[derive(QueryableByName)]
struct QueryPlan {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// A generic plan with sequential scans made expensive: one is then chosen only where no index fits.
fn explain_postgres(conn: &mut Conn, sql: &str) -> Vec<String> {
    let Conn::Postgres(c) = conn else { return Vec::new() };
    let mut run = |text: &str| sql_query(text.to_owned()).execute(c).unwrap();
    run("SET enable_seqscan = off");
    run("SET plan_cache_mode = force_generic_plan");
    run(&format!("PREPARE hot AS {sql}"));
    let most = (1..40).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0);
    let nulls = vec!["NULL"; most].join(", ");
    let call = if most > 0 { format!("EXPLAIN EXECUTE hot({nulls})") } else { "EXPLAIN EXECUTE hot".into() };
    let found: Vec<QueryPlan> = sql_query(call).load(c).unwrap();
    sql_query("DEALLOCATE hot").execute(c).unwrap();
    found.into_iter().map(|d| d.plan).collect()
}

#[rstest]
fn many_processes_may_start_at_once(#[values(Sqlite, Postgres)] backend: Backend) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = runtime.block_on(House::open(backend));
    let url = house.hookflash.settings.database.url.as_str().to_owned();
    let opened: Vec<_> = (0..12)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || Db::open(&Options { url, pool_size: 2 }).map(|_| ()))
        })
        .collect();
    for thread in opened {
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { url: format!("sqlite://{}", folder.path().join("x.db").display()), pool_size: 2 };
    let db = Db::open(&options).unwrap();
    db.write_blocking(Durability::Full, |c| c.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')"))
        .unwrap();
    let error = Db::open(&options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("newer hookflash"), "{error}");
    assert!(!db.read_blocking(migrate::is_current).unwrap(), "a program that runs is told too");
    db.write_blocking(Durability::Full, |c| c.execute("DELETE FROM __diesel_schema_migrations WHERE version = '29990101000000'")).unwrap();
    assert!(db.read_blocking(migrate::is_current).unwrap());
}

#[tokio::test]
async fn a_full_disk_fails_the_event_and_loses_nothing_that_was_said() {
    let house = House::open(Sqlite).await;
    let form = |n: i64| {
        format!(
            "EventType=dial-out&EventTime={}&CallID=f{n}&SubCallID=l{n}&CallFlow=OUT&CalledNumber=%2B79995550103&CallerExtension=0047*101",
            1_767_000_000_000_000 + n
        )
    };
    house.event(&form(0)).await;
    let db = &house.hookflash.db;
    db.write(Durability::Full, |c| c.execute("PRAGMA max_page_count=1")).await.unwrap();
    let raw = |body: &'static str| Raw { hook: "event", query: "", content_type: "", body: body.as_bytes() };
    let mut said = 1;
    let mut refused = 0;
    for n in 1..400 {
        let body: &'static str = form(n).leak();
        match hookflash::ingest::accept(db, &house.app(), raw(body), hookflash::pbx::HookKind::Event, &house.clock).await {
            Ok(_) => said += 1,
            Err(StoreError::Database(_) | StoreError::Connection(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0, "the disk never filled");
    db.write(Durability::Full, |c| c.execute("PRAGMA max_page_count=1000000")).await.unwrap();
    let kept = house.read(|c| hookflash::store::journal::count(c, 807)).await;
    assert_eq!(kept, said);
    house.event(&form(9_999)).await;
}

/// Where a mark stands is nobody's business but the store's.
#[rstest]
#[tokio::test]
async fn marks_of_agents_read_the_same_before_and_after_they_are_filed(#[values(Sqlite, Postgres)] backend: Backend) {
    const AGENTS: [&str; 3] = ["ann", "bob", "eve"];
    let house = House::open(backend).await;
    let begin = house.clock.now().plus_s(-86_400);
    let write = move |conn: &mut Conn| {
        for n in 0..60i64 {
            let (agent, state) = (AGENTS[(n % 3) as usize], State::ALL[n as usize % State::ALL.len()]);
            // Some at the same instant.
            let new = Mark::new(begin.plus_s(n / 2 * 60), state, "ann");
            times::put(conn, 807, agent, &Mark { then_reason: Some(n.to_string()), then_by: Some("lead".into()), ..new })?;
        }
        Ok(())
    };
    house.hookflash.db.write(Durability::Process, write).await.unwrap();
    let all = move |conn: &mut Conn| {
        let mut told = Vec::new();
        for (agent, from, to) in AGENTS.iter().flat_map(|a| (0..32).flat_map(move |f| (f..32).map(move |t| (a, f, t)))) {
            told.push(times::between(conn, 807, agent, begin.plus_s(from * 60), begin.plus_s(to * 60))?);
        }
        Ok(told)
    };
    let before = house.read(all).await;
    assert!(before.iter().map(Vec::len).sum::<usize>() > 1_000);
    let (mut filed, until) = (0, begin.plus_s(20 * 60));
    loop {
        let moved = house.hookflash.db.write(Durability::Process, move |conn| times::file(conn, 807, until, 7)).await.unwrap();
        assert_eq!(house.read(all).await, before, "after {filed} and {moved} marks");
        filed += moved;
        if moved < 7 {
            break;
        }
    }
    let oldest = house.read(|conn| times::oldest_new(conn, 807)).await;
    assert!(filed == 40 && oldest == Some(until), "{filed} were filed, the oldest left is of {oldest:?}");
}
