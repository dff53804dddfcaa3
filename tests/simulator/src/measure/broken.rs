//! The promises that a run may break.

use std::{fmt, time::Duration};

use histories::Misfit;
use sealane::{
    failover::{Pin, Standing},
    region::{Capability, RegionName},
};

use super::Seen;

/// A promise that was broken, with what shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Broken {
    /// An epoch had two active regions.
    TwoActives {
        /// The epoch.
        epoch: u64,
        /// One of them.
        one: RegionName,
        /// The other.
        other: RegionName,
    },
    /// A write was acknowledged by a region that was not active when it may have been planned.
    WroteOutsideItsEpoch {
        /// The workset.
        id: String,
        /// The region that took it.
        region: RegionName,
        /// When the client had its answer.
        at: Duration,
    },
    /// The record's numbers did not go up by one.
    OutOfOrder {
        /// When.
        at: Duration,
        /// Version and epoch before.
        before: (u64, u64),
        /// Version and epoch after.
        after: (u64, u64),
    },
    /// No region that holds data was active.
    NoActive {
        /// When.
        at: Duration,
    },
    /// Work moved into a region that had been down for longer than detection may take.
    MovedIntoDown {
        /// The epoch that began.
        epoch: u64,
        /// The region.
        to: RegionName,
        /// For how long it had been down.
        down_for: Duration,
    },
    /// Work moved into a region that the decider itself did not see up.
    MovedUnseen {
        /// The epoch that began.
        epoch: u64,
        /// The region.
        to: RegionName,
        /// How the decider saw it; `None`: the record does not say.
        saw: Option<Standing>,
    },
    /// A pin was overruled by automation.
    PinOverruled {
        /// The epoch that began.
        epoch: u64,
        /// The pin.
        pin: Pin,
    },
    /// An acknowledged write is gone, and no bound that was told covers it.
    LostWrite {
        /// The workset.
        id: String,
        /// The region that took it.
        region: RegionName,
        /// When the client had its answer.
        at: Duration,
    },
    /// Something of the watched region was called unhealthy before anything was wrong with it.
    FalseVerdict {
        /// When.
        at: Duration,
        /// What.
        capability: Capability,
    },
    /// What the account of a move told as the bound was less than the truth.
    BoundBelowTruth {
        /// The epoch that began.
        epoch: u64,
        /// The bound.
        told: Duration,
        /// The age of the oldest write that had not arrived.
        truth: Duration,
    },
    /// What workers were told of worksets does not fit together.
    Misfit(Misfit),
    /// A move of strongly consistent worksets did not say that nothing is lost.
    LossNotRuledOut {
        /// The epoch that began.
        epoch: u64,
        /// The bound; `None`: that it is not known.
        told: Option<Duration>,
    },
    /// A version of a strongly consistent workset was written twice.
    Collided {
        /// The workset.
        id: String,
        /// The version.
        version: u64,
    },
    /// A read of a strongly consistent workset showed less than had been acknowledged before.
    StaleRead(Seen),
    /// Code under test, or the world around it, panicked.
    Panicked {
        /// Who, and with what words.
        who: String,
    },
}

impl Broken {
    /// Whether it is counted as a bound below the truth instead of as a violation.
    pub const fn is_bound(&self) -> bool {
        match self {
            Self::BoundBelowTruth { .. } => true,
            Self::TwoActives { .. }
            | Self::WroteOutsideItsEpoch { .. }
            | Self::OutOfOrder { .. }
            | Self::NoActive { .. }
            | Self::MovedIntoDown { .. }
            | Self::MovedUnseen { .. }
            | Self::PinOverruled { .. }
            | Self::LostWrite { .. }
            | Self::FalseVerdict { .. }
            | Self::Misfit(_)
            | Self::LossNotRuledOut { .. }
            | Self::Collided { .. }
            | Self::StaleRead(_)
            | Self::Panicked { .. } => false,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoActives { epoch, one, other } => {
                write!(f, "epoch {epoch} had two active regions, {one} and {other}")
            }
            Self::WroteOutsideItsEpoch { id, region, at } => {
                write!(f, "{region} took the write of {id} at {at:?} without being active")
            }
            Self::OutOfOrder { at, before, after } => write!(
                f,
                "the record went from version {} epoch {} to version {} epoch {} at {at:?}",
                before.0, before.1, after.0, after.1
            ),
            Self::NoActive { at } => write!(f, "no region that holds data was active at {at:?}"),
            Self::MovedIntoDown { epoch, to, down_for } => {
                write!(f, "epoch {epoch} moved into {to}, which had been down for {down_for:?}")
            }
            Self::MovedUnseen { epoch, to, saw: Some(saw) } => {
                write!(f, "epoch {epoch} moved into {to}, which the decider saw {saw}")
            }
            Self::MovedUnseen { epoch, to, saw: None } => {
                write!(f, "epoch {epoch} moved into {to}, and the record does not say how that was seen")
            }
            Self::PinOverruled { epoch, pin } => write!(f, "epoch {epoch} began although {pin}"),
            Self::LostWrite { id, region, at } => {
                write!(f, "the write of {id}, acknowledged by {region} at {at:?}, is gone")
            }
            Self::FalseVerdict { at, capability } => {
                write!(f, "{capability} was called unhealthy at {at:?}, before anything was wrong")
            }
            Self::BoundBelowTruth { epoch, told, truth } => {
                write!(f, "epoch {epoch} told {told:?} as the bound of what is lost, and it was {truth:?}")
            }
            Self::Misfit(misfit) => write!(f, "{misfit}"),
            Self::LossNotRuledOut { epoch, told } => {
                write!(f, "epoch {epoch} told {told:?} as the bound of what is lost of strong worksets")
            }
            Self::Collided { id, version } => {
                write!(f, "version {version} of {id} was written twice in a strong table")
            }
            Self::StaleRead(Seen { id, wrote, read, at }) => {
                write!(
                    f,
                    "{id} was read as version {read:?} at {at:?}, after version {wrote} was acknowledged"
                )
            }
            Self::Panicked { who } => write!(f, "{who}"),
        }
    }
}
