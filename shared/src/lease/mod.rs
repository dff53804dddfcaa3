//! Capacity leases: who ships into a region now, and how much room is left there.
//!
//! One row a region holds the leases of that region, and every write of it is
//! conditional on the version that was read, so two uploaders never both take
//! the last slot. A lease that is not renewed within its time to live is
//! dropped by whoever notices first, so that a crash frees its slot.
//!
//! No clock is compared with another machine's. A lease keeps its *age*: how long
//! ago it was renewed, as far as anyone could vouch for at the last write of the
//! row. A [`Watch`] adds the time for which it has itself seen the lease
//! unrenewed. Ages can be too small, never too large: a slot may come back late,
//! and is never taken from a holder that renews in time.
//!
//! Work that ends within one request, such as the writes of the API, takes no
//! lease: taking one would cost more than the write, and a drain that lasts as long
//! as an API may go by an old record covers them; see [`in_flight`].

mod book;
mod done;
mod door;
#[cfg(test)]
mod properties;
mod watch;

use std::time::Duration;

pub use book::{Ask, Book, Full, Gone, LEASES_MAX, Lease};
pub use done::{Done, Outcome};
pub use door::{Closed, door};
pub use watch::Watch;

/// How long leases last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Time after which a lease that was not renewed is dropped. 10 s to 1 h.
    pub ttl: Duration,
}

impl Policy {
    /// Time between two renewals: two may be lost before the lease is.
    pub fn renew_every(&self) -> Duration {
        self.ttl / 3
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(60) }
    }
}

/// What a drain still waits for: the `uploads` that hold a lease, once `settle` has passed since it began.
///
/// `None`, not known, before that. `settle` is how long an API may still write by a record
/// that it read before the drain began ([`Api::settle`](crate::config::Api::settle)):
/// requests hold no lease, however few leases there are. It is also `None`
/// when the leases could not be read.
pub fn in_flight(uploads: Option<u32>, draining_for: Duration, settle: Duration) -> Option<u64> {
    uploads.filter(|_| draining_for >= settle).map(u64::from)
}
