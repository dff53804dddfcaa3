//! Calls that may be sent again, in the worksets table beside what they write.
//!
//! They lie in the replica that takes the writes, so that a region that is left
//! without its last writes is left without what it kept of them as well, and nobody
//! is told that something was done which is lost. The table drops them some time after they
//! count for nothing any more.

use serde::Serialize;

use super::{Versioned, WorksetTable, encode, versioned};
use crate::{
    ports::{Key, Row, Rows, RowsError, When},
    time::Timestamp,
    workset::{Call, CallKey, Tenant, keys},
};

/// The name of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallName {
    /// Whose call it is.
    pub tenant: Tenant,
    /// What is asked for, such as `POST /v1/worksets`.
    pub operation: String,
    /// The key that the caller chose.
    pub key: CallKey,
}

impl CallName {
    fn row(&self) -> Key {
        Key::new(keys::call(&self.tenant, &self.operation, &self.key), keys::CALL)
    }
}

impl<R: Rows> WorksetTable<R> {
    /// What is kept of a call.
    ///
    /// # Errors
    /// When the replica does not answer or the row is not readable.
    pub async fn call(&self, name: &CallName) -> Result<Option<Versioned<Call>>, RowsError> {
        self.rows().read(&name.row()).await?.as_ref().map(versioned).transpose()
    }

    /// Replaces what is kept of a call, if it still is `old`.
    ///
    /// # Errors
    /// [`RowsError::Conflict`] when another request was first: it owns the call. Else when the
    /// replica does not answer.
    pub async fn keep_call(
        &self,
        name: &CallName,
        old: Option<&Versioned<Call>>,
        new: Call,
    ) -> Result<Versioned<Call>, RowsError> {
        let (key, expires_at) = (name.row(), new.expires_at);
        let index = self.unfinished(&key, &new);
        keep(self.rows(), (key, index), old, new, expires_at).await
    }
}

/// Replaces the row at `key`, which lies at `index` in the index and which the table may drop after `expires_at`, if it still is `old`.
///
/// # Errors
/// [`RowsError::Conflict`] when another write was first. Else when the replica does not answer.
pub(super) async fn keep<R: Rows, T: Serialize + Send + Sync>(
    rows: &R,
    (key, index): (Key, Option<Key>),
    old: Option<&Versioned<T>>,
    new: T,
    expires_at: Timestamp,
) -> Result<Versioned<T>, RowsError> {
    let version = old.map_or(0, |old| old.version) + 1;
    let row = encode(key, version, &new)?;
    let row = Row { index, expires_s: Some(expires_at.as_millis().div_ceil(1_000)), ..row };
    let when = old.map_or(When::Absent, |old| When::Version(old.version));
    match rows.write(&row, when).await {
        Ok(()) => {}
        // After a retry inside the client, a refusal may be the refusal of our own write.
        Err(error @ (RowsError::Conflict | RowsError::NoAnswer { .. })) => match rows.read(&row.key).await {
            Ok(Some(held)) if held == row => {}
            Ok(_) | Err(_) => return Err(error),
        },
        Err(error) => return Err(error),
    }
    Ok(Versioned { value: new, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{memory::MemoryRows, workset::Reply};

    fn name(key: &str) -> CallName {
        let operation = "POST /v1/worksets".to_owned();
        CallName { tenant: "lab".parse().unwrap(), operation, key: key.parse().unwrap() }
    }

    fn begun(owner: &str, at_ms: u64, before: Option<&Call>) -> Call {
        Call::begun(before, "f", owner, "write", Timestamp::from_millis(at_ms))
    }

    #[tokio::test]
    async fn of_two_requests_with_one_key_one_owns_the_call() {
        let table = WorksetTable::new(MemoryRows::default());
        table.keep_call(&name("k"), None, begun("a", 1, None)).await.unwrap();
        let late = table.keep_call(&name("k"), None, begun("b", 1, None)).await;
        assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
        assert_eq!(table.call(&name("k")).await.unwrap().unwrap().value.owner, "a");
        assert!(table.call(&name("k2")).await.unwrap().is_none());
    }

    /// The first owner, back after a long pause, neither finishes nor frees what is another's by now.
    #[tokio::test]
    async fn an_owner_that_was_taken_over_changes_nothing() {
        let table = WorksetTable::new(MemoryRows::default());
        let first = table.keep_call(&name("k"), None, begun("a", 1, None)).await.unwrap();
        let second = begun("b", 60_000, Some(&first.value));
        let second = table.keep_call(&name("k"), Some(&first), second).await.unwrap();
        let reply = Reply { status: 201, location: None, etag: None, body: serde_json::Value::Null };
        for stale in [first.value.clone().done(reply), first.value.clone().released()] {
            let refused = table.keep_call(&name("k"), Some(&first), stale).await;
            assert!(matches!(refused, Err(RowsError::Conflict)), "{refused:?}");
        }
        assert_eq!(table.call(&name("k")).await.unwrap().unwrap(), second);
    }

    /// The table may drop a record late and never early: what is in it decides.
    #[tokio::test]
    async fn the_table_may_drop_a_record_once_it_counts_for_nothing() {
        let rows = MemoryRows::default();
        let table = WorksetTable::new(rows.clone());
        let kept = table.keep_call(&name("k"), None, begun("a", 1, None)).await.unwrap();
        let [row] = rows.all().try_into().unwrap();
        let expires_ms = kept.value.expires_at.as_millis();
        assert_eq!(row.expires_s, Some(expires_ms.div_ceil(1_000)));
        assert_eq!(expires_ms, 1 + 35 * 86_400_000);
    }
}
