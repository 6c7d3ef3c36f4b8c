//! Contacts from a CSV table, a million rows of them beside a running server.
//!
//! Rows are read one by one and written at most 1,000 in a transaction, so memory stays bounded and nobody waits long for the writer. A row
//! that is refused is told with its line and reason, and the others go on. The same table again changes nothing.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use csv::ByteRecord;

use super::attempt;
use super::csv_rows::{Header, Limited};
use crate::domain::id;
use crate::domain::phone;
use crate::domain::spec::Contact;
use crate::domain::time::Clock;
use crate::domain::validate;
use crate::store::contacts::{self, Put};
use crate::store::roster::{self, Origin};
use crate::store::{Db, StoreError};

/// Rows that one transaction writes.
const BATCH: usize = 1_000;

/// A batch that another writer was in the way of is tried so often.
const TRIES: u32 = 5;

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub added: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub refused: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("there is no application {0}; declare it with `hookflash apply`")]
    NoApplication(i64),
    /// The first line is not a header.
    #[error("line 1: {0}")]
    Header(String),
    #[error("line {line}: cannot be read: {reason}")]
    Unreadable { line: u64, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who is told while an import runs.
pub trait Watcher {
    /// A row was refused.
    fn refused(&mut self, line: u64, reason: &str);
    /// So many bytes of the table are done.
    fn done(&mut self, bytes: u64);
}

/// Imports the table `input` into the directory of `application`; a dry run writes nothing and counts what would be done.
///
/// # Errors
/// The table cannot be read on, or the database does not take it; what was committed before stays, and the same import goes on from there.
pub fn import(
    db: &Db,
    clock: &Clock,
    application: i64,
    input: impl Read,
    dry_run: bool,
    watcher: &mut dyn Watcher,
) -> Result<Counts, ImportError> {
    let (spec, _) = db.read_blocking(|conn| roster::lock(conn, application))?.ok_or(ImportError::NoApplication(application))?;
    let input = Limited::new(input);
    let allowance = input.allowance();
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(input);
    let unreadable = |e: csv::Error| ImportError::Unreadable { line: e.position().map_or(1, csv::Position::line), reason: told(&e) };
    let header = Header::read(reader.byte_headers().map_err(unreadable)?).map_err(ImportError::Header)?;

    let mut run =
        Run { db, clock, application, dry_run, counts: Counts::default(), batch: Vec::new(), keys: HashSet::new(), seen: Seen::default() };
    let mut record = ByteRecord::new();
    loop {
        allowance.renew();
        let line = reader.position().line();
        if !reader.read_byte_record(&mut record).map_err(|e| ImportError::Unreadable { line, reason: told(&e) })? {
            break;
        }
        let line = record.position().map_or(line, csv::Position::line);
        match header.contact(&record, |written| phone::written(written, spec.country.as_deref())) {
            Ok(contact) => run.add(line, contact, watcher)?,
            Err(reason) => run.refuse(line, &reason, watcher),
        }
        watcher.done(reader.position().byte());
    }
    run.commit(watcher)?;
    Ok(run.counts)
}

fn told(e: &csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::Io(e) => e.to_string(),
        _ => e.to_string(),
    }
}

struct Run<'a> {
    db: &'a Db,
    clock: &'a Clock,
    application: i64,
    dry_run: bool,
    counts: Counts,
    batch: Vec<(u64, Contact)>,
    keys: HashSet<String>,
    seen: Seen,
}

impl Run<'_> {
    fn add(&mut self, line: u64, contact: Contact, watcher: &mut dyn Watcher) -> Result<(), ImportError> {
        let key = contact.key();
        // A contact that comes again replaces itself: after, not in, the batch that has it.
        if self.batch.len() == BATCH || self.keys.contains(&key) {
            self.commit(watcher)?;
        }
        if self.dry_run
            && let Err(reason) = self.seen.check(&contact, &key)
        {
            self.refuse(line, &reason, watcher);
            return Ok(());
        }
        self.keys.insert(key);
        self.batch.push((line, contact));
        Ok(())
    }

    fn refuse(&mut self, line: u64, reason: &str, watcher: &mut dyn Watcher) {
        self.counts.refused += 1;
        watcher.refused(line, reason);
    }

    fn commit(&mut self, watcher: &mut dyn Watcher) -> Result<(), ImportError> {
        self.keys.clear();
        let rows = std::mem::take(&mut self.batch);
        if rows.is_empty() {
            return Ok(());
        }
        let (lines, contacts): (Vec<u64>, Vec<Contact>) = rows.into_iter().unzip();
        let contacts = Arc::new(contacts);
        let begun = Instant::now();
        for attempt in 1.. {
            match self.write(contacts.clone()) {
                Ok(None) => return Err(ImportError::NoApplication(self.application)),
                Ok(Some(puts)) => {
                    for (line, put) in lines.iter().zip(puts) {
                        match put {
                            Ok(Put::Added) => self.counts.added += 1,
                            Ok(Put::Changed) => self.counts.changed += 1,
                            Ok(Put::Unchanged) => self.counts.unchanged += 1,
                            Err(reason) => self.refuse(*line, &reason, watcher),
                        }
                    }
                    break;
                }
                Err(error @ StoreError::Unreadable(_)) => return Err(error.into()),
                Err(_) if attempt < TRIES => std::thread::sleep(Duration::from_millis(20 << attempt)),
                Err(error) => return Err(error.into()),
            }
        }
        // SQLite has one writer and no queue before it: whoever takes it again at once shuts out a server that waits for it.
        if !self.dry_run {
            std::thread::sleep((begun.elapsed() / 4).min(Duration::from_millis(50)));
        }
        Ok(())
    }

    /// `None`: the application is gone.
    fn write(&self, contacts: Arc<Vec<Contact>>) -> Result<Option<Vec<Result<Put, String>>>, StoreError> {
        let (application, clock, keep) = (self.application, self.clock.clone(), !self.dry_run);
        attempt(self.db, move |conn| {
            let Some((app, _)) = roster::lock(conn, application)? else { return Ok((None, false)) };
            let agents: HashSet<&str> = app.agent.iter().map(|a| a.id.as_str()).collect();
            let checked: Vec<Option<String>> = contacts.iter().map(|c| wrong(c, &agents)).collect();
            let good: Vec<Contact> = contacts.iter().zip(&checked).filter(|(_, wrong)| wrong.is_none()).map(|(c, _)| c.clone()).collect();
            let mut put = contacts::put_many(conn, application, &good, Origin::Import, clock.now())?.into_iter();
            let results = checked.into_iter().map(|wrong| match wrong {
                Some(reason) => Some(Err(reason)),
                None => put.next(),
            });
            Ok((Some(results.flatten().collect()), keep))
        })
    }
}

/// Everything that is wrong with a contact, in one line.
fn wrong(contact: &Contact, agents: &HashSet<&str>) -> Option<String> {
    let problems = validate::contact(contact, &|id| agents.contains(id));
    let told: Vec<String> = problems.into_iter().map(|p| p.to_string()).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// What a dry run must remember because it writes nothing: which contact of the table has a phone. 16 bytes a phone.
#[derive(Default)]
struct Seen(HashMap<i64, i64>);

impl Seen {
    fn check(&mut self, contact: &Contact, key: &str) -> Result<(), String> {
        let key = id::digest(&[key.as_bytes()]);
        let phones: Vec<i64> = contact.phones.iter().filter_map(|phone| phone.strip_prefix('+')?.parse().ok()).collect();
        if let Some(n) = phones.iter().find(|n| self.0.get(n).is_some_and(|other| *other != key)) {
            return Err(format!("phone +{n} belongs to another row of this table; a phone belongs to one contact"));
        }
        self.0.extend(phones.into_iter().map(|n| (n, key)));
        Ok(())
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
