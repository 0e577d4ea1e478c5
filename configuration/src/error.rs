//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could be read, and says something wrong.
    #[error("{}", Listing(path, findings))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it; at least one.
        findings: Vec<Finding>,
    },
}

/// One thing that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Line in the file, from 1; 0 if the setting is not written there (its default does not fit the others).
    pub line: usize,
    /// Column, in characters from 1; 0 as with `line`.
    pub column: usize,
    /// The key with its table, as in `media.ports` or `trunk[1].name`; empty if no key is concerned.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

struct Listing<'a>(&'a PathBuf, &'a [Finding]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.1.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}: {finding}", self.0.display())?;
        }
        Ok(())
    }
}

/// A finding about a key, before it is known where in the text the key stands.
pub(crate) struct Unplaced {
    /// The path to the key: table names, keys, and indices of arrays.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Finds the place of each key; a key that is not in the text has none.
pub(crate) fn place(text: &str, findings: Vec<Unplaced>) -> Vec<Finding> {
    if findings.is_empty() {
        return Vec::new();
    }
    let mut spans = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        list_table(table.get_ref(), "", &mut spans);
    }
    findings
        .into_iter()
        .map(|Unplaced { key, message }| {
            let span = spans.iter().find(|(name, _)| *name == key).map(|(_, span)| span.start);
            let (line, column) = span.map_or((0, 0), |start| line_and_column(text, start));
            Finding { line, column, key, message }
        })
        .collect()
}

/// Turns the reader's error into ours, and finds the key it is about.
pub(crate) fn from_toml(text: &str, error: &toml::de::Error) -> Finding {
    let span = error.span().unwrap_or(0..0);
    let (line, column) = line_and_column(text, span.start);
    let mut spans = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        list_table(table.get_ref(), "", &mut spans);
    }
    // The innermost key or value that covers the place. Tables that were opened by a header do not cover
    // their keys, so the shortest span is the innermost.
    let key = spans
        .into_iter()
        .filter(|(_, covered)| covered.start <= span.start && span.end <= covered.end)
        .min_by_key(|(_, covered)| covered.len())
        .map_or(String::new(), |(key, _)| key);
    Finding { line, column, key, message: error.message().trim_end().to_owned() }
}

/// All keys below a table with the spans of their values and of themselves; values first.
fn list_table(table: &DeTable<'_>, prefix: &str, spans: &mut Vec<(String, Range<usize>)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        spans.push((key.clone(), value.span()));
        spans.push((key.clone(), name.span()));
        list_value(value.get_ref(), &key, spans);
    }
}

fn list_value(value: &DeValue<'_>, key: &str, spans: &mut Vec<(String, Range<usize>)>) {
    match value {
        DeValue::Table(table) => list_table(table, key, spans),
        DeValue::Array(array) => {
            for (index, element) in array.iter().enumerate() {
                let key = format!("{key}[{index}]");
                spans.push((key.clone(), element.span()));
                list_value(element.get_ref(), &key, spans);
            }
        }
        _ => {}
    }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
