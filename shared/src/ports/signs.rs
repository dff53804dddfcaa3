//! Requests that somebody else may send: signed here, sent by whoever holds them.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::ObjectsError;
use crate::{checksum::Checksum, units::ByteSize};

/// One part of a multipart upload, to be put by somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slip<'a> {
    /// The key that the upload is for.
    pub key: &'a str,
    /// The upload.
    pub upload: &'a str,
    /// The number of the part, from 1.
    pub number: u32,
    /// Its bytes, neither more nor fewer.
    pub size: ByteSize,
    /// What they have to be.
    pub checksum: Checksum,
}

/// A signed `PUT`: good for one part of one upload, for so many bytes of that checksum, and for a while.
///
/// Whoever holds it may send it, so it is shown to nobody but its caller: not in a log, and not in a row.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// Where to send it.
    pub url: String,
    /// The headers that are signed, and so have to be sent as they are here.
    pub headers: BTreeMap<String, String>,
    /// For how long it is good: no longer than asked for, nor than the credentials behind it.
    pub valid: Duration,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("valid", &self.valid).finish_non_exhaustive()
    }
}

/// One region's bucket, into which others may put parts.
#[trait_variant::make(Send)]
pub trait Signs: Sync {
    /// Signs for `slip`, for no longer than `valid`. The store refuses whatever differs from it in
    /// part, upload, key, length or checksum.
    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError>;
}
