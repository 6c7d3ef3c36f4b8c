//! The floors of docs/ARCHITECTURE.md: its table is the rule, the sources are checked against it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            found.push(entry);
        }
    }
}

/// Every source file with the room it is in.
fn sources() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files
        .into_iter()
        .filter_map(|file| {
            let relative = file.strip_prefix(&src).unwrap();
            let room = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            (room != "lib").then_some((room, file.clone(), text))
        })
        .collect()
}

/// The table under "Floors".
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let doc = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let floors = doc.split("## Floors").nth(1).unwrap().split("\n## ").next().unwrap();
    floors
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'))
        .filter_map(|row| row.split_once('|'))
        .filter(|(room, _)| !["room", "---"].contains(&room.trim()))
        .map(|(room, uses)| {
            let uses = uses.split(',').map(str::trim).filter(|u| !u.is_empty()).map(str::to_owned).collect();
            (room.trim().to_owned(), uses)
        })
        .collect()
}

/// The rooms that a file names after `crate::`, outside comments.
fn uses(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let inner = group.split('}').next().unwrap_or_default();
            found.extend(inner.split(',').map(|p| p.trim().split("::").next().unwrap_or_default().to_owned()));
        } else {
            found.insert(rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default().to_owned());
        }
    }
    found.retain(|room| !["", "on_backend", "text_enum"].contains(&room.as_str()));
    found
}

#[test]
fn rooms_use_only_the_floors_below_them() {
    let allowed = allowed();
    assert!(allowed.len() > 15, "the table under Floors was not found");
    let mut wrong = Vec::new();
    for (room, file, text) in sources().iter().filter(|(room, ..)| room != "main") {
        let Some(may) = allowed.get(room) else {
            wrong.push(format!("{}: room {room} is not in the table", file.display()));
            continue;
        };
        for used in uses(text).iter().filter(|used| *used != room && !may.contains(*used)) {
            wrong.push(format!("{}: {room} must not use {used}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_of_the_table_exist_and_make_no_circle() {
    let allowed = allowed();
    let rooms: BTreeSet<String> = sources().into_iter().map(|(room, ..)| room).collect();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while placed.len() < allowed.len() {
        let next = allowed.iter().find(|(room, uses)| !placed.contains(room.as_str()) && uses.iter().all(|u| placed.contains(u.as_str())));
        let Some((room, _)) = next else {
            panic!("a circle among {:?}", allowed.keys().filter(|r| !placed.contains(r.as_str())).collect::<Vec<_>>())
        };
        assert!(rooms.contains(room), "the table names {room}, which is not there");
        placed.insert(room);
    }
}

#[test]
fn each_library_stays_in_its_room() {
    let rules: [(&str, &[&str]); 3] = [("diesel", &["store"]), ("actix", &["http", "server", "simulator"]), ("reqwest", &["net"])];
    let mut wrong = Vec::new();
    for (room, file, text) in sources() {
        let code: String = text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
        for (library, rooms) in rules {
            let named = code.match_indices(library).any(|(at, _)| {
                let rest = code[at..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
                let before = code[..at].chars().next_back().unwrap_or(' ');
                rest.starts_with("::") && !(before.is_alphanumeric() || before == '_')
            });
            if named && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: {library} belongs in {rooms:?}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
