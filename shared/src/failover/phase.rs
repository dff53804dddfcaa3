//! How far a move has come, and how much of the traffic a returning region takes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::region::RegionName;

/// Share of the routed traffic that a returning region takes.
///
/// The share applies to uploads and reads *before* the active region changes,
/// so that caches, capacity and permissions of the returning region are proved
/// on part of the load while the write primary is still the one known to work.
/// The last step, 100%, is the move itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// 10%.
    Tenth,
    /// 25%.
    Quarter,
    /// 50%.
    Half,
}

impl Share {
    /// Percent of the routed traffic.
    pub const fn percent(self) -> u8 {
        match self {
            Self::Tenth => 10,
            Self::Quarter => 25,
            Self::Half => 50,
        }
    }

    /// The next larger share; `None` when the next step is all of it.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Tenth => Some(Self::Quarter),
            Self::Quarter => Some(Self::Half),
            Self::Half => None,
        }
    }
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// No move is under way.
    Steady,
    /// A recovered region takes a growing share of routed traffic; writes stay where they are.
    Returning {
        /// The recovered region.
        to: RegionName,
        /// What it takes so far.
        share: Share,
    },
    /// The active region takes no new exclusive work and finishes what it has.
    Draining {
        /// Where work will go.
        to: RegionName,
    },
    /// Nobody starts exclusive work; the next write makes `to` active, if it is still up.
    Switching {
        /// Where work will go.
        to: RegionName,
    },
    /// The new region is active and has yet to be seen working.
    Verifying {
        /// Where work was.
        from: RegionName,
    },
}

impl Phase {
    /// The name used in rows, metrics and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Returning { .. } => "returning",
            Self::Draining { .. } => "draining",
            Self::Switching { .. } => "switching",
            Self::Verifying { .. } => "verifying",
        }
    }

    /// Where a move goes that has not yet changed the active region.
    pub const fn target(self) -> Option<RegionName> {
        match self {
            Self::Returning { to, .. } | Self::Draining { to } | Self::Switching { to } => Some(to),
            Self::Steady | Self::Verifying { .. } => None,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returning { to, share } => write!(f, "returning to {to} at {}%", share.percent()),
            Self::Draining { to } => write!(f, "draining towards {to}"),
            Self::Switching { to } => write!(f, "switching to {to}"),
            Self::Verifying { from } => write!(f, "verifying after {from}"),
            Self::Steady => write!(f, "steady"),
        }
    }
}
