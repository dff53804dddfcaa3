//! Why a copy is not there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{checksum::Checksum, time::Human, units::ByteSize};

/// Why one region does not hold a verified copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// No connection, or it broke.
    Unreachable {
        /// What the connection said.
        detail: String,
    },
    /// No answer in time. The request may still have been carried out.
    TimedOut {
        /// How long it was waited for, in milliseconds.
        after_ms: u64,
    },
    /// The store said no, so that asking again is in vain.
    Refused {
        /// What the store said.
        detail: String,
    },
    /// The store was too busy or failed inside; asking later may do.
    Busy {
        /// What the store said.
        detail: String,
    },
    /// It failed, and too many repeats were sent there already for one more.
    RetriesSpent {
        /// How it failed, and which budget is spent.
        detail: String,
    },
    /// The region could not keep up with the others, which were not made to wait.
    FellBehind {
        /// Bytes it was behind.
        behind: ByteSize,
    },
    /// The copy has another size than the source.
    SizeDiffers {
        /// The size of the source.
        expected: ByteSize,
        /// The size of the copy.
        found: ByteSize,
    },
    /// The copy has other bytes than the source.
    ChecksumDiffers {
        /// The checksum of the source.
        expected: Checksum,
        /// The checksum of the copy.
        found: Checksum,
    },
    /// The copy was written, but nothing proved it whole.
    Unverified {
        /// Why it could not be verified.
        detail: String,
    },
    /// What the region has, or gave, will not do.
    Unfit {
        /// What is wrong with it.
        detail: String,
    },
    /// The source changed or went away while it was copied.
    SourceChanged {
        /// What was noticed.
        detail: String,
    },
    /// A newer version is there already, and an older one is not written on top of it.
    Overtaken {
        /// How that came about.
        detail: String,
    },
    /// The region takes no more uploads at once.
    AtCapacity {
        /// By which number.
        detail: String,
    },
    /// The region takes no new uploads: it is being drained.
    Closed {
        /// By whom, or why.
        detail: String,
    },
    /// The region was not usable when the upload began.
    NotRouted,
    /// The upload ended before the region was done.
    Stopped,
}

impl Reason {
    /// Whether the same region may do better later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Busy { .. }
            | Self::RetriesSpent { .. }
            | Self::FellBehind { .. }
            | Self::SizeDiffers { .. }
            | Self::ChecksumDiffers { .. }
            | Self::Unverified { .. }
            | Self::Unfit { .. }
            | Self::AtCapacity { .. }
            | Self::Closed { .. }
            | Self::NotRouted
            | Self::Stopped => true,
            Self::Refused { .. } | Self::SourceChanged { .. } | Self::Overtaken { .. } => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { detail } => write!(f, "could not be reached: {detail}"),
            Self::TimedOut { after_ms } => {
                write!(f, "gave no answer within {}", Human(std::time::Duration::from_millis(*after_ms)))
            }
            Self::Refused { detail } => write!(f, "refused: {detail}"),
            Self::Busy { detail } => write!(f, "was too busy: {detail}"),
            Self::RetriesSpent { detail } => write!(f, "was not asked again: {detail}"),
            Self::FellBehind { behind } => write!(f, "fell {behind} behind the others"),
            Self::SizeDiffers { expected, found } => {
                write!(f, "holds {} bytes where the source has {}", found.0, expected.0)
            }
            Self::ChecksumDiffers { expected, found } => {
                write!(f, "holds other bytes: CRC64NVME `{found}` where the source has `{expected}`")
            }
            Self::Unverified { detail } => write!(f, "was written but not proved whole: {detail}"),
            Self::Unfit { detail } => f.write_str(detail),
            Self::SourceChanged { detail } => write!(f, "the source changed: {detail}"),
            Self::Overtaken { detail } => write!(f, "was overtaken: {detail}"),
            Self::AtCapacity { detail } => write!(f, "was at capacity: {detail}"),
            Self::Closed { detail } => write!(f, "takes no new uploads: {detail}"),
            Self::NotRouted => write!(f, "was not usable when the upload began"),
            Self::Stopped => write!(f, "was not done when the upload ended"),
        }
    }
}
