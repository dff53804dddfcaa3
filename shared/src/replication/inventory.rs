//! What a listing of one region shows and that of another lacks.
//!
//! Rule: listings are hints like events. A version that is lacking may have been deleted there, may be
//! on its way or may never be meant for that place: whoever looks closer decides by the object and the
//! ledger. Versions are told apart by their sizes and their number: ids and entity tags differ from
//! region to region, and of two versions of one size one that is lacking shows in the number: in that of all, or,
//! where both regions have deleted the key as often, in that of those since.

use std::collections::BTreeMap;

use super::history::undeleted;
use crate::ports::{ListedVersion, Versions};

/// The keys that may lack a copy, and how far the listings were compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Keys of the region's own listing that have a version which another one lacks, in order.
    pub keys: Vec<String>,
    /// Go on after this key; `None` at the end.
    pub next: Option<String>,
}

/// Compares the listing of a region with those of others that began after the same key.
///
/// A listing that breaks off says nothing of what comes after its last whole key, so the comparison ends
/// where the first of them does. Of a key that fills a whole page alone the page is what is compared.
pub fn gaps<'a>(own: &'a Versions, others: impl IntoIterator<Item = &'a Versions> + Clone) -> Gaps {
    let next = others.clone().into_iter().chain([own]).filter_map(end).min().map(str::to_owned);
    let others: Vec<_> = others.into_iter().map(by_key).collect();
    let compared = by_key(own).into_iter().filter(|(key, _)| next.as_deref().is_none_or(|next| *key <= next));
    let lacking = compared.filter(|(key, versions)| {
        others.iter().any(|other| lacks(versions, other.get(key).map_or(&[], Vec::as_slice)))
    });
    Gaps { keys: lacking.map(|(key, _)| key.to_owned()).collect(), next }
}

/// The last key of which a listing that breaks off shows all.
fn end(listing: &Versions) -> Option<&str> {
    let last = listing.entries.last().filter(|_| listing.more)?;
    let whole = listing.entries.iter().rev().find(|listed| listed.key != last.key);
    Some(whole.unwrap_or(last).key.as_str())
}

fn by_key(listing: &Versions) -> BTreeMap<&str, Vec<&ListedVersion>> {
    listing.entries.iter().fold(BTreeMap::new(), |mut keys: BTreeMap<_, Vec<_>>, listed| {
        keys.entry(listed.key.as_str()).or_default().push(listed);
        keys
    })
}

/// Whether `found` has fewer versions than `own` of the size of one that nothing has deleted. What is
/// deleted counts on both sides: it was copied before, and stands for no later version of its size. Where both
/// were deleted as often, as a key that is deleted everywhere, what came since is compared as well: versions
/// that were deleted before they were copied lie in one of them alone.
fn lacks(own: &[&ListedVersion], found: &[&ListedVersion]) -> bool {
    let (ours, theirs) = (sizes(own.iter().copied()), sizes(found.iter().copied()));
    let since = |listing: &[&ListedVersion]| sizes(undeleted(listing.iter().copied()));
    let fewer_since = (markers(own) == markers(found)).then(|| (since(own), since(found)));
    undeleted(own.iter().copied()).any(|version| {
        let fewer =
            |(ours, theirs): &(Sizes, Sizes)| theirs.get(&version.size_bytes) < ours.get(&version.size_bytes);
        theirs.get(&version.size_bytes) < ours.get(&version.size_bytes)
            || fewer_since.as_ref().is_some_and(fewer)
    })
}

/// How often the key was deleted.
fn markers(listing: &[&ListedVersion]) -> usize {
    listing.iter().filter(|listed| listed.is_marker).count()
}

/// How many versions of each size there are.
type Sizes = BTreeMap<u64, usize>;

fn sizes<'a>(listing: impl Iterator<Item = &'a ListedVersion>) -> Sizes {
    let mut sizes = Sizes::new();
    for version in listing.filter(|listed| !listed.is_marker) {
        *sizes.entry(version.size_bytes).or_default() += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        collection::{btree_map, vec},
        prelude::*,
    };

    /// Sizes of the versions of each key, the newest first; `None` is a delete marker.
    type Bucket = BTreeMap<String, Vec<Option<u64>>>;

    /// The page of `all` after `after`.
    fn page(all: &Bucket, after: Option<&str>, most: usize) -> Versions {
        let rest = all.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let listed = |key: &String, size: &Option<u64>| ListedVersion {
            key: key.clone(),
            version_id: "v".to_owned(),
            size_bytes: size.unwrap_or_default(),
            is_marker: size.is_none(),
        };
        let mut entries: Vec<_> =
            rest.flat_map(|(key, sizes)| sizes.iter().map(|size| listed(key, size))).collect();
        let more = entries.len() > most;
        entries.truncate(most);
        Versions { entries, more }
    }

    fn bucket() -> impl Strategy<Value = Bucket> {
        btree_map("[ab]{1,4}", vec(proptest::option::weighted(0.8, 0..2_u64), 1..4), 0..30)
    }

    fn lacking(own: &[Option<u64>], other: &[Option<u64>]) -> bool {
        let number = |all: &[Option<u64>], size| all.iter().filter(|s| **s == Some(size)).count();
        let markers = |all: &[Option<u64>]| all.iter().filter(|s| s.is_none()).count();
        let since = |all: &[Option<u64>]| all.iter().map_while(|s| *s).map(Some).collect::<Vec<_>>();
        let alike = markers(own) == markers(other);
        own.iter().map_while(|size| *size).any(|size| {
            number(own, size) > number(other, size)
                || alike && number(&since(own), size) > number(&since(other), size)
        })
    }

    proptest! {
        /// Whatever the pages, a walk finds just the keys of which some other region lacks a version, each once.
        #[test]
        fn a_walk_finds_every_gap_once(own in bucket(), others in vec(bucket(), 1..3), pages in vec(4..9_usize, 3)) {
            let (mut found, mut after) = (Vec::new(), None::<String>);
            for _ in 0..200 {
                let listed: Vec<_> =
                    others.iter().zip(&pages).map(|(o, most)| page(o, after.as_deref(), *most)).collect();
                let gaps = gaps(&page(&own, after.as_deref(), pages[2]), &listed);
                found.extend(gaps.keys);
                after = gaps.next;
                if after.is_none() {
                    break;
                }
            }
            let lacks = |key: &String, sizes: &[Option<u64>]| {
                others.iter().any(|other| lacking(sizes, other.get(key).map_or(&[], Vec::as_slice)))
            };
            let expected: Vec<_> = own.iter().filter(|(k, s)| lacks(k, s)).map(|(k, _)| k.clone()).collect();
            prop_assert_eq!(after, None);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_overwrite_of_the_same_size_shows_in_the_number_of_versions() {
        let bucket = |sizes: &[Option<u64>]| page(&[("k".to_owned(), sizes.to_vec())].into(), None, 9);
        let (marker, five) = (None, Some(5));
        for (own, other, is_gap) in [
            (&[five, five][..], &[five][..], true),
            (&[five, five], &[five, five], false),
            (&[five], &[five, five], false),
            // What was deleted everywhere stands for no later version of its size.
            (&[five, marker, five], &[marker, five], true),
            (&[five, marker, five], &[five, marker, five], false),
            // Deleted everywhere, one of them before it was copied, and written anew.
            (&[five, marker, five], &[marker, five, five], true),
            (&[five, marker, five], &[five, marker, five, five], false),
            // A copy that was deleted where it lay, and what was deleted at home.
            (&[five], &[marker, five], false),
            (&[marker, five], &[], false),
        ] {
            let found = gaps(&bucket(own), [&bucket(other)]).keys;
            assert_eq!(!found.is_empty(), is_gap, "{own:?} {other:?}");
        }
    }
}
