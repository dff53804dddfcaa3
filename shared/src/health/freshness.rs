//! Whose rows still speak: a reader's memory of sequence numbers.
//!
//! A row is fresh when its number advances between this reader's own looks. No
//! clock of the observer takes part, so a row from the future is not fresh for
//! ever. A reader always looks at the same replica.

use std::collections::BTreeMap;

use super::Policy;
use crate::{region::RegionName, time::Timestamp};

/// What a reader remembers of each observer's row.
///
/// ```
/// use sealane::{health::{Freshness, Policy}, time::Timestamp};
///
/// let (policy, east) = (Policy::default(), "us-east-1".parse().unwrap());
/// let at = Timestamp::from_millis;
/// let first = Freshness::default().look(east, 41, at(0));
/// assert!(!first.is_fresh(east, &policy, at(0)), "one look shows nothing");
/// let second = first.look(east, 42, at(10_000));
/// assert!(second.is_fresh(east, &policy, at(10_000)));
/// assert!(!second.is_fresh(east, &policy, at(60_000)), "it stopped");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freshness {
    sights: BTreeMap<RegionName, Sight>,
}

/// What is remembered of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    /// Highest number of the series.
    seq: u64,
    /// A lower number, seen last: the start of a new series, if it goes on from there.
    restart: Option<u64>,
    /// When the number last advanced, on the reader's clock.
    advanced_at: Option<Timestamp>,
}

impl Freshness {
    /// This memory after one look at an observer's row.
    ///
    /// A number below the last one is an observer that started anew (its table was
    /// restored, its row deleted). It is believed once it goes on counting from
    /// there, so that two replicas read in turn, both frozen, do not pass for life.
    #[must_use]
    pub fn look(mut self, observer: RegionName, seq: u64, now: Timestamp) -> Self {
        let first = Sight { seq, restart: None, advanced_at: None };
        let sight = self.sights.get(&observer).map_or(first, |seen| seen.after(seq, now));
        self.sights.insert(observer, sight);
        self
    }

    /// Whether the row advanced within `policy.stale_after` before `now`.
    ///
    /// An observer that was never seen, or seen once, is not fresh.
    pub fn is_fresh(&self, observer: RegionName, policy: &Policy, now: Timestamp) -> bool {
        let advanced_at = self.sights.get(&observer).and_then(|seen| seen.advanced_at);
        advanced_at.is_some_and(|at| now.since(at) <= policy.stale_after)
    }

    /// This memory without the observers that are no longer configured.
    #[must_use]
    pub fn only(mut self, observers: &[RegionName]) -> Self {
        self.sights.retain(|name, _| observers.contains(name));
        self
    }
}

impl Sight {
    fn after(self, seq: u64, now: Timestamp) -> Self {
        let restarted = self.restart.is_some_and(|start| start < seq && seq < self.seq);
        if seq > self.seq || restarted {
            Self { seq, restart: None, advanced_at: Some(now) }
        } else if seq < self.seq {
            Self { restart: Some(seq), ..self }
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const TICK_MS: u64 = 10_000;

    fn east() -> RegionName {
        "us-east-1".parse().unwrap()
    }

    /// A memory after looks one tick apart, and the time of the last of them.
    fn looks(numbers: &[u64]) -> (Freshness, Timestamp) {
        let at = |i: usize| Timestamp::from_millis(i as u64 * TICK_MS);
        let memory =
            numbers.iter().enumerate().fold(Freshness::default(), |m, (i, n)| m.look(east(), *n, at(i)));
        (memory, at(numbers.len().saturating_sub(1)))
    }

    fn fresh(numbers: &[u64]) -> bool {
        let (memory, now) = looks(numbers);
        memory.is_fresh(east(), &Policy::default(), now)
    }

    #[test]
    fn a_restarted_observer_is_believed_once_it_counts_on() {
        assert!(!fresh(&[900, 900, 900, 1]));
        assert!(fresh(&[900, 900, 900, 1, 2]));
        assert!(fresh(&[900, 900, 900, 1, 2, 3]));
    }

    #[test]
    fn a_removed_observer_is_forgotten() {
        let (memory, now) = looks(&[1, 2]);
        assert!(!memory.only(&[]).is_fresh(east(), &Policy::default(), now));
    }

    proptest! {
        /// A prober that freezes goes stale within two ticks, whatever its number is.
        #[test]
        fn a_frozen_prober_goes_stale(start: u64, frozen in 3..20_usize) {
            let last = start.saturating_add(1);
            let numbers: Vec<_> = std::iter::once(start).chain(vec![last; frozen]).collect();
            prop_assert!(!fresh(&numbers));
        }

        /// A number that rises at every look is fresh from the second look on.
        #[test]
        fn a_counting_prober_is_fresh(start in 0..1_000_u64, steps in vec(1..5_u64, 1..20)) {
            let numbers: Vec<_> = std::iter::once(start)
                .chain(steps.iter().scan(start, |n, step| { *n += step; Some(*n) }))
                .collect();
            prop_assert!(fresh(&numbers));
        }

        /// Two replicas that both stopped, read in any order, do not look alive.
        #[test]
        fn two_frozen_replicas_do_not_pass_for_life(old in 0..50_u64, ahead in 1..50_u64, turns in vec(any::<bool>(), 3..30)) {
            let head = [old, old + ahead];
            let numbers: Vec<_> = head.into_iter().chain(turns.iter().map(|t| head[usize::from(*t)])).collect();
            prop_assert!(!fresh(&numbers));
        }

        /// However far ahead the number is, one look proves nothing.
        #[test]
        fn first_sight_is_not_fresh(seq: u64) {
            prop_assert!(!fresh(&[seq]));
        }
    }
}
