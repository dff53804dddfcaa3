//! Objects in one region's bucket: what is said of them, and what may be asked.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;

use super::{Cause, Silence};
use crate::{checksum::Checksum, time::Timestamp};

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
