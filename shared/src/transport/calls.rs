//! Calls to a bucket with a limit on each wait and a budget of retries.

use std::{fmt, time::Duration};

use crate::{
    ports::{Clock, ObjectsError, Silence},
    region::RegionName,
    retry::RetryBudgets,
    time::millis,
    upload::{Reason, backoff},
};

/// Tries for one call, the first included.
const TRIES_MAX: u32 = 3;
/// The wait after the first failed try; it doubles.
const WAIT: Duration = Duration::from_millis(200);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How patient the caller of a bucket is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'a> {
    /// The longest wait for one answer.
    pub(super) limit: Duration,
    /// Spreads the waits between tries.
    pub(super) seed: u64,
    /// What repeats are paid from; `None` for a few calls that a person waits for.
    pub(super) purse: Option<Purse<'a>>,
}

/// What pays for the repeats to one region.
#[derive(Clone, Copy)]
pub(super) struct Purse<'a> {
    pub(super) budgets: &'a RetryBudgets,
    pub(super) to: RegionName,
    pub(super) clock: &'a dyn Clock,
}

impl fmt::Debug for Purse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse").field("to", &self.to).finish_non_exhaustive()
    }
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// What was reported, or that nothing was.
    pub(super) reason: Reason,
    /// Whether it may have taken effect all the same, since nobody answered.
    pub(super) in_doubt: bool,
    /// Whether the same call may do better a moment later.
    pub(super) again: bool,
}

impl Patience<'_> {
    /// This patience, with no wait longer than `limit`.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        Self { limit: self.limit.min(limit), ..self }
    }

    /// Makes one call and waits for its answer within the limit.
    pub(super) async fn once<T>(
        &self,
        call: impl Future<Output = Result<T, ObjectsError>>,
    ) -> Result<T, Failed> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer.map_err(|error| sort(&error)),
            Err(_) => {
                let reason = Reason::TimedOut { after_ms: millis(self.limit) };
                Err(Failed { reason, in_doubt: true, again: true })
            }
        }
    }

    /// Makes a call that does no harm when it is made twice, up to [`TRIES_MAX`] times.
    pub(super) async fn retry<T, F: Future<Output = Result<T, ObjectsError>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Failed> {
        self.begin();
        let mut in_doubt = false;
        let mut tries = 1;
        loop {
            let failed = match self.once(call()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // One unanswered try is enough for something to be left behind.
            in_doubt |= failed.in_doubt;
            if let Err(failed) = self.rest(tries, failed).await {
                return Err(Failed { in_doubt, ..failed });
            }
            tries += 1;
        }
    }

    /// Counts a call that is no repeat.
    pub(super) fn begin(&self) {
        if let Some(Purse { budgets, to, clock }) = self.purse {
            budgets.requested(to, clock.now());
        }
    }

    /// Waits after failure number `tries`; gives the failure back, at once, when the call is not to be repeated.
    pub(super) async fn rest(&self, tries: u32, failed: Failed) -> Result<(), Failed> {
        if !failed.again || tries >= TRIES_MAX {
            return Err(failed);
        }
        if let Some(Purse { budgets, to, clock }) = self.purse
            && let Err(spent) = budgets.retry(to, clock.now())
        {
            let detail = format!("{}, and {spent}", failed.reason);
            return Err(Failed { reason: Reason::RetriesSpent { detail }, ..failed });
        }
        tokio::time::sleep(backoff(tries, WAIT, WAIT_MAX, self.seed)).await;
        Ok(())
    }
}

/// What an error means for the next try.
fn sort(error: &ObjectsError) -> Failed {
    let detail = chain(error);
    match error {
        ObjectsError::Throttled { .. } => {
            Failed { reason: Reason::Busy { detail }, in_doubt: false, again: true }
        }
        ObjectsError::NoAnswer { how: Silence::ServerError(_), .. } => {
            Failed { reason: Reason::Busy { detail }, in_doubt: true, again: true }
        }
        ObjectsError::NoAnswer { how: Silence::Timeout | Silence::NoConnection, .. } => {
            Failed { reason: Reason::Unreachable { detail }, in_doubt: true, again: true }
        }
        // A body that was damaged on its way may arrive whole the next time.
        ObjectsError::Mismatch { .. } => {
            Failed { reason: Reason::Refused { detail }, in_doubt: false, again: true }
        }
        ObjectsError::Missing { .. } | ObjectsError::Refused { .. } => {
            Failed { reason: Reason::Refused { detail }, in_doubt: false, again: false }
        }
    }
}

/// The messages of an error and all its sources, outermost first.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
