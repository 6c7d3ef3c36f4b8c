//! Telephone numbers: what a party of a call is, read from what a PBX wrote.
//!
//! The order of the rules (contract, section 2, "Numbers"): the application's own `prefix*n` or a known extension is internal; `+` and 8 to
//! 15 digits is taken as it is; a leading space is a decoded `+`; anything else is parsed for the application's country and accepted only
//! when the numbering plan says that it is valid. What is none of these is kept in the journal as written and never matched.

use std::cell::RefCell;
use std::collections::HashMap;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, enums::Region};
use serde::{Deserialize, Serialize};

/// How many judged numbers a thread remembers.
const REMEMBERED: usize = 1_024;

/// A number as written, with what it is judged by.
type Written = (String, Option<Region>, bool);

/// Who is at the other end of a leg.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Party {
    /// An outside number in E.164.
    #[serde(rename = "e")]
    External(String),
    /// An extension of this PBX, in its short form.
    #[serde(rename = "i")]
    Internal(String),
    /// A withheld or unreadable number.
    #[serde(rename = "u")]
    Unknown,
}

impl Party {
    pub fn external(&self) -> Option<&str> {
        match self {
            Party::External(number) => Some(number),
            _ => None,
        }
    }

    pub fn is_internal(&self) -> bool {
        matches!(self, Party::Internal(_))
    }
}

/// What is longer (in bytes) names no extension of any PBX.
pub const LONGEST_EXTENSION: usize = 64;

/// What an application's numbers are read against.
pub struct Numbering<'a> {
    /// Two-letter region for numbers written without `+`.
    pub country: Option<&'a str>,
    /// The PBX's client prefix (`0047` of `0047*101`).
    pub prefix: Option<&'a str>,
    /// True for the short form of every extension that is declared or was learned.
    pub is_extension: &'a dyn Fn(&str) -> bool,
    /// The PBX writes the country code without `+` (Telphin's CalledDID, Stringee's numbers).
    pub code_without_plus: bool,
}

impl Numbering<'_> {
    pub fn read(&self, written: &str) -> Party {
        let text = written.split('@').next().unwrap_or_default();
        if let Some(short) = self.own_extension(text.trim()) {
            return Party::Internal(short.to_owned());
        }
        let digits = text.trim();
        if let Some(number) = digits.strip_prefix('+') {
            return plain_e164(number).map_or(Party::Unknown, Party::External);
        }
        if text.starts_with(' ') && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return plain_e164(digits).map_or(Party::Unknown, Party::External);
        }
        if digits.contains('*') || digits.len() > 40 || !digits.bytes().any(|b| b.is_ascii_digit()) {
            return Party::Unknown;
        }
        self.parsed(digits).map_or(Party::Unknown, Party::External)
    }

    /// The short form when `text` names an extension of this PBX: `0047*101`, `domain*0047*101`, or exactly a known extension.
    pub fn own_extension<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Some((before, short)) = text.rsplit_once('*') {
            let prefix = before.rsplit('*').next().unwrap_or_default();
            return (self.prefix == Some(prefix) && (1..=LONGEST_EXTENSION).contains(&short.len())).then_some(short);
        }
        (!text.is_empty() && (self.is_extension)(text)).then_some(text)
    }

    /// Judging a number by the plan costs more than all the rest of a lookup, and an application's events name the same few public numbers
    /// again and again: each thread remembers those that it read last.
    fn parsed(&self, digits: &str) -> Option<String> {
        thread_local! {
            static READ: RefCell<HashMap<Written, Option<String>>> = RefCell::default();
        }
        let region = self.country.and_then(region);
        let key = (digits.to_owned(), region, self.code_without_plus);
        READ.with_borrow_mut(|read| {
            if read.len() >= REMEMBERED {
                read.clear();
            }
            read.entry(key)
                .or_insert_with(|| {
                    let with_plus = || valid_e164(&format!("+{digits}"), None);
                    let national = || valid_e164(digits, region);
                    if self.code_without_plus { with_plus().or_else(national) } else { national() }
                })
                .clone()
        })
    }
}

/// True when `country` is a region that the numbering plan knows (`RU`, `VN`).
pub fn is_region(country: &str) -> bool {
    region(country).is_some_and(|r| PHONE_NUMBER_UTIL.get_country_code_for_region(r).is_some())
}

/// True for `+` and 8 to 15 digits, the only form that the REST API takes.
pub fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| plain_e164(digits).is_some())
}

/// A number as people write it in files and spreadsheets, in E.164: with `+`, or as it is dialled in `country`; blanks, brackets, dashes and
/// dots do not count.
pub fn written(text: &str, country: Option<&str>) -> Option<String> {
    if is_e164(text) {
        return Some(text.to_owned());
    }
    let bare: String = text.chars().filter(|c| !c.is_whitespace() && !"()-.\u{2010}\u{2011}\u{2012}\u{2013}".contains(*c)).collect();
    let numbering = Numbering { country, prefix: None, is_extension: &|_| false, code_without_plus: false };
    match numbering.read(&bare) {
        Party::External(number) => Some(number),
        _ => None,
    }
}

fn plain_e164(digits: &str) -> Option<String> {
    let ok = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    ok.then(|| format!("+{digits}"))
}

fn region(country: &str) -> Option<Region> {
    Region::try_from(country).ok()
}

fn valid_e164(text: &str, region: Option<Region>) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    PHONE_NUMBER_UTIL.is_valid_number(&number).then(|| PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Party {
        Numbering {
            country: Some("RU"),
            prefix: Some("0047"),
            is_extension: &|e| ["101", "099", "200"].contains(&e),
            code_without_plus: true,
        }
        .read(text)
    }

    #[rstest::rstest]
    #[case("+79995550101", Party::External("+79995550101".into()))]
    #[case(" 79995550101", Party::External("+79995550101".into()))]
    #[case("89161234567", Party::External("+79161234567".into()))]
    #[case("74955550100", Party::External("+74955550100".into()))]
    #[case("0047*101", Party::Internal("101".into()))]
    #[case("0047*107@sip.example", Party::Internal("107".into()))]
    #[case("9*0047*101", Party::Internal("101".into()))]
    #[case("101", Party::Internal("101".into()))]
    #[case("0048*101", Party::Unknown)]
    #[case("anonymous", Party::Unknown)]
    #[case("", Party::Unknown)]
    #[case("555", Party::Unknown)]
    #[case("+123", Party::Unknown)]
    #[case("+1234567890123456", Party::Unknown)]
    fn follows_the_contract(#[case] text: &str, #[case] party: Party) {
        assert_eq!(read(text), party);
    }

    #[rstest::rstest]
    #[case("+79995550101", Some("RU"), Some("+79995550101"))]
    #[case("+7 (999) 555-01-01", None, Some("+79995550101"))]
    #[case("8 (916) 123-45-67", Some("RU"), Some("+79161234567"))]
    #[case("79161234567", Some("RU"), Some("+79161234567"))]
    #[case("8 (916) 123-45-67", None, None)]
    #[case("101", Some("RU"), None)]
    #[case("+7999", Some("RU"), None)]
    #[case("Ann", Some("RU"), None)]
    fn files_may_write_numbers_as_people_do(#[case] text: &str, #[case] country: Option<&str>, #[case] number: Option<&str>) {
        assert_eq!(written(text, country).as_deref(), number);
    }

    #[test]
    fn knows_regions() {
        assert!(is_region("RU") && is_region("VN"));
        assert!(!is_region("XX") && !is_region("Russia") && !is_region(""));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_only_valid_forms_come_out(text in "\\PC{0,60}") {
            if let Party::External(number) = read(&text) {
                prop_assert!(is_e164(&number), "{}", number);
            }
        }

        #[test]
        fn e164_is_stable(digits in "[1-9][0-9]{7,14}") {
            let number = format!("+{digits}");
            prop_assert_eq!(read(&number), Party::External(number.clone()));
        }
    }
}
