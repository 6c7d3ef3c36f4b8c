//! A lookup and the events of its call prepare no statement anew: on SQLite that took more time than running them.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libsqlite3_sys as ffi;

use crate::support::{Backend, House, hooks};

thread_local! {
    /// Connections that this thread opens are watched.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// What was prepared on them.
static PREPARED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn prepared() -> Vec<String> {
    PREPARED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// SQLite asks whoever authorises, while it prepares a statement and at no other time, for each thing that the statement would do.
unsafe extern "C" fn authorise(
    _: *mut c_void,
    action: c_int,
    table: *const c_char,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    let verb = match action {
        ffi::SQLITE_SELECT => "SELECT",
        ffi::SQLITE_INSERT => "INSERT",
        ffi::SQLITE_UPDATE => "UPDATE",
        ffi::SQLITE_DELETE => "DELETE",
        _ => return ffi::SQLITE_OK,
    };
    // SAFETY: SQLite gives a C string or nothing.
    let table = if table.is_null() { "".into() } else { unsafe { CStr::from_ptr(table) }.to_string_lossy() };
    PREPARED.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{verb} {table}"));
    ffi::SQLITE_OK
}

unsafe extern "C" fn on_open(db: *mut ffi::sqlite3, _: *mut *mut c_char, _: *const ffi::sqlite3_api_routines) -> c_int {
    if !WATCHING.get() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite hands us an open connection, and the function has the signature that it calls.
    unsafe { ffi::sqlite3_set_authorizer(db, Some(authorise), ptr::null_mut()) }
}

/// A lookup that claims, and the call as it goes on.
async fn call(house: &House, n: i64) {
    let call = format!("prepared-{n}");
    let answer = house.lookup(Some(&call), "+79995550101").await;
    assert!(answer.claim.is_some(), "call {n} claims somebody");
    house.hookflash.db.flush().await;
    for (kind, second, more) in [("dial-in", 1, ""), ("answer", 3, ""), ("hangup", 9, "&CallStatus=ANSWER")] {
        house.event(&hooks::leg(kind, &call, "101", n * 20 + second, more)).await;
    }
    house.pass_s(20);
}

#[tokio::test]
async fn lookups_and_events_run_statements_that_are_prepared_already() {
    // SAFETY: the function has the signature of an extension's entry point and lives for ever.
    unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
    WATCHING.set(true);
    let house = House::open(Backend::Sqlite).await;
    for n in 0..3 {
        call(&house, n).await;
    }
    let before = prepared();
    for hot in ["SELECT ", "UPDATE agent_states", "INSERT journal", "INSERT offers"] {
        assert!(before.iter().any(|p| p == hot), "{hot:?} in {before:?}");
    }
    for n in 3..6 {
        call(&house, n).await;
    }
    assert_eq!(prepared()[before.len()..], [] as [String; 0]);
}
