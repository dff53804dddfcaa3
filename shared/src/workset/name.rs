//! The names in a workset, each parsed once and safe ever after.
//!
//! None of them can hold `#`, which parts the keys of the table (an [`Actor`]
//! may, and is never part of a key), nor a control character.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The text does not fit the rule of its kind of name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a {what} (want {want})")]
pub struct InvalidName {
    /// The text, escaped and cut, so that hostile input cannot break a log line.
    shown: String,
    what: &'static str,
    want: &'static str,
}

impl InvalidName {
    /// Characters of the refused text that are shown.
    const SHOWN_MAX: usize = 80;

    fn new(text: &str, what: &'static str, want: &'static str) -> Self {
        let shown = text.chars().take(Self::SHOWN_MAX).flat_map(char::escape_debug).collect();
        Self { shown, what, want }
    }

    /// What a valid text looks like.
    pub const fn want(&self) -> &'static str {
        self.want
    }
}

/// A string newtype: `fits` decides, everything else is conversion.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $want:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let fits: fn(&str) -> bool = $fits;
                if fits(&text) { Ok(Self(text)) } else { Err(InvalidName::new(&text, $what, $want)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// The id of a workset within its tenant: `^[a-zA-Z0-9][a-zA-Z0-9_-]{2,63}$`.
    ///
    /// ```
    /// use sealane::workset::WorksetId;
    ///
    /// assert!("ws-001".parse::<WorksetId>().is_ok());
    /// assert!("ws".parse::<WorksetId>().is_err());
    /// assert!("../ws".parse::<WorksetId>().is_err());
    /// ```
    WorksetId, "workset id", "3 to 64 letters, digits, `_` or `-`, the first a letter or digit",
    |text| (3..=64).contains(&text.len())
        && starts_alphanumeric(text)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

name! {
    /// The key prefix that holds a workset's data: `^[a-zA-Z0-9][a-zA-Z0-9_\-/]*$`, at most 512 bytes.
    ///
    /// It cannot name `.`, so neither a parent folder nor the system's own
    /// `.sealane/` is ever within reach.
    Prefix, "prefix", "1 to 512 letters, digits, `_`, `-` or `/`, the first a letter or digit",
    |text| text.len() <= 512
        && starts_alphanumeric(text)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/'))
}

name! {
    /// The owner of worksets, taken from the verified caller and never from a path or body.
    Tenant, "tenant", "1 to 64 lower-case letters, digits, `-` or `_`",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

name! {
    /// The name of an S3 general purpose bucket.
    Bucket, "bucket name", "3 to 63 lower-case letters, digits, `.` or `-`, a letter or digit at both ends, no `..`",
    |text| (3..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        && !text.starts_with(['.', '-'])
        && !text.ends_with(['.', '-'])
        && !text.contains("..")
}

name! {
    /// Who did something, as the verified caller is named: a role's ARN, a subject, a worker.
    Actor, "caller's name", "1 to 256 bytes without control characters",
    |text| (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn starts_alphanumeric(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// Words from a person or a program, 1 to `MAX` characters, with no control
/// character but newline and tab.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is empty, too long or holds control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text of {len} characters does not fit (want 1 to {max} without control characters)")]
pub struct InvalidText {
    len: usize,
    max: usize,
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        let len = text.chars().count();
        if !(1..=MAX).contains(&len) || text.contains(odd) {
            return Err(InvalidText { len, max: MAX });
        }
        Ok(Self(text))
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the documented pattern makes is accepted and comes back unchanged.
        #[test]
        fn names_of_the_pattern_are_accepted(
            id in "[a-zA-Z0-9][a-zA-Z0-9_-]{2,63}", prefix in "[a-zA-Z0-9][a-zA-Z0-9_/-]{0,511}",
            tenant in "[a-z0-9_-]{1,64}",
        ) {
            prop_assert_eq!(id.parse::<WorksetId>().unwrap().to_string(), id);
            prop_assert_eq!(prefix.parse::<Prefix>().unwrap().to_string(), prefix);
            prop_assert_eq!(tenant.parse::<Tenant>().unwrap().to_string(), tenant);
        }

        /// One foreign character anywhere is enough to be refused.
        #[test]
        fn hostile_characters_are_refused(
            head in "[a-z0-9]{0,20}", tail in "[a-z0-9]{3,20}", odd in "[^a-zA-Z0-9_/-]",
        ) {
            let text = format!("{head}{odd}{tail}");
            prop_assert!(text.parse::<WorksetId>().is_err());
            prop_assert!(text.parse::<Prefix>().is_err());
            prop_assert!(text.parse::<Tenant>().is_err());
        }

        /// No text, however odd, panics or brings a separator, a dot or a control character into a key.
        #[test]
        fn no_text_smuggles_a_separator(text in any::<String>()) {
            let kept = [
                text.parse::<WorksetId>().map(String::from),
                text.parse::<Prefix>().map(String::from),
                text.parse::<Tenant>().map(String::from),
            ];
            for name in kept.into_iter().flatten() {
                prop_assert!(name.is_ascii() && !name.contains(['#', '.', '\\', ' ']));
                prop_assert!(!name.chars().any(char::is_control));
            }
        }

        /// What a refusal prints is one short line, whatever was sent.
        #[test]
        fn refusals_print_one_line(text in any::<String>()) {
            if let Err(refused) = text.parse::<WorksetId>() {
                prop_assert!(!refused.to_string().contains(char::is_control));
            }
        }
    }

    #[test]
    fn lengths_end_where_the_pattern_says() {
        let id = |len: usize| "a".repeat(len).parse::<WorksetId>().is_ok();
        assert_eq!([2, 3, 64, 65].map(id), [false, true, true, false]);
        let prefix = |len: usize| "a".repeat(len).parse::<Prefix>().is_ok();
        assert_eq!([0, 1, 512, 513].map(prefix), [false, true, true, false]);
        let tenant = |len: usize| "a".repeat(len).parse::<Tenant>().is_ok();
        assert_eq!([0, 1, 64, 65].map(tenant), [false, true, true, false]);
    }

    #[test]
    fn a_first_character_is_a_letter_or_digit() {
        for text in ["-abc", "_abc", "/abc", "/etc/passwd", ".sealane/x", "../../x", "abc\0", "ábc", "ws 1"]
        {
            assert!(text.parse::<WorksetId>().is_err(), "{text:?}");
            assert!(text.parse::<Prefix>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn bucket_names_follow_s3() {
        for text in ["my-bucket", "a.b.c", "123"] {
            assert!(text.parse::<Bucket>().is_ok(), "{text}");
        }
        for text in ["ab", "My-bucket", "-ab", "ab-", "a..b", "a_b", "a/b", ""] {
            assert!(text.parse::<Bucket>().is_err(), "{text}");
        }
    }

    #[test]
    fn texts_are_bounded_and_clean() {
        let text = |s: &str| Text::<8>::try_from(s.to_owned()).is_ok();
        assert!(text("line\n\tb") && text("größe Ä\u{1f980}"));
        for bad in ["", "123456789", "a\0b", "a\u{1b}[2J"] {
            assert!(!text(bad), "{bad:?}");
        }
    }
}
