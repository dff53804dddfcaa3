//! When a failed run is tried again.

use std::time::Duration;

/// Retries of one workset until it is archived and brought back.
pub const RETRIES_MAX: u32 = 3;

/// The longest wait before a retry.
pub const DELAY_MAX: Duration = Duration::from_secs(3600);

/// The wait before retry number `retry` (1 is the first): 2^`retry` s, at most
/// [`DELAY_MAX`], of which `seed` takes off up to half.
///
/// The jitter keeps worksets that failed together from coming back together.
///
/// ```
/// use std::time::Duration;
/// use sealane::workset::delay;
///
/// let third = delay(3, 42);
/// assert!(third > Duration::from_secs(4) && third <= Duration::from_secs(8));
/// ```
pub fn delay(retry: u32, seed: u64) -> Duration {
    let full = 1_u64.checked_shl(retry).map_or(DELAY_MAX, Duration::from_secs).min(DELAY_MAX);
    let full_ms = crate::time::millis(full);
    // Neighbouring seeds must not give neighbouring delays.
    let spread = rapidhash::v3::rapidhash_v3(&seed.to_le_bytes());
    Duration::from_millis(full_ms - spread % (full_ms / 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every delay lies between half and the whole of 2^n s, and never above the cap.
        #[test]
        fn delays_stay_within_bounds(retry: u32, seed: u64) {
            let full = if retry < 12 { Duration::from_secs(1 << retry) } else { DELAY_MAX };
            let waited = delay(retry, seed);
            prop_assert!(waited <= full.min(DELAY_MAX));
            prop_assert!(waited > full.min(DELAY_MAX) / 2);
        }

        /// Worksets that failed together come back apart.
        #[test]
        fn neighbouring_seeds_spread(seed in 0..u64::MAX - 64) {
            let delays: std::collections::BTreeSet<_> = (0..64).map(|i| delay(5, seed + i)).collect();
            prop_assert!(delays.len() > 32);
        }
    }
}
