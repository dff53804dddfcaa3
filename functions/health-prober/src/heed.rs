//! Which doubts of its peers an observer looks into at once.
//!
//! A doubt is heeded when it is new: when the peer's last row did not have it. And a
//! region is looked at once between two regular ticks, whoever doubts it, so that a sick
//! observer at most doubles the probes of the others and never moves their votes: those
//! follow what they see themselves.

use std::collections::{BTreeMap, BTreeSet};

use sealane::{
    health::Observation,
    region::{Capability, RegionName},
};

/// What one prober remembers of its peers' doubts.
#[derive(Debug, Default)]
pub(crate) struct Heed {
    /// What each peer missed in its row that was read last.
    missed: BTreeMap<RegionName, BTreeSet<(RegionName, Capability)>>,
    /// Regions that were looked at out of turn since their last regular tick.
    looked: BTreeSet<RegionName>,
}

impl Heed {
    /// A regular tick asks `region`: it may be looked at out of turn once more.
    pub(crate) fn turn(&mut self, region: RegionName) {
        self.looked.remove(&region);
    }

    /// What to ask at once after reading `rows`, those of fresh peers: what is newly
    /// missed by one of them and held up in `mine`. An observer in doubt of itself is not
    /// heeded, nor is one on its own region, where it has no vote.
    pub(crate) fn hear(
        &mut self,
        rows: &[&Observation],
        mine: &Observation,
    ) -> BTreeMap<RegionName, BTreeSet<Capability>> {
        let here = mine.observer();
        let sound = rows.iter().filter(|row| row.observer() != here && !row.is_suspect());
        let missed: BTreeMap<RegionName, BTreeSet<_>> = sound
            .map(|row| (row.observer(), row.missed().filter(|(r, _)| *r != row.observer()).collect()))
            .collect();
        let before = std::mem::replace(&mut self.missed, missed);
        let fresh = self.missed.iter().flat_map(|(peer, missed)| {
            let held = before.get(peer);
            missed.iter().filter(move |doubt| held.is_none_or(|held| !held.contains(doubt)))
        });
        let mut wanted: BTreeMap<RegionName, BTreeSet<Capability>> = BTreeMap::new();
        for (region, capability) in fresh {
            let worth =
                *region != here && !self.looked.contains(region) && mine.holds_up(*region, *capability);
            if worth {
                wanted.entry(*region).or_default().insert(*capability);
            }
        }
        self.looked.extend(wanted.keys());
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use sealane::{config::Config, health::Probe, time::Timestamp};
    use std::time::Duration;

    fn config() -> Config {
        let document = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: west}, \
                         {name: us-east-1, bucket: east}, {name: eu-west-1, bucket: europe}]}";
        Config::read(Some(document), std::iter::empty()).unwrap()
    }

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    /// A row of `observer` that holds everything up.
    fn well(observer: &str) -> Observation {
        let config = config();
        let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
        let good = Probe::Good(Duration::from_millis(20));
        let row = (0..4).fold(Observation::new(name(observer)), |row, t| {
            let now = Timestamp::from_millis(t);
            targets.clone().fold(row, |row, (r, c)| row.observe(r, c, good, &config.health, now))
        });
        row.seal(&config.regions)
    }

    const WEST_READS: (&str, Capability) = ("us-west-2", Capability::TableRead);

    fn doubting(observer: &str) -> Observation {
        well(observer).doubt(&[(name(WEST_READS.0), WEST_READS.1)])
    }

    #[test]
    fn a_new_doubt_is_heeded_once_and_about_what_is_doubted_alone() {
        let (mut heed, mine) = (Heed::default(), well("us-east-1"));
        assert!(heed.hear(&[&well("eu-west-1")], &mine).is_empty());
        let wanted = heed.hear(&[&doubting("eu-west-1")], &mine);
        assert_eq!(wanted, BTreeMap::from([(name(WEST_READS.0), BTreeSet::from([WEST_READS.1]))]));
        assert!(heed.hear(&[&doubting("eu-west-1")], &mine).is_empty(), "the same doubt");
    }

    #[test]
    fn a_region_is_looked_at_out_of_turn_once_a_turn() {
        let (mut heed, mine, peer) = (Heed::default(), well("us-east-1"), "eu-west-1");
        assert_eq!(heed.hear(&[&doubting(peer)], &mine).len(), 1);
        for _ in 0..5 {
            heed.hear(&[&well(peer)], &mine);
            assert!(heed.hear(&[&doubting(peer)], &mine).is_empty());
        }
        heed.turn(name("us-west-2"));
        assert!(heed.hear(&[&doubting(peer)], &mine).is_empty(), "the doubt is as old as before");
        heed.hear(&[&well(peer)], &mine);
        assert_eq!(heed.hear(&[&doubting(peer)], &mine).len(), 1);
    }

    #[test]
    fn nobody_is_heeded_on_its_own_region_nor_about_the_readers() {
        let (mut heed, here) = (Heed::default(), "us-east-1");
        let own = well("us-west-2").doubt(&[(name("us-west-2"), Capability::TableRead)]);
        let of_us = well("eu-west-1").doubt(&[(name(here), Capability::TableRead)]);
        assert!(heed.hear(&[&own, &of_us], &well(here)).is_empty());
    }

    #[test]
    fn who_doubts_itself_is_not_heeded() {
        let config = config();
        let all: Vec<_> = ["us-west-2", "us-east-1"]
            .iter()
            .flat_map(|r| config.region(name(r)).unwrap().capabilities().iter().map(|c| (name(r), *c)))
            .collect();
        let sick = well("eu-west-1").doubt(&all).seal(&config.regions);
        assert!(sick.is_suspect());
        assert!(Heed::default().hear(&[&sick], &well("us-east-1")).is_empty());
    }

    proptest! {
        /// However a peer's doubts come and go, looks out of turn are no more than regular ones.
        #[test]
        fn a_sick_observer_at_most_doubles_the_looks(rows in vec((any::<bool>(), any::<bool>()), 1..60)) {
            let (mut heed, mine, mut extra, mut turns) = (Heed::default(), well("us-east-1"), 0, 1);
            for (doubts, turn) in rows {
                if turn {
                    heed.turn(name("us-west-2"));
                    turns += 1;
                }
                let row = if doubts { doubting("eu-west-1") } else { well("eu-west-1") };
                extra += heed.hear(&[&row], &mine).len();
            }
            prop_assert!(extra <= turns, "{extra} > {turns}");
        }
    }
}
