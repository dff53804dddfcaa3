//! An upload from its first byte to its receipt.
//!
//! What is shipped, through what, and what is left when it has ended; the way itself is in
//! [`voyage`](super::voyage).

use std::{collections::BTreeMap, fmt};

use super::{
    journal::{Journal, Unkept},
    pacing::Rates,
    progress::Progress,
    resume,
    source::{Source, SourceError},
    voyage,
};
use crate::{
    lease,
    ports::{Clock, Objects},
    region::RegionName,
    replication::InvalidOrigin,
    retry::RetryBudgets,
    upload::{Classes, Leftover, ObjectKey, OutOfTurn, Plan, Policy, Reason, Receipt},
};

/// What is to be shipped where.
#[derive(Debug, Clone)]
pub struct Order {
    /// The id of the upload: 1 to 64 letters, digits, dashes and underscores.
    pub upload_id: String,
    /// The key in every region.
    pub key: ObjectKey,
    /// The regions, and how many copies make a success.
    pub plan: Plan,
    /// How hard to try.
    pub policy: Policy,
    /// How the copies are kept; what is not said is left to the store.
    pub classes: Classes,
    /// Spreads the waits of uploads that fail together.
    pub seed: u64,
}

/// Why there is no receipt: nothing is verified anywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShipError {
    /// The source could not be read, or changed, before any copy was completed.
    #[error("the source could not be shipped")]
    Source {
        /// What is wrong with it.
        #[source]
        source: SourceError,
        /// Unfinished multipart uploads that are, or may be, left behind.
        leftovers: Vec<Leftover>,
    },
    /// The plan names a region without a bucket.
    #[error("the plan names `{region}`, which has no bucket (set `bucket` of that region)")]
    NoBucket {
        /// The region.
        region: RegionName,
    },
    /// The order does not fit into the object's metadata.
    #[error("the upload cannot be named in its metadata")]
    Metadata(#[from] InvalidOrigin),
    /// A lane was moved on out of turn: a defect of this library.
    #[error("the upload lost count of its lanes")]
    Lanes(#[from] OutOfTurn),
}

/// Who lets lanes into regions.
pub trait Gate: Sync {
    /// Lets a lane into `region`, or says why not.
    fn enter(&self, region: RegionName) -> impl Future<Output = Result<(), Reason>> + Send;
    /// The lane that was let into `region` has ended there.
    fn leave(&self, region: RegionName, outcome: lease::Outcome) -> impl Future<Output = ()> + Send;
}

/// What an upload goes through besides the network.
pub struct Means<'a, G> {
    /// Who lets lanes into regions.
    pub gate: &'a G,
    /// What repeats are paid from; the uploads of one process share it.
    pub budgets: &'a RetryBudgets,
    /// How fast each region is sent to; the uploads of one process share it.
    pub rates: &'a Rates,
    /// What a later run is told.
    pub journal: &'a dyn Journal,
}

impl<G> fmt::Debug for Means<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").finish_non_exhaustive()
    }
}

/// Lets every lane in.
#[derive(Debug, Clone, Copy)]
struct Ungated;

impl Gate for Ungated {
    async fn enter(&self, _region: RegionName) -> Result<(), Reason> {
        Ok(())
    }

    async fn leave(&self, _region: RegionName, _outcome: lease::Outcome) {}
}

/// Ships `source` by `order` and says what came of it.
///
/// A receipt is no success by itself: its outcome may be `failed` or `unknown`.
/// Reading the source takes a thread of its own until it ends.
///
/// Repeats are paid from budgets of this upload's own; see [`ship_through`].
pub async fn ship<O: Objects>(
    source: &Source,
    buckets: &BTreeMap<RegionName, O>,
    order: &Order,
    progress: &(dyn Fn(Progress) + Send + Sync),
    clock: &impl Clock,
) -> Result<Receipt, ShipError> {
    ship_through(&Ungated, &RetryBudgets::default(), source, buckets, order, progress, clock).await
}

/// As [`ship`], into the regions that `gate` lets the lanes into; one that it does not is a try
/// that failed, and the lane goes to the next region.
///
/// Repeats are paid from `budgets`, which the uploads of one process share. A region
/// whose budget is spent is not asked again: the copy goes to the next region of the
/// plan, and the receipt says why.
pub async fn ship_through<O: Objects>(
    gate: &impl Gate,
    budgets: &RetryBudgets,
    source: &Source,
    buckets: &BTreeMap<RegionName, O>,
    order: &Order,
    progress: &(dyn Fn(Progress) + Send + Sync),
    clock: &impl Clock,
) -> Result<Receipt, ShipError> {
    let means = Means { gate, budgets, rates: &Rates::new([]), journal: &Unkept };
    ship_with(&means, source, buckets, order, progress, clock).await
}

/// As [`ship_through`], and writes down in the journal what a later run needs to go on. If there
/// was an earlier run, only what the stores do not have of it is sent. At the end nothing that the
/// journal names is left unfinished, or the receipt names it.
///
/// The order has to be that of the earlier run, and its source unchanged: parts are compared, and
/// what differs is sent again.
pub async fn ship_with<O: Objects>(
    means: &Means<'_, impl Gate>,
    source: &Source,
    buckets: &BTreeMap<RegionName, O>,
    order: &Order,
    progress: &(dyn Fn(Progress) + Send + Sync),
    clock: &impl Clock,
) -> Result<Receipt, ShipError> {
    let shipped = voyage::sail(means, source, buckets, order, progress, clock).await;
    // Nothing was tried, so what an earlier run has sent is good to go on with.
    if let Err(ShipError::NoBucket { .. } | ShipError::Metadata(_)) = shipped {
        return shipped;
    }
    let tidied = resume::tidy(buckets, order.key.as_str(), means.journal, order.seed).await;
    match shipped {
        Ok(receipt) if means.journal.keeps() => Ok(receipt.leaving(tidied)),
        Err(ShipError::Source { source, .. }) if means.journal.keeps() => {
            Err(ShipError::Source { source, leftovers: tidied })
        }
        unkept => unkept,
    }
}

#[cfg(test)]
#[path = "ship_tests.rs"]
mod tests;
