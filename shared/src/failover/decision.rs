//! What to do about the active primary, and why, in a form that prints itself.

use std::{fmt, time::Duration};

use super::{
    phase::Phase,
    pins::Pin,
    record::{Reason, StartedBy},
    saw::Saw,
    standing::{Sighting, Standing},
};
use crate::{region::RegionName, route::capacity::Utilization, time::Human};

/// Why work is where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stay {
    /// It is in the primary region, which is up.
    Home,
    /// It is up elsewhere, and the settings keep it there.
    FailbackOff,
    /// It is up elsewhere, and the primary region is not.
    PrimaryNotUp(Sighting),
    /// It is up elsewhere, and the primary region is not one that holds data.
    PrimaryNotFull(RegionName),
}

/// Why nothing is done although something could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// No configured region holds data.
    NoRegion,
    /// Too many regions look down at once for any verdict to be believed.
    Panic,
    /// A verdict that is needed is unknown.
    Unknown(Sighting),
    /// An operator's pin forbids it.
    Pinned(Pin),
    /// No standby is up and open.
    NowhereToGo(Vec<Sighting>),
    /// The last move is too young.
    Dwell {
        /// What remains of the dwell time.
        left: Duration,
    },
    /// The recovery, or the last move, is too young to go back.
    HoldDown {
        /// What remains of the hold-down.
        left: Duration,
        /// Moves within the hour, which lengthen it.
        moves: usize,
    },
    /// Replication into the returning region is behind, or nobody knows how far.
    Lagging {
        /// The lag; `None`: not known.
        lag: Option<Duration>,
        /// The most that is allowed.
        max: Duration,
    },
    /// The region that work would return to has no room for it.
    NoRoom {
        /// That region.
        region: RegionName,
        /// What it carries.
        full: Utilization,
    },
    /// A proposal waits for an operator.
    AwaitingApproval {
        /// Where it goes.
        to: RegionName,
    },
    /// An operator rejected the move.
    Rejected {
        /// Where it would go.
        to: RegionName,
        /// Who rejected it.
        by: String,
        /// Time until it may be proposed again.
        left: Duration,
    },
    /// The share of a returning region rises only so fast.
    Step {
        /// What remains of the step.
        left: Duration,
    },
    /// Work in flight is being finished.
    Draining {
        /// Leases in flight; `None`: not known.
        leases: Option<u64>,
        /// What remains of the drain.
        left: Duration,
    },
    /// The new region has not been looked at since it became active.
    Verifying,
}

/// Why a move needs an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The settings say so: manual mode, or automatic failover switched off.
    Manual,
    /// Automation has left regions as often in the last hour as it may.
    RateLimited {
        /// Its moves in that hour, those that brought work home left out.
        moves: usize,
    },
}

/// Why a proposal is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdraw {
    /// What it was made for is over.
    Moot,
    /// Work is there already.
    AlreadyThere,
    /// It was approved, and its region is not up.
    NotUp(Sighting),
    /// It was approved, and a pin forbids it.
    Pinned(Pin),
    /// It was approved, and could not be carried out in time: ask again.
    Expired,
    /// It has stood for as long as it may without being approved.
    Lapsed,
}

/// Why a move goes on to its next phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The step's time is over and the returning region carries its share.
    StepDone,
    /// No lease is in flight any more.
    Drained,
    /// The drain took as long as it may.
    DrainTimedOut,
    /// The region that was being drained went down: there is nothing to wait for.
    ActiveDown,
    /// The target is up and the reason still holds, looked at once more.
    Rechecked,
    /// The new region was seen working.
    Verified,
    /// The new region was not seen working in time; what follows is decided anew.
    VerifyTimedOut,
}

/// Why a move is given up before the active region changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abandon {
    /// Its target is not up.
    NotUp(Sighting),
    /// A pin forbids it.
    Pinned(Pin),
    /// What it was started for is over.
    Moot,
    /// The region that work was to leave as planned went down: decide anew.
    ActiveDown,
    /// It waited longer than a phase may last.
    Stuck(Hold),
}

/// What to do about the active primary, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write the first record.
    Initialize {
        /// Where work begins.
        active: RegionName,
    },
    /// All is as it should be.
    Stay {
        /// Where work is.
        active: RegionName,
        /// Why that is right.
        why: Stay,
    },
    /// Something should or could change, and must wait.
    Hold {
        /// Where work is; `None` before the first record.
        active: Option<RegionName>,
        /// Why it waits.
        why: Hold,
    },
    /// Note that the primary region is up again, so that its hold-down runs.
    NoteRecovery {
        /// The primary region.
        region: RegionName,
    },
    /// Note that the primary region is not up after all.
    NoteRelapse {
        /// How it stands.
        seen: Sighting,
    },
    /// Write a proposal for an operator.
    Propose {
        /// Where work is.
        from: RegionName,
        /// Where it should go.
        to: RegionName,
        /// Why.
        reason: Reason,
        /// Why an operator has to agree.
        because: Because,
        /// What the target carries, if that leaves no room.
        full: Option<Utilization>,
    },
    /// Take a proposal back.
    Withdraw {
        /// Where it would have gone.
        to: RegionName,
        /// Why.
        why: Withdraw,
    },
    /// Start a move.
    Start {
        /// Where work is.
        from: RegionName,
        /// Where it goes.
        to: RegionName,
        /// The first phase.
        into: Phase,
        /// Why.
        reason: Reason,
        /// Who started it.
        by: StartedBy,
        /// Replication lag from `from` into `to`; `None`: not known.
        lag: Option<Duration>,
        /// At most how old the oldest write of `from` is that `to` may lack; `None`: not known.
        loss_max: Option<Duration>,
        /// What was seen of every region.
        saw: Vec<Saw>,
        /// What the target carries, if that leaves no room.
        full: Option<Utilization>,
    },
    /// Go on to the next phase.
    Advance {
        /// The phase that is over.
        from: Phase,
        /// The next one.
        into: Phase,
        /// Why.
        why: Advance,
        /// Replication lag into the target, as looked at now; `None`: not known or of no matter.
        lag: Option<Duration>,
        /// At most how old the oldest write is that the target may lack, or at the end of a move that
        /// it may have lacked at the switch; `None`: likewise.
        loss_max: Option<Duration>,
    },
    /// Give a move up; the active region has not changed.
    Abandon {
        /// Where work stays.
        active: RegionName,
        /// Where it would have gone.
        to: RegionName,
        /// Why.
        why: Abandon,
    },
}

impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => write!(f, "it is the primary region and up"),
            Self::FailbackOff => write!(f, "it is up, and failback is off"),
            Self::PrimaryNotUp(seen) => write!(f, "it is up, and the primary region {seen}"),
            Self::PrimaryNotFull(region) => {
                write!(f, "it is up, and the primary region {region} holds no data")
            }
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegion => write!(f, "no configured region holds data"),
            Self::Panic => write!(f, "most regions look down at once, so no verdict is believed"),
            Self::Unknown(seen) => write!(f, "{seen}"),
            Self::Pinned(pin) => write!(f, "{pin}"),
            Self::NowhereToGo(seen) => {
                write!(f, "no standby is up and open:")?;
                seen.iter().try_for_each(|s| write!(f, " [{s}]"))
            }
            Self::Dwell { left } => write!(f, "the last move is too young, dwell ends in {}", Human(*left)),
            Self::HoldDown { left, moves } => {
                write!(f, "hold-down ends in {} ({moves} moves within the hour)", Human(*left))
            }
            Self::Lagging { lag: Some(lag), max } => {
                write!(f, "replication is {} behind, at most {} is allowed", Human(*lag), Human(*max))
            }
            Self::Lagging { lag: None, .. } => write!(f, "nobody knows how far replication is behind"),
            Self::NoRoom { region, full } => write!(f, "{region} has no room for more: {full}"),
            Self::Rejected { to, by, left } => {
                write!(f, "{by} rejected the move to {to}, which may be proposed again in {}", Human(*left))
            }
            Self::AwaitingApproval { to } => write!(f, "the move to {to} waits for an operator's approval"),
            Self::Step { left } => write!(f, "the next step of the return is due in {}", Human(*left)),
            Self::Draining { leases: Some(leases), left } => {
                write!(f, "{leases} leases are in flight, the drain ends in {}", Human(*left))
            }
            Self::Draining { leases: None, left } => write!(f, "the drain ends in {}", Human(*left)),
            Self::Verifying => write!(f, "it has just become active, the next look tells"),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => write!(f, "moves need an operator's approval"),
            Self::RateLimited { moves } => {
                write!(f, "{moves} moves away within the hour are as many as are allowed")
            }
        }
    }
}

impl fmt::Display for Withdraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moot => write!(f, "what it was made for is over"),
            Self::AlreadyThere => write!(f, "work is there already"),
            Self::NotUp(seen) => write!(f, "{seen}"),
            Self::Pinned(pin) => write!(f, "{pin}"),
            Self::Expired => write!(f, "it could not be carried out in time, ask again"),
            Self::Lapsed => write!(f, "it has stood for an hour without being approved"),
        }
    }
}

impl fmt::Display for Advance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StepDone => "the step is over and the returning region carries its share",
            Self::Drained => "no lease is in flight",
            Self::DrainTimedOut => "the drain took as long as it may",
            Self::ActiveDown => "the region being drained went down",
            Self::Rechecked => "the target is up and the reason still holds",
            Self::Verified => "the new region was seen working",
            Self::VerifyTimedOut => "the new region was not seen working in time",
        })
    }
}

impl fmt::Display for Abandon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUp(seen) => write!(f, "{seen}"),
            Self::Pinned(pin) => write!(f, "{pin}"),
            Self::Moot => write!(f, "what it was started for is over"),
            Self::ActiveDown => write!(f, "the region to be left as planned went down, so decide anew"),
            Self::Stuck(hold) => write!(f, "it waited too long: {hold}"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initialize { active } => write!(f, "begin in {active}: there is no record yet"),
            Self::Stay { active, why } => write!(f, "stay in {active}: {why}"),
            Self::Hold { active: Some(active), why } => write!(f, "hold in {active}: {why}"),
            Self::Hold { active: None, why } => write!(f, "hold: {why}"),
            Self::NoteRecovery { region } => write!(f, "note the recovery of {region}: it is up again"),
            Self::NoteRelapse { seen } => write!(f, "note the relapse of {}: {seen}", seen.region),
            Self::Propose { from, to, reason, because, full } => {
                write!(f, "propose to move from {from} to {to}: {reason}; {because}")?;
                crowded(f, *to, full.as_ref())
            }
            Self::Withdraw { to, why } => write!(f, "withdraw the move to {to}: {why}"),
            Self::Start { from, to, into, reason, by, full, .. } => {
                write!(f, "move from {from} to {to}, {into}: {reason} (started by {by})")?;
                crowded(f, *to, full.as_ref())
            }
            Self::Advance { from, into, why, .. } => write!(f, "go on from {from} to {into}: {why}"),
            Self::Abandon { active, to, why } => {
                write!(f, "stay in {active} and give up the move to {to}: {why}")
            }
        }
    }
}

/// Says that a move goes where there is no room.
fn crowded(f: &mut fmt::Formatter<'_>, to: RegionName, full: Option<&Utilization>) -> fmt::Result {
    full.map_or(Ok(()), |full| write!(f, "; {to} has no room for more: {full}"))
}

impl Hold {
    /// The hold for a verdict that is unknown.
    pub(super) const fn unknown(region: RegionName, standing: Standing) -> Self {
        Self::Unknown(Sighting { region, standing })
    }
}
