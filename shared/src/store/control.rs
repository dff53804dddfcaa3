//! The control table: the record of the active primary, past moves, pins, and what operators ordered.
//!
//! The table is strongly consistent across regions, so any of its [`Replicas`] serves any
//! call. An unanswered write may have taken effect: it is read back before it is judged.

mod orders;

use super::{Replicas, decode, encode, unreadable};
use crate::{
    audit::Link,
    failover::{Moved, Pin, Record},
    ports::{Cursor, Key, Page, Row, Rows, RowsError, When},
    region::RegionName,
};

const ASSIGNMENT: &str = "assignment";
const CURRENT: &str = "current";
const MOVES: &str = "moves";
const PINS: &str = "pins";
const ORDERS: &str = "orders";

/// Pins that are read; there is at most one a region.
const PINS_MAX: usize = 100;

/// Rows asked for at once.
const PAGE: usize = 500;

/// An append-only list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// What operators ordered.
    Orders,
    /// Accounts of finished moves.
    Moves,
}

impl Listing {
    const fn partition(self) -> &'static str {
        match self {
            Self::Orders => ORDERS,
            Self::Moves => MOVES,
        }
    }

    /// The sort key of an entry.
    pub(super) fn place(number: u64) -> String {
        format!("{number:010}")
    }
}

/// The control table through the replicas that this caller can ask.
#[derive(Debug, Clone)]
pub struct ControlTable<R> {
    rows: Replicas<R>,
}

impl<R: Rows> ControlTable<R> {
    /// The table behind `replicas`, asked in this order. At least one.
    pub fn new(replicas: Vec<R>) -> Self {
        Self { rows: Replicas::new(replicas) }
    }

    /// The same table through other clients of its `replicas`, in the same order and number. What
    /// either learns of which one answers, both know.
    #[must_use]
    pub fn through<S>(&self, replicas: Vec<S>) -> ControlTable<S> {
        ControlTable { rows: self.rows.through(replicas) }
    }

    /// How many replicas can be asked.
    pub const fn replicas(&self) -> usize {
        self.rows.len()
    }

    /// The record; `None` before the first decision.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn record(&self) -> Result<Option<Record>, RowsError> {
        let row = self.read(&Key::new(ASSIGNMENT, CURRENT)).await?;
        row.map(|row| decode(&row)).transpose()
    }

    /// Replaces `old` by `new` if the table still holds `old`. Losing that race is
    /// a normal outcome, [`RowsError::Conflict`]: read again and decide anew.
    ///
    /// # Errors
    /// On a conflict, or when no replica answers.
    pub async fn swap(&self, old: Option<&Record>, new: &Record) -> Result<(), RowsError> {
        let row = encode(Key::new(ASSIGNMENT, CURRENT), new.version, new)?;
        self.write(&row, old.map_or(When::Absent, |old| When::Version(old.version))).await
    }

    /// Keeps the record of a finished move. It is fine if it is there already.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn log(&self, moved: &Moved) -> Result<(), RowsError> {
        let key = Key::new(MOVES, Listing::place(moved.epoch));
        // The one before, and perhaps this very one, which a controller left before it died.
        let before = self.moves(2).await?.into_iter().find(|before| before.epoch < moved.epoch);
        let prev = before.and_then(|before| before.chain).map(|link| link.hash);
        let link = Link::of(moved, prev, None).map_err(|e| unreadable(&key, e))?;
        let row = encode(key, 1, &Moved { chain: Some(link), ..moved.clone() })?;
        match self.write(&row, When::Absent).await {
            Ok(()) | Err(RowsError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Up to `limit` finished moves, newest first.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn moves(&self, limit: usize) -> Result<Vec<Moved>, RowsError> {
        self.all(MOVES, true, limit).await?.iter().map(decode).collect()
    }

    /// Every row of a list, oldest first.
    pub(super) async fn whole(&self, listing: Listing) -> Result<Vec<Row>, RowsError> {
        self.all(listing.partition(), false, usize::MAX).await
    }

    /// Every pin, expired ones too.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn pins(&self) -> Result<Vec<Pin>, RowsError> {
        let rows = self.all(PINS, false, PINS_MAX).await?;
        let pins = rows.iter().map(decode::<Option<Pin>>).collect::<Result<Vec<_>, _>>()?;
        Ok(pins.into_iter().flatten().collect())
    }

    /// Sets the pin of a region, in place of the one it had.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn pin(&self, pin: &Pin) -> Result<(), RowsError> {
        self.write(&encode(Key::new(PINS, pin.region.as_str()), 1, &Some(pin))?, When::Always).await
    }

    /// Takes the pin of a region away. It is fine if it has none.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn unpin(&self, region: RegionName) -> Result<(), RowsError> {
        self.write(&encode(Key::new(PINS, region.as_str()), 1, &None::<Pin>)?, When::Always).await
    }

    pub(super) async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.rows.read(key).await
    }

    /// Up to `limit` rows of a partition, over as many pages as they come in: a page is cut at
    /// 1 MB, so a short one, or even an empty one, is not the end.
    async fn all(&self, partition: &str, newest_first: bool, limit: usize) -> Result<Vec<Row>, RowsError> {
        let (mut rows, mut from) = (Vec::new(), None);
        while rows.len() < limit {
            let wanted = (limit - rows.len()).min(PAGE);
            let page = self.list(partition, newest_first, from.as_ref(), wanted).await?;
            rows.extend(page.rows);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    pub(super) async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list(partition, newest_first, from, limit).await
    }

    pub(super) async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        match self.rows.write(row, when).await {
            // After a silence, here or inside the client, a refusal may be that of our own write.
            Err(RowsError::Conflict) => self.read_back(row).await,
            Err(error @ RowsError::NoAnswer { .. }) => self.read_back(row).await.map_err(|_| error),
            answer => answer,
        }
    }

    async fn read_back(&self, row: &Row) -> Result<(), RowsError> {
        match self.read(&row.key).await? {
            Some(held) if held == *row => Ok(()),
            Some(_) | None => Err(RowsError::Conflict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{memory::MemoryRows, time::Timestamp};

    fn west() -> RegionName {
        "us-west-2".parse().unwrap()
    }

    fn moved(epoch: u64) -> Moved {
        Moved {
            epoch,
            from: west(),
            to: "us-east-1".parse().unwrap(),
            reason: crate::failover::Reason::Asked { note: "drill".to_owned() },
            started_by: crate::failover::StartedBy::Automation,
            lag_ms: None,
            loss_max_ms: None,
            saw: Vec::new(),
            steps: Vec::new(),
            verified: true,
            ended: Timestamp::default(),
            chain: None,
        }
    }

    /// A table whose pages are cut after two rows, with an empty one in front.
    struct Pages(MemoryRows);

    impl Rows for Pages {
        async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
            self.0.read(key).await
        }

        async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
            self.0.write(row, when).await
        }

        async fn list(
            &self,
            partition: &str,
            newest_first: bool,
            from: Option<&Cursor>,
            limit: usize,
        ) -> Result<Page, RowsError> {
            if from.is_none() {
                let sort = if newest_first { "~" } else { " " };
                let next = Some(Cursor { key: Key::new(partition, sort), index: None });
                return Ok(Page { rows: Vec::new(), next });
            }
            self.0.list(partition, newest_first, from, limit.min(2)).await
        }

        async fn list_index(
            &self,
            partition: &str,
            up_to: Option<&str>,
            from: Option<&Cursor>,
            limit: usize,
        ) -> Result<Page, RowsError> {
            self.0.list_index(partition, up_to, from, limit).await
        }
    }

    fn next(record: &Record) -> Record {
        Record { version: record.version + 1, ..record.clone() }
    }

    #[tokio::test]
    async fn the_second_replica_answers_when_the_first_is_cut() {
        let near = MemoryRows::default();
        let table = ControlTable::new(vec![near.clone(), near.replica()]);
        let first = Record::first(west(), Timestamp::default());
        table.swap(None, &first).await.unwrap();
        near.cut(true);
        assert_eq!(table.record().await.unwrap(), Some(first.clone()));
        table.swap(Some(&first), &next(&first)).await.unwrap();
    }

    #[tokio::test]
    async fn what_comes_in_many_pages_is_read_to_its_end_or_to_the_limit() {
        let table = ControlTable::new(vec![Pages(MemoryRows::default())]);
        for epoch in 1..=9 {
            table.log(&moved(epoch)).await.unwrap();
            let order = crate::failover::Order::Approve { to: west() };
            table.order("ada", "drill", order, Timestamp::default()).await.unwrap();
        }
        let epochs = |moves: Vec<Moved>| moves.iter().map(|moved| moved.epoch).collect::<Vec<_>>();
        assert_eq!(epochs(table.moves(1_000).await.unwrap()), (1..=9).rev().collect::<Vec<_>>());
        assert_eq!(epochs(table.moves(5).await.unwrap()), [9, 8, 7, 6, 5]);
        let orders = table.orders(1_000).await.unwrap();
        assert_eq!(
            orders.iter().map(|order| order.number).collect::<Vec<_>>(),
            (1..=9).rev().collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn one_of_two_controllers_wins() {
        let rows = MemoryRows::default();
        let (a, b) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
        let first = Record::first(west(), Timestamp::default());
        a.swap(None, &first).await.unwrap();
        a.swap(Some(&first), &next(&first)).await.unwrap();
        let other = Record { since: Timestamp::from_millis(7), ..next(&first) };
        assert!(matches!(b.swap(Some(&first), &other).await, Err(RowsError::Conflict)));
    }

    #[tokio::test]
    async fn a_pin_that_is_taken_away_is_gone() {
        let table = ControlTable::new(vec![MemoryRows::default()]);
        let pin = Pin {
            region: west(),
            rule: crate::failover::Rule::Forbid,
            owner: "ada".to_owned(),
            reason: "maintenance".to_owned(),
            expires: Timestamp::from_millis(1),
        };
        table.pin(&pin).await.unwrap();
        assert_eq!(table.pins().await.unwrap(), [pin]);
        table.unpin(west()).await.unwrap();
        assert_eq!(table.pins().await.unwrap(), []);
    }
}
