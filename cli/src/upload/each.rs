//! `sealane upload --each`: the files of a folder as objects of their own, with one receipt for all.
//!
//! Small files go several at a time over the same connections, a file of several parts by itself, so
//! that memory stays that of one upload. A region is entered once for all of them.

use std::{collections::BTreeMap, time::Duration};

use futures::stream::{self, StreamExt as _};
use sealane::{
    aws::SystemClock,
    config::Config,
    lease::Outcome as LeaseOutcome,
    ports::Clock as _,
    region::RegionName,
    retry::RetryBudgets,
    time::Timestamp,
    transport::{
        BatchFile, Gate, Journal, Journals, Leases, Means, Order, Progress, Rates, Source, Unkept, ship_with,
    },
    units::ByteSize,
    upload::{Batch, ObjectKey, Reason, Receipt, Unshipped},
};
use tokio::sync::Mutex;

use super::{
    Args, Job,
    batch::{self, Earlier},
    job,
};
use crate::{console::Console, exit::Exit, fault::Fault, signals, telling::Telling};

/// Small files in flight at once unless `--jobs` says otherwise.
const JOBS: u16 = 16;

/// What came of one file: its place in the folder, its key, and its receipt.
pub(super) type Done = (usize, String, Result<Receipt, Fault>);

/// Ships each file of a folder, but for those that an earlier run has shipped, and prints the receipts.
pub(super) async fn run(
    args: Args,
    config: Config,
    console: Console,
    journals: &Journals,
    earlier: Option<Earlier>,
) -> Result<Exit, Fault> {
    let job = Job::planned(args.path(), &args, config).await?;
    let ids = earlier.as_ref().map_or_else(|| job.order.upload_id.clone(), |earlier| earlier.ids(&job));
    let objects = objects(&job, args.keys(&job.source)?, &ids)?;
    let plan_of = |(_, order): &(Source, Order)| (order.key.clone(), order.plan.clone());
    let plans: BTreeMap<_, _> = objects.iter().map(plan_of).collect();
    let (mut shipped, mut lacking) = match &earlier {
        Some(earlier) => earlier.split(objects),
        None => (Vec::new(), objects.into_iter().enumerate().collect()),
    };
    let gone = earlier.as_ref().map(|earlier| earlier.gone(&plans)).unwrap_or_default();
    let log = match earlier {
        Some(Earlier { file, .. }) => {
            batch::take_up(journals, file.record(), &job, &mut lacking).await?;
            Some(file)
        }
        None => args.begun_batch(journals, &job),
    };
    shipped.extend(sent(&job, &args, (journals, log.as_ref()), lacking, console).await?);
    shipped.sort_by_key(|(place, ..)| *place);
    let id = log.as_ref().map_or(ids, |log| log.record().batch_id.clone());
    let batch = summed_up(id, shipped, gone);
    console.show(&batch)?;
    args.receipt.map(|file| super::keep(&batch, file)).transpose()?;
    batch::ended(log, &batch);
    let of_receipt =
        |receipt: &Receipt| super::exit(receipt, plans.get(&receipt.key).unwrap_or(&job.order.plan));
    let exits = batch.receipts.iter().map(of_receipt);
    let lost = (!batch.unshipped.is_empty()).then_some(Exit::Failed);
    Ok(exits.chain(lost).max_by_key(|exit| severity(*exit)).unwrap_or(Exit::Done))
}

/// The batch of what came of its files. What was shipped of files that are gone by now comes last.
fn summed_up(id: String, done: Vec<Done>, gone: Vec<Receipt>) -> Batch {
    let (mut receipts, mut unshipped) = (Vec::new(), Vec::new());
    for (_, key, one) in done {
        match one {
            Ok(receipt) => receipts.push(receipt),
            Err(fault) => unshipped.push(Unshipped { key, reason: fault.on_one_line() }),
        }
    }
    receipts.extend(gone);
    Batch::of(id, receipts, unshipped)
}

/// Which of several exits is the one to tell.
const fn severity(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Degraded => 1,
        Exit::Unknown => 2,
        Exit::Usage | Exit::Failed => 3,
        Exit::Stopped => 4,
    }
}

/// Each file with its order; the rules may send each elsewhere.
fn objects(job: &Job, keys: Vec<ObjectKey>, ids: &str) -> Result<Vec<(Source, Order)>, Fault> {
    let one = |(number, ((_, source), key)): (usize, ((String, Source), ObjectKey))| {
        Ok((source, job.order_of(key, format!("{ids}-{number}"))?))
    };
    job.source.each().into_iter().zip(keys).enumerate().map(one).collect()
}

/// Ships all objects, with one lease a region for all of them.
async fn sent(
    job: &Job,
    args: &Args,
    (journals, log): (&Journals, Option<&BatchFile>),
    objects: Vec<(usize, (Source, Order))>,
    console: Console,
) -> Result<Vec<Done>, Fault> {
    let world = &job.world;
    let size = objects.iter().map(|(_, (source, _))| source.totals().size.0).sum();
    let telling = Telling::new(console.is_json(), ByteSize(size));
    let (id, holder) = (&job.order.upload_id, format!("sealane upload {}", job.order.key.as_str()));
    let leases = Leases::new(&world.config, world.leases(), &SystemClock, id, &holder, args.bandwidth);
    let doors = Doors { gate: &leases, began: SystemClock.now(), entered: Mutex::default() };
    let explained = |receipt: Receipt| receipt.without_leases(leases.without()).explaining(job.left_out());
    let shared = Shared {
        job,
        doors: &doors,
        budgets: RetryBudgets::default(),
        rates: job.rates(args.bandwidth),
        telling: &telling,
        shipped: Mutex::default(),
        log,
        explained: &explained,
    };
    let jobs = usize::from(args.jobs.unwrap_or(JOBS));
    let done = tokio::select! {
        done = shared.all(journals, objects, jobs) => done,
        never = leases.keep() => match never {},
        () = signals::stop() => {
            telling.clear();
            leases.give_all_back().await;
            return Err(Fault::Stopped { resume: log.map(|log| log.record().batch_id.clone()) });
        }
    };
    telling.clear();
    doors.leave(&*shared.shipped.lock().await).await;
    Ok(done)
}

/// What the uploads of one batch share.
struct Shared<'a, G> {
    job: &'a Job,
    doors: &'a Doors<'a, G>,
    budgets: RetryBudgets,
    rates: Rates,
    telling: &'a Telling,
    /// Bytes that each region has whole.
    shipped: Mutex<BTreeMap<RegionName, ByteSize>>,
    /// Where each file is noted that came to its receipt.
    log: Option<&'a BatchFile>,
    /// Says in a receipt what only this run knows.
    explained: &'a dyn Fn(Receipt) -> Receipt,
}

impl<G: Gate> Shared<'_, G> {
    /// Every object: first those of several parts, one after the other, then the small ones.
    async fn all(
        &self,
        journals: &Journals,
        objects: Vec<(usize, (Source, Order))>,
        jobs: usize,
    ) -> Vec<Done> {
        let buckets = self.job.world.buckets();
        let ship = async |(place, (source, order)): (usize, (Source, Order))| {
            let (key, large) = (order.key.as_str().to_owned(), is_large(&source, &order));
            let journal = large.then(|| job::taken_up(journals, &order, &source)).flatten();
            let kept: &dyn Journal = journal.as_ref().map_or(&Unkept, |journal| journal);
            let means = Means { gate: self.doors, budgets: &self.budgets, rates: &self.rates, journal: kept };
            let size = source.totals().size;
            let verified = std::sync::Mutex::new(Vec::new());
            let progress = |news: Progress| match news {
                Progress::Verified { region } => held(&verified).push(region),
                Progress::Dropped { .. } | Progress::Moved { .. } => self.telling.show(news),
                Progress::Began { .. }
                | Progress::Sent { .. }
                | Progress::Received { .. }
                | Progress::Verifying { .. } => {}
            };
            let receipt = ship_with(&means, &source, &buckets, &order, &progress, &SystemClock).await;
            let regions = std::mem::take(&mut *held(&verified));
            self.count(regions, size).await;
            let receipt = receipt.map(self.explained);
            if let (Ok(receipt), Some(log)) = (&receipt, self.log) {
                log.note(source.print(), receipt, SystemClock.now());
            }
            if let (Ok(receipt), Some(journal)) = (&receipt, journal) {
                job::ended(journal, receipt);
            }
            (place, key, receipt.map_err(Fault::from))
        };
        let (large, small): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|(_, (source, order))| is_large(source, order));
        let mut done = Vec::new();
        for one in large {
            done.push(ship(one).await);
        }
        done.extend(
            stream::iter(small.into_iter().map(&ship)).buffer_unordered(jobs).collect::<Vec<_>>().await,
        );
        done
    }

    /// Tells of the bytes that regions have whole by now.
    async fn count(&self, regions: Vec<RegionName>, size: ByteSize) {
        let mut shipped = self.shipped.lock().await;
        for region in regions {
            let bytes = shipped.entry(region).or_insert(ByteSize(0));
            bytes.0 += size.0;
            self.telling.show(Progress::Sent { region, bytes: *bytes });
        }
    }
}

fn is_large(source: &Source, order: &Order) -> bool {
    source.size_max() > order.policy.part_size
}

fn held<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Enters each region once for the whole batch.
struct Doors<'a, G> {
    gate: &'a G,
    began: Timestamp,
    entered: Mutex<BTreeMap<RegionName, Result<(), Reason>>>,
}

impl<G: Gate> Doors<'_, G> {
    /// Leaves every region that was entered.
    async fn leave(&self, shipped: &BTreeMap<RegionName, ByteSize>) {
        let took: Duration = SystemClock.now().since(self.began);
        for (region, entered) in &*self.entered.lock().await {
            if entered.is_ok() {
                let whole = shipped.get(region).map(|size| LeaseOutcome::Shipped { size: *size, took });
                self.gate.leave(*region, whole.unwrap_or(LeaseOutcome::Failed)).await;
            }
        }
    }
}

impl<G: Gate> Gate for Doors<'_, G> {
    async fn enter(&self, region: RegionName) -> Result<(), Reason> {
        let mut entered = self.entered.lock().await;
        if let Some(known) = entered.get(&region) {
            return known.clone();
        }
        let result = self.gate.enter(region).await;
        entered.insert(region, result.clone());
        result
    }

    async fn leave(&self, _region: RegionName, _outcome: LeaseOutcome) {}
}
