//! Turns for a caller that lives on: smooth weighted round robin.
//!
//! Each turn every region earns its weight as credit, the richest goes, and pays
//! the sum of all weights (as nginx does since 1.3.1). Over a full cycle the
//! shares are exact, and a heavy region's turns lie between the others' instead
//! of in a burst. It lives in memory, so it is not for a Lambda sandbox: each
//! cold one would begin with the same region. There, use [`Turn::Key`].

use crate::{
    region::RegionName,
    route::{Request, Roster, Turn, roster::places, slate::Slate},
};

/// The credit that each region has gathered, and the turns given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SmoothWeighted {
    credit: Vec<(RegionName, i64)>,
    /// Requests that were given their turn.
    count: u64,
}

impl SmoothWeighted {
    /// The region whose turn it is, or `None` when no weight is above 0.
    ///
    /// A region that is not among `weights` loses its credit, so that on return
    /// it takes its share and no more. Ties break on name. Allocates only when
    /// a region is new.
    pub fn next(
        &mut self,
        weights: impl IntoIterator<Item = (RegionName, u32)> + Clone,
    ) -> Option<RegionName> {
        self.credit.retain(|(name, _)| weights.clone().into_iter().any(|(other, _)| other == *name));
        let mut total = 0_i64;
        for (name, weight) in weights.into_iter().filter(|(_, weight)| *weight > 0) {
            total += i64::from(weight);
            self.earn(name, i64::from(weight));
        }
        if total == 0 {
            return None;
        }
        let (name, credit) = self.credit.iter_mut().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)))?;
        *credit = credit.saturating_sub(total);
        Some(*name)
    }

    /// Gives `request` its turn: the next by weight among the regions of the best health that may serve it.
    ///
    /// With no such region the turn stays a bare counter, and [`route`](super::route) will say why.
    pub fn assign(&mut self, request: &mut Request, roster: &Roster) {
        let count = self.count;
        self.count = count.wrapping_add(1);
        // The count comes first, since it decides which shares let the request in.
        request.turn = Turn::Counter(count);
        let seats = places(Slate::new(roster, request).top()).map(|place| &roster.seats[place]);
        if let Some(region) = self.next(seats.map(|seat| (seat.name, seat.weight))) {
            request.turn = Turn::Region { region, count };
        }
    }

    fn earn(&mut self, name: RegionName, weight: i64) {
        match self.credit.iter_mut().find(|(other, _)| *other == name) {
            Some((_, credit)) => *credit = credit.saturating_add(weight),
            None => self.credit.push((name, weight)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weighted(weights: &[u32]) -> Vec<(RegionName, u32)> {
        let name = |i| format!("xx-region-{}", i + 1).parse().unwrap();
        weights.iter().enumerate().map(|(i, weight)| (name(i), *weight)).collect()
    }

    proptest! {
        /// Over one cycle each region gets exactly its weight, and after every
        /// turn on the way it is off its fair share by less than the number of regions.
        #[test]
        fn shares_are_exact_over_a_cycle_and_without_bursts(weights in proptest::collection::vec(0..20_u32, 1..6)) {
            let regions = weighted(&weights);
            let total: u32 = weights.iter().sum();
            let mut smooth = SmoothWeighted::default();
            let mut got = vec![0_u32; weights.len()];
            for turn in 1..=total {
                let name = smooth.next(regions.iter().copied()).unwrap();
                got[regions.iter().position(|(other, _)| *other == name).unwrap()] += 1;
                for (count, weight) in got.iter().zip(&weights) {
                    let fair = f64::from(*weight) * f64::from(turn) / f64::from(total);
                    prop_assert!((f64::from(*count) - fair).abs() < f64::from(u32::try_from(weights.len()).unwrap()));
                }
            }
            prop_assert_eq!(got, weights);
        }
    }

    #[test]
    fn a_heavy_region_does_not_run_in_bursts() {
        let regions = weighted(&[5, 1, 1]);
        let mut smooth = SmoothWeighted::default();
        let turns: Vec<_> = (0..7).map(|_| smooth.next(regions.iter().copied()).unwrap()).collect();
        let order: Vec<_> =
            turns.iter().map(|name| regions.iter().position(|(other, _)| other == name).unwrap()).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_region_that_returns_does_not_catch_up() {
        let regions = weighted(&[1, 1]);
        let mut smooth = SmoothWeighted::default();
        for _ in 0..10 {
            assert_eq!(smooth.next(regions[..1].iter().copied()), Some(regions[0].0));
        }
        let next: Vec<_> = (0..4).filter_map(|_| smooth.next(regions.iter().copied())).collect();
        assert_eq!(next.iter().filter(|name| **name == regions[1].0).count(), 2);
    }

    #[test]
    fn no_weight_gives_no_turn() {
        assert_eq!(SmoothWeighted::default().next(weighted(&[0, 0])), None);
    }
}
