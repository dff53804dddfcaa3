//! Reading a copy back: what the store says of it, or the bytes themselves.

use super::calls::{Failed, Patience};
use crate::{
    checksum::{Checksum, Crc64},
    ports::{Head, Objects},
    units::ByteSize,
    upload::{How, Reason},
};

/// Bytes read back at a time.
const RANGE: u64 = 8 << 20;

/// What was found of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its version, as the store names it.
    pub(super) version_id: Option<String>,
    /// Its size.
    pub(super) size: ByteSize,
    /// Its checksum.
    pub(super) checksum: Checksum,
    /// How the checksum was found.
    pub(super) how: How,
}

/// Looks a copy up; `None` when the store says that there is none.
pub(super) async fn look<O: Objects>(
    bucket: &O,
    key: &str,
    version_id: Option<&str>,
    patience: Patience<'_>,
) -> Result<Option<Head>, Failed> {
    patience.retry(|| bucket.head(key, version_id)).await
}

/// The size and checksum of a copy, from the store's own checksum where it reports one.
pub(super) async fn prove<O: Objects>(
    bucket: &O,
    key: &str,
    head: Head,
    patience: Patience<'_>,
) -> Result<Found, Failed> {
    let (size, checksum, how) = match head.checksum {
        Some(checksum) => (ByteSize(head.size_bytes), checksum, How::ChecksumAttribute),
        None => {
            let version_id = head.version_id.as_deref();
            let (size, checksum) =
                read_back(bucket, key, version_id, head.size_bytes, patience, |_| ()).await?;
            (size, checksum, How::ReadBack)
        }
    };
    Ok(Found { version_id: head.version_id, size, checksum, how })
}

/// Reads all of a copy, range by range, shows it to `see`, and sums it. A size below `size_bytes` means that it ended early.
pub(super) async fn read_back<O: Objects>(
    bucket: &O,
    key: &str,
    version_id: Option<&str>,
    size_bytes: u64,
    patience: Patience<'_>,
    mut see: impl FnMut(&[u8]) + Send,
) -> Result<(ByteSize, Checksum), Failed> {
    let mut sum = Crc64::new();
    while sum.len() < size_bytes {
        let range = sum.len()..size_bytes.min(sum.len() + RANGE);
        let bytes = patience.retry(|| bucket.read(key, version_id, range.clone())).await?;
        if bytes.is_empty() {
            break;
        }
        sum.update(&bytes);
        see(&bytes);
    }
    Ok((ByteSize(sum.len()), sum.finish()))
}

/// Why what was found is not what was shipped; `None` if it is.
pub(super) fn difference(size: ByteSize, checksum: Checksum, found: &Found) -> Option<Reason> {
    if found.size != size {
        return Some(Reason::SizeDiffers { expected: size, found: found.size });
    }
    (found.checksum != checksum)
        .then_some(Reason::ChecksumDiffers { expected: checksum, found: found.checksum })
}
