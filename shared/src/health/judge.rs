//! What the rows together say.
//!
//! For each capability of each region: the majority of the fresh, unsuspecting
//! votes of the other regions. A region never votes on itself, missing data is
//! never health, and when most regions look down at once the view says panic,
//! since the watching is then more likely wrong than the world.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{Ballot, Lag, Observation, Policy, Seen, Verdict, View};
use crate::{
    region::{Capability, Region, RegionName, Status},
    time::Timestamp,
};

/// The verdicts on every region, and the lags between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdicts {
    verdicts: BTreeMap<(RegionName, Capability), Verdict>,
    lags: BTreeMap<(RegionName, RegionName), Lag>,
    panics: BTreeSet<Capability>,
    ages: BTreeMap<RegionName, Duration>,
    losses: BTreeMap<(RegionName, RegionName), Duration>,
    in_step: BTreeSet<RegionName>,
    reached: Option<Timestamp>,
}

/// Judges every capability of every region by all `rows`, each with whether it is
/// fresh to the reader.
///
/// The order of the rows does not matter; of two rows of one observer the later
/// counts. `previous` decides ties. [`Status::Unknown`] means that there is no
/// verdict: that things then stay as they are is the caller's rule.
pub fn judge(
    rows: &[(&Observation, bool)],
    regions: &[Region],
    policy: &Policy,
    previous: Option<&Verdicts>,
) -> Verdicts {
    let rows = latest(rows);
    let judged = regions.iter().flat_map(|r| r.capabilities().iter().map(move |&c| (r, c)));
    let verdicts: BTreeMap<_, _> = judged
        .map(|(region, capability)| {
            let ballot = |v: &Region| Ballot::of(v.name, region.name, capability, rows.get(&v.name).copied());
            let ballots = regions.iter().map(ballot).collect();
            let before = previous.map_or(Status::Unknown, |p| p.status(region.name, capability));
            let verdict = Verdict::reach(region, capability, ballots, policy, before);
            ((region.name, capability), verdict)
        })
        .collect();
    let panics = Capability::ALL.into_iter().filter(|c| is_panic(&verdicts, regions, *c)).collect();
    Verdicts {
        panics,
        lags: lags(&rows, regions),
        verdicts,
        ages: BTreeMap::new(),
        losses: BTreeMap::new(),
        in_step: BTreeSet::new(),
        reached: None,
    }
}

/// One row an observer: the one with the highest number, a fresh one if both have it.
fn latest<'a>(rows: &[(&'a Observation, bool)]) -> BTreeMap<RegionName, (&'a Observation, bool)> {
    let mut by_observer: BTreeMap<RegionName, (&Observation, bool)> = BTreeMap::new();
    for &(row, fresh) in rows {
        let held = by_observer.entry(row.observer()).or_insert((row, fresh));
        if (row.seq(), fresh) > (held.0.seq(), held.1) {
            *held = (row, fresh);
        }
    }
    by_observer
}

/// Whether over half of the full regions that could be used are unhealthy in this capability.
fn is_panic(
    verdicts: &BTreeMap<(RegionName, Capability), Verdict>,
    regions: &[Region],
    capability: Capability,
) -> bool {
    let usable = regions.iter().filter(|r| r.is_full() && !r.offline && r.health_check.enabled);
    let (all, lost) = usable.fold((0, 0), |(all, lost), region| {
        let verdict = verdicts.get(&(region.name, capability));
        (all + 1, lost + usize::from(verdict.is_some_and(|v| v.status == Status::Unhealthy)))
    });
    2 * lost > all
}

/// The lag of each region's writes in each other, as fresh and unsuspecting observers saw it.
fn lags(
    rows: &BTreeMap<RegionName, (&Observation, bool)>,
    regions: &[Region],
) -> BTreeMap<(RegionName, RegionName), Lag> {
    let trusted = rows.values().filter(|(row, fresh)| *fresh && !row.is_suspect());
    let pairs = trusted.flat_map(|(row, _)| regions.iter().map(move |from| (*row, from.name)));
    pairs
        .filter(|(row, from)| row.observer() != *from)
        .filter_map(|(row, from)| Some(((from, row.observer()), row.lag(from)?)))
        .collect()
}

impl Verdicts {
    /// The verdict on one capability; `None` if the region is not configured or has no such thing.
    pub fn verdict(&self, region: RegionName, capability: Capability) -> Option<&Verdict> {
        self.verdicts.get(&(region, capability))
    }

    /// How one capability stands; unknown if it was not judged.
    pub fn status(&self, region: RegionName, capability: Capability) -> Status {
        self.verdict(region, capability).map_or(Status::Unknown, |v| v.status)
    }

    /// Every verdict, by region and capability.
    pub fn iter(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.values()
    }

    /// How late what region `from` writes arrives in region `to`, by `to`'s own
    /// observer; `None` when that observer is silent, in doubt, or could not read
    /// both sides. Not known is not caught up. Zero between regions [in step](Self::in_step).
    pub fn lag(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        if self.are_in_step(from, to) {
            return Some(Duration::ZERO);
        }
        self.lags.get(&(from, to))?.behind()
    }

    /// At most how long ago, at `now` on the reader's clock, region `from` wrote the
    /// oldest of what `to` still lacks: what would be lost with `from`. `None` when
    /// `to`'s observer has never said, or nobody can tell how old its row is.
    pub fn loss_max(&self, from: RegionName, to: RegionName, now: Timestamp) -> Option<Duration> {
        if self.are_in_step(from, to) {
            return Some(Duration::ZERO);
        }
        let then = self.losses.get(&(from, to)).copied().or_else(|| self.loss_told(from, to))?;
        Some(then.saturating_add(now.since(self.reached?)))
    }

    /// What the rows say that may be lost, by the first region and the second that would lack it.
    pub fn losses(&self) -> impl Iterator<Item = ((RegionName, RegionName), Duration)> {
        self.lags.keys().filter_map(|(from, to)| Some(((*from, *to), self.loss_told(*from, *to)?)))
    }

    fn loss_told(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        let told = self.lags.get(&(from, to))?.loss_max()?;
        Some(told.saturating_add(*self.ages.get(&to)?))
    }

    /// These verdicts where all of `regions` share one strongly consistent truth: nothing that one of
    /// them acknowledged is late in another, or lost with it, and nobody has to measure that.
    #[must_use]
    pub fn in_step(self, regions: impl IntoIterator<Item = RegionName>) -> Self {
        Self { in_step: regions.into_iter().collect(), ..self }
    }

    /// Whether both regions share one strongly consistent truth.
    pub fn are_in_step(&self, one: RegionName, other: RegionName) -> bool {
        self.in_step.contains(&one) && self.in_step.contains(&other)
    }

    /// These verdicts with the bounds of what may be lost that the reader knows by all its looks.
    #[must_use]
    pub fn bound(self, losses: BTreeMap<(RegionName, RegionName), Duration>) -> Self {
        Self { losses, ..self }
    }

    /// These verdicts with the greatest age that each observer's row may have at `now`,
    /// a moment before the rows were read.
    #[must_use]
    pub fn aged(self, ages: BTreeMap<RegionName, Duration>, now: Timestamp) -> Self {
        Self { ages, reached: Some(now), ..self }
    }

    /// The capabilities in which over half of the full regions in use look down
    /// at once. Ignore health in these, and say so.
    pub const fn panics(&self) -> &BTreeSet<Capability> {
        &self.panics
    }

    /// What is known of every region, as seen from `here`.
    pub fn view(&self, here: RegionName) -> View {
        let mut view = View::default();
        view.panic = !self.panics.is_empty();
        Capability::ALL.into_iter().filter(|c| !self.panics.contains(c)).for_each(|c| view.calm(c));
        for verdict in self.iter() {
            let seen = Seen { status: verdict.status, latency: verdict.latency(here) };
            view.set(verdict.region, verdict.capability, seen);
        }
        view
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for capability in &self.panics {
            writeln!(
                f,
                "PANIC: over half of the regions look down for {capability} at once; its health is ignored"
            )?;
        }
        self.iter().try_for_each(|verdict| writeln!(f, "{verdict}"))
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
