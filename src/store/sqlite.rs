//! What SQLite must be told and diesel has no words for.

use std::ffi::{c_char, c_int};
use std::sync::Once;

use libsqlite3_sys as ffi;

use super::gathered;

/// From now on every connection has what [`gathered`] needs, and a statement is planned once, not again for each value that is bound to it.
///
/// SQLite otherwise takes a bound LIMIT, which diesel adds to every `first`, as a reason to compile the statement anew at each use, which
/// costs several times what a keyed read does. No statement of ours has a plan that should depend on its values.
pub fn prepare_all() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function has the signature of an extension's entry point and lives for ever; SQLite locks its own list.
        unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
    });
}

/// Called by SQLite for each connection that is opened.
unsafe extern "C" fn on_open(db: *mut ffi::sqlite3, _: *mut *mut c_char, _: *const ffi::sqlite3_api_routines) -> c_int {
    // SAFETY: SQLite hands us a connection that is open; this option takes an int and a pointer that may be null.
    let planned = unsafe { ffi::sqlite3_db_config(db, ffi::SQLITE_DBCONFIG_ENABLE_QPSG, 1 as c_int, std::ptr::null_mut::<c_int>()) };
    // SAFETY: as above.
    if planned == ffi::SQLITE_OK { unsafe { gathered::register(db) } } else { planned }
}
