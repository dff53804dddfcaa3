//! What the domain needs from the world: rows, objects and a clock.
//!
//! A port speaks in domain words and holds no SDK type. Each has one adapter in
//! `aws`, one fake with the same rules in `memory`, and one contract suite that
//! both pass. Which table, bucket or region is behind a port is settled when it
//! is built, so a caller cannot mix them up.

mod apis;

use std::{collections::BTreeMap, error::Error, fmt, ops::Range};

use bytes::Bytes;

pub use apis::{ApiError, Apis};

use crate::{checksum::Checksum, time::Timestamp};

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
    /// The table asked to slow down; nothing took effect.
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

/// User metadata of an object: names without the `x-amz-meta-` prefix.
pub type Metadata = BTreeMap<String, String>;

/// Tags of an object, by name.
pub type Tags = BTreeMap<String, String>;

/// What is kept of an object besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Media type, such as `application/zstd`.
    pub content_type: Option<String>,
    /// The other headers that a reader is given back.
    pub headers: Headers,
    /// Storage class, as the store names it; `None`: the usual one.
    pub storage_class: Option<String>,
    /// User metadata.
    pub metadata: Metadata,
    /// Tags to write. What the store says of an object leaves them out: [`Objects::tags`] reads them.
    pub tags: Tags,
}

/// Headers besides the media type that are kept with an object and given back to who reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
}

/// An object that the store acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The version that was made; `None` where the bucket keeps no versions.
    pub version_id: Option<String>,
    /// The store's entity tag. Not a checksum.
    pub etag: Option<String>,
    /// Full-object CRC64NVME of what was written, where the store computes it and says so.
    pub checksum: Option<Checksum>,
}

/// What the store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The version that is described.
    pub version_id: Option<String>,
    /// The entity tag. Not a checksum.
    pub etag: Option<String>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Full-object CRC64NVME, where the store reports one.
    pub checksum: Option<Checksum>,
    /// Type, headers, class and metadata.
    pub attributes: Attributes,
    /// How many tags it has; 0 where the store does not say.
    pub tags: u32,
}

/// An object as a listing shows it: the newest version of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// Some objects, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// A version of a key as a listing shows it, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// The key.
    pub key: String,
    /// The version; `null` where the bucket keeps none.
    pub version_id: String,
    /// Size in bytes; 0 for a marker.
    pub size_bytes: u64,
    /// Whether it is a delete marker, which hides the versions below.
    pub is_marker: bool,
}

/// Some versions, in the order of their keys, those of one key the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// The versions and markers.
    pub entries: Vec<ListedVersion>,
    /// Whether there are more after the last one, maybe of the same key.
    pub more: bool,
}

/// The object that a server-side copy reads, pinned by version and entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket it lies in, in whatever region.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its version; `None` where the bucket keeps none.
    pub version_id: Option<String>,
    /// Its entity tag: the copy fails if the object changed.
    pub etag: Option<String>,
}

/// What a key has to hold for something to be written on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Onto {
    /// Whatever it is: the newest write lies on top.
    Anything,
    /// Nothing, or what a delete marker hides.
    Nothing,
    /// The object of this entity tag.
    Tag(String),
}

/// One finished part of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u32,
    /// The store's tag for it.
    pub etag: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// CRC64NVME of the part, where it is known.
    pub checksum: Option<Checksum>,
}

/// A multipart upload that was neither completed nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// The key that it is for.
    pub key: String,
    /// Its id.
    pub upload: String,
    /// When it was begun, on the store's clock.
    pub begun: Timestamp,
}

/// Why a call to a bucket did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectsError {
    /// There is no such object, version or upload.
    #[error("bucket `{bucket}` has no `{key}`")]
    Missing {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// A condition did not hold: the source changed, or the checksum differs.
    #[error("bucket `{bucket}` found that `{key}` is not what was expected")]
    Mismatch {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// What the client reported.
        #[source]
        source: Cause,
    },
    /// The bucket asked to slow down; nothing took effect.
    #[error("bucket `{bucket}` throttled the call")]
    Throttled {
        /// The bucket.
        bucket: String,
        /// What the client reported.
        #[source]
        source: Cause,
    },
    /// There was no answer, so a write may or may not have taken effect.
    #[error("bucket `{bucket}` did not answer ({how})")]
    NoAnswer {
        /// The bucket.
        bucket: String,
        /// What came instead.
        how: Silence,
        /// What the client reported.
        #[source]
        source: Cause,
    },
    /// The call was refused, and asking again will not help.
    #[error("bucket `{bucket}` refused the call for `{key}`")]
    Refused {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// What the client reported.
        #[source]
        source: Cause,
    },
}

impl ObjectsError {
    /// Whether another region, or the same one later, may do it.
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::NoAnswer { .. } => true,
            Self::Missing { .. } | Self::Mismatch { .. } | Self::Refused { .. } => false,
        }
    }
}

/// One region's bucket.
#[trait_variant::make(Send)]
pub trait Objects: Sync {
    /// The bucket's name.
    fn bucket(&self) -> &str;

    /// Stores `body` whole; the store refuses it if it does not match `checksum`.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        checksum: Checksum,
        attributes: &Attributes,
    ) -> Result<Stored, ObjectsError>;

    /// Starts a multipart upload and names it.
    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError>;

    /// Sends one part; the store refuses it if it does not match `checksum`.
    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
        checksum: Checksum,
    ) -> Result<Part, ObjectsError>;

    /// The parts that the store holds of an unfinished upload, in order.
    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError>;

    /// Joins the parts, if the key holds what `onto` says; the store refuses it if the whole does not
    /// match `checksum`. A refused completion leaves the upload open, and its parts there.
    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Option<Checksum>,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError>;

    /// Gives up a multipart upload and frees its parts. Fine if it is gone already.
    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError>;

    /// The multipart uploads that are open for keys that begin with `prefix`, by key.
    async fn uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, ObjectsError>;

    /// What the store says of an object, or `None` if there is none.
    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError>;

    /// The tags of an object.
    async fn tags(&self, key: &str, version_id: Option<&str>) -> Result<Tags, ObjectsError>;

    /// Up to 1,000 objects whose keys begin with `prefix` and come after `after`, in the order of
    /// their keys. Deleted ones are not among them.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, ObjectsError>;

    /// Up to `most` versions and delete markers, and no more than 1,000, of keys that begin with `prefix`
    /// and come after `after`. Where a version and a marker of one key are of the same second, the version
    /// may be told as the newer one of them though it is not, unless the marker is the newest of all.
    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: u16,
    ) -> Result<Versions, ObjectsError>;

    /// Removes one version of an object for good. Fine if it is gone already.
    async fn remove(&self, key: &str, version_id: &str) -> Result<(), ObjectsError>;

    /// The bytes `range` of an object; fewer if it ends before.
    async fn read(
        &self,
        key: &str,
        version_id: Option<&str>,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectsError>;

    /// Copies a whole object of at most 5 GB into `key`, if that holds what `onto` says, without moving
    /// its bytes through the caller. A copy that is made twice so fails the second time.
    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        attributes: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError>;

    /// Copies the bytes `range` of an object as one part.
    async fn copy_part(
        &self,
        source: &CopySource,
        key: &str,
        upload: &str,
        number: u32,
        range: Range<u64>,
    ) -> Result<Part, ObjectsError>;
}
