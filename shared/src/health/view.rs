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
    seen: BTreeMap<(RegionName, Capability), Seen>,
    /// More than half of all regions look down at once: ignore health, and say so.
    pub panic: bool,
}

impl View {
    /// Sets what is known of one capability.
    pub fn set(&mut self, region: RegionName, capability: Capability, seen: Seen) {
        self.seen.insert((region, capability), seen);
    }

    /// What is known of one capability.
    pub fn seen(&self, region: RegionName, capability: Capability) -> Seen {
        let unknown = Seen { status: Status::Unknown, latency: None };
        self.seen.get(&(region, capability)).copied().unwrap_or(unknown)
    }

    /// How one capability stands.
    pub fn status(&self, region: RegionName, capability: Capability) -> Status {
        self.seen(region, capability).status
    }
}
