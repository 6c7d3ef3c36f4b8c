//! The wire format: blocks of `Key: value` lines, each ended by an empty line.
//!
//! Read with patience: LF for CRLF, keys in any case and more than once, lines without a colon, bytes that are no UTF-8. What is too large to
//! be a block of Asterisk's is cut off, not collected, so that nothing on the socket can fill the memory.

use std::fmt;

/// Longer lines are cut off here.
pub const LONGEST_LINE: usize = 16 << 10;
/// Of a block's further lines nothing is kept.
pub const MOST_LINES: usize = 2_000;

/// One message of the PBX: its lines in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Block(Vec<(String, String)>);

impl Block {
    /// Reads a block that is there as a whole.
    pub fn parse(bytes: &[u8]) -> Block {
        let mut block = Block::default();
        for line in bytes.split(|b| *b == b'\n') {
            block.line(line);
        }
        block
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || self.0.len() >= MOST_LINES {
            return;
        }
        let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]);
        let (key, value) = text.split_once(':').unwrap_or(("", &text));
        self.0.push((key.trim().to_owned(), value.trim().to_owned()));
    }

    pub fn with(mut self, key: &str, value: &str) -> Block {
        let plain = |text: &str| text.replace(['\r', '\n'], " ").trim().to_owned();
        self.0.push((plain(key), plain(value)));
        self
    }

    /// With the lines of another after its own.
    pub fn and(mut self, other: &Block) -> Block {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// The first value of a key, as it was written.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// The first value of a key; what means nothing to Asterisk is nothing.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.raw(key).filter(|v| !matches!(*v, "" | "<unknown>" | "<null>" | "(null)" | "unknown"))
    }

    pub fn lines(&self) -> &[(String, String)] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn event(&self) -> &str {
        self.raw("Event").unwrap_or_default()
    }

    /// As it goes over the wire, with the empty line at its end.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.iter().map(|(k, v)| k.len() + v.len() + 4).sum::<usize>() + 2);
        for (key, value) in &self.0 {
            if !key.is_empty() {
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(b": ");
            }
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// What a block is about; its values may be secrets.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(k, v): &(String, String)| format!("{k}: {}", if k.eq_ignore_ascii_case("secret") { "…" } else { v });
        f.debug_list().entries(self.0.iter().map(shown)).finish()
    }
}

/// Cuts a stream of bytes into blocks, however it comes apart.
#[derive(Default)]
pub struct Splitter {
    line: Vec<u8>,
    /// The line has become too long: the rest of it is let go.
    cut: bool,
    block: Block,
    started: bool,
}

impl Splitter {
    /// Takes more bytes; gives the blocks that they complete. The banner at the very beginning is none.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Block)) {
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < LONGEST_LINE {
                    self.line.push(*byte);
                } else {
                    self.cut = true;
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let is_empty = !std::mem::take(&mut self.cut) && matches!(line.as_slice(), b"" | b"\r");
            let is_banner = !std::mem::replace(&mut self.started, true) && line.starts_with(b"Asterisk Call Manager");
            if is_empty && !self.block.is_empty() {
                take(std::mem::take(&mut self.block));
            } else if !is_empty && !is_banner {
                self.block.line(&line);
            }
            // The buffer is used again, and not kept at the size of the longest line.
            if line.capacity() <= 1_024 {
                self.line = line;
                self.line.clear();
            }
        }
    }
}
