//! Standard output: nothing but results, as text for people or as JSON.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _},
};

use serde::Serialize;

use crate::fault::Fault;

/// Where results go, and in what form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    json: bool,
}

impl Console {
    /// JSON if `json`, else text.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are for programs.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// JSON if this is already JSON or `json` asks for it.
    pub(crate) const fn or_json(self, json: bool) -> Self {
        Self { json: self.json || json }
    }

    /// Prints one result.
    pub(crate) fn show<T: Serialize + Display>(self, result: &T) -> Result<(), Fault> {
        let text = if self.json {
            serde_json::to_string_pretty(result).map_err(|e| Fault::Output(e.into()))?
        } else {
            result.to_string()
        };
        match writeln!(io::stdout().lock(), "{}", text.trim_end()) {
            // A reader such as `head` that has seen enough is no failure.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(Fault::Output),
        }
    }
}

/// Tells a person what is worth knowing, on standard error.
pub(crate) fn note(told: &str) {
    eprintln!("note: {told}");
}

/// Tells a person what went less well than it should, on standard error.
pub(crate) fn warn(problems: &[String]) {
    for problem in problems {
        eprintln!("warning: {problem}");
    }
}
