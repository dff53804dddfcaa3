//! How a region stands as a place for the active primary, and which standby is best.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{pins::Pins, saw::Loads};
use crate::{
    health::View,
    region::{Capability, Region, RegionName, Status},
    route::capacity::Utilization,
};

/// What a region must be able to do to be the active primary.
///
/// The primary takes the writes of worksets and answers for them, so its tables
/// and its API count. Its bucket does not: uploads are routed object by object
/// and go around a region whose S3 is down without moving the primary.
pub const PRIMARY_NEEDS: [Capability; 3] = [Capability::TableWrite, Capability::TableRead, Capability::Api];

/// Whether health says nothing just now about something that a primary needs.
pub(super) fn panics(view: &View) -> bool {
    PRIMARY_NEEDS.into_iter().any(|capability| view.panics(capability))
}

/// The verdicts on [`PRIMARY_NEEDS`] for one region, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Standing {
    /// Everything needed is healthy.
    Up,
    /// Everything needed works, something slowly.
    Degraded {
        /// The first one that is slow.
        capability: Capability,
    },
    /// Too little is known of something needed, and nothing needed is known to be down.
    Unknown {
        /// The first one that nobody can judge.
        capability: Capability,
    },
    /// An operator drained it.
    Offline,
    /// Something needed does not work.
    Down {
        /// The first one that is down.
        capability: Capability,
    },
}

impl Standing {
    /// How `region` stands in `view`: as the worst capability does that it needs and
    /// that can be watched in it.
    pub fn of(view: &View, region: &Region) -> Self {
        let watched = |capability: &Capability| region.capabilities().contains(capability);
        let needs = PRIMARY_NEEDS.into_iter().filter(watched);
        let each = needs.map(|capability| match view.status(region.name, capability) {
            Status::Healthy => Self::Up,
            Status::Degraded => Self::Degraded { capability },
            Status::Unknown => Self::Unknown { capability },
            Status::Offline => Self::Offline,
            Status::Unhealthy => Self::Down { capability },
        });
        // The first of equals is kept, so that every controller names the same one.
        each.reduce(|worst, next| if next.rank() > worst.rank() { next } else { worst }).unwrap_or(Self::Up)
    }

    /// Whether the active primary may live there.
    pub const fn is_up(self) -> bool {
        match self {
            Self::Up | Self::Degraded { .. } => true,
            Self::Unknown { .. } | Self::Offline | Self::Down { .. } => false,
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Degraded { .. } => 1,
            Self::Unknown { .. } => 2,
            Self::Offline => 3,
            Self::Down { .. } => 4,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => write!(f, "up"),
            Self::Degraded { capability } => write!(f, "up, with slow {capability}"),
            Self::Unknown { capability } => write!(f, "unknown for {capability}"),
            Self::Offline => write!(f, "drained"),
            Self::Down { capability } => write!(f, "down for {capability}"),
        }
    }
}

/// One region and how it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The region.
    pub region: RegionName,
    /// How it stood.
    pub standing: Standing,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.region, self.standing)
    }
}

/// How every region that holds data stands, in the order of `regions`.
pub fn sightings(regions: &[Region], view: &View) -> Vec<Sighting> {
    let full = regions.iter().filter(|r| r.is_full());
    full.map(|r| Sighting { region: r.name, standing: Standing::of(view, r) }).collect()
}

/// A region that the active one may be left for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standby {
    /// The region.
    pub region: RegionName,
    /// What it carries, if that leaves no room; `None`: it has room, or its load is not known.
    pub full: Option<Utilization>,
}

/// What `region` carries, if its load is known and leaves no room.
pub(super) fn full(region: &Region, loads: &Loads) -> Option<Utilization> {
    let load = *loads.get(&region.name)?;
    Some(Utilization { load, capacity: region.capacity }).filter(Utilization::is_full)
}

/// The regions that `active` may be left for, best first.
///
/// Only regions that hold data, are up for everything needed and that no pin
/// shuts. Those with room before those known to be full: work that a full region
/// cannot take brings down a second region after the first. A full one is still
/// better than one that is down, so it comes last and is not left out. Then
/// healthy before degraded, then by priority; ties break on name so that every
/// controller agrees.
pub fn standbys(
    regions: &[Region],
    view: &View,
    pins: Pins<'_>,
    loads: &Loads,
    active: RegionName,
) -> Vec<Standby> {
    let open = |r: &&Region| r.is_full() && r.name != active && pins.against(r.name).is_none();
    let mut ranked: Vec<_> = regions
        .iter()
        .filter(open)
        .map(|r| (Standing::of(view, r), r))
        .filter(|(standing, _)| standing.is_up())
        .map(|(standing, r)| {
            let full = full(r, loads);
            ((full.is_some(), standing.rank(), r.priority, r.name), full)
        })
        .collect();
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|((.., region), full)| Standby { region, full }).collect()
}
