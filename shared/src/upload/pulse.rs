//! How long a region may be silent before it is left.
//!
//! Rule: what a region needs for a part is measured, not guessed. One that answers nothing for twice
//! as long as nearly all of its parts took, and a round trip more, has fallen silent. Time in
//! which this process did not run says nothing about the region.

use std::{collections::VecDeque, time::Duration};

use crate::units::ByteSize;

/// Parts that are remembered: so many that one in a hundred can be told.
const REMEMBERED: usize = 100;
/// Parts without which nothing can be said.
const SAMPLES_MIN: usize = 4;
/// Looks within one limit.
const LOOKS: u32 = 8;
/// The shortest and the longest time between two looks.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));

/// What parts took in one region, and how long it has been silent.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// Size and time of the last parts.
    parts: VecDeque<(u64, Duration)>,
    round_trip: Duration,
    /// Silence so far, in which this process ran.
    silent: Duration,
    /// Answers at the last look.
    answers: u64,
}

impl Pulse {
    /// The region took a part of `size` in this time.
    pub fn took(&mut self, size: ByteSize, time: Duration) {
        if self.parts.len() == REMEMBERED {
            self.parts.pop_front();
        }
        self.parts.push_back((size.0.max(1), time));
    }

    /// A call that moves no bytes was answered after this time.
    pub fn answered(&mut self, time: Duration) {
        self.round_trip = time;
    }

    /// The time in which 99 of 100 parts of `size` were taken; `None` while too few are known.
    pub fn p99(&self, size: ByteSize) -> Option<Duration> {
        if self.parts.len() < SAMPLES_MIN {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio of part sizes")]
        let scaled = |(bytes, time): &(u64, Duration)| time.mul_f64((size.0 as f64 / *bytes as f64).max(1.0));
        let mut times: Vec<Duration> = self.parts.iter().map(scaled).collect();
        times.sort_unstable();
        times.get((times.len() * 99).div_ceil(100) - 1).copied()
    }

    /// The longest silence of a region that takes parts of `size`; `None` while it cannot be told.
    pub fn silence_max(&self, size: ByteSize) -> Option<Duration> {
        self.p99(size).map(|p99| p99 * 2 + self.round_trip)
    }

    /// When to look next.
    pub fn look_in(&self, size: ByteSize) -> Duration {
        let (least, most) = LOOK_EVERY;
        self.silence_max(size).map_or(most, |limit| (limit / LOOKS).clamp(least, most))
    }

    /// Whether the region is silent, `elapsed` after the last look: it has had `answers` answers
    /// by now, and owes some if it is `asked`.
    ///
    /// A look that comes late counts no longer than two that come in time.
    pub fn is_silent(&mut self, asked: bool, answers: u64, elapsed: Duration, size: ByteSize) -> bool {
        if !asked || answers != self.answers {
            self.answers = answers;
            self.silent = Duration::ZERO;
            return false;
        }
        self.silent += elapsed.min(self.look_in(size) * 2);
        self.silence_max(size).is_some_and(|limit| self.silent >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const PART: ByteSize = ByteSize::mib(8);

    fn pulse(times_ms: &[u64], round_trip_ms: u64) -> Pulse {
        let mut pulse = Pulse::default();
        pulse.answered(Duration::from_millis(round_trip_ms));
        times_ms.iter().for_each(|ms| pulse.took(PART, Duration::from_millis(*ms)));
        pulse
    }

    /// How long a region is silent before it is found to be, in looks that come in time.
    fn found_after(mut pulse: Pulse) -> Duration {
        let mut silent = Duration::ZERO;
        loop {
            let look = pulse.look_in(PART);
            silent += look;
            if pulse.is_silent(true, 0, look, PART) {
                return silent;
            }
        }
    }

    proptest! {
        /// A silent region is found within twice the time of the slowest part and a round trip, but
        /// for one look; and never before twice the time that half of its parts took.
        #[test]
        fn silence_is_found_by_measured_times(times in vec(1..5_000_u64, 4..150), round_trip in 0..300_u64) {
            let pulse = pulse(&times, round_trip);
            let last = &times[times.len().saturating_sub(REMEMBERED)..];
            let mut sorted = last.to_vec();
            sorted.sort_unstable();
            let bound = Duration::from_millis(2 * sorted[sorted.len() - 1] + round_trip);
            let look = pulse.look_in(PART);
            let found = found_after(pulse);
            prop_assert!(found <= bound + look, "{found:?} {bound:?}");
            prop_assert!(found >= Duration::from_millis(2 * sorted[sorted.len() / 2]));
        }

        /// A region that answers between any two looks is never silent.
        #[test]
        fn who_answers_is_not_silent(times in vec(1..500_u64, 0..50), looks in vec(0..60_000_u64, 0..50)) {
            let mut pulse = pulse(&times, 10);
            for (i, ms) in looks.into_iter().enumerate() {
                prop_assert!(!pulse.is_silent(true, i as u64 + 1, Duration::from_millis(ms), PART));
            }
        }
    }

    #[test]
    fn a_process_that_stood_still_blames_nobody() {
        let mut pulse = pulse(&[100; 10], 20);
        assert!(!pulse.is_silent(true, 0, Duration::from_secs(3_600), PART));
    }

    #[test]
    fn a_larger_part_is_given_as_much_more_time() {
        let pulse = pulse(&[100; 10], 20);
        assert_eq!(pulse.silence_max(PART), Some(Duration::from_millis(220)));
        assert_eq!(pulse.silence_max(ByteSize::mib(16)), Some(Duration::from_millis(420)));
    }

    #[test]
    fn nothing_is_said_from_three_parts() {
        let mut pulse = pulse(&[1; 3], 1);
        assert_eq!(pulse.silence_max(PART), None);
        assert!((0..1_000).all(|_| !pulse.is_silent(true, 0, Duration::from_secs(1), PART)));
    }

    #[test]
    fn who_owes_no_answer_is_not_silent() {
        let mut pulse = pulse(&[1; 10], 1);
        assert!((0..1_000).all(|_| !pulse.is_silent(false, 0, Duration::from_secs(1), PART)));
    }
}
