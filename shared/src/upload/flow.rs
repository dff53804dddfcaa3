//! How many parts go to one region at once.
//!
//! Rule: one more is tried, and kept only if more bytes arrived for it; a region that asks to slow
//! down has half as much in flight. What did not pay is tried again later, and later still if it
//! does not pay then: links change, but seldom.

use std::time::Duration;

use crate::units::ByteSize;

/// What one part more has to bring, so that noise is not taken for gain.
const GAIN_MIN: f64 = 1.03;
/// Rounds for which a number that proved best is kept, at first and at most.
const HOLD: (u32, u32) = (4, 64);

/// Parts in flight to one region. `now` is the time since any fixed moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    at_once: usize,
    max: usize,
    /// Parts and bytes of the round that is under way, and its beginning.
    parts: usize,
    bytes: u64,
    began: Duration,
    /// Bytes a second of the last round, if it tells something about the next.
    rate: Option<f64>,
    /// Whether this round tries one more than the last.
    trying: bool,
    /// Rounds left in which nothing is tried, and for how many the next hold lasts.
    hold: u32,
    next_hold: u32,
}

impl Flow {
    /// Begins with `start` parts at once and never goes above `max`; both are at least 1. With
    /// `max` at `start` or below, the number stays.
    pub fn new(start: usize, max: usize, now: Duration) -> Self {
        let at_once = start.max(1);
        let (max, rate) = (max.max(at_once), None);
        let hold = HOLD.0;
        Self { at_once, max, parts: 0, bytes: 0, began: now, rate, trying: false, hold: 0, next_hold: hold }
    }

    /// How many parts may be in flight.
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// This flow after one more part was taken.
    #[must_use]
    pub fn took(self, size: ByteSize, now: Duration) -> Self {
        let next = Self { parts: self.parts + 1, bytes: self.bytes.saturating_add(size.0), ..self };
        // Two parts for each place: in the first half of a round what was in flight before arrives.
        if next.parts >= next.at_once * 2 { next.judged(now) } else { next }
    }

    /// This flow after the region asked to slow down. Of those in flight together one counts.
    #[must_use]
    pub fn slowed(self, now: Duration) -> Self {
        if self.parts == 0 && self.rate.is_none() && self.hold > 0 {
            return self;
        }
        let at_once = (self.at_once / 2).max(1);
        Self { at_once, rate: None, trying: false, hold: HOLD.0, ..self }.fresh(now)
    }

    /// The next round, by what the last one brought.
    fn judged(self, now: Duration) -> Self {
        let seconds = now.saturating_sub(self.began).as_secs_f64().max(1e-9);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = self.bytes as f64 / seconds;
        let gained = self.rate.is_none_or(|before| rate >= before * GAIN_MIN);
        let next = Self { rate: Some(rate), ..self }.fresh(now);
        if self.trying && !gained {
            let at_once = (self.at_once - 1).max(1);
            let next_hold = (self.next_hold * 2).min(HOLD.1);
            return Self { at_once, trying: false, rate: self.rate, hold: self.next_hold, next_hold, ..next };
        }
        if self.hold > 0 {
            return Self { hold: self.hold - 1, trying: false, ..next };
        }
        if self.at_once < self.max {
            let next_hold = if self.trying { HOLD.0 } else { self.next_hold };
            return Self { at_once: self.at_once + 1, trying: true, next_hold, ..next };
        }
        Self { trying: false, ..next }
    }

    const fn fresh(self, now: Duration) -> Self {
        Self { parts: 0, bytes: 0, began: now, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const PART: ByteSize = ByteSize::mib(8);

    /// Ships `parts` over a link that gives each connection at most `each_s` and all of them `all_s`
    /// bytes a second, with this round trip for each part; the flow at the end and the time it took.
    #[expect(clippy::cast_precision_loss, reason = "a simulation")]
    fn shipped(mut flow: Flow, parts: usize, each_s: f64, all_s: f64, round_trip_s: f64) -> (Flow, f64) {
        let mut now = 0.0;
        for _ in 0..parts {
            let n = flow.at_once() as f64;
            let rate = each_s.min(all_s / n);
            // So many are in flight, one arrives each n-th part of a part's time.
            now += (round_trip_s + PART.0 as f64 / rate) / n;
            flow = flow.took(PART, Duration::from_secs_f64(now));
        }
        (flow, now)
    }

    proptest! {
        /// Whatever happens, at least one and no more than the most are in flight, and the number
        /// rises by one at a time.
        #[test]
        fn a_flow_keeps_its_bounds(start in 0..20_usize, max in 0..40_usize, all in vec((any::<bool>(), 0..3_000_u64), 0..400)) {
            let (mut flow, mut now) = (Flow::new(start, max, Duration::ZERO), Duration::ZERO);
            for (good, ms) in all {
                now += Duration::from_millis(ms);
                let before = flow.at_once();
                flow = if good { flow.took(PART, now) } else { flow.slowed(now) };
                prop_assert!(flow.at_once() >= 1 && flow.at_once() <= max.max(start).max(1));
                prop_assert!(flow.at_once() <= before + 1);
                prop_assert!(flow.at_once() >= before.saturating_sub(1) || !good);
                prop_assert!(max > start || !good || flow.at_once() <= start.max(1));
            }
        }

        /// A region that asks to slow down has half in flight, once for all that ask together.
        #[test]
        fn a_call_to_slow_down_halves_once(start in 2..40_usize, good in 1..60_usize) {
            let now = Duration::from_secs(9);
            let flow = (0..good).fold(Flow::new(start, 64, Duration::ZERO), |flow, _| flow.took(PART, now));
            let slowed = flow.slowed(now);
            prop_assert_eq!(slowed.at_once(), flow.at_once() / 2);
            prop_assert_eq!(slowed.slowed(now).at_once(), slowed.at_once());
        }

        /// Where each connection is slow and the link is not, the number rises until the link is
        /// nearly full or the most is reached.
        #[test]
        fn connections_are_added_while_they_pay(each_mib in 1..20_u32, all_mib in 20..400_u32) {
            let (each, all) = (f64::from(each_mib << 20), f64::from(all_mib << 20));
            let (flow, _) = shipped(Flow::new(4, 16, Duration::ZERO), 2_000, each, all, 0.1);
            let full = (all / each).min(16.0);
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let reached = flow.at_once() as f64;
            prop_assert!(reached >= (full * 0.6).min(16.0).floor(), "{reached} of {full}");
        }

        /// A number that is fixed by hand stays, whatever is measured.
        #[test]
        fn a_fixed_number_stays(n in 1..40_usize, each in 1..100_u32, all in 1..100_u32) {
            let (flow, _) = shipped(Flow::new(n, n, Duration::ZERO), 200, f64::from(each << 20), f64::from(all << 20), 0.05);
            prop_assert_eq!(flow.at_once(), n);
        }
    }

    #[test]
    fn on_a_link_that_is_full_nothing_is_added_for_long() {
        let (flow, _) = shipped(Flow::new(4, 16, Duration::ZERO), 1_000, 1e9, 1e7, 0.001);
        assert!((3..=5).contains(&flow.at_once()), "{flow:?}");
    }

    #[test]
    fn adaptation_ships_sooner_over_a_long_way_than_four_at_once() {
        let (each, all) = (8e6, 200e6);
        let (_, fixed) = shipped(Flow::new(4, 4, Duration::ZERO), 500, each, all, 0.1);
        let (_, adapted) = shipped(Flow::new(4, 16, Duration::ZERO), 500, each, all, 0.1);
        assert!(adapted < fixed * 0.5, "{adapted} s and {fixed} s");
    }
}
