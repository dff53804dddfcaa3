//! What becomes of writes to the control table whose answers are lost, and of a
//! controller that is interrupted or beaten between two of them.

use std::sync::{Arc, Mutex};

use super::ControlTable;
use crate::{
    config::Config,
    failover::{Decision, Record, Watch},
    health::{Failure, Observation, Probe, Verdicts, judge},
    memory::{ManualClock, MemoryRows},
    ports::{Cursor, Key, Page, Row, Rows, RowsError, Silence, When},
    steer::{Turn, steer},
    time::Timestamp,
};

/// What befalls one write.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is carried out, its answer is lost, and the client's own retry is refused.
    RetryRefused,
    /// It never arrives.
    Lost,
    /// Another writer writes this row first.
    Beaten(Row),
}

/// A table with a fate for each write, the next one first; when they run out, all are answered.
#[derive(Debug, Clone)]
struct Fated {
    inner: MemoryRows,
    fates: Arc<Mutex<Vec<Fate>>>,
}

impl Fated {
    fn new(fates: &[Fate]) -> Self {
        Self { inner: MemoryRows::default(), fates: Arc::new(Mutex::new(fates.to_vec())) }
    }

    fn next(&self) -> Fate {
        let mut fates = self.fates.lock().unwrap();
        if fates.is_empty() { Fate::Answered } else { fates.remove(0) }
    }
}

fn silence() -> RowsError {
    RowsError::NoAnswer { table: "control".to_owned(), how: Silence::NoConnection, source: "lost".into() }
}

impl Rows for Fated {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.inner.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        match self.next() {
            Fate::Answered => self.inner.write(row, when).await,
            Fate::AnswerLost => self.inner.write(row, when).await.and(Err(silence())),
            Fate::RetryRefused => self.inner.write(row, when).await.and(Err(RowsError::Conflict)),
            Fate::Lost => Err(silence()),
            Fate::Beaten(other) => {
                self.inner.write(&other, When::Always).await?;
                self.inner.write(row, when).await
            }
        }
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.inner.list(partition, newest_first, from, limit).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.inner.list_index(partition, up_to, from, limit).await
    }
}

fn first() -> Record {
    Record::first("us-west-2".parse().unwrap(), Timestamp::default())
}

async fn swapped(fate: Fate) -> (Result<(), RowsError>, Option<Record>) {
    let table = ControlTable::new(vec![Fated::new(&[fate])]);
    let answer = table.swap(None, &first()).await;
    (answer, table.record().await.unwrap())
}

#[tokio::test]
async fn a_swap_whose_answer_was_lost_is_read_back() {
    let (answer, held) = swapped(Fate::AnswerLost).await;
    assert_eq!(held, Some(first()));
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_may_be_ones_own_success() {
    let (answer, _) = swapped(Fate::RetryRefused).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_swap_that_never_arrived_is_not_called_done() {
    let (answer, held) = swapped(Fate::Lost).await;
    assert_eq!(held, None);
    assert!(matches!(&answer, Err(error) if error.is_outage()), "{answer:?}");
}

const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west"}, {"name": "us-east-1", "bucket": "east"},
    {"name": "eu-west-1", "bucket": "europe"}, {"name": "us-east-2", "role": "witness"}]}"#;

fn config() -> Config {
    Config::read(Some(DOCUMENT), std::iter::empty()).unwrap()
}

/// What the other regions see when us-west-2 is gone.
fn primary_gone(config: &Config) -> Verdicts {
    let gone = config.primary_region;
    let probe = |region| {
        if region == gone {
            Probe::Bad(Failure::Timeout)
        } else {
            Probe::Good(std::time::Duration::from_millis(20))
        }
    };
    let targets: Vec<_> =
        config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c))).collect();
    let tick = |row: Observation, at: u64| {
        let now = Timestamp::from_millis(at);
        targets.iter().fold(row, |row, (r, c)| row.observe(r, *c, probe(r.name), &config.health, now))
    };
    let observers = config.regions.iter().map(|r| r.name).filter(|name| *name != gone);
    let rows: Vec<Observation> =
        observers.map(|name| (0..4).fold(Observation::new(name), tick).seal(&config.regions)).collect();
    let fresh: Vec<_> = rows.iter().map(|row| (row, true)).collect();
    judge(&fresh, &config.regions, &config.health, None)
}

async fn turn(table: &ControlTable<Fated>, watch: &mut Watch, now_s: u64) -> Result<Turn, RowsError> {
    let config = config();
    let clock = ManualClock::at(Timestamp::from_millis(now_s * 1000));
    let here = "us-east-1".parse().unwrap();
    steer(&config, here, &primary_gone(&config), table, watch, &clock).await
}

#[tokio::test]
async fn a_move_does_not_end_before_its_account_is_kept() {
    // The controller is lost with the first of the two writes that end a move, and with the second.
    for fates in [vec![Fate::Lost], vec![Fate::Answered, Fate::Lost]] {
        let rows = Fated::new(&[]);
        let (table, mut watch) = (ControlTable::new(vec![rows.clone()]), Watch::default());
        turn(&table, &mut watch, 0).await.unwrap();
        let moved = table.record().await.unwrap().unwrap();
        assert_eq!((moved.epoch, moved.underway.is_some()), (2, true), "moved, and yet to be seen working");
        rows.fates.lock().unwrap().extend(fates);
        assert!(turn(&table, &mut watch, 60).await.is_err());
        let held = table.record().await.unwrap().unwrap();
        assert!(held.underway.is_some(), "the move is found unfinished: {held:?}");
        turn(&table, &mut Watch::default(), 120).await.unwrap();
        turn(&table, &mut watch, 180).await.unwrap();
        assert_eq!(table.record().await.unwrap().unwrap().underway, None);
        assert_eq!(table.moves(10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_controller_that_lost_the_race_decides_anew() {
    let rows = Fated::new(&[]);
    let table = ControlTable::new(vec![rows.clone()]);
    table.swap(None, &first()).await.unwrap();
    let other = Record { version: 2, since: Timestamp::from_millis(7), ..first() };
    let row = super::encode(Key::new("assignment", "current"), other.version, &other).unwrap();
    rows.fates.lock().unwrap().push(Fate::Beaten(row));
    let turn = turn(&table, &mut Watch::default(), 60).await.unwrap();
    let starts = turn.decisions.iter().filter(|d| matches!(d, Decision::Start { .. })).count();
    assert_eq!((starts, turn.moved.len()), (2, 1), "{:?}", turn.decisions);
}
