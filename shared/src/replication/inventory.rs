//! What a listing of one region shows and that of another lacks.
//!
//! Rule: listings are hints like events. A key that is lacking may have been deleted there, may be a
//! copy itself or may be on its way: whoever looks closer decides by the object and the ledger.

use std::collections::BTreeMap;

use crate::ports::Listing;

/// The keys that may lack a copy, and how far the listings were compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Keys of the region's own listing that another one lacks or shows with another size, in order.
    pub keys: Vec<String>,
    /// Go on after this key; `None` at the end.
    pub next: Option<String>,
}

/// Compares the listing of a region with those of others that began after the same key.
///
/// A listing that breaks off says nothing of what comes after its last key, so the comparison ends where
/// the first of them does.
pub fn gaps<'a>(own: &'a Listing, others: impl IntoIterator<Item = &'a Listing> + Clone) -> Gaps {
    let end =
        |listing: &Listing| listing.objects.last().filter(|_| listing.more).map(|last| last.key.clone());
    let next = others.clone().into_iter().chain([own]).filter_map(end).min();
    let others: Vec<BTreeMap<&str, u64>> = others
        .into_iter()
        .map(|other| other.objects.iter().map(|o| (o.key.as_str(), o.size_bytes)).collect())
        .collect();
    let compared = own.objects.iter().filter(|o| next.as_ref().is_none_or(|next| o.key <= *next));
    let lacking =
        compared.filter(|o| others.iter().any(|other| other.get(o.key.as_str()) != Some(&o.size_bytes)));
    Gaps { keys: lacking.map(|o| o.key.clone()).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Listed;
    use proptest::{
        collection::{btree_map, vec},
        prelude::*,
    };

    /// The page of `all` after `after`.
    fn page(all: &BTreeMap<String, u64>, after: Option<&str>, most: usize) -> Listing {
        let rest = all.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let mut objects: Vec<_> =
            rest.map(|(key, size)| Listed { key: key.clone(), size_bytes: *size }).collect();
        let more = objects.len() > most;
        objects.truncate(most);
        Listing { objects, more }
    }

    fn bucket() -> impl Strategy<Value = BTreeMap<String, u64>> {
        btree_map("[ab]{1,4}", 0..2_u64, 0..30)
    }

    proptest! {
        /// Whatever the pages, a walk finds just the keys that some other region lacks, each once.
        #[test]
        fn a_walk_finds_every_gap_once(own in bucket(), others in vec(bucket(), 1..3), pages in vec(1..9_usize, 3)) {
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
            let lacks = |key: &String, size: &u64| others.iter().any(|other| other.get(key) != Some(size));
            let expected: Vec<_> = own.iter().filter(|(k, s)| lacks(k, s)).map(|(k, _)| k.clone()).collect();
            prop_assert_eq!(after, None);
            prop_assert_eq!(found, expected);
        }
    }
}
