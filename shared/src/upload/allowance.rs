//! How fast bytes may go into a region.
//!
//! Rule: in any stretch of time no more is sent than its length times the rate, and a burst. Who asks
//! first is served first; a caller that has one question at a time open gets no more than its turn.

use std::time::Duration;

use crate::units::ByteSize;

/// What may be sent at once, as a stretch of the rate; a single block that is larger may go all the same.
const BURST: Duration = Duration::from_millis(100);

/// The bytes that may go into one region. `now` is the time since any fixed moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    bytes_s: u64,
    /// When everything that was granted so far is paid for.
    paid_at: Duration,
}

impl Allowance {
    /// So many megabits a second, at least one.
    pub const fn mbps(mbps: u32) -> Self {
        let mbps = if mbps == 0 { 1 } else { mbps };
        Self { bytes_s: mbps as u64 * 125_000, paid_at: Duration::ZERO }
    }

    /// How long `size` bytes take at this rate.
    pub fn time_for(&self, size: ByteSize) -> Duration {
        let nanos = u128::from(size.0) * 1_000_000_000 / u128::from(self.bytes_s);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Grants `size` bytes: this allowance after that, and how long they have to wait.
    #[must_use]
    pub fn grant(self, size: ByteSize, now: Duration) -> (Self, Duration) {
        let cost = self.time_for(size);
        let paid_at = self.paid_at.max(now).saturating_add(cost);
        let start = paid_at.saturating_sub(BURST.max(cost));
        (Self { paid_at, ..self }, start.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// In any window no more is sent than the rate times its length, and a burst: a tenth of a
        /// second, or the largest block.
        #[test]
        fn no_window_carries_more_than_rate_and_burst(
            mbps in 1..2_000_u32, asks in vec((0..400_u64, 1..20_000_000_u64), 1..40),
        ) {
            let (mut allowance, mut now) = (Allowance::mbps(mbps), Duration::ZERO);
            let mut sent: Vec<(Duration, u64)> = Vec::new();
            for (pause_ms, bytes) in asks {
                now += Duration::from_millis(pause_ms);
                let (next, wait) = allowance.grant(ByteSize(bytes), now);
                allowance = next;
                sent.push((now + wait, bytes));
            }
            sent.sort_unstable();
            let rate = f64::from(mbps) * 125_000.0;
            let largest = sent.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "a test's numbers are small")]
            for (i, (from, _)) in sent.iter().enumerate() {
                let mut bytes = 0.0;
                for (to, more) in &sent[i..] {
                    bytes += *more as f64;
                    let most = rate * (*to - *from).as_secs_f64() + (rate * 0.1).max(largest as f64);
                    prop_assert!(bytes <= most * 1.000_001 + 1.0, "{bytes} in {:?}", *to - *from);
                }
            }
        }

        /// Lanes that ask anew when they were served, one block at a time, get the same in the long run.
        #[test]
        fn lanes_that_take_turns_get_the_same(lanes in 2..6_usize, rounds in 5..30_usize) {
            let (mut allowance, block) = (Allowance::mbps(80), ByteSize(1_000_000));
            let mut served = vec![0_usize; lanes];
            let mut due: Vec<Duration> = (0..lanes).map(|_| Duration::ZERO).collect();
            for _ in 0..lanes * rounds {
                let (lane, now) = due.iter().copied().enumerate().min_by_key(|(i, at)| (*at, *i)).unwrap();
                let (next, wait) = allowance.grant(block, now);
                allowance = next;
                due[lane] = now + wait;
                served[lane] += 1;
            }
            let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
            prop_assert!(most - least <= 2, "{served:?}");
        }

        /// Nobody waits while less than the rate is asked for.
        #[test]
        fn who_asks_for_less_than_the_rate_never_waits(mbps in 1..1_000_u32, n in 1..50_u32) {
            let mut allowance = Allowance::mbps(mbps);
            let block = ByteSize(u64::from(mbps) * 1_250);
            for i in 0..n {
                let (next, wait) = allowance.grant(block, Duration::from_millis(11) * i);
                prop_assert_eq!(wait, Duration::ZERO);
                allowance = next;
            }
        }
    }

    #[test]
    fn eight_megabits_carry_a_megabyte_a_second() {
        let allowance = Allowance::mbps(8);
        assert_eq!(allowance.time_for(ByteSize(3_000_000)), Duration::from_secs(3));
        let (allowance, first) = allowance.grant(ByteSize(1_000_000), Duration::ZERO);
        let (_, second) = allowance.grant(ByteSize(1_000_000), Duration::ZERO);
        assert_eq!((first, second), (Duration::ZERO, Duration::from_secs(1)));
    }
}
