//! Paying rows: a lane for each destination, so that a slow one keeps no other back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use sealane::{
    lease::{Done, Outcome},
    ports::{Clock, Objects, Rows},
    region::RegionName,
    replication::Entry,
    store::Versioned,
    units::ByteSize,
};

use crate::{
    Deps, Invocation,
    job::{Job, Payment},
};

/// What came of some rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Copies made and proved.
    pub(crate) copied: usize,
    /// Copies found whole and proved.
    pub(crate) found: usize,
    /// Rows given up because there is nothing to copy.
    pub(crate) void: usize,
    /// Tries that failed.
    pub(crate) failed: usize,
    /// Destinations that did not answer.
    pub(crate) down: BTreeSet<RegionName>,
    /// The copies that were made or failed, by destination.
    pub(crate) ended: BTreeMap<RegionName, Done>,
}

impl Tally {
    fn count(&mut self, destination: RegionName, payment: &Payment, work: Work) {
        if let Some(outcome) = work.outcome(payment) {
            let ended = self.ended.entry(destination).or_default();
            *ended = ended.with(outcome);
        }
        match payment {
            Payment::Verified { copied: true } => self.copied += 1,
            Payment::Verified { copied: false } => self.found += 1,
            Payment::Void => self.void += 1,
            Payment::Failed => self.failed += 1,
            Payment::Outage => {
                self.failed += 1;
                self.down.insert(destination);
            }
            Payment::Left => {}
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.copied += other.copied;
        self.found += other.found;
        self.void += other.void;
        self.failed += other.failed;
        self.down.extend(other.down);
        for (destination, done) in other.ended {
            let ended = self.ended.entry(destination).or_default();
            *ended = ended.and(done);
        }
    }
}

/// What one try had to move, and for how long it worked.
#[derive(Debug, Clone, Copy)]
struct Work {
    size: ByteSize,
    took: Duration,
}

impl Work {
    /// How the try ended, if it made a copy or failed to.
    const fn outcome(self, payment: &Payment) -> Option<Outcome> {
        match payment {
            Payment::Verified { copied: true } => Some(Outcome::Shipped { size: self.size, took: self.took }),
            Payment::Failed | Payment::Outage => Some(Outcome::Failed),
            Payment::Verified { copied: false } | Payment::Void | Payment::Left => None,
        }
    }
}

/// Pays `rows` as far as time allows; those of destinations in `down` are left alone.
pub(crate) async fn pay_all<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    rows: Vec<Versioned<Entry>>,
    down: &BTreeSet<RegionName>,
) -> Tally {
    let mut lanes: BTreeMap<RegionName, Vec<Versioned<Entry>>> = BTreeMap::new();
    for row in rows {
        let destination = row.value.destination;
        if deps.is_payable(destination) && !down.contains(&destination) {
            lanes.entry(destination).or_default().push(row);
        }
    }
    let lanes = lanes.into_iter().map(|(destination, rows)| lane(deps, invocation, destination, rows));
    join_all(lanes).await.into_iter().fold(Tally::default(), |mut sum, lane| {
        sum.merge(lane);
        sum
    })
}

/// Pays the rows of one destination until it does not answer: the first one alone, so that a
/// region that is down is asked once and not by all of them.
async fn lane<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    destination: RegionName,
    rows: Vec<Versioned<Entry>>,
) -> Tally {
    let (mut tally, mut rows, mut at_once) = (Tally::default(), rows.into_iter(), 1);
    while tally.down.is_empty() && deps.has_time(invocation) {
        let wave: Vec<_> = rows.by_ref().take(at_once).collect();
        if wave.is_empty() {
            break;
        }
        // Boxed: a payment's state is large, and there are several in a wave.
        let wave = wave.into_iter().map(|row| Box::pin(pay(deps, invocation, row)));
        let payments = join_all(wave).await;
        payments.iter().for_each(|(payment, work)| tally.count(destination, payment, *work));
        at_once = deps.policy.copies_at_once.max(1);
    }
    tally
}

async fn pay<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    row: Versioned<Entry>,
) -> (Payment, Work) {
    // A copy that is gone on with moved some of its bytes earlier: its rate is not known.
    let size = if row.value.multipart.is_none() { row.value.source.size } else { ByteSize(0) };
    let began = deps.clock.now();
    let payment = match Job::claim(deps, invocation, row).await {
        Some(job) => job.finish().await,
        None => Payment::Left,
    };
    let took = if size.0 == 0 { Duration::ZERO } else { deps.clock.now().since(began) };
    (payment, Work { size, took })
}
