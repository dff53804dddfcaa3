//! The locks of worksets in the control table: one row a workset.
//!
//! The table is strongly consistent across regions, so of two regions that take one
//! lock at the same moment one wins. The row names the write that made it so: two
//! processes of one name that write the same millisecond would else both find, when
//! they read a doubtful write back, that it was theirs.

use serde::{Deserialize, Serialize};

use super::{ControlTable, decode, encode};
use crate::{
    ports::{Key, Rows, RowsError, When},
    workset::{Slot, Tenant, WorksetId, keys},
};

/// The lock's row as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockRow {
    /// The lock.
    pub slot: Slot,
    /// The write that made it so; empty before the first.
    pub write: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    slot: Slot,
    write: String,
}

impl<R: Rows> ControlTable<R> {
    /// The lock of a workset; nobody's before the first was taken.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn lock(&self, tenant: &Tenant, id: &WorksetId) -> Result<LockRow, RowsError> {
        let Some(row) = self.read(&key(tenant, id)).await? else { return Ok(LockRow::default()) };
        let Body { slot, write } = decode(&row)?;
        Ok(LockRow { slot, write, version: row.version })
    }

    /// Replaces `old` by `slot` if the row still holds `old`. `write` names this write and no other.
    ///
    /// # Errors
    /// [`RowsError::Conflict`] when another was first: read again and decide anew. Else when no
    /// replica answers.
    pub async fn swap_lock(
        &self,
        tenant: &Tenant,
        id: &WorksetId,
        old: &LockRow,
        slot: Slot,
        write: &str,
    ) -> Result<LockRow, RowsError> {
        let version = old.version + 1;
        let body = Body { slot, write: write.to_owned() };
        let row = encode(key(tenant, id), version, &body)?;
        let when = if old.version == 0 { When::Absent } else { When::Version(old.version) };
        self.write(&row, when).await?;
        Ok(LockRow { slot: body.slot, write: body.write, version })
    }
}

fn key(tenant: &Tenant, id: &WorksetId) -> Key {
    Key::new(keys::locks(tenant), id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::MemoryRows,
        time::Timestamp,
        workset::{Lease, State},
    };

    fn names() -> (Tenant, WorksetId) {
        ("lab".parse().unwrap(), "ws-001".parse().unwrap())
    }

    fn taken(row: &LockRow, who: &str) -> Slot {
        let now = Timestamp::from_millis(1_000);
        row.slot.acquire(State::Ready, who.parse().unwrap(), Lease::default(), now).unwrap()
    }

    /// Even when both are called the same and ask in the same millisecond.
    #[tokio::test]
    async fn of_two_regions_that_take_one_lock_one_wins() {
        let rows = MemoryRows::default();
        let (west, east) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
        let (tenant, id) = names();
        let free = west.lock(&tenant, &id).await.unwrap();
        let won = west.swap_lock(&tenant, &id, &free, taken(&free, "ada"), "west-1").await.unwrap();
        let late = east.swap_lock(&tenant, &id, &free, taken(&free, "ada"), "east-1").await;
        assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
        assert_eq!(east.lock(&tenant, &id).await.unwrap(), won);
    }

    #[tokio::test]
    async fn a_lock_that_was_written_twice_in_doubt_is_ones_own() {
        let rows = MemoryRows::default();
        let table = ControlTable::new(vec![rows]);
        let (tenant, id) = names();
        let free = LockRow::default();
        let won = table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), "one").await.unwrap();
        assert_eq!(table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), "one").await.unwrap(), won);
    }

    #[tokio::test]
    async fn locks_of_two_tenants_never_meet_and_an_outage_is_no_free_lock() {
        let rows = MemoryRows::default();
        let table = ControlTable::new(vec![rows.clone()]);
        let (tenant, id) = names();
        let free = LockRow::default();
        table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), "one").await.unwrap();
        assert_eq!(table.lock(&"other".parse().unwrap(), &id).await.unwrap(), free);
        rows.cut(true);
        assert!(table.lock(&tenant, &id).await.is_err());
    }
}
