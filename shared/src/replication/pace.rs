//! How many copies go to one destination at once.
//!
//! Rule: a destination is asked with one copy first, so that a region that is down is asked once
//! and not by all that is owed to it. Each success makes room for one more, which doubles what is in
//! flight with every round trip; each call to slow down halves it. What comes back is filled, not drowned.

/// What the destination made of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Felt {
    /// It took it, or refused it for a reason of the copy's own.
    Good,
    /// It asked to slow down.
    Slow,
    /// It did not answer.
    Silent,
}

/// Copies to one destination in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    at_once: usize,
    max: usize,
    stopped: bool,
}

impl Pace {
    /// The pace towards a destination of which nothing is known. `max` copies at once at most, and
    /// at least one.
    pub const fn new(max: usize) -> Self {
        Self { at_once: 1, max: if max == 0 { 1 } else { max }, stopped: false }
    }

    /// How many copies may be in flight; 0 once the destination has fallen silent.
    pub const fn at_once(self) -> usize {
        if self.stopped { 0 } else { self.at_once }
    }

    /// Whether the destination has fallen silent.
    pub const fn is_stopped(self) -> bool {
        self.stopped
    }

    /// This pace after one more copy. One that is slow even for a single copy counts as silent.
    #[must_use]
    pub fn after(self, felt: Felt) -> Self {
        match felt {
            Felt::Good => Self { at_once: self.max.min(self.at_once + 1), ..self },
            Felt::Slow if self.at_once > 1 => Self { at_once: self.at_once / 2, ..self },
            Felt::Slow | Felt::Silent => Self { at_once: 1, stopped: true, ..self },
        }
    }

    /// The pace at which a destination that fell silent is asked again.
    #[must_use]
    pub const fn again(self) -> Self {
        Self { stopped: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn felt() -> impl Strategy<Value = Felt> {
        prop::sample::select(vec![Felt::Good, Felt::Slow, Felt::Silent])
    }

    proptest! {
        /// Whatever is felt, no more than the most is in flight, and nothing after silence.
        #[test]
        fn a_pace_keeps_its_bounds(max in 0..300_usize, all in vec(felt(), 0..400)) {
            let mut pace = Pace::new(max);
            for one in all {
                pace = pace.after(one);
                prop_assert!(pace.at_once() <= max.max(1));
                prop_assert_eq!(pace.at_once() == 0, pace.is_stopped());
                prop_assert!(one != Felt::Silent || pace.is_stopped());
            }
            prop_assert_eq!(pace.again().is_stopped(), false);
        }

        /// A destination that asks to slow down has half as much in flight.
        #[test]
        fn a_call_to_slow_down_halves(max in 2..300_usize, good in 1..400_usize) {
            let pace = (0..good).fold(Pace::new(max), |pace, _| pace.after(Felt::Good));
            prop_assert_eq!(pace.at_once(), max.min(good + 1));
            prop_assert_eq!(pace.after(Felt::Slow).at_once(), pace.at_once() / 2);
        }
    }

    #[test]
    fn silence_starts_again_with_one() {
        let pace = [Felt::Good; 9].into_iter().fold(Pace::new(64), Pace::after);
        assert_eq!(pace.at_once(), 10);
        assert_eq!(pace.after(Felt::Silent).again().at_once(), 1);
        assert!(Pace::new(64).after(Felt::Slow).is_stopped());
    }
}
