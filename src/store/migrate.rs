//! The schema: made and upgraded at every start, under a lock, because many processes may start at once.
//!
//! diesel's own runner takes no lock. SQLite: a lock on a file beside the database. PostgreSQL: an advisory lock of the session.

use diesel::migration::{Migration, MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::conn::Url;
use super::{Conn, Result, StoreError};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// Any number, the same in every version of this program.
const LOCK: i64 = 8_070_420_117;

pub fn run(conn: &mut Conn, url: &Url) -> Result<()> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| StoreError::Refused(format!("the database could not be migrated: {e}"));
    match conn {
        Conn::Sqlite(c) => {
            let _lock = match url {
                Url::Sqlite(path) => Some(FileLock::take(path)?),
                Url::Postgres(_) => None,
            };
            refuse_newer(&c.applied_migrations().map_err(failed)?, names::<diesel::sqlite::Sqlite>(&SQLITE)?)?;
            c.run_pending_migrations(SQLITE).map(|_| ()).map_err(failed)
        }
        Conn::Postgres(c) => {
            use diesel::connection::SimpleConnection;
            c.batch_execute(&format!("SET lock_timeout = 0; SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})"))?;
            let result = (|| {
                refuse_newer(&c.applied_migrations().map_err(failed)?, names::<diesel::pg::Pg>(&POSTGRES)?)?;
                c.run_pending_migrations(POSTGRES).map(|_| ()).map_err(failed)
            })();
            c.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
            result
        }
    }
}

/// True when the schema is this program's: a newer one may have changed it since the start.
pub fn is_current(conn: &mut Conn) -> Result<bool> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| StoreError::Refused(e.to_string());
    let (applied, known) = match conn {
        Conn::Sqlite(c) => (c.applied_migrations().map_err(failed)?, names::<diesel::sqlite::Sqlite>(&SQLITE)?),
        Conn::Postgres(c) => (c.applied_migrations().map_err(failed)?, names::<diesel::pg::Pg>(&POSTGRES)?),
    };
    Ok(applied.len() == known.len() && refuse_newer(&applied, known).is_ok())
}

fn names<DB: diesel::backend::Backend>(source: &EmbeddedMigrations) -> Result<Vec<String>>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let all: Vec<Box<dyn Migration<DB>>> = source.migrations().map_err(|e| StoreError::Refused(e.to_string()))?;
    Ok(all.iter().map(|m| m.name().version().to_string()).collect())
}

fn refuse_newer(applied: &[diesel::migration::MigrationVersion<'_>], known: Vec<String>) -> Result<()> {
    match applied.iter().map(ToString::to_string).find(|v| !known.contains(v)) {
        Some(version) => Err(StoreError::Refused(format!(
            "the database was made by a newer hookflash (migration {version}); start that version, or restore a backup made before the upgrade"
        ))),
        None => Ok(()),
    }
}

/// Files of ours are for ours: they hold people's numbers.
fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the database's file, when it is not there, readable by its owner only; SQLite gives its companions the same mode.
pub fn make_private(database: &std::path::Path) -> Result<()> {
    private()
        .create(true)
        .append(true)
        .open(database)
        .map(|_| ())
        .map_err(|e| StoreError::Connection(format!("{}: {e}", database.display())))
}

/// A lock on a file beside the database: SQLite's own lock cannot be held around diesel's transactions.
struct FileLock(std::fs::File);

impl FileLock {
    fn take(database: &std::path::Path) -> Result<FileLock> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let failed = |e: std::io::Error| StoreError::Connection(format!("{}: {e}", std::path::Path::new(&name).display()));
        let file = private().create(true).truncate(false).write(true).open(&name).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(FileLock(file))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    use super::*;

    #[derive(QueryableByName, Debug, PartialEq)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }

    /// The legs as a tool for reports reads them, in the order of their key.
    fn legs(c: &mut SqliteConnection) -> Vec<Line> {
        let of = "SELECT leg_id || ' ' || started_us || ' ' || status AS line FROM report_legs ORDER BY leg_id";
        diesel::sql_query(of).load(c).expect("the view")
    }

    #[test]
    fn legs_of_the_version_before_are_there_after_an_upgrade_and_on_the_way_back() {
        let mut c = SqliteConnection::establish(":memory:").expect("a database");
        c.run_pending_migrations(SQLITE).expect("migrated");
        while c.applied_migrations().expect("names").iter().any(|m| *m.to_string() >= *"20261129") {
            c.revert_last_migration(SQLITE).expect("there is a way back");
        }
        for n in 0..5 {
            c.batch_execute(&format!(
                "INSERT INTO calls (application, id, pbx_call_id, direction, status, started_at, first_received_at, version, facts)
                 SELECT 1, 'c{}', 'x', 'in', 'answered', {n}, {n}, 1, '{{}}' WHERE {n} < 4;
                 INSERT INTO legs (application, call_id, leg, kind, direction, status, started_at, talk_us, duration_us, transferred, source, logged_at)
                 VALUES (1, 'c{}', 'a', 'leg', 'in', 'answered', {n}, 1, 1, 0, 'events', {n}), (1, 'c{}', 'b', 'leg', 'in', 'busy', {n}, 1, 1, 0, 'events', {n})",
                9 - n, 9 - n, 9 - n
            ))
            .expect("rows");
        }
        let before = legs(&mut c);
        assert_eq!(before.len(), 10, "two of them without a call");
        c.run_pending_migrations(SQLITE).expect("upgraded");
        assert_eq!(legs(&mut c), before);
        c.revert_last_migration(SQLITE).expect("back");
        c.revert_last_migration(SQLITE).expect("back");
        assert_eq!(legs(&mut c), before);
    }

    #[test]
    fn no_two_migrations_have_one_version() {
        let (sqlite, postgres) =
            (names::<diesel::sqlite::Sqlite>(&SQLITE).expect("read"), names::<diesel::pg::Pg>(&POSTGRES).expect("read"));
        for names in [sqlite, postgres] {
            // Of two with one version only the first is applied, and nobody says so.
            let doubled: Vec<&String> = names.iter().filter(|name| names.iter().filter(|other| other == name).count() > 1).collect();
            assert_eq!(doubled, Vec::<&String>::new());
        }
    }
}
