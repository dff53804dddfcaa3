//! The ledger table: one row for each object and destination, from owed to proved.
//!
//! A row lies in the index of its paying region while it is owed, at the time
//! of its next try, and leaves it when it is settled; one that was missed is kept apart there. An unanswered or refused write is read
//! back before it is judged: it may have been carried out.

use serde::{Deserialize, Serialize};

use super::{Versioned, encode, versioned};
use crate::{
    ports::{Cursor, Key, Row, Rows, RowsError, When},
    region::RegionName,
    replication::{Entry, ObjectId},
    time::Timestamp,
};

/// Rows read with one call.
const PAGE: usize = 100;

/// The version that a row begins with.
const FIRST: u64 = 1;

/// Rows of the index, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The rows, the one that is due first first.
    pub entries: Vec<Versioned<Entry>>,
    /// What is wrong with rows that this version cannot read. They keep no others back.
    pub unreadable: Vec<String>,
    /// Ask again from here; `None` at the end. A short page is not the end.
    pub next: Option<Cursor>,
}

/// How far a region has compared its listing with those of others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Walked {
    /// The last key that was compared; `None`: begin anew.
    pub after: Option<String>,
    /// When, on the clock of the region.
    pub at: Option<Timestamp>,
}

/// The partition of what regions note of their walks.
const WALKS: &str = "walk";

/// The ledger through one region's replica.
#[derive(Debug, Clone)]
pub struct LedgerTable<R> {
    rows: R,
}

impl<R: Rows> LedgerTable<R> {
    /// The table behind `rows`.
    pub const fn new(rows: R) -> Self {
        Self { rows }
    }

    /// The row of `object` for `destination`, if there is one.
    ///
    /// # Errors
    /// When the table does not answer or the row is not readable.
    pub async fn get(
        &self,
        object: &ObjectId,
        destination: RegionName,
    ) -> Result<Option<Versioned<Entry>>, RowsError> {
        let row = self.rows.read(&Key::new(object.as_str(), destination.as_str())).await?;
        row.as_ref().map(versioned).transpose()
    }

    /// The rows of `object`, in the order of their destinations.
    ///
    /// # Errors
    /// When the table does not answer or a row is not readable.
    pub async fn of_object(&self, object: &ObjectId) -> Result<Vec<Versioned<Entry>>, RowsError> {
        let (mut entries, mut from) = (Vec::new(), None);
        loop {
            let page = self.rows.list(object.as_str(), false, from.as_ref(), PAGE).await?;
            for row in &page.rows {
                entries.push(versioned(row)?);
            }
            from = page.next;
            if from.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Writes `entry` down unless the object has a row for that destination
    /// already, and answers with the row that the table holds then.
    ///
    /// # Errors
    /// When the table does not answer or the row is not readable.
    pub async fn owe(&self, entry: &Entry) -> Result<Versioned<Entry>, RowsError> {
        match self.write(entry, FIRST, When::Absent).await {
            Ok(()) => Ok(Versioned { value: entry.clone(), version: FIRST }),
            Err(RowsError::Conflict) => {
                self.get(&entry.object, entry.destination).await?.ok_or(RowsError::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces `old` by `new` if the table still holds `old`. Losing that race is a normal
    /// outcome, [`RowsError::Conflict`]: leave the row to the other writer.
    ///
    /// # Errors
    /// On a conflict, or when the table does not answer.
    pub async fn swap(&self, old: &Versioned<Entry>, new: &Entry) -> Result<Versioned<Entry>, RowsError> {
        let version = old.version + 1;
        self.write(new, version, When::Version(old.version)).await?;
        Ok(Versioned { value: new.clone(), version })
    }

    /// Up to `limit` rows that `payer` owes and that are due by `now`, after `from`.
    /// The index may lag behind the table, so a row may be settled already.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn due(
        &self,
        payer: RegionName,
        now: Timestamp,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Due, RowsError> {
        self.indexed(&owed_key(payer), Some(&due_key(now)), from, limit).await
    }

    /// Up to `limit` rows that `payer` owes, due or not, without those that this version cannot read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn owed(&self, payer: RegionName, limit: usize) -> Result<Vec<Versioned<Entry>>, RowsError> {
        self.under(&owed_key(payer), limit).await
    }

    async fn under(&self, partition: &str, limit: usize) -> Result<Vec<Versioned<Entry>>, RowsError> {
        let (mut entries, mut from) = (Vec::new(), None);
        while entries.len() < limit {
            let page = self.indexed(partition, None, from.as_ref(), PAGE.min(limit - entries.len())).await?;
            entries.extend(page.entries);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// Up to `limit` copies of `payer` that were given up since a newer version came to lie in the
    /// destination first, the one that was owed first first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn missed(&self, payer: RegionName, limit: usize) -> Result<Vec<Versioned<Entry>>, RowsError> {
        self.under(&missed_key(payer), limit).await
    }

    /// How far `region` has compared its listing; the beginning if it has not or the note is unreadable.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn walked(&self, region: RegionName) -> Result<Walked, RowsError> {
        let row = self.rows.read(&Key::new(WALKS, region.as_str())).await?;
        Ok(row.and_then(|row| serde_json::from_str(&row.body).ok()).unwrap_or_default())
    }

    /// Notes how far `region` has compared its listing. Two that note at once compare some of it twice.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn walk(&self, region: RegionName, walked: &Walked) -> Result<(), RowsError> {
        let row = encode(Key::new(WALKS, region.as_str()), FIRST, walked)?;
        self.rows.write(&row, When::Always).await
    }

    async fn indexed(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Due, RowsError> {
        let page = self.rows.list_index(partition, up_to, from, limit).await?;
        let mut due = Due { entries: Vec::new(), unreadable: Vec::new(), next: page.next };
        for row in &page.rows {
            match versioned(row) {
                Ok(entry) => due.entries.push(entry),
                Err(error) => due.unreadable.push(error.to_string()),
            }
        }
        Ok(due)
    }

    async fn write(&self, entry: &Entry, version: u64, when: When) -> Result<(), RowsError> {
        let key = Key::new(entry.object.as_str(), entry.destination.as_str());
        let mut row = encode(key, version, entry)?;
        let payer = entry.source.region;
        row.index = match entry.due() {
            Some(due) => Some(Key::new(owed_key(payer), due_key(due))),
            None => entry.is_missed().then(|| Key::new(missed_key(payer), due_key(entry.since))),
        };
        match self.rows.write(&row, when).await {
            // The client asks again by itself, so a refusal may be that of my own success.
            Err(error @ (RowsError::Conflict | RowsError::NoAnswer { .. })) => {
                if self.holds(&row).await {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            answer => answer,
        }
    }

    /// Whether the table is known to hold just this row.
    async fn holds(&self, row: &Row) -> bool {
        matches!(self.rows.read(&row.key).await, Ok(Some(held)) if held == *row)
    }
}

fn owed_key(payer: RegionName) -> String {
    format!("{payer}#owed")
}

fn missed_key(payer: RegionName) -> String {
    format!("{payer}#missed")
}

/// Padded, so that text order is time order until the year 2286.
fn due_key(due: Timestamp) -> String {
    format!("{:013}", due.as_millis().min(9_999_999_999_999))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{memory::MemoryRows, replication::Source, units::ByteSize, upload::Reason};
    use std::time::Duration;

    const LEASE: Duration = Duration::from_secs(60);

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn entry(id: &str, since: u64) -> Entry {
        let source = Source {
            region: region(1),
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            version_id: Some("v1".to_owned()),
            etag: "e".to_owned(),
            size: ByteSize(1),
            checksum: None,
        };
        Entry::owed(ObjectId::of_upload(id), region(2), source, at(since))
    }

    #[tokio::test]
    async fn a_row_that_is_there_is_not_owed_again() {
        let table = LedgerTable::new(MemoryRows::default());
        let first = table.owe(&entry("a", 5)).await.unwrap();
        assert_eq!(table.owe(&entry("a", 9)).await.unwrap(), first);
        assert_eq!(table.of_object(&ObjectId::of_upload("a")).await.unwrap(), [first]);
    }

    #[tokio::test]
    async fn rows_are_due_in_time_order_and_only_to_their_payer() {
        let table = LedgerTable::new(MemoryRows::default());
        for (id, since) in [("a", 1_000), ("b", 999), ("c", 20_000)] {
            table.owe(&entry(id, since)).await.unwrap();
        }
        let due = table.due(region(1), at(1_000), None, 10).await.unwrap();
        let ids: Vec<_> = due.entries.iter().map(|e| e.value.object.as_str().to_owned()).collect();
        assert_eq!(ids, ["upload#b", "upload#a"]);
        assert_eq!(table.due(region(2), at(1_000), None, 10).await.unwrap().entries, []);
        assert_eq!(table.owed(region(1), 10).await.unwrap().len(), 3);
        assert_eq!(table.owed(region(1), 2).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn pages_go_on_where_they_ended() {
        let table = LedgerTable::new(MemoryRows::default());
        for id in ["a", "b", "c"] {
            table.owe(&entry(id, 1)).await.unwrap();
        }
        let first = table.due(region(1), at(1), None, 2).await.unwrap();
        let rest = table.due(region(1), at(1), first.next.as_ref(), 2).await.unwrap();
        assert_eq!((first.entries.len(), rest.entries.len(), rest.next), (2, 1, None));
    }

    #[tokio::test]
    async fn a_settled_row_leaves_the_index() {
        let table = LedgerTable::new(MemoryRows::default());
        let owed = table.owe(&entry("a", 1)).await.unwrap();
        let (claimed, token) = owed.value.clone().claim("w", at(1), LEASE).unwrap();
        let held = table.swap(&owed, &claimed).await.unwrap();
        assert_eq!(table.due(region(1), at(2), None, 9).await.unwrap().entries, []);
        table.swap(&held, &claimed.verified(&token, None).unwrap()).await.unwrap();
        assert_eq!(table.owed(region(1), 9).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_missed_row_is_not_owed_and_is_still_seen() {
        let table = LedgerTable::new(MemoryRows::default());
        let reason = |missed| match missed {
            true => Reason::Overtaken { detail: "why".to_owned() },
            false => Reason::SourceChanged { detail: "why".to_owned() },
        };
        for (id, missed) in [("a", true), ("b", false)] {
            let owed = table.owe(&entry(id, 1)).await.unwrap();
            let (claimed, token) = owed.value.clone().claim("w", at(1), LEASE).unwrap();
            let held = table.swap(&owed, &claimed).await.unwrap();
            table.swap(&held, &claimed.voided(&token, reason(missed)).unwrap()).await.unwrap();
        }
        assert_eq!(table.owed(region(1), 9).await.unwrap(), []);
        let missed = table.missed(region(1), 9).await.unwrap();
        assert_eq!(missed.len(), 1);
        assert_eq!(missed[0].value.object, ObjectId::of_upload("a"));
        assert_eq!(table.missed(region(2), 9).await.unwrap(), []);
    }

    #[tokio::test]
    async fn one_of_two_claims_wins_and_a_repeated_write_is_its_own_success() {
        let table = LedgerTable::new(MemoryRows::default());
        let owed = table.owe(&entry("a", 1)).await.unwrap();
        let (mine, _) = owed.value.clone().claim("me", at(1), LEASE).unwrap();
        let (theirs, _) = owed.value.clone().claim("them", at(1), LEASE).unwrap();
        let held = table.swap(&owed, &mine).await.unwrap();
        assert!(matches!(table.swap(&owed, &theirs).await, Err(RowsError::Conflict)));
        assert_eq!(table.swap(&owed, &mine).await.unwrap(), held);
    }
}
