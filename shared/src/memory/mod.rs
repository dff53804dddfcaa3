//! The ports in memory, with the rules of the real ones: conditions, versions,
//! checksums, pages, and outages on command. For tests of flows.

mod flaky;
mod hooked;
mod objects;
mod rows;
mod signs;

use std::sync::atomic::{AtomicU64, Ordering};

pub use flaky::{Fault, Flaky};
pub use hooked::{Call, Hook, Hooked};
pub use objects::{Cloud, MemoryObjects};
pub use rows::MemoryRows;

use crate::{ports::Clock, time::Timestamp};

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.as_millis()))
    }

    /// Moves the clock to `now`.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
