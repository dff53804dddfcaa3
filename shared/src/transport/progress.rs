//! What an upload tells on the way, for a bar or a log.

use crate::{region::RegionName, units::ByteSize, upload::Reason};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A region is sent to.
    Began {
        /// The region.
        region: RegionName,
    },
    /// A region acknowledged more bytes.
    Sent {
        /// The region.
        region: RegionName,
        /// Bytes that it has acknowledged so far.
        bytes: ByteSize,
    },
    /// More bytes came from a region.
    Received {
        /// The region.
        region: RegionName,
        /// Bytes that came from it so far.
        bytes: ByteSize,
    },
    /// A region is not sent to any more.
    Dropped {
        /// The region.
        region: RegionName,
        /// Why.
        reason: Reason,
    },
    /// Another region takes over a copy.
    Moved {
        /// The region that failed.
        from: RegionName,
        /// The region that is tried next.
        to: RegionName,
    },
    /// A copy is complete and is read back.
    Verifying {
        /// The region.
        region: RegionName,
    },
    /// A copy is proved whole.
    Verified {
        /// The region.
        region: RegionName,
    },
}
