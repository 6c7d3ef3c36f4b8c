//! Whether the dialplan that an Asterisk has loaded is the one that was printed for it.

use std::collections::BTreeMap;

use super::super::ami::Block;

/// What each context holds: `Application(data)`, in no order.
pub type Contexts = BTreeMap<String, Vec<String>>;

/// The contexts of a dialplan as it is printed.
pub fn of_text(text: &str) -> Contexts {
    let mut contexts = Contexts::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            current = Some(contexts.entry(name.to_owned()).or_default());
        } else if let (Some(context), Some(what)) = (current.as_mut(), priority(line)) {
            context.push(what.to_owned());
        }
    }
    contexts.values_mut().for_each(|lines| lines.sort());
    contexts
}

/// `Application(data)` of `exten => …,1,Application(data)` or `same => n(label),Application(data)`.
fn priority(line: &str) -> Option<&str> {
    let (head, rest) = line.split_once("=>")?;
    let skip = if head.trim() == "exten" { 2 } else { 1 };
    rest.splitn(skip + 1, ',').nth(skip)
}

/// The lines of one context as `ShowDialPlan` lists them.
pub fn of_list(events: &[Block]) -> Vec<String> {
    let line = |b: &Block| Some(format!("{}({})", b.get("Application")?, b.raw("AppData").unwrap_or_default()));
    let mut lines: Vec<String> = events.iter().filter(|b| b.event() == "ListDialplan").filter_map(line).collect();
    lines.sort();
    lines
}

/// True for versions that have `JSON_DECODE`; `None`: the version is not one that can be read.
pub fn decodes_json(version: &str) -> Option<bool> {
    let mut numbers = version.trim_start_matches("Asterisk ").split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(match major {
        18 => minor >= 24,
        20 => minor >= 9,
        21 => minor >= 4,
        _ => major > 21,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_dialplan_is_what_asterisk_lists() {
        let text = "[a]\nexten => _[+0-9]!,1,Set(X=${F(a,b)})\n same => n(ring),Dial(PJSIP/1,20)\n; note\n\n[b]\nexten => s,1,Return()\n";
        let contexts = of_text(text);
        assert_eq!(contexts["a"], ["Dial(PJSIP/1,20)", "Set(X=${F(a,b)})"]);
        let listed = |app: &str, data: &str| {
            Block::default().with("Event", "ListDialplan").with("Context", "x").with("Application", app).with("AppData", data)
        };
        assert_eq!(of_list(&[listed("Set", "X=${F(a,b)}"), listed("Dial", "PJSIP/1,20")]), contexts["a"]);
        assert_eq!(of_list(&[listed("Return", "")]), contexts["b"]);
    }

    #[test]
    fn the_versions_with_json_are_known() {
        for (version, json) in [
            ("22.10.1+dfsg", Some(true)),
            ("20.8.1", Some(false)),
            ("20.9.0", Some(true)),
            ("18.24.0", Some(true)),
            ("19.8.0", Some(false)),
            ("16.28.0~dfsg", Some(false)),
            ("GIT-master", None),
        ] {
            assert_eq!(decodes_json(version), json, "{version}");
        }
    }
}
