//! The settings of a verdict that are not a single region's own.

use std::time::Duration;

/// How votes become a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Smoothed latency above which a capability counts as degraded.
    pub degraded_latency: Duration,
    /// Age, on the reader's own clock, at which an observer whose sequence number
    /// no longer advances says nothing any more (`failover.detection_interval`).
    pub stale_after: Duration,
    /// Fresh, unsuspecting votes of other regions that a verdict needs. At least 1.
    pub voters_min: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            degraded_latency: Duration::from_millis(500),
            stale_after: Duration::from_secs(15),
            voters_min: 2,
        }
    }
}
