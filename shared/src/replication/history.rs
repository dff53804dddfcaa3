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

/// The versions of `key` that may hold one write twice: each with the one that lies right on top of it, which has
/// the same size. Upper first, as in the listing `page`, whatever was deleted.
pub fn twins<'a>(key: &str, page: &'a Versions) -> impl Iterator<Item = (&'a str, &'a str)> {
    page.entries.windows(2).filter_map(move |two| match two {
        [upper, lower]
            if [upper, lower].iter().all(|listed| listed.key == key && !listed.is_marker)
                && upper.size_bytes == lower.size_bytes =>
        {
            Some((upper.version_id.as_str(), lower.version_id.as_str()))
        }
        _ => None,
    })
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

    #[test]
    fn twins_have_one_size_and_nothing_between_them() {
        let sized = |number, size_bytes| ListedVersion { size_bytes, ..listed("k", number, false) };
        let entries = vec![
            listed("k", 0, true),
            sized(1, 5),
            sized(2, 5),
            listed("k", 3, true),
            sized(4, 5),
            sized(5, 7),
            sized(6, 7),
            sized(7, 7),
            listed("kk", 8, false),
            listed("kk", 9, false),
        ];
        let page = Versions { entries, more: false };
        let found: Vec<_> = twins("k", &page).collect();
        assert_eq!(found, [("v1", "v2"), ("v5", "v6"), ("v6", "v7")]);
    }
}
