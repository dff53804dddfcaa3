//! An upload from its first byte to its receipt.
//!
//! The source is read once for all regions. A region that fails, or would make
//! the others wait longer than one part may take, is left behind; when the
//! others are done, the next regions of the plan are fed by reading the source
//! again, and only if it still is what it was.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use futures::future::{join, join_all};
use tokio::sync::{mpsc, oneshot};

use super::{
    blocks::Whole,
    calls::Patience,
    journal::{Journal, Unkept},
    progress::Progress,
    reading::{HELD_UP_MIN, Line, feed, read_aside},
    resume,
    source::{Source, SourceError},
    trip::{End, Errand, Log, Trip},
};
use crate::{
    lease,
    ports::{Attributes, Clock, Metadata, Objects},
    region::RegionName,
    replication::{InvalidOrigin, META_REGIONS, META_UPLOAD, Origin, regions_value},
    retry::RetryBudgets,
    upload::{
        Event, Lane, Leftover, Note, ObjectKey, OutOfTurn, Plan, Policy, Reason, Receipt, Shipment, State,
        StorageClass, jitter, next_region,
    },
};

/// Blocks that wait for one region besides those in flight.
const QUEUE: usize = 2;

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
    /// How every copy is kept; `None` leaves that to the store.
    pub storage_class: Option<StorageClass>,
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
    ship_with(&Means { gate, budgets, journal: &Unkept }, source, buckets, order, progress, clock).await
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
    let shipped = ship_noting(means, source, buckets, order, progress, clock).await;
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

async fn ship_noting<O: Objects>(
    means: &Means<'_, impl Gate>,
    source: &Source,
    buckets: &BTreeMap<RegionName, O>,
    order: &Order,
    progress: &(dyn Fn(Progress) + Send + Sync),
    clock: &impl Clock,
) -> Result<Receipt, ShipError> {
    let Means { gate, budgets, journal } = *means;
    let Order { plan, policy, seed, .. } = order;
    if let Some(region) = plan.lanes.iter().chain(&plan.spare).find(|region| !buckets.contains_key(region)) {
        return Err(ShipError::NoBucket { region: *region });
    }
    let attributes = attributes(source, order)?;
    let errand = Errand {
        key: order.key.as_str(),
        upload_id: &order.upload_id,
        attributes: &attributes,
        concurrency: policy.concurrency,
        validate: policy.sync_validation,
        patience: Patience { limit: policy.part_timeout, seed: *seed, purse: None },
        budgets,
        journal,
        progress,
        clock,
    };
    let mut upload = Upload { order, lanes: Lane::all(plan), leftovers: Vec::new() };
    let mut known = None;
    let mut round = 0;
    let whole = loop {
        if round > 0 && !upload.waiting().is_empty() {
            tokio::time::sleep(jitter(policy.failover_delay, *seed, round)).await;
        }
        let regions = upload.let_in(gate, journal, progress, clock).await?;
        if let (Some(whole), true) = (known, regions.is_empty()) {
            break whole;
        }
        // With no region left this only reads on, so that the receipt names what was not shipped.
        let (read, logs) = pass(source, buckets, &errand, gate, &regions, (policy, known)).await;
        let moves = upload.record(logs, read.as_ref().err())?;
        tell(moves, journal, progress);
        match (read, known) {
            (Ok(found), _) => known = known.or(found),
            (Err(_), Some(whole)) => break whole,
            (Err(source), None) => return Err(ShipError::Source { source, leftovers: upload.leftovers }),
        }
        round += 1;
    };
    Ok(upload.receipt(whole))
}

/// Tells of lanes that went to other regions.
fn tell(moves: Vec<Progress>, journal: &dyn Journal, progress: &(dyn Fn(Progress) + Send + Sync)) {
    for moved in moves {
        if let Progress::Moved { from, to } = moved {
            journal.note(Note::Moved { from, to });
        }
        progress(moved);
    }
}

/// The type and metadata that every copy carries.
fn attributes(source: &Source, order: &Order) -> Result<Attributes, InvalidOrigin> {
    let metadata = Metadata::from([
        (META_UPLOAD.to_owned(), order.upload_id.clone()),
        (META_REGIONS.to_owned(), regions_value(order.plan.wanted())),
    ]);
    for region in &order.plan.lanes {
        Origin::of(*region, order.key.as_str(), &metadata)?;
    }
    let content_type = Some(source.content_type().to_owned());
    let storage_class = order.storage_class.map(|class| class.as_str().to_owned());
    Ok(Attributes { content_type, storage_class, metadata, ..Attributes::default() })
}

/// The lanes of an upload and what they left behind.
struct Upload<'a> {
    order: &'a Order,
    lanes: Vec<Lane>,
    leftovers: Vec<Leftover>,
}

impl Upload<'_> {
    /// The lanes that wait to be sent, with the region of each.
    fn waiting(&self) -> Vec<(usize, RegionName)> {
        let waiting = |(_, lane): &(usize, &Lane)| matches!(lane.state(), State::Waiting);
        self.lanes.iter().enumerate().filter(waiting).map(|(i, lane)| (i, lane.region())).collect()
    }

    /// The lanes to be sent now: those that wait, each moved on until a region lets it in
    /// or none is left.
    async fn let_in(
        &mut self,
        gate: &impl Gate,
        journal: &dyn Journal,
        progress: &(dyn Fn(Progress) + Send + Sync),
        clock: &impl Clock,
    ) -> Result<Vec<(usize, RegionName)>, OutOfTurn> {
        let mut inside: Vec<(usize, RegionName)> = Vec::new();
        loop {
            let new: Vec<_> = self.waiting().into_iter().filter(|lane| !inside.contains(lane)).collect();
            if new.is_empty() {
                return Ok(inside);
            }
            let entered = join_all(new.iter().map(|(_, region)| gate.enter(*region))).await;
            let mut refused = Vec::new();
            for ((lane, region), entered) in new.into_iter().zip(entered) {
                match entered {
                    Ok(()) => inside.push((lane, region)),
                    Err(reason) => {
                        progress(Progress::Dropped { region, reason: reason.clone() });
                        refused.push((lane, Log::refused(reason, clock.now())));
                    }
                }
            }
            tell(self.record(refused, None)?, journal, progress);
        }
    }

    /// Moves the lanes on by how their trips ended, and to their next regions.
    fn record(
        &mut self,
        logs: Vec<(usize, Log)>,
        spoilt: Option<&SourceError>,
    ) -> Result<Vec<Progress>, OutOfTurn> {
        let ended: Vec<usize> = logs.iter().map(|(i, _)| *i).collect();
        for (i, log) in logs {
            let next = self.next(i, spoilt);
            self.leftovers.extend(log.leftover);
            let lane = &mut self.lanes[i];
            lane.apply(Event::Begun(log.began))?;
            if log.sent {
                lane.apply(Event::Sent)?;
            }
            lane.apply(match (log.end, spoilt) {
                (End::Proved(stored), _) => Event::Proved(stored),
                (End::Failed(reason), _) => Event::Failed(reason),
                (End::LostSight(reason), _) => Event::LostSight(reason),
                (End::Dropped(_), Some(error)) => {
                    Event::GivenUp(Reason::SourceChanged { detail: error.to_string() })
                }
                (End::Dropped(reason), None) if next.is_some() => Event::Failed(reason),
                (End::Dropped(reason), None) => Event::GivenUp(reason),
            })?;
        }
        let mut moves = Vec::new();
        for i in ended {
            let (State::Failed(reason) | State::Unknown(reason)) = self.lanes[i].state().clone() else {
                continue;
            };
            let (from, next) = (self.lanes[i].region(), self.next(i, spoilt));
            self.lanes[i].apply(next.map_or(Event::GivenUp(reason), Event::MovedTo))?;
            moves.extend(next.map(|to| Progress::Moved { from, to }));
        }
        Ok(moves)
    }

    /// The region that would take over this lane.
    fn next(&self, lane: usize, spoilt: Option<&SourceError>) -> Option<RegionName> {
        let Order { plan, policy, .. } = self.order;
        next_region(plan, &self.lanes, lane, policy.cross_region_retries).filter(|_| spoilt.is_none())
    }

    fn receipt(self, whole: Whole) -> Receipt {
        let Whole { size, checksum, files } = whole;
        let Order { upload_id, key, plan, .. } = self.order;
        let shipment = Shipment { upload_id: upload_id.clone(), key: key.clone(), size, checksum, files };
        Receipt::judge(&shipment, plan, &self.lanes).leaving(self.leftovers)
    }
}

/// Reads the source once and feeds `regions`; says what it was, and how each trip ended. A region
/// is left when its own trip has ended.
///
/// Nothing is known of the whole when every trip ended before the source did.
async fn pass<O: Objects, C: Clock>(
    source: &Source,
    buckets: &BTreeMap<RegionName, O>,
    errand: &Errand<'_, C>,
    gate: &impl Gate,
    regions: &[(usize, RegionName)],
    (policy, expected): (&Policy, Option<Whole>),
) -> (Result<Option<Whole>, SourceError>, Vec<(usize, Log)>) {
    let mut lines = Vec::new();
    let mut trips = Vec::new();
    for (lane, region) in regions {
        let Some(bucket) = buckets.get(region) else { continue };
        let (feed, fed) = mpsc::channel(QUEUE);
        let (call_off, called_off) = oneshot::channel();
        let acked = Arc::new(AtomicU64::new(0));
        let trip = Trip::new(errand, *region, bucket, Arc::clone(&acked));
        trips.push(async move {
            let log = trip.run(fed, called_off).await;
            gate.leave(*region, log.outcome()).await;
            (*lane, log)
        });
        lines.push(Line { feed, call_off, acked });
    }
    let fed = async {
        let reading = read_aside(source, source.part_size(policy.part_size), policy.memory)?;
        // What an earlier run has sent goes past at the speed of the disk, which is no lane's pace.
        let patience_min = if errand.journal.resumed() { policy.part_timeout } else { HELD_UP_MIN };
        feed(source, reading, lines, expected, (policy.part_timeout, patience_min)).await
    };
    join(fed, join_all(trips)).await
}

#[cfg(test)]
#[path = "ship_tests.rs"]
mod tests;
