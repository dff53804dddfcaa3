//! What is noted of each call.

use std::{fmt, time::Duration};

use sealane::{region::RegionName, workset::State};

/// What a worker asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To have a workset registered.
    Register,
    /// The next workset with its lock, or the lock of a named one, for this long.
    Lock(Duration),
    /// To hold the lock of this token for this much longer.
    Renew(u64, Duration),
    /// To be rid of the lock of this token.
    Release(u64),
    /// To move a workset, by the lock of this token or by none.
    Move(State, Option<u64>),
    /// To change or report on a workset that stays in its state, by the lock of this token or by none.
    Amend(Option<u64>),
}

impl Deed {
    /// The name by which calls of this kind are counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Lock(_) => "lock",
            Self::Renew(..) => "renew",
            Self::Release(_) => "release",
            Self::Move(..) => "move",
            Self::Amend(_) => "amend",
        }
    }

    /// Whether it writes a version of the workset.
    pub const fn is_write(self) -> bool {
        match self {
            Self::Register | Self::Move(..) | Self::Amend(_) => true,
            Self::Lock(_) | Self::Renew(..) | Self::Release(_) => false,
        }
    }

    /// The token that a write of the workset shows; the outer `None`: it is no such write.
    pub const fn guard(self) -> Option<Option<u64>> {
        match self {
            Self::Move(_, token) | Self::Amend(token) => Some(token),
            Self::Register | Self::Lock(_) | Self::Renew(..) | Self::Release(_) => None,
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Register | Self::Amend(None) => Ok(()),
            Self::Lock(lease) => write!(f, " for {lease:?}"),
            Self::Renew(token, lease) => write!(f, " {token} for {lease:?}"),
            Self::Release(token) | Self::Amend(Some(token)) => write!(f, " by {token}"),
            Self::Move(to, None) => write!(f, " to {to}"),
            Self::Move(to, Some(token)) => write!(f, " to {to} by {token}"),
        }
    }
}

/// What a worker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// That it is done; of a lock, with its token.
    Done(Option<u64>),
    /// That it is refused, and nothing was done.
    Refused,
    /// Nothing that settles it.
    Unknown,
}

impl Told {
    /// The name by which such answers are counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// One call, with all its repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who called.
    pub worker: usize,
    /// The workset; empty where a claim brought none.
    pub id: String,
    /// What was asked for.
    pub deed: Deed,
    /// What was told.
    pub told: Told,
    /// The version of the workset that the answer shows, if it shows one.
    pub version: Option<u64>,
    /// When it was first sent.
    pub sent: Duration,
    /// When the last answer was heard, or no longer waited for.
    pub heard: Duration,
    /// The name that the write of the call carries in the history.
    pub write: String,
}

impl Entry {
    /// Whether a write was acknowledged that the history must hold.
    pub fn is_written(&self) -> bool {
        self.deed.is_write() && matches!(self.told, Told::Done(_))
    }

    /// The token of the lock that it took.
    pub(crate) fn granted(&self) -> Option<u64> {
        match (self.deed, self.told) {
            (Deed::Lock(_), Told::Done(token)) => token,
            (
                Deed::Lock(_)
                | Deed::Register
                | Deed::Renew(..)
                | Deed::Release(_)
                | Deed::Move(..)
                | Deed::Amend(_),
                _,
            ) => None,
        }
    }
}

/// A workset as a read showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The workset.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// Its state.
    pub state: State,
    /// When the answer was heard.
    pub heard: Duration,
}

/// The record of the active region, as a region's API showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When it was asked for.
    pub sent: Duration,
    /// When the answer was heard.
    pub heard: Duration,
    /// The number of the record's write.
    pub version: u64,
    /// The number of the assignment.
    pub epoch: u64,
    /// The region that takes the writes.
    pub active: RegionName,
}
