//! How old each lease is, as far as one watcher can vouch for.
//!
//! The row of a busy region changes every few seconds, so a watcher of its version
//! would never see it stand still. It watches each lease instead: the number of the
//! write that last renewed it stays the same until its holder renews it.

use std::collections::BTreeMap;

use super::{Book, Lease};
use crate::time::Timestamp;

/// What a watcher remembers of the leases of one region between its looks.
///
/// One that starts cold remembers nothing, and so drops a lease later, never sooner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Each lease with the age that was vouched for, and when on this watcher's clock.
    seen: BTreeMap<String, (Lease, Timestamp)>,
}

impl Watch {
    /// `book` as it was just read, with every age brought up to what this watcher can vouch for.
    ///
    /// `now` is read after the answer: a lease must not look older than it is.
    pub fn look(&mut self, book: &Book, now: Timestamp) -> Book {
        let mut aged = book.clone();
        let mut seen = BTreeMap::new();
        for lease in &mut aged.leases {
            let before = self.seen.remove(&lease.id).filter(|(old, _)| old.written == lease.written);
            let (base, since) = match before {
                Some((old, since)) if old.age.saturating_add(now.since(since)) >= lease.age => (old, since),
                // Somebody else vouches for more.
                Some(_) | None => (lease.clone(), now),
            };
            lease.age = base.age.saturating_add(now.since(since));
            seen.insert(lease.id.clone(), (base, since));
        }
        self.seen = seen;
        aged
    }
}
