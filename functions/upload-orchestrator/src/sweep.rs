//! The sweep: pays what this region owes and what is due, and says how much is owed.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    emf::{By, Metric, Unit, line, uploads},
    lease::Done,
    ports::{Clock, Objects, Rows, RowsError},
    region::RegionName,
    replication::Entry,
    store::Versioned,
    time::Timestamp,
};
use serde::Serialize;

use crate::{
    Deps, Invocation, heir, inventory,
    pay::{Debt, Lanes, Tally, pay_all},
};

/// Rows read with one call: what fits into one answer.
const PAGE: usize = 500;
/// The time in which a batch comes to what it wrote down; what it does not is for the sweep.
const BATCH_TIME: Duration = Duration::from_secs(10);
/// Most owed rows that are counted; a region that owes more reports this many.
pub const OWED_MAX: usize = 10_000;

/// What one sweep did, and what it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sweep {
    /// Copies made and proved.
    pub copied: usize,
    /// Copies found whole and proved.
    pub found: usize,
    /// Rows given up because there is nothing to copy any more.
    pub void: usize,
    /// Tries that failed.
    pub failed: usize,
    /// Copies that are owed still, at most [`OWED_MAX`].
    pub owed: usize,
    /// How long the oldest of them has been owed, in seconds.
    pub oldest_age_s: u64,
}

/// Pays what is due; gives the copies that ended beside it, by destination.
///
/// Rows of a destination that does not answer are read over and not tried, so that they keep no
/// other destination's rows back. It is asked again every few seconds until the next sweep, so
/// that what it lacks is on its way as soon as it is back.
pub(crate) async fn sweep<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
) -> Result<(Sweep, BTreeMap<RegionName, Done>), RowsError> {
    let began = deps.clock.now();
    heir::step_in(deps, invocation).await?;
    inventory::go_on(deps, invocation).await?;
    let mut lanes = Lanes::default();
    let mut tally = pass(deps, invocation, began, &mut lanes).await?;
    while lanes.any_silent() && deps.has_time(invocation) && deps.clock.now().since(began) < deps.policy.vigil
    {
        (deps.pause)(deps.policy.ask_again_after).await;
        lanes.ask_again();
        tally.merge(pass(deps, invocation, began, &mut lanes).await?);
    }
    let owed = deps.ledger.owed(deps.here, OWED_MAX).await?;
    let oldest = oldest(&owed, deps.clock.now());
    let Tally { copied, found, void, failed, ended } = tally;
    let swept = Sweep { copied, found, void, failed, owed: owed.len(), oldest_age_s: oldest.as_secs() };
    Ok((swept, ended))
}

/// One pass over the rows that are due.
async fn pass<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    began: Timestamp,
    lanes: &mut Lanes,
) -> Result<Tally, RowsError> {
    let (now, mut tally, mut from) = (deps.clock.now(), Tally::default(), None);
    while deps.has_time(invocation) {
        let page = deps.ledger.due(deps.here, now, from.as_ref(), PAGE).await?;
        for problem in &page.unreadable {
            tracing::error!(error = problem, "passed over a row");
        }
        let rows = page.entries.into_iter().filter(|row| !is_at_work(&row.value, began, now));
        let rows = rows.map(|row| Debt { row, seen: None, ready: false }).collect();
        tally.merge(pay_all(deps, invocation, rows, lanes).await);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(tally)
}

/// Whether the batch that wrote the row down is most likely about to pay it: before this sweep `began`,
/// and a moment ago.
fn is_at_work(row: &Entry, began: Timestamp, now: Timestamp) -> bool {
    row.attempts == 0 && row.since < began && now.since(row.since) < BATCH_TIME
}

/// How long the oldest of `owed` has been owed.
fn oldest(owed: &[Versioned<Entry>], now: Timestamp) -> Duration {
    owed.iter().map(|row| now.since(row.value.since)).max().unwrap_or_default()
}

/// The metric line of a sweep.
#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch takes floating point, and no count comes near 2^53"
)]
pub(crate) fn metrics(region: &str, sweep: &Sweep, now: Timestamp) -> String {
    let metrics = [
        Metric { name: "OwedCopies", unit: Unit::Count, value: sweep.owed as f64 },
        Metric { name: "OldestUnreplicatedAge", unit: Unit::Seconds, value: sweep.oldest_age_s as f64 },
        Metric { name: "ReplicationFailures", unit: Unit::Count, value: sweep.failed as f64 },
    ];
    line(&[("Region", region)], &metrics, now)
}

/// The metric lines of copies that ended, by destination.
pub(crate) fn ended_metrics(
    here: RegionName,
    ended: &BTreeMap<RegionName, Done>,
    now: Timestamp,
) -> Vec<String> {
    ended.iter().flat_map(|(region, done)| uploads(here, *region, By::Replication, *done, now)).collect()
}

/// The metric line of a batch.
#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch takes floating point, and no count comes near 2^53"
)]
pub(crate) fn batch_metrics(region: &str, failed: usize, now: Timestamp) -> String {
    let metric = Metric { name: "ReplicationFailures", unit: Unit::Count, value: failed as f64 };
    line(&[("Region", region)], &[metric], now)
}
