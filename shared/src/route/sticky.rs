//! Stickiness without a table: weighted rendezvous hashing.
//!
//! Every region draws a lot for a key, a hash of both, and the smallest lot wins
//! (D. Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit
//! Rates", 1998; weights as in J. Resch, "New Hashing Algorithms for Data
//! Storage", 2015). So a key has one region everywhere, at 0 bytes a session;
//! when a region is lost only its own keys move, and exactly those return.
//!
//! The answer must be the same in every sandbox, on every architecture and in
//! every release. So the hash is rapidhash V3, whose output its crate keeps
//! stable, with a seed that never changes, and the logarithm is computed here
//! from the exact operations of IEEE 754, since the one of the platform may
//! differ in its last bit.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::region::RegionName;

/// Changing it moves every session once.
const SECRETS: RapidSecrets = RapidSecrets::seed(0x5ea1_a4e0_0000_0001);

/// A hash of `bytes` that is the same on every machine and in every release.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    rapidhash_v3_seeded(bytes, &SECRETS)
}

/// A hash of a key and of something else that is a hash or a number, such as the
/// [`stable_hash`] of a region's name; independent between those.
pub(super) fn mixed(key: u64, other: u64) -> u64 {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&key.to_le_bytes());
    both[8..].copy_from_slice(&other.to_le_bytes());
    stable_hash(&both)
}

/// The lot that `region` draws for `key`: exponentially distributed with the
/// rate `weight`, so that the smallest lot falls to each region in proportion
/// to its weight. Infinite at weight 0, which never wins.
///
/// ```
/// use sealane::route::sticky::{lot, stable_hash};
///
/// let key = stable_hash(b"session-17");
/// let (oregon, dublin) = ("us-west-2".parse().unwrap(), "eu-west-1".parse().unwrap());
/// assert_eq!(lot(key, oregon, 50), lot(key, oregon, 50));
/// assert_ne!(lot(key, oregon, 50), lot(key, dublin, 50));
/// assert_eq!(lot(key, oregon, 0), f64::INFINITY);
/// ```
pub fn lot(key: u64, region: RegionName, weight: u32) -> f64 {
    lot_of(key, stable_hash(region.as_str().as_bytes()), weight)
}

/// The [`lot`] of a region by the hash of its name.
pub(super) fn lot_of(key: u64, name_hash: u64, weight: u32) -> f64 {
    drawn(mixed(key, name_hash), weight)
}

fn drawn(hash: u64, weight: u32) -> f64 {
    if weight == 0 { f64::INFINITY } else { -ln_unit(hash) / f64::from(weight) }
}

/// The first of the smallest finite lots, of regions given as place, hash of the name and weight.
///
/// Most logarithms are spared: `-ln u` is at least `1 - u`, so a region whose
/// bound is above the best lot so far cannot win.
pub(super) fn least_lot(key: u64, regions: impl Iterator<Item = (usize, u64, u32)>) -> Option<usize> {
    // Far above the rounding of a lot, and far below what would cost a logarithm more.
    const SLACK: f64 = 1.0 + 1e-9;
    let mut least = (f64::INFINITY, None);
    for (place, name_hash, weight) in regions {
        let hash = mixed(key, name_hash);
        if 1.0 - unit(hash) > least.0 * f64::from(weight) * SLACK {
            continue;
        }
        let lot = drawn(hash, weight);
        if lot < least.0 {
            least = (lot, Some(place));
        }
    }
    least.1
}

/// The top 52 bits and a half, over 2^52: above 0 and below 1.
#[expect(clippy::cast_precision_loss, reason = "52 bits and a half fit the 53 bits of the mantissa")]
fn unit(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// The natural logarithm of `(top 52 bits of hash + 1/2) / 2^52`, by
/// additions, multiplications and one division only, each exactly rounded.
///
/// With the argument as `m * 2^e` and `m` in `[0.75, 1.5)`, the series of the
/// inverse hyperbolic tangent gives `ln m = 2 (s + s^3/3 + s^5/5 + ...)`, where
/// `s = (m - 1) / (m + 1)` is at most 0.2; eleven terms leave less than 1e-16.
#[expect(clippy::cast_precision_loss, reason = "an exponent has 11 bits")]
fn ln_unit(hash: u64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = unit(hash).to_bits();
    let mut exponent = (bits >> 52) as f64 - 1023.0;
    let mut m = f64::from_bits((bits & MANTISSA) | 1.0_f64.to_bits());
    if m >= 1.5 {
        m /= 2.0;
        exponent += 1.0;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = (0..11_u32).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<RegionName> {
        (0..count).map(|i| format!("xx-region-{}", i + 1).parse().unwrap()).collect()
    }

    fn home(key: u64, regions: &[(RegionName, u32)]) -> Option<RegionName> {
        let best = regions.iter().min_by(|a, b| lot(key, a.0, a.1).total_cmp(&lot(key, b.0, b.1)));
        best.map(|(name, _)| *name)
    }

    proptest! {
        /// The portable logarithm is the logarithm, and a lot is never negative or zero.
        #[test]
        fn lots_are_logarithms(hash: u64) {
            let unit = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
            let ours = ln_unit(hash);
            prop_assert!((ours - unit.ln()).abs() <= 1e-14 * unit.ln().abs().max(1e-2), "{ours} {}", unit.ln());
            prop_assert!(ours < 0.0);
        }

        /// Sparing logarithms changes no winner, down to the last bit of a hash.
        #[test]
        fn the_spared_logarithms_change_nothing(key: u64, weights in proptest::collection::vec(0..100_u32, 0..40)) {
            let lots = |(i, weight): (usize, &u32)| (lot_of(key, i as u64, *weight), i);
            let all = weights.iter().enumerate().map(lots).filter(|(lot, _)| lot.is_finite());
            let plain = all.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, i)| i);
            let spared = least_lot(key, weights.iter().enumerate().map(|(i, weight)| (i, i as u64, *weight)));
            prop_assert_eq!(spared, plain);
        }

        /// Losing a region moves its own keys and no other; its return brings back exactly those.
        #[test]
        fn only_the_lost_regions_keys_move(
            keys in proptest::collection::vec(any::<u64>(), 1..100), weights in proptest::collection::vec(1..100_u32, 2..8), lost: proptest::sample::Index,
        ) {
            let all: Vec<_> = names(weights.len()).into_iter().zip(weights).collect();
            let lost = all[lost.index(all.len())].0;
            let left: Vec<_> = all.iter().copied().filter(|(name, _)| *name != lost).collect();
            for key in keys {
                let (before, during) = (home(key, &all), home(key, &left));
                prop_assert_eq!(before != during, before == Some(lost));
            }
        }
    }

    #[test]
    fn keys_fall_to_regions_by_weight() {
        let all: Vec<_> = names(3).into_iter().zip([50, 30, 20]).collect();
        let mut won = [0.0; 3];
        for key in 0..100_000_u64 {
            let winner = home(stable_hash(&key.to_le_bytes()), &all);
            won[all.iter().position(|(name, _)| Some(*name) == winner).unwrap()] += 1.0;
        }
        // Five standard deviations of a binomial of 100,000 draws are below 800.
        for (count, (_, weight)) in won.iter().zip(&all) {
            assert!((count - f64::from(*weight) * 1000.0).abs() < 800.0, "{won:?}");
        }
    }

    /// Printed once and kept: another value would move every session on an upgrade.
    #[test]
    fn hashes_never_change_between_releases() {
        assert_eq!(stable_hash(b"session-17"), 2_743_029_563_505_924_749);
        assert_eq!(lot(17, "us-west-2".parse().unwrap(), 50).to_bits(), 4_567_111_633_829_112_524);
    }
}
