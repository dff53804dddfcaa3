//! How long to wait before the next try: spread by a seed, so that callers that
//! failed together do not come back together.

use std::time::Duration;

/// A number that differs for each `(seed, attempt)`: SplitMix64, by Steele, Lea and Flood (2014).
fn draw(seed: u64, attempt: u32) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(attempt) + 1));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A span from zero up to `limit`, which it never passes.
pub fn jitter(limit: Duration, seed: u64, attempt: u32) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(draw(seed, attempt) % nanos.saturating_add(1).max(1))
}

/// The wait after failure number `attempt` (from 1): half of a ceiling for
/// sure, the other half drawn.
///
/// The ceiling starts at `base`, doubles with each failure and stops at `cap`.
pub fn backoff(attempt: u32, base: Duration, cap: Duration, seed: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let ceiling = base.saturating_mul(1 << doublings).min(cap);
    let sure = ceiling / 2;
    sure + jitter(ceiling - sure, seed, attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(300);

    proptest! {
        /// Never over the cap, never under half of the doubled base, and the same for the same seed.
        #[test]
        fn waits_double_within_their_bounds(attempt: u32, seed: u64) {
            let wait = backoff(attempt, BASE, CAP, seed);
            let ceiling = BASE.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(CAP);
            prop_assert!(wait <= CAP);
            prop_assert!(wait <= ceiling || attempt == 0);
            prop_assert!(wait >= ceiling / 2 || attempt > 32);
            prop_assert_eq!(wait, backoff(attempt, BASE, CAP, seed));
        }

        /// No span makes the draw panic or pass its limit.
        #[test]
        fn jitter_stays_below_its_limit(secs: u64, seed: u64, attempt: u32) {
            let limit = Duration::from_secs(secs);
            prop_assert!(jitter(limit, seed, attempt) <= limit);
        }
    }

    #[test]
    fn callers_that_failed_together_come_back_apart() {
        let waits: std::collections::BTreeSet<_> =
            (0..1_000).map(|seed| backoff(5, BASE, CAP, seed)).collect();
        assert!(waits.len() > 990);
        let early = waits.iter().filter(|w| **w < Duration::from_secs(12)).count();
        assert!((400..600).contains(&early), "{early} of 1000 waits lie in the lower half of 8 to 16 s");
    }
}
