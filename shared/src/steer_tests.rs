//! Turns at the wheel on a control table in memory.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::*;
use crate::{
    admission::{enter, leave},
    failover::{Pin, Rule},
    health::{Lag, Observation, Probe, judge},
    lease::{Ask, Outcome},
    memory::{ManualClock, MemoryRows},
    ports::{Cursor, Key, Page, Row, Silence, When},
    region::Region,
    time::Timestamp,
};

const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west", "priority": 1, "endpoints": {"api": "https://west.example"}},
    {"name": "us-east-1", "bucket": "east", "priority": 2, "endpoints": {"api": "https://east.example"}},
    {"name": "eu-west-1", "bucket": "europe", "priority": 3, "endpoints": {"api": "https://europe.example"}},
    {"name": "us-east-2", "role": "witness"}]}"#;

fn config() -> Config {
    Config::read(Some(DOCUMENT), std::iter::empty()).unwrap()
}

fn name(text: &str) -> RegionName {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// What everyone sees when exactly the regions in `down` do not answer.
fn verdicts(config: &Config, down: &[RegionName]) -> Verdicts {
    let probe = |region: &Region| {
        if down.contains(&region.name) {
            Probe::Bad(crate::health::Failure::Timeout)
        } else {
            Probe::Good(Duration::from_millis(20))
        }
    };
    let row = |observer: RegionName| {
        let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
        let seen = (0..4).fold(Observation::new(observer), |row, tick| {
            targets.clone().fold(row, |row, (r, c)| row.observe(r, c, probe(r), &config.health, at(tick)))
        });
        let all = config.regions.iter().map(|r| r.name).filter(|r| *r != observer);
        all.fold(seen, |row, from| row.measure(from, Lag::new(Some(Duration::ZERO), None)))
            .seal(&config.regions)
    };
    let rows: Vec<Observation> =
        config.regions.iter().map(|r| r.name).filter(|r| !down.contains(r)).map(row).collect();
    let judged: Vec<_> = rows.iter().map(|r| (r, true)).collect();
    judge(&judged, &config.regions, &config.health, None)
}

async fn turn(control: &ControlTable<MemoryRows>, watch: &mut Watch, down: &[&str], now: u64) -> Turn {
    let config = config();
    let down: Vec<RegionName> = down.iter().map(|n| name(n)).collect();
    steer(&config, name("us-east-1"), &verdicts(&config, &down), control, watch, &ManualClock::at(at(now)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_dead_primary_is_left_in_one_turn_and_comes_home_in_steps() {
    let control = ControlTable::new(vec![MemoryRows::default()]);
    let mut watch = Watch::default();
    let began = turn(&control, &mut watch, &[], 0).await;
    assert_eq!(began.record.unwrap().active, name("us-west-2"));
    let left = turn(&control, &mut watch, &["us-west-2"], 10).await;
    assert_eq!(left.moved, [(name("us-west-2"), name("us-east-1"))]);
    assert_eq!(left.record.unwrap().epoch, 2);
    for now in (20..600).step_by(10) {
        let down: &[&str] = if now < 100 { &["us-west-2"] } else { &[] };
        turn(&control, &mut watch, down, now).await;
    }
    let record = control.record().await.unwrap().unwrap();
    assert_eq!((record.active, record.epoch), (name("us-west-2"), 3));
    let moves = control.moves(10).await.unwrap();
    assert_eq!(moves.iter().map(|m| m.epoch).collect::<Vec<_>>(), [3, 2]);
    assert!(moves.iter().all(|m| m.verified), "{moves:?}");
    let votes = moves[1].saw[0].votes.unwrap();
    assert_eq!((votes.up, votes.slow, votes.down, votes.uncounted), (0, 0, 3, 1), "{}", moves[1]);
}

#[tokio::test]
async fn two_controllers_make_one_move() {
    let rows = MemoryRows::default();
    let (a, b) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
    let (mut watch_a, mut watch_b) = (Watch::default(), Watch::default());
    turn(&a, &mut watch_a, &[], 0).await;
    turn(&b, &mut watch_b, &[], 0).await;
    let (one, two) =
        tokio::join!(turn(&a, &mut watch_a, &["us-west-2"], 60), turn(&b, &mut watch_b, &["us-west-2"], 60));
    assert_eq!(one.moved.len() + two.moved.len(), 1);
    assert_eq!(a.record().await.unwrap().unwrap().epoch, 2);
}

#[tokio::test]
async fn nothing_is_decided_when_control_cannot_be_reached() {
    let rows = MemoryRows::default();
    rows.cut(true);
    let control = ControlTable::new(vec![rows]);
    let config = config();
    let all = verdicts(&config, &[]);
    let turn =
        steer(&config, name("us-east-1"), &all, &control, &mut Watch::default(), &ManualClock::at(at(0)))
            .await;
    assert!(turn.is_err());
}

/// A table that loses the reads that `loses` picks, by their key and the writes before them.
struct Deaf {
    rows: MemoryRows,
    writes: AtomicUsize,
    loses: fn(&Key, usize) -> bool,
}

impl Deaf {
    fn to(rows: MemoryRows, loses: fn(&Key, usize) -> bool) -> ControlTable<Self> {
        ControlTable::new(vec![Self { rows, writes: AtomicUsize::new(0), loses }])
    }
}

impl Rows for Deaf {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        if (self.loses)(key, self.writes.load(Ordering::SeqCst)) {
            let how = Silence::Timeout;
            return Err(RowsError::NoAnswer { table: "memory".to_owned(), how, source: "lost".into() });
        }
        self.rows.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.rows.write(row, when).await
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list(partition, newest_first, from, limit).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list_index(partition, up_to, from, limit).await
    }
}

#[tokio::test]
async fn what_was_written_before_control_fell_silent_is_told() {
    let rows = MemoryRows::default();
    let (config, clock) = (config(), ManualClock::at(at(10)));
    let began = ControlTable::new(vec![rows.replica()]);
    turn(&began, &mut Watch::default(), &[], 0).await;
    let dead = verdicts(&config, &[name("us-west-2")]);
    let control = Deaf::to(rows, |_, writes| writes > 0);
    let left =
        steer(&config, name("us-east-1"), &dead, &control, &mut Watch::default(), &clock).await.unwrap();
    let to = name("us-east-1");
    assert_eq!(left.record.unwrap().phase, Phase::Switching { to });
    assert!(left.moved.is_empty() && left.decisions.len() == 1, "{:?}", left.decisions);
}

/// After how many seconds a drain of the active region ended, when its lease ended after `held_s`.
async fn drained_after<R: Rows>(control: &ControlTable<R>, held_s: Option<u64>, document: &str) -> u64 {
    let config = Config::read(Some(document), std::iter::empty()).unwrap();
    let (all, mut watch, west) = (verdicts(&config, &[]), Watch::default(), name("us-west-2"));
    let region = config.region(west).unwrap();
    let ask = Ask {
        id: "upload".to_owned(),
        holder: "lab-7".to_owned(),
        bandwidth_mbps: 1,
        ttl: Duration::from_secs(60),
    };
    control.swap(None, &Record::first(west, at(0))).await.unwrap();
    if held_s.is_some() {
        enter(control, region, &ask, &ManualClock::at(at(0))).await.unwrap().unwrap();
    }
    let pin = Pin {
        region: west,
        rule: Rule::Drain,
        owner: "ada".to_owned(),
        reason: "maintenance".to_owned(),
        expires: at(9_000),
    };
    control.pin(&pin).await.unwrap();
    for second in 0..60 {
        if held_s == Some(second) {
            leave(control, west, &ask.id, Outcome::Failed).await.unwrap();
        }
        let clock = ManualClock::at(at(second));
        let turn = steer(&config, name("us-east-1"), &all, control, &mut watch, &clock).await.unwrap();
        if !turn.moved.is_empty() {
            return second;
        }
    }
    panic!("the drain never ended");
}

const SLOW_DRAIN: &str = "failover: {drain_timeout: 20s}, api: {cache_ttl: 5s}";

fn with(settings: &str) -> String {
    let wild = DOCUMENT.trim_end().strip_suffix('}').unwrap();
    format!("{wild}, {settings}}}")
}

#[tokio::test]
async fn a_drain_ends_when_the_work_in_flight_has_ended() {
    let table = || ControlTable::new(vec![MemoryRows::default()]);
    let document = with(SLOW_DRAIN);
    assert_eq!(drained_after(&table(), None, &document).await, 8, "not before the apis have looked again");
    assert_eq!(drained_after(&table(), Some(2), &document).await, 8);
    assert_eq!(drained_after(&table(), Some(12), &document).await, 12);
    assert_eq!(drained_after(&table(), Some(50), &document).await, 20, "nor later than it may");
    let eager = with("failover: {drain_timeout: 20s}, api: {cache_ttl: 0s}");
    assert_eq!(drained_after(&table(), None, &eager).await, 3);
}

#[tokio::test]
async fn a_drain_whose_leases_cannot_be_read_takes_its_full_time() {
    let table = Deaf::to(MemoryRows::default(), |key, _| key.partition == "leases");
    assert_eq!(drained_after(&table, None, &with(SLOW_DRAIN)).await, 20);
}
