//! What may not fit together.

use std::{fmt, time::Duration};

use sealane::{region::RegionName, workset::State};

/// A promise of the API that what was told breaks, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// Of two locks of one workset, the later has no higher token.
    TokensOutOfOrder {
        /// The workset.
        id: String,
        /// The token that was given out first.
        first: u64,
        /// The token that was given out then.
        then: u64,
        /// When that was heard.
        at: Duration,
    },
    /// A lock was given to one worker while another held it for certain.
    HeldTwice {
        /// The workset.
        id: String,
        /// Who held it.
        holder: usize,
        /// Who was given it.
        other: usize,
        /// When that was heard.
        at: Duration,
    },
    /// A write was let in though another held the lock for certain, or had been given a newer one.
    WroteWithoutItsLock {
        /// The workset.
        id: String,
        /// Who wrote.
        worker: usize,
        /// The call.
        write: String,
        /// Whose lock it was; the writer's own, where that had been given back.
        holder: usize,
        /// When the answer was heard.
        at: Duration,
    },
    /// A history has a move that its state machine does not have.
    IllegalMove {
        /// The workset.
        id: String,
        /// The version that it made.
        version: u64,
        /// The state that it led to.
        to: State,
    },
    /// An acknowledged write is in no history and among no reported conflicts.
    MissingWrite {
        /// The workset.
        id: String,
        /// The call.
        write: String,
        /// When it was sent.
        sent: Duration,
        /// When the answer was heard.
        at: Duration,
        /// The region that was asked for the history.
        replica: RegionName,
    },
    /// One call wrote a workset more than once.
    WrittenTwice {
        /// The workset.
        id: String,
        /// The call.
        write: String,
        /// The versions that it made.
        versions: Vec<u64>,
    },
    /// A call that was refused wrote all the same.
    RefusedAndWritten {
        /// The workset.
        id: String,
        /// The call.
        write: String,
        /// The version that it made.
        version: u64,
        /// When the refusal was heard.
        at: Duration,
    },
    /// An answer shows an older version than the one that its write made, or that of another token.
    AnswerDiffers {
        /// The workset.
        id: String,
        /// The call.
        write: String,
        /// The version, or the token, that the worker was told or had shown.
        told: Option<u64>,
        /// What the history has.
        kept: Option<u64>,
        /// When the answer was heard.
        at: Duration,
    },
    /// A write that was acknowledged before another was sent has no lower version.
    VersionsOutOfOrder {
        /// The workset.
        id: String,
        /// The version of the earlier call, and when its answer was heard.
        first: (u64, Duration),
        /// The version of the later call, and when it was sent.
        then: (u64, Duration),
    },
    /// The highest token that had written a workset became lower.
    FenceWentBack {
        /// The workset.
        id: String,
        /// The version at which it did.
        version: u64,
    },
    /// A read showed a version that nobody wrote, or in a state that it did not have.
    PhantomRead {
        /// The workset.
        id: String,
        /// The version that was shown.
        version: u64,
        /// The state that was shown.
        state: State,
        /// When that was heard.
        at: Duration,
    },
    /// The record of the active region went back, or told two things of one version or epoch.
    RecordsDisagree {
        /// Version, epoch and active region of one answer, and when it was heard.
        one: (u64, u64, RegionName, Duration),
        /// The same of another answer.
        other: (u64, u64, RegionName, Duration),
    },
    /// An account of a move tells of another region than the record did.
    AccountDiffers {
        /// The epoch that it is about.
        epoch: u64,
        /// Where the account says that work went.
        to: RegionName,
        /// Where the record said that it was.
        active: RegionName,
    },
    /// A write was taken by a region that was not active in the epoch of the write.
    WroteOutsideItsEpoch {
        /// The workset.
        id: String,
        /// The version that it made.
        version: u64,
        /// The region that took it.
        region: RegionName,
        /// Its epoch.
        epoch: u64,
    },
    /// A write was sent long after its epoch had ended, and let in.
    WroteAfterItsEpoch {
        /// The workset.
        id: String,
        /// The call.
        write: String,
        /// Its epoch.
        epoch: u64,
        /// When it was sent.
        sent: Duration,
        /// When a later epoch had been heard of.
        ended: Duration,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokensOutOfOrder { id, first, then, at } => {
                write!(f, "the lock of {id} had token {first} and then {then}, heard at {at:.3?}")
            }
            Self::HeldTwice { id, holder, other, at } => {
                write!(f, "worker {other} was given {id} at {at:.3?}, which worker {holder} held")
            }
            Self::WroteWithoutItsLock { id, worker, write, holder, at } if worker == holder => {
                write!(f, "worker {worker} wrote {id} by `{write}` at {at:.3?}, whose lock it no longer held")
            }
            Self::WroteWithoutItsLock { id, worker, write, holder, at } => {
                write!(
                    f,
                    "worker {worker} wrote {id} by `{write}` at {at:.3?}, whose lock was worker {holder}'s"
                )
            }
            Self::IllegalMove { id, version, to } => {
                write!(f, "version {version} of {id} became {to}, which does not follow")
            }
            Self::MissingWrite { id, write, sent, at, replica } => write!(
                f,
                "`{write}` of {id}, sent at {sent:.3?} and acknowledged at {at:.3?}, is not in {replica}"
            ),
            Self::WrittenTwice { id, write, versions } => {
                write!(f, "`{write}` wrote {id} more than once: versions {versions:?}")
            }
            Self::RefusedAndWritten { id, write, version, at } => {
                write!(f, "`{write}` of {id} was refused at {at:.3?} and wrote version {version}")
            }
            Self::AnswerDiffers { id, write, told, kept, at } => {
                write!(f, "`{write}` of {id} goes by {told:?} at {at:.3?}, and its history has {kept:?}")
            }
            Self::VersionsOutOfOrder { id, first, then } => write!(
                f,
                "version {} of {id} was acknowledged at {:.3?}, and version {} was sent only at {:.3?}",
                first.0, first.1, then.0, then.1
            ),
            Self::FenceWentBack { id, version } => {
                write!(f, "version {version} of {id} was written under an older token than the one before")
            }
            Self::PhantomRead { id, version, state, at } => {
                write!(f, "{id} was read as version {version} in {state} at {at:.3?}, which nobody wrote")
            }
            Self::RecordsDisagree { one, other } => write!(
                f,
                "the record was version {} epoch {} {} at {:.3?}, and version {} epoch {} {} at {:.3?}",
                one.0, one.1, one.2, one.3, other.0, other.1, other.2, other.3
            ),
            Self::AccountDiffers { epoch, to, active } => {
                write!(f, "the account of epoch {epoch} moved to {to}, and its record says {active}")
            }
            Self::WroteOutsideItsEpoch { id, version, region, epoch } => write!(
                f,
                "{region} took version {version} of {id} in epoch {epoch} without being active in it"
            ),
            Self::WroteAfterItsEpoch { id, write, epoch, sent, ended } => write!(
                f,
                "`{write}` of {id} was sent at {sent:.3?} and let in under epoch {epoch}, which had ended at {ended:.3?}"
            ),
        }
    }
}
