//! Calls to a bucket with a limit on each wait and a budget of retries.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

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
    /// Whether another region could be asked instead, while that is so: then one that refuses
    /// connections, or says nothing, is not asked over and over.
    pub(super) elsewhere: Option<&'a AtomicBool>,
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
    /// What the same call may come to a moment later.
    pub(super) again: Again,
}

/// What is to be expected of a call that is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The same.
    Never,
    /// Something better, after a pause.
    Later,
    /// There was no connection: something better at once, if that was an old one.
    Unconnected,
    /// Nobody answered in all the time that there was.
    Unheard,
}

impl Patience<'_> {
    /// This patience, with no wait longer than `limit`.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        Self { limit: self.limit.min(limit), ..self }
    }

    /// This patience of a caller who has no other place to go.
    pub(super) fn staying(self) -> Self {
        Self { elsewhere: None, ..self }
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
                Err(Failed { reason, in_doubt: true, again: Again::Unheard })
            }
        }
    }

    /// Makes a call that does no harm when it is made twice, up to [`TRIES_MAX`] times.
    pub(super) async fn retry<T, F: Future<Output = Result<T, ObjectsError>>>(
        &self,
        call: impl FnMut() -> F,
    ) -> Result<T, Failed> {
        self.retry_after(|| std::future::ready(()), call).await
    }

    /// As [`retry`](Self::retry), and has each try wait for its turn, for as long as that takes.
    pub(super) async fn retry_after<
        T,
        W: Future<Output = ()>,
        F: Future<Output = Result<T, ObjectsError>>,
    >(
        &self,
        mut turn: impl FnMut() -> W,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Failed> {
        self.begin();
        let mut in_doubt = false;
        let mut tries = 1;
        loop {
            turn().await;
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
        let Some(pause) = self.pause(tries, failed.again) else { return Err(failed) };
        if let Some(Purse { budgets, to, clock }) = self.purse
            && let Err(spent) = budgets.retry(to, clock.now())
        {
            let detail = format!("{}, and {spent}", failed.reason);
            return Err(Failed { reason: Reason::RetriesSpent { detail }, ..failed });
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// How long to wait after failure number `tries`; `None` if the call is not to be repeated.
    fn pause(&self, tries: u32, again: Again) -> Option<Duration> {
        let usual = || (tries < TRIES_MAX).then(|| backoff(tries, WAIT, WAIT_MAX, self.seed));
        let elsewhere = self.elsewhere.is_some_and(|elsewhere| elsewhere.load(Ordering::Relaxed));
        match again {
            Again::Never => None,
            Again::Later => usual(),
            Again::Unconnected | Again::Unheard if !elsewhere => usual(),
            Again::Unconnected => (tries < 2).then_some(Duration::ZERO),
            Again::Unheard => None,
        }
    }
}

/// What an error means for the next try.
fn sort(error: &ObjectsError) -> Failed {
    let detail = chain(error);
    let (reason, in_doubt, again) = match error {
        ObjectsError::Throttled { .. } => (Reason::Busy { detail }, false, Again::Later),
        ObjectsError::NoAnswer { how: Silence::ServerError(_), .. } => {
            (Reason::Busy { detail }, true, Again::Later)
        }
        ObjectsError::NoAnswer { how: Silence::Timeout, .. } => {
            (Reason::Unreachable { detail }, true, Again::Unheard)
        }
        ObjectsError::NoAnswer { how: Silence::NoConnection, .. } => {
            (Reason::Unreachable { detail }, true, Again::Unconnected)
        }
        // A body that was damaged on its way may arrive whole the next time.
        ObjectsError::Mismatch { .. } => (Reason::Refused { detail }, false, Again::Later),
        ObjectsError::Missing { .. } | ObjectsError::Refused { .. } => {
            (Reason::Refused { detail }, false, Again::Never)
        }
    };
    Failed { reason, in_doubt, again }
}

/// The messages of an error and all its sources, outermost first.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(elsewhere: &AtomicBool) -> Patience<'_> {
        Patience { limit: Duration::from_secs(30), seed: 7, purse: None, elsewhere: Some(elsewhere) }
    }

    #[test]
    fn who_can_go_elsewhere_asks_once_more_at_once_and_then_goes() {
        let (somewhere, nowhere) = (AtomicBool::new(true), AtomicBool::new(false));
        let pause = |tries, again| patience(&somewhere).pause(tries, again);
        assert_eq!(pause(1, Again::Unconnected), Some(Duration::ZERO));
        assert_eq!(
            [pause(2, Again::Unconnected), pause(1, Again::Unheard), pause(1, Again::Never)],
            [None; 3]
        );
        assert!(pause(2, Again::Later).is_some_and(|pause| pause >= WAIT));
        for stays in [patience(&nowhere), patience(&somewhere).staying()] {
            assert!(stays.pause(2, Again::Unconnected).is_some_and(|pause| pause >= WAIT));
            assert!(stays.pause(2, Again::Unheard).is_some() && stays.pause(3, Again::Unheard).is_none());
        }
    }
}
