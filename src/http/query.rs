//! Strict query strings, and pages of lists.
//!
//! A parameter that is not known, not readable or given twice is a 400 that names it. A list is read page by page: the cursor is the key of
//! the last row seen, so what is added or removed meanwhile neither repeats nor hides a row.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::tz::TimeZone;
use serde::de::{DeserializeOwned, Error as _, value::MapDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{ZERO_BYTE, named};
use super::error::Failure;
use crate::domain::interval::Written;
use crate::domain::phone;
use crate::domain::time::Timestamp;

/// The query string as a `T`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(pairs(request).and_then(read).map(Query))
    }
}

/// The parameters as written, decoded.
pub fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>, Failure> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(request.query_string())
        .map_err(|e| Failure::Malformed(format!("the query cannot be read: {e}"), Vec::new()))?;
    match pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => Err(Failure::parameter(name.clone(), ZERO_BYTE)),
        None => Ok(pairs),
    }
}

/// Reads parameters as a `T`; an error names the parameter.
pub fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Failure> {
    let parameters = MapDeserializer::<_, serde::de::value::Error>::new(pairs.into_iter().map(|(name, value)| (name, Text(value))));
    serde_path_to_error::deserialize(parameters).map_err(|e| {
        let path = e.path().to_string();
        let error = named(&path, &e.into_inner().to_string());
        Failure::parameter(error.field, error.reason)
    })
}

/// A parameter's text, which reads as a number or a truth where one is wanted.
struct Text(String);

impl<'de> serde::de::IntoDeserializer<'de> for Text {
    type Deserializer = Text;

    fn into_deserializer(self) -> Text {
        self
    }
}

impl<'de> Deserializer<'de> for Text {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        serde::de::IntoDeserializer::<Self::Error>::into_deserializer(self.0).deserialize_enum(name, variants, visitor)
    }

    fn deserialize_bool<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(Self::Error::custom(format!("{other:?} must be true or false"))),
        }
    }

    fn deserialize_i64<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let number = self.0.parse().map_err(|_| Self::Error::custom(format!("{:?} is no whole number", self.0)))?;
        visitor.visit_i64(number)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Items in one answer: 1 to 500, 50 without it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Page {
    /// The key of the last row of the page before.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Failure> {
        after(self.cursor.as_deref())
    }
}

/// Reads a cursor as the key by which a list is ordered.
pub fn after<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Failure> {
    let Some(cursor) = cursor else { return Ok(None) };
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let wrong = || Failure::parameter("cursor", "is no cursor of this list; use next_cursor of the page before, or none");
    key.map(Some).ok_or_else(wrong)
}

/// Writes the key of a page's last row: opaque outside.
fn cursor<K: Serialize>(key: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// Whether to delete what others refer to, with the references.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Force {
    /// Delete it although others refer to it; their references go too.
    #[serde(default)]
    pub force: bool,
}

/// How many items one page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(i64);

impl Limit {
    const MOST: i64 = 500;

    /// How many rows to read: one more than the page has, which tells whether there is another page.
    pub fn rows(self) -> i64 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = i64::deserialize(deserializer)?;
        if (1..=Limit::MOST).contains(&limit) {
            Ok(Limit(limit))
        } else {
            Err(D::Error::custom(format!("{limit} is out of range; use 1 to {}", Limit::MOST)))
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Items<T> {
    /// A page of `rows`, of which [`Limit::rows`] were read; `key` is what the list is ordered by.
    pub fn page<K: Serialize>(mut rows: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Items<T> {
        let more = rows.len() as i64 > limit.0;
        rows.truncate(limit.0 as usize);
        let next_cursor = rows.last().filter(|_| more).map(|last| cursor(&key(last)));
        Items { items: rows, next_cursor }
    }

    /// A page of a list that is in memory, in the order of its keys.
    pub fn of_all<K: Ord + Serialize + DeserializeOwned>(mut all: Vec<T>, page: &Page, key: impl Fn(&T) -> K) -> Result<Items<T>, Failure> {
        if let Some(after) = page.after::<K>()? {
            all.retain(|item| key(item) > after);
        }
        all.sort_by_key(&key);
        Ok(Items::page(all, page.limit, key))
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Items<U> {
        Items { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}

/// A phone number in a query. A `+` that was not escaped arrives as a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone(pub String);

impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_prefix(' ').map_or_else(|| text.clone(), |digits| format!("+{digits}"));
        if phone::is_e164(&number) {
            Ok(Phone(number))
        } else {
            Err(D::Error::custom(format!("{text:?} is not a number of the form +79990001122")))
        }
    }
}

/// An instant in a query: RFC 3339, or what the application's clock shows: a date for its midnight, or a date with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(Written);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A `+` of the offset that was not escaped arrives as a space.
        let written = Written::parse(&text.replace(' ', "+"));
        written.map(Instant).ok_or_else(|| D::Error::custom(format!("{text:?} is no time; write 2026-11-01 or 2026-11-01T00:00:00Z")))
    }
}

/// From when until when, the end not included: the same two parameters wherever a time is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Period {
    /// From this instant: RFC 3339, or a date (or a date with a time) on the clock of the application's time zone.
    #[param(value_type = Option<String>, example = "2026-11-01")]
    from: Option<Instant>,
    /// Before this instant; written as `from`.
    #[param(value_type = Option<String>, example = "2026-12-01")]
    to: Option<Instant>,
}

/// The names of the parameters of a [`Period`].
const PERIOD: [&str; 2] = ["from", "to"];

impl Period {
    /// Takes the period's parameters out of all of them.
    pub fn split(pairs: Vec<(String, String)>) -> Result<(Period, Vec<(String, String)>), Failure> {
        let (own, others) = pairs.into_iter().partition(|(name, _)| PERIOD.contains(&name.as_str()));
        Ok((read(own)?, others))
    }

    /// Its two ends, as far as they are given, on the clock of `zone`.
    pub fn ends(self, zone: &str) -> Result<(Option<Timestamp>, Option<Timestamp>), Failure> {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let on = |name: &str, instant: Option<Instant>| {
            let at = instant.map(|i| i.0.on(&zone).ok_or_else(|| Failure::parameter(name, "is beyond the times that can be stored")));
            at.transpose()
        };
        let (from, to) = (on("from", self.from)?, on("to", self.to)?);
        match (from, to) {
            (Some(from), Some(to)) if from >= to => Err(Failure::parameter("to", "must be later than from")),
            ends => Ok(ends),
        }
    }

    /// A period that must be given.
    pub fn needed(self, zone: &str) -> Result<(Timestamp, Timestamp), Failure> {
        let needed = |name: &str, end: Option<Timestamp>| end.ok_or_else(|| Failure::parameter(name, "is needed"));
        let (from, to) = self.ends(zone)?;
        Ok((needed("from", from)?, needed("to", to)?))
    }

    /// Up to now at the most, and the last day of it where no begin is given.
    pub fn past(self, zone: &str, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
        let (from, to) = self.ends(zone)?;
        let to = to.map_or(now, |to| to.min(now));
        Ok((from.unwrap_or(to.plus_s(-86_400)), to))
    }
}

/// A query string with a [`Period`], and its other parameters as a `T`.
pub struct Within<T> {
    pub period: Period,
    pub also: T,
}

impl<T: DeserializeOwned> FromRequest for Within<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let within = |pairs| {
            let (period, others) = Period::split(pairs)?;
            Ok(Within { period, also: read(others).map_err(with_period)? })
        };
        ready(pairs(request).and_then(within))
    }
}

/// An unknown parameter is told of those of the period too.
pub fn with_period(failure: Failure) -> Failure {
    let Failure::Malformed(what, mut errors) = failure else { return failure };
    let names = PERIOD.join(", ");
    for error in &mut errors {
        if error.reason == "is not known" {
            error.reason = format!("is not known; there are {names}");
        } else if let Some(others) = error.reason.strip_prefix("is not known; there are ") {
            error.reason = format!("is not known; there are {names}, {others}");
        }
    }
    Failure::Malformed(what, errors)
}

/// No parameters but those of the period.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        number: Option<Phone>,
        from: Option<Instant>,
        #[serde(default)]
        limit: Limit,
    }

    fn ask(query: &str) -> Result<Wanted, Failure> {
        read(serde_urlencoded::from_str(query).expect("pairs"))
    }

    fn wrong(query: &str) -> String {
        match ask(query) {
            Err(Failure::Malformed(_, errors)) => errors[0].field.clone(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn reads_what_browsers_and_curl_write() {
        for number in ["number=+79990001122", "number=%2B79990001122"] {
            assert_eq!(ask(number).expect(number).number, Some(Phone("+79990001122".into())));
        }
        let at = Timestamp(1_767_000_000_000_000);
        for from in ["from=2025-12-29T09:20:00Z", "from=2025-12-29T12:20:00+03:00", "from=2025-12-29T12:20:00%2B03:00"] {
            assert_eq!(ask(from).expect(from).from, Some(Instant(Written::Instant(at))));
        }
        assert_eq!(ask("").expect("no query").limit.rows(), 51);
        assert_eq!(ask("limit=500").expect("the most").limit.rows(), 501);
    }

    #[test]
    fn names_the_parameter_that_is_wrong() {
        assert_eq!(wrong("nubmer=1"), "nubmer");
        assert_eq!(wrong("number=89990001122"), "number");
        assert_eq!(wrong("from=yesterday"), "from");
        assert_eq!(wrong("limit=0"), "limit");
        assert_eq!(wrong("limit=501"), "limit");
        assert_eq!(wrong("limit=ten"), "limit");
        assert_eq!(wrong("limit=1&limit=2"), "limit");
    }

    fn period(query: &str) -> Result<Period, Failure> {
        Ok(Period::split(serde_urlencoded::from_str(query).expect("pairs"))?.0)
    }

    #[test]
    fn a_date_is_a_midnight_of_the_applications_clock() {
        let day = period("from=2025-12-29&to=2025-12-30T00:00").expect("a day");
        let at = |text| Timestamp::parse_rfc3339(text).expect("a time");
        assert_eq!(day.needed("Europe/Moscow").expect("a day"), (at("2025-12-28T21:00:00Z"), at("2025-12-29T21:00:00Z")));
        let now = at("2025-12-29T10:00:00Z");
        assert_eq!(day.past("UTC", now).expect("a day"), (at("2025-12-29T00:00:00Z"), now));
        assert_eq!(Period::default().past("UTC", now).expect("the last day"), (at("2025-12-28T10:00:00Z"), now));
        let wrong = |period: Period| match period.needed("UTC") {
            Err(Failure::Malformed(_, errors)) => errors[0].field.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(period("from=2025-01-02&to=2025-01-02").expect("read")), "to");
        assert_eq!(wrong(period("to=2025-01-02").expect("read")), "from");
        assert_eq!(wrong(period("from=1900-01-01&to=2025-01-02").expect("read")), "from");
    }

    #[test]
    fn a_cursor_is_of_its_own_list() {
        let key = (7i64, "x".to_owned());
        assert_eq!(after::<(i64, String)>(Some(&cursor(&key))).expect("our own cursor"), Some(key));
        for foreign in ["abc", "", &cursor(&"another list's")] {
            assert!(matches!(after::<(i64, String)>(Some(foreign)), Err(Failure::Malformed(_, e)) if e[0].field == "cursor"), "{foreign}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_double() {
        let all: Vec<u32> = (0..103).rev().collect();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = Items::of_all(all.clone(), &Page { limit: Limit(10), cursor }, |n| *n).expect("our own cursor");
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..103).collect::<Vec<_>>());
    }
}
