//! What a deserialiser says about a value, in the words of somebody who writes files: no types of ours, no value (it may be a secret), and
//! the mend.

/// The message in plain words. What is none of the known forms stays as it is.
pub fn plain(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return match nearest(rest) {
            Some(known) => format!("unknown key; the nearest known one is {known}"),
            None => "unknown key; leave it out".into(),
        };
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let known = quoted(rest).skip(1).collect::<Vec<_>>().join(", ");
        return match nearest(rest) {
            Some(near) => format!("is none of {known}; the nearest is {near}"),
            None => format!("is none of {known}"),
        };
    }
    let about_type = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match about_type.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => mismatch(kind(found), wanted(expected)),
        None => message.to_owned(),
    }
}

/// The name of the key that is missing, when that is what the message says.
pub fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The known name most like the first one that the message quotes.
fn nearest(message: &str) -> Option<&str> {
    let given = quoted(message).next()?;
    let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(given, known);
    quoted(message).skip(1).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

fn mismatch(found: &str, expected: &str) -> String {
    let mend = match (found, expected) {
        ("a whole number" | "a number with a point" | "true or false", "a string") => "; put it in quotes",
        ("a string", "a whole number" | "true or false") => "; write it without quotes",
        (found, "a list") if found != "a table" => "; put it in [brackets]",
        (found, expected) if found == expected => return format!("is {expected} that is too large, or below zero"),
        _ => "",
    };
    format!("expected {expected}, found {found}{mend}")
}

/// What was found, by the first words of how it is named; the value itself follows them.
fn kind(found: &str) -> &str {
    match found.split([' ', '`', '"']).next().unwrap_or_default() {
        "string" => "a string",
        "integer" => "a whole number",
        "floating" => "a number with a point",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table",
        _ => "something else",
    }
}

fn wanted(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("unknown field `extention`, expected one of `id`, `extension`, `name`", "unknown key; the nearest known one is extension")]
    #[case("unknown field `x`, there are no fields", "unknown key; leave it out")]
    #[case("unknown variant `tlphin`, expected `telphin` or `exotel`", "is none of telphin, exotel; the nearest is telphin")]
    #[case("invalid type: integer `4711`, expected a string", "expected a string, found a whole number; put it in quotes")]
    #[case("invalid type: string \"a, expected b\", expected i64", "expected a whole number, found a string; write it without quotes")]
    #[case("invalid type: string \"x\", expected a sequence", "expected a list, found a string; put it in [brackets]")]
    #[case("invalid type: sequence, expected struct Routing", "expected a table, found a list")]
    #[case("invalid value: integer `4711`, expected i32", "is a whole number that is too large, or below zero")]
    #[case("must not be empty", "must not be empty")]
    fn messages_are_for_people(#[case] message: &str, #[case] words: &str) {
        assert_eq!(plain(message), words);
        assert!(!plain(message).contains("4711"));
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(missing("missing field `name`"), Some("name"));
        assert_eq!(missing("unknown field `name`"), None);
    }
}
