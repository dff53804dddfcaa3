//! Alarms in every form, on tables in memory.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use failover_handler::{
    AlarmError, AlarmState, Alarms, Deps, Failed, Remembered, Reply, Unanswered, respond,
};
use sealane::{
    config::Config,
    health::{Failure, Observation, Probe},
    memory::MemoryRows,
    ports::{Clock, Cursor, Key, Page, Row, Rows, RowsError, When},
    region::{Region, RegionName},
    store::{ControlTable, HealthTable},
    time::Timestamp,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west", "priority": 1, "endpoints": {"api": "https://west.example"}},
    {"name": "us-east-1", "bucket": "east", "priority": 2, "endpoints": {"api": "https://east.example"}},
    {"name": "eu-west-1", "bucket": "europe", "priority": 3, "endpoints": {"api": "https://europe.example"}},
    {"name": "us-east-2", "role": "witness"}]}"#;

/// A clock that runs with the paused time of the test.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::default().after(self.0.elapsed())
    }
}

/// Alarms that are all over by now, or that nobody can read.
enum TestAlarms {
    Over,
    Silent,
}

impl Alarms for TestAlarms {
    async fn state(&self, alarm: &str) -> Result<Option<AlarmState>, Unanswered> {
        match self {
            Self::Over => Ok(Some(AlarmState::Ok)),
            Self::Silent => Err(Unanswered { alarm: alarm.to_owned(), source: "no answer".into() }),
        }
    }
}

fn event(case: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/failover-handler-{case}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn deps(
    rows: &MemoryRows,
    control: &MemoryRows,
    alarms: TestAlarms,
) -> Deps<TestAlarms, MemoryRows, TestClock> {
    Deps {
        config: Config::read(Some(DOCUMENT), std::iter::empty()).unwrap(),
        here: "us-east-1".parse().unwrap(),
        alarms,
        health: HealthTable::new(rows.replica()),
        control: ControlTable::new(vec![control.replica()]),
        clock: TestClock(Instant::now()),
    }
}

/// Rows of three observers that keep on seeing `down` not answer.
async fn observers(rows: &MemoryRows, config: &Config, down: &str) {
    let table = HealthTable::new(rows.clone());
    let mut seen: Vec<(Observation, Option<u64>)> = ["us-east-1", "eu-west-1", "us-east-2"]
        .iter()
        .map(|name| (Observation::new(name.parse::<RegionName>().unwrap()), None))
        .collect();
    loop {
        for (row, version) in &mut seen {
            *row = tick(row.clone(), config, down);
            *version = Some(table.publish(row, *version).await.unwrap());
        }
        sleep(Duration::from_secs(10)).await;
    }
}

fn tick(row: Observation, config: &Config, down: &str) -> Observation {
    let outcome = |region: &Region| match region.name.as_str() == down {
        true => Probe::Bad(Failure::Timeout),
        false => Probe::Good(Duration::from_millis(20)),
    };
    let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
    (0..3)
        .fold(row, |row, _| {
            targets.clone().fold(row, |row, (region, capability)| {
                row.observe(region, capability, outcome(region), &config.health, Timestamp::default())
            })
        })
        .seal(&config.regions)
}

/// The reply to each case in turn, while observers see the primary region not answer.
async fn answers(cases: &[&str], alarms: TestAlarms, down: &str) -> (Vec<Result<Reply, Failed>>, MemoryRows) {
    let (rows, control) = (MemoryRows::default(), MemoryRows::default());
    let deps = deps(&rows, &control, alarms);
    let first = sealane::failover::Record::first("us-west-2".parse().unwrap(), Timestamp::default());
    deps.control.swap(None, &first).await.unwrap();
    let mut memory = Remembered::default();
    let mut replies = Vec::new();
    let handled = async {
        sleep(Duration::from_secs(1)).await;
        for case in cases {
            replies.push(respond(&deps, &mut memory, &event(case)).await);
        }
    };
    tokio::select! {
        () = handled => {}
        () = observers(&rows, &deps.config, down) => {}
    }
    (replies, control)
}

#[tokio::test(start_paused = true)]
async fn every_form_of_an_alarm_moves_off_a_dead_primary() {
    for case in ["sns-alarm", "eventbridge-alarm", "direct-alarm", "sns-insufficient", "sns-ok"] {
        let (replies, control) = answers(&[case], TestAlarms::Over, "us-west-2").await;
        let reply = replies[0].as_ref().unwrap();
        assert_eq!(reply.epoch, Some(2), "{case}: {reply:?}");
        let record = ControlTable::new(vec![control]).record().await.unwrap().unwrap();
        assert_eq!(record.active.as_str(), "us-east-1", "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn doubled_and_late_alarms_make_one_move() {
    let cases = ["sns-alarm", "sns-alarm", "eventbridge-alarm", "sns-ok", "sns-alarm"];
    let (replies, control) = answers(&cases, TestAlarms::Silent, "us-west-2").await;
    assert!(replies.iter().all(|r| r.as_ref().unwrap().epoch == Some(2)));
    assert_eq!(ControlTable::new(vec![control]).record().await.unwrap().unwrap().epoch, 2);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_alone_moves_nothing() {
    let (replies, control) = answers(&["sns-alarm"], TestAlarms::Silent, "nowhere").await;
    assert_eq!(replies[0].as_ref().unwrap().epoch, Some(1));
    assert_eq!(ControlTable::new(vec![control]).record().await.unwrap().unwrap().epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_without_living_observers_moves_nothing() {
    let (rows, control) = (MemoryRows::default(), MemoryRows::default());
    let deps = deps(&rows, &control, TestAlarms::Over);
    let first = sealane::failover::Record::first("us-west-2".parse().unwrap(), Timestamp::default());
    deps.control.swap(None, &first).await.unwrap();
    // Rows that say the primary is dead, by observers that are dead themselves.
    let table = HealthTable::new(rows.clone());
    for name in ["us-east-1", "eu-west-1", "us-east-2"] {
        let row = tick(Observation::new(name.parse().unwrap()), &deps.config, "us-west-2");
        table.publish(&row, None).await.unwrap();
    }
    let mut memory = Remembered::default();
    let reply = respond(&deps, &mut memory, &event("sns-alarm")).await.unwrap();
    assert_eq!(reply.epoch, Some(1), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn foreign_and_damaged_events_are_refused_by_name() {
    let (replies, _) = answers(&["sns-foreign", "malformed"], TestAlarms::Over, "us-west-2").await;
    let [Err(Failed::Event(foreign)), Err(Failed::Event(malformed))] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert!(foreign.to_string().contains("AWS/DynamoDB"), "{foreign}");
    assert!(matches!(malformed, AlarmError::Malformed(_)), "{malformed}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_table_is_an_error_and_not_an_answer() {
    let (rows, control) = (MemoryRows::default(), MemoryRows::default());
    let mut deps = deps(&rows, &control, TestAlarms::Over);
    let cut = rows.replica();
    cut.cut(true);
    deps.health = HealthTable::new(cut);
    let mut memory = Remembered::default();
    let reply = respond(&deps, &mut memory, &event("sns-alarm")).await;
    assert!(matches!(reply, Err(Failed::Table(_))), "{reply:?}");
}

/// Rows that count the calls made to them.
struct Counted(MemoryRows, Arc<AtomicUsize>);

impl Counted {
    fn rows(&self) -> &MemoryRows {
        self.1.fetch_add(1, Ordering::Relaxed);
        &self.0
    }
}

impl Rows for Counted {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.rows().read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.rows().write(row, when).await
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows().list(partition, newest_first, from, limit).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows().list_index(partition, up_to, from, limit).await
    }
}

/// Alarms that count how often they are read.
struct CountedAlarms(AtomicUsize);

impl Alarms for CountedAlarms {
    async fn state(&self, _: &str) -> Result<Option<AlarmState>, Unanswered> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(AlarmState::Alarm))
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_a_thousand_alarms_makes_one_move_and_few_calls() {
    let (rows, control) = (MemoryRows::default(), MemoryRows::default());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = |rows: &MemoryRows| Counted(rows.replica(), Arc::clone(&calls));
    let deps = Deps {
        config: Config::read(Some(DOCUMENT), std::iter::empty()).unwrap(),
        here: "us-east-1".parse().unwrap(),
        alarms: CountedAlarms(AtomicUsize::new(0)),
        health: HealthTable::new(counted(&rows)),
        control: ControlTable::new(vec![counted(&control)]),
        clock: TestClock(Instant::now()),
    };
    let first = sealane::failover::Record::first("us-west-2".parse().unwrap(), Timestamp::default());
    deps.control.swap(None, &first).await.unwrap();
    calls.store(0, Ordering::Relaxed);
    let cases = ["sns-alarm", "eventbridge-alarm", "direct-alarm", "sns-ok", "sns-insufficient"];
    let events = cases.map(event);
    let mut remembered = Remembered::default();
    let storm = async {
        sleep(Duration::from_secs(1)).await;
        for number in 0..1_000 {
            let reply = respond(&deps, &mut remembered, &events[number % events.len()]).await.unwrap();
            assert_eq!(reply.epoch, Some(2), "{reply:?}");
        }
    };
    tokio::select! {
        () = storm => {}
        () = observers(&rows, &deps.config, "us-west-2") => {}
    }
    let record = ControlTable::new(vec![control]).record().await.unwrap().unwrap();
    assert_eq!((record.epoch, record.moves.len()), (2, 1));
    // One look: up to 16 readings of the observers' rows while it waits for them to advance,
    // the pins, and a reading and a write for each step of the move.
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls <= 30, "{calls} calls to the tables");
    assert_eq!(deps.alarms.0.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_is_not_about_a_region_down_is_heard_and_decides_nothing() {
    let (replies, control) =
        answers(&["sns-slow", "sns-unknown-region"], TestAlarms::Over, "us-west-2").await;
    for reply in replies {
        let reply = reply.unwrap();
        assert_eq!((reply.heard.len(), reply.decisions.len(), reply.epoch), (1, 0, None));
    }
    assert_eq!(ControlTable::new(vec![control]).record().await.unwrap().unwrap().epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_failed_is_answered_when_it_comes_again() {
    let (rows, control) = (MemoryRows::default(), MemoryRows::default());
    let cut = rows.replica();
    let mut deps = deps(&rows, &control, TestAlarms::Over);
    deps.health = HealthTable::new(cut.clone());
    let first = sealane::failover::Record::first("us-west-2".parse().unwrap(), Timestamp::default());
    deps.control.swap(None, &first).await.unwrap();
    let mut remembered = Remembered::default();
    let twice = async {
        sleep(Duration::from_secs(1)).await;
        cut.cut(true);
        let failed = respond(&deps, &mut remembered, &event("sns-alarm")).await;
        assert!(matches!(failed, Err(Failed::Table(_))), "{failed:?}");
        cut.cut(false);
        let again = respond(&deps, &mut remembered, &event("sns-alarm")).await.unwrap();
        assert_eq!(again.epoch, Some(2), "{again:?}");
    };
    tokio::select! {
        () = twice => {}
        () = observers(&rows, &deps.config, "us-west-2") => {}
    }
}
