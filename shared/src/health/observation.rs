//! One observer's whole view: one row, one writer.
//!
//! Nobody but the observer writes its row, so the last writer has nothing to
//! overwrite; and the row is as large in bad times as in good ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Lag, Policy, Probe, Track};
use crate::{
    region::{Capability, Region, RegionName},
    time::Timestamp,
};

/// What one region sees of all others.
///
/// A tick folds in each probe with [`observe`](Self::observe), each region's
/// lag with [`measure`](Self::measure) and each peer's row with
/// [`hear`](Self::hear), and ends with [`seal`](Self::seal). While it still asks,
/// it may [`doubt`](Self::doubt), for its peers to look at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    observer: RegionName,
    seq: u64,
    suspect: bool,
    regions: BTreeMap<RegionName, Watched>,
    peers: BTreeMap<RegionName, u64>,
    /// The number of the first row that the invocation wrote which wrote this one; 0: not told.
    #[serde(default)]
    shift: u64,
}

/// What is held of one watched region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Watched {
    tracks: BTreeMap<Capability, Track>,
    lag: Lag,
    #[serde(default)]
    doubted: Doubted,
}

/// Capabilities in doubt, a bit each, so that the row does not grow in bad times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Doubted(u8);

impl Doubted {
    const fn bit(capability: Capability) -> u8 {
        match capability {
            Capability::ObjectRead => 1,
            Capability::ObjectWrite => 2,
            Capability::TableRead => 4,
            Capability::TableWrite => 8,
            Capability::Api => 16,
        }
    }

    const fn with(self, capability: Capability) -> Self {
        Self(self.0 | Self::bit(capability))
    }

    const fn has(self, capability: Capability) -> bool {
        self.0 & Self::bit(capability) != 0
    }
}

impl Observation {
    /// The view of an observer that has seen nothing.
    pub const fn new(observer: RegionName) -> Self {
        Self { observer, seq: 0, suspect: false, regions: BTreeMap::new(), peers: BTreeMap::new(), shift: 0 }
    }

    /// This view after one more probe of `region`. `now` is the observer's own clock.
    #[must_use]
    pub fn observe(
        mut self,
        region: &Region,
        capability: Capability,
        outcome: Probe,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let track = self.regions.entry(region.name).or_default().tracks.entry(capability).or_default();
        *track = track.observe(outcome, &region.health_check, policy, now);
        self
    }

    /// This view with the lag of what `region` writes, as measured by this moment.
    #[must_use]
    pub fn measure(mut self, region: RegionName, lag: Lag) -> Self {
        self.regions.entry(region).or_default().lag = lag;
        self
    }

    /// This view as a new sandbox takes it up. How late data arrives was measured by the marks of
    /// the old one, up to its last look: written again it would pass for measured now.
    #[must_use]
    pub fn taken_up(mut self) -> Self {
        self.regions.values_mut().for_each(|watched| watched.lag = Lag::default());
        self
    }

    /// This view in the middle of a look: exactly `doubted` failed or is late, and is
    /// being asked again. A doubt is no vote: it only has the peers ask for themselves.
    #[must_use]
    pub fn doubt(mut self, doubted: &[(RegionName, Capability)]) -> Self {
        self.regions.values_mut().for_each(|watched| watched.doubted = Doubted::default());
        for (region, capability) in doubted {
            if let Some(watched) = self.regions.get_mut(region) {
                watched.doubted = watched.doubted.with(*capability);
            }
        }
        self
    }

    /// This view after reading a peer's row with that sequence number.
    #[must_use]
    pub fn hear(mut self, peer: RegionName, seq: u64) -> Self {
        self.peers.insert(peer, seq);
        self
    }

    /// This view, written by an invocation whose first row had the number `first`.
    #[must_use]
    pub fn on_shift_since(mut self, first: u64) -> Self {
        self.shift = first;
        self
    }

    /// This view, ready to be written: the next number, the
    /// observer's doubt in itself, and nothing of regions that are not in `regions`.
    #[must_use]
    pub fn seal(mut self, regions: &[Region]) -> Self {
        let watched = |name: &RegionName| regions.iter().any(|r| r.name == *name && r.health_check.enabled);
        self.regions.retain(|name, _| watched(name));
        self.peers.retain(|name, _| regions.iter().any(|r| r.name == *name));
        let suspect = self.doubts_itself();
        Self { seq: self.seq.saturating_add(1), suspect, ..self }
    }

    /// Whether more than half of the other regions are out of reach at once, of at
    /// least two: the fault is then more likely here.
    ///
    /// The doubt lasts until the votes have risen again. With the probes alone it
    /// would end one tick after a cut of the observer's own network, while its
    /// votes, all wrong, still say down.
    fn doubts_itself(&self) -> bool {
        let others = self.regions.iter().filter(|&(name, w)| *name != self.observer && !w.tracks.is_empty());
        let (watched, lost) = others.fold((0, 0), |(watched, lost), (_, region)| {
            let gone = region.tracks.iter().all(|(c, t)| t.is_out_of_reach() || region.doubted.has(*c));
            (watched + 1, lost + usize::from(gone))
        });
        watched >= 2 && 2 * lost > watched
    }

    /// What the observer does not get an answer from: what it votes down, what failed
    /// last time, and what it doubts at this moment.
    pub fn missed(&self) -> impl Iterator<Item = (RegionName, Capability)> + '_ {
        self.regions.iter().flat_map(|(&name, watched)| {
            let missed = watched.tracks.iter().filter(|(c, t)| t.is_missed() || watched.doubted.has(**c));
            missed.map(move |(&capability, _)| (name, capability))
        })
    }

    /// Whether its vote on the capability says that it answers.
    pub fn holds_up(&self, region: RegionName, capability: Capability) -> bool {
        self.track(region, capability).is_some_and(Track::holds_up)
    }

    /// Whose view it is.
    pub const fn observer(&self) -> RegionName {
        self.observer
    }

    /// Views sealed so far: what readers judge freshness by.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Rows that the invocation which wrote this one has written, this one included.
    pub const fn shift_rows(&self) -> u64 {
        self.seq.saturating_sub(self.shift) + 1
    }

    /// Whether the observer doubts itself; its votes then count for nothing.
    pub const fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// What it holds of one capability; `None` if it never probed it.
    pub fn track(&self, region: RegionName, capability: Capability) -> Option<&Track> {
        self.regions.get(&region)?.tracks.get(&capability)
    }

    /// How far behind the observer's replica is on what `region` writes.
    pub fn lag(&self, region: RegionName) -> Option<Lag> {
        Some(self.regions.get(&region)?.lag)
    }

    /// The number of the peer's row that the observer read last.
    pub fn heard(&self, peer: RegionName) -> Option<u64> {
        self.peers.get(&peer).copied()
    }
}

#[cfg(test)]
#[path = "observation_tests.rs"]
mod tests;
