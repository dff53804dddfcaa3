//! Marks in the worksets table: by them observers measure how late it replicates.
//!
//! Each row has one writer, an observer's prober, which writes it in the replica of
//! the region that it watches and reads it in its own. The keys begin with a letter
//! that no tenant's name has.

use super::{decode, encode};
use crate::{
    health::Mark,
    ports::{Key, Rows, RowsError, When},
    region::RegionName,
};

const MARK: &str = "mark";

/// One region's replica of the worksets table, as far as marks go.
#[derive(Debug, Clone)]
pub struct MarksTable<R> {
    rows: R,
}

impl<R: Rows> MarksTable<R> {
    /// The table behind `rows`.
    pub const fn new(rows: R) -> Self {
        Self { rows }
    }

    /// Writes the mark of `observer` on `watched`; this has to be the replica of `watched`.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn write(
        &self,
        observer: RegionName,
        watched: RegionName,
        shard: usize,
        mark: Mark,
    ) -> Result<(), RowsError> {
        self.rows.write(&encode(key(observer, watched, shard), mark.number, &mark)?, When::Always).await
    }

    /// The mark of `observer` on `watched` as it has arrived in this replica.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn read(
        &self,
        observer: RegionName,
        watched: RegionName,
        shard: usize,
    ) -> Result<Option<Mark>, RowsError> {
        let row = self.rows.read(&key(observer, watched, shard)).await?;
        row.map(|row| decode(&row)).transpose()
    }
}

/// A partition of its own for each shard, so that shards lie anywhere in the table.
fn key(observer: RegionName, watched: RegionName, shard: usize) -> Key {
    Key::new(format!("~{MARK}#{watched}#{observer}#{shard}"), MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{memory::MemoryRows, time::Timestamp};

    #[tokio::test]
    async fn each_observer_region_and_shard_has_a_mark_of_its_own() {
        let table = MarksTable::new(MemoryRows::default());
        let (east, west) = ("us-east-1".parse().unwrap(), "us-west-2".parse().unwrap());
        let mark = |number| Mark { series: Timestamp::from_millis(1), number };
        table.write(east, west, 0, mark(1)).await.unwrap();
        table.write(east, west, 1, mark(2)).await.unwrap();
        table.write(west, east, 0, mark(3)).await.unwrap();
        assert_eq!(table.read(east, west, 0).await.unwrap(), Some(mark(1)));
        assert_eq!(table.read(east, west, 1).await.unwrap(), Some(mark(2)));
        assert_eq!(table.read(west, east, 0).await.unwrap(), Some(mark(3)));
        assert_eq!(table.read(west, east, 1).await.unwrap(), None);
    }

    /// A workset's partition begins with its tenant; no tenant is named so.
    #[test]
    fn no_tenant_can_reach_a_mark() {
        let key = key("us-east-1".parse().unwrap(), "us-west-2".parse().unwrap(), 0);
        let tenant = key.partition.split('#').next().unwrap();
        assert!(tenant.parse::<crate::workset::Tenant>().is_err(), "{tenant}");
    }
}
