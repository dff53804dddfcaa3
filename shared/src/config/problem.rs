//! What is wrong with a configuration, in words that say how to put it right.

use std::fmt;

/// One thing that is wrong: where, with what value, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as in `failover.dwell` or `regions[eu-west-1].bucket`.
    pub key: String,
    /// The environment variable that the value came from; `None`: the document or a default.
    pub variable: Option<String>,
    /// The value as it was written; `None` when nothing was.
    pub value: Option<String>,
    /// What to write instead, and why.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.key)?;
        // A variable that is no setting's name is its own key.
        if let Some(variable) = self.variable.as_ref().filter(|v| **v != self.key) {
            write!(f, " (from `{variable}`)")?;
        }
        match &self.value {
            Some(value) => write!(f, " is `{value}`: {}", self.remedy),
            None => write!(f, " is not set: {}", self.remedy),
        }
    }
}

/// Everything that is wrong with a configuration, found in one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// Each problem, in the order in which it was found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "the configuration has {} {noun}", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

impl std::error::Error for Problems {}
