//! The seeded source of every choice.
//!
//! Streams are independent: what one part draws shifts no draw of another, so a change of
//! the simulator in one place leaves the rest of a seed's story as it was.

use std::time::Duration;

/// A stream of choices that its seed settles.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    stream: fastrand::Rng,
}

impl Dice {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, stream: fastrand::Rng::with_seed(seed) }
    }

    /// The stream `label` of the same seed, which does not depend on what was drawn here.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::new(rapidhash::v3::rapidhash_v3(label.as_bytes()) ^ self.seed.rotate_left(17))
    }

    /// Whether something of this probability, in percent, happens.
    pub fn chance(&mut self, percent: f64) -> bool {
        self.stream.f64() * 100.0 < percent
    }

    /// A time between the two, both included, in whole microseconds.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least + Duration::from_micros(self.stream.u64(0..=span))
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.stream.u64(0..n) }
    }

    /// A time of which half are below `median` and one in a hundred is above `p99`, spread as
    /// waits in networks are: log-normal, cut off at ten times `p99`.
    pub fn wait(&mut self, median: Duration, p99: Duration) -> Duration {
        // Box and Muller's normal deviate; 2.326 of them reach the 99th percentile.
        let (u, v) = (1.0 - self.stream.f64(), self.stream.f64());
        let deviate = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let width = (p99.as_secs_f64() / median.as_secs_f64()).ln() / 2.326;
        let drawn = median.as_secs_f64() * (width * deviate).exp();
        let micros = (drawn.min(p99.as_secs_f64() * 10.0) * 1e6).round();
        Duration::from_nanos(1000) * float_to_u32(micros)
    }
}

/// A count of microseconds that is known to be small and not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, as is wanted"
)]
fn float_to_u32(value: f64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_does_not_feel_what_was_drawn_elsewhere() {
        let (plain, mut used) = (Dice::new(7), Dice::new(7));
        used.below(100);
        let (mut a, mut b) = (plain.fork("network"), used.fork("network"));
        let (one, two): (Vec<u64>, Vec<u64>) = (0..20).map(|_| (a.below(1000), b.below(1000))).unzip();
        assert_eq!(one, two);
        let mut other = plain.fork("lambda");
        assert_ne!(one, (0..20).map(|_| other.below(1000)).collect::<Vec<_>>());
    }

    #[test]
    fn waits_keep_their_median_and_their_99th_percentile() {
        let (median, p99) = (Duration::from_millis(400), Duration::from_millis(1500));
        let mut dice = Dice::new(1);
        let mut drawn: Vec<Duration> = (0..10_000).map(|_| dice.wait(median, p99)).collect();
        drawn.sort();
        assert!(drawn[5000].abs_diff(median) < Duration::from_millis(20), "{:?}", drawn[5000]);
        assert!(drawn[9900].abs_diff(p99) < Duration::from_millis(150), "{:?}", drawn[9900]);
    }

    #[test]
    fn bounds_are_kept() {
        let mut dice = Dice::new(3);
        for _ in 0..1000 {
            let t = dice.between(Duration::from_millis(2), Duration::from_millis(3));
            assert!((Duration::from_millis(2)..=Duration::from_millis(3)).contains(&t));
            assert!(dice.below(5) < 5);
            assert!(!dice.chance(0.0));
            assert!(dice.chance(100.0));
        }
    }
}
