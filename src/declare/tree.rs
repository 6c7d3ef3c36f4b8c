//! TOML as plain values, and where in the text each of them stands.
//!
//! A path is written as in messages, `application[0].agent[3].extension`, so that whoever finds a mistake in the values can say its line.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::domain::validate::Problem;

/// The values of a table. What no plain value can hold is a problem, and left out.
pub fn plain(table: &DeTable<'_>, problems: &mut Vec<Problem>) -> Value {
    Value::Object(object(table, "", problems))
}

fn object(table: &DeTable<'_>, at: &str, problems: &mut Vec<Problem>) -> Map<String, Value> {
    let entries = table.iter().filter_map(|(key, item)| {
        let key = key.get_ref().to_string();
        let value = value(item.get_ref(), &join(at, &key), problems)?;
        Some((key, value))
    });
    entries.collect()
}

fn value(item: &DeValue<'_>, at: &str, problems: &mut Vec<Problem>) -> Option<Value> {
    let number: Option<Number> = match item {
        DeValue::String(text) => return Some(Value::String(text.to_string())),
        DeValue::Boolean(yes) => return Some(Value::Bool(*yes)),
        DeValue::Datetime(time) => return Some(Value::String(time.to_string())),
        DeValue::Table(table) => return Some(Value::Object(object(table, at, problems))),
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            return Some(items.filter_map(|(i, item)| value(item.get_ref(), &format!("{at}[{i}]"), problems)).collect());
        }
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(Number::from),
        DeValue::Float(digits) => digits.as_str().parse().ok().and_then(Number::from_f64),
    };
    if number.is_none() {
        problems.push(Problem::new(at, "is a number that cannot be used; write a smaller one"));
    }
    number.map(Value::Number)
}

/// The path of `rest` inside `at`.
pub fn join(at: &str, rest: &str) -> String {
    match rest {
        "" | "." => at.to_owned(),
        _ if at.is_empty() || rest.starts_with('[') => format!("{at}{rest}"),
        _ => format!("{at}.{rest}"),
    }
}

/// A step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The steps of a path.
pub fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            steps.push(Step::Key(key));
        }
        let indices = indices.split(['[', ']']).filter(|i| !i.is_empty());
        steps.extend(indices.map_while(|i| i.parse().ok()).map(Step::Index));
    }
    steps
}

/// The line of what `path` names, or of the nearest thing around it that is in the text.
pub fn line(text: &str, table: &DeTable<'_>, path: &str) -> usize {
    line_at(text, offset(table, &steps(path)).unwrap_or(0))
}

fn offset(table: &DeTable<'_>, steps: &[Step<'_>]) -> Option<usize> {
    let (Step::Key(name), rest) = steps.split_first()? else { return None };
    let (key, item) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    inside(item.get_ref(), rest).or(Some(key.span().start))
}

fn inside(item: &DeValue<'_>, steps: &[Step<'_>]) -> Option<usize> {
    match (item, steps) {
        (DeValue::Table(table), steps) => offset(table, steps),
        (DeValue::Array(items), [Step::Index(i), rest @ ..]) => {
            let found = items.get(*i)?;
            inside(found.get_ref(), rest).or(Some(found.span().start))
        }
        _ => None,
    }
}

/// Lines count from one.
pub fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}

/// Takes out what `path` names, so that the rest can be read on; of a list, the whole list, lest its indices shift. `None`: it is all.
pub fn cut(root: &mut Value, path: &str) -> Option<String> {
    let steps = steps(path);
    let last_key = steps.iter().rposition(|step| matches!(step, Step::Key(_)))?;
    let mut at = root;
    for step in &steps[..last_key] {
        at = match step {
            Step::Key(key) => at.get_mut(key)?,
            Step::Index(i) => at.get_mut(i)?,
        };
    }
    let Step::Key(name) = steps[last_key] else { return None };
    at.as_object_mut()?.remove(name).map(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[[app]]\nid = 1\n\n[[app]]\nid = 2\n[app.sub]\nx = [1,\n  2]\n\n[[app.agent]]\nname = \"n\"\n";

    fn at(path: &str) -> usize {
        line(TEXT, DeTable::parse(TEXT).unwrap().get_ref(), path)
    }

    #[test]
    fn a_path_has_a_line() {
        assert_eq!([at("a"), at("app[0].id"), at("app[1].id"), at("app[1].sub.x"), at("app[1].sub.x[1]")], [1, 3, 6, 8, 9]);
        assert_eq!([at("app[1].agent[0].name"), at("app[1].agent[0]"), at("app[1]")], [12, 11, 5]);
    }

    #[test]
    fn what_is_not_there_has_the_line_of_what_is_around_it() {
        assert_eq!([at("app[1].agent[0].extension"), at("app[1].sub.y.z"), at("app[7]"), at("nothing"), at("")], [11, 7, 2, 1, 1]);
    }

    #[test]
    fn values_are_plain_and_those_that_cannot_be_are_told() {
        let mut problems = Vec::new();
        let text = "i = 0x_f\n".replace('_', "") + "f = 1.5\nbig = 99999999999999999999\nd = 1979-05-27\nl = [nan, true]\n";
        let value = plain(DeTable::parse(&text).unwrap().get_ref(), &mut problems);
        assert_eq!(value, serde_json::json!({ "i": 15, "f": 1.5, "d": "1979-05-27", "l": [true] }));
        assert_eq!(problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["big", "l[0]"]);
    }

    #[test]
    fn cutting_leaves_the_rest_readable() {
        let mut value = serde_json::json!({ "id": 1, "routing": { "x": [1, 2], "y": 3 } });
        assert_eq!(cut(&mut value, "routing.x[1]").as_deref(), Some("x"));
        assert_eq!(cut(&mut value, "nothing.there"), None);
        assert_eq!(cut(&mut value, "."), None);
        assert_eq!(value, serde_json::json!({ "id": 1, "routing": { "y": 3 } }));
    }
}
