//! When an observer looks: ticks spread over the interval, so that somebody looks
//! a few seconds after anything, instead of everybody at once.
//!
//! Each observer keeps to slots of its own wall clock: with `n` of them, the one of
//! rank `k` by name starts `k/n` of an interval after each full interval. The clock
//! only paces. Nothing is compared with another machine: where clocks are skewed or
//! jump, the slots lie closer together, the gain is lost, and nothing else.

use std::time::Duration;

use crate::{
    region::{Region, RegionName},
    time::{Timestamp, millis},
};

/// Smallest part of an interval between two ticks: a slot that comes sooner is left
/// out, so that two probes in a row are two moments and not one.
const PARTS_BETWEEN_MIN: u64 = 4;

/// Time from `now` to the start of `here`'s next look at something that is probed each `interval`.
///
/// At least a quarter of the interval, and less than five quarters of it.
///
/// ```
/// use std::time::Duration;
/// use sealane::{config::Config, health::until_next_look, time::Timestamp};
///
/// let document = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: west}, \
///                  {name: us-east-1, bucket: east}, {name: us-east-2, role: witness}, \
///                  {name: eu-west-1, bucket: europe}]}";
/// let config = Config::read(Some(document), std::iter::empty()).unwrap();
/// let wait = |here: &str| {
///     let (here, ten) = (here.parse().unwrap(), Duration::from_secs(10));
///     until_next_look(Timestamp::from_millis(60_000), ten, here, &config.regions).as_millis()
/// };
/// assert_eq!(wait("us-east-1"), 2_500, "second of four by name");
/// assert_eq!(wait("us-west-2"), 7_500, "the last one");
/// ```
pub fn until_next_look(
    now: Timestamp,
    interval: Duration,
    here: RegionName,
    observers: &[Region],
) -> Duration {
    let interval_ms = millis(interval).max(1);
    let rank = observers.iter().filter(|r| r.name < here).count() as u64;
    let slot_ms = rank * interval_ms / (observers.len() as u64).max(1) % interval_ms;
    let into_ms = now.as_millis() % interval_ms;
    let wait_ms = (slot_ms + interval_ms - into_ms) % interval_ms;
    let soon = wait_ms < interval_ms / PARTS_BETWEEN_MIN || wait_ms == 0;
    Duration::from_millis(if soon { wait_ms + interval_ms } else { wait_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    const TEN: Duration = Duration::from_secs(10);

    fn regions() -> Vec<Region> {
        let document = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: west}, \
                         {name: us-east-1, bucket: east}, {name: us-east-2, role: witness}, \
                         {name: eu-west-1, bucket: europe}]}";
        Config::read(Some(document), std::iter::empty()).unwrap().regions
    }

    proptest! {
        /// Whatever the clock shows, the next look is neither at once nor much later than an interval.
        #[test]
        fn a_look_is_never_far_and_never_at_once(now: u64, interval_ms in 1_000..60_000_u64, who in 0..4_usize) {
            let (regions, interval) = (regions(), Duration::from_millis(interval_ms));
            let wait = until_next_look(Timestamp::from_millis(now), interval, regions[who].name, &regions);
            prop_assert!(wait >= interval / 4 - Duration::from_millis(1), "{wait:?}");
            prop_assert!(wait < interval + interval / 4, "{wait:?}");
        }

        /// From the first look on, an observer looks once an interval.
        #[test]
        fn looks_follow_each_other_by_one_interval(now in 0..u64::MAX / 2, who in 0..4_usize) {
            let regions = regions();
            let here = regions[who].name;
            let start = Timestamp::from_millis(now);
            let first = start.after(until_next_look(start, TEN, here, &regions));
            prop_assert_eq!(until_next_look(first, TEN, here, &regions), TEN);
        }

        /// With clocks that agree, somebody looks each interval/observers.
        #[test]
        fn somebody_looks_every_few_seconds(now in 0..u64::MAX / 2) {
            let regions = regions();
            let at = |r: &Region| (now + millis(until_next_look(Timestamp::from_millis(now), TEN, r.name, &regions))) % 10_000;
            let mut slots: Vec<u64> = regions.iter().map(at).collect();
            slots.sort_unstable();
            prop_assert_eq!(slots, [0, 2_500, 5_000, 7_500]);
        }

        /// An observer that is not listed, or the only one, still looks once an interval.
        #[test]
        fn a_stranger_keeps_the_pace(now in 0..u64::MAX / 2) {
            let stranger = "zz-west-1".parse().unwrap();
            let wait = until_next_look(Timestamp::from_millis(now), TEN, stranger, &regions());
            prop_assert!(wait < TEN + TEN / 4);
            prop_assert!(until_next_look(Timestamp::from_millis(now), TEN, stranger, &[]) < TEN + TEN / 4);
        }
    }
}
