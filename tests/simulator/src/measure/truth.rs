//! What was really wrong, and when: the cloud's own knowledge, which no function has.

use std::time::Duration;

use sealane::region::{Capability, RegionName};

/// How much of a region was out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nothing in it could be reached.
    Region,
    /// These capabilities failed.
    Capabilities(&'static [Capability]),
}

impl Extent {
    /// The objects of a region.
    pub const OBJECTS: Self = Self::Capabilities(&[Capability::ObjectRead, Capability::ObjectWrite]);
    /// The tables of a region.
    pub const TABLES: Self = Self::Capabilities(&[Capability::TableRead, Capability::TableWrite]);

    /// The API of a region.
    pub const API: Self = Self::Capabilities(&[Capability::Api]);

    /// Whether `capability` was part of it.
    pub fn covers(self, capability: Capability) -> bool {
        match self {
            Self::Region => true,
            Self::Capabilities(some) => some.contains(&capability),
        }
    }
}

/// One region out of order for a while. Times are since the simulation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The region.
    pub region: RegionName,
    /// How much of it.
    pub extent: Extent,
    /// When it began.
    pub from: Duration,
    /// When it was over; `None`: it went on to the end.
    pub until: Option<Duration>,
}

impl Outage {
    /// For how long it had lasted at `at`; `None` if it had not begun or was over.
    pub fn lasted(&self, at: Duration) -> Option<Duration> {
        let over = self.until.is_some_and(|until| at >= until);
        (!over).then(|| at.checked_sub(self.from)).flatten()
    }

    /// Whether any of it lies in the span from `from` to `to`.
    pub fn overlaps(&self, from: Duration, to: Duration) -> bool {
        self.from <= to && self.until.is_none_or(|until| until >= from)
    }
}

/// Every outage of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truth {
    /// The outages, in the order in which they began.
    pub outages: Vec<Outage>,
}

impl Truth {
    /// For how long `region` had, at `at`, lacked something of `needs`; `None` if it had all.
    pub fn down_for(&self, region: RegionName, needs: &[Capability], at: Duration) -> Option<Duration> {
        let hit = |o: &&Outage| o.region == region && needs.iter().any(|c| o.extent.covers(*c));
        self.outages.iter().filter(hit).filter_map(|o| o.lasted(at)).max()
    }

    /// Whether `region` lacked something of `needs` at any time from `from` to `to`.
    pub fn was_down(&self, region: RegionName, needs: &[Capability], from: Duration, to: Duration) -> bool {
        let hit = |o: &&Outage| o.region == region && needs.iter().any(|c| o.extent.covers(*c));
        self.outages.iter().filter(hit).any(|o| o.overlaps(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_counts_only_while_it_lasts_and_for_what_it_covers() {
        let region = "us-west-2".parse().unwrap();
        let s = Duration::from_secs;
        let truth = Truth {
            outages: vec![Outage { region, extent: Extent::OBJECTS, from: s(10), until: Some(s(20)) }],
        };
        let down = |needs: &[Capability], at| truth.down_for(region, needs, s(at));
        assert_eq!(down(&[Capability::ObjectWrite], 15), Some(s(5)));
        assert_eq!(down(&[Capability::TableWrite], 15), None);
        assert_eq!(down(&[Capability::ObjectWrite], 9), None);
        assert_eq!(down(&[Capability::ObjectWrite], 20), None);
        assert!(truth.was_down(region, &[Capability::ObjectRead], s(19), s(40)));
        assert!(!truth.was_down(region, &[Capability::ObjectRead], s(21), s(40)));
    }
}
