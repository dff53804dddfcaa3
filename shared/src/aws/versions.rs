//! One order for the versions and the delete markers of a listing, which the client tells apart.

use std::cmp::Reverse;

use aws_sdk_s3::{
    primitives::DateTime,
    types::{DeleteMarkerEntry, ObjectVersion},
};

use crate::ports::ListedVersion;

/// Versions and markers in the order of the listing: by key, then the newest first. Their times are whole seconds, so only each kind's own order is certain.
pub(super) fn merged(versions: Vec<ObjectVersion>, markers: Vec<DeleteMarkerEntry>) -> Vec<ListedVersion> {
    let entry = |key: Option<String>, id: Option<String>, size: Option<i64>, is_marker| {
        let size_bytes = size.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        Some(ListedVersion { key: key?, version_id: id?, size_bytes, is_marker })
    };
    let place = |latest: Option<bool>, at: Option<DateTime>| {
        (!latest.unwrap_or_default(), Reverse(at.map(|at| at.secs()).unwrap_or_default()))
    };
    let versions = versions.into_iter().filter_map(|v| {
        Some((place(v.is_latest, v.last_modified), entry(v.key, v.version_id, v.size, false)?))
    });
    let markers = markers
        .into_iter()
        .filter_map(|m| Some((place(m.is_latest, m.last_modified), entry(m.key, m.version_id, None, true)?)));
    let mut all: Vec<_> = versions.chain(markers).collect();
    // Stable: of one second the versions come before the markers, each kind as it was told.
    all.sort_by(|(a, x), (b, y)| x.key.as_bytes().cmp(y.key.as_bytes()).then(a.cmp(b)));
    all.into_iter().map(|(_, listed)| listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(key: &str, id: &str, second: i64, is_latest: bool) -> ObjectVersion {
        let version = ObjectVersion::builder().key(key).version_id(id).size(7).is_latest(is_latest);
        version.last_modified(DateTime::from_secs(second)).build()
    }

    fn marker(key: &str, id: &str, second: i64, is_latest: bool) -> DeleteMarkerEntry {
        let marker = DeleteMarkerEntry::builder().key(key).version_id(id).is_latest(is_latest);
        marker.last_modified(DateTime::from_secs(second)).build()
    }

    #[test]
    fn a_listing_comes_out_in_its_order_as_far_as_its_times_tell() {
        let versions = vec![
            version("a", "a3", 9, true),
            version("a", "a2", 9, false),
            version("a", "a1", 3, false),
            version("b", "b1", 5, false),
        ];
        // Of one second with versions: below them, unless it is the newest of all.
        let markers =
            vec![marker("a", "am", 9, false), marker("a", "an", 4, false), marker("b", "bm", 5, true)];
        let merged = merged(versions, markers);
        let ids: Vec<_> = merged.iter().map(|listed| listed.version_id.as_str()).collect();
        assert_eq!(ids, ["a3", "a2", "am", "an", "a1", "bm", "b1"]);
        assert!(merged.iter().all(|listed| listed.is_marker == (listed.size_bytes == 0)));
    }
}
