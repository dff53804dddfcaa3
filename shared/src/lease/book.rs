//! The leases of one region as its row keeps them, and the folds that change them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Done, Outcome};
use crate::{
    failover::age_ms,
    region::Capacity,
    route::{Load, Utilization},
};

/// Most leases of one region: the row is rewritten with each change, and stays below 64 KB.
pub const LEASES_MAX: u32 = 256;

/// Longest id or holder, in characters; the rest is cut.
const TEXT_LEN_MAX: usize = 80;

/// The right to ship into a region for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Names it; no two uploads share one.
    pub id: String,
    /// Who holds it, for people.
    pub holder: String,
    /// Megabits a second set aside for it.
    pub bandwidth_mbps: u32,
    /// The version of the row that took or last renewed it. It rises with each renewal.
    pub written: u64,
    /// How long ago that was, at least, when the row was last written.
    #[serde(rename = "age_ms", with = "age_ms")]
    pub age: Duration,
    /// The age at which it ends.
    #[serde(rename = "ttl_ms", with = "age_ms")]
    pub ttl: Duration,
}

impl Lease {
    /// Whether its time is over.
    pub fn is_expired(&self) -> bool {
        self.age >= self.ttl
    }
}

/// What a holder asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Names the lease; no two uploads share one.
    pub id: String,
    /// Who asks, for people.
    pub holder: String,
    /// Megabits a second to set aside.
    pub bandwidth_mbps: u32,
    /// How long the lease lasts without a renewal.
    pub ttl: Duration,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many uploads are in flight as the region takes.
    Uploads {
        /// What is taken, and of what.
        taken: Utilization,
    },
    /// The bandwidth left is less than what was asked for.
    Bandwidth {
        /// What is taken, and of what.
        taken: Utilization,
        /// Megabits a second asked for.
        wanted_mbps: u32,
    },
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uploads { taken } => write!(f, "no upload slot is free: {taken}"),
            Self::Bandwidth { taken, wanted_mbps } => {
                write!(f, "{wanted_mbps} Mbit/s are not free: {taken}")
            }
        }
    }
}

/// The lease is not there: it was released, or it ran out and was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease ran out and was given back")]
pub struct Gone;

/// The leases of one region.
///
/// Each change is made from this book and written under the condition that the
/// row still has [`Book::version`]; so all of them drop what has expired, and none
/// undoes another's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    /// The number of the write that made it; 0: there is no row yet.
    pub version: u64,
    /// The leases, in the order in which they were taken.
    pub leases: Vec<Lease>,
    /// What came of the leases that have ended.
    #[serde(default)]
    pub done: Done,
}

impl Book {
    /// What the region carries by its leases.
    pub fn load(&self) -> Load {
        let live = self.leases.iter().filter(|lease| !lease.is_expired());
        live.fold(Load::default(), |load, lease| Load {
            uploads: load.uploads.saturating_add(1),
            bandwidth_mbps: load.bandwidth_mbps.saturating_add(lease.bandwidth_mbps),
        })
    }

    /// Whether `id` has a lease here.
    pub fn holds(&self, id: &str) -> bool {
        self.leases.iter().any(|lease| lease.id == clip(id))
    }

    /// This book with one lease more; `None` when it is held already, so that asking twice takes one.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn acquire(&self, ask: &Ask, capacity: Capacity) -> Result<Option<Self>, Full> {
        let mut next = self.next();
        if next.holds(&ask.id) {
            return Ok(None);
        }
        let load = next.load();
        let taken = Utilization { load, capacity };
        if load.uploads >= capacity.max_concurrent_uploads.min(LEASES_MAX) {
            return Err(Full::Uploads { taken });
        }
        if load.bandwidth_mbps.saturating_add(ask.bandwidth_mbps) > capacity.max_bandwidth_mbps {
            return Err(Full::Bandwidth { taken, wanted_mbps: ask.bandwidth_mbps });
        }
        next.leases.push(Lease {
            id: clip(&ask.id),
            holder: clip(&ask.holder),
            bandwidth_mbps: ask.bandwidth_mbps,
            written: next.version,
            age: Duration::ZERO,
            ttl: ask.ttl,
        });
        Ok(Some(next))
    }

    /// This book with the lease begun anew.
    ///
    /// A lease whose time is over is renewed all the same while it is still here:
    /// its slot was given to nobody else.
    ///
    /// # Errors
    /// When it is not here any more.
    pub fn renew(&self, id: &str) -> Result<Self, Gone> {
        let mut held = self.clone();
        let id = clip(id);
        let lease = held.leases.iter_mut().find(|lease| lease.id == id).ok_or(Gone)?;
        lease.age = Duration::ZERO;
        lease.written = self.version + 1;
        Ok(held.next())
    }

    /// This book without the lease, with what came of it; `None` when it is not here.
    pub fn release(&self, id: &str, outcome: Outcome) -> Option<Self> {
        let mut held = self.clone();
        let id = clip(id);
        let at = held.leases.iter().position(|lease| lease.id == id)?;
        held.leases.remove(at);
        held.done = held.done.with(outcome);
        Some(held.next())
    }

    /// This book without what has expired; `None` when that is not worth a write.
    ///
    /// `written` is the row as it was read, and this book the same as a
    /// [`Watch`](super::Watch) ages it. An age that has grown by half its time to live is worth a
    /// write of its own: the next watcher then goes on from there. Holders that
    /// renew in time never get that old.
    pub fn reap(&self, written: &Self) -> Option<Self> {
        let grown = |lease: &Lease| {
            let before = written.leases.iter().find(|old| old.id == lease.id && old.written == lease.written);
            before.is_some_and(|old| lease.age.saturating_sub(old.age) >= lease.ttl / 2)
        };
        let worth = |lease: &Lease| lease.is_expired() || grown(lease);
        self.leases.iter().any(worth).then(|| self.next())
    }

    /// The next version, without what has expired: an upload that did not say how it ended.
    fn next(&self) -> Self {
        let mut next = self.clone();
        next.version += 1;
        let expired = next.leases.extract_if(.., |lease| lease.is_expired());
        next.done = expired.fold(self.done, |done, _| done.with(Outcome::Failed));
        next
    }
}

fn clip(text: &str) -> String {
    text.chars().take(TEXT_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Capacity = Capacity { max_concurrent_uploads: 2, max_bandwidth_mbps: 100 };

    fn ask(id: &str, bandwidth_mbps: u32) -> Ask {
        Ask { id: id.to_owned(), holder: "lab-7".to_owned(), bandwidth_mbps, ttl: Duration::from_secs(60) }
    }

    fn with(ids: &[&str]) -> Book {
        ids.iter().fold(Book::default(), |book, id| book.acquire(&ask(id, 10), ROOM).unwrap().unwrap())
    }

    #[test]
    fn a_refusal_names_the_number_that_is_in_the_way() {
        let full = with(&["a", "b"]).acquire(&ask("c", 10), ROOM).unwrap_err();
        assert_eq!(full.to_string(), "no upload slot is free: 2 of 2 uploads, 20 of 100 Mbit/s");
        let full = with(&["a"]).acquire(&ask("c", 91), ROOM).unwrap_err();
        assert_eq!(full.to_string(), "91 Mbit/s are not free: 1 of 2 uploads, 10 of 100 Mbit/s");
    }

    #[test]
    fn asking_twice_takes_one_slot() {
        assert_eq!(with(&["a"]).acquire(&ask("a", 10), ROOM), Ok(None));
    }

    #[test]
    fn a_lease_that_was_dropped_cannot_be_renewed_and_releases_nothing() {
        let mut old = with(&["a"]);
        old.leases[0].age = Duration::from_secs(60);
        let reaped = old.reap(&old).unwrap();
        assert_eq!((reaped.leases.len(), reaped.done.failed), (0, 1));
        assert_eq!(reaped.renew("a"), Err(Gone));
        assert_eq!(reaped.release("a", Outcome::Failed), None);
    }

    #[test]
    fn a_late_holder_keeps_a_slot_that_nobody_took() {
        let mut old = with(&["a"]);
        old.leases[0].age = Duration::from_secs(90);
        assert_eq!(old.renew("a").unwrap().load().uploads, 1);
    }

    #[test]
    fn the_row_of_a_full_region_stays_small() {
        let wide = Capacity { max_concurrent_uploads: u32::MAX, max_bandwidth_mbps: u32::MAX };
        let long = "x".repeat(500);
        let mut book = Book::default();
        for i in 0..LEASES_MAX {
            book = book.acquire(&ask(&format!("{i}{long}"), 1), wide).unwrap().unwrap();
        }
        assert!(book.acquire(&ask("one more", 1), wide).is_err());
        assert!(serde_json::to_string(&book).unwrap().len() < 80 * 1024);
    }
}
