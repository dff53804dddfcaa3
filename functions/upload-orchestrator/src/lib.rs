//! Copies new objects to the regions that want them, and pays what is owed.
//!
//! Woken by a batch of queue messages (S3's events, which are hints) or by the
//! schedule's tick (the sweep). What a message leads to is written into the
//! ledger first and paid second, so a destination that is down is no error of the
//! message: its copy stays owed until a sweep pays it. No byte of an object
//! passes through, except those that are compared as a proof.
//!
//! What a copy keeps: key, bytes, headers, storage class, tags and user metadata. Every version of a key is
//! copied, in the order in which they were written: a row waits for that of the version below. A key is
//! written in one region at a time: where two regions wrote the same key and neither has had
//! the other's write, neither is copied over the other, and both stay owed.

mod belongs;
mod conflict;
mod copy;
mod deps;
mod heir;
mod intake;
mod inventory;
mod job;
mod notify;
mod past;
mod pay;
mod proof;
mod relay;
mod source;
mod sweep;
mod there;
mod trouble;
mod turn;
mod twin;
mod wake;

use std::iter;

use futures::{StreamExt as _, stream};
use sealane::{
    ports::{Clock, Objects, Posts, Rows, RowsError},
    replication::{Disposition, Outcome},
};
use serde::Serialize;
use serde_json::Value;

use pay::Debt;

pub use deps::{Deps, Invocation, NoBucket, Pause, Policy};
pub use inventory::{Walk, WalkError, walk};
pub use notify::{Herald, TRY_MAX, Told};
pub use sweep::{OWED_MAX, Sweep};
pub use wake::{QueueMessage, Wake, WakeError};

/// Messages of a batch that are read at once.
const MESSAGES_AT_ONCE: usize = 16;

/// What the function replies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a batch: which messages the queue shall keep.
    Batch(Outcome),
    /// To the tick: what the sweep did.
    Sweep(Sweep),
}

/// What one invocation leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the function replies.
    pub answer: Answer,
    /// Lines to print, which CloudWatch reads as metrics.
    pub metrics: Vec<String>,
}

/// Why an invocation failed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The event is none that this function takes.
    #[error("the event was refused")]
    Wake(#[from] WakeError),
    /// The sweep could not read what is owed.
    #[error("the sweep could not read what is owed")]
    Ledger(#[from] RowsError),
}

/// Does what `event` asks for.
///
/// # Errors
/// When the event is neither a batch of messages nor the tick, or the sweep cannot read the ledger.
pub async fn run<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    event: &Value,
) -> Result<Reply, RunError> {
    let (answer, line, ended) = match Wake::read(event)? {
        Wake::Batch(messages) => {
            let (outcome, tally) = batch(deps, invocation, messages).await;
            let line = sweep::batch_metrics(deps.here.as_str(), tally.failed, deps.clock.now());
            (Answer::Batch(outcome), line, tally.ended)
        }
        Wake::Tick => {
            let (swept, ended) = sweep::sweep(deps, invocation).await?;
            tracing::info!(
                copied = swept.copied,
                found = swept.found,
                void = swept.void,
                failed = swept.failed,
                owed = swept.owed,
                oldest_age_s = swept.oldest_age_s,
                "swept"
            );
            let line = sweep::metrics(deps.here.as_str(), &swept, deps.clock.now());
            (Answer::Sweep(swept), line, ended)
        }
    };
    let lines =
        || iter::once(line).chain(sweep::ended_metrics(deps.here, &ended, deps.clock.now())).collect();
    let metrics = deps.config.metrics_interval.map(|_| lines()).unwrap_or_default();
    Ok(Reply { answer, metrics })
}

/// As [`run`], and at the tick tells others beside it what happened, if this is the region that does.
///
/// # Errors
/// As for [`run`]. Nobody who does not listen makes it fail.
pub async fn run_and_tell<O: Objects, R: Rows, C: Clock, P: Posts>(
    deps: &Deps<O, R, C>,
    herald: &Herald<R, P>,
    invocation: &Invocation,
    event: &Value,
) -> Result<Reply, RunError> {
    let wake = Wake::read(event)?;
    let (reply, told) = futures::join!(
        Box::pin(run(deps, invocation, event)),
        Box::pin(notify::tell(herald, deps, invocation, &wake))
    );
    let mut reply = reply?;
    if let Some(Told { told, failed, waiting, parked, oldest_age_s }) = told {
        tracing::info!(told, failed, waiting, parked, oldest_age_s, "told others");
    }
    if let (Some(told), Some(_)) = (told, deps.config.metrics_interval) {
        reply.metrics.push(told.metrics(deps.here, deps.clock.now()));
    }
    Ok(reply)
}

/// Writes down what the messages lead to, and pays what is due of it; answers with the reply and
/// with what came of the payments.
async fn batch<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    messages: Vec<QueueMessage>,
) -> (Outcome, pay::Tally) {
    let taking = stream::iter(&messages).map(|message| Box::pin(intake::take(deps, invocation, message)));
    let taken: Vec<_> = taking.buffered(MESSAGES_AT_ONCE).collect().await;
    let (mut told, mut debts) = (Vec::new(), Vec::new());
    for (message, taken) in messages.iter().zip(taken) {
        match &taken.disposition {
            Disposition::Done => {}
            Disposition::Retry(why) => tracing::warn!(message.id = message.id, why, "will retry a message"),
            Disposition::Poison(why) => {
                tracing::error!(message.id = message.id, why, "left a message to the dead-letter queue");
            }
        }
        told.push((message.id.clone(), taken.disposition));
        debts.extend(taken.debts);
    }
    let now = deps.clock.now();
    debts.retain(|debt: &Debt| debt.row.value.due().is_some_and(|due| due <= now));
    let tally = pay::pay_all(deps, invocation, debts, &mut pay::Lanes::default()).await;
    (Outcome::of(told), tally)
}
