//! Which regions an upload goes to, and how many of them make it a success.

use serde::{Deserialize, Serialize};

use crate::region::RegionName;

use super::Policy;

/// What an upload will do, settled before the first byte is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Copies wanted. At least 1.
    pub copies: usize,
    /// Verified copies that make a success. 1 to `copies`.
    pub min_copies: usize,
    /// Whether one verified copy at least is a (degraded) success as well.
    pub allow_degraded: bool,
    /// Regions sent to at once, best first; at most `copies`.
    pub lanes: Vec<RegionName>,
    /// Regions that step in for a failed lane, best first.
    pub spare: Vec<RegionName>,
    /// Wanted regions that the route left out, such as one that is down: owed from the start.
    pub owed: Vec<RegionName>,
}

/// The settings do not fit the regions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No copy was asked for.
    #[error("`copies` is 0 (want at least 1)")]
    NoCopies,
    /// More copies than regions.
    #[error("`copies` is {copies}, but only {regions} regions hold data (lower it or add a region)")]
    TooManyCopies {
        /// Copies asked for.
        copies: usize,
        /// Regions that could hold one.
        regions: usize,
    },
    /// A success that no upload could reach.
    #[error("`min_copies` is {min_copies} (want 1 to `copies`, which is {copies})")]
    MinCopies {
        /// Copies that make a success.
        min_copies: usize,
        /// Copies asked for.
        copies: usize,
    },
    /// Every region was filtered out.
    #[error("the route to ship to is empty: no region is usable now (see `sealane route --explain`)")]
    NoRoute,
}

/// More than half of `n`: 2 of 2, 2 of 3, 3 of 4.
pub const fn majority(n: usize) -> usize {
    n / 2 + 1
}

impl Plan {
    /// Lays an upload out over `route`, best region first.
    ///
    /// `eligible` are the regions that may hold the object, in the order of the
    /// configuration. A region that is eligible but not in the route is down or drained: it
    /// does not stop the upload; it is owed its copy.
    pub fn new(policy: &Policy, eligible: &[RegionName], route: &[RegionName]) -> Result<Self, PlanError> {
        let copies = policy.copies;
        let route = distinct(route.iter().filter(|region| eligible.contains(region)));
        let absent = distinct(eligible.iter().filter(|region| !route.contains(region)));
        let regions = route.len() + absent.len();
        let min_copies = policy.min_copies.unwrap_or(majority(copies));
        if copies == 0 {
            return Err(PlanError::NoCopies);
        }
        if copies > regions {
            return Err(PlanError::TooManyCopies { copies, regions });
        }
        if min_copies == 0 || min_copies > copies {
            return Err(PlanError::MinCopies { min_copies, copies });
        }
        if route.is_empty() {
            return Err(PlanError::NoRoute);
        }
        let (lanes, spare) = route.split_at(copies.min(route.len()));
        let owed = absent.into_iter().take(copies - lanes.len()).collect();
        let allow_degraded = policy.allow_degraded;
        Ok(Self { copies, min_copies, allow_degraded, lanes: lanes.to_vec(), spare: spare.to_vec(), owed })
    }

    /// Has the spare region `to` take over the lane of `from`, which becomes the last resort.
    pub(super) fn take_over(&mut self, from: RegionName, to: RegionName) {
        let lane = self.lanes.iter_mut().find(|lane| **lane == from);
        let spare = self.spare.iter().position(|spare| *spare == to);
        if let (Some(lane), Some(spare)) = (lane, spare) {
            *lane = to;
            self.spare.remove(spare);
            self.spare.push(from);
        }
    }

    /// The regions that shall hold a copy, home first: what the object's metadata says.
    pub fn wanted(&self) -> impl Iterator<Item = RegionName> {
        self.lanes.iter().chain(&self.owed).copied()
    }
}

/// The regions without repetition, in order.
fn distinct<'a>(regions: impl Iterator<Item = &'a RegionName>) -> Vec<RegionName> {
    regions.fold(Vec::new(), |mut seen, region| {
        if !seen.contains(region) {
            seen.push(*region);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn regions(picks: &[usize]) -> Vec<RegionName> {
        picks.iter().map(|i| region(*i)).collect()
    }

    proptest! {
        /// Whatever the route, each wanted copy has exactly one distinct, eligible region.
        #[test]
        fn every_wanted_copy_has_its_own_region(
            eligible in vec(0..8_usize, 0..8), route in vec(0..10_usize, 0..10), copies in 0..9_usize, min in prop::option::of(0..9_usize),
        ) {
            let policy = Policy { copies, min_copies: min, ..Policy::default() };
            let (eligible, route) = (regions(&eligible), regions(&route));
            let Ok(plan) = Plan::new(&policy, &eligible, &route) else { return Ok(()) };
            let wanted: BTreeSet<_> = plan.wanted().collect();
            prop_assert_eq!(wanted.len(), copies);
            prop_assert_eq!(plan.wanted().count(), copies);
            prop_assert!(wanted.iter().all(|r| eligible.contains(r)));
            prop_assert!(!plan.lanes.is_empty());
            prop_assert!(plan.lanes.iter().chain(&plan.spare).all(|r| route.contains(r)));
            prop_assert!(plan.spare.iter().all(|r| !wanted.contains(r)));
            prop_assert!(plan.owed.iter().all(|r| !route.contains(r)));
            prop_assert!((1..=copies).contains(&plan.min_copies));
        }

        /// Two halves never both reach the default: it is more than half.
        #[test]
        fn the_default_is_a_true_majority(copies in 1..9_usize) {
            let all: Vec<_> = (0..9).map(region).collect();
            let plan = Plan::new(&Policy { copies, ..Policy::default() }, &all, &all).unwrap();
            prop_assert!(plan.min_copies * 2 > copies);
            prop_assert!(plan.min_copies <= copies);
        }
    }

    #[test]
    fn a_majority_of_two_is_two() {
        assert_eq!((1..=5).map(majority).collect::<Vec<_>>(), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_region_that_is_down_is_owed_and_stops_nothing() {
        let all = regions(&[1, 2, 3]);
        let policy = Policy { copies: 3, ..Policy::default() };
        let plan = Plan::new(&policy, &all, &regions(&[3, 1])).unwrap();
        assert_eq!((plan.lanes, plan.owed), (regions(&[3, 1]), regions(&[2])));
    }

    #[test]
    fn settings_that_cannot_be_met_name_themselves() {
        let all = regions(&[1, 2]);
        let plan = |copies, min_copies, route: &[RegionName]| {
            Plan::new(&Policy { copies, min_copies, ..Policy::default() }, &all, route).unwrap_err()
        };
        assert_eq!(plan(0, None, &all), PlanError::NoCopies);
        assert_eq!(plan(3, None, &all), PlanError::TooManyCopies { copies: 3, regions: 2 });
        assert_eq!(plan(2, Some(3), &all), PlanError::MinCopies { min_copies: 3, copies: 2 });
        assert_eq!(plan(2, Some(0), &all), PlanError::MinCopies { min_copies: 0, copies: 2 });
        assert_eq!(plan(1, None, &[]), PlanError::NoRoute);
    }
}
