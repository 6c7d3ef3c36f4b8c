//! The shape of a table of contacts: its header, its rows, and how long a row may be.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use csv::ByteRecord;

use crate::domain::spec::Contact;

/// The columns, in the contract's order.
pub const COLUMNS: [&str; 5] = ["name", "phones", "owner", "deputy", "external_id"];

/// Bytes that may be read for one row. More is a quote that is not closed, and would take the rest of the file as one field.
const MOST_ROW_BYTES: u64 = 1 << 20;

/// Which column stands where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    width: usize,
    at: [Option<usize>; 5],
}

impl Header {
    /// # Errors
    /// A column that is unknown, there twice, or missing although nothing works without.
    pub fn read(record: &ByteRecord) -> Result<Header, String> {
        let mut header = Header { width: record.len(), ..Header::default() };
        for (i, field) in record.iter().enumerate() {
            let name = String::from_utf8_lossy(field).to_lowercase();
            let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
                let likeness = |column: &&&str| (strsim::normalized_damerau_levenshtein(&name, column) * 1e6) as u64;
                let nearest = COLUMNS.iter().max_by_key(likeness).unwrap_or(&"name");
                return Err(format!("column {name:?} is unknown; the nearest known one is {nearest}, and all are {}", COLUMNS.join(",")));
            };
            if header.at[column].replace(i).is_some() {
                return Err(format!("column {name:?} is there twice; keep one of the two"));
            }
        }
        let [_, phones, _, _, external_id] = header.at;
        if phones.is_none() && external_id.is_none() {
            return Err(format!("names neither phones nor external_id; begin the file with {}", COLUMNS.join(",")));
        }
        Ok(header)
    }

    /// A row as a contact; `e164` reads a phone as it is written.
    ///
    /// # Errors
    /// What cannot be read of it, and the mend.
    pub fn contact(&self, record: &ByteRecord, e164: impl Fn(&str) -> Option<String>) -> Result<Contact, String> {
        if record.len() != self.width {
            return Err(format!("has {} fields, the header has {}; put a field that holds commas in quotes", record.len(), self.width));
        }
        let field = |column: usize| {
            let bytes = self.at[column].and_then(|i| record.get(i)).unwrap_or_default();
            std::str::from_utf8(bytes).map_err(|_| format!("{}: is not UTF-8; save the file as UTF-8", COLUMNS[column]))
        };
        let optional = |column: usize| field(column).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
        let phones = field(1)?.split(';').map(str::trim).filter(|phone| !phone.is_empty());
        Ok(Contact {
            name: field(0)?.to_owned(),
            // What cannot be read stays as written, and is refused with the rest of what is wrong.
            phones: phones.map(|phone| e164(phone).unwrap_or_else(|| phone.to_owned())).collect(),
            owner: optional(2)?,
            deputy: optional(3)?,
            external_id: optional(4)?,
        })
    }
}

/// A reader that gives out so many bytes until its allowance is renewed.
pub struct Limited<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

/// Renews what a [`Limited`] may give out: called before each row.
pub struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    pub fn renew(&self) {
        self.0.set(MOST_ROW_BYTES);
    }
}

impl<R: Read> Limited<R> {
    pub fn new(inner: R) -> Self {
        Limited { inner, left: Rc::new(Cell::new(MOST_ROW_BYTES)) }
    }

    pub fn allowance(&self) -> Allowance {
        Allowance(self.left.clone())
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other("a row of more than 1 MiB; close the quote that begins in this row or before it"));
        }
        let n = self.inner.read(into)?;
        self.left.set(self.left.get().saturating_sub(n as u64));
        Ok(n)
    }
}
