//! When the next region begins, and that nothing else suffers for it.

use std::{
    fs::File,
    path::PathBuf,
    sync::{LazyLock, Mutex},
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::{
    memory::{Call, Cloud, Hook, Hooked, ManualClock},
    ports::{ObjectsError, Silence},
    retry::RetryBudgets,
    time::Timestamp,
    transport::{Rates, Unkept, ship_with},
    units::ByteSize,
    upload::{Outcome, Plan},
};

/// The smallest part there is.
const PART: u64 = 5 << 20;
const PARTS: u64 = 10;

/// Ten parts of nothing: more than the memory holds.
static FILE: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run.bin");
    File::create(&path).unwrap().set_len(PARTS * PART).unwrap();
    (folder, path)
});

/// What a region does from its part of this number on.
#[derive(Debug, Clone, Copy)]
enum Ill {
    Never,
    RefusesConnections(u32),
    Forbids(u32),
    Throttles(u32),
    FallsSilent(u32),
    /// Takes this many times as long for one part.
    Dawdles(u32, u32),
}

/// A region that takes a while for each part, and tells when it was asked.
#[derive(Debug)]
struct Way {
    part_takes: Duration,
    round_trip: Duration,
    ill: Ill,
    began: Instant,
    /// When it first made trouble.
    trouble: Mutex<Option<Duration>>,
}

impl Way {
    fn error(&self) -> ObjectsError {
        let (bucket, key, source) = ("b".to_owned(), "k".to_owned(), "no".into());
        match self.ill {
            Ill::Forbids(_) => ObjectsError::Refused { bucket, key, source },
            Ill::Throttles(_) => ObjectsError::Throttled { bucket, source },
            _ => ObjectsError::NoAnswer { bucket, how: Silence::NoConnection, source },
        }
    }
}

impl Hook for Way {
    async fn around<T: Send>(
        &self,
        call: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError> {
        let Call::Part { number, .. } = call else {
            tokio::time::sleep(self.round_trip).await;
            return carried_out.await;
        };
        match self.ill {
            Ill::RefusesConnections(n) | Ill::Forbids(n) | Ill::Throttles(n) if number >= n => {
                self.trouble.lock().unwrap().get_or_insert(self.began.elapsed());
                return Err(self.error());
            }
            Ill::FallsSilent(n) if number >= n => {
                self.trouble.lock().unwrap().get_or_insert(self.began.elapsed());
                std::future::pending().await
            }
            Ill::Dawdles(n, times) if number == n => tokio::time::sleep(self.part_takes * times).await,
            _ => {}
        }
        tokio::time::sleep(self.part_takes).await;
        carried_out.await
    }
}

type Regions = BTreeMap<RegionName, Hooked<Way>>;

fn region(i: usize) -> RegionName {
    format!("us-west-{i}").parse().unwrap()
}

/// A region for each of `ills`; each takes 100 ms for a part and 20 ms for a round trip.
fn regions(ills: &[Ill]) -> Regions {
    let (cloud, began) = (Cloud::default(), Instant::now());
    let region = |(i, ill): (usize, &Ill)| {
        let (part_takes, round_trip) = (Duration::from_millis(100), Duration::from_millis(20));
        let way = Way { part_takes, round_trip, ill: *ill, began, trouble: Mutex::default() };
        (region(i), Hooked::new(cloud.bucket(&format!("b{i}")), way))
    };
    ills.iter().enumerate().map(region).collect()
}

/// What came of an upload.
struct Told {
    receipt: Receipt,
    /// When each region was begun, and when it first made trouble.
    began: BTreeMap<RegionName, Duration>,
    trouble: BTreeMap<RegionName, Duration>,
}

impl Told {
    /// The time from the trouble of one region to the beginning of another. The clock stands still
    /// while a task runs, and runs on while the thread that reads does; this is in between.
    fn handover(&self, from: usize, to: usize) -> Duration {
        self.began[&region(to)] - self.trouble[&region(from)]
    }
}

async fn shipped(ills: &[Ill], copies: usize) -> Told {
    shipped_at(ills, copies, &Rates::new([])).await
}

async fn shipped_at(ills: &[Ill], copies: usize, rates: &Rates) -> Told {
    let regions = regions(ills);
    let names: Vec<_> = regions.keys().copied().collect();
    let limits = Policy { concurrency: 2, concurrency_max: 2, ..Policy::default() };
    let policy = Policy { copies, part_size: ByteSize(PART), ..limits };
    let order = Order {
        upload_id: "u-1".to_owned(),
        key: "run.bin".parse().unwrap(),
        plan: Plan::new(&policy, &names, &names).unwrap(),
        policy,
        classes: Classes::AsSource,
        seed: 7,
    };
    let (source, clock) = (Source::open(&FILE.1).unwrap(), ManualClock::at(Timestamp::from_millis(1_000)));
    let budgets = RetryBudgets::default();
    if matches!(ills[0], Ill::Throttles(_)) {
        while budgets.retry(region(0), clock.now()).is_ok() {}
    }
    let (start, began) = (Instant::now(), Mutex::new(BTreeMap::new()));
    let tell = |told| {
        if let Progress::Began { region } = told {
            began.lock().unwrap().insert(region, start.elapsed());
        }
    };
    let means = Means { gate: &Open, budgets: &budgets, rates, journal: &Unkept };
    let receipt = ship_with(&means, &source, &regions, &order, &tell, &clock).await.unwrap();
    for copy in &receipt.copies {
        let held = regions[&copy.region].inner().head("run.bin", None).await.unwrap().unwrap();
        assert_eq!(held.size_bytes, PARTS * PART);
    }
    let trouble = |(name, bucket): (&RegionName, &Hooked<Way>)| {
        Some((*name, (*bucket.hook().trouble.lock().unwrap())?))
    };
    Told {
        receipt,
        began: began.into_inner().unwrap(),
        trouble: regions.iter().filter_map(trouble).collect(),
    }
}

struct Open;

impl Gate for Open {
    async fn enter(&self, _region: RegionName) -> Result<(), Reason> {
        Ok(())
    }

    async fn leave(&self, _region: RegionName, _outcome: lease::Outcome) {}
}

fn regions_of(receipt: &Receipt) -> Vec<RegionName> {
    receipt.copies.iter().map(|copy| copy.region).collect()
}

#[tokio::test(start_paused = true)]
async fn a_region_that_refuses_is_replaced_at_once_while_the_others_go_on() {
    for ill in [Ill::RefusesConnections(3), Ill::Forbids(3), Ill::Throttles(3)] {
        let told = shipped(&[ill, Ill::Never, Ill::Never], 2).await;
        let receipt = &told.receipt;
        assert_eq!((receipt.outcome, regions_of(receipt)), (Outcome::Complete, vec![region(2), region(1)]));
        assert!(
            told.handover(0, 2) <= Duration::from_millis(20),
            "{ill:?}: {:?}\n{receipt}",
            told.handover(0, 2)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_falls_silent_is_replaced_by_the_measure_of_its_own_parts() {
    let told = shipped(&[Ill::FallsSilent(7), Ill::Never, Ill::Never], 2).await;
    assert_eq!(
        (told.receipt.outcome, regions_of(&told.receipt)),
        (Outcome::Complete, vec![region(2), region(1)])
    );
    // One look of an eighth at most comes on top; the part before may have been answered a little later.
    let (bound, waited) = (Duration::from_millis(2 * 100 + 20), told.handover(0, 2));
    assert!(waited >= Duration::from_millis(200) && waited <= bound * 2, "{waited:?}\n{}", told.receipt);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_only_dawdles_keeps_its_copy() {
    let told = shipped(&[Ill::Dawdles(7, 1), Ill::Never, Ill::Never], 2).await;
    assert_eq!(regions_of(&told.receipt), [region(0), region(1)]);
    assert_eq!((told.receipt.outcome, told.began.len()), (Outcome::Complete, 2));
}

#[tokio::test(start_paused = true)]
async fn the_same_trouble_a_second_time_is_given_a_pause() {
    let refuses = Ill::RefusesConnections(1);
    let told = shipped(&[refuses, refuses, Ill::Never], 1).await;
    assert_eq!((told.receipt.outcome, regions_of(&told.receipt)), (Outcome::Complete, vec![region(2)]));
    let pause = crate::upload::jitter(Policy::default().failover_delay, 7, 2);
    assert!(told.handover(1, 2) >= pause && pause > Duration::from_millis(100), "{pause:?}");
    let told = shipped(&[refuses, Ill::Forbids(1), Ill::Never], 1).await;
    let waited = told.handover(1, 2);
    assert!(waited < Duration::from_millis(20), "another kind of trouble: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn no_region_is_begun_twice_however_many_lanes_fail_at_once() {
    let refuses = Ill::RefusesConnections(2);
    let Told { receipt, .. } = shipped(&[refuses, refuses, Ill::Never, Ill::Never], 2).await;
    let mut tried: Vec<_> = receipt.attempts.iter().map(|attempt| attempt.region).collect();
    tried.sort_unstable();
    assert_eq!(tried, [region(0), region(1), region(2), region(3)]);
    assert_eq!(receipt.outcome, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn with_nowhere_else_to_go_a_silent_region_is_owed_its_copy() {
    let told = shipped(&[Ill::FallsSilent(7), Ill::Never], 2).await;
    assert_eq!(regions_of(&told.receipt), [region(1)]);
    assert_eq!(told.receipt.owed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_region_is_sent_to_no_faster_than_it_may_be() {
    let start = Instant::now();
    let rates = Rates::new([(region(0), 8)]);
    let Told { receipt, .. } = shipped_at(&[Ill::Never], 1, &rates).await;
    assert_eq!(receipt.outcome, Outcome::Complete, "{receipt}");
    // A megabyte a second, of which the first part goes at once.
    let least = Duration::from_secs((PARTS - 1) * PART / 1_000_000);
    assert!(start.elapsed() >= least, "{:?} is less than {least:?}", start.elapsed());
}
