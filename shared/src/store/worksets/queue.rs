//! How much waits: counts of a queue, and where one begins.

use super::WorksetTable;
use crate::{
    ports::{Cursor, Key, Rows, RowsError},
    workset::{State, Tenant, Workset, keys},
};

/// Rows asked for at once.
const PAGE: usize = 500;

/// How many worksets are in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Those that were counted.
    pub counted: u64,
    /// Whether there are more.
    pub more: bool,
}

impl<R: Rows> WorksetTable<R> {
    /// Counts a tenant's worksets in `state`, up to `most`. The index may lag behind the table.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn count(&self, tenant: &Tenant, state: State, most: u64) -> Result<Count, RowsError> {
        let (queue, mut next, mut count) = (keys::queue(tenant, state), None, Count::default());
        loop {
            let page = self.rows().list_index(&queue, None, next.as_ref(), PAGE).await?;
            count.counted += page.rows.len() as u64;
            next = page.next;
            let more = next.is_some() || count.counted > most;
            if !more || count.counted >= most {
                return Ok(Count { counted: count.counted.min(most), more });
            }
        }
    }

    /// The first of a tenant's queue of `state`: of those that are most urgent, the oldest.
    ///
    /// # Errors
    /// When the replica does not answer or the row is not readable.
    pub async fn head(&self, tenant: &Tenant, state: State) -> Result<Option<Workset>, RowsError> {
        let filter = super::Filter { state: Some(state), priority: None };
        let listed = self.list(tenant, filter, None, 1).await?;
        Ok(listed.worksets.into_iter().next())
    }
}

/// The place in `queue` just before every sort key that begins with `first`.
pub(super) fn before(queue: &str, first: &str) -> Cursor {
    // No row has these keys; they are only compared with.
    Cursor { key: Key::new(queue, keys::META), index: Some(Key::new(queue, first)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::MemoryRows,
        store::Held,
        time::Timestamp,
        workset::{By, register},
    };

    #[tokio::test]
    async fn a_count_says_whether_it_is_the_whole() {
        let table = WorksetTable::new(MemoryRows::default());
        let tenant: Tenant = "lab".parse().unwrap();
        for n in 0..1_100_u64 {
            let request =
                serde_json::json!({"id": format!("ws-{n:04}"), "bucket": "my-bucket", "prefix": "p"});
            let by = By {
                actor: "ada".parse().unwrap(),
                region: "us-west-2".parse().unwrap(),
                at: Timestamp::from_millis(n),
                request: String::new(),
                epoch: None,
            };
            let request = serde_json::from_value(request).unwrap();
            let (workset, last) = register(request, tenant.clone(), &by).unwrap();
            table.create(&Held { workset, last }).await.unwrap();
        }
        for (most, counted, more) in
            [(10, 10, true), (1_099, 1_099, true), (1_100, 1_100, false), (9_999, 1_100, false)]
        {
            let count = table.count(&tenant, State::Ready, most).await.unwrap();
            assert_eq!(count, Count { counted, more }, "up to {most}");
        }
        assert_eq!(table.count(&tenant, State::Error, 10).await.unwrap(), Count::default());
        assert_eq!(table.head(&tenant, State::Ready).await.unwrap().unwrap().id.as_str(), "ws-0000");
    }
}
