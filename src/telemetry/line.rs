//! One event as one line, in logfmt or JSON.
//!
//! Values come from callers, PBXs and browsers, so none is trusted. In logfmt a value is bare only when it consists of visible ASCII
//! without `"`, `=` and `\`; anything else is quoted. Inside quotes, in both formats, everything that ends a line, moves a cursor,
//! hides or turns text around is written as JSON writes it (`\n`, `\u202e`), so neither a program nor an eye can be deceived.
//! Names of fields are literals of our source. A value is cut at [`MAX_VALUE`] bytes.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::config::LogFormat;
use crate::domain::time::Timestamp;

/// Bytes of a value that are shown; a cut one ends in `…`.
pub const MAX_VALUE: usize = 4096;

/// What a thread reuses from line to line, so that a line allocates nothing.
#[derive(Default)]
pub struct Buffers {
    pub line: String,
    scratch: String,
    /// The second that `stamp` shows, and its first 20 characters: `2026-01-02T03:04:05.`
    second: Option<i64>,
    stamp: String,
}

impl Buffers {
    /// Writes `event` into `line`, with its newline. Returns the application that it is about; 0: none.
    pub fn write(&mut self, format: LogFormat, now: Timestamp, event: &Event<'_>) -> u64 {
        self.stamp(now);
        self.line.clear();
        let json = format == LogFormat::Json;
        let millis = now.micros().rem_euclid(1_000_000) / 1000;
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        let stamp = &self.stamp;
        let _ = match json {
            true => write!(self.line, "{{\"ts\":\"{stamp}{millis:03}Z\",\"level\":\"{level}\""),
            false => write!(self.line, "ts={stamp}{millis:03}Z level={level}"),
        };
        let mut fields = Fields { out: &mut self.line, scratch: &mut self.scratch, json, app: 0 };
        event.record(&mut fields);
        let app = fields.app;
        // Our own events say themselves what they are about; those of a library need its name.
        let target = event.metadata().target();
        if !target.starts_with("hookflash") {
            fields.name("target");
            fields.text(target);
        }
        self.line.push_str(if json { "}\n" } else { "\n" });
        app
    }

    fn stamp(&mut self, now: Timestamp) {
        let second = now.micros().div_euclid(1_000_000);
        if self.second != Some(second) {
            self.stamp = now.rfc3339();
            self.stamp.truncate("2026-01-02T03:04:05.".len());
            self.second = Some(second);
        }
    }
}

struct Fields<'a> {
    out: &'a mut String,
    scratch: &'a mut String,
    json: bool,
    app: u64,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        let name = if name == "message" { "msg" } else { name };
        let (before, after) = if self.json { (",\"", "\":") } else { (" ", "=") };
        self.out.push_str(before);
        self.out.push_str(name);
        self.out.push_str(after);
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field.name());
        let _ = write!(self.out, "{value}");
    }

    fn text(&mut self, value: &str) {
        let cut = value.len() > MAX_VALUE;
        let value = start(value, MAX_VALUE);
        if !self.json && !cut && !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\')) {
            return self.out.push_str(value);
        }
        self.out.push('"');
        escape(self.out, value);
        self.out.push_str(if cut { "…\"" } else { "\"" });
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "app" {
            self.app = value;
        }
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "app" {
            self.app = value.try_into().unwrap_or(0);
        }
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.number(field, value),
            false => self.record_debug(field, &value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "app" {
            self.app = application(value);
        }
        self.name(field.name());
        self.text(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut scratch = std::mem::take(self.scratch);
        scratch.clear();
        // A value whose Display fails shows what it wrote before it did.
        let _ = write!(Bounded(&mut scratch), "{value:?}");
        self.record_str(field, &scratch);
        *self.scratch = scratch;
    }
}

/// Digits only, so that no other text ever becomes part of a file's name.
fn application(text: &str) -> u64 {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().unwrap_or(0) } else { 0 }
}

/// Takes a little more than a value may show, so that a huge one costs no memory and still reads as cut.
struct Bounded<'a>(&'a mut String);

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = (MAX_VALUE + 4).saturating_sub(self.0.len());
        self.0.push_str(start(text, room));
        Ok(())
    }
}

/// The longest beginning of `text` that has at most `bytes` bytes and ends between characters.
fn start(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn escape(out: &mut String, text: &str) {
    let mut clean_from = 0;
    for (at, c) in text.char_indices() {
        if !matches!(c, '"' | '\\') && !deceives(c) {
            continue;
        }
        out.push_str(&text[clean_from..at]);
        clean_from = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push_str(&text[clean_from..]);
}

/// Controls, line separators, and characters that are invisible or change the direction of what follows.
fn deceives(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
