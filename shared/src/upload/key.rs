//! Object keys: names that mean the same object to every tool that meets them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest key that S3 takes, in bytes of UTF-8.
pub const KEY_LEN_MAX: usize = 1024;

/// Where Sealane keeps its own objects, such as canaries. Never replicated, never uploaded to.
pub const SYSTEM_PREFIX: &str = ".sealane/";

/// The key of an object that a user ships.
///
/// Some names that S3 takes are refused, since a file system, a browser or a
/// log would read them as something else.
///
/// ```
/// use sealane::upload::{InvalidKey, ObjectKey};
///
/// assert!("run-0042/reads 1..2.fastq".parse::<ObjectKey>().is_ok());
/// assert!(matches!("run/../other".parse::<ObjectKey>(), Err(InvalidKey::Dots { .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

/// The text is no key for an upload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is nothing to name the object by.
    #[error("the object key is empty (want a name, as in `run-0042.tar.zst`)")]
    Empty,
    /// More than [`KEY_LEN_MAX`] bytes.
    #[error("the object key `{start}...` has {len} bytes (want at most {KEY_LEN_MAX})")]
    TooLong {
        /// How the key begins.
        start: String,
        /// Its length in bytes.
        len: usize,
    },
    /// It starts with a slash.
    #[error("the object key `{key}` starts with a slash (leave the slash out)")]
    LeadingSlash {
        /// The key.
        key: String,
    },
    /// A NUL or another control character is in it.
    #[error("the object key `{key}` holds the control character {found:?} (rename it)")]
    Control {
        /// The key, with the character escaped.
        key: String,
        /// The character.
        found: char,
    },
    /// A step of the path is `.` or `..`.
    #[error("the object key `{key}` holds the path step `{step}` (write the path without it)")]
    Dots {
        /// The key.
        key: String,
        /// The step, `.` or `..`.
        step: String,
    },
    /// It lies where Sealane keeps its own objects.
    #[error("the object key `{key}` lies under `{SYSTEM_PREFIX}`, which is Sealane's own (choose another)")]
    System {
        /// The key.
        key: String,
    },
}

impl ObjectKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `key` names one of Sealane's own objects.
pub fn is_system_key(key: &str) -> bool {
    key.starts_with(SYSTEM_PREFIX)
}

impl FromStr for ObjectKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = || text.to_owned();
        if text.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if text.len() > KEY_LEN_MAX {
            let start = text.chars().take(40).collect::<String>().escape_debug().to_string();
            return Err(InvalidKey::TooLong { start, len: text.len() });
        }
        if let Some(found) = text.chars().find(|c| c.is_control()) {
            return Err(InvalidKey::Control { key: text.escape_debug().to_string(), found });
        }
        if text.starts_with('/') {
            return Err(InvalidKey::LeadingSlash { key: key() });
        }
        if let Some(step) = text.split('/').find(|step| matches!(*step, "." | "..")) {
            return Err(InvalidKey::Dots { key: key(), step: step.to_owned() });
        }
        if is_system_key(text) {
            return Err(InvalidKey::System { key: key() });
        }
        Ok(Self(key()))
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is accepted keeps every rule, and prints as it came.
        #[test]
        fn accepted_keys_keep_every_rule(text in "[./a\\\\\u{0}\u{85}é ~]{0,12}|\\PC{0,1100}") {
            if let Ok(key) = text.parse::<ObjectKey>() {
                prop_assert_eq!(key.as_str(), &text);
                prop_assert!(!text.is_empty() && text.len() <= KEY_LEN_MAX);
                prop_assert!(!text.starts_with('/') && !is_system_key(&text));
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert!(text.split('/').all(|step| step != ".." && step != "."));
            }
        }

        /// Ordinary names are not refused.
        #[test]
        fn ordinary_names_pass(text in "[a-zA-Z0-9_-]{1,20}(/[a-zA-Z0-9_ +%-]{1,20}){0,4}\\.tar\\.zst") {
            prop_assert!(text.parse::<ObjectKey>().is_ok());
        }

        /// An error never carries a raw control character into a log line.
        #[test]
        fn errors_print_on_one_line(text in "[\u{0}-\u{1f}a/.]{1,2000}") {
            if let Err(error) = text.parse::<ObjectKey>() {
                prop_assert!(!error.to_string().chars().any(char::is_control), "{}", error);
            }
        }
    }

    #[test]
    fn the_length_limit_counts_bytes() {
        assert!("é".repeat(512).parse::<ObjectKey>().is_ok());
        let refused = format!("{}a", "é".repeat(512)).parse::<ObjectKey>();
        assert!(matches!(refused, Err(InvalidKey::TooLong { len: 1025, .. })));
    }

    #[test]
    fn sealane_keeps_its_own_prefix() {
        assert!(matches!(".sealane/canary/x".parse::<ObjectKey>(), Err(InvalidKey::System { .. })));
        assert!(".sealane-notes".parse::<ObjectKey>().is_ok());
    }
}
