use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use ::metrics::Counter;
use proptest::prelude::*;
use tempfile::TempDir;

use super::files::AppFiles;
use super::*;
use crate::config::LogFormat;
use crate::domain::time::Timestamp;

/// 2026-01-02T03:04:05.678Z
const NOW: Timestamp = Timestamp(1_767_323_045_678_000);
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` logs, as the main log shows it.
fn logged_to(format: LogFormat, clock: &Clock, files: Option<AppFiles>, work: impl FnOnce()) -> String {
    let memory = Memory::default();
    let queue = writer::start(Box::new(memory.clone()), files, QUEUE_BYTES, Counter::noop(), clock.clone()).unwrap();
    let lines = layer::Lines::new(queue.clone(), format, clock.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
    queue.close(LIMIT);
    memory.text()
}

fn logged(format: LogFormat, work: impl FnOnce()) -> String {
    logged_to(format, &Clock::manual(NOW), None, work)
}

fn logfmt(value: &str) -> String {
    let line = logged(LogFormat::Logfmt, || tracing::info!(value));
    line.strip_prefix("ts=2026-01-02T03:04:05.678Z level=INFO value=").unwrap().strip_suffix('\n').unwrap().to_owned()
}

fn json(value: &str) -> serde_json::Value {
    let line = logged(LogFormat::Json, || tracing::info!(value));
    assert_eq!(line.matches('\n').count(), 1);
    serde_json::from_str(&line).unwrap()
}

fn request() {
    let decision: Option<&str> = None;
    tracing::info!(
        path = "/cid/807/getmanager/TLP55522",
        app = 807,
        login = "TLP55522",
        call = %"A-1",
        leg = ?Some(3),
        decision,
        from = %mask("+79995550101"),
        late = false,
        took_ms = millis(Duration::from_micros(423)),
        "routed to {}",
        "ann"
    );
}

#[test]
fn a_logfmt_line_is_exactly_this() {
    assert_eq!(
        logged(LogFormat::Logfmt, request),
        "ts=2026-01-02T03:04:05.678Z level=INFO msg=\"routed to ann\" path=/cid/807/getmanager/TLP55522 app=807 login=TLP55522 \
         call=A-1 leg=Some(3) from=***0101 late=false took_ms=0.42\n"
    );
}

#[test]
fn a_json_line_is_exactly_this() {
    assert_eq!(
        logged(LogFormat::Json, request),
        "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"INFO\",\"msg\":\"routed to ann\",\
         \"path\":\"/cid/807/getmanager/TLP55522\",\"app\":807,\"login\":\"TLP55522\",\"call\":\"A-1\",\"leg\":\"Some(3)\",\
         \"from\":\"***0101\",\"late\":false,\"took_ms\":0.42}\n"
    );
}

#[test]
fn a_foreign_event_names_its_source_and_time_goes_on() {
    let clock = Clock::manual(NOW);
    let text = logged_to(LogFormat::Logfmt, &clock, None, || {
        tracing::warn!(target: "h2::codec", "odd");
        clock.advance(400_000);
        tracing::error!(code = -5_i64, share = f64::NAN);
    });
    assert_eq!(
        text,
        "ts=2026-01-02T03:04:05.678Z level=WARN msg=odd target=h2::codec\nts=2026-01-02T03:04:06.078Z level=ERROR code=-5 share=NaN\n"
    );
}

#[test]
fn a_value_cannot_forge_a_line_or_a_field() {
    for (value, shown) in [
        ("plain-1*#+/", "plain-1*#+/"),
        ("", r#""""#),
        ("a b", r#""a b""#),
        ("x app=1", r#""x app=1""#),
        ("x=1", r#""x=1""#),
        ("\nts=0 level=ERROR", r#""\nts=0 level=ERROR""#),
        ("\r\u{b}\u{c}\u{85}\u{2028}\u{2029}", r#""\r\u000b\u000c\u0085\u2028\u2029""#),
        ("\" app=1 x=\"", r#""\" app=1 x=\"""#),
        ("\\\" app=1", r#""\\\" app=1""#),
        ("\\", r#""\\""#),
        ("\u{1b}[2J\0\u{7f}", r#""\u001b[2J\u0000\u007f""#),
        ("1\u{202e}2\u{200f}3\u{2066}4\u{feff}", r#""1\u202e2\u200f3\u20664\ufeff""#),
        ("\u{e0041}", r#""\udb40\udc41""#),
        ("Цветы «Ромашка»", "\"Цветы «Ромашка»\""),
        ("a\u{a0}b=c", "\"a\u{a0}b=c\""),
    ] {
        assert_eq!(logfmt(value), shown);
        assert_eq!(json(value)["value"], value);
    }
}

#[test]
fn a_long_value_is_cut_between_characters() {
    let long = "я".repeat(3000);
    let shown = logfmt(&long);
    assert_eq!(shown, format!("\"{}…\"", "я".repeat(line::MAX_VALUE / 2)));
    let debug = logged(LogFormat::Logfmt, || tracing::info!(value = %long));
    assert!(debug.ends_with(&format!("value={shown}\n")));
}

proptest! {
    #[test]
    fn any_value_stays_one_field_of_one_line(value in any::<String>()) {
        let shown = logfmt(&value);
        prop_assert!(!shown.chars().any(char::is_control));
        if shown.starts_with('"') {
            // Between the outer quotes every quote is escaped, so a reader of JSON strings gets the value back.
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value.clone());
        } else {
            prop_assert!(!shown.contains([' ', '=', '"']) && shown == value);
        }
        let object = json(&value);
        prop_assert_eq!(object.as_object().unwrap().len(), 3);
        prop_assert_eq!(object["value"].as_str().unwrap(), value);
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn messages(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(|l| l.split("msg=").nth(1).unwrap().split(' ').next().unwrap().to_owned()).collect()
}

/// As if the last line had been written on that day.
fn touch(path: &Path, day: Timestamp) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_micros(day.micros() as u64)).unwrap();
}

#[test]
fn lines_of_an_application_go_to_its_file_too() {
    let dir = TempDir::new().unwrap();
    let logs = dir.path().join("logs");
    let main = logged_to(LogFormat::Logfmt, &Clock::manual(NOW), Some(AppFiles::new(&logs, 30).unwrap()), || {
        tracing::info!(app = 807, "one");
        tracing::info!(app = "808", "two");
        tracing::info!(app = %807_u32, "three");
        tracing::info!("four");
        for hostile in ["../807", "/etc/x", "807/../1", "+5", "-5", "0", "", "८०७", "99999999999999999999999"] {
            tracing::info!(app = hostile, "five");
        }
        tracing::info!(app = -1, "six");
    });
    assert_eq!(main.lines().count(), 14);
    assert_eq!(names(&logs), ["807.log", "808.log"]);
    assert_eq!(messages(&logs.join("807.log")), ["one", "three"]);
    assert_eq!(messages(&logs.join("808.log")), ["two"]);
    assert_eq!(names(dir.path()), ["logs"]);
}

#[test]
fn a_new_day_begins_a_new_file_and_old_ones_go() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("807.log");
    for name in ["807.2025-12-30.log", "9.2025-12-30.1.log", "807.2025-12-31.log", "notes.2020-01-01.log", "807.log.gz"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let clock = Clock::manual(NOW);
    let log = |message: &'static str| {
        logged_to(LogFormat::Logfmt, &clock, Some(AppFiles::new(dir.path(), 2).unwrap()), || tracing::info!(app = 807, "{message}"));
    };
    log("today");
    assert_eq!(names(dir.path()), ["807.2025-12-31.log", "807.log", "807.log.gz", "notes.2020-01-01.log"]);
    touch(&path, NOW);
    log("later");
    assert_eq!(messages(&path), ["today", "later"]);

    touch(&path, NOW);
    clock.advance(86_400_000_000);
    log("tomorrow");
    assert_eq!(messages(&path), ["tomorrow"]);
    assert_eq!(messages(&dir.path().join("807.2026-01-02.log")), ["today", "later"]);
    assert!(!dir.path().join("807.2025-12-31.log").exists());

    touch(&path, NOW);
    log("again");
    assert_eq!(messages(&dir.path().join("807.2026-01-02.1.log")), ["tomorrow"]);
}

#[test]
fn a_running_writer_turns_the_day_and_keeps_few_files_open() {
    let dir = TempDir::new().unwrap();
    let mut files = AppFiles::new(dir.path(), 0).unwrap();
    let mut write = |now: Timestamp, apps: std::ops::RangeInclusive<u64>| {
        let mut batch = writer::Batch::default();
        for app in apps {
            batch.bytes.extend_from_slice(format!("msg={app}\n").as_bytes());
            batch.heads.push((app, format!("msg={app}\n").len()));
        }
        files.write(now, &batch)
    };
    assert_eq!(write(NOW, 1..=200), 0);
    assert_eq!(write(NOW, 1..=200), 0);
    assert_eq!(messages(&dir.path().join("200.log")), ["200", "200"]);
    touch(&dir.path().join("1.log"), NOW);
    assert_eq!(write(NOW.plus_s(86_400), 1..=1), 0);
    assert_eq!(messages(&dir.path().join("1.log")), ["1"]);
    assert_eq!(messages(&dir.path().join("1.2026-01-02.log")), ["1", "1"]);

    fs::create_dir(dir.path().join("300.log")).unwrap();
    assert_eq!(write(NOW.plus_s(86_400), 300..=301), 1, "a file that cannot be written loses its own lines only");
    assert_eq!(messages(&dir.path().join("301.log")), ["301"]);
}

/// A terminal that hangs until it is released.
struct Stuck {
    memory: Memory,
    reached: Sender<()>,
    released: Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        let _ = self.released.recv();
        self.memory.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn overload_drops_and_counts_and_never_waits() {
    let memory = Memory::default();
    let (reached, at_write) = channel();
    let (release, released) = channel();
    let stuck = Stuck { memory: memory.clone(), reached, released };
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = writer::start(Box::new(stuck), None, 100, Counter::from_arc(dropped.clone()), Clock::manual(NOW)).unwrap();
    queue.push(0, b"line 000.\n");
    at_write.recv().unwrap();
    for _ in 0..25 {
        queue.push(0, b"line 001.\n");
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 15, "ten lines fit");
    drop(release);
    queue.close(LIMIT);
    assert_eq!(memory.text().lines().count(), 11);
    queue.push(0, b"late.\n");
    assert_eq!(dropped.load(Ordering::SeqCst), 16, "a closed log takes nothing");
}

#[test]
fn a_main_log_that_fails_is_counted() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = writer::start(Box::new(Broken), None, 100, Counter::from_arc(dropped.clone()), Clock::manual(NOW)).unwrap();
    queue.push(0, b"a\n");
    queue.push(0, b"b\n");
    queue.close(LIMIT);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn many_threads_lose_no_line_and_mix_none() {
    let text = logged(LogFormat::Logfmt, || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let dispatch = dispatch.clone();
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || (0..2000).for_each(|n| tracing::info!(thread, n)));
                });
            }
        });
    });
    let mut seen: Vec<&str> = text.lines().map(|l| l.strip_prefix("ts=2026-01-02T03:04:05.678Z level=INFO ").unwrap()).collect();
    seen.sort_unstable();
    let mut expected: Vec<String> = (0..4).flat_map(|t| (0..2000).map(move |n| format!("thread={t} n={n}"))).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}
