//! Where the worksets table has replicas, and how those agree.

use std::iter;

use serde::{Deserialize, Serialize};

use super::Config;
use crate::{
    region::{Region, RegionName},
    route::geo::distance_km,
};

/// How the replicas of the worksets table agree. It is settled when the table is made, and the table
/// has to be made as it is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Every full region has a replica (MREC). Writes go to the active region's and arrive in the
    /// others later; a failover may lose the last of them.
    #[default]
    Eventual,
    /// The control regions have the replicas (MRSC), which hold one truth: whichever is asked, an
    /// acknowledged write is there, and no failover loses one.
    Strong,
}

impl Consistency {
    /// The names of both, as they are written.
    pub(super) const NAMES: [&str; 2] = ["eventual", "strong"];
}

impl Config {
    /// The regions whose replica of the worksets table can be asked.
    pub fn workset_regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|region| self.has_worksets(region))
    }

    fn has_worksets(&self, region: &Region) -> bool {
        match self.worksets_consistency {
            Consistency::Eventual => region.is_full(),
            Consistency::Strong => self.control_regions.contains(&region.name),
        }
    }

    /// The same regions as a caller in `here` asks them: its own first, then by the distance over the
    /// ground, those of unknown places last.
    pub fn worksets_from(&self, here: RegionName) -> Vec<&Region> {
        let from = self.region(here).and_then(|region| region.coordinates);
        let km = |region: &Region| {
            let known = from.zip(region.coordinates);
            known.map_or(f64::INFINITY, |(from, to)| distance_km(from, to))
        };
        let (mut regions, others): (Vec<_>, Vec<_>) =
            self.workset_regions().partition(|region| region.name == here);
        let mut others: Vec<_> = others.into_iter().map(|region| (km(region), region)).collect();
        others.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        regions.extend(others.into_iter().map(|(_, region)| region));
        regions
    }

    /// The regions through whose replicas a caller in `here` reaches the worksets as `region` has
    /// them: of one truth any replica tells it, the nearest first; else only the region's own does.
    pub fn worksets_of(&self, region: RegionName, here: RegionName) -> Vec<&Region> {
        match self.worksets_consistency {
            Consistency::Eventual => iter::once(region).filter_map(|name| self.region(name)).collect(),
            Consistency::Strong => self.worksets_from(here),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(regions: Vec<&Region>) -> Vec<&str> {
        regions.into_iter().map(|region| region.name.as_str()).collect()
    }

    fn config(consistency: &str) -> Config {
        let document = format!(
            "{{primary_region: us-west-2, worksets: {{consistency: {consistency}}}, regions: [
               {{name: us-west-2, bucket: west}}, {{name: us-east-1, bucket: east}},
               {{name: eu-west-1, bucket: europe}}, {{name: us-east-2, role: witness}}]}}"
        );
        Config::read(Some(&document), iter::empty()).unwrap()
    }

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    #[test]
    fn eventual_replicas_lie_in_every_full_region_and_strong_ones_in_the_control_regions() {
        let all = |config: &Config| names(config.workset_regions().collect()).join(" ");
        assert_eq!(all(&config("eventual")), "us-west-2 us-east-1 eu-west-1");
        assert_eq!(all(&config("strong")), "us-west-2 us-east-1");
    }

    #[test]
    fn a_region_asks_its_own_replica_first_and_then_the_nearest() {
        let strong = config("strong");
        assert_eq!(names(strong.worksets_from(name("us-east-1"))), ["us-east-1", "us-west-2"]);
        assert_eq!(names(strong.worksets_from(name("eu-west-1"))), ["us-east-1", "us-west-2"]);
        assert_eq!(names(strong.worksets_from(name("us-west-2"))), ["us-west-2", "us-east-1"]);
        let order = ["us-west-2", "us-east-1", "eu-west-1"];
        assert_eq!(names(config("eventual").worksets_from(name("us-west-2"))), order);
    }

    #[test]
    fn who_is_in_no_known_place_asks_in_the_order_of_the_document() {
        let strong = config("strong");
        assert_eq!(names(strong.worksets_from(name("xx-lab-1"))), ["us-west-2", "us-east-1"]);
    }

    #[test]
    fn what_one_region_has_only_its_own_replica_tells_unless_all_hold_one_truth() {
        let (europe, west) = (name("eu-west-1"), name("us-west-2"));
        assert_eq!(names(config("eventual").worksets_of(europe, west)), ["eu-west-1"]);
        assert_eq!(names(config("strong").worksets_of(europe, west)), ["us-west-2", "us-east-1"]);
    }
}
