//! Paying rows: a lane for each destination, so that a slow one keeps no other back.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use sealane::{
    lease::{Done, Outcome},
    ports::{Clock, Objects, Rows},
    region::RegionName,
    replication::{Entry, Pace},
    store::Versioned,
    units::ByteSize,
};

use crate::{
    Deps, Invocation,
    job::{Job, Payment},
    relay,
    source::Sight,
    turn::{Turn, lines, turn},
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
            Payment::Failed | Payment::Slow | Payment::Outage => self.failed += 1,
            Payment::Left | Payment::Waits => {}
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.copied += other.copied;
        self.found += other.found;
        self.void += other.void;
        self.failed += other.failed;
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
            Payment::Failed | Payment::Slow | Payment::Outage => Some(Outcome::Failed),
            Payment::Verified { copied: false } | Payment::Void | Payment::Left | Payment::Waits => None,
        }
    }
}

/// A row to be paid.
#[derive(Debug)]
pub(crate) struct Debt {
    pub(crate) row: Versioned<Entry>,
    /// Its source, if this invocation has seen it already and need not look again before the copy.
    pub(crate) seen: Option<Sight>,
    /// Whether the row of the version below is known to be settled.
    pub(crate) ready: bool,
}

/// How fast each destination is paid, over all the rows of an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lanes(BTreeMap<RegionName, Pace>);

impl Lanes {
    /// Whether a destination has fallen silent.
    pub(crate) fn any_silent(&self) -> bool {
        self.0.values().any(|pace| pace.is_stopped())
    }

    /// Asks those that fell silent once more, with one copy each.
    pub(crate) fn ask_again(&mut self) {
        self.0.values_mut().for_each(|pace| *pace = pace.again());
    }
}

/// Pays `rows` as far as time allows; those of destinations that have fallen silent are left alone.
pub(crate) async fn pay_all<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    rows: Vec<Debt>,
    lanes: &mut Lanes,
) -> Tally {
    let mut owed: BTreeMap<RegionName, Vec<Debt>> = BTreeMap::new();
    for row in rows {
        let destination = row.row.value.destination;
        if deps.is_payable(destination) {
            owed.entry(destination).or_default().push(row);
        }
    }
    let first = Pace::new(deps.policy.copies_at_once);
    let paid = owed.into_iter().map(async |(destination, rows)| {
        let pace = lanes.0.get(&destination).copied().unwrap_or(first);
        (destination, lane(deps, invocation, destination, rows, pace).await)
    });
    let paid = join_all(paid).await;
    paid.into_iter().fold(Tally::default(), |mut sum, (destination, (tally, pace))| {
        lanes.0.insert(destination, pace);
        sum.merge(tally);
        sum
    })
}

/// Pays the rows of one destination, as many at once as it bears, until it falls silent: those of one key
/// one after the other.
async fn lane<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    destination: RegionName,
    rows: Vec<Debt>,
    mut pace: Pace,
) -> (Tally, Pace) {
    let (mut tally, mut lines, mut at_work) = (Tally::default(), lines(rows), FuturesUnordered::new());
    loop {
        while at_work.len() < pace.at_once() && deps.has_time(invocation) {
            let Some(mut line) = lines.pop_front() else { break };
            let Some(debt) = line.pop_front() else { continue };
            let object = debt.row.value.object.clone();
            // Boxed: a payment's state is large, and there are many at once.
            let paid = Box::pin(pay(deps, invocation, debt));
            at_work.push(async move { (paid.await, object, line) });
        }
        let Some(((payment, work), object, mut line)) = at_work.next().await else { return (tally, pace) };
        if let Some(felt) = payment.felt() {
            pace = pace.after(felt);
        }
        tally.count(destination, &payment, work);
        if let Some(next) = line.front_mut() {
            next.ready |= payment.settles() && next.row.value.after == Some(object);
            lines.push_front(line);
        }
    }
}

async fn pay<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    Debt { row, seen, ready }: Debt,
) -> (Payment, Work) {
    let nothing = Work { size: ByteSize(0), took: Duration::ZERO };
    let Some(row) = relay::ready(deps, row).await else { return (Payment::Left, nothing) };
    let debt = Debt { row, seen, ready };
    let fed = relay::Fed::by(&debt.row.value);
    // A copy that is gone on with moved some of its bytes earlier: its rate is not known.
    let row = &debt.row.value;
    let size = if row.multipart.is_none() { row.source.size } else { ByteSize(0) };
    let turn = turn(deps, &debt).await;
    let began = deps.clock.now();
    let payment = match turn {
        Turn::Wait => Payment::Waits,
        Turn::ToBeFound if !Job::may_be_there(deps, row).await => Payment::Waits,
        Turn::ToBeFound | Turn::Now => match Job::claim(deps, invocation, debt.row).await {
            Some(job) => job.finish(debt.seen, turn).await,
            None => Payment::Left,
        },
    };
    if let (Some(fed), Payment::Verified { .. }) = (fed, &payment) {
        fed.hand_over(deps).await;
    }
    let took = if size.0 == 0 { Duration::ZERO } else { deps.clock.now().since(began) };
    (payment, Work { size, took })
}
