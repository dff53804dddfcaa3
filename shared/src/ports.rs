//! What the domain needs from the world: rows, objects and a clock.
//!
//! A port speaks in domain words and holds no SDK type. Each has one adapter in
//! `aws`, one fake with the same rules in `memory`, and one contract suite that
//! both pass. Which table, bucket or region is behind a port is settled when it
//! is built, so a caller cannot mix them up.

mod apis;
mod objects;
mod posts;
mod signs;
mod uploads;

use std::{error::Error, fmt};

use crate::time::Timestamp;

pub use apis::{ApiError, Apis};
pub use objects::{
    Attributes, CopySource, Head, Headers, ListedVersion, Metadata, Objects, ObjectsError, Onto, OpenUpload,
    Part, Stored, Tags, Versions,
};
pub use posts::{Address, Post, PostAnswer, PostError, Posts};
pub use signs::{Signed, Signs, Slip};
pub use uploads::Uploads;

/// The source of an error, kept apart from what this layer tried.
pub type Cause = Box<dyn Error + Send + Sync>;

/// How a call went unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Nothing came within the limit.
    Timeout,
    /// No connection, or it broke.
    NoConnection,
    /// The service answered with this server error.
    ServerError(u16),
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timed out"),
            Self::NoConnection => f.write_str("no connection"),
            Self::ServerError(status) => write!(f, "server error {status}"),
        }
    }
}

/// Tells the time; every other part takes `now` as an argument.
pub trait Clock: Send + Sync {
    /// The present moment on this machine's clock.
    fn now(&self) -> Timestamp;
}

/// Where a row lies in its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Rows of one partition are listed together.
    pub partition: String,
    /// Rows of a partition are listed in this order.
    pub sort: String,
}

impl Key {
    /// The row `sort` of `partition`.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it lies.
    pub key: Key,
    /// Rises with every write, from 1; conditional writes name it.
    pub version: u64,
    /// What it holds, as JSON. At most 400 KB with everything else.
    pub body: String,
    /// Where it lies in the table's index; `None`: not in the index.
    pub index: Option<Key>,
    /// From when on the table may drop it, in seconds since the Unix epoch; `None`: never. It may do so
    /// days late, so who reads a row judges by what is in it.
    pub expires_s: Option<u64>,
}

/// What must hold for a write to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing.
    Always,
    /// There is no such row.
    Absent,
    /// The row is there in this version.
    Version(u64),
}

/// Some rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows, in the order of their sort keys.
    pub rows: Vec<Row>,
    /// Ask again from here; `None` at the end. A short page is not the end.
    pub next: Option<Cursor>,
}

/// Where a listing goes on: the key of the last row seen, and its index key if
/// the index was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last row's key in the table.
    pub key: Key,
    /// The last row's key in the index.
    pub index: Option<Key>,
}

/// Why a call to a table did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// The condition did not hold: another writer was first. Read again and decide anew.
    #[error("the row changed since it was read")]
    Conflict,
    /// The table asked to slow down, or another region is at the same row of a strongly consistent
    /// table; nothing took effect.
    #[error("table `{table}` throttled the call")]
    Throttled {
        /// The table, with its region.
        table: String,
        /// What the client reported.
        #[source]
        source: Cause,
    },
    /// There was no answer, so a write may or may not have taken effect.
    #[error("table `{table}` did not answer ({how})")]
    NoAnswer {
        /// The table, with its region.
        table: String,
        /// What came instead.
        how: Silence,
        /// What the client reported.
        #[source]
        source: Cause,
    },
    /// The call was refused, and asking again will not help: a missing table, a
    /// missing permission or an invalid request.
    #[error("table `{table}` refused the call")]
    Refused {
        /// The table, with its region.
        table: String,
        /// What the client reported.
        #[source]
        source: Cause,
    },
    /// The row is there but holds something that this version does not read.
    #[error("row `{key}` is not readable")]
    Unreadable {
        /// The row's key.
        key: String,
        /// What the parser reported.
        #[source]
        source: Cause,
    },
}

impl RowsError {
    /// Whether another replica, or the same one later, may answer.
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::NoAnswer { .. } => true,
            Self::Conflict | Self::Refused { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// One replica of one table.
#[trait_variant::make(Send)]
pub trait Rows: Sync {
    /// The row, as this replica has it after every write that it acknowledged.
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError>;

    /// Writes `row` if `when` holds, atomically; [`RowsError::Conflict`] if it does not.
    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError>;

    /// Up to `limit` rows of a partition, in the order of their sort keys
    /// (backwards with `newest_first`), after `from`.
    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError>;

    /// Up to `limit` rows of an index partition whose index sort key is at most
    /// `up_to`, in order, after `from`. The index may lag behind the table.
    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError>;
}
