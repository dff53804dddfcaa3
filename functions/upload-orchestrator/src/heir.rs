//! Paying for a region that does not answer, or that does not get to what it was given.
//!
//! Rule: a region steps in only for rows that are long overdue, whose payer does not answer it, and
//! of whose object it is the first region to hold a whole copy: all that see the same pick the same.
//! Two that see different things may both pay, and the one that comes later finds the copy there.
//! From a region that answers, only what it was given as a relay is taken, and by who gave it.

use futures::{StreamExt as _, stream};
use sealane::{
    ports::{Clock, Head, Objects, Rows, RowsError},
    region::RegionName,
    replication::{Entry, Phase, payer},
    store::Versioned,
    time::Timestamp,
};

use crate::{
    Deps, Invocation,
    intake::look,
    relay::{Answering, take_back},
    source::{pinned, same_bytes},
    trouble::chain,
};

/// Rows read with one call.
const PAGE: usize = 100;
/// Rows looked into at once.
const AT_ONCE: usize = 16;

/// Makes rows of silent regions this region's own, as far as it can pay them.
pub(crate) async fn step_in<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
) -> Result<(), RowsError> {
    let now = deps.clock.now();
    let Some(overdue) = now.before(deps.policy.step_in_after) else { return Ok(()) };
    for silent in deps.full().into_iter().filter(|region| *region != deps.here) {
        let (mut from, mut is_silent, mut answering) = (None, None, Answering::default());
        while deps.has_time(invocation) {
            let page = deps.ledger.due(silent, overdue, from.as_ref(), PAGE).await?;
            let Some(first) = page.entries.first() else { break };
            let asked = match is_silent {
                Some(known) => known,
                None => does_not_answer(deps, silent, &first.value).await,
            };
            is_silent = Some(asked);
            if asked {
                let rows = stream::iter(page.entries).map(|row| inherit(deps, row, now));
                let inherited: usize =
                    rows.buffered(AT_ONCE).map(usize::from).collect::<Vec<_>>().await.iter().sum();
                tracing::warn!(region.name = %silent, rows = inherited, "stepped in for a region that does not answer");
            } else {
                for row in &page.entries {
                    if take_back(deps, row, &mut answering).await {
                        tracing::warn!(region.name = %silent, copy = %row.value, "took back what a relay does not get to");
                    }
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Whether the bucket that `row` would be copied from gives no answer.
async fn does_not_answer<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    payer: RegionName,
    row: &Entry,
) -> bool {
    match deps.buckets.get(&payer) {
        Some(bucket) => bucket.head(&row.source.key, None).await.is_err_and(|error| error.is_outage()),
        None => true,
    }
}

/// This region's copy of what `row` is about: what the key shows, or the version that was proved here
/// before another one was written on top of it.
async fn held<O: Objects, R: Rows, C: Clock>(deps: &Deps<O, R, C>, own: &O, row: &Entry) -> Option<Head> {
    let source = &row.source;
    let newest = own.head(&source.key, None).await.ok()??;
    if newest.checksum == source.checksum {
        return Some(newest);
    }
    let proved = deps.ledger.get(&row.object, deps.here).await.ok()??;
    let Phase::Verified { version_id: Some(version) } = proved.value.phase else { return None };
    own.head(&source.key, Some(&version)).await.ok()?
}

/// Makes `row` this region's own, if it is for this region to pay; whether it did.
async fn inherit<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    row: Versioned<Entry>,
    now: Timestamp,
) -> bool {
    let (source, destination) = (&row.value.source, row.value.destination);
    let Ok(own) = deps.own() else { return false };
    if destination == deps.here {
        return false;
    }
    let Some(head) = held(deps, own, &row.value).await else { return false };
    let mine = pinned(own, deps.here, &source.key, &head);
    if mine.checksum.is_none() || mine.checksum != source.checksum || !same_bytes(&mine, source) {
        return false;
    }
    let full = deps.full();
    let before = full.iter().copied().take_while(|region| *region != deps.here);
    let others: Vec<_> = before.filter(|region| ![source.region, destination].contains(region)).collect();
    let presence = look(deps, &source.key, &head, &others).await;
    if payer(&full, &presence) != Some(deps.here) {
        return false;
    }
    let Some(heir) = row.value.clone().inherited(mine, now) else { return false };
    match deps.ledger.swap(&row, &heir).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = chain(&error), copy = %row.value, "could not step in for a row");
            false
        }
    }
}
