//! Declaration files: TOML with `[[application]]` tables (contract, section 5).
//!
//! Each mistake names file, line, key, reason and mend, and all of them are told at once. In this order: the files are read, their text is
//! taken as TOML, each table as what it declares; then numbers are brought into E.164 where they can be. Whether the whole makes sense is
//! asked later, together with what the database holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::DeTable;

use super::{tree, words};
use crate::domain::phone;
use crate::domain::spec::Application;
use crate::domain::validate::Problem;

/// A file larger than this is a mistaken path; directories of this size are for `import`.
const MOST_BYTES: u64 = 64 << 20;

/// Mistakes of one table that are told; after so many nobody reads on.
const MOST_IN_A_TABLE: usize = 20;

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `shop.toml:12`
    pub place: String,
    /// `application[0].agent[3].extension`; empty when the file as a whole cannot be read.
    pub key: String,
    /// What is wrong, and how to mend it.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

/// One application as a file declares it, and where.
#[derive(Clone, Debug)]
pub struct Declared {
    pub spec: Application,
    pub source: Source,
}

/// Where an application is declared.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<File>,
    /// Which `[[application]]` of the file it is, from 0.
    index: usize,
}

#[derive(Debug)]
struct File {
    name: String,
    text: String,
}

impl Source {
    /// `problems` of this application with their places.
    pub fn mistakes(&self, problems: &[Problem]) -> Vec<Mistake> {
        let problems = problems.iter().map(|p| Problem::new(tree::join(&format!("application[{}]", self.index), &p.path), &p.reason));
        self.file.mistakes(&problems.collect::<Vec<_>>())
    }
}

impl File {
    /// `problems` with their places, from top to bottom; paths begin at the top of the file.
    fn mistakes(&self, problems: &[Problem]) -> Vec<Mistake> {
        let table = DeTable::parse(&self.text).ok();
        let line = |path: &str| table.as_ref().map_or(1, |table| tree::line(&self.text, table.get_ref(), path));
        let mut by_line: Vec<(usize, &Problem)> = problems.iter().map(|p| (line(&p.path), p)).collect();
        by_line.sort_by_key(|(line, _)| *line);
        let mistake = |(line, p): (usize, &Problem)| Mistake {
            place: format!("{}:{line}", self.name),
            key: p.path.clone(),
            reason: words::plain(&p.reason),
        };
        by_line.into_iter().map(mistake).collect()
    }
}

/// Reads files into applications, in the order of their ids.
///
/// # Errors
/// Everything that is wrong in any of them; an application that is declared twice is told with both places.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<Declared>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut found: BTreeMap<i64, Declared> = BTreeMap::new();
    for path in paths {
        let name = path.as_ref().display().to_string();
        let text = match text(path.as_ref()) {
            Ok(text) => text,
            Err(reason) => {
                mistakes.push(Mistake { place: name, key: String::new(), reason });
                continue;
            }
        };
        let declared = parse(name, text).unwrap_or_else(|more| {
            mistakes.extend(more);
            Vec::new()
        });
        for one in declared {
            let id = one.spec.id;
            match found.get(&id) {
                None => drop(found.insert(id, one)),
                Some(first) => {
                    let place = first.source.mistakes(&[Problem::new("id", "")]).remove(0).place;
                    let reason = format!("application {id} is declared at {place} already; keep one of the two");
                    mistakes.extend(one.source.mistakes(&[Problem::new("id", reason)]));
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(found.into_values().collect()) } else { Err(mistakes) }
}

fn text(path: &Path) -> Result<String, String> {
    let unreadable = |e: std::io::Error| format!("cannot be read: {e}; name a readable file");
    if std::fs::metadata(path).map_err(unreadable)?.len() > MOST_BYTES {
        return Err(format!("is larger than {} MiB; bring large directories in with `hookflash import`", MOST_BYTES >> 20));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|e| format!("byte {} is not UTF-8; save the file as UTF-8", e.utf8_error().valid_up_to() + 1))
}

/// Reads one file's text.
pub fn parse(name: String, text: String) -> Result<Vec<Declared>, Vec<Mistake>> {
    // The parser's own report quotes the line, which may hold a secret: only its sentence and the place are used.
    let table = match DeTable::parse(&text) {
        Ok(table) => table,
        Err(e) => {
            let place = format!("{name}:{}", tree::line_at(&text, e.span().map_or(0, |s| s.start)));
            let reason = format!("is not TOML: {}; correct the line", e.message());
            return Err(vec![Mistake { place, key: String::new(), reason }]);
        }
    };
    let mut problems = Vec::new();
    let specs = document(tree::plain(table.get_ref(), &mut problems), &mut problems);
    drop(table);
    let file = Arc::new(File { name, text });
    if !problems.is_empty() {
        return Err(file.mistakes(&problems));
    }
    Ok(specs.into_iter().enumerate().map(|(index, spec)| Declared { spec, source: Source { file: file.clone(), index } }).collect())
}

fn document(mut root: Value, problems: &mut Vec<Problem>) -> Vec<Application> {
    let Some(top) = root.as_object_mut() else { return Vec::new() };
    let applications = top.remove("application");
    for key in top.keys() {
        problems.push(Problem::new(key, "unknown key; the nearest known one is application: a file is [[application]] tables"));
    }
    match applications {
        Some(Value::Array(tables)) => {
            let read = |(i, table)| application(table, &format!("application[{i}]"), problems);
            tables.into_iter().enumerate().filter_map(read).collect()
        }
        Some(_) => {
            problems.push(Problem::new("application", "expected a list of tables; write [[application]]"));
            Vec::new()
        }
        None => {
            if problems.is_empty() {
                problems.push(Problem::new("application", "is missing; a file declares at least one [[application]]"));
            }
            Vec::new()
        }
    }
}

/// One application; its lists are read item by item, so that a mistake in one does not hide those of the others.
fn application(mut table: Value, at: &str, problems: &mut Vec<Problem>) -> Option<Application> {
    let lists = Application {
        agent: list(&mut table, at, "agent", problems),
        extension: list(&mut table, at, "extension", problems),
        group: list(&mut table, at, "group", problems),
        queue: list(&mut table, at, "queue", problems),
        number: list(&mut table, at, "number", problems),
        business_hours: list(&mut table, at, "business_hours", problems),
        ivr_tree: list(&mut table, at, "ivr_tree", problems),
        ivr_node: list(&mut table, at, "ivr_node", problems),
        ivr_key: list(&mut table, at, "ivr_key", problems),
        blacklist: list(&mut table, at, "blacklist", problems),
        contact: list(&mut table, at, "contact", problems),
        ..item(table, at, problems)?
    };
    Some(normal(lists))
}

fn list<T: DeserializeOwned>(table: &mut Value, at: &str, name: &str, problems: &mut Vec<Problem>) -> Vec<T> {
    match table.as_object_mut().and_then(|keys| keys.remove(name)) {
        None => Vec::new(),
        Some(Value::Array(items)) => {
            let read = |(i, one)| item(one, &format!("{at}.{name}[{i}]"), problems);
            items.into_iter().enumerate().filter_map(read).collect()
        }
        Some(_) => {
            problems.push(Problem::new(format!("{at}.{name}"), format!("expected a list of tables; write [[application.{name}]]")));
            Vec::new()
        }
    }
}

/// One table. A key that cannot be read is told and taken out, and the rest is read again for what else is wrong with it.
fn item<T: DeserializeOwned>(mut table: Value, at: &str, problems: &mut Vec<Problem>) -> Option<T> {
    let (mut cut, mut hints): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&table) {
            Ok(read) => return cut.is_empty().then_some(read),
            Err(error) => error,
        };
        let (path, message) = (error.path().to_string(), error.inner().to_string());
        if let Some(key) = words::missing(&message) {
            // It is there: unreadable, or misspelt, as was told.
            let told = cut.iter().any(|c| c == key) || hints.iter().any(|hint| hint.ends_with(&format!(" {key}")));
            if !told {
                problems.push(Problem::new(tree::join(&tree::join(at, &path), key), "is missing; it has no default"));
            }
            return None;
        }
        let reason = words::plain(&message);
        hints.push(reason.clone());
        problems.push(Problem::new(tree::join(at, &path), reason));
        if cut.len() == MOST_IN_A_TABLE {
            return None;
        }
        cut.push(tree::cut(&mut table, &path)?);
    }
}

/// Numbers in E.164 where they can be read; an empty key is none.
fn normal(mut app: Application) -> Application {
    let country = app.country.clone();
    let e164 = |number: &mut String| {
        if let Some(read) = phone::written(number, country.as_deref()) {
            *number = read;
        }
    };
    app.agent.iter_mut().filter_map(|a| a.phone_number.as_mut()).for_each(e164);
    app.number.iter_mut().map(|n| &mut n.number).for_each(e164);
    app.contact.iter_mut().flat_map(|c| &mut c.phones).for_each(e164);
    app.key = app.key.filter(|key| !key.is_empty());
    app
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
