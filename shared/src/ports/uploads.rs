//! A bucket into which others put the parts, as far as whoever lets them needs it.
//!
//! Narrower than [`Objects`], so that an adapter for this alone stays small: a function that carries
//! no bytes need not hold a client that can.

use std::time::Duration;

use super::{Attributes, Head, Objects, ObjectsError, Onto, Part, Signed, Signs, Slip, Stored};
use crate::checksum::Checksum;

/// One region's bucket, into which others put parts.
#[trait_variant::make(Send)]
pub trait Uploads: Sync {
    /// The bucket's name.
    fn bucket(&self) -> &str;

    /// Starts a multipart upload and names it.
    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError>;

    /// Signs for `slip`, for no longer than `valid`. The store refuses whatever differs from it in
    /// part, upload, key, length or checksum.
    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError>;

    /// The parts that the store holds of an unfinished upload, in order.
    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError>;

    /// Joins the parts, whatever the key holds; the store refuses it if the whole does not match
    /// `checksum`. A refused completion leaves the upload open, and its parts there.
    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Checksum,
    ) -> Result<Stored, ObjectsError>;

    /// Gives up a multipart upload and frees its parts. Fine if it is gone already.
    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError>;

    /// What the store says of an object, or `None` if there is none.
    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError>;

    /// Up to `most` versions of `key`, the newest first, without delete markers.
    async fn versions(&self, key: &str, most: u16) -> Result<Vec<String>, ObjectsError>;
}

impl<T: Objects + Signs> Uploads for T {
    fn bucket(&self) -> &str {
        Objects::bucket(self)
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError> {
        Objects::begin(self, key, attributes).await
    }

    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError> {
        Signs::sign_part(self, slip, valid).await
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        Objects::parts(self, key, upload).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Checksum,
    ) -> Result<Stored, ObjectsError> {
        Objects::complete(self, key, upload, parts, Some(checksum), &Onto::Anything).await
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError> {
        Objects::abort(self, key, upload).await
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        Objects::head(self, key, version_id).await
    }

    async fn versions(&self, key: &str, most: u16) -> Result<Vec<String>, ObjectsError> {
        let listed = Objects::list_versions(self, key, None, most).await?;
        let versions = listed.entries.into_iter().filter(|found| found.key == key && !found.is_marker);
        Ok(versions.map(|found| found.version_id).collect())
    }
}
