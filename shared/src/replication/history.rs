//! The versions of one key that are to be copied, read from a listing.
//!
//! Rule: what lies below a delete marker was deleted, and is not copied any more.

use crate::ports::{ListedVersion, Versions};

/// The versions of one key that nothing has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Their ids, the newest first.
    pub ids: Vec<String>,
    /// Whether the listing ended before the key's versions did, so that older ones may be missing here.
    pub cut: bool,
}

impl History {
    /// What `page`, the beginning of a listing of the keys that begin with `key`, shows of `key` itself.
    pub fn of(key: &str, page: &Versions) -> Self {
        let own = page.entries.iter().take_while(|listed| listed.key == key);
        let ids: Vec<_> = undeleted(own).map(|listed| listed.version_id.clone()).collect();
        // The key itself comes before all that it is a prefix of.
        Self { cut: page.more && ids.len() == page.entries.len(), ids }
    }

    /// The versions that were written after `version`, the newest first; `None` if it is not among these.
    pub fn above(&self, version: &str) -> Option<&[String]> {
        let place = self.ids.iter().position(|id| id == version)?;
        self.ids.get(..place)
    }
}

/// Those of one key's versions, told from the newest on, that no marker hides.
pub(super) fn undeleted<'a>(
    versions: impl Iterator<Item = &'a ListedVersion>,
) -> impl Iterator<Item = &'a ListedVersion> {
    versions.take_while(|listed| !listed.is_marker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn listed(key: &str, number: usize, is_marker: bool) -> ListedVersion {
        ListedVersion { key: key.to_owned(), version_id: format!("v{number}"), size_bytes: 1, is_marker }
    }

    proptest! {
        /// Whatever lies around, just the versions above the newest marker are told, in their order.
        #[test]
        fn what_lies_below_a_marker_is_not_told(markers in vec(any::<bool>(), 0..9), others in 0..3_usize, more in any::<bool>()) {
            let mut entries: Vec<_> = markers.iter().enumerate().map(|(n, marker)| listed("k", n, *marker)).collect();
            entries.extend((0..others).map(|n| listed("kk", n, false)));
            let history = History::of("k", &Versions { entries: entries.clone(), more });
            let first = markers.iter().position(|marker| *marker).unwrap_or(markers.len());
            prop_assert_eq!(history.ids.len(), first);
            prop_assert!(history.ids.iter().zip(&entries).all(|(id, listed)| *id == listed.version_id));
            prop_assert_eq!(history.cut, more && first == entries.len());
            for (place, id) in history.ids.iter().enumerate() {
                prop_assert_eq!(history.above(id).map(<[String]>::len), Some(place));
            }
            prop_assert_eq!(history.above("other"), None);
        }
    }
}
