//! What an operator should know, with the mend of each.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text_enum;

text_enum! {
    /// How bad it is, from good to worst.
    pub enum Condition {
        Ok = "ok",
        /// It works; something wants looking at.
        Warning = "warning",
        /// Something does not work.
        Failing = "failing",
    }
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    pub severity: Condition,
    /// In a word or two.
    pub what: String,
    pub detail: String,
    /// What to do about it.
    pub mend: String,
}

impl Finding {
    pub fn failing(what: impl Into<String>, detail: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { severity: Condition::Failing, what: what.into(), detail: detail.into(), mend: mend.into() }
    }

    pub fn warning(what: impl Into<String>, detail: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { severity: Condition::Warning, ..Finding::failing(what, detail, mend) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_worse_than_what_wants_looking_at() {
        let (failing, warning) = (Finding::failing("a", "b", "c"), Finding::warning("a", "b", "c"));
        assert_eq!((failing.severity, warning.severity), (Condition::Failing, Condition::Warning));
        assert_eq!((warning.what.as_str(), warning.detail.as_str(), warning.mend.as_str()), ("a", "b", "c"));
        assert!(failing.severity > warning.severity && warning.severity > Condition::Ok);
    }
}
