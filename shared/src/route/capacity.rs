//! Room: how much of a region's capacity is taken.
//!
//! Counting what is in flight is the caller's work (leases that expire); this
//! only compares the count with the settings.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::region::Capacity;

/// What one region carries at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// Uploads in flight.
    pub uploads: u32,
    /// Megabits a second over all uploads.
    pub bandwidth_mbps: u32,
}

/// A [`Load`] held against a [`Capacity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Utilization {
    /// What is carried.
    pub load: Load,
    /// What may be carried.
    pub capacity: Capacity,
}

impl Utilization {
    /// The larger of the two shares taken, in uploads and in bandwidth: 1.0 is full.
    ///
    /// More than 1.0 is possible, when the capacity was lowered under load. A
    /// capacity of 0 is always full.
    pub fn ratio(&self) -> f64 {
        let uploads = taken(self.load.uploads, self.capacity.max_concurrent_uploads);
        uploads.max(taken(self.load.bandwidth_mbps, self.capacity.max_bandwidth_mbps))
    }

    /// Whether another upload would be one too many.
    pub const fn is_full(&self) -> bool {
        self.load.uploads >= self.capacity.max_concurrent_uploads
            || self.load.bandwidth_mbps >= self.capacity.max_bandwidth_mbps
    }
}

impl fmt::Display for Utilization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { load, capacity } = self;
        write!(
            f,
            "{} of {} uploads, {} of {} Mbit/s",
            load.uploads, capacity.max_concurrent_uploads, load.bandwidth_mbps, capacity.max_bandwidth_mbps
        )
    }
}

/// `used` as a share of `limit`.
fn taken(used: u32, limit: u32) -> f64 {
    if limit == 0 { 1.0_f64.max(f64::from(used)) } else { f64::from(used) / f64::from(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utilization(uploads: u32, bandwidth_mbps: u32, most: u32, fastest: u32) -> Utilization {
        Utilization {
            load: Load { uploads, bandwidth_mbps },
            capacity: Capacity { max_concurrent_uploads: most, max_bandwidth_mbps: fastest },
        }
    }

    proptest! {
        /// Full is exactly a ratio of one or more, and either limit alone is enough.
        #[test]
        fn full_means_a_ratio_of_at_least_one(
            uploads in 0..40_u32, mbps in 0..2000_u32, most in 0..30_u32, fastest in 0..1500_u32,
        ) {
            let it = utilization(uploads, mbps, most, fastest);
            prop_assert_eq!(it.is_full(), it.ratio() >= 1.0);
            prop_assert_eq!(it.is_full(), uploads >= most || mbps >= fastest);
            prop_assert!(it.ratio().is_finite());
        }

        /// One more upload never makes a region look emptier.
        #[test]
        fn ratio_rises_with_load(uploads in 0..40_u32, mbps in 0..2000_u32) {
            let (before, after) = (utilization(uploads, mbps, 10, 1000), utilization(uploads + 1, mbps, 10, 1000));
            prop_assert!(after.ratio() >= before.ratio());
        }
    }

    #[test]
    fn the_last_free_slot_is_not_full() {
        assert!(!utilization(9, 0, 10, 1000).is_full());
        assert!(utilization(10, 0, 10, 1000).is_full());
    }
}
