//! The slate: how each region passed the filters for one request.

use crate::route::{
    Request,
    roster::{Mask, Roster, places},
};

/// The rule that took a region away for good, in the order in which they apply.
/// Residency comes before all that ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Witness,
    Residency,
    Tried,
    Offline,
    Unhealthy,
    NoWeight,
    AtCapacity,
}

impl Rule {
    const ALL: [Self; 7] = [
        Self::Witness,
        Self::Residency,
        Self::Tried,
        Self::Offline,
        Self::Unhealthy,
        Self::NoWeight,
        Self::AtCapacity,
    ];
}

/// What is used first, in this order. See [`Tier::class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Healthy,
    Degraded,
    /// Up, for others: this process had no answer from it lately.
    Ejected,
    /// Healthy, for others: this request is outside the share.
    HealthyOutside,
    DegradedOutside,
    EjectedOutside,
    Unknown,
    EjectedUnknown,
}

impl Tier {
    const ALL: [Self; 8] = [
        Self::Healthy,
        Self::Degraded,
        Self::Ejected,
        Self::HealthyOutside,
        Self::DegradedOutside,
        Self::EjectedOutside,
        Self::Unknown,
        Self::EjectedUnknown,
    ];

    /// Regions of a class are used only when no better class has any.
    pub(super) const fn class(self) -> u8 {
        match self {
            Self::Healthy | Self::Degraded | Self::Ejected => 0,
            Self::HealthyOutside | Self::DegradedOutside | Self::EjectedOutside => 1,
            Self::Unknown | Self::EjectedUnknown => 2,
        }
    }
}

/// Every region of a roster, judged for one request. It lies on the stack.
#[derive(Debug)]
pub(super) struct Slate {
    /// By [`Rule`].
    barred: [Mask; Rule::ALL.len()],
    /// By [`Tier`]; only regions that no rule bars.
    tiers: [Mask; Tier::ALL.len()],
    held: Mask,
}

impl Slate {
    pub(super) fn new(roster: &Roster, request: &Request) -> Self {
        let (health, all) = (roster.health(request.needs), roster.all());
        let held = roster.only(request.held);
        let tried = request.tried.iter().fold(0, |tried, name| tried | roster.only(Some(*name)));
        let resident = request.residency.iter().fold(all, |who, tag| who & roster.tagged(tag));
        let barred = [
            !roster.full,
            !resident,
            tried,
            health.offline,
            if health.panic { 0 } else { health.unhealthy },
            if roster.is_weighted() { roster.weightless & !held } else { 0 },
            // Most requests come with no load at all.
            if request.loads.is_empty() { 0 } else { roster.at_capacity(request) & !held },
        ];
        let allowed = all & !barred.iter().fold(0, |any, who| any | who);
        let (healthy, degraded) = if health.panic { (all, 0) } else { (health.healthy, health.degraded) };
        let (up, ejected) = (healthy | degraded, health.ejected);
        let outside = roster.outside(request) & !held;
        let near = |who: Mask| who & allowed & !outside;
        let far = |who: Mask| who & allowed & outside;
        let tiers = [
            near(healthy & !ejected),
            near(degraded & !ejected),
            near(up & ejected),
            far(healthy & !ejected),
            far(degraded & !ejected),
            far(up & ejected),
            allowed & !up & !ejected,
            allowed & !up & ejected,
        ];
        Self { barred, tiers, held }
    }

    /// The place of the region that holds the work, when no rule bars it.
    pub(super) fn held(&self) -> Option<usize> {
        let allowed = self.tiers.iter().fold(0, |any, who| any | who);
        places(self.held & allowed).next()
    }

    /// The regions of the best tier there is.
    pub(super) fn top(&self) -> Mask {
        self.tiers.iter().copied().find(|who| *who != 0).unwrap_or(0)
    }

    /// The best tier there is, or `None` when no region passed.
    pub(super) fn best(&self) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| self.tiers[*tier as usize] != 0)
    }

    /// The rule that barred a region, or else its tier.
    pub(super) fn verdict(&self, place: usize) -> Result<Tier, Rule> {
        let has = |who: Mask| who >> place & 1 == 1;
        if let Some(rule) = Rule::ALL.into_iter().find(|rule| has(self.barred[*rule as usize])) {
            return Err(rule);
        }
        Ok(Tier::ALL.into_iter().find(|tier| has(self.tiers[*tier as usize])).unwrap_or(Tier::EjectedUnknown))
    }

    /// Whether the region is used, and in which tier.
    pub(super) fn tier(&self, place: usize) -> Option<Tier> {
        let class = self.best()?.class();
        self.verdict(place).ok().filter(|tier| self.is_held(place) || tier.class() == class)
    }

    pub(super) const fn is_held(&self, place: usize) -> bool {
        self.held >> place & 1 == 1
    }
}
