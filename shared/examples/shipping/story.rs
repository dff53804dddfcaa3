//! One story: an upload, the processes that make it one after the other, and the region that is lost.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    fs::{self, File},
    future::pending,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use sealane::{
    checksum::Checksum,
    lease,
    memory::{Call, Cloud, Hook, Hooked, ManualClock, MemoryObjects},
    ports::{Objects as _, ObjectsError, Silence},
    region::RegionName,
    retry::RetryBudgets,
    time::Timestamp,
    transport::{Gate, Journals, Means, Order, Rates, ShipError, Source, ship_with},
    units::ByteSize,
    upload::{Classes, JOURNAL_FORMAT, Plan, Policy, Reason, Receipt, Record},
};
use tempfile::TempDir;
use tokio::sync::Notify;

const KEY: &str = "run.bin";
/// The smallest part there is.
const PART: u64 = 5 << 20;
/// Sizes of what is shipped: small ones, the edges of a part, and several parts.
const SIZES: [u64; 7] = [0, 1, 70_000, PART, PART + 1, 2 * PART + 17, 3 * PART];
const REGIONS: usize = 4;
/// Most processes that are killed.
const CRASHES_MAX: u32 = 3;

/// What a story, or many of them, came to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) stories: u64,
    /// Processes that were killed.
    pub(crate) crashes: u64,
    /// Stories in which the lost region was asked something after it was lost.
    pub(crate) losses: u64,
    /// Copies that receipts named, and that were looked at.
    pub(crate) copies: u64,
    /// What does not hold.
    pub(crate) broken: Vec<String>,
}

impl Told {
    pub(crate) fn add(&mut self, other: Self) {
        self.stories += other.stories;
        self.crashes += other.crashes;
        self.losses += other.losses;
        self.copies += other.copies;
        self.broken.extend(other.broken);
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stories, crashes, losses, copies, broken } = self;
        write!(
            f,
            "{stories} stories: {crashes} processes killed, {losses} regions lost, {copies} acknowledged copies read back, {} not as acknowledged",
            broken.len()
        )
    }
}

/// The files that stories ship.
pub(crate) struct Stage {
    folder: TempDir,
}

impl Stage {
    pub(crate) fn set() -> Result<Self, Box<dyn Error>> {
        let folder = TempDir::new()?;
        let mut noise = fastrand::Rng::with_seed(1);
        for size in SIZES {
            let mut bytes = vec![0; usize::try_from(size)?];
            noise.fill(&mut bytes);
            fs::write(folder.path().join(size.to_string()), bytes)?;
        }
        Ok(Self { folder })
    }

    /// Tells the story of a seed.
    pub(crate) fn tell(&self, seed: u64) -> Result<Told, Box<dyn Error>> {
        self.story(seed, false)
    }

    /// The same, and before the copies are looked at one bit of one of them flips.
    #[cfg(test)]
    pub(crate) fn tell_rotten(&self, seed: u64) -> Result<Told, Box<dyn Error>> {
        self.story(seed, true)
    }

    fn story(&self, seed: u64, rots: bool) -> Result<Told, Box<dyn Error>> {
        let mut draw = fastrand::Rng::with_seed(seed);
        let size = SIZES[draw.usize(..SIZES.len())];
        let path = self.folder.path().join(size.to_string());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(Story::drawn(&mut draw, path)?.run(draw, rots))
    }
}

/// When a process dies: at this call, counted from 1, before the store carries it out or after.
#[derive(Debug, Clone, Copy)]
struct Death {
    call: u32,
    after: bool,
}

/// How a region is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It refuses connections.
    Refuses,
    /// It never answers.
    Hangs,
    /// It carries out what it is asked, and its answers are lost.
    Mute,
}

/// The region that is lost, and when.
#[derive(Debug)]
struct Fate {
    region: usize,
    loss: Loss,
    /// Calls that it answers before.
    after: u32,
    /// Calls that come to nothing, until it is back.
    lasts: u32,
    calls: AtomicU32,
    felt: AtomicBool,
}

/// One process, and the region that it may find lost.
#[derive(Debug, Clone)]
struct Life {
    region: usize,
    fate: Arc<Fate>,
    process: Arc<Process>,
}

#[derive(Debug, Default)]
struct Process {
    calls: AtomicU32,
    death: Option<Death>,
    dead: AtomicBool,
    died: Notify,
}

impl Process {
    async fn die<T>(&self) -> T {
        self.dead.store(true, SeqCst);
        self.died.notify_one();
        pending().await
    }
}

impl Life {
    /// How the region is lost at this call, if it is.
    fn lost(&self) -> Option<Loss> {
        let Fate { region, loss, after, lasts, calls, felt } = &*self.fate;
        if *region != self.region {
            return None;
        }
        let call = calls.fetch_add(1, SeqCst);
        let lost = call >= *after && call - *after < *lasts;
        felt.fetch_or(lost, SeqCst);
        lost.then_some(*loss)
    }

    fn silence() -> ObjectsError {
        let (bucket, source) = ("lost".to_owned(), "the region is lost".into());
        ObjectsError::NoAnswer { bucket, how: Silence::NoConnection, source }
    }
}

impl Hook for Life {
    async fn around<T: Send>(
        &self,
        _call: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError> {
        let process = &self.process;
        let number = process.calls.fetch_add(1, SeqCst) + 1;
        let death = process.death.filter(|death| death.call == number);
        if process.dead.load(SeqCst) || death.is_some_and(|death| !death.after) {
            return process.die().await;
        }
        let answer = match self.lost() {
            None => carried_out.await,
            Some(Loss::Refuses) => Err(Self::silence()),
            Some(Loss::Hangs) => pending().await,
            Some(Loss::Mute) => carried_out.await.and_then(|_| Err(Self::silence())),
        };
        if death.is_some() {
            return process.die().await;
        }
        answer
    }
}

struct Open;

impl Gate for Open {
    async fn enter(&self, _region: RegionName) -> Result<(), Reason> {
        Ok(())
    }

    async fn leave(&self, _region: RegionName, _outcome: lease::Outcome) {}
}

/// An upload with its fate.
struct Story {
    cloud: Cloud,
    state: TempDir,
    path: PathBuf,
    source: Source,
    names: Vec<RegionName>,
    policy: Policy,
    fate: Arc<Fate>,
}

impl Story {
    fn drawn(draw: &mut fastrand::Rng, path: PathBuf) -> Result<Self, Box<dyn Error>> {
        let (cloud, regions) = (Cloud::default(), draw.usize(2..=REGIONS));
        cloud.set_now(Timestamp::from_millis(1_000));
        let names = (0..regions).map(|i| format!("us-west-{i}").parse()).collect::<Result<Vec<_>, _>>()?;
        let fate = Fate {
            region: draw.usize(..regions),
            loss: [Loss::Refuses, Loss::Hangs, Loss::Mute][draw.usize(..3)],
            after: draw.u32(..8),
            lasts: if draw.bool() { u32::MAX } else { draw.u32(1..12) },
            calls: AtomicU32::new(0),
            felt: AtomicBool::new(false),
        };
        let policy = Policy {
            copies: draw.usize(1..=regions),
            allow_degraded: draw.bool(),
            concurrency: draw.usize(1..4),
            part_size: ByteSize(PART),
            ..Policy::default()
        };
        let source = Source::open(&path)?;
        Ok(Self { cloud, state: TempDir::new()?, path, source, names, policy, fate: Arc::new(fate) })
    }

    fn bucket(&self, i: usize) -> MemoryObjects {
        self.cloud.bucket(&format!("b{i}"))
    }

    async fn run(self, mut draw: fastrand::Rng, rots: bool) -> Result<Told, Box<dyn Error>> {
        let mut told = Told { stories: 1, ..Told::default() };
        let deaths = draw.u32(1..=CRASHES_MAX);
        let mut ended = None;
        for _ in 0..deaths {
            let death = Death { call: draw.u32(1..16), after: draw.bool() };
            ended = self.process(Some(death)).await?;
            if ended.is_some() {
                break;
            }
            told.crashes += 1;
        }
        let ended = match ended {
            None => self.process(None).await?.ok_or("a process died of nothing")?,
            Some(ended) => ended,
        };
        if let Ok(receipt) = &ended
            && let (true, Some(copy)) = (rots, receipt.copies.first())
        {
            let place = self.names.iter().position(|name| *name == copy.region).unwrap_or_default();
            self.bucket(place).corrupt(KEY);
        }
        told.losses += u64::from(self.fate.felt.load(SeqCst));
        match ended {
            Ok(receipt) => self.judge(&receipt, &mut told).await?,
            Err(error) => told.broken.push(format!("no receipt: {error}")),
        }
        Ok(told)
    }

    /// One process: goes on with the upload, or begins it. `None` when it died.
    async fn process(
        &self,
        death: Option<Death>,
    ) -> Result<Option<Result<Receipt, ShipError>>, Box<dyn Error>> {
        let process = Arc::new(Process { death, ..Process::default() });
        let seen = |(i, name): (usize, &RegionName)| {
            let life = Life { region: i, fate: Arc::clone(&self.fate), process: Arc::clone(&process) };
            (*name, Hooked::new(self.bucket(i), life))
        };
        let buckets: BTreeMap<_, _> = self.names.iter().enumerate().map(seen).collect();
        let journals = Journals::new(self.state.path().to_owned());
        let journal = match journals.resume("u-1")? {
            Some(journal) => journal,
            None => journals.begin(self.record()?)?,
        };
        let Record { upload_id, key, plan, part_size, classes, .. } = journal.record();
        let policy = Policy { part_size, ..self.policy };
        let order = Order { upload_id, key, plan, policy, classes, seed: 7 };
        let (clock, budgets) = (ManualClock::at(Timestamp::from_millis(1_000)), RetryBudgets::default());
        let means = Means { gate: &Open, budgets: &budgets, rates: &Rates::new([]), journal: &journal };
        Ok(tokio::select! {
            biased;
            () = process.died.notified() => None,
            ended = ship_with(&means, &self.source, &buckets, &order, &|_| (), &clock) => Some(ended),
        })
    }

    fn record(&self) -> Result<Record, Box<dyn Error>> {
        Ok(Record {
            format: JOURNAL_FORMAT,
            upload_id: "u-1".to_owned(),
            begun: Timestamp::from_millis(1_000),
            source: self.source.identity(),
            key: KEY.parse()?,
            plan: Plan::new(&self.policy, &self.names, &self.names)?,
            part_size: ByteSize(PART),
            classes: Classes::AsSource,
            regions: BTreeMap::new(),
        })
    }

    /// What is acknowledged has to be there, whole, and what is unfinished has to be named.
    async fn judge(&self, receipt: &Receipt, told: &mut Told) -> Result<(), Box<dyn Error>> {
        let sent = fs::read(&self.path)?;
        let size = File::open(&self.path)?.metadata()?.len();
        if (receipt.size.0, receipt.checksum) != (size, Checksum::of(&sent)) {
            told.broken.push(format!("the receipt is of something else: {receipt}"));
        }
        for copy in &receipt.copies {
            told.copies += 1;
            let place = self.names.iter().position(|name| *name == copy.region).unwrap_or_default();
            let held = self.bucket(place).read(KEY, copy.version_id.as_deref(), 0..u64::MAX).await;
            if !held.is_ok_and(|held| held == sent) {
                told.broken.push(format!("{} does not hold what was acknowledged: {receipt}", copy.region));
            }
        }
        let needed = if self.policy.allow_degraded { 1 } else { self.policy.copies / 2 + 1 };
        if receipt.outcome.is_success() != (receipt.copies.len() >= needed) {
            told.broken.push(format!("{} copies, {needed} needed: {receipt}", receipt.copies.len()));
        }
        for (i, name) in self.names.iter().enumerate() {
            let named = receipt.leftovers.iter().any(|left| left.region == *name);
            if self.bucket(i).unfinished() > 0 && !named {
                told.broken.push(format!("{name} has an upload that nobody names: {receipt}"));
            }
        }
        Ok(())
    }
}
