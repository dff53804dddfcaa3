//! The leases in the control table: one row a region.

use std::collections::BTreeMap;

use super::{ControlTable, decode, encode};
use crate::{
    lease::Book,
    ports::{Key, Rows, RowsError, When},
    region::RegionName,
};

const LEASES: &str = "leases";

/// Rows asked for at once: full ones come to less than the 1 MB at which a page is cut.
const PAGE: usize = 10;

/// Pages of one reading: more rows than AWS has regions.
const PAGES_MAX: usize = 20;

impl<R: Rows> ControlTable<R> {
    /// The leases of a region; an empty book before the first one.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn leases(&self, region: RegionName) -> Result<Book, RowsError> {
        let row = self.read(&key(region)).await?;
        row.map_or(Ok(Book::default()), |row| decode(&row))
    }

    /// The leases of every region that ever had one.
    ///
    /// # Errors
    /// When no replica answers, or a row cannot be read: a part is not taken for the whole.
    pub async fn all_leases(&self) -> Result<BTreeMap<RegionName, Book>, RowsError> {
        let (mut all, mut from) = (BTreeMap::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.list(LEASES, false, from.as_ref(), PAGE).await?;
            for row in &page.rows {
                // A row of no region is nobody's: no configuration can name it.
                let Ok(region) = row.key.sort.parse() else { continue };
                all.insert(region, decode(row)?);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Writes `new`, which was made from the book before it, if the row still holds that one.
    ///
    /// # Errors
    /// [`RowsError::Conflict`] when another writer was first: read again and decide anew. Else when
    /// no replica answers.
    pub async fn write_leases(&self, region: RegionName, new: &Book) -> Result<(), RowsError> {
        let row = encode(key(region), new.version, new)?;
        let when = if new.version <= 1 { When::Absent } else { When::Version(new.version - 1) };
        self.write(&row, when).await
    }
}

fn key(region: RegionName) -> Key {
    Key::new(LEASES, region.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{lease::Ask, memory::MemoryRows, region::Capacity};

    const ROOM: Capacity = Capacity { max_concurrent_uploads: 1, max_bandwidth_mbps: 10 };

    fn west() -> RegionName {
        "us-west-2".parse().unwrap()
    }

    fn taken(book: &Book, id: &str) -> Book {
        let ask = Ask {
            id: id.to_owned(),
            holder: "lab-7".to_owned(),
            bandwidth_mbps: 1,
            ttl: Duration::from_secs(60),
        };
        book.acquire(&ask, ROOM).unwrap().unwrap()
    }

    #[tokio::test]
    async fn one_of_two_uploaders_writes_the_last_slot() {
        let rows = MemoryRows::default();
        let (a, b) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
        let empty = a.leases(west()).await.unwrap();
        a.write_leases(west(), &taken(&empty, "a")).await.unwrap();
        let late = b.write_leases(west(), &taken(&empty, "b")).await;
        assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
        let held = b.leases(west()).await.unwrap();
        assert!(held.holds("a") && !held.holds("b"));
        b.write_leases(west(), &held.renew("a").unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_region_without_a_row_has_no_leases_and_an_outage_is_no_empty_book() {
        let rows = MemoryRows::default();
        let table = ControlTable::new(vec![rows.clone()]);
        assert_eq!(table.leases(west()).await.unwrap(), Book::default());
        assert_eq!(table.all_leases().await.unwrap(), BTreeMap::new());
        rows.cut(true);
        assert!(table.leases(west()).await.is_err() && table.all_leases().await.is_err());
    }

    #[tokio::test]
    async fn every_regions_leases_are_read_over_many_pages() {
        let table = ControlTable::new(vec![MemoryRows::default()]);
        let name = |i| format!("us-west-{i}").parse::<RegionName>().unwrap();
        for i in 0..25 {
            table.write_leases(name(i), &taken(&Book::default(), &i.to_string())).await.unwrap();
        }
        let all = table.all_leases().await.unwrap();
        assert_eq!(all.len(), 25);
        assert!((0..25).all(|i| all[&name(i)].holds(&i.to_string())));
    }
}
