//! Many rows, fast: contacts by rule, and calls as copies of some that the product itself has stored.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::stage::AGENTS;

/// A connection that does not wait for the disk and has room to sort in. Waits until whoever had the database has closed it.
fn open(database: &Path) -> anyhow::Result<SqliteConnection> {
    let mut conn = SqliteConnection::establish(&database.to_string_lossy())?;
    let alone = Instant::now() + Duration::from_secs(5);
    loop {
        match conn.batch_execute("PRAGMA journal_mode=OFF") {
            Err(_) if Instant::now() < alone => std::thread::sleep(Duration::from_millis(5)),
            other => break other?,
        }
    }
    conn.batch_execute("PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000; PRAGMA temp_store=MEMORY")?;
    Ok(conn)
}

/// Leaves the file on the disk, as it is for a server to open.
fn close(mut conn: SqliteConnection, database: &Path) -> anyhow::Result<()> {
    conn.batch_execute("PRAGMA journal_mode=WAL")?;
    Ok(File::open(database)?.sync_all()?)
}

/// Gives each application contacts; see [`crate::stage::phone`] and [`crate::stage::owner`].
pub fn contacts(database: &Path, count: u64) -> anyhow::Result<()> {
    let mut conn = open(database)?;
    conn.batch_execute(&format!(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})
         SELECT i, format('+1555%07d', i) AS phone, format('019b0000%08x7000800000000000', i) AS contact,
                format('agent-%04d', i % {AGENTS}) AS owner, format('agent-%04d', (i + 1) % {AGENTS}) AS deputy
         FROM n;
         INSERT INTO contacts (application, id, key, name, phones, owner, deputy, external_id, origin)
         SELECT a.id, n.contact, 'phone:' || n.phone, 'Client ' || n.i, json_array(n.phone), n.owner, n.deputy, NULL, 'apply'
         FROM applications a CROSS JOIN n;
         INSERT INTO contact_phones (application, phone, contact, owner, deputy)
         SELECT a.id, n.phone, n.contact, n.owner, n.deputy FROM applications a CROSS JOIN n;
         COMMIT"
    ))?;
    close(conn, database)
}

/// Copies what is stored of calls (rows of calls, legs, journal) until there are `count`, an hour earlier with each copy.
///
/// Ids are spread over all of theirs and the numbers differ, as those of real calls do, so that a new call meets the indexes in their breadth.
pub fn calls(database: &Path, count: u64) -> anyhow::Result<()> {
    let mut conn = open(database)?;
    let have = rows(&mut conn, "calls")? as u64;
    anyhow::ensure!(have > 0 && count.is_multiple_of(have), "{count} calls cannot be copies of {have}");
    let copies = count / have;
    let spread = u64::from(u32::MAX) / count;
    conn.batch_execute(&format!(
        "BEGIN;
         CREATE TEMP TABLE copy AS WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i + 1 < {copies})
         SELECT i, 3600000000 * ({copies} - i) AS ago FROM k;
         CREATE TEMP TABLE old_calls AS SELECT row_number() OVER (ORDER BY id) - 1 AS n, * FROM calls;
         CREATE UNIQUE INDEX temp.by_id ON old_calls (id);
         CREATE TEMP TABLE old_legs AS SELECT o.n, l.* FROM old_calls o JOIN legs l ON l.application = o.application AND l.call_stored_at = o.stored_at
         AND l.call_id = o.id ORDER BY l.call_stored_at;
         CREATE TEMP TABLE old_journal AS SELECT o.n, j.* FROM journal j JOIN old_calls o ON o.id = j.call_id ORDER BY j.application, j.at, j.digest;
         INSERT INTO calls (application, id, pbx_call_id, direction, status, number, did, started_at, ended_at, first_received_at, version, facts,
                            stored_at)
         SELECT application, {id}, pbx_call_id, direction, status, {number}, did, started_at - ago, ended_at - ago, first_received_at - ago,
                version, facts, stored_at - ago
         FROM copy k CROSS JOIN old_calls o;
         INSERT INTO legs (application, call_stored_at, call_id, leg, kind, sub_call_id, direction, status, number, did, extension, agent, place,
                           started_at, answered_at, ended_at, talk_us, duration_us, transferred, record_id, callback_id, source, logged_at)
         SELECT application, call_stored_at - ago, {call_id}, leg, kind, sub_call_id, direction, status, {number}, did, extension, agent, place,
                started_at - ago, answered_at - ago, ended_at - ago, talk_us, duration_us, transferred, record_id || '-' || k.i, callback_id, source, logged_at - ago
         FROM copy k CROSS JOIN old_legs o;
         INSERT INTO journal (application, at, digest, received_at, hook, call_id, content_type, raw, error)
         SELECT application, at - ago, digest, received_at - ago, hook, {call_id}, content_type, raw, error
         FROM copy k CROSS JOIN old_journal o;
         COMMIT",
        id = new_id("id", have, spread),
        call_id = new_id("call_id", have, spread),
        number = format!("format('+1555%07d', (k.i * {have} + o.n) * 7919 % 1000000)"),
    ))?;
    close(conn, database)
}

fn new_id(column: &str, have: u64, spread: u64) -> String {
    format!("format('%08x', (k.i * {have} + o.n) * {spread}) || substr({column}, 9)")
}

/// How many rows a table has.
pub fn count(database: &Path, table: &str) -> anyhow::Result<i64> {
    rows(&mut SqliteConnection::establish(&database.to_string_lossy())?, table)
}

fn rows(conn: &mut SqliteConnection, table: &str) -> anyhow::Result<i64> {
    Ok(diesel::select(diesel::dsl::sql::<BigInt>(&format!("(SELECT count(*) FROM {table})"))).get_result(conn)?)
}
