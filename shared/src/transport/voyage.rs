//! The way of an upload: lanes are let in, fed by readings of the source, and sent on when they fail.
//!
//! The source is read once for all regions that begin together. A region that fails, or would make
//! the others wait longer than one part may take, is left behind, and the next region of the plan
//! begins at once, fed by a reading of its own, while the others go on. All readings have to give
//! the same, and share the memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use futures::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt as _},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    blocks::Whole,
    calls::Patience,
    digest,
    lanes::{Answer, Lanes, Seat},
    progress::Progress,
    reading::{HELD_UP_MIN, Line, feed, read_aside},
    room::Rooms,
    ship::{Gate, Means, Order, ShipError},
    source::{Source, SourceError},
    trip::{Ended, Errand, Feed, Trip},
};
use crate::{
    lease,
    ports::{Attributes, Clock, Metadata, Objects},
    region::RegionName,
    replication::{BY_RULE, InvalidOrigin, META_CLASS, META_REGIONS, META_UPLOAD, Origin, regions_value},
    units::ByteSize,
    upload::{Classes, Leftover, META_SHA256, Policy, Reason, Receipt, wait_max},
};

/// Blocks that wait for one region besides those in flight.
const QUEUE: usize = 2;

/// Ships `source` by `order` and says what came of it.
pub(super) async fn sail<O: Objects>(
    means: &Means<'_, impl Gate>,
    source: &Source,
    buckets: &BTreeMap<RegionName, O>,
    order: &Order,
    progress: &(dyn Fn(Progress) + Send + Sync),
    clock: &impl Clock,
) -> Result<Receipt, ShipError> {
    let Order { plan, policy, seed, .. } = order;
    if let Some(region) = plan.lanes.iter().chain(&plan.spare).find(|region| !buckets.contains_key(region)) {
        return Err(ShipError::NoBucket { region: *region });
    }
    let mut attributes = attributes(source, order)?;
    let known = OnceLock::new();
    let sha256 = if policy.sha256 {
        let summed = digest::of_source(source, source.part_size(policy.part_size)).await;
        let spoilt = |source| ShipError::Source { source, leftovers: Vec::new() };
        let (sum, whole) = summed.map_err(spoilt)?;
        attributes.metadata.insert(META_SHA256.to_owned(), sum.to_string());
        known.get_or_init(|| whole);
        Some(sum)
    } else {
        None
    };
    let (elsewhere, rooms) = (AtomicBool::new(false), Rooms::of(policy.memory));
    let errand = Errand {
        key: order.key.as_str(),
        upload_id: &order.upload_id,
        attributes: &attributes,
        classes: &order.classes,
        concurrency: (policy.concurrency, policy.in_flight_max(source.part_size(policy.part_size))),
        validate: policy.sync_validation,
        patience: Patience { limit: policy.part_timeout, seed: *seed, purse: None, elsewhere: None },
        budgets: means.budgets,
        rates: means.rates,
        journal: means.journal,
        progress,
        clock,
    };
    let voyage = Voyage {
        source,
        buckets,
        errand,
        gate: means.gate,
        policy,
        rooms: &rooms,
        known: &known,
        elsewhere: &elsewhere,
        lanes: Lanes::new(order, &elsewhere, means.journal, progress),
    };
    Ok(voyage.run().await?.with_sha256(sha256))
}

/// The type and metadata that every copy carries; its class is that of its region.
fn attributes(source: &Source, order: &Order) -> Result<Attributes, InvalidOrigin> {
    let mut metadata = Metadata::from([
        (META_UPLOAD.to_owned(), order.upload_id.clone()),
        (META_REGIONS.to_owned(), regions_value(order.plan.wanted())),
    ]);
    if matches!(order.classes, Classes::Each(_)) {
        metadata.insert(META_CLASS.to_owned(), BY_RULE.to_owned());
    }
    for region in &order.plan.lanes {
        Origin::of(*region, order.key.as_str(), &metadata)?;
    }
    let content_type = Some(source.content_type().to_owned());
    Ok(Attributes { content_type, metadata, ..Attributes::default() })
}

/// An upload that is under way.
struct Voyage<'a, O, G> {
    source: &'a Source,
    buckets: &'a BTreeMap<RegionName, O>,
    errand: Errand<'a>,
    gate: &'a G,
    policy: &'a Policy,
    rooms: &'a Rooms,
    /// What the source is, once a reading came to its end.
    known: &'a OnceLock<Whole>,
    elsewhere: &'a AtomicBool,
    lanes: Lanes<'a>,
}

impl<'a, O: Objects, G: Gate> Voyage<'a, O, G> {
    async fn run(mut self) -> Result<Receipt, ShipError> {
        let mut boarding = FuturesUnordered::new();
        let mut trips = FuturesUnordered::new();
        let mut readings = FuturesUnordered::new();
        let mut clearing = FuturesUnordered::new();
        let mut for_nobody = false;
        boarding.push(board(self.gate, Duration::ZERO, Vec::new(), self.lanes.waiting()));
        loop {
            tokio::select! {
                Some((inside, asked)) = boarding.next() => {
                    let (inside, again) = self.lanes.seated(inside, asked, self.errand.clock.now())?;
                    if !again.is_empty() {
                        boarding.push(board(self.gate, Duration::ZERO, inside, again));
                    } else if !inside.is_empty() {
                        let (lines, new) = self.embark(&inside);
                        trips.extend(new);
                        readings.push(self.reading(lines));
                    }
                }
                Some((lane, ended, trip)) = trips.next() => {
                    clearing.push(clear(self.gate, trip, ended.outcome()));
                    self.rooms.share_out();
                    if let Some((pause, seat)) = self.lanes.ended(lane, ended)? {
                        boarding.push(board(self.gate, pause, Vec::new(), vec![seat]));
                    }
                }
                Some(read) = readings.next() => self.lanes.read(read),
                Some(leftover) = clearing.next() => self.lanes.left(leftover),
                // With no region left this only reads on, so that the receipt names what was not shipped.
                else => if self.known.get().is_some() || self.lanes.is_spoilt() || for_nobody {
                    break;
                } else {
                    for_nobody = true;
                    readings.push(self.reading(Vec::new()));
                }
            }
        }
        match self.known.get() {
            Some(whole) => Ok(self.lanes.receipt(*whole)),
            None => Err(self.lanes.unread(self.source.path())),
        }
    }

    /// A trip for each lane that was let in, and the lines to feed them.
    fn embark(
        &self,
        inside: &[Seat],
    ) -> (Vec<Line>, Vec<impl Future<Output = Travelled<'a, O>> + use<'a, O, G>>) {
        let embark = |seat: &Seat| {
            let bucket = self.buckets.get(&seat.region)?;
            let (feed, fed) = mpsc::channel(QUEUE);
            let (call_off, called_off) = oneshot::channel();
            let acked = Arc::new(AtomicU64::new(0));
            let elsewhere = seat.may_move.then_some(self.elsewhere);
            let trip = Trip::new(self.errand, seat.region, bucket, Arc::clone(&acked), elsewhere);
            let slack = self.slack(seat.region);
            Some((Line { feed, call_off, acked, slack }, travel(seat.lane, trip, fed, called_off)))
        };
        inside.iter().filter_map(embark).unzip()
    }

    /// What a region's own rate makes a lane wait for before it takes a block.
    fn slack(&self, region: RegionName) -> Duration {
        let blocks = (self.errand.concurrency.1 + QUEUE + 1) as u64;
        let bytes = self.source.part_size(self.policy.part_size).0.saturating_mul(blocks);
        self.errand.rates.time_for(region, ByteSize(bytes.min(self.source.size_max().0)))
    }

    fn reading(&self, lines: Vec<Line>) -> impl Future<Output = Result<(), SourceError>> + use<'a, O, G> {
        read((self.source, self.policy), self.rooms, self.known, self.errand.journal.resumed(), lines)
    }
}

/// How a lane's trip ended, with what it may have to clear up.
type Travelled<'a, O> = (usize, Ended, Trip<'a, O>);

/// How the gate answered: the lanes that were inside before, and each that asked.
type Boarded = (Vec<Seat>, Vec<Answer>);

/// Asks the gate for each of `asked`, after a pause.
async fn board(gate: &impl Gate, pause: Duration, inside: Vec<Seat>, asked: Vec<Seat>) -> Boarded {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let entered = asked.into_iter().map(async |seat| (seat, gate.enter(seat.region).await));
    (inside, join_all(entered).await)
}

async fn travel<O: Objects>(
    lane: usize,
    trip: Trip<'_, O>,
    fed: mpsc::Receiver<Feed>,
    called_off: oneshot::Receiver<Reason>,
) -> Travelled<'_, O> {
    let ended = trip.run(fed, called_off).await;
    (lane, ended, trip)
}

/// Frees what a trip leaves behind, while the next region may be sent to already.
async fn clear<O: Objects>(gate: &impl Gate, trip: Trip<'_, O>, outcome: lease::Outcome) -> Option<Leftover> {
    let leftover = trip.clear_up().await;
    gate.leave(trip.region, outcome).await;
    leftover
}

/// Reads the source once and feeds `lines`.
///
/// Nothing is known of the whole when every trip ended before the source did.
async fn read(
    (source, policy): (&Source, &Policy),
    rooms: &Rooms,
    known: &OnceLock<Whole>,
    resumed: bool,
    lines: Vec<Line>,
) -> Result<(), SourceError> {
    let (part_size, room) = (source.part_size(policy.part_size), rooms.open());
    let limit = wait_max(policy.part_timeout, part_size);
    // What an earlier run has sent goes past at the speed of the disk, which is no lane's pace.
    let patience_min = if resumed { limit } else { HELD_UP_MIN };
    let fed = async {
        let reading = read_aside(source, part_size, room.clone())?;
        feed(source, reading, lines, known, (limit, patience_min)).await
    };
    let fed = fed.await;
    rooms.close(&room);
    fed.map(drop)
}

#[cfg(test)]
#[path = "voyage_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "voyage_source_tests.rs"]
mod source_tests;
