//! The record: which region is active, how far a move has come, and what happened lately.
//!
//! There is one, in a strongly consistent table, and every write of it is
//! conditional on the version that was read. It is small and bounded, since
//! every controller reads it on every tick.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{phase::Phase, proposal::Proposal, saw::Saw, watch::Moment};
use crate::{
    region::{Capability, RegionName},
    time::Timestamp,
};

/// Past moves that the record keeps; the append-only list of all moves is elsewhere.
pub const MOVES_KEPT: usize = 16;

/// The span in which moves are counted.
pub const MOVES_WINDOW: Duration = Duration::from_secs(3600);

/// Longest name or reason that an operator may leave, in characters; the rest is cut.
pub const TEXT_LEN_MAX: usize = 200;

/// Ages in whole milliseconds.
pub(crate) mod age_ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(age: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(crate::time::millis(*age))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Why work is, or is to be, where the record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Reason {
    /// The first record: work begins where it belongs.
    Began,
    /// The region that was active is down.
    Down {
        /// That region.
        region: RegionName,
        /// What it could no longer do.
        capability: Capability,
    },
    /// An operator drained the region that was active.
    Drained {
        /// That region.
        region: RegionName,
        /// The operator's ruling.
        note: String,
    },
    /// Work returns to the primary region.
    Failback {
        /// The primary region.
        region: RegionName,
    },
    /// An operator asked for it.
    Asked {
        /// The operator's words.
        note: String,
    },
}

impl Reason {
    /// Whether automation thought of it, so that the hourly limit stands against it.
    pub const fn is_automatic(&self) -> bool {
        match self {
            Self::Down { .. } | Self::Failback { .. } => true,
            Self::Began | Self::Drained { .. } | Self::Asked { .. } => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began => write!(f, "work began here"),
            Self::Down { region, capability } => write!(f, "{region} is down for {capability}"),
            Self::Drained { region, note } => write!(f, "{region} is drained: {note}"),
            Self::Failback { region } => write!(f, "{region} is the primary region and has recovered"),
            Self::Asked { note } => write!(f, "an operator asked: {note}"),
        }
    }
}

/// Who started a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum StartedBy {
    /// The decision alone.
    Automation,
    /// An operator, who asked for it or approved it.
    Operator {
        /// The operator's name.
        name: String,
    },
}

impl fmt::Display for StartedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automation => write!(f, "automation"),
            Self::Operator { name } => write!(f, "{name}"),
        }
    }
}

/// A region that came back while work was elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The region.
    pub region: RegionName,
    /// How long it had been up, unbroken, at the last write.
    #[serde(rename = "age_ms", with = "age_ms")]
    pub age: Duration,
}

/// A phase that a move went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// When it began, on the clock of the controller that began it. For people only.
    pub at: Timestamp,
    /// How long it took, as seen by the controller that ended it.
    #[serde(rename = "took_ms", with = "age_ms")]
    pub took: Duration,
}

/// What is known of the move under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// Where work was when it started.
    pub from: RegionName,
    /// Where it goes.
    pub to: RegionName,
    /// Why.
    pub reason: Reason,
    /// Who started it.
    pub by: StartedBy,
    /// Replication lag from `from` into `to` when it was last decided on; `None`: not known.
    pub lag_ms: Option<u64>,
    /// At most how old the oldest write of `from` was then that `to` may have lacked; `None`: not known.
    #[serde(default)]
    pub loss_max_ms: Option<u64>,
    /// What was seen of every region when it started.
    pub saw: Vec<Saw>,
    /// The phases that are over.
    pub steps: Vec<Step>,
}

/// A change of the active region, as the record remembers it for damping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMove {
    /// The epoch that it began.
    pub epoch: u64,
    /// When, on the clock of the controller that wrote it. For people only.
    pub at: Timestamp,
    /// How long ago it was at the last write of the record.
    #[serde(rename = "age_ms", with = "age_ms")]
    pub age: Duration,
    /// Where work was.
    pub from: RegionName,
    /// Where it went.
    pub to: RegionName,
    /// Whether automation moved it.
    pub automatic: bool,
    /// Whether it brought work home, so that the hourly limit leaves it out.
    #[serde(default)]
    pub failback: bool,
}

/// Which region is active, how far a move has come, and what happened lately.
///
/// `version` rises by one with every write and is what writes are conditional
/// on. `epoch` rises by one only when the active region changes and is what
/// work is fenced by: a writer that planned in an earlier epoch is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the write that made this record. Starts at 1.
    pub version: u64,
    /// Number of the assignment. Starts at 1.
    pub epoch: u64,
    /// The region that takes the writes.
    pub active: RegionName,
    /// How far a move has come.
    pub phase: Phase,
    /// When the phase began, on the clock of the controller that began it. For people only.
    pub since: Timestamp,
    /// How long the phase had lasted at the last write.
    #[serde(rename = "phase_age_ms", with = "age_ms")]
    pub phase_age: Duration,
    /// Why the active region is the active one.
    pub reason: Reason,
    /// The move under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underway: Option<Underway>,
    /// A move that waits for an operator, or that one has asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// The primary region's recovery, while work is elsewhere; `None`: it is not known to be up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// Past moves, oldest first, at most [`MOVES_KEPT`].
    #[serde(default)]
    pub moves: Vec<PastMove>,
}

impl Record {
    /// The first record: `active` from the first epoch on.
    pub fn first(active: RegionName, now: Timestamp) -> Self {
        Self {
            version: 1,
            epoch: 1,
            active,
            phase: Phase::Steady,
            since: now,
            phase_age: Duration::ZERO,
            reason: Reason::Began,
            underway: None,
            proposal: None,
            recovery: None,
            moves: Vec::new(),
        }
    }

    /// The region that takes part of the routed traffic beside the active one, and its percentage.
    pub fn shift(&self) -> Option<(RegionName, u8)> {
        match self.phase {
            Phase::Returning { to, share } => Some((to, share.percent())),
            Phase::Draining { to } | Phase::Switching { to } => {
                let last = |step: &Step| match step.phase {
                    Phase::Returning { share, .. } => Some((to, share.percent())),
                    Phase::Steady
                    | Phase::Draining { .. }
                    | Phase::Switching { .. }
                    | Phase::Verifying { .. } => None,
                };
                self.underway.as_ref()?.steps.iter().rev().find_map(last)
            }
            Phase::Steady | Phase::Verifying { .. } => None,
        }
    }

    /// How long the phase has lasted, at least.
    pub fn in_phase(&self, moment: Moment) -> Duration {
        self.phase_age.saturating_add(moment.watched(self.version))
    }

    /// How long ago the active region last changed, at least; `None` if it never did.
    pub fn since_move(&self, moment: Moment) -> Option<Duration> {
        self.moves.last().map(|m| m.age.saturating_add(moment.watched(self.version)))
    }

    /// How long `region` has been up again, at least; `None`: it is not known to be.
    pub fn recovered_for(&self, region: RegionName, moment: Moment) -> Option<Duration> {
        let recovery = self.recovery.filter(|r| r.region == region)?;
        Some(recovery.age.saturating_add(moment.watched(self.version)))
    }

    /// The moves that may still be younger than [`MOVES_WINDOW`].
    pub fn recent_moves(&self, moment: Moment) -> impl Iterator<Item = &PastMove> {
        let watched = moment.watched(self.version);
        self.moves.iter().filter(move |m| m.age.saturating_add(watched) < MOVES_WINDOW)
    }

    /// The same state as the next version, with every age brought up to `moment`.
    pub(super) fn rewritten(&self, moment: Moment) -> Self {
        let watched = moment.watched(self.version);
        let mut next = self.clone();
        next.version += 1;
        next.phase_age = self.in_phase(moment);
        let moves = next.moves.iter_mut().map(|m| &mut m.age);
        let proposal = next.proposal.as_mut().map(|p| &mut p.age);
        let recovery = next.recovery.as_mut().map(|r| &mut r.age);
        for age in moves.chain(proposal).chain(recovery) {
            *age = age.saturating_add(watched);
        }
        next
    }
}

/// `text` cut to [`TEXT_LEN_MAX`] characters.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(TEXT_LEN_MAX).collect()
}
