//! What a decision saw of each region, as the record of a move keeps it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::standing::{PRIMARY_NEEDS, Standing, full};
use crate::{
    health::{Verdicts, View},
    region::{Capability, Region, RegionName},
    route::capacity::Load,
};

/// What each region carries. A region that is not in it has a load that is not known.
pub type Loads = BTreeMap<RegionName, Load>;

/// The votes behind how each region stands.
pub type Polls = BTreeMap<RegionName, Votes>;

/// How observers voted on one capability of a region.
///
/// Counts and not names, so that the record stays small however many observers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// What they voted on: the capability that made the region stand as it does.
    pub on: Capability,
    /// Counted votes that it works.
    pub up: usize,
    /// Counted votes that it works slowly.
    pub slow: usize,
    /// Counted votes that it does not work.
    pub down: usize,
    /// Observers whose vote did not count: stale, in doubt of themselves, silent, or the region itself.
    pub uncounted: usize,
}

impl fmt::Display for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { on, up, slow, down, uncounted } = self;
        write!(f, "{on}: {up} up, {slow} slow, {down} down, {uncounted} not counted")
    }
}

/// One region as a decision saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saw {
    /// The region.
    pub region: RegionName,
    /// How it stood.
    pub standing: Standing,
    /// The votes behind that; `None`: not known to whoever decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<Votes>,
    /// What it carried; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Whether that left no room for more.
    #[serde(default)]
    pub full: bool,
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.region, self.standing)?;
        if let Some(votes) = &self.votes {
            write!(f, " ({votes})")?;
        }
        f.write_str(if self.full { ", full" } else { "" })
    }
}

/// The votes behind how each region that holds data stands.
///
/// Of a region that is up, these are the votes on the first capability that a primary needs.
pub fn polls(verdicts: &Verdicts, view: &View, regions: &[Region]) -> Polls {
    let full = regions.iter().filter(|r| r.is_full());
    full.filter_map(|region| {
        let on = match Standing::of(view, region) {
            Standing::Degraded { capability }
            | Standing::Unknown { capability }
            | Standing::Down { capability } => capability,
            Standing::Up | Standing::Offline => PRIMARY_NEEDS[0],
        };
        let verdict = verdicts.verdict(region.name, on)?;
        let tally = verdict.tally;
        let uncounted = verdict.ballots.len().saturating_sub(tally.votes());
        let votes = Votes { on, up: tally.up, slow: tally.slow, down: tally.down, uncounted };
        Some((region.name, votes))
    })
    .collect()
}

/// Every region that holds data as a decision sees it, in the order of `regions`.
pub(super) fn saw(regions: &[Region], view: &View, polls: &Polls, loads: &Loads) -> Vec<Saw> {
    let each = regions.iter().filter(|r| r.is_full()).map(|region| Saw {
        region: region.name,
        standing: Standing::of(view, region),
        votes: polls.get(&region.name).copied(),
        load: loads.get(&region.name).copied(),
        full: full(region, loads).is_some(),
    });
    each.collect()
}
