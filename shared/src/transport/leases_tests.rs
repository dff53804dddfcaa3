//! Shipping under leases: full regions, outages of the control table, crashes.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{
    failover::{Phase, Record},
    memory::{Cloud, ManualClock, MemoryObjects, MemoryRows},
    retry::RetryBudgets,
    time::Timestamp,
    transport::{Order, Source, ship_through},
    upload::{self, Classes, Plan, Policy, Receipt},
};

const DOCUMENT: &str = "{primary_region: us-west-2, upload: {failover_delay: 0s}, regions: [\
    {name: us-west-2, bucket: west, capacity: {max_concurrent_uploads: 1}}, \
    {name: us-east-1, bucket: east}, {name: eu-west-1, bucket: europe}]}";

fn name(text: &str) -> RegionName {
    text.parse().unwrap()
}

/// One file to ship, three regions to ship it to, and a control table.
struct World {
    config: Config,
    rows: MemoryRows,
    clock: ManualClock,
    buckets: BTreeMap<RegionName, MemoryObjects>,
    file: PathBuf,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("reads.fastq");
        fs::write(&file, "ACGT").unwrap();
        let (config, cloud) = (Config::read(Some(DOCUMENT), std::iter::empty()).unwrap(), Cloud::default());
        let bucket = |r: &Region| (r.name, cloud.bucket(r.bucket.as_deref().unwrap()));
        let buckets = config.regions.iter().map(bucket).collect();
        Self {
            config,
            rows: MemoryRows::default(),
            clock: ManualClock::default(),
            buckets,
            file,
            _folder: folder,
        }
    }

    fn control(&self) -> ControlTable<MemoryRows> {
        ControlTable::new(vec![self.rows.clone()])
    }

    fn leases(&self, id: &str) -> Leases<'_, MemoryRows, ManualClock> {
        Leases::new(&self.config, self.control(), &self.clock, id, "lab-7", None)
    }

    async fn ship(&self, copies: usize) -> (Receipt, Vec<RegionReason>) {
        let regions: Vec<_> = self.config.regions.iter().map(|r| r.name).collect();
        let policy = Policy { copies, ..self.config.upload };
        let order = Order {
            upload_id: "u-1".to_owned(),
            key: "reads.fastq".parse().unwrap(),
            plan: Plan::new(&policy, &regions, &regions).unwrap(),
            policy,
            classes: Classes::AsSource,
            seed: 7,
        };
        let (leases, source) = (self.leases("u-1"), Source::open(&self.file).unwrap());
        let receipt = ship_through(
            &leases,
            &RetryBudgets::default(),
            &source,
            &self.buckets,
            &order,
            &|_| (),
            &self.clock,
        )
        .await
        .unwrap();
        (receipt, leases.without())
    }

    async fn held(&self, region: &str) -> u32 {
        self.control().leases(name(region)).await.unwrap().load().uploads
    }
}

#[tokio::test]
async fn an_upload_leaves_no_lease_and_an_account_of_itself() {
    let world = World::new();
    let (receipt, without) = world.ship(3).await;
    assert_eq!((receipt.outcome, without), (upload::Outcome::Complete, Vec::new()));
    for region in ["us-west-2", "us-east-1", "eu-west-1"] {
        let book = world.control().leases(name(region)).await.unwrap();
        assert_eq!((book.load().uploads, book.done.shipped, book.done.bytes), (0, 1, 4), "{region}");
    }
}

#[tokio::test]
async fn a_full_region_is_passed_over_and_the_receipt_says_by_which_number() {
    let world = World::new();
    world.leases("another").enter(name("us-west-2")).await.unwrap();
    let (receipt, _) = world.ship(1).await;
    assert_eq!(receipt.copies[0].region, name("us-east-1"));
    let line = &receipt.failed[0];
    assert_eq!(line.region, name("us-west-2"));
    assert_eq!(line.reason, "was at capacity: no upload slot is free: 1 of 1 uploads, 1000 of 1000 Mbit/s");
    let (receipt, _) = world.ship(3).await;
    assert_eq!((receipt.outcome, receipt.owed[0].region), (upload::Outcome::Degraded, name("us-west-2")));
}

#[tokio::test]
async fn a_region_that_is_being_drained_gets_no_new_upload() {
    let world = World::new();
    let to = name("us-east-1");
    let draining =
        Record { phase: Phase::Draining { to }, ..Record::first(name("us-west-2"), Timestamp::default()) };
    world.control().swap(None, &draining).await.unwrap();
    let (receipt, _) = world.ship(1).await;
    assert_eq!(receipt.copies[0].region, to);
    assert!(receipt.failed[0].reason.starts_with("takes no new uploads"), "{:?}", receipt.failed);
    assert_eq!(world.held("us-west-2").await, 0);
}

#[tokio::test]
async fn without_control_the_upload_goes_on_and_says_so() {
    let world = World::new();
    world.rows.cut(true);
    let (receipt, without) = world.ship(3).await;
    assert_eq!(receipt.outcome, upload::Outcome::Complete);
    assert_eq!(without.len(), 3);
    assert!(without[0].reason.contains("control table could not be asked"), "{without:?}");
    let told = receipt.without_leases(without).to_string();
    assert!(told.contains("no lease  us-west-2"), "{told}");
}

/// Runs `leases.keep()` for this long, and the reaper beside it every ten seconds.
async fn run_on(world: &World, leases: &Leases<'_, MemoryRows, ManualClock>, seconds: u64) {
    let began = tokio::time::Instant::now();
    let reaper = async {
        let mut watches = BTreeMap::new();
        loop {
            world.clock.set(Timestamp::default().after(began.elapsed()));
            crate::admission::reap(&world.config, &world.control(), &mut watches, &world.clock).await.ok();
            sleep(Duration::from_secs(10)).await;
        }
    };
    let both = async { tokio::join!(leases.keep(), reaper) };
    // The end of the time is the only end there is.
    let _ = timeout(Duration::from_secs(seconds), both).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_as_long_as_its_upload_and_no_longer_than_its_crash() {
    let world = World::new();
    let leases = world.leases("u-1");
    leases.enter(name("us-west-2")).await.unwrap();
    run_on(&world, &leases, 1_000).await;
    assert_eq!(world.held("us-west-2").await, 1);
    // The uploader is gone: nobody renews, and somebody else watches.
    let other = world.leases("u-2");
    run_on(&world, &other, 100).await;
    assert_eq!(world.held("us-west-2").await, 0);
    other.enter(name("us-west-2")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_uploader_that_slept_takes_its_slot_again_or_goes_on_without() {
    let world = World::new();
    let (west, slept) = (name("us-west-2"), world.leases("slept"));
    slept.enter(west).await.unwrap();
    run_on(&world, &world.leases("nobody"), 100).await;
    run_on(&world, &slept, 30).await;
    assert_eq!((world.held("us-west-2").await, slept.without()), (1, Vec::new()));
    run_on(&world, &world.leases("nobody"), 100).await;
    world.leases("quick").enter(west).await.unwrap();
    run_on(&world, &slept, 30).await;
    assert!(slept.without()[0].reason.starts_with("the lease ran out"), "{:?}", slept.without());
    assert_eq!(world.held("us-west-2").await, 1);
}
