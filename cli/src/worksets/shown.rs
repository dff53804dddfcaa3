//! What an API said, as people read it: tables of what is many, and a line a field of what is one.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::table::Table;

/// Columns of a table that are wide and say little.
const LEFT_OUT: [&str; 4] = ["metadata", "metrics", "request", "tenant"];

/// An answer, or the part of it that was asked for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Shown(pub(super) Value);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| field(f, name, value)),
            Value::Array(rows) => table(rows).fmt(f),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                writeln!(f, "{}", plain(&self.0))
            }
        }
    }
}

fn field(f: &mut fmt::Formatter<'_>, name: &str, value: &Value) -> fmt::Result {
    match value {
        Value::Array(rows) if rows.iter().any(Value::is_object) => write!(f, "{name}:\n{}", table(rows)),
        Value::Object(inner) => {
            writeln!(f, "{name}:")?;
            inner.iter().try_for_each(|(name, value)| writeln!(f, "  {name}: {}", plain(value)))
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            writeln!(f, "{name}: {}", plain(value))
        }
    }
}

/// A row for each of `rows`, a column for each field that any of them has.
fn table(rows: &[Value]) -> Table {
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !columns.contains(&name.as_str()) && !LEFT_OUT.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut table = Table::new(columns.iter().copied());
    for row in rows {
        table.row(columns.iter().map(|name| row.get(name).map(plain).unwrap_or_default()).collect());
    }
    table
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn many_are_a_table_and_one_is_a_line_a_field() {
        let told = Shown(json!({
            "events": [{"version": 2, "to": "complete", "request": "x"}, {"version": 1, "to": "ready", "from": null}],
            "next": null, "collisions": [],
        }));
        let text = told.to_string();
        assert!(text.contains("to        version  from\ncomplete  2\nready     1        -\n"), "{text}");
        assert!(
            text.contains("next: -\n") && text.contains("collisions: \n") && !text.contains("request"),
            "{text}"
        );
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(Shown(json!("a\u{1b}[2Jb")).to_string(), "a [2Jb\n");
    }
}
