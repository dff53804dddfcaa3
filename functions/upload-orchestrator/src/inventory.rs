//! Finding what events missed: listings of the regions, compared page by page.
//!
//! Rule: a gap is only a hint. What comes of it is what would have come of its event: the object says
//! whether it is a copy, and the ledger whether it was shipped before. A copy that somebody deleted
//! where it lay is not brought back.

use std::time::Duration;

use futures::{StreamExt as _, future::join_all, stream};
use sealane::{
    ports::{Clock, Objects, ObjectsError, Rows, RowsError},
    replication::gaps,
    time::Timestamp,
    upload::{SYSTEM_PREFIX, is_system_key},
};
use serde::Serialize;

use crate::{Deps, Invocation, intake::IntakeError, past::owe_all, source::MANY, trouble::chain};

/// Gaps that are looked into at once.
const AT_ONCE: usize = 16;

/// What a part of a walk found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Walk {
    /// Keys that a listing lacked.
    pub gaps: usize,
    /// Copies that are owed for them now.
    pub owed: usize,
    /// Keys that could not be looked into, with the reason.
    pub unread: Vec<String>,
    /// Go on after this key; `None`: the end was reached.
    pub next: Option<String>,
}

/// Why a walk could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// A bucket that was compared gave no listing. What cannot be seen is not called lacking.
    #[error("a listing could not be read")]
    Listing(#[from] ObjectsError),
    /// This region has no bucket of its own.
    #[error(transparent)]
    NoBucket(#[from] crate::NoBucket),
}

/// Compares one page of this region's keys under `prefix`, after `after`, with the other regions, and
/// writes down what is owed, unless `dry`.
///
/// # Errors
/// When a listing cannot be read.
pub async fn walk<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    prefix: &str,
    after: Option<&str>,
    dry: bool,
) -> Result<Walk, WalkError> {
    let own = deps.own()?;
    let others = deps.full().into_iter().filter(|region| *region != deps.here);
    let others = others
        .filter_map(|region| deps.buckets.get(&region))
        .map(|bucket| bucket.list_versions(prefix, after, MANY));
    let own_list = own.list_versions(prefix, after, MANY);
    let (own_list, others) = futures::future::join(own_list, join_all(others)).await;
    // A region that does not answer keeps nobody from healing the others; its turn comes when it does.
    let (others, silent): (Vec<_>, Vec<_>) = others.into_iter().partition(Result::is_ok);
    let others: Vec<_> = others.into_iter().flatten().collect();
    let silent: Vec<_> = silent.into_iter().filter_map(Result::err).collect();
    let found = gaps(&own_list?, &others);
    let is_own = |key: &String| is_system_key(key) || deps.is_sentinel(key);
    let keys: Vec<_> = found.keys.into_iter().filter(|key| !is_own(key)).collect();
    let unread = silent.iter().map(|error| chain(error)).collect();
    // The canaries have many versions, and none that is copied.
    let next = found.next.map(|next| if is_system_key(&next) { system_end() } else { next });
    let mut walk = Walk { gaps: keys.len(), next, unread, ..Walk::default() };
    if dry {
        return Ok(walk);
    }
    let looks = stream::iter(keys).map(|key| Box::pin(async move { (mend(deps, &key).await, key) }));
    for (mended, key) in looks.buffered(AT_ONCE).collect::<Vec<_>>().await {
        match mended {
            Ok(owed) => walk.owed += owed,
            Err(error) => walk.unread.push(format!("`{key}`: {}", chain(&error))),
        }
    }
    Ok(walk)
}

/// Writes down what is owed for `key`, as if its event had come; how many copies that are.
async fn mend<O: Objects, R: Rows, C: Clock>(deps: &Deps<O, R, C>, key: &str) -> Result<usize, IntakeError> {
    let debts = owe_all(deps, key, None).await?;
    Ok(debts.iter().filter(|debt| debt.row.value.is_owed()).count())
}

/// What comes after all of Sealane's own objects and before any other key.
fn system_end() -> String {
    format!("{SYSTEM_PREFIX}{}", char::MAX)
}

/// Rows that were written down so lately tell of events that come in.
const LATELY: Duration = Duration::from_secs(60);

/// For how many times the usual a walk may wait while events come in.
const PUT_OFF_MAX: u32 = 3;

/// Whether events come in: what they have not told of yet would be taken for missed.
async fn events_come<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    now: Timestamp,
) -> Result<bool, RowsError> {
    let due = deps.ledger.due(deps.here, now, None, usize::from(MANY)).await?;
    let mut rows = due.entries.iter().map(|row| &row.value);
    Ok(rows.any(|row| row.attempts == 0 && now.since(row.since) < LATELY))
}

/// Goes on with this region's walk, a few pages at a time, if the last part of it is long enough ago
/// and no events come in; after a while also if they do.
pub(crate) async fn go_on<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
) -> Result<(), RowsError> {
    let (pages, now) = (deps.policy.inventory_pages, deps.clock.now());
    let held = if pages == 0 { None } else { Some(deps.ledger.walked(deps.here).await?) };
    let Some(mut walked) = held else { return Ok(()) };
    let (every, waited) = (deps.policy.inventory_every, walked.at.map(|at| now.since(at)));
    if waited.is_some_and(|waited| waited < every) {
        return Ok(());
    }
    if waited.is_none_or(|waited| waited < every * PUT_OFF_MAX) && events_come(deps, now).await? {
        if walked.at.is_none() {
            // Counts from now on.
            walked.at = Some(now);
            deps.ledger.walk(deps.here, &walked).await?;
        }
        return Ok(());
    }
    for _ in 0..pages {
        if !deps.has_time(invocation) {
            break;
        }
        match walk(deps, "", walked.after.as_deref(), false).await {
            Ok(found) => {
                walked.after = found.next;
                if found.owed > 0 || !found.unread.is_empty() {
                    tracing::warn!(
                        owed = found.owed,
                        unread = found.unread.len(),
                        "found what events had missed"
                    );
                }
            }
            Err(error) => {
                tracing::info!(error = chain(&error), "left the walk over the listings to a later sweep");
                break;
            }
        }
        if walked.after.is_none() {
            break;
        }
    }
    walked.at = Some(now);
    deps.ledger.walk(deps.here, &walked).await
}
