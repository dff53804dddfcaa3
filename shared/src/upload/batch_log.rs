//! What is written down of a batch while it runs, so that a later run sends only what lacks.
//!
//! Rule: an object is named here only once its receipt may be relied on. What is lost of the notes costs a
//! file that is sent again, and never a receipt that claims too much.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{ObjectKey, Receipt, StorageClass};
use crate::{checksum::Checksum, region::RegionName, route::Strategy, time::Timestamp, units::ByteSize};

/// The format that [`BatchRecord`] and [`Shipped`] are written in.
pub const BATCH_FORMAT: u32 = 1;

/// A batch that has not come to its end, and what was asked for when it was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// [`BATCH_FORMAT`].
    pub format: u32,
    /// The id of the batch, which the ids of its uploads begin with.
    pub batch_id: String,
    /// When it was first begun.
    pub begun: Timestamp,
    /// The folder, from the root on.
    pub path: PathBuf,
    /// Files that were in it.
    pub files: u64,
    /// Bytes that were in them.
    pub size: ByteSize,
    /// What the keys begin with, if that was said; else they begin with the folder's name.
    pub key: Option<ObjectKey>,
    /// Copies that were asked for.
    pub copies: Option<usize>,
    /// Verified copies that were said to make a success.
    pub min_copies: Option<usize>,
    /// Whether fewer are accepted.
    pub allow_degraded: bool,
    /// Whether each copy carries its SHA-256.
    pub sha256: bool,
    /// The storage class that was asked for.
    pub class: Option<StorageClass>,
    /// The ranking that was asked for.
    pub strategy: Option<Strategy>,
    /// Regions that were to come first.
    pub preferred: Vec<RegionName>,
    /// The session that was named.
    pub session: Option<String>,
}

impl BatchRecord {
    /// Whether it is a batch of what lies at `path`.
    pub fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }
}

impl fmt::Display for BatchRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batch_id, path, files, size, .. } = self;
        write!(f, "batch {batch_id} of `{}` ({files} files, {size})", path.display())
    }
}

/// A file of a batch that came to a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// Over name, mode, size, time of the last write and inode of the file that was read.
    pub print: Checksum,
    /// What came of it.
    pub receipt: Receipt,
}
