//! The view: what is known of every region at this moment.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::region::{Capability, RegionName, Status};

/// One capability of one region, as the verdicts have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// How it stands.
    pub status: Status,
    /// Smoothed latency as seen from here; `None` when it was never measured.
    pub latency: Option<Duration>,
}

/// What is known of every region now.
///
/// A pair that is not in it is [`Status::Unknown`]: missing data is never health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// One map a capability, since a route asks for one capability of every region.
    seen: [BTreeMap<RegionName, Seen>; Capability::ALL.len()],
    /// More than half of all regions look down at once: ignore health, and say so.
    pub panic: bool,
}

impl View {
    /// Sets what is known of one capability.
    pub fn set(&mut self, region: RegionName, capability: Capability, seen: Seen) {
        self.seen[capability as usize].insert(region, seen);
    }

    /// What is known of one capability.
    pub fn seen(&self, region: RegionName, capability: Capability) -> Seen {
        let unknown = Seen { status: Status::Unknown, latency: None };
        self.seen[capability as usize].get(&region).copied().unwrap_or(unknown)
    }

    /// What is known of one capability, in the order of the regions' names.
    pub fn of(&self, capability: Capability) -> impl Iterator<Item = (RegionName, Seen)> + '_ {
        self.seen[capability as usize].iter().map(|(region, seen)| (*region, *seen))
    }

    /// How one capability stands.
    pub fn status(&self, region: RegionName, capability: Capability) -> Status {
        self.seen(region, capability).status
    }
}
