//! In which storage class an object is kept, by how it will be read and for how long.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::region::RegionName;

/// A storage class of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// Read at any time; the one that a bucket gives by itself.
    Standard,
    /// Moves by itself between cheap and fast, by use.
    IntelligentTiering,
    /// Read at once, for a price.
    StandardIa,
    /// Read at once, for a higher price.
    GlacierIr,
    /// Read minutes to hours after it was asked for.
    Glacier,
    /// Read half a day after it was asked for.
    DeepArchive,
}

/// How an object will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Day by day.
    Frequent,
    /// Some times a month.
    Infrequent,
    /// Some times a year.
    Rare,
    /// Never, unless something went wrong.
    Archive,
    /// Nobody knows.
    Unknown,
}

/// The text names no storage class, or no way of reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} (want one of {want})")]
pub struct InvalidClass {
    text: String,
    what: &'static str,
    want: String,
}

/// The storage class of each copy, by the region that it lies in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Classes {
    /// That of the source.
    #[default]
    AsSource,
    /// This one.
    All(StorageClass),
    /// By the region that gets the copy; that of the source in all others.
    Each(BTreeMap<RegionName, StorageClass>),
}

impl Classes {
    /// The class of the copy in `region`; `None`: that of the source.
    pub fn of(&self, region: RegionName) -> Option<StorageClass> {
        match self {
            Self::AsSource => None,
            Self::All(class) => Some(*class),
            Self::Each(classes) => classes.get(&region).copied(),
        }
    }
}

impl StorageClass {
    /// Every class, the dearest to keep first.
    pub const ALL: [Self; 6] = [
        Self::Standard,
        Self::IntelligentTiering,
        Self::StandardIa,
        Self::GlacierIr,
        Self::Glacier,
        Self::DeepArchive,
    ];

    /// The class for objects that are read as `access` says and kept for `kept`; a time that
    /// is not known counts as short.
    ///
    /// Archived for more than a year: `DEEP_ARCHIVE`. Kept for more than 90 days, or rarely
    /// read: `GLACIER`. Infrequently read: `STANDARD_IA`. Unknown: `INTELLIGENT_TIERING`. A long time
    /// moves nothing into an archive that somebody reads often: what is asked for day by day has
    /// to be there at once.
    pub fn fitting(access: Access, kept: Option<Duration>) -> Self {
        let longer_than = |days| kept.is_some_and(|kept| kept > DAY * days);
        match access {
            Access::Archive if longer_than(365) => Self::DeepArchive,
            Access::Archive | Access::Rare => Self::Glacier,
            Access::Infrequent | Access::Unknown if longer_than(90) => Self::Glacier,
            Access::Infrequent => Self::StandardIa,
            Access::Unknown => Self::IntelligentTiering,
            Access::Frequent => Self::Standard,
        }
    }

    /// S3's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::StandardIa => "STANDARD_IA",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// Whether its objects are read, and copied from store to store, without being restored first.
    pub const fn reads_at_once(self) -> bool {
        match self {
            Self::Standard | Self::IntelligentTiering | Self::StandardIa | Self::GlacierIr => true,
            Self::Glacier | Self::DeepArchive => false,
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Access {
    const ALL: [Self; 5] = [Self::Frequent, Self::Infrequent, Self::Rare, Self::Archive, Self::Unknown];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Frequent => "frequent",
            Self::Infrequent => "infrequent",
            Self::Rare => "rare",
            Self::Archive => "archive",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StorageClass {
    type Err = InvalidClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named(text, "a storage class", &Self::ALL, Self::as_str)
    }
}

impl FromStr for Access {
    type Err = InvalidClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named(text, "a way of reading", &Self::ALL, Self::as_str)
    }
}

fn named<T: Copy>(
    text: &str,
    what: &'static str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, InvalidClass> {
    let same = |one: &&T| name(**one).eq_ignore_ascii_case(text);
    all.iter().find(same).copied().ok_or_else(|| {
        let want: Vec<_> = all.iter().map(|one| format!("`{}`", name(*one))).collect();
        InvalidClass { text: text.escape_debug().to_string(), what, want: want.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    #[test]
    fn the_rules_of_the_table_hold() {
        let cases = [
            (Access::Archive, Some(YEAR + DAY), StorageClass::DeepArchive),
            (Access::Archive, Some(YEAR), StorageClass::Glacier),
            (Access::Archive, None, StorageClass::Glacier),
            (Access::Rare, None, StorageClass::Glacier),
            (Access::Infrequent, Some(DAY * 91), StorageClass::Glacier),
            (Access::Infrequent, Some(DAY * 90), StorageClass::StandardIa),
            (Access::Infrequent, None, StorageClass::StandardIa),
            (Access::Unknown, Some(DAY * 30), StorageClass::IntelligentTiering),
            (Access::Unknown, Some(DAY * 100), StorageClass::Glacier),
            (Access::Frequent, Some(YEAR * 3), StorageClass::Standard),
        ];
        for (access, kept, class) in cases {
            assert_eq!(StorageClass::fitting(access, kept), class, "{access:?} for {kept:?}");
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_refused_with_the_legal_ones() {
        for class in StorageClass::ALL {
            assert_eq!(class.as_str().to_lowercase().parse(), Ok(class));
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
        let refused = "tape".parse::<StorageClass>().unwrap_err().to_string();
        assert!(refused.contains("`tape`") && refused.contains("`STANDARD_IA`"), "{refused}");
        assert!("often".parse::<Access>().unwrap_err().to_string().contains("`frequent`"));
    }

    proptest! {
        /// Keeping for longer never asks for a class that is dearer to keep.
        #[test]
        fn longer_is_never_dearer(days in 0..1_000_u32, more in 0..1_000_u32, pick in 0..Access::ALL.len()) {
            let class = |days| StorageClass::fitting(Access::ALL[pick], Some(DAY * days));
            prop_assert!(class(days + more) >= class(days));
        }
    }
}
