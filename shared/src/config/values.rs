//! Typed values from the layers, with a problem for each that cannot be read.

use std::{ops::RangeInclusive, time::Duration};

use serde::de::DeserializeOwned;
use serde_norway::Value;

use super::{
    layers::{Entries, Entry, flattened, shown},
    problem::Problem,
    settings::{Fallback, Setting},
};
use crate::{
    time::{Human, parse_duration},
    units::ByteSize,
};

/// The longest of all durations: what lasts longer is a slip of the unit.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest duration where zero would mean "all the time" or "at once, as failed".
pub(super) const DURATION_MIN: Duration = Duration::from_millis(1);

/// One table's settings as they were written, and the problems found so far.
///
/// A value that cannot be read is a problem, and its default stands in so that
/// the rest can be checked in the same reading.
#[derive(Debug)]
pub(super) struct Group {
    /// What stands before the keys in messages; empty for the whole.
    pub(super) prefix: String,
    pub(super) settings: &'static [Setting],
    pub(super) entries: Entries,
    pub(super) problems: Vec<Problem>,
}

impl Group {
    /// Whether a value was written for `key`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Notes a problem with `key`, unless it has one already: the first says what to mend first.
    pub(super) fn refuse(&mut self, key: &str, remedy: impl Into<String>) {
        let full = format!("{}{key}", self.prefix);
        if self.problems.iter().any(|p| p.key == full) {
            return;
        }
        let (value, variable) = match self.entries.get(key) {
            Some(entry) => (Some(shown(&entry.value)), entry.variable.clone()),
            None => (self.default_text(key).map(str::to_owned), None),
        };
        self.problems.push(Problem { key: full, variable, value, remedy: remedy.into() });
    }

    /// Notes a problem between two settings, unless either has one of its own.
    pub(super) fn refuse_pair(&mut self, key: &str, other: &str, remedy: impl Into<String>) {
        let other = format!("{}{other}", self.prefix);
        if !self.problems.iter().any(|p| p.key == other) {
            self.refuse(key, remedy);
        }
    }

    /// Reads one item of a list: a map of `settings` whose keys are named below `prefix`. Its problems
    /// become those of the whole, and come from `variable` if the list does: what is missing from a
    /// variable's list is to be mended there, too. `at` names an item that is no map, `example` shows one.
    pub(super) fn item<T>(
        &mut self,
        item: &Value,
        [at, prefix, example]: [&str; 3],
        settings: &'static [Setting],
        variable: Option<&str>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let Some(map) = item.as_mapping() else {
            self.problems.push(Problem {
                key: at.to_owned(),
                variable: variable.map(str::to_owned),
                value: Some(shown(item)),
                remedy: format!("want a map, such as `{example}`"),
            });
            return None;
        };
        let mut problems = Vec::new();
        let entries = flattened(map, prefix, settings, variable, &mut problems);
        let mut entry = Self { prefix: prefix.to_owned(), settings, entries, problems };
        let value = read(&mut entry);
        for mut problem in entry.problems {
            problem.variable = variable.map(str::to_owned);
            self.problems.push(problem);
        }
        value
    }

    fn default_text(&self, key: &str) -> Option<&'static str> {
        self.settings.iter().find(|s| s.key == key).and_then(|s| match s.fallback {
            Fallback::Value(text) => Some(text),
            Fallback::Derived(_) | Fallback::Required => None,
        })
    }

    /// The value of `key` through `parse`; `want` says what `parse` accepts.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        want: impl Into<String>,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        match self.entries.get(key).map(|Entry { value, .. }| parse(value)) {
            Some(Some(parsed)) => return Some(parsed),
            Some(None) => self.refuse(key, want),
            None => {}
        }
        let default = self.default_text(key)?;
        parse(&serde_norway::from_str(default).ok()?)
    }

    /// A yes or no.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key, "want `true` or `false`", |value| match value.as_str() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => value.as_bool(),
        })
    }

    /// A whole number within `range`.
    pub(super) fn count(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let want = match *range.end() {
            u32::MAX => format!("want a whole number, {} or more", range.start()),
            end => format!("want a whole number from {} to {end}", range.start()),
        };
        self.take(key, want, |value| {
            let number = match value.as_str() {
                Some(text) => text.trim().parse().ok(),
                None => value.as_u64().and_then(|n| u32::try_from(n).ok()),
            };
            number.filter(|n| range.contains(n))
        })
    }

    /// A number within `range`; `f64::MAX` as its end stands for no end.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let want = if *range.end() == f64::MAX {
            format!("want a number, {} or more", range.start())
        } else {
            format!("want a number from {} to {}", range.start(), range.end())
        };
        self.take(key, want, |value| {
            let number = match value.as_str() {
                Some(text) => text.trim().parse().ok(),
                None => value.as_f64(),
            };
            // Minus zero would be written back as another text; the sum makes it plain zero.
            number.filter(|n| range.contains(n)).map(|n: f64| n + 0.0)
        })
    }

    /// A duration within `range`.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (from, to) = (Human(*range.start()), Human(*range.end()));
        let want = format!(
            "want a duration from `{from}` to `{to}`, such as `500ms` or `10s` (a bare number is seconds)"
        );
        self.take(key, want, |value| {
            let span = match value.as_str() {
                Some(text) => parse_duration(text).ok(),
                None => value.as_u64().map(Duration::from_secs),
            };
            span.filter(|s| range.contains(s))
        })
    }

    /// A size within `range`.
    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<ByteSize>) -> Option<ByteSize> {
        let want = format!("want a size from {} to {}, such as `8MiB`, or bytes", range.start(), range.end());
        self.take(key, want, |value| {
            let size = match value.as_str() {
                Some(text) => text.parse().ok(),
                None => value.as_u64().map(ByteSize),
            };
            size.filter(|s| range.contains(s))
        })
    }

    /// A text that `is_right` accepts. A number is not taken for text: `0123` in YAML is 123.
    pub(super) fn text(&mut self, key: &str, want: &str, is_right: impl Fn(&str) -> bool) -> Option<String> {
        self.take(key, want, |value| value.as_str().filter(|t| is_right(t)).map(str::to_owned))
    }

    /// One of the `names`, as the variant that serde gives that name.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, key: &str, names: &[&str]) -> Option<T> {
        let want = format!("want one of `{}`", names.join("`, `"));
        self.take(key, want, |value| {
            let name = value.as_str().filter(|n| names.contains(n))?;
            serde_json::from_value(name.into()).ok()
        })
    }

    /// A list, each item through `parse`; `want` says what `parse` accepts.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        want: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.take(key, want, |value| {
            value.as_sequence()?.iter().map(|item| item.as_str().and_then(&parse)).collect()
        })
    }
}
