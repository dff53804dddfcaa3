//! Retry budgets: how many repeats a struggling region is sent.
//!
//! A repeat helps while failures are rare and feeds the fire when they are not.
//! So repeats are paid for: each request brings a fifth of one, and ten a second
//! come by themselves for callers that ask little. It is Finagle's budget
//! (`com.twitter.finagle.service.RetryBudget`: `percentCanRetry` 0.2,
//! `minRetriesPerSec` 10, `ttl` 10 s), one for each pair of regions: a storm
//! towards one region takes nothing from the way to another.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    region::RegionName,
    time::{Timestamp, millis},
};

/// Requests that bring one repeat.
pub const REQUESTS_A_RETRY: u32 = 5;
/// Repeats a second that come by themselves.
pub const RETRIES_A_SECOND: u32 = 10;
/// Repeats that can be saved up: ten seconds of those that come by themselves.
pub const BURST: u32 = 100;

/// The smallest sum: a thousandth of what a repeat costs, so that a millisecond brings ten.
const RETRY_COST: u64 = 1000;
const FULL: u64 = BURST as u64 * RETRY_COST;

/// The repeats that may be sent from one region to another. Full at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// In thousandths of a repeat, at most [`FULL`].
    saved: u64,
    /// When what comes by itself was last added.
    at: Timestamp,
}

/// The budget does not pay for one more repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the retry budget for `{to}` is spent (it grows by one for every {REQUESTS_A_RETRY} requests and by \
     {RETRIES_A_SECOND} a second; ask another region, or wait)"
)]
pub struct Spent {
    /// The region that was to be asked again.
    pub to: RegionName,
}

impl RetryBudget {
    /// A full budget at `now`.
    pub const fn full(now: Timestamp) -> Self {
        Self { saved: FULL, at: now }
    }

    /// This budget after one request that is no repeat.
    #[must_use]
    pub fn requested(self, now: Timestamp) -> Self {
        let grown = self.grown(now);
        grown.with(RETRY_COST / u64::from(REQUESTS_A_RETRY))
    }

    /// This budget after one repeat, or `None` when it does not pay for one.
    pub fn retried(self, now: Timestamp) -> Option<Self> {
        let grown = self.grown(now);
        grown.saved.checked_sub(RETRY_COST).map(|saved| Self { saved, ..grown })
    }

    /// Whole repeats that it pays for.
    pub const fn retries(&self) -> u64 {
        self.saved / RETRY_COST
    }

    /// A clock that was set back brings nothing, and nothing twice.
    fn grown(self, now: Timestamp) -> Self {
        let brought =
            millis(now.since(self.at)).saturating_mul(u64::from(RETRIES_A_SECOND) * RETRY_COST / 1000);
        Self { at: self.at.max(now), ..self.with(brought) }
    }

    fn with(self, more: u64) -> Self {
        Self { saved: self.saved.saturating_add(more).min(FULL), ..self }
    }
}

/// The budgets of a process: it is in one place, so one each region that it asks.
#[derive(Debug, Default)]
pub struct RetryBudgets {
    budgets: Mutex<BTreeMap<RegionName, RetryBudget>>,
    /// When each region last answered.
    answered: Mutex<BTreeMap<RegionName, Timestamp>>,
}

impl RetryBudgets {
    /// Counts a request to `to` that is no repeat.
    pub fn requested(&self, to: RegionName, now: Timestamp) {
        self.change(to, now, |budget| Some(budget.requested(now)));
    }

    /// Pays for one repeat to `to`.
    ///
    /// # Errors
    /// [`Spent`] when too many were sent there already.
    pub fn retry(&self, to: RegionName, now: Timestamp) -> Result<(), Spent> {
        if self.change(to, now, |budget| budget.retried(now)) { Ok(()) } else { Err(Spent { to }) }
    }

    /// Notes that `to` answered.
    pub fn answered(&self, to: RegionName, now: Timestamp) {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(to, now);
    }

    /// Whether `to` answered anyone in this process less than `within` ago.
    pub fn answered_within(&self, to: RegionName, within: Duration, now: Timestamp) -> bool {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(&to).is_some_and(|at| now.since(*at) < within)
    }

    fn change(
        &self,
        to: RegionName,
        now: Timestamp,
        change: impl Fn(RetryBudget) -> Option<RetryBudget>,
    ) -> bool {
        // Whoever panicked with it left a whole budget behind: it is replaced in one step.
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.entry(to).or_insert_with(|| RetryBudget::full(now));
        let changed = change(*budget);
        *budget = changed.unwrap_or(*budget);
        changed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn name(i: usize) -> RegionName {
        format!("xx-region-{i}").parse().unwrap()
    }

    #[test]
    fn an_answer_stands_for_its_own_region_and_for_a_moment() {
        let (budgets, moment) = (RetryBudgets::default(), Duration::from_secs(1));
        assert!(!budgets.answered_within(name(1), moment, at(5_000)));
        budgets.answered(name(1), at(5_000));
        assert!(budgets.answered_within(name(1), moment, at(5_999)));
        assert!(!budgets.answered_within(name(1), moment, at(6_000)));
        assert!(!budgets.answered_within(name(2), moment, at(5_000)));
    }

    proptest! {
        /// Over any span of time: at most a fifth of the requests in it, ten a second, and what was saved up.
        #[test]
        fn retries_stay_within_the_budget_over_any_window(
            calls in vec((0..2_000_u64, any::<bool>()), 1..400), span in (0..400_usize, 0..400_usize),
        ) {
            let (mut now, mut budget, mut sent) = (0, RetryBudget::full(at(0)), Vec::new());
            for (pause, again) in calls {
                now += pause / 50;
                let retried = if again { budget.retried(at(now)) } else { None };
                if !again {
                    budget = budget.requested(at(now));
                }
                sent.push((now, again && retried.is_some(), !again));
                budget = retried.unwrap_or(budget);
                prop_assert!(budget.retries() <= u64::from(BURST));
            }
            let (from, to) = (span.0.min(span.1).min(sent.len() - 1), span.0.max(span.1).min(sent.len() - 1));
            let window = &sent[from..=to];
            let count = |is: fn(&&(u64, bool, bool)) -> bool| u64::try_from(window.iter().filter(is).count()).unwrap();
            let (retries, requests) = (count(|sent| sent.1), count(|sent| sent.2));
            let bound_milli = requests * 200 + (window[window.len() - 1].0 - window[0].0) * 10 + 100_000;
            prop_assert!(retries * 1000 <= bound_milli, "{retries} of {requests}");
        }

        /// A clock that jumps brings no more than a clock that does not.
        #[test]
        fn a_clock_that_was_set_back_brings_nothing(jumps in vec(0..10_000_u64, 1..200)) {
            let mut budget = RetryBudget { saved: 0, at: at(5_000) };
            for now in &jumps {
                budget = budget.grown(at(*now));
            }
            let last = jumps.iter().copied().max().unwrap_or(0).max(5_000);
            prop_assert_eq!(budget.saved, ((last - 5_000) * 10).min(FULL));
        }

        /// A storm towards one region takes nothing from the way to another.
        #[test]
        fn a_storm_in_one_pair_does_not_touch_another(storm in 0..2_000_u32, calm in 0..100_u32) {
            let budgets = RetryBudgets::default();
            let stormy = (0..storm).filter(|_| budgets.retry(name(1), at(0)).is_ok()).count();
            prop_assert_eq!(stormy, usize::try_from(storm.min(BURST)).unwrap());
            prop_assert!((0..calm).all(|_| budgets.retry(name(2), at(0)).is_ok()));
        }
    }

    #[test]
    fn a_spent_budget_grows_by_requests_and_by_time() {
        let budgets = RetryBudgets::default();
        let retries = |ms| (0..1_000).take_while(|_| budgets.retry(name(1), at(ms)).is_ok()).count();
        assert_eq!(retries(0), 100);
        (0..50).for_each(|_| budgets.requested(name(1), at(0)));
        assert_eq!(retries(0), 10);
        assert_eq!(retries(500), 5);
        assert_eq!(retries(3_600_000), 100);
        let refused = budgets.retry(name(1), at(3_600_000)).unwrap_err().to_string();
        assert!(refused.contains("`xx-region-1`") && refused.contains("ask another region"), "{refused}");
    }
}
