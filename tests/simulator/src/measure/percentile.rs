//! Percentiles by the nearest rank: always a value that was really seen.

use std::time::Duration;

use sealane::time::millis;
use serde::Serialize;

/// The distribution of some spans, in whole simulated milliseconds; `None` where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spread {
    /// Half of all values are at most this.
    pub p50: Option<u64>,
    /// 99 of 100 values are at most this.
    pub p99: Option<u64>,
    /// The largest value.
    pub max: Option<u64>,
    /// How many values there were.
    pub count: usize,
}

impl Spread {
    /// The distribution of `spans`.
    pub fn of(spans: impl IntoIterator<Item = Duration>) -> Self {
        let mut sorted: Vec<u64> = spans.into_iter().map(millis).collect();
        sorted.sort_unstable();
        Self {
            p50: nearest_rank(&sorted, 50),
            p99: nearest_rank(&sorted, 99),
            max: sorted.last().copied(),
            count: sorted.len(),
        }
    }
}

/// The smallest of `sorted` that at least `percent` of all values do not exceed;
/// `None` if there are no values. `percent` is 1 to 100.
pub fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    rank.checked_sub(1).and_then(|place| sorted.get(place)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// At least the named share lies at or below a percentile, and less than that share below it.
        #[test]
        fn a_percentile_splits_the_values_where_it_says(values in vec(0..1_000_u64, 1..200), percent in 1..=100_usize) {
            let mut sorted = values;
            sorted.sort_unstable();
            let value = nearest_rank(&sorted, percent).unwrap();
            let up_to = sorted.iter().filter(|v| **v <= value).count();
            let below = sorted.iter().filter(|v| **v < value).count();
            prop_assert!(sorted.contains(&value));
            prop_assert!(up_to * 100 >= sorted.len() * percent);
            prop_assert!(below * 100 < sorted.len() * percent);
        }

        /// The order in which values come does not matter, and percentiles never cross.
        #[test]
        fn a_spread_is_ordered(values in vec(0..100_000_u64, 0..100)) {
            let spans = values.iter().copied().map(Duration::from_millis);
            let spread = Spread::of(spans.clone());
            prop_assert_eq!(spread, Spread::of(spans.rev()));
            prop_assert!(spread.p50 <= spread.p99 && spread.p99 <= spread.max);
            prop_assert_eq!(spread.max, values.iter().copied().max());
        }
    }

    #[test]
    fn the_nearest_rank_of_a_hundred_is_the_number_itself() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(nearest_rank(&values, 50), Some(50));
        assert_eq!(nearest_rank(&values, 99), Some(99));
        assert_eq!(nearest_rank(&[], 50), None);
        assert_eq!(nearest_rank(&[7], 1), Some(7));
    }
}
