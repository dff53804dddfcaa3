//! What came of leases that have ended, in numbers that only rise.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{time::millis, units::ByteSize};

/// How the work under a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A verified copy is in the region.
    Shipped {
        /// Its size.
        size: ByteSize,
        /// Time from the first byte sent to the proof.
        took: Duration,
    },
    /// No copy is verified.
    Failed,
    /// Nothing was sent.
    Unused,
}

/// The leases of a region that have ended, since there is a row.
///
/// Whoever turns it into metrics takes the difference between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// Uploads that left a verified copy.
    pub shipped: u64,
    /// Uploads that left none, or never said how they ended.
    pub failed: u64,
    /// Bytes of the verified copies.
    pub bytes: u64,
    /// Milliseconds that they took, one after the other.
    pub took_ms: u64,
}

impl Done {
    /// These numbers with one more ending.
    #[must_use]
    pub fn with(self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Shipped { size, took } => Self {
                shipped: self.shipped.saturating_add(1),
                bytes: self.bytes.saturating_add(size.0),
                took_ms: self.took_ms.saturating_add(millis(took)),
                ..self
            },
            Outcome::Failed => Self { failed: self.failed.saturating_add(1), ..self },
            Outcome::Unused => self,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            shipped: self.shipped.saturating_add(other.shipped),
            failed: self.failed.saturating_add(other.failed),
            bytes: self.bytes.saturating_add(other.bytes),
            took_ms: self.took_ms.saturating_add(other.took_ms),
        }
    }

    /// What was added since `earlier`; nothing if that is not an earlier look at the same row.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            shipped: self.shipped.saturating_sub(earlier.shipped),
            failed: self.failed.saturating_sub(earlier.failed),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            took_ms: self.took_ms.saturating_sub(earlier.took_ms),
        }
    }

    /// Bytes a second of one upload, over all that were shipped; `None`: no byte was.
    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    pub fn throughput_bytes_s(self) -> Option<f64> {
        (self.bytes > 0).then(|| self.bytes as f64 * 1e3 / self.took_ms.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_of_shipped_bytes_over_their_time() {
        let shipped = Outcome::Shipped { size: ByteSize(3_000), took: Duration::from_secs(2) };
        let done = Done::default().with(shipped).with(Outcome::Failed).with(Outcome::Unused);
        assert_eq!((done.shipped, done.failed), (1, 1));
        assert_eq!(done.throughput_bytes_s(), Some(1_500.0));
        assert_eq!(Done::default().with(Outcome::Failed).throughput_bytes_s(), None);
    }

    #[test]
    fn a_row_that_began_anew_adds_nothing() {
        let before = Done { shipped: 9, failed: 9, bytes: 9, took_ms: 9 };
        assert_eq!(Done::default().since(before), Done::default());
    }
}
