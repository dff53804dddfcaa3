//! Four regions on virtual time: replicas that lag, regions that vanish without a word,
//! and probers that a schedule starts each minute.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use health_prober::{Deps, Doors, Reach, Shift, State, watch};
use sealane::{
    config::Config,
    health::Observation,
    memory::MemoryRows,
    ports::{ApiError, Apis, Clock, Cursor, Key, Page, Row, Rows, RowsError, Silence, When},
    region::{Region, RegionName},
    store::{ControlTable, HealthTable, MarksTable},
    time::Timestamp,
};
use tokio::time::{Instant, sleep, sleep_until};

pub(crate) use sealane::memory::MemoryObjects;

pub(crate) const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west", "priority": 1, "endpoints": {"api": "https://west.example"}},
    {"name": "us-east-1", "bucket": "east", "priority": 2, "endpoints": {"api": "https://east.example"}},
    {"name": "eu-west-1", "bucket": "europe", "priority": 3, "endpoints": {"api": "https://europe.example"}},
    {"name": "us-east-2", "role": "witness"}]}"#;

/// One schedule's period: a new invocation starts this long after the last one did.
const MINUTE: Duration = Duration::from_secs(60);

/// How long a new connection waits for a region that does not answer (`Limits::probe`).
const CONNECT_MAX: Duration = Duration::from_secs(1);

pub(crate) fn name(text: &str) -> RegionName {
    text.parse().unwrap()
}

/// A small generator (SplitMix64), so that a run follows from its seed alone.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// A number of milliseconds, drawn evenly from `from` to just below `to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Duration::from_millis(from + (z ^ (z >> 31)) % (to - from))
    }
}

/// A clock that runs with the paused time of the test, ahead by a skew.
#[derive(Clone, Copy)]
pub(crate) struct TestClock {
    start: Instant,
    skew: Duration,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::default().after(self.start.elapsed() + self.skew)
    }
}

#[derive(Default)]
struct Tables {
    /// What each region's replica holds.
    replicas: BTreeMap<RegionName, BTreeMap<Key, Row>>,
    /// What is on its way: when it arrives, from where, where to.
    under_way: Vec<(Instant, RegionName, RegionName, Row)>,
    lost: BTreeSet<RegionName>,
    /// Pairs (from, to) between which nothing gets through.
    blind: BTreeSet<(RegionName, RegionName)>,
}

/// Everything that the regions share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) config: Config,
    tables: Arc<Mutex<Tables>>,
    dice: Arc<Mutex<Dice>>,
    pub(crate) control: MemoryRows,
    start: Instant,
    lag_ms: (u64, u64),
    /// Calls of `GET /v1/live` so far, by region: one is made in each probe.
    pub(crate) asked: Arc<BTreeMap<RegionName, AtomicU64>>,
}

impl World {
    pub(crate) fn new(seed: u64, lag_ms: (u64, u64)) -> Self {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let asked = config.regions.iter().map(|r| (r.name, AtomicU64::new(0))).collect();
        Self {
            config,
            tables: Arc::default(),
            dice: Arc::new(Mutex::new(Dice(seed))),
            control: MemoryRows::default(),
            start: Instant::now(),
            lag_ms,
            asked: Arc::new(asked),
        }
    }

    /// Probes of the region's API so far, by everybody.
    pub(crate) fn probes(&self, region: RegionName) -> u64 {
        self.asked[&region].load(Ordering::Relaxed)
    }

    /// Everyone's rows, as the replica in `region` has them.
    pub(crate) async fn rows(&self, region: RegionName) -> Vec<Observation> {
        HealthTable::new(self.replica(region, region, false)).observations().await.unwrap()
    }

    pub(crate) fn draw(&self, from: u64, to: u64) -> Duration {
        self.dice.lock().unwrap().between(from, to)
    }

    /// The region answers nobody any more, and nothing of it arrives anywhere.
    pub(crate) fn lose(&self, region: RegionName, lost: bool) {
        let mut tables = self.tables.lock().unwrap();
        if lost {
            tables.lost.insert(region)
        } else {
            tables.lost.remove(&region)
        };
    }

    /// `from` no longer gets an answer from `to`; all others do.
    pub(crate) fn blind(&self, from: RegionName, to: RegionName, blind: bool) {
        let mut tables = self.tables.lock().unwrap();
        if blind {
            tables.blind.insert((from, to))
        } else {
            tables.blind.remove(&(from, to))
        };
    }

    /// The way from `from` into `to`: an answer after a while, or none.
    async fn reach(&self, from: RegionName, to: RegionName, fresh: bool) -> Result<(), Silence> {
        let wait = if from == to { self.draw(2, 8) } else { self.draw(20, 150) };
        let dead = || {
            let tables = self.tables.lock().unwrap();
            tables.lost.contains(&to) || tables.lost.contains(&from) || tables.blind.contains(&(from, to))
        };
        if !dead() {
            sleep(wait).await;
        }
        match (dead(), fresh) {
            (false, _) => Ok(()),
            (true, true) => {
                sleep(CONNECT_MAX).await;
                Err(Silence::Timeout)
            }
            (true, false) => pending().await,
        }
    }

    fn doors(&self, from: RegionName, fresh: bool) -> Doors<Replica, MemoryObjects, Live> {
        let table = |to: RegionName| HealthTable::new(self.replica(from, to, fresh));
        let marks = |to: RegionName| MarksTable::new(self.replica(from, to, fresh));
        Doors {
            tables: self.config.regions.iter().map(|r| (r.name, table(r.name))).collect(),
            data: self.config.full_regions().map(|r| (r.name, marks(r.name))).collect(),
            buckets: BTreeMap::new(),
            apis: Live { world: self.clone(), from, fresh },
        }
    }

    fn replica(&self, from: RegionName, to: RegionName, fresh: bool) -> Replica {
        Replica { world: self.clone(), from, to, fresh, strong: None }
    }

    /// A prober in `here` whose clock is ahead by `skew`.
    pub(crate) fn prober(&self, here: RegionName, skew: Duration) -> Deps<Ways, Replica, TestClock> {
        Deps {
            config: self.config.clone(),
            here,
            reach: Ways { world: self.clone(), here, pooled: self.doors(here, false) },
            own: HealthTable::new(self.replica(here, here, false)),
            data: self
                .config
                .region(here)
                .is_some_and(Region::is_full)
                .then(|| MarksTable::new(self.replica(here, here, false))),
            control: ControlTable::new(vec![Replica {
                strong: Some(self.control.clone()),
                ..self.replica(here, here, false)
            }]),
            clock: TestClock { start: self.start, skew },
            print: |_| {},
            shift: Shift::default(),
        }
    }

    /// Starts the prober of `here` each minute, the first time after `phase`, in a sandbox that is
    /// free or in a new one.
    pub(crate) async fn schedule(&self, here: RegionName, skew: Duration, phase: Duration) {
        self.on_shifts(here, skew, phase, Shift::default()).await;
    }

    /// The same, with invocations that work for so long.
    pub(crate) async fn on_shifts(&self, here: RegionName, skew: Duration, phase: Duration, shift: Shift) {
        let deps = Deps { shift, ..self.prober(here, skew) };
        let (mut idle, mut at_work) = (Vec::new(), FuturesUnordered::new());
        sleep(phase).await;
        let mut due = Instant::now();
        loop {
            let mut state = idle.pop().unwrap_or_else(|| State::new(here));
            let deps = &deps;
            at_work.push(async move {
                watch(deps, &mut state).await;
                state
            });
            due += MINUTE;
            loop {
                tokio::select! {
                    Some(state) = at_work.next() => idle.push(state),
                    () = sleep_until(due) => break,
                }
            }
        }
    }
}

/// One region's replica of a table, as `from` reaches it.
#[derive(Clone)]
pub(crate) struct Replica {
    world: World,
    from: RegionName,
    to: RegionName,
    fresh: bool,
    /// The one table behind every replica, where it is strongly consistent.
    strong: Option<MemoryRows>,
}

impl Replica {
    async fn answer(&self) -> Result<(), RowsError> {
        let refuse = |how| RowsError::NoAnswer { table: "health".into(), how, source: "no way".into() };
        self.world.reach(self.from, self.to, self.fresh).await.map_err(refuse)
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Key, Row>) -> T) -> T {
        let mut tables = self.world.tables.lock().unwrap();
        let tables = &mut *tables;
        let now = Instant::now();
        tables.under_way.sort_by_key(|(at, ..)| *at);
        for (_, from, to, row) in tables.under_way.extract_if(.., |(at, ..)| *at <= now) {
            if !tables.lost.contains(&from) && !tables.lost.contains(&to) {
                tables.replicas.entry(to).or_default().insert(row.key.clone(), row);
            }
        }
        act(tables.replicas.entry(self.to).or_default())
    }
}

impl Rows for Replica {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.answer().await?;
        if let Some(strong) = &self.strong {
            return strong.read(key).await;
        }
        Ok(self.with(|rows| rows.get(key).cloned()))
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.answer().await?;
        if let Some(strong) = &self.strong {
            return strong.write(row, when).await;
        }
        let written = self.with(|rows| {
            let held = rows.get(&row.key).map(|r| r.version);
            let holds = match when {
                When::Always => true,
                When::Absent => held.is_none(),
                When::Version(version) => held == Some(version),
            };
            if holds {
                rows.insert(row.key.clone(), row.clone());
            }
            holds
        });
        if !written {
            return Err(RowsError::Conflict);
        }
        let (least, most) = self.world.lag_ms;
        for region in self.world.config.regions.iter().filter(|r| r.name != self.to) {
            let at = Instant::now() + self.world.draw(least, most);
            self.world.tables.lock().unwrap().under_way.push((at, self.to, region.name, row.clone()));
        }
        Ok(())
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.answer().await?;
        if let Some(strong) = &self.strong {
            return strong.list(partition, newest_first, from, limit).await;
        }
        let rows =
            self.with(|rows| rows.values().filter(|r| r.key.partition == partition).cloned().collect());
        Ok(Page { rows, next: None })
    }

    async fn list_index(
        &self,
        _partition: &str,
        _up_to: Option<&str>,
        _from: Option<&Cursor>,
        _limit: usize,
    ) -> Result<Page, RowsError> {
        Ok(Page { rows: Vec::new(), next: None })
    }
}

/// The APIs, as `from` reaches them.
pub(crate) struct Live {
    world: World,
    from: RegionName,
    fresh: bool,
}

impl Apis for Live {
    async fn live(&self, region: RegionName) -> Result<(), ApiError> {
        self.world.asked[&region].fetch_add(1, Ordering::Relaxed);
        let reached = self.world.reach(self.from, region, self.fresh).await;
        reached.map_err(|how| ApiError::NoAnswer { region, how })
    }
}

/// The ways of one prober into every region.
pub(crate) struct Ways {
    world: World,
    here: RegionName,
    pooled: Doors<Replica, MemoryObjects, Live>,
}

impl Reach for Ways {
    type Rows = Replica;
    type Objects = MemoryObjects;
    type Apis = Live;

    fn pooled(&self) -> &Doors<Replica, MemoryObjects, Live> {
        &self.pooled
    }

    fn fresh(&self) -> Doors<Replica, MemoryObjects, Live> {
        self.world.doors(self.here, true)
    }
}
