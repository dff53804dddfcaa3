//! Leases on a control table in memory: races, outages, drains and crashes.

use std::time::Duration;

use futures::future::join_all;

use super::*;
use crate::{
    failover::{Phase, Pin, Record, Rule},
    memory::{ManualClock, MemoryRows},
    ports::{Cursor, Key, Page, Row, Silence, When},
    time::Timestamp,
    units::ByteSize,
};

const DOCUMENT: &str = "{primary_region: us-west-2, regions: [\
    {name: us-west-2, bucket: west, capacity: {max_concurrent_uploads: 2, max_bandwidth_mbps: 100}}, \
    {name: us-east-1, bucket: east}], health: {voters_min: 1}}";

fn config() -> Config {
    Config::read(Some(DOCUMENT), std::iter::empty()).unwrap()
}

fn west() -> Region {
    config().regions[0].clone()
}

fn ask(id: &str) -> Ask {
    Ask { id: id.to_owned(), holder: "lab-7".to_owned(), bandwidth_mbps: 50, ttl: Duration::from_secs(60) }
}

fn at(seconds: u64) -> ManualClock {
    ManualClock::at(Timestamp::from_millis(seconds * 1000))
}

async fn holders<R: Rows>(control: &ControlTable<R>) -> Vec<String> {
    let book = control.leases(west().name).await.unwrap();
    book.leases.into_iter().map(|lease| lease.id).collect()
}

/// A replica that gives way to others after each read, and loses what it is told to lose.
struct Racing {
    rows: MemoryRows,
    /// Carries out the write of this number, counted from 1, and loses its answer.
    loses_answer: Option<usize>,
    writes: std::sync::atomic::AtomicUsize,
}

impl Racing {
    fn new(rows: &MemoryRows, loses_answer: Option<usize>) -> ControlTable<Self> {
        let rows = rows.replica();
        ControlTable::new(vec![Self { rows, loses_answer, writes: 0.into() }])
    }
}

impl Rows for Racing {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        let row = self.rows.read(key).await;
        tokio::task::yield_now().await;
        row
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let number = self.writes.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        self.rows.write(row, when).await?;
        if self.loses_answer == Some(number) {
            let how = Silence::Timeout;
            return Err(RowsError::NoAnswer { table: "memory".to_owned(), how, source: "lost".into() });
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
async fn of_many_uploaders_as_many_get_in_as_there_is_room() {
    let rows = MemoryRows::default();
    let uploaders = (0..12).map(|i| {
        let (control, rows) = (Racing::new(&rows, (i % 3 == 0).then_some(1)), rows.clone());
        async move {
            let entered = loop {
                match enter(&control, &west(), &ask(&i.to_string()), &at(0)).await {
                    Err(Unsettled::Contended) => {}
                    settled => break settled.unwrap(),
                }
            };
            (entered.is_ok(), ControlTable::new(vec![rows]))
        }
    });
    let entered = join_all(uploaders).await;
    assert_eq!(entered.iter().filter(|(entered, _)| *entered).count(), 2);
    assert_eq!(holders(&entered[0].1).await.len(), 2);
}

#[tokio::test]
async fn who_loses_a_race_is_told_of_contention_and_holds_nothing() {
    let rows = MemoryRows::default();
    let (first, late) = (Racing::new(&rows, None), Racing::new(&rows, None));
    let (west, one, two, clock) = (west(), ask("one"), ask("two"), at(0));
    let (won, lost) = futures::join!(enter(&first, &west, &one, &clock), enter(&late, &west, &two, &clock));
    assert!(won.unwrap().is_ok());
    assert!(matches!(lost, Err(Unsettled::Contended)), "{lost:?}");
    assert_eq!(holders(&first).await, ["one"]);
}

#[tokio::test]
async fn a_full_region_refuses_by_the_number_that_is_in_the_way() {
    let control = ControlTable::new(vec![MemoryRows::default()]);
    for id in ["a", "b"] {
        enter(&control, &west(), &ask(id), &at(0)).await.unwrap().unwrap();
    }
    let refusal = enter(&control, &west(), &ask("c"), &at(0)).await.unwrap().unwrap_err();
    assert_eq!(refusal.to_string(), "no upload slot is free: 2 of 2 uploads, 100 of 100 Mbit/s");
    leave(&control, west().name, "a", Outcome::Failed).await.unwrap();
    let wide = Ask { bandwidth_mbps: 51, ..ask("c") };
    let refusal = enter(&control, &west(), &wide, &at(0)).await.unwrap().unwrap_err();
    assert_eq!(refusal.to_string(), "51 Mbit/s are not free: 1 of 2 uploads, 50 of 100 Mbit/s");
}

#[tokio::test]
async fn a_lost_answer_takes_one_lease_and_gives_it_back_once() {
    let rows = MemoryRows::default();
    let lossy = Racing::new(&rows, Some(1));
    enter(&lossy, &west(), &ask("a"), &at(0)).await.unwrap().unwrap();
    enter(&lossy, &west(), &ask("a"), &at(0)).await.unwrap().unwrap();
    assert_eq!(holders(&lossy).await, ["a"]);
    let shipped = Outcome::Shipped { size: ByteSize(9), took: Duration::from_secs(1) };
    let losing = Racing::new(&rows, Some(1));
    leave(&losing, west().name, "a", shipped).await.unwrap();
    leave(&losing, west().name, "a", shipped).await.unwrap();
    assert_eq!(losing.leases(west().name).await.unwrap().done.shipped, 1);
}

#[tokio::test]
async fn a_drain_that_begins_meanwhile_sends_the_uploader_away() {
    let control = ControlTable::new(vec![MemoryRows::default()]);
    let to = "us-east-1".parse().unwrap();
    let draining =
        Record { phase: Phase::Draining { to }, ..Record::first(west().name, Timestamp::default()) };
    control.swap(None, &draining).await.unwrap();
    let refusal = enter(&control, &west(), &ask("a"), &at(0)).await.unwrap().unwrap_err();
    assert_eq!(refusal, Refusal::Closed(Closed::Draining { to }));
    let book = control.leases(west().name).await.unwrap();
    assert!(book.leases.is_empty() && book.done.failed == 0, "{book:?}");
}

#[tokio::test]
async fn a_region_that_an_operator_drains_takes_nothing_new() {
    let control = ControlTable::new(vec![MemoryRows::default()]);
    let pin = Pin {
        region: west().name,
        rule: Rule::Drain,
        owner: "ada".to_owned(),
        reason: "maintenance".to_owned(),
        expires: Timestamp::from_millis(9_000),
    };
    control.pin(&pin).await.unwrap();
    let refused = enter(&control, &west(), &ask("a"), &at(0)).await.unwrap();
    assert_eq!(refused, Err(Refusal::Closed(Closed::Pinned(pin))));
    assert!(enter(&control, &west(), &ask("a"), &at(9)).await.unwrap().is_ok());
    let offline = Region { offline: true, ..west() };
    let refused = enter(&control, &offline, &ask("b"), &at(9)).await.unwrap();
    assert_eq!(refused, Err(Refusal::Closed(Closed::Offline)));
}

#[tokio::test]
async fn a_crashed_uploaders_slot_comes_back_and_a_renewing_one_stays() {
    let control = ControlTable::new(vec![MemoryRows::default()]);
    for id in ["crashed", "alive"] {
        enter(&control, &west(), &ask(id), &at(0)).await.unwrap().unwrap();
    }
    // The watcher's clock is a day off, and the holder's does not matter at all.
    let (mut watches, config) = (BTreeMap::new(), config());
    for tick in 0..7 {
        let books = reap(&config, &control, &mut watches, &at(86_400 + 10 * tick)).await.unwrap();
        let expected = if tick < 6 { 2 } else { 1 };
        assert_eq!(books[&west().name].load().uploads, expected, "at {} s", 10 * tick);
        renew(&control, west().name, "alive").await.unwrap().unwrap();
    }
    assert_eq!(holders(&control).await, ["alive"]);
    assert_eq!(renew(&control, west().name, "crashed").await.unwrap(), Err(Gone));
    assert_eq!(control.leases(west().name).await.unwrap().done.failed, 1);
}

#[tokio::test]
async fn without_the_control_table_nothing_is_promised() {
    let rows = MemoryRows::default();
    let control = ControlTable::new(vec![rows.clone()]);
    rows.cut(true);
    assert!(enter(&control, &west(), &ask("a"), &at(0)).await.is_err());
    assert!(reap(&config(), &control, &mut BTreeMap::new(), &at(0)).await.is_err());
    rows.cut(false);
    assert!(holders(&control).await.is_empty());
}
