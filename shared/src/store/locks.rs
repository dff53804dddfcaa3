//! The locks of worksets in the control table: one row a workset.
//!
//! The table is strongly consistent across regions, so of two regions that take one
//! lock at the same moment one wins. The row names the write that made it so: two
//! processes of one name that write the same millisecond would else both find, when
//! they read a doubtful write back, that it was theirs.
//!
//! It also names the calls that took its last locks. So a call that is sent again finds its own
//! lock, even if what was kept of the call is lost and the lock was renewed since.

use serde::{Deserialize, Serialize};

use super::{ControlTable, decode, encode};
use crate::{
    ports::{Key, Rows, RowsError, When},
    time::Timestamp,
    workset::{KEPT_FOR, Slot, Tenant, WorksetId, keys},
};

/// Locks of the past whose calls are known.
const GRANTS_MAX: usize = 8;

/// The lock's row as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockRow {
    /// The lock.
    pub slot: Slot,
    /// The write that made it so; empty before the first.
    pub write: String,
    grants: Vec<Grant>,
    version: u64,
}

/// A lock that was taken, and by which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    token: u64,
    /// A digest of the name of the write that took it.
    write: u64,
    #[serde(rename = "at_ms")]
    at: Timestamp,
}

impl LockRow {
    /// The token of the lock that the write of this name took; `None` if it took none. A name counts
    /// for as long as the record of a call does.
    pub fn granted(&self, write: &str, now: Timestamp) -> Option<u64> {
        let digest = digest(write);
        let found = self.grants.iter().rfind(|g| g.write == digest && now.since(g.at) < KEPT_FOR);
        let last = || (self.write == write && self.slot.lock.is_some()).then_some(self.slot.token_last);
        found.map(|grant| grant.token).or_else(last)
    }

    /// The grants of the row that holds `slot` next, which `write` makes so.
    fn grants_of(&self, slot: &Slot, write: &str, at: Timestamp) -> Vec<Grant> {
        let mut grants = self.grants.clone();
        if slot.token_last > self.slot.token_last {
            grants.push(Grant { token: slot.token_last, write: digest(write), at });
        }
        grants.drain(..grants.len().saturating_sub(GRANTS_MAX));
        grants
    }
}

fn digest(write: &str) -> u64 {
    rapidhash::v3::rapidhash_v3(write.as_bytes())
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    slot: Slot,
    write: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant>,
}

impl<R: Rows> ControlTable<R> {
    /// The lock of a workset; nobody's before the first was taken.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn lock(&self, tenant: &Tenant, id: &WorksetId) -> Result<LockRow, RowsError> {
        let Some(row) = self.read(&key(tenant, id)).await? else { return Ok(LockRow::default()) };
        let Body { slot, write, grants } = decode(&row)?;
        Ok(LockRow { slot, write, grants, version: row.version })
    }

    /// Replaces `old` by `slot` if the row still holds `old`. `write` names this write, made at `at`, and
    /// no other.
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
        (write, at): (&str, Timestamp),
    ) -> Result<LockRow, RowsError> {
        let grants = old.grants_of(&slot, write, at);
        self.put_lock(tenant, id, old, Body { slot, write: write.to_owned(), grants }).await
    }

    /// Takes back the lock of `row`, as if it had never been taken: its call is no longer known for it.
    ///
    /// # Errors
    /// As for [`swap_lock`](Self::swap_lock).
    pub async fn take_back(&self, tenant: &Tenant, id: &WorksetId, row: &LockRow) -> Result<(), RowsError> {
        let slot = Slot { lock: None, ..row.slot.clone() };
        let grants = row.grants.iter().filter(|g| g.token != slot.token_last).copied().collect();
        self.put_lock(tenant, id, row, Body { slot, write: "given back".to_owned(), grants }).await.map(drop)
    }

    async fn put_lock(
        &self,
        tenant: &Tenant,
        id: &WorksetId,
        old: &LockRow,
        body: Body,
    ) -> Result<LockRow, RowsError> {
        let version = old.version + 1;
        let row = encode(key(tenant, id), version, &body)?;
        let when = if old.version == 0 { When::Absent } else { When::Version(old.version) };
        self.write(&row, when).await?;
        let Body { slot, write, grants } = body;
        Ok(LockRow { slot, write, grants, version })
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

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn taken(row: &LockRow, who: &str) -> Slot {
        row.slot.acquire(State::Ready, who.parse().unwrap(), Lease::default(), NOW).unwrap()
    }

    /// Even when both are called the same and ask in the same millisecond.
    #[tokio::test]
    async fn of_two_regions_that_take_one_lock_one_wins() {
        let rows = MemoryRows::default();
        let (west, east) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
        let (tenant, id) = names();
        let free = west.lock(&tenant, &id).await.unwrap();
        let won = west.swap_lock(&tenant, &id, &free, taken(&free, "ada"), ("west-1", NOW)).await.unwrap();
        let late = east.swap_lock(&tenant, &id, &free, taken(&free, "ada"), ("east-1", NOW)).await;
        assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
        assert_eq!(east.lock(&tenant, &id).await.unwrap(), won);
    }

    #[tokio::test]
    async fn a_lock_that_was_written_twice_in_doubt_is_ones_own() {
        let rows = MemoryRows::default();
        let table = ControlTable::new(vec![rows]);
        let (tenant, id) = names();
        let free = LockRow::default();
        let won = table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), ("one", NOW)).await.unwrap();
        assert_eq!(
            table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), ("one", NOW)).await.unwrap(),
            won
        );
    }

    #[tokio::test]
    async fn locks_of_two_tenants_never_meet_and_an_outage_is_no_free_lock() {
        let rows = MemoryRows::default();
        let table = ControlTable::new(vec![rows.clone()]);
        let (tenant, id) = names();
        let free = LockRow::default();
        table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), ("one", NOW)).await.unwrap();
        assert_eq!(table.lock(&"other".parse().unwrap(), &id).await.unwrap(), free);
        rows.cut(true);
        assert!(table.lock(&tenant, &id).await.is_err());
    }

    /// Renewed, given back or taken by others since: a call finds the lock that it took, and no other's.
    #[tokio::test]
    async fn a_call_finds_its_own_lock_whatever_became_of_it_since() {
        let table = ControlTable::new(vec![MemoryRows::default()]);
        let (tenant, id) = names();
        let mut row = LockRow::default();
        for turn in 1..=12_u64 {
            let write = format!("call {turn}");
            row = table.swap_lock(&tenant, &id, &row, taken(&row, "ada"), (&write, NOW)).await.unwrap();
            let renewed = row.slot.renew(turn, Lease::default(), NOW).unwrap();
            row = table.swap_lock(&tenant, &id, &row, renewed, ("a renewal", NOW)).await.unwrap();
            assert_eq!(row.granted(&write, NOW), Some(turn));
            let free = row.slot.release(turn).unwrap();
            row = table.swap_lock(&tenant, &id, &row, free, ("a release", NOW)).await.unwrap();
        }
        let read = table.lock(&tenant, &id).await.unwrap();
        let found: Vec<_> = (1..=12).filter_map(|n| read.granted(&format!("call {n}"), NOW)).collect();
        assert_eq!(found, (5..=12).collect::<Vec<_>>(), "the last ones, so that the row stays small");
        assert_eq!(read.granted("a release", NOW), None);
        assert_eq!(read.granted("call 12", NOW.after(KEPT_FOR)), None);
    }

    #[tokio::test]
    async fn a_lock_that_was_taken_back_is_nobody_s() {
        let table = ControlTable::new(vec![MemoryRows::default()]);
        let (tenant, id) = names();
        let free = LockRow::default();
        let row = table.swap_lock(&tenant, &id, &free, taken(&free, "ada"), ("one", NOW)).await.unwrap();
        table.take_back(&tenant, &id, &row).await.unwrap();
        let read = table.lock(&tenant, &id).await.unwrap();
        assert_eq!((read.granted("one", NOW), read.slot.lock.clone(), read.slot.token_last), (None, None, 1));
    }
}
