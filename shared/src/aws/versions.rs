//! One order for the versions and the delete markers of a listing, which the client tells apart.
//!
//! The store's document has both in one sequence, the newest of a key first; the client parses it into two
//! lists, and times in whole seconds do not bring them together again. So the sequence of the two
//! kinds is read from the document itself.

use std::{
    cmp::Reverse,
    sync::{Arc, OnceLock},
};

use aws_sdk_s3::{
    config::{ConfigBag, Intercept, RuntimeComponents},
    primitives::DateTime,
    types::{DeleteMarkerEntry, ObjectVersion},
};
use aws_smithy_runtime_api::{
    box_error::BoxError, client::interceptors::context::AfterDeserializationInterceptorContextRef,
};

use crate::ports::ListedVersion;

/// What an entry of a listing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Version,
    Marker,
}

/// The kinds of the entries of one listing in the order of its document, once that has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence(Arc<OnceLock<Vec<Kind>>>);

impl Intercept for Sequence {
    fn name(&self) -> &'static str {
        "the sequence of a listing"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let reply = context.response();
        if let (true, Some(body)) = (reply.status().is_success(), reply.body().bytes()) {
            self.0.get_or_init(|| kinds(&String::from_utf8_lossy(body)));
        }
        Ok(())
    }
}

/// The kinds of the entries of `document`. Keys are escaped there, so a tag in one is none.
fn kinds(document: &str) -> Vec<Kind> {
    let kind = |rest: &str| match rest {
        rest if rest.starts_with("<Version>") => Some(Kind::Version),
        rest if rest.starts_with("<DeleteMarker>") => Some(Kind::Marker),
        _ => None,
    };
    document.match_indices('<').filter_map(|(at, _)| kind(document.get(at..)?)).collect()
}

impl Sequence {
    /// Versions and markers in the order of the listing: by key, then the newest first. From a store that tells
    /// the kinds one after the other, their times, in whole seconds, are all that parts them.
    pub(super) fn merged(
        &self,
        versions: Vec<ObjectVersion>,
        markers: Vec<DeleteMarkerEntry>,
    ) -> Vec<ListedVersion> {
        let mut versions = versions.into_iter().map(version);
        let mut markers = markers.into_iter().map(marker);
        let kinds = self.0.get().map(Vec::as_slice).unwrap_or_default();
        let mut all: Vec<_> = kinds
            .iter()
            .filter_map(|kind| match kind {
                Kind::Version => versions.next(),
                Kind::Marker => markers.next(),
            })
            .collect();
        all.extend(versions.chain(markers));
        let mut all: Vec<_> = all.into_iter().flatten().collect();
        // Stable: what times do not part stays as it was told.
        all.sort_by(|(a, x), (b, y)| x.key.as_bytes().cmp(y.key.as_bytes()).then(a.cmp(b)));
        all.into_iter().map(|(_, listed)| listed).collect()
    }
}

/// Where an entry belongs among those of its key: the latest first, then by time.
type Rank = (bool, Reverse<i64>);

fn rank(latest: Option<bool>, at: Option<DateTime>) -> Rank {
    (!latest.unwrap_or_default(), Reverse(at.map(|at| at.secs()).unwrap_or_default()))
}

fn version(found: ObjectVersion) -> Option<(Rank, ListedVersion)> {
    let size_bytes = found.size.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    let (key, version_id) = (found.key?, found.version_id?);
    let listed = ListedVersion { key, version_id, size_bytes, is_marker: false };
    Some((rank(found.is_latest, found.last_modified), listed))
}

fn marker(found: DeleteMarkerEntry) -> Option<(Rank, ListedVersion)> {
    let (key, version_id) = (found.key?, found.version_id?);
    let listed = ListedVersion { key, version_id, size_bytes: 0, is_marker: true };
    Some((rank(found.is_latest, found.last_modified), listed))
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

    fn told(document: &str) -> Sequence {
        Sequence(Arc::new(OnceLock::from(kinds(document))))
    }

    fn ids(merged: &[ListedVersion]) -> Vec<&str> {
        merged.iter().map(|listed| listed.version_id.as_str()).collect()
    }

    #[test]
    fn a_marker_and_versions_of_one_second_come_out_as_the_document_has_them() {
        let versions =
            || vec![version("k", "v3", 9, true), version("k", "v2", 9, false), version("k", "v1", 9, false)];
        let markers = || vec![marker("k", "m", 9, false)];
        let entry = |kind: &str| format!("<{kind}><Key>&lt;Version></Key></{kind}>");
        for (place, expected) in
            [["v3", "m", "v2", "v1"], ["v3", "v2", "m", "v1"], ["v3", "v2", "v1", "m"]].iter().enumerate()
        {
            let mut kinds = vec!["Version"; 3];
            kinds.insert(place + 1, "DeleteMarker");
            let document: String = kinds.into_iter().map(entry).collect();
            let merged = told(&format!("<ListVersionsResult>{document}</ListVersionsResult>"))
                .merged(versions(), markers());
            assert_eq!(ids(&merged), *expected);
        }
    }

    #[test]
    fn a_listing_that_tells_its_kinds_apart_comes_out_as_far_as_its_times_tell() {
        let versions = vec![
            version("a", "a3", 9, true),
            version("a", "a2", 9, false),
            version("a", "a1", 3, false),
            version("b", "b1", 5, false),
        ];
        // Of one second with versions: below them, unless it is the newest of all.
        let markers =
            vec![marker("a", "am", 9, false), marker("a", "an", 4, false), marker("b", "bm", 5, true)];
        let apart = "<Version></Version>".repeat(4) + &"<DeleteMarker></DeleteMarker>".repeat(3);
        for sequence in [told(&apart), Sequence::default()] {
            let merged = sequence.merged(versions.clone(), markers.clone());
            assert_eq!(ids(&merged), ["a3", "a2", "am", "an", "a1", "bm", "b1"]);
            assert!(merged.iter().all(|listed| listed.is_marker == (listed.size_bytes == 0)));
        }
    }
}
