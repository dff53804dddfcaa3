//! The object in this region's bucket, and whether it is still what a hint or a row says.

use sealane::{
    ports::{Head, Objects, ObjectsError},
    region::RegionName,
    replication::Source,
    units::ByteSize,
};

/// How a version of an object stands in its own bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is what the key holds now.
    Current(Head),
    /// The key holds this one now.
    Replaced(Head),
    /// The key holds nothing: the object was deleted, or a delete marker hides it.
    Gone,
}

/// How the version `version_id` of `key`, or the bytes of `etag` where the bucket
/// keeps no versions, stand in the bucket `own`.
///
/// Asks for what the key holds now and not for the version: a version under a delete marker is
/// not to come back elsewhere, and an old version is not to be copied on top of a newer one.
pub(crate) async fn standing<O: Objects>(
    own: &O,
    key: &str,
    version_id: Option<&str>,
    etag: Option<&str>,
) -> Result<Standing, ObjectsError> {
    Ok(match own.head(key, None).await? {
        None => Standing::Gone,
        Some(head) if is_same(&head, version_id, etag) => Standing::Current(head),
        Some(head) => Standing::Replaced(head),
    })
}

/// The object that `head` describes, pinned.
pub(crate) fn pinned<O: Objects>(own: &O, here: RegionName, key: &str, head: &Head) -> Source {
    Source {
        region: here,
        bucket: own.bucket().to_owned(),
        key: key.to_owned(),
        version_id: head.version_id.clone(),
        etag: head.etag.clone().unwrap_or_default(),
        size: ByteSize(head.size_bytes),
        checksum: head.checksum,
    }
}

/// Whether two sources hold the same bytes, as far as is known without reading them.
pub(crate) fn same_bytes(a: &Source, b: &Source) -> bool {
    let sums_agree = match (a.checksum, b.checksum) {
        (Some(a), Some(b)) => a == b,
        (None, _) | (_, None) => true,
    };
    a.size == b.size && sums_agree
}

fn is_same(head: &Head, version_id: Option<&str>, etag: Option<&str>) -> bool {
    // A bucket without versions calls every version `null`.
    let version = |v: &&str| *v != "null";
    match (version_id.filter(version), head.version_id.as_deref().filter(version)) {
        (Some(wanted), Some(found)) => wanted == found,
        _ => match (etag, head.etag.as_deref()) {
            (Some(wanted), Some(found)) => wanted.trim_matches('"') == found.trim_matches('"'),
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version_id: Option<&str>, etag: &str) -> Head {
        Head {
            version_id: version_id.map(str::to_owned),
            etag: Some(etag.to_owned()),
            size_bytes: 0,
            checksum: None,
            attributes: sealane::ports::Attributes::default(),
            tags: 0,
        }
    }

    #[test]
    fn versions_tell_apart_and_etags_where_there_are_none() {
        assert!(is_same(&head(Some("v1"), "\"x\""), Some("v1"), Some("y")));
        assert!(!is_same(&head(Some("v2"), "\"x\""), Some("v1"), Some("x")));
        for version in [None, Some("null")] {
            assert!(is_same(&head(version, "\"x\""), version, Some("x")));
            assert!(!is_same(&head(version, "\"x\""), version, Some("y")));
        }
    }
}
