//! What somebody has yet to be told of.
//!
//! An event's row lies in the index from the write that makes it until it was queued for everybody who
//! is told of it. A crash of its writer may leave it without a row; then the record of the call, which
//! lies in the index while its write is open, leads to the workset, whose row has the event.

use super::WorksetTable;
use crate::{
    ports::{Cursor, Key, Row, Rows, RowsError, When},
    store::decode,
    time::Timestamp,
    workset::{Call, Event, Tenant, WorksetId, keys},
};

/// An event that somebody has yet to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Whose workset it is.
    pub tenant: Tenant,
    /// The workset.
    pub id: WorksetId,
    /// The event.
    pub event: Event,
    row: Row,
}

/// Some of the outbox, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    /// The events.
    pub events: Vec<Untold>,
    /// What is wrong with rows that this version cannot read. They keep no others back.
    pub unreadable: Vec<String>,
    /// Ask again from here; `None` at the end. A short page is not the end.
    pub next: Option<Cursor>,
}

impl<R: Rows> WorksetTable<R> {
    /// Where the row `key` of `event` lies in the index while somebody has yet to be told of it.
    pub(super) fn untold_at(&self, key: &Key, event: &Event) -> Option<Key> {
        let is_heard = event.changes_state() && self.heard.contains(&event.to);
        is_heard.then(|| Key::new(keys::UNTOLD, keys::aged(event.at, &key.partition, &key.sort)))
    }

    /// Where the record `key` of a call lies in the index while its write is open.
    pub(in crate::store) fn unfinished(&self, key: &Key, call: &Call) -> Option<Key> {
        let is_open = !self.heard.is_empty() && call.open_write().is_some();
        is_open.then(|| Key::new(keys::UNFINISHED, keys::aged(call.began_at, &key.partition, &key.sort)))
    }

    /// Up to `limit` events that somebody has yet to be told of, after `from`. The index may lag
    /// behind the table, so that one may have been struck out already.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn untold(&self, from: Option<&Cursor>, limit: usize) -> Result<Waiting, RowsError> {
        let page = self.rows.list_index(keys::UNTOLD, None, from, limit).await?;
        let mut waiting = Waiting { next: page.next, ..Waiting::default() };
        for row in page.rows {
            match (keys::parse_item(&row.key.partition), decode(&row)) {
                (Some((tenant, id)), Ok(event)) => waiting.events.push(Untold { tenant, id, event, row }),
                (None, _) => waiting.unreadable.push(format!("row `{}` is of no workset", row.key.partition)),
                (_, Err(error)) => waiting.unreadable.push(error.to_string()),
            }
        }
        Ok(waiting)
    }

    /// Strikes an event out of the outbox. Its row keeps all that it holds.
    ///
    /// # Errors
    /// When the replica does not answer: then it is queued again, under the same id.
    pub async fn strike(&self, untold: &Untold) -> Result<(), RowsError> {
        let row = Row { index: None, ..untold.row.clone() };
        match self.rows.write(&row, When::Version(row.version)).await {
            Ok(()) | Err(RowsError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives the events of writes their rows whose calls began before `before` and did not come to an
    /// end, at most `limit` of them; answers with how many calls that were. One that cannot be read
    /// keeps no other back.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn mend(&self, before: Timestamp, limit: usize) -> Result<usize, RowsError> {
        let page = self.rows.list_index(keys::UNFINISHED, Some(&keys::age(before)), None, limit).await?;
        for row in &page.rows {
            match self.mend_one(row).await {
                // Whoever took the call over answers for its write.
                Ok(()) | Err(RowsError::Conflict) => {}
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => tracing::error!(%error, "passed over the write of a call"),
            }
        }
        Ok(page.rows.len())
    }

    async fn mend_one(&self, row: &Row) -> Result<(), RowsError> {
        let call: Call = decode(row)?;
        if let (Some(tenant), Some(id)) = (keys::parse_caller(&row.key.partition), call.open_write())
            && let Some(held) = self.get(&tenant, &id).await?
        {
            self.keep_event(&held).await?;
        }
        let seen = Row { index: None, version: row.version + 1, ..row.clone() };
        self.rows.write(&seen, When::Version(row.version)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::MemoryRows,
        store::{CallName, Held},
        workset::{By, State, Transition, register, report, transition},
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn by(request: u64) -> By {
        By {
            actor: "ada".parse().unwrap(),
            region: "us-west-2".parse().unwrap(),
            at: at(request),
            request: format!("request-{request}"),
            epoch: Some(1),
        }
    }

    fn fresh(id: &str) -> Held {
        let request = serde_json::json!({"id": id, "bucket": "my-bucket", "prefix": "p/"});
        let request = serde_json::from_value(request).unwrap();
        let (workset, last) = register(request, "lab".parse().unwrap(), &by(1)).unwrap();
        Held { workset, last }
    }

    fn telling(rows: &MemoryRows) -> WorksetTable<MemoryRows> {
        WorksetTable::new(rows.clone()).telling(State::ALL.to_vec())
    }

    async fn told(table: &WorksetTable<MemoryRows>) -> Vec<(String, u64)> {
        let waiting = table.untold(None, 100).await.unwrap();
        assert_eq!(waiting.unreadable, [""; 0]);
        waiting.events.iter().map(|one| (one.id.to_string(), one.event.version)).collect()
    }

    #[tokio::test]
    async fn a_change_of_state_is_in_the_outbox_until_it_is_struck_out() {
        let rows = MemoryRows::default();
        let table = telling(&rows);
        let first = fresh("ws-001");
        table.create(&first).await.unwrap();
        let (workset, last) =
            transition(&first.workset, Transition::to(State::InProgress), &by(2), 0).unwrap();
        let second = Held { workset, last };
        table.replace(&first, &second).await.unwrap();
        let news = serde_json::from_value(serde_json::json!({"progress": {"step": "align"}})).unwrap();
        let (workset, last) = report(&second.workset, news, &by(3)).unwrap();
        table.replace(&second, &Held { workset, last }).await.unwrap();
        assert_eq!(told(&table).await, [("ws-001".to_owned(), 1), ("ws-001".to_owned(), 2)], "no progress");

        let before = rows.all();
        let waiting = table.untold(None, 100).await.unwrap();
        for untold in &waiting.events {
            table.strike(untold).await.unwrap();
        }
        assert_eq!(told(&table).await, []);
        let bare =
            |rows: Vec<Row>| rows.into_iter().map(|row| (row.key, row.version, row.body)).collect::<Vec<_>>();
        assert_eq!(bare(rows.all()), bare(before), "nothing else of the history is changed");
    }

    #[tokio::test]
    async fn where_nobody_is_told_nothing_is_in_the_outbox() {
        let rows = MemoryRows::default();
        WorksetTable::new(rows.clone()).create(&fresh("ws-001")).await.unwrap();
        let picky = WorksetTable::new(rows.clone()).telling(vec![State::Complete]);
        picky.create(&fresh("ws-002")).await.unwrap();
        assert_eq!(told(&picky).await, []);
        assert!(rows.all().iter().all(|row| row.key.sort == keys::META || row.index.is_none()));
    }

    /// The writer died between its two writes, and nobody sends its call again.
    #[tokio::test]
    async fn the_event_of_a_writer_that_died_gets_into_the_outbox() {
        let rows = MemoryRows::default();
        let table = telling(&rows);
        let first = fresh("ws-001");
        let name = CallName {
            tenant: "lab".parse().unwrap(),
            operation: "/v1/worksets".to_owned(),
            key: "k#1".parse().unwrap(),
        };
        let call = Call::begun(None, "f", "r", &Call::write_step(&first.workset.id), at(5_000));
        let kept = table.keep_call(&name, None, call).await.unwrap();
        table.create(&first).await.unwrap();
        let lost = MemoryRows::default();
        for row in rows.all().into_iter().filter(|row| !row.key.sort.starts_with(keys::EVENT_PREFIX)) {
            lost.write(&row, When::Always).await.unwrap();
        }
        let table = telling(&lost);
        assert_eq!(told(&table).await, []);
        assert_eq!(table.mend(at(5_000), 10).await.unwrap(), 0, "its owner may be at work");
        assert_eq!(table.mend(at(5_001), 10).await.unwrap(), 1);
        assert_eq!(told(&table).await, [("ws-001".to_owned(), 1)]);
        assert_eq!(table.mend(at(9_000), 10).await.unwrap(), 0, "once is enough");
        // Its owner, back from a long pause, finds that another was at its call.
        let late = table.keep_call(&name, Some(&kept), kept.value.clone().released()).await;
        assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
    }
}
