//! The writer's part of SQLite's log, handed to the operating system in one piece.
//!
//! SQLite writes a page of its log by two system calls, which together cost more than finding and changing the rows of the page. So the file
//! of the writer's log gathers what is written one behind the other, and passes it on in one call. What it promises:
//! - At each commit SQLite asks to sync the log (`synchronous=FULL`). That is when what was gathered goes out; if it cannot, the commit fails.
//!   SQLite tells readers of new pages only after that, so they never look for one that is not there.
//! - The waiting for the disk at a commit is left out: [`super::syncer`] does it, many commits at a time. Any other sync (the header of a new
//!   round of the log, before and after copying it into the database) is done as SQLite asks. The two are told apart by their flags, which
//!   `checkpoint_fullfsync` makes differ.
//! - Whatever else SQLite does with the file, it does after what was gathered has gone out.
//!
//! It works by putting other functions into the table of the one open file, so that all else is SQLite's own. The table is made for the file,
//! begins with what SQLite expects there, and goes with it.

use std::ffi::{c_int, c_void};
use std::ptr;

use diesel::prelude::*;
use libsqlite3_sys as ffi;

use super::{Conn, Result};

/// The SQL function that makes the connection which calls it gather; every connection has it.
const FUNCTION: &std::ffi::CStr = c"hookflash_gather_log";
/// So many bytes are gathered at the most: SQLite's own function for files takes only 17 bits of a length for one.
const MOST: usize = (1 << 17) - 1;

/// Makes this connection, the only one that writes, gather what it writes. Once for a connection, whose log must be open: it has read something.
pub fn gather(conn: &mut Conn) -> Result<()> {
    if let Conn::Sqlite(c) = conn {
        diesel::sql_query("SELECT hookflash_gather_log()").execute(c)?;
        conn.execute("PRAGMA checkpoint_fullfsync=ON; PRAGMA synchronous=FULL")?;
    }
    Ok(())
}

/// Gives a new connection the function.
///
/// # Safety
/// `db` is an open connection.
pub unsafe fn register(db: *mut ffi::sqlite3) -> c_int {
    let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_DIRECTONLY;
    // SAFETY: the name is a C string, and the function has the signature of one.
    unsafe { ffi::sqlite3_create_function_v2(db, FUNCTION.as_ptr(), 0, flags, ptr::null_mut(), Some(begin), None, None, None) }
}

/// The table of the file, with what belongs to it.
#[repr(C)]
struct Gathered {
    /// First, because SQLite takes a pointer to all of this for one to a table of functions.
    table: ffi::sqlite3_io_methods,
    own: *const ffi::sqlite3_io_methods,
    /// What was written and has not gone out; where in the file it begins.
    bytes: Vec<u8>,
    from: i64,
}

unsafe extern "C" fn begin(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite calls this with its own context, whose connection is open. Its log is a file of that connection as long as it is open, and
    // nobody uses the file while this runs, since a connection runs one statement at a time.
    unsafe {
        let db = ffi::sqlite3_context_db_handle(context);
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        let asked = ffi::sqlite3_file_control(db, c"main".as_ptr(), ffi::SQLITE_FCNTL_JOURNAL_POINTER, (&raw mut file).cast());
        if asked != ffi::SQLITE_OK || file.is_null() || (*file).pMethods.is_null() {
            return ffi::sqlite3_result_error(context, c"the log is not open".as_ptr(), -1);
        }
        let own = (*file).pMethods;
        let mut table = *own;
        table.xClose = Some(close);
        table.xRead = Some(read);
        table.xWrite = Some(write);
        table.xTruncate = Some(truncate);
        table.xSync = Some(sync);
        table.xFileSize = Some(file_size);
        // No mapping of the file, which would be another way to read it.
        table.iVersion = table.iVersion.min(2);
        let gathered = Box::new(Gathered { table, own, bytes: Vec::with_capacity(MOST), from: 0 });
        (*file).pMethods = Box::into_raw(gathered).cast();
    }
}

/// What belongs to the file.
///
/// # Safety
/// `file` was given to us by SQLite through the table that [`begin`] made, so its table is a [`Gathered`], which nobody else holds.
unsafe fn of<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Gathered {
    // SAFETY: as above.
    unsafe { &mut *(*file).pMethods.cast::<Gathered>().cast_mut() }
}

/// Hands over what was gathered. What cannot be written is forgotten: SQLite is told so in the middle of the transaction that wrote it, gives
/// it up, and takes nothing that stands in the file behind the last commit for its own.
///
/// # Safety
/// As [`of`].
unsafe fn pass_on(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as above; the bytes live until the call returns.
    unsafe {
        let gathered = of(file);
        if gathered.bytes.is_empty() {
            return ffi::SQLITE_OK;
        }
        let written = match (*gathered.own).xWrite {
            Some(write) => write(file, gathered.bytes.as_ptr().cast(), gathered.bytes.len() as c_int, gathered.from),
            None => ffi::SQLITE_IOERR_WRITE,
        };
        gathered.bytes.clear();
        written
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives a file of ours and so many bytes to read.
    unsafe {
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), length.max(0) as usize);
        let gathered = of(file);
        let follows = gathered.from + gathered.bytes.len() as i64 == at;
        if !follows || gathered.bytes.len() + bytes.len() > MOST {
            let passed = pass_on(file);
            if passed != ffi::SQLITE_OK {
                return passed;
            }
        }
        let gathered = of(file);
        if gathered.bytes.is_empty() {
            gathered.from = at;
        }
        gathered.bytes.extend_from_slice(bytes);
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite gives a file of ours.
    unsafe {
        let passed = pass_on(file);
        // Of a commit: the syncer waits for the disk.
        if passed != ffi::SQLITE_OK || flags == ffi::SQLITE_SYNC_NORMAL {
            return passed;
        }
        (*of(file).own).xSync.map_or(ffi::SQLITE_IOERR_FSYNC, |sync| sync(file, flags))
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives a file of ours and room for so many bytes.
    unsafe {
        match pass_on(file) {
            ffi::SQLITE_OK => (*of(file).own).xRead.map_or(ffi::SQLITE_IOERR_READ, |read| read(file, into, length, at)),
            failed => failed,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite gives a file of ours.
    unsafe {
        match pass_on(file) {
            ffi::SQLITE_OK => (*of(file).own).xTruncate.map_or(ffi::SQLITE_IOERR_TRUNCATE, |truncate| truncate(file, length)),
            failed => failed,
        }
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, length: *mut i64) -> c_int {
    // SAFETY: SQLite gives a file of ours and a place for its length.
    unsafe {
        match pass_on(file) {
            ffi::SQLITE_OK => (*of(file).own).xFileSize.map_or(ffi::SQLITE_IOERR_FSTAT, |size| size(file, length)),
            failed => failed,
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite gives a file of ours, for the last time. From here on its table is the one that it was opened with.
    unsafe {
        let passed = pass_on(file);
        let gathered = Box::from_raw((*file).pMethods.cast::<Gathered>().cast_mut());
        (*file).pMethods = gathered.own;
        let closed = (*gathered.own).xClose.map_or(ffi::SQLITE_IOERR_CLOSE, |close| close(file));
        if passed == ffi::SQLITE_OK { closed } else { passed }
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::BigInt;
    use proptest::prelude::*;

    use super::super::Url;
    use super::*;

    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }

    fn number(conn: &mut Conn, sql: &str) -> i64 {
        let Conn::Sqlite(c) = conn else { panic!("SQLite") };
        diesel::sql_query(sql).get_result::<Number>(c).expect(sql).n
    }

    fn is_whole(conn: &mut Conn) -> bool {
        number(conn, "SELECT count(*) AS n FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u8),
        Change(u8),
        /// Reads back what was pushed out of a small cache, and with it the file.
        Read,
        Savepoint(bool),
        Commit,
        GiveUp,
        Checkpoint,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..60u8).prop_map(Step::Write),
            2 => (1..60u8).prop_map(Step::Change),
            1 => Just(Step::Read),
            1 => any::<bool>().prop_map(Step::Savepoint),
            3 => Just(Step::Commit),
            1 => Just(Step::GiveUp),
            1 => Just(Step::Checkpoint),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// After each commit another connection, and a copy of the files as a crash would leave them, have exactly what was committed.
        #[test]
        fn what_is_committed_is_in_the_file(steps in prop::collection::vec(step(), 1..40)) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.db");
            let url = Url::Sqlite(path.clone());
            let mut writer = Conn::open(&url).expect("open");
            writer.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB); PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=8").expect("a table");
            gather(&mut writer).expect("gather");
            let mut reader = Conn::open(&url).expect("open");
            let sum = "SELECT coalesce(sum(length(b) * (a + 1)), 0) AS n FROM t";
            writer.execute("BEGIN IMMEDIATE").expect("begin");
            let mut committed = 0;
            for step in steps.into_iter().chain([Step::Commit]) {
                match step {
                    Step::Write(rows) => writer.execute(&format!(
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
                         INSERT INTO t (b) SELECT randomblob(400 + i * 37) FROM n"
                    )).expect("write"),
                    Step::Change(nth) => writer.execute(&format!("UPDATE t SET b = randomblob(900 + a % 7) WHERE a % 61 = {nth}")).expect("change"),
                    Step::Read => {
                        number(&mut writer, sum);
                    }
                    Step::Savepoint(kept) => {
                        writer.execute("SAVEPOINT s; UPDATE t SET b = randomblob(1200) WHERE a % 3 = 0").expect("savepoint");
                        writer.execute(if kept { "RELEASE s" } else { "ROLLBACK TO s; RELEASE s" }).expect("its end");
                    }
                    Step::Commit => {
                        committed = number(&mut writer, sum);
                        writer.execute("COMMIT").expect("commit");
                        let copy = tempfile::tempdir().expect("a folder");
                        for name in ["a.db", "a.db-wal"] {
                            std::fs::copy(folder.path().join(name), copy.path().join(name)).expect("a copy");
                        }
                        let mut found = Conn::open(&Url::Sqlite(copy.path().join("a.db"))).expect("the copy");
                        prop_assert_eq!(number(&mut found, sum), committed);
                        prop_assert!(is_whole(&mut found));
                        writer.execute("BEGIN IMMEDIATE").expect("begin");
                    }
                    Step::GiveUp => writer.execute("ROLLBACK; BEGIN IMMEDIATE").expect("give up"),
                    Step::Checkpoint => writer.execute("ROLLBACK; PRAGMA wal_checkpoint(TRUNCATE); BEGIN IMMEDIATE").expect("checkpoint"),
                }
                prop_assert_eq!(number(&mut reader, sum), committed);
            }
            drop(writer);
            prop_assert_eq!(number(&mut reader, sum), committed);
            prop_assert!(is_whole(&mut reader));
        }
    }

    #[test]
    fn what_cannot_be_written_fails_the_commit_and_what_comes_later_stands() {
        // Of all that is written for this table, what goes behind this place fails.
        static END: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(i64::MAX);
        unsafe extern "C" fn full(file: *mut ffi::sqlite3_file, bytes: *const c_void, length: c_int, at: i64) -> c_int {
            if at + i64::from(length) > END.load(std::sync::atomic::Ordering::SeqCst) {
                return ffi::SQLITE_FULL;
            }
            // SAFETY: called by `pass_on` with its file; its table's own one is the test's, which holds the true one behind itself.
            unsafe {
                let own = of(file).own.cast::<Limited>();
                (*(*own).own).xWrite.map_or(ffi::SQLITE_IOERR, |write| write(file, bytes, length, at))
            }
        }
        #[repr(C)]
        struct Limited {
            table: ffi::sqlite3_io_methods,
            own: *const ffi::sqlite3_io_methods,
        }
        unsafe extern "C" fn limit(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
            // SAFETY: as in `begin`, for a file that is gathered.
            unsafe {
                let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
                let db = ffi::sqlite3_context_db_handle(context);
                ffi::sqlite3_file_control(db, c"main".as_ptr(), ffi::SQLITE_FCNTL_JOURNAL_POINTER, (&raw mut file).cast());
                let gathered = of(file);
                let mut table = *gathered.own;
                table.xWrite = Some(full);
                gathered.own = Box::into_raw(Box::new(Limited { table, own: gathered.own })).cast();
            }
        }
        unsafe extern "C" fn on_open(db: *mut ffi::sqlite3, _: *mut *mut std::ffi::c_char, _: *const ffi::sqlite3_api_routines) -> c_int {
            // SAFETY: as `register`.
            unsafe {
                ffi::sqlite3_create_function_v2(
                    db,
                    c"limit_log".as_ptr(),
                    0,
                    ffi::SQLITE_UTF8,
                    ptr::null_mut(),
                    Some(limit),
                    None,
                    None,
                    None,
                )
            }
        }
        // SAFETY: as in `sqlite::prepare_all`.
        unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let mut writer = Conn::open(&Url::Sqlite(path.clone())).expect("open");
        writer.execute("CREATE TABLE t (b BLOB); PRAGMA wal_autocheckpoint=0").expect("a table");
        gather(&mut writer).expect("gather");
        writer.execute("SELECT limit_log()").expect("limit");
        writer.execute("INSERT INTO t VALUES (randomblob(9000))").expect("there is room");
        let log = folder.path().join("a.db-wal");
        END.store(std::fs::metadata(&log).expect("a log").len() as i64, std::sync::atomic::Ordering::SeqCst);
        assert!(writer.execute("INSERT INTO t VALUES (randomblob(9000))").is_err_and(|e| e.to_string().contains("full")));
        END.store(i64::MAX, std::sync::atomic::Ordering::SeqCst);
        writer.execute("INSERT INTO t VALUES (randomblob(9000))").expect("there is room again");
        let mut reader = Conn::open(&Url::Sqlite(path)).expect("open");
        assert_eq!(number(&mut reader, "SELECT count(*) AS n FROM t"), 2);
        assert!(is_whole(&mut reader));
    }
}
