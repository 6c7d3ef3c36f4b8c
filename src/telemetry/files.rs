//! The applications' own logs: `807.log`, and `807.2026-01-02.log` for each day that is over.
//!
//! A file is opened at the application's first line and renamed when its day (UTC) is over, also when that happened while no process
//! ran: the date is that of its last line. Once a day, finished files past their time are removed. Only so many files are open at a
//! time, and only so many new ones are made in a day: a flood of made-up applications cannot fill a disk with files.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::domain::time::Timestamp;

use super::writer::Batch;

const MOST_OPEN: usize = 64;
const MOST_NEW_A_DAY: usize = 4096;
const DAY_US: i64 = 86_400_000_000;

/// The folder of the applications' logs.
pub struct AppFiles {
    dir: PathBuf,
    /// Days that finished files are kept; 0: for ever.
    keep_days: u64,
    open: HashMap<u64, Open>,
    /// Counts writes; the file with the lowest mark is the one unused for longest.
    mark: u64,
    /// The day (since 1970) of the last write.
    day: i64,
    made_today: usize,
}

struct Open {
    file: File,
    mark: u64,
}

impl AppFiles {
    /// Makes the folder when it is not there.
    pub fn new(dir: &Path, keep_days: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.into(), keep_days, open: HashMap::new(), mark: 0, day: i64::MIN, made_today: 0 })
    }

    /// Writes each line to its application's file. Returns how many lines could not be written.
    pub fn write(&mut self, now: Timestamp, batch: &Batch) -> u64 {
        self.turn_day(now.micros().div_euclid(DAY_US));
        let mut parts: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        let mut rest = batch.bytes.as_slice();
        for (app, length) in &batch.heads {
            let (line, after) = rest.split_at(*length);
            rest = after;
            if *app != 0 {
                let (lines, bytes) = parts.entry(*app).or_default();
                *lines += 1;
                bytes.extend_from_slice(line);
            }
        }
        parts.into_iter().filter_map(|(app, (lines, bytes))| self.append(app, &bytes).is_err().then_some(lines)).sum()
    }

    fn append(&mut self, app: u64, bytes: &[u8]) -> io::Result<()> {
        self.mark += 1;
        let mark = self.mark;
        let open = match self.open.remove(&app) {
            Some(open) => open.file,
            None => self.open_file(app)?,
        };
        let written = (&open).write_all(bytes);
        self.open.insert(app, Open { file: open, mark });
        written
    }

    fn open_file(&mut self, app: u64) -> io::Result<File> {
        while self.open.len() >= MOST_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.mark).map(|(app, _)| *app);
            oldest.and_then(|app| self.open.remove(&app));
        }
        let path = self.dir.join(format!("{app}.log"));
        match last_day(&path) {
            Some(day) if day < self.day => fs::rename(&path, self.finished_name(app, &date(day)))?,
            Some(_) => {}
            None if self.made_today >= MOST_NEW_A_DAY => return Err(io::Error::other("too many new applications today")),
            None => self.made_today += 1,
        }
        OpenOptions::new().create(true).append(true).mode(0o640).open(&path)
    }

    /// A name that is free: a day's file can be finished twice when a clock was set back.
    fn finished_name(&self, app: u64, date: &str) -> PathBuf {
        let name = |n: u32| self.dir.join(if n == 0 { format!("{app}.{date}.log") } else { format!("{app}.{date}.{n}.log") });
        let free = (0..u32::MAX).find(|n| !name(*n).exists());
        name(free.unwrap_or(u32::MAX))
    }

    /// On a new day: closes everything, so that each file is renamed when it is next opened, and removes what is too old.
    fn turn_day(&mut self, day: i64) {
        if self.day == day {
            return;
        }
        self.day = day;
        self.made_today = 0;
        self.open.clear();
        let (Some(oldest), Ok(entries)) = (self.oldest_kept(), fs::read_dir(&self.dir)) else { return };
        for entry in entries.flatten() {
            if finished_date(&entry.file_name().to_string_lossy()).is_some_and(|date| date < oldest.as_str()) {
                // What stays is tried again tomorrow.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn oldest_kept(&self) -> Option<String> {
        let days = i64::try_from(self.keep_days).ok().filter(|days| *days > 0)?;
        Some(date(self.day.saturating_sub(days)))
    }
}

/// The day of the last write; `None` when there is no file.
fn last_day(path: &Path) -> Option<i64> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    Some((modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400) as i64)
}

/// `2026-01-02`
fn date(day: i64) -> String {
    let mut text = Timestamp(day.saturating_mul(DAY_US)).rfc3339();
    text.truncate("2026-01-02".len());
    text
}

/// The date in a finished file's name; `None` for every other file, which is not ours to remove.
fn finished_date(name: &str) -> Option<&str> {
    let mut parts = name.strip_suffix(".log")?.split('.');
    let (app, date, turn) = (parts.next()?, parts.next()?, parts.next());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let dated = date.len() == 10 && date.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    (digits(app) && dated && turn.is_none_or(digits) && parts.next().is_none()).then_some(date)
}
