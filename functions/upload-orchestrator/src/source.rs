//! The object in this region's bucket: which of its versions are there, and what lies on top of which.

use sealane::{
    ports::{Head, Objects, ObjectsError},
    region::RegionName,
    replication::{History, Source},
    units::ByteSize,
};

/// Versions of a key that are listed first.
pub(crate) const FEW: u16 = 50;
/// Most versions of a key that are looked at: what one listing tells.
pub(crate) const MANY: u16 = 1_000;

/// A version as it was seen in its own bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The version.
    pub(crate) head: Head,
    /// The versions that were written after it, the newest first.
    pub(crate) above: Vec<String>,
}

/// The version `version_id` of `key`, or the bytes of `etag` where the bucket keeps no versions, as it
/// stands in the bucket `own`; `None` once it is gone, or a delete marker on top of it hides it.
pub(crate) async fn sight<O: Objects>(
    own: &O,
    key: &str,
    version_id: Option<&str>,
    etag: Option<&str>,
) -> Result<Option<Sight>, ObjectsError> {
    let Some(head) = own.head(key, None).await? else { return Ok(None) };
    if is_same(&head, version_id, etag) {
        return Ok(Some(Sight { head, above: Vec::new() }));
    }
    // A bucket without versions keeps nothing of what was written over.
    let Some(version) = version_id.filter(|version| *version != "null") else { return Ok(None) };
    let history = History::of(key, &own.list_versions(key, None, MANY).await?);
    let Some(above) = history.above(version) else { return Ok(None) };
    let head = own.head(key, Some(version)).await?;
    Ok(head.map(|head| Sight { head, above: above.to_vec() }))
}

/// Most versions of a key that are looked into one by one.
pub(crate) const LOOKS_MAX: usize = 16;

/// How far down versions are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Down to the newest delete marker.
    Undeleted,
    /// To the oldest one.
    All,
}

/// The newest version of `key` in `bucket`, of this size, of which `is_it` holds.
pub(crate) async fn below<O: Objects>(
    bucket: &O,
    key: &str,
    size_bytes: u64,
    depth: Depth,
    is_it: impl Fn(&Head) -> bool,
) -> Result<Option<Head>, ObjectsError> {
    let page = bucket.list_versions(key, None, MANY).await?;
    let own = page.entries.iter().take_while(|listed| listed.key == key);
    let reached = own.take_while(|listed| depth == Depth::All || !listed.is_marker);
    let alike = reached.filter(|listed| !listed.is_marker && listed.size_bytes == size_bytes);
    for listed in alike.take(LOOKS_MAX) {
        let found = bucket.head(key, Some(&listed.version_id)).await?;
        if let Some(found) = found.filter(&is_it) {
            return Ok(Some(found));
        }
    }
    Ok(None)
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
