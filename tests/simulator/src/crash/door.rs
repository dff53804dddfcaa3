//! A table behind a gate, and a judge of every write of it.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use sealane::{
    failover::{Phase, Record},
    health::Observation,
    memory::MemoryRows,
    ports::{Cursor, Key, Page, Row, Rows, RowsError, When},
};

use super::{gate::Gate, stage::Observers};

/// Rules that were broken by any write so far.
pub(super) type Journal = Arc<Mutex<Vec<String>>>;

/// A mistake that the enumeration must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// Accounts of moves are kept back until the record was written.
    AccountsLast,
    /// Writes carry no condition.
    NoCondition,
}

/// A table as one sandbox reaches it.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) table: MemoryRows,
    pub(super) gate: Arc<Gate>,
    pub(super) journal: Journal,
    /// The observers' rows, where others write them.
    pub(super) observers: Option<Observers>,
    /// What is wrong with this way into the table.
    pub(super) mistake: Option<Mistake>,
    /// The account that is kept back by [`Mistake::AccountsLast`].
    pub(super) kept_back: Arc<Mutex<Option<Row>>>,
}

impl Door {
    /// Writes at once, and judges the write by what was there before.
    fn judged(&self, row: &Row, when: When) -> impl Future<Output = Result<(), RowsError>> + Send {
        let (door, row) = (self.clone(), row.clone());
        async move {
            let old = door.table.read(&row.key).await?;
            door.table.write(&row, when).await?;
            let broken = judge(old.as_ref(), &row, &door.table.all());
            door.journal.lock().unwrap_or_else(PoisonError::into_inner).extend(broken);
            Ok(())
        }
    }

    fn kept(&self) -> Option<Row> {
        self.kept_back.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Rows for Door {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.gate.call(("read", key), self.table.read(key)).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let when = if self.mistake == Some(Mistake::NoCondition) { When::Always } else { when };
        if self.mistake == Some(Mistake::AccountsLast) && row.key.partition == "moves" {
            *self.kept_back.lock().unwrap_or_else(PoisonError::into_inner) = Some(row.clone());
            return Ok(());
        }
        self.gate.call(("write", row, when), self.judged(row, when)).await?;
        match self.kept() {
            Some(kept) => self.gate.call(("write", &kept), self.judged(&kept, When::Absent)).await.or(Ok(())),
            None => Ok(()),
        }
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let listed = async {
            match self.observers.as_ref().filter(|_| partition == "observation") {
                Some(observers) => Ok(Page { rows: observers.rows(), next: None }),
                None => self.table.list(partition, newest_first, from, limit).await,
            }
        };
        self.gate.call(("list", partition), listed).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let listed = self.table.list_index(partition, up_to, from, limit);
        self.gate.call(("list_index", partition), listed).await
    }
}

/// The rules that the write of `new` over `old` breaks, in a table that now holds `all`.
fn judge(old: Option<&Row>, new: &Row, all: &[Row]) -> Option<String> {
    let broken = match new.key.partition.as_str() {
        "assignment" => judge_record(old, new, all),
        "moves" => old.filter(|old| *old != new).map(|_| "an account of a move was changed".to_owned()),
        "observation" => judge_observation(old, new),
        _ => None,
    };
    broken.map(|broken| format!("{broken}: {} over {:?}", new.body, old.map(|row| &row.body)))
}

fn judge_record(old: Option<&Row>, new: &Row, all: &[Row]) -> Option<String> {
    let read = |row: &Row| serde_json::from_str::<Record>(&row.body).ok();
    let Some(next) = read(new) else { return Some("the record is not readable".to_owned()) };
    let Some(last) = old.and_then(read) else {
        return (next.version != 1 || next.epoch != 1)
            .then(|| "the first record is not the first".to_owned());
    };
    let moves = u64::from(last.active != next.active);
    if next.version != last.version + 1 || next.epoch != last.epoch + moves {
        return Some("version or epoch is out of order".to_owned());
    }
    let ended = matches!(last.phase, Phase::Verifying { .. }) && next.phase == Phase::Steady;
    let account = |row: &Row| row.key == Key::new("moves", format!("{:010}", next.epoch));
    (ended && !all.iter().any(account)).then(|| "a move ended without an account".to_owned())
}

fn judge_observation(old: Option<&Row>, new: &Row) -> Option<String> {
    let read = |row: &Row| serde_json::from_str::<Observation>(&row.body).ok();
    let Some(next) = read(new) else { return Some("an observation is not readable".to_owned()) };
    let last = old.and_then(read)?;
    (next.seq() <= last.seq()).then(|| "an observation did not go on".to_owned())
}
