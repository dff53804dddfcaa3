//! How a workset is classed: its priority, its kind, and what went wrong with it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The text names none of the options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a {what} (want one of {})", .text.escape_debug(), .options.join(", "))]
pub struct UnknownName {
    text: String,
    what: &'static str,
    options: Vec<&'static str>,
}

/// The one of `all` whose name is `text`.
pub(super) fn find<T: Copy>(
    what: &'static str,
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, UnknownName> {
    let named = all.iter().copied().find(|option| name(*option) == text);
    named.ok_or_else(|| UnknownName {
        text: text.chars().take(80).collect(),
        what,
        options: all.iter().map(|option| name(*option)).collect(),
    })
}

/// Which of two waiting worksets goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    Urgent,
    /// In turn.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// Every priority, most urgent first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Normal, Self::Low];

    /// The name used in rows, requests and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The digit that orders sort keys: 0 is most urgent.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Urgent => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

/// What a workset is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Results go to patients' records.
    Clinical,
    /// Research use only.
    #[default]
    Ruo,
    /// The laboratory's own runs.
    Lsmc,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Clinical, Self::Ruo, Self::Lsmc];

    /// The name used in rows, requests and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clinical => "clinical",
            Self::Ruo => "ruo",
            Self::Lsmc => "lsmc",
        }
    }
}

/// Why a run failed, which decides whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCategory {
    /// It may pass by itself, as a network fault does.
    Transient,
    /// Something ran out: memory, disk, quota.
    Resource,
    /// The settings are wrong.
    Configuration,
    /// The input is wrong.
    Data,
    /// It will fail each time.
    Permanent,
}

impl ErrorCategory {
    /// Every category.
    pub const ALL: [Self; 5] =
        [Self::Transient, Self::Resource, Self::Configuration, Self::Data, Self::Permanent];

    /// The name used in rows, requests and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Resource => "resource",
            Self::Configuration => "configuration",
            Self::Data => "data",
            Self::Permanent => "permanent",
        }
    }

    /// Whether the same run may succeed if made again.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Transient | Self::Resource => true,
            Self::Configuration | Self::Data | Self::Permanent => false,
        }
    }
}

impl FromStr for Priority {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        find("priority", text, &Self::ALL, Self::as_str)
    }
}

impl FromStr for Kind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        find("workset type", text, &Self::ALL, Self::as_str)
    }
}

impl FromStr for ErrorCategory {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        find("error category", text, &Self::ALL, Self::as_str)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for ErrorCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_and_resource_errors_are_tried_again() {
        let retried: Vec<_> = ErrorCategory::ALL.into_iter().filter(|c| c.is_retryable()).collect();
        assert_eq!(retried, [ErrorCategory::Transient, ErrorCategory::Resource]);
    }

    #[test]
    fn ranks_order_as_priorities_do() {
        assert!(Priority::ALL.is_sorted_by_key(|p| p.rank()));
        assert!(Priority::ALL.is_sorted());
    }

    #[test]
    fn rows_and_texts_use_one_name() {
        for p in Priority::ALL {
            assert_eq!(serde_json::to_value(p).unwrap(), p.as_str());
        }
        for k in Kind::ALL {
            assert_eq!(serde_json::to_value(k).unwrap(), k.as_str());
        }
        for c in ErrorCategory::ALL {
            assert_eq!(serde_json::to_value(c).unwrap(), c.as_str());
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_options() {
        let refused = "asap".parse::<Priority>().unwrap_err().to_string();
        assert_eq!(refused, "`asap` is not a priority (want one of urgent, normal, low)");
    }
}
