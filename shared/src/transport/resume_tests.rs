//! An upload that is killed anywhere goes on where it was, and leaves nothing behind.

use std::{
    collections::BTreeSet,
    fs,
    future::pending,
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::{
    checksum::Checksum,
    memory::{Call, Cloud, Hook, Hooked, ManualClock, MemoryObjects},
    ports::Attributes,
    retry::RetryBudgets,
    transport::{
        Journals, Means, Order, Rates, Source,
        ship::{Gate, ShipError},
        ship_with,
    },
    units::ByteSize,
    upload::{Classes, JOURNAL_FORMAT, Outcome, Plan, Policy, Reason, Receipt, Record},
};

const KEY: &str = "run-0042.bin";
const PART: usize = 5 << 20;
const COPIES: usize = 2;

/// Two parts and a bit, made once for all tests.
static BIG: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| file_of(2 * PART + 17));

fn file_of(size: usize) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run-0042.bin");
    let noise: Vec<u8> = (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes()[0]).collect();
    fs::write(&path, noise).unwrap();
    (folder, path)
}

fn region(i: usize) -> RegionName {
    format!("us-west-{i}").parse().unwrap()
}

/// When a process dies: at this call, counted from 1, before the store carries it out or after.
#[derive(Debug, Clone, Copy)]
struct Death {
    call: u32,
    after: bool,
}

/// The life of one process.
#[derive(Debug)]
struct Life {
    calls: AtomicU32,
    death: Option<Death>,
    dead: AtomicBool,
    died: Notify,
}

impl Life {
    fn until(death: Option<Death>) -> Arc<Self> {
        let (calls, dead, died) = (AtomicU32::new(0), AtomicBool::new(false), Notify::new());
        Arc::new(Self { calls, death, dead, died })
    }

    async fn die(&self) {
        self.dead.store(true, SeqCst);
        self.died.notify_one();
        pending().await
    }

    /// Carries out a call, unless the process dies of it.
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let number = self.calls.fetch_add(1, SeqCst) + 1;
        let death = self.death.filter(|death| death.call == number);
        if self.dead.load(SeqCst) || death.is_some_and(|death| !death.after) {
            self.die().await;
        }
        let answer = call.await;
        if death.is_some() {
            self.die().await;
        }
        answer
    }
}

/// What a process sees of the calls to one bucket.
#[derive(Debug, Clone)]
struct Eyes {
    life: Arc<Life>,
    /// Parts that the store took, over all processes.
    taken: Arc<Mutex<Vec<(String, u32)>>>,
}

impl Hook for Eyes {
    async fn around<T: Send>(
        &self,
        call: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError> {
        let carry = async {
            let answer = carried_out.await?;
            if let Call::Part { upload, number, .. } = call {
                self.taken.lock().unwrap().push((upload, number));
            }
            Ok(answer)
        };
        self.life.call(carry).await
    }
}

type Seen = Hooked<Eyes>;

/// The regions, one process after the other, and what they leave on disk.
struct Stage {
    cloud: Cloud,
    state: TempDir,
    source: Source,
    taken: Arc<Mutex<Vec<(String, u32)>>>,
}

struct Open;

impl Gate for Open {
    async fn enter(&self, _region: RegionName) -> Result<(), Reason> {
        Ok(())
    }

    async fn leave(&self, _region: RegionName, _outcome: crate::lease::Outcome) {}
}

impl Stage {
    fn of(path: &std::path::Path) -> Self {
        let (cloud, state) = (Cloud::default(), TempDir::new().unwrap());
        cloud.set_now(Timestamp::from_millis(1_000));
        Self { cloud, state, source: Source::open(path).unwrap(), taken: Arc::default() }
    }

    fn journals(&self) -> Journals {
        Journals::new(self.state.path().to_owned())
    }

    fn bucket(&self, i: usize) -> MemoryObjects {
        self.cloud.bucket(&format!("b{i}"))
    }

    fn buckets(&self, life: &Arc<Life>) -> BTreeMap<RegionName, Seen> {
        let seen = |i| {
            let (life, taken) = (Arc::clone(life), Arc::clone(&self.taken));
            (region(i), Seen::new(self.bucket(i), Eyes { life, taken }))
        };
        (0..COPIES).map(seen).collect()
    }

    fn policy() -> Policy {
        Policy { copies: COPIES, concurrency: 2, ..Policy::default() }
    }

    fn record(&self) -> Record {
        let regions: Vec<_> = (0..COPIES).map(region).collect();
        Record {
            format: JOURNAL_FORMAT,
            upload_id: "u-1".to_owned(),
            begun: Timestamp::from_millis(1_000),
            source: self.source.identity(),
            key: KEY.parse().unwrap(),
            plan: Plan::new(&Self::policy(), &regions, &regions).unwrap(),
            part_size: ByteSize(PART as u64),
            classes: Classes::AsSource,
            regions: BTreeMap::new(),
        }
    }

    /// One process: goes on with the upload, or begins it. `None` when it died.
    async fn run(&self, death: Option<Death>) -> Option<Result<Receipt, ShipError>> {
        let life = Life::until(death);
        let buckets = self.buckets(&life);
        let journal = match self.journals().resume("u-1").unwrap() {
            Some(journal) => journal,
            None => self.journals().begin(self.record()).unwrap(),
        };
        let Record { upload_id, key, plan, part_size, classes, .. } = journal.record();
        let policy = Policy { part_size, ..Self::policy() };
        let order = Order { upload_id, key, plan, policy, classes, seed: 7 };
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        let budgets = RetryBudgets::default();
        let rates = Rates::new([]);
        let means = Means { gate: &Open, budgets: &budgets, rates: &rates, journal: &journal };
        tokio::select! {
            biased;
            () = life.died.notified() => None,
            done = ship_with(&means, &self.source, &buckets, &order, &|_| (), &clock) => Some(done),
        }
    }

    /// Asserts that every region has the one copy, nothing is unfinished, and nothing that a
    /// store had was sent to it again.
    async fn assert_whole(&self, receipt: &Receipt, at: &str) {
        assert_eq!(receipt.outcome, Outcome::Complete, "{at}: {receipt}");
        assert!(receipt.leftovers.is_empty(), "{at}: {receipt}");
        let sent = fs::read(self.source.path()).unwrap();
        for i in 0..COPIES {
            let bucket = self.bucket(i);
            assert_eq!((bucket.unfinished(), bucket.versions(KEY)), (0, 1), "{at}: region {i}");
            assert!(bucket.read(KEY, None, 0..u64::MAX).await.unwrap() == sent, "{at}: region {i}");
        }
        let taken = self.taken.lock().unwrap();
        let distinct: BTreeSet<_> = taken.iter().collect();
        assert_eq!(taken.len(), distinct.len(), "{at}: what the store has is not sent again: {taken:?}");
    }
}

/// Kills a first process at each of `deaths` in turn, goes on, and asserts that all is well.
async fn survives(path: &std::path::Path, deaths: &[Death]) -> bool {
    let stage = Stage::of(path);
    let mut died = false;
    for death in deaths {
        if let Some(receipt) = stage.run(Some(*death)).await {
            stage.assert_whole(&receipt.unwrap(), "not killed").await;
            return died;
        }
        died = true;
    }
    let receipt = stage.run(None).await.unwrap().unwrap();
    stage.assert_whole(&receipt, &format!("{deaths:?}")).await;
    died
}

fn deaths() -> impl Iterator<Item = Death> {
    (1..).flat_map(|call| [false, true].map(|after| Death { call, after }))
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_at_any_call_leaves_an_upload_that_goes_on() {
    let mut points = 0;
    for death in deaths() {
        if !survives(&BIG.1, &[death]).await {
            break;
        }
        points += 1;
    }
    // Two regions: begin, three parts, complete and a look each, at least; before and after.
    assert!(points >= 2 * 2 * 6, "only {points} moments to die at were found");
}

#[tokio::test(start_paused = true)]
async fn a_process_may_be_killed_again_while_it_goes_on() {
    for first in deaths().step_by(4).take(6) {
        for second in deaths().step_by(3).take(6) {
            survives(&BIG.1, &[first, second]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_file_is_resumed_like_a_large_one() {
    for size in [0, 1, PART] {
        let (_folder, path) = file_of(size);
        for death in deaths().take(14) {
            survives(&path, &[death]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_upload_of_somebody_else_to_the_same_key_is_left_alone() {
    let stage = Stage::of(&BIG.1);
    let theirs = stage.bucket(0).begin(KEY, &Attributes::default()).await.unwrap();
    let body = Bytes::from_static(b"theirs");
    stage.bucket(0).put_part(KEY, &theirs, 1, body.clone(), Checksum::of(&body)).await.unwrap();
    stage.cloud.set_now(Timestamp::from_millis(86_400_000));
    let unused = stage.bucket(0).begin(KEY, &Attributes::default()).await.unwrap();
    stage.cloud.set_now(Timestamp::from_millis(1_000));
    // Killed after the store began ours and before we heard of it.
    let death = (1..).map(|call| Death { call, after: true });
    for death in death.take(4) {
        if stage.run(Some(death)).await.is_some() {
            break;
        }
    }
    let receipt = stage.run(None).await.unwrap().unwrap();
    assert_eq!(receipt.outcome, Outcome::Complete);
    let open: Vec<_> = stage.bucket(0).uploads(KEY).await.unwrap().into_iter().map(|o| o.upload).collect();
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open.contains(&theirs) && open.contains(&unused), "{open:?}");
}

#[tokio::test(start_paused = true)]
async fn parts_that_differ_from_the_source_are_sent_again() {
    let stage = Stage::of(&BIG.1);
    assert!(stage.run(Some(Death { call: 7, after: true })).await.is_none());
    let life = Life::until(None);
    for (place, bucket) in stage.buckets(&life) {
        let noted = stage.journals().resume("u-1").unwrap().unwrap().unfinished();
        let begun = noted.into_iter().find(|(region, _)| *region == place).and_then(|(_, b)| b.upload);
        let Some(upload) = begun else { continue };
        let other = Bytes::from(vec![9; PART]);
        bucket.inner().put_part(KEY, &upload, 1, other.clone(), Checksum::of(&other)).await.unwrap();
    }
    stage.taken.lock().unwrap().clear();
    let receipt = stage.run(None).await.unwrap().unwrap();
    stage.assert_whole(&receipt, "after parts were replaced").await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changed_is_told_from_what_it_was() {
    let (_folder, path) = file_of(100);
    let was = Source::open(&path).unwrap().identity();
    assert_eq!(was.difference(&Source::open(&path).unwrap().identity()), None);
    fs::write(&path, vec![1; 100]).unwrap();
    let touched = fs::File::options().write(true).open(&path).unwrap();
    touched.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(5)).unwrap();
    let told = was.difference(&Source::open(&path).unwrap().identity()).unwrap();
    assert!(told.contains("written to"), "{told}");
    fs::write(&path, vec![1; 99]).unwrap();
    assert!(was.difference(&Source::open(&path).unwrap().identity()).unwrap().contains("99"));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_parts_are_found_again_and_only_what_differs_is_not() {
    let stage = Stage::of(&BIG.1);
    let journal = stage.journals().begin(stage.record()).unwrap();
    let (bucket, at) = (stage.bucket(0), Timestamp::from_millis(1_000));
    let upload = bucket.begin(KEY, &Attributes::default()).await.unwrap();
    let byte = |number: u32| Bytes::from(vec![number.to_le_bytes()[0]]);
    for number in 1..=10_000 {
        let sum = Checksum::of(&byte(number));
        bucket.put_part(KEY, &upload, number, byte(number), sum).await.unwrap();
    }
    journal.note(Note::Beginning { region: region(0), bucket: bucket.bucket().to_owned(), at });
    journal.note(Note::Begun { region: region(0), upload: upload.clone(), doubled: false });
    drop(journal);
    let journal = stage.journals().resume("u-1").unwrap().unwrap();
    let patience = Patience { limit: TIDY_LIMIT, seed: 7, purse: None, elsewhere: None };
    let (found, held) = earlier(&bucket, KEY, region(0), &journal, patience).await.unwrap().unwrap();
    assert_eq!(found, upload);
    let block = |number, bytes: Bytes| Block { number, checksum: Checksum::of(&bytes), bytes, last: false };
    assert!((1..=10_000).all(|number| held.part(&block(number, byte(number))).is_some()));
    assert!(held.part(&block(10_001, byte(1))).is_none());
    assert!(held.part(&block(5, byte(6))).is_none() && held.part(&block(5, Bytes::new())).is_none());
}
