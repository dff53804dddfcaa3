//! The layers: the document under the environment, flattened to the known keys.
//!
//! Nothing is interpreted here. What has no place in the settings tables is a
//! problem, so that a misspelt key never silently leaves a default in force.

use std::{borrow::Cow, collections::BTreeMap};

use serde_norway::{Mapping, Value};

use super::{
    DOCUMENT_VARIABLE,
    problem::Problem,
    settings::{PREFIX, SETTINGS, Setting, Shape, remedy_for_key, remedy_for_variable},
};

/// A value as it was written, and the variable it came from, if any.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) variable: Option<String>,
}

/// What was written for each known key.
pub(super) type Entries = BTreeMap<&'static str, Entry>;

/// The document's settings under the environment's, and what neither table knows.
pub(super) fn layered(
    document: Option<&str>,
    environment: impl Iterator<Item = (String, String)>,
) -> (Entries, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut entries = document.map(|text| in_document(text, &mut problems)).unwrap_or_default();
    // Sorted, so that the problems come in the same order on every machine.
    let ours: BTreeMap<_, _> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    for (name, text) in ours {
        // A template parameter left blank arrives as an empty variable.
        if name == DOCUMENT_VARIABLE || text.is_empty() {
            continue;
        }
        match SETTINGS.iter().find(|s| s.variable() == name) {
            Some(setting) => in_variable(setting, name, text, &mut entries, &mut problems),
            None => problems.push(Problem {
                remedy: remedy_for_variable(&name),
                key: name,
                variable: None,
                value: Some(clipped(&text)),
            }),
        }
    }
    (entries, problems)
}

fn in_document(text: &str, problems: &mut Vec<Problem>) -> Entries {
    let mut refuse = |value: Option<String>, remedy: String| {
        problems.push(Problem { key: "document".to_owned(), variable: None, value, remedy });
    };
    match serde_norway::from_str::<Value>(text) {
        Ok(Value::Null) => Entries::new(),
        Ok(Value::Mapping(map)) => flattened(&map, "", SETTINGS, None, problems),
        Ok(other) => {
            refuse(
                Some(shown(&other)),
                "want a map of settings, such as `primary_region: us-west-2`".to_owned(),
            );
            Entries::new()
        }
        Err(error) => {
            refuse(Some(clipped(text)), format!("want YAML or JSON, but {error}"));
            Entries::new()
        }
    }
}

fn in_variable(
    setting: &Setting,
    name: String,
    text: String,
    entries: &mut Entries,
    problems: &mut Vec<Problem>,
) {
    let parsed = match setting.shape {
        Shape::Scalar => Ok(Value::String(text)),
        Shape::List => serde_norway::from_str(&text).map_err(|error| (error, clipped(&text))),
    };
    match parsed {
        Ok(value) => {
            entries.insert(setting.key, Entry { value, variable: Some(name) });
        }
        Err((error, text)) => problems.push(Problem {
            key: setting.key.to_owned(),
            variable: Some(name),
            value: Some(text),
            remedy: format!("want a list in YAML or JSON, but {error}"),
        }),
    }
}

/// The known keys of `map`; `prefix` is put before the keys that problems name.
pub(super) fn flattened(
    map: &Mapping,
    prefix: &str,
    settings: &'static [Setting],
    variable: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Entries {
    let mut entries = Entries::new();
    let mut flattening = Flattening { prefix, settings, variable, entries: &mut entries, problems };
    flattening.walk(map, "");
    entries
}

struct Flattening<'a> {
    prefix: &'a str,
    settings: &'static [Setting],
    variable: Option<&'a str>,
    entries: &'a mut Entries,
    problems: &'a mut Vec<Problem>,
}

impl Flattening<'_> {
    /// Goes no deeper than the longest known key, whatever the document's depth.
    fn walk(&mut self, map: &Mapping, path: &str) {
        for (key, value) in map {
            let word = key.as_str().map_or_else(|| shown(key), str::to_owned);
            let key = if path.is_empty() { word } else { format!("{path}.{word}") };
            let inside = format!("{key}.");
            if let Some(setting) = self.settings.iter().find(|s| s.key == key) {
                // A key without a value is not set.
                if !value.is_null() {
                    let variable = self.variable.map(str::to_owned);
                    self.entries.insert(setting.key, Entry { value: value.clone(), variable });
                }
            } else if self.settings.iter().any(|s| s.key.starts_with(&inside)) {
                self.enter(&key, value);
            } else {
                self.refuse(&key, value, remedy_for_key(&key, self.settings));
            }
        }
    }

    fn enter(&mut self, key: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Mapping(inner) => self.walk(inner, key),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Sequence(_) | Value::Tagged(_) => {
                self.refuse(key, value, "want a map of settings".to_owned())
            }
        }
    }

    fn refuse(&mut self, key: &str, value: &Value, remedy: String) {
        self.problems.push(Problem {
            key: format!("{}{key}", self.prefix),
            variable: self.variable.map(str::to_owned),
            value: Some(shown(value)),
            remedy,
        });
    }
}

/// The value as it would be written on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => clipped(text),
        // JSON has no infinity, and would show it as `null`.
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => {
            clipped(&serde_json::to_string(value).unwrap_or_else(|_| "something that is no JSON".to_owned()))
        }
    }
}

/// `text` with the user and password of a URL masked: problems end up in logs.
fn without_password(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}").into(),
        None => text.into(),
    }
}

/// The beginning of `text` on one line: a problem has to fit the log.
pub(super) fn clipped(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let text = without_password(text);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
