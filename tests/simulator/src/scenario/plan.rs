//! What a scenario does and what must come of it, as data that the seed settles.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use sealane::{
    failover::Rule,
    region::{Capability, RegionName},
};

use serde_json::Value;

use crate::{
    cloud::{Fault, Lag, Place},
    lambda::alarm::Change,
    measure::{Extent, Wanted},
};

/// Names a fault within a plan, so that it can be mended.
pub type Slot = u8;

/// One thing that a scenario does.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Everything of a region cannot be reached, and its functions stop.
    Lose(RegionName),
    /// The region is back.
    Restore(RegionName),
    /// Something goes wrong on the network.
    Break {
        /// Its name within the plan.
        slot: Slot,
        /// What goes wrong.
        faults: Vec<Fault>,
        /// What it amounts to for those who need the region; `None`: no outage.
        outage: Option<(RegionName, Extent)>,
    },
    /// What was broken under this name works again.
    Mend(Slot),
    /// Replication from the first region to the second takes this long from now on.
    Replicate(RegionName, RegionName, Lag),
    /// The clocks of a place are off by this many milliseconds from now on.
    Skew(Place, i64),
    /// An operator rules on a region.
    Rule(RegionName, Rule),
    /// An alarm's change of state reaches its observer's handler, by both ways.
    Alarm(Change),
    /// The operator's ruling on a region is taken back.
    Unrule(RegionName),
    /// An event reaches the handler of a region, whatever is in it.
    Event(RegionName, Value),
    /// The prober of a region is started once more.
    Probe(RegionName),
}

/// An act and its time, since the simulation began.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// When.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// What the figures of a run are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The region that something happens to.
    pub region: RegionName,
    /// What it then lacks: seen as soon as one of them is unhealthy by a verdict.
    pub lacks: Vec<Capability>,
    /// Those of them that call for what has to come: detected as soon as one of them is
    /// unhealthy by a verdict. What a primary needs, where it is the primary that must move.
    pub calls: Vec<Capability>,
    /// The traffic that must go elsewhere.
    pub leaves: BTreeSet<Wanted>,
}

/// What must come of a scenario. What is not named here may come or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Must {
    /// How often the active region changes.
    pub moves: RangeInclusive<usize>,
    /// Whether the verdicts have to show what happened to the watched region.
    pub detected: bool,
    /// Whether the traffic named in [`Watched::leaves`] has to go elsewhere.
    pub moved: bool,
    /// The traffic that has to stay: answers for [`Wanted::Primary`] name the region that they
    /// named, and each region that takes objects keeps half of its share of [`Wanted::ObjectWrite`].
    pub stays: BTreeSet<Wanted>,
    /// Whether the watched region has to be judged degraded and to lose half of its share of the objects.
    pub eased: bool,
    /// Where work has to be at the end.
    pub ends_in: Option<RegionName>,
    /// Whether the last move has to be preceded by the steps of 10, 25 and 50%.
    pub staged: bool,
}

impl Must {
    /// Nothing moves.
    pub fn stay() -> Self {
        Self {
            moves: 0..=0,
            detected: false,
            moved: false,
            stays: BTreeSet::new(),
            eased: false,
            ends_in: None,
            staged: false,
        }
    }

    /// The watched region is found out, and work leaves it once if it was there.
    pub fn leave(active: bool) -> Self {
        let moves = usize::from(active);
        Self { moves: moves..=moves, detected: true, moved: true, ..Self::stay() }
    }
}

/// Who uses the regions while things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// Clients that ask at a steady rate where to go, and clients that register worksets.
    Routers,
    /// Workers that share worksets and their locks.
    Workers,
}

/// A scenario as one seed has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is done, in the order of time.
    pub acts: Vec<Timed>,
    /// When the fault begins that figures count from.
    pub since: Duration,
    /// When the run ends.
    pub ends: Duration,
    /// What the figures are about; `None`: only moves are counted.
    pub watched: Option<Watched>,
    /// What must come of it.
    pub must: Must,
    /// Whether its times belong to the distribution of its scenario. Those of a second fault on top do not.
    pub timed: bool,
    /// How often a schedule's event comes twice, in percent, where it is not as usual.
    pub doubles: Option<f64>,
    /// Who uses what is struck.
    pub crowd: Crowd,
}
