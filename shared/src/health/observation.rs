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
/// [`hear`](Self::hear), and ends with [`seal`](Self::seal).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    observer: RegionName,
    seq: u64,
    suspect: bool,
    regions: BTreeMap<RegionName, Watched>,
    peers: BTreeMap<RegionName, u64>,
}

/// What is held of one watched region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Watched {
    tracks: BTreeMap<Capability, Track>,
    lag: Lag,
}

impl Observation {
    /// The view of an observer that has seen nothing.
    pub const fn new(observer: RegionName) -> Self {
        Self { observer, seq: 0, suspect: false, regions: BTreeMap::new(), peers: BTreeMap::new() }
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

    /// This view after reading a peer's row with that sequence number.
    #[must_use]
    pub fn hear(mut self, peer: RegionName, seq: u64) -> Self {
        self.peers.insert(peer, seq);
        self
    }

    /// This view at the end of a tick, ready to be written: the next number, the
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
            let gone = region.tracks.values().all(Track::is_out_of_reach);
            (watched + 1, lost + usize::from(gone))
        });
        watched >= 2 && 2 * lost > watched
    }

    /// What to ask again at once, instead of at the next tick.
    pub fn unconfirmed(&self) -> impl Iterator<Item = (RegionName, Capability)> + '_ {
        self.regions.iter().flat_map(|(&name, watched)| {
            let doubtful = watched.tracks.iter().filter(|(_, t)| t.needs_confirmation());
            doubtful.map(move |(&capability, _)| (name, capability))
        })
    }

    /// Whose view it is.
    pub const fn observer(&self) -> RegionName {
        self.observer
    }

    /// Ticks sealed so far: what readers judge freshness by.
    pub const fn seq(&self) -> u64 {
        self.seq
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
