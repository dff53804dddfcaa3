//! Whole rounds of several probers on tables and buckets in memory.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt as _;
use health_prober::{Deps, Doors, Ended, Reach, Shift, State, watch};
use sealane::{
    admission::{enter, leave},
    config::Config,
    lease::{Ask, Outcome},
    memory::{Cloud, MemoryObjects, MemoryRows},
    ports::{ApiError, Apis, Clock, Silence},
    region::{Capability, RegionName, Status},
    store::{ControlTable, HealthTable, MarksTable},
    time::Timestamp,
    units::ByteSize,
};
use tokio::time::{Instant, sleep};

const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west", "priority": 1, "endpoints": {"api": "https://west.example"}},
    {"name": "us-east-1", "bucket": "east", "priority": 2, "endpoints": {"api": "https://east.example"}},
    {"name": "eu-west-1", "bucket": "europe", "priority": 3, "endpoints": {"api": "https://europe.example"}},
    {"name": "us-east-2", "role": "witness"}]}"#;

/// A clock that runs with the paused time of the test.
#[derive(Clone, Copy)]
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::default().after(self.0.elapsed())
    }
}

/// APIs that answer while their bucket does.
struct LiveWith(Cloud);

impl Apis for LiveWith {
    async fn live(&self, region: RegionName) -> Result<(), ApiError> {
        use sealane::ports::Objects;
        let bucket = self.0.bucket(bucket_of(region));
        bucket
            .head("none", None)
            .await
            .map(drop)
            .map_err(|_| ApiError::NoAnswer { region, how: Silence::Timeout })
    }
}

fn bucket_of(region: RegionName) -> &'static str {
    match region.as_str() {
        "us-west-2" => "west",
        "us-east-1" => "east",
        "eu-west-1" => "europe",
        _ => "none",
    }
}

/// One table for all regions, with a door to each region's replica, and all buckets.
#[derive(Clone)]
struct World {
    config: Config,
    health: MemoryRows,
    control: MemoryRows,
    data: MemoryRows,
    replicas: Arc<BTreeMap<RegionName, MemoryRows>>,
    cloud: Cloud,
}

impl World {
    fn new() -> Self {
        Self::of(DOCUMENT)
    }

    fn of(document: &str) -> Self {
        let config = Config::read(Some(document), std::iter::empty()).unwrap();
        let health = MemoryRows::default();
        let replicas = config.regions.iter().map(|r| (r.name, health.replica())).collect();
        let (control, data, cloud) = (MemoryRows::default(), MemoryRows::default(), Cloud::default());
        Self { config, health, control, data, replicas: Arc::new(replicas), cloud }
    }

    /// Cuts a region off, with its own prober in it.
    fn cut(&self, region: RegionName, cut: bool) {
        self.replicas[&region].cut(cut);
        self.cloud.cut(bucket_of(region), cut);
    }

    fn doors(&self) -> Doors<MemoryRows, MemoryObjects, LiveWith> {
        let full = || self.config.full_regions();
        Doors {
            tables: self
                .replicas
                .iter()
                .map(|(name, rows)| (*name, HealthTable::new(rows.clone())))
                .collect(),
            data: full().map(|r| (r.name, MarksTable::new(self.data.replica()))).collect(),
            buckets: full().map(|r| (r.name, self.cloud.bucket(bucket_of(r.name)))).collect(),
            apis: LiveWith(self.cloud.clone()),
        }
    }

    fn prober(&self, here: &str, start: Instant) -> (Deps<Pooled, MemoryRows, TestClock>, State) {
        let here: RegionName = here.parse().unwrap();
        let own = self.replicas[&here].clone();
        let control = self.control.replica();
        // A region that is cut off does not reach the control table either.
        let reach = Pooled { world: self.clone(), pooled: self.doors() };
        let deps = Deps {
            config: self.config.clone(),
            here,
            reach,
            own: HealthTable::new(own),
            data: (here.as_str() != "us-east-2").then(|| MarksTable::new(self.data.replica())),
            control: ControlTable::new(vec![control]),
            clock: TestClock(start),
            print: |_| {},
            shift: Shift { time: MINUTE, ..Shift::default() },
        };
        (deps, State::new(here))
    }

    async fn status(&self, region: &str) -> Vec<Status> {
        let rows = HealthTable::new(self.health.clone()).observations().await.unwrap();
        let judged: Vec<_> = rows.iter().map(|r| (r, true)).collect();
        let verdicts = sealane::health::judge(&judged, &self.config.regions, &self.config.health, None);
        let region = region.parse().unwrap();
        Capability::ALL.into_iter().map(|c| verdicts.status(region, c)).collect()
    }
}

struct Pooled {
    world: World,
    pooled: Doors<MemoryRows, MemoryObjects, LiveWith>,
}

impl Reach for Pooled {
    type Rows = MemoryRows;
    type Objects = MemoryObjects;
    type Apis = LiveWith;

    fn pooled(&self) -> &Doors<MemoryRows, MemoryObjects, LiveWith> {
        &self.pooled
    }

    fn fresh(&self) -> Doors<MemoryRows, MemoryObjects, LiveWith> {
        self.world.doors()
    }
}

/// For how long each prober of a round works.
const MINUTE: Duration = Duration::from_secs(58);

const OBSERVERS: [&str; 3] = ["us-east-1", "eu-west-1", "us-east-2"];

/// One round of the three probers that are not in the primary region.
async fn round(probers: &mut [(Deps<Pooled, MemoryRows, TestClock>, State)]) {
    futures::future::join_all(probers.iter_mut().map(|(deps, state)| watch(deps, state))).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_region_is_left_and_taken_back() {
    let world = World::new();
    let start = Instant::now();
    let mut probers: Vec<_> = OBSERVERS.iter().map(|here| world.prober(here, start)).collect();
    round(&mut probers).await;
    assert_eq!(world.status("us-west-2").await, [Status::Healthy; 5]);
    let control = ControlTable::new(vec![world.control.clone()]);
    assert_eq!(control.record().await.unwrap().unwrap().epoch, 1);

    world.cut("us-west-2".parse().unwrap(), true);
    round(&mut probers).await;
    assert_eq!(world.status("us-west-2").await, [Status::Unhealthy; 5]);
    let moved = control.record().await.unwrap().unwrap();
    assert_eq!((moved.epoch, moved.active.as_str()), (2, "us-east-1"));

    world.cut("us-west-2".parse().unwrap(), false);
    probers.push(world.prober("us-west-2", start));
    for _ in 0..5 {
        round(&mut probers).await;
    }
    let home = control.record().await.unwrap().unwrap();
    assert_eq!((home.epoch, home.active.as_str()), (3, "us-west-2"), "{home:?}");
    // Writes wait while a move drains: it ends when it may, not at somebody's next tick.
    let back = &control.moves(1).await.unwrap()[0];
    let took =
        |name| back.steps.iter().filter(|s| s.phase.as_str() == name).map(|s| s.took.as_secs()).sum::<u64>();
    assert!((8..=9).contains(&took("draining")), "{back}");
    assert!(back.lag_ms.is_some_and(|ms| ms <= 5_000), "{back}");
    // What the lost region wrote since its last mark arrived may be missing, and nothing older.
    let away = &control.moves(2).await.unwrap()[1];
    assert!(away.loss_max_ms.is_some_and(|ms| (1_000..60_000).contains(&ms)), "{away}");
    assert!(took("verifying") <= 10, "{back}");
}

#[tokio::test(start_paused = true)]
async fn with_strong_worksets_nobody_writes_marks_and_no_return_waits_for_one() {
    let world = World::of(&DOCUMENT.replacen('{', r#"{"worksets": {"consistency": "strong"}, "#, 1));
    let start = Instant::now();
    let mut probers: Vec<_> = OBSERVERS.iter().map(|here| world.prober(here, start)).collect();
    probers[0].0.print = printed;
    round(&mut probers).await;
    world.cut("us-west-2".parse().unwrap(), true);
    round(&mut probers).await;
    world.cut("us-west-2".parse().unwrap(), false);
    probers.push(world.prober("us-west-2", start));
    for _ in 0..5 {
        round(&mut probers).await;
    }
    let control = ControlTable::new(vec![world.control.clone()]);
    let moves = control.moves(2).await.unwrap();
    let told: Vec<_> = moves.iter().map(|m| (m.to.as_str(), m.lag_ms, m.loss_max_ms)).collect();
    assert_eq!(told, [("us-west-2", Some(0), Some(0)), ("us-east-1", Some(0), Some(0))]);
    assert_eq!(world.data.all(), []);
    assert!(lines_with(&["RegionHealth"]) > 0 && lines_with(&["ReplicationLag"]) == 0);
}

#[tokio::test(start_paused = true)]
async fn a_sick_observer_moves_nothing() {
    let world = World::new();
    let start = Instant::now();
    let mut probers: Vec<_> =
        ["us-west-2", "us-east-1", "eu-west-1"].iter().map(|h| world.prober(h, start)).collect();
    round(&mut probers).await;
    // The witness reaches nobody: everything but its own replica is silent to it alone.
    let blind = World { cloud: Cloud::default(), ..World::new() };
    for region in ["us-west-2", "us-east-1", "eu-west-1"] {
        blind.cut(region.parse().unwrap(), true);
    }
    let (mut deps, state) = blind.prober("us-east-2", start);
    deps.own = HealthTable::new(world.replicas[&"us-east-2".parse().unwrap()].clone());
    deps.control = ControlTable::new(vec![world.control.replica()]);
    probers.push((deps, state));
    round(&mut probers).await;
    round(&mut probers).await;
    assert_eq!(world.status("us-west-2").await, [Status::Healthy; 5]);
    let control = ControlTable::new(vec![world.control.clone()]);
    assert_eq!(control.record().await.unwrap().unwrap().epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn overlapping_invocations_leave_one_at_work() {
    let world = World::new();
    let (start, mut a, mut b) = {
        let start = Instant::now();
        (start, world.prober("us-east-1", start), world.prober("us-east-1", start))
    };
    (a.0.shift, b.0.shift) = (Shift::default(), Shift::default());
    let both =
        futures::future::select(watch(&a.0, &mut a.1).boxed_local(), watch(&b.0, &mut b.1).boxed_local());
    let (round, other) = both.await.factor_first();
    assert_eq!(round.ended, Ended::AnotherAtWork);
    assert!((58..75).contains(&start.elapsed().as_secs()), "it stands by until the next one is there");
    assert_eq!(other.await.ended, Ended::ShiftOver);
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_reaches_nothing_any_more_ends_its_shift_all_the_same() {
    let world = World::new();
    let start = Instant::now();
    let (deps, mut state) = world.prober("us-east-1", start);
    let cut = async {
        sleep(Duration::from_secs(5)).await;
        for region in ["us-west-2", "us-east-1", "eu-west-1", "us-east-2"] {
            world.cut(region.parse().unwrap(), true);
        }
    };
    let (round, ()) = tokio::join!(watch(&deps, &mut state), cut);
    // The first at once, then one in each slot of ten seconds.
    assert_eq!((round.ticks, round.ended), (7, Ended::ShiftOver));
    assert!(start.elapsed() < Duration::from_secs(65), "{:?}", start.elapsed());
}

/// The metric lines of the probers of one test, which print from its own thread.
fn printed(lines: &[String]) {
    PRINTED.with_borrow_mut(|all| all.extend_from_slice(lines));
}

thread_local! {
    static PRINTED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn lines_with(texts: &[&str]) -> usize {
    PRINTED.with_borrow(|all| all.iter().filter(|line| texts.iter().all(|text| line.contains(text))).count())
}

#[tokio::test(start_paused = true)]
async fn the_slot_of_an_uploader_that_died_is_freed_and_told_of() {
    let world = World::new();
    let start = Instant::now();
    let control = ControlTable::new(vec![world.control.clone()]);
    let west = world.config.regions[0].clone();
    let (mut deps, mut state) = world.prober("us-east-1", start);
    deps.print = printed;
    let ask = |id: &str| Ask {
        id: id.to_owned(),
        holder: "lab-7".to_owned(),
        bandwidth_mbps: 100,
        ttl: Duration::from_secs(60),
    };
    for id in ["died", "ends"] {
        enter(&control, &west, &ask(id), &TestClock(start)).await.unwrap().unwrap();
    }
    watch(&deps, &mut state).await;
    assert_eq!(control.leases(west.name).await.unwrap().load().uploads, 2, "not before its time");
    assert!(lines_with(&["RegionUtilization\":20.0", "us-west-2", "Observer"]) > 0);
    let shipped = Outcome::Shipped { size: ByteSize(1_000), took: Duration::from_secs(1) };
    leave(&control, west.name, "ends", shipped).await.unwrap();
    watch(&deps, &mut state).await;
    assert_eq!(control.leases(west.name).await.unwrap().load().uploads, 0);
    // Each ending is counted once: for the region, and by who brought it.
    assert_eq!(lines_with(&["UploadSuccess\":1.0", "UploadThroughput\":1000.0"]), 2);
    assert_eq!(lines_with(&["UploadFailure\":1.0"]), 2);
    assert!(lines_with(&["RegionUtilization\":0.0", "us-west-2"]) > 0);
}

#[tokio::test(start_paused = true)]
async fn without_control_no_utilization_is_claimed() {
    let world = World::new();
    let (mut deps, mut state) = world.prober("us-east-1", Instant::now());
    deps.print = printed;
    let door = world.control.replica();
    deps.control = ControlTable::new(vec![door.clone()]);
    watch(&deps, &mut state).await;
    let told = lines_with(&["RegionUtilization"]);
    assert!(told > 0);
    door.cut(true);
    watch(&deps, &mut state).await;
    assert_eq!(lines_with(&["RegionUtilization"]), told);
}
