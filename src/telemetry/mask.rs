//! Phone numbers in logs: their last four digits.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// `log.mask_numbers`, for the whole process. On until the settings say otherwise.
static MASKING: AtomicBool = AtomicBool::new(true);

pub(super) fn set(masking: bool) {
    MASKING.store(masking, Ordering::Relaxed);
}

/// A number as the logs show it.
///
/// `***0101` for `+79995550101`; an extension or short code (up to four digits, nothing but digits, `*` and `#`) shows whole. In
/// anything else (a name, a SIP address) only the last four digits show, none of the rest.
#[derive(Clone, Copy)]
pub struct Masked<'a> {
    number: &'a str,
    masking: bool,
}

/// Masks `number` for a log line, unless `log.mask_numbers` is false: `tracing::info!(from = %mask(number), …)`.
pub fn mask(number: &str) -> Masked<'_> {
    Masked { number, masking: MASKING.load(Ordering::Relaxed) }
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.number.bytes().filter(u8::is_ascii_digit).count();
        let short = digits <= 4 && self.number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#'));
        if !self.masking || short {
            return f.write_str(self.number);
        }
        f.write_str("***")?;
        self.number.chars().filter(char::is_ascii_digit).skip(digits.saturating_sub(4)).try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(number: &str) -> String {
        Masked { number, masking: true }.to_string()
    }

    #[test]
    fn the_last_four_digits_stay() {
        for (number, shown) in [
            ("+79995550101", "***0101"),
            ("8 (999) 555-01-01", "***0101"),
            ("0047*101", "***7101"),
            ("12345", "***2345"),
            ("101", "101"),
            ("*21#", "*21#"),
            ("", ""),
            ("anonymous", "***"),
            ("sip:ann@example.com", "***"),
            ("+101", "***101"),
            ("٠١٢٣٤٥٦٧٨٩", "***"),
            ("１２３４５６７", "***"),
        ] {
            assert_eq!(masked(number), shown);
        }
    }

    #[test]
    fn the_setting_is_honoured() {
        assert_eq!(Masked { number: "+79995550101", masking: false }.to_string(), "+79995550101");
        assert_eq!(mask("+79995550101").to_string(), "***0101", "on until the settings say otherwise");
    }

    proptest! {
        #[test]
        fn nothing_but_stars_hashes_and_four_digits_ever_shows(number in any::<String>()) {
            let shown = masked(&number);
            prop_assert!(shown.bytes().filter(u8::is_ascii_digit).count() <= 4);
            prop_assert!(shown.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#'));
            let last: String = number.chars().filter(char::is_ascii_digit).collect();
            prop_assert!(last.ends_with(&shown.replace(['*', '#'], "")));
        }

        #[test]
        fn a_phone_number_is_always_masked(number in "\\+?[0-9]{5,15}") {
            prop_assert_eq!(masked(&number), format!("***{}", &number[number.len() - 4..]));
        }
    }
}
