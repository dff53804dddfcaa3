//! Calls to a bucket with a limit on each wait and a budget of retries.

use std::time::Duration;

use crate::{
    ports::{ObjectsError, Silence},
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
pub(super) struct Patience {
    /// The longest wait for one answer.
    pub(super) limit: Duration,
    /// Spreads the waits between tries.
    pub(super) seed: u64,
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

impl Patience {
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
        let mut in_doubt = false;
        let mut tries = 1;
        loop {
            let failed = match self.once(call()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // One unanswered try is enough for something to be left behind.
            in_doubt |= failed.in_doubt;
            if !failed.again || !self.rest(tries).await {
                return Err(Failed { in_doubt, ..failed });
            }
            tries += 1;
        }
    }

    /// Waits after failure number `tries`; `false`, at once, when the budget is spent.
    pub(super) async fn rest(&self, tries: u32) -> bool {
        if tries >= TRIES_MAX {
            return false;
        }
        tokio::time::sleep(backoff(tries, WAIT, WAIT_MAX, self.seed)).await;
        true
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
