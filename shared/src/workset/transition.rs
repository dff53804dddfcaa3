//! Writes to a workset: from the row as read to the row as it shall be.
//!
//! Each makes the next version and the event that records it, and nothing else
//! does. The caller writes both under the condition that the state, version and
//! fence it read still stand, so of two writers of one version one wins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    class::ErrorCategory,
    document::Document,
    event::{Act, By, Event},
    name::Text,
    record::{Failure, Progress, Workset},
    retry::{RETRIES_MAX, delay},
    state::{IllegalMove, State},
};
use crate::time::{Human, Timestamp};

/// A move to another state, as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The state that shall follow.
    pub to: State,
    /// Why; kept in the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<1024>>,
    /// What went wrong. Required to become `error`, allowed to become `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// How far the run came. Allowed to become `in_progress`, `complete` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Where the results lie. Allowed to become `complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results_uri: Option<Text<2048>>,
    /// What the run measured of itself. Allowed to become `complete` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Document>,
    /// The token of the caller's lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// The version that the caller decided on; another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
}

/// News of a run that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// How far it has come.
    pub progress: Progress,
    /// What it measured so far; replaces what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Document>,
    /// The token of the caller's lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// The version that the caller decided on; another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
}

/// Why a workset was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The state machine has no such move.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// Another write came first.
    #[error("the workset is at version `{version}`, not `{wanted}` (read it again and decide anew)")]
    Changed {
        /// The version that the caller decided on.
        wanted: u64,
        /// The version as it is.
        version: u64,
    },
    /// A later holder of the lock has already written.
    #[error("lock token `{presented}` was superseded by `{fence}` (stop this work, and take the lock again)")]
    Superseded {
        /// The token that the caller showed.
        presented: u64,
        /// The highest token that wrote the row.
        fence: u64,
    },
    /// It became `error` without saying what went wrong.
    #[error("`error` is missing (a failed run needs `error` with `category` and `details`)")]
    NoError,
    /// A field says something that the new state cannot have.
    #[error("`{field}` does not go with a move to `{to}` (leave it out)")]
    Misplaced {
        /// The field of the request.
        field: &'static str,
        /// The state that was asked for.
        to: State,
    },
    /// Trying again would fail again.
    #[error(
        "a `{0}` error is not retried (only `transient` and `resource` are; make it `failed` or `ignored`)"
    )]
    NotRetryable(ErrorCategory),
    /// All retries were used.
    #[error("all {RETRIES_MAX} retries are used (make it `failed`, `ignored` or `archived`)")]
    RetriesSpent,
    /// The delay before the retry is not over.
    #[error("the retry begins in {} (make it `ready` then, or `canceled`)", Human(*.left))]
    TooEarly {
        /// What is left of the delay.
        left: Duration,
    },
    /// Nothing follows its state, so nothing of it changes any more.
    #[error("a workset in `{0}` is not changed any more (register a new one)")]
    Ended(State),
    /// News of a run that does not go on.
    #[error("a workset in `{0}` has no progress to report (only one in `in_progress` has)")]
    NotRunning(State),
}

impl Transition {
    /// A bare move to `state`.
    pub const fn to(state: State) -> Self {
        Self {
            to: state,
            reason: None,
            error: None,
            progress: None,
            results_uri: None,
            metrics: None,
            token: None,
            if_version: None,
        }
    }

    /// Refuses fields that the new state cannot have, and asks for those it needs.
    fn check_fields(&self) -> Result<(), Refused> {
        use State::{Complete, Error, Failed, InProgress};
        if self.to == Error && self.error.is_none() {
            return Err(Refused::NoError);
        }
        let allowed: [(&str, bool, &[State]); 4] = [
            ("error", self.error.is_some(), &[Error, Failed]),
            ("progress", self.progress.is_some(), &[InProgress, Complete, Error]),
            ("results_uri", self.results_uri.is_some(), &[Complete]),
            ("metrics", self.metrics.is_some(), &[Complete, Error]),
        ];
        let misplaced = allowed.into_iter().find(|(_, sent, states)| *sent && !states.contains(&self.to));
        misplaced.map_or(Ok(()), |(field, _, _)| Err(Refused::Misplaced { field, to: self.to }))
    }
}

/// `workset` after `change`, and the event that records it. `seed` spreads
/// the delays of retries.
///
/// Whether the caller holds the lock is asked first, of the lock's own row
/// ([`Slot::guard`](super::Slot::guard)); the fence here catches a holder that
/// was superseded after that answer.
///
/// # Errors
/// [`Refused`], with what the caller can do about it.
pub fn transition(
    workset: &Workset,
    change: Transition,
    by: &By,
    seed: u64,
) -> Result<(Workset, Event), Refused> {
    let next = written(workset, change.token, change.if_version, by)?;
    workset.state.may_become(change.to)?;
    change.check_fields()?;
    let next = match change.to {
        State::Ready => readied(next, by.at)?,
        State::Retrying => retried(next, by.at, seed)?,
        State::InProgress => {
            Workset { started_at: Some(by.at), finished_at: None, progress: None, metrics: None, ..next }
        }
        State::Complete => Workset { finished_at: Some(by.at), error: None, ..next },
        State::Error | State::Canceled => Workset { finished_at: Some(by.at), next_retry_at: None, ..next },
        State::Ignored | State::Failed | State::Archived | State::Deleted => next,
    };
    let next = Workset {
        state: change.to,
        error: change.error.or(next.error),
        progress: change.progress.or(next.progress),
        results_uri: change.results_uri.or(next.results_uri),
        metrics: change.metrics.or(next.metrics),
        ..next
    };
    let event = Event::of(Act::Moved, &next, Some(workset), change.reason, by);
    Ok((next, event))
}

/// `workset` after news of its run, and the event that records it.
///
/// # Errors
/// [`Refused`], with what the caller can do about it.
pub fn report(workset: &Workset, news: Report, by: &By) -> Result<(Workset, Event), Refused> {
    let next = written(workset, news.token, news.if_version, by)?;
    if workset.state != State::InProgress {
        return Err(Refused::NotRunning(workset.state));
    }
    let metrics = news.metrics.or(next.metrics);
    let next = Workset { progress: Some(news.progress), metrics, ..next };
    let event = Event::of(Act::Reported, &next, Some(workset), None, by);
    Ok((next, event))
}

/// The next version of `workset`, still the same but for who wrote it when,
/// unless the caller decided on another version or was superseded.
pub(super) fn written(
    workset: &Workset,
    token: Option<u64>,
    if_version: Option<u64>,
    by: &By,
) -> Result<Workset, Refused> {
    let (version, fence) = (workset.version, workset.fence);
    if let Some(wanted) = if_version.filter(|wanted| *wanted != version) {
        return Err(Refused::Changed { wanted, version });
    }
    if let Some(presented) = token.filter(|presented| *presented < fence) {
        return Err(Refused::Superseded { presented, fence });
    }
    Ok(Workset {
        fence: token.unwrap_or(fence),
        version: version.saturating_add(1),
        updated_at: by.at,
        written_in: by.region,
        ..workset.clone()
    })
}

/// Ready again: after its delay, or as new when it comes out of the archive.
fn readied(workset: Workset, now: Timestamp) -> Result<Workset, Refused> {
    let left = workset.next_retry_at.map_or(Duration::ZERO, |at| at.since(now));
    if !left.is_zero() {
        return Err(Refused::TooEarly { left });
    }
    if workset.state == State::Retrying {
        return Ok(Workset { next_retry_at: None, ..workset });
    }
    Ok(Workset {
        progress: None,
        error: None,
        retry_count: 0,
        started_at: None,
        finished_at: None,
        results_uri: None,
        metrics: None,
        ..workset
    })
}

/// Waiting for its next retry, if it has one left and its error may pass.
fn retried(workset: Workset, now: Timestamp, seed: u64) -> Result<Workset, Refused> {
    let category = workset.error.as_ref().ok_or(Refused::NoError)?.category;
    if !category.is_retryable() {
        return Err(Refused::NotRetryable(category));
    }
    if workset.retry_count >= RETRIES_MAX {
        return Err(Refused::RetriesSpent);
    }
    let retry_count = workset.retry_count + 1;
    Ok(Workset { retry_count, next_retry_at: Some(now.after(delay(retry_count, seed))), ..workset })
}

#[cfg(test)]
mod tests;
