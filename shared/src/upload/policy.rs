//! What an upload promises, and how hard it tries.

use std::time::Duration;

use crate::units::ByteSize;

/// The shipping settings (`upload` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Copies wanted. At least 1, at most the number of full regions.
    pub copies: usize,
    /// Verified copies that make a success; `None` is a true majority, n/2 + 1.
    pub min_copies: Option<usize>,
    /// Whether fewer than `min_copies` verified copies, but at least one, end in a
    /// degraded success instead of a failure.
    pub allow_degraded: bool,
    /// Further regions tried for a copy whose region failed.
    pub cross_region_retries: u32,
    /// Longest wait before a further region is tried when one was left for the same kind of trouble
    /// before; the actual one is drawn below it. Else the next region is tried at once.
    pub failover_delay: Duration,
    /// Whether each copy is read back and compared before it counts.
    pub sync_validation: bool,
    /// Whether the SHA-256 of the whole is kept with each copy, for one more reading of the source.
    pub sha256: bool,
    /// Size aimed at for a part. 5 MiB to 5 GiB.
    pub part_size: ByteSize,
    /// Parts in flight in one region at first. At least 1.
    pub concurrency: usize,
    /// Parts in flight in one region at most, where more of them bring more bytes and `memory` holds
    /// them. With no more than `concurrency` the number stays.
    pub concurrency_max: usize,
    /// Memory for blocks that are read and not yet sent everywhere, of all regions together; room
    /// for two parts at least.
    pub memory: ByteSize,
    /// Longest wait for one part of up to 8 MiB before its region is dropped; a larger one is given
    /// more ([`wait_max`](super::wait_max)).
    pub part_timeout: Duration,
}

impl Policy {
    /// Parts of `part_size` in flight in one region at most: as many as pay, and fit into memory.
    pub fn in_flight_max(&self, part_size: ByteSize) -> usize {
        let held = usize::try_from(self.memory.0 / part_size.0.max(1)).unwrap_or(usize::MAX);
        self.concurrency_max.min(held).max(self.concurrency)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            copies: 1,
            min_copies: None,
            allow_degraded: false,
            cross_region_retries: 2,
            failover_delay: Duration::from_secs(5),
            sync_validation: true,
            sha256: false,
            part_size: ByteSize::mib(8),
            concurrency: 4,
            concurrency_max: 16,
            memory: ByteSize::mib(40),
            part_timeout: Duration::from_secs(30),
        }
    }
}
