//! The view: what is known of every region at this moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;

use crate::region::{Capability, RegionName, Status};

/// One capability of one region, as the verdicts have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// How it stands.
    pub status: Status,
    /// Smoothed latency as seen from here; `None` when it was never measured, or
    /// does not answer here now: what is down was perhaps fast once.
    pub latency: Option<Duration>,
}

/// What is known of every region now.
///
/// A pair that is not in it is [`Status::Unknown`]: missing data is never health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// One map a capability, since a route asks for one capability of every region.
    seen: [BTreeMap<RegionName, Seen>; Capability::ALL.len()],
    /// More than half of all regions look down at once, in some capability: ignore
    /// health in those that are not [`calm`](Self::calm), and say so.
    pub panic: bool,
    calm: BTreeSet<Capability>,
}

impl View {
    /// Sets what is known of one capability.
    pub fn set(&mut self, region: RegionName, capability: Capability, seen: Seen) {
        self.seen[capability as usize].insert(region, seen);
    }

    /// Exempts a capability from a panic: its health still counts.
    pub fn calm(&mut self, capability: Capability) {
        self.calm.insert(capability);
    }

    /// Whether the panic extends to this capability, so that its health is to be ignored.
    ///
    /// A fault in the object probes does not send API calls to a dead region.
    pub fn panics(&self, capability: Capability) -> bool {
        self.panic && !self.calm.contains(&capability)
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
