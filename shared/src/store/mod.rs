//! What each table holds, on any [`Rows`](crate::ports::Rows).
//!
//! A table's keys, its conditions and the shape of its rows are settled here once,
//! for DynamoDB and for memory alike.

mod calls;
mod control;
mod health;
mod leases;
mod ledger;
mod locks;
mod marks;
mod notices;
mod replicas;
mod tickets;
mod trail;
mod worksets;

#[cfg(test)]
mod doubts;

use serde::{Serialize, de::DeserializeOwned};

pub use calls::CallName;
pub use control::ControlTable;
pub use health::HealthTable;
pub use ledger::{Due, LedgerTable, Walked};
pub use locks::LockRow;
pub use marks::MarksTable;
pub use notices::{Lined, NoticeTable};
pub use replicas::Replicas;
pub use trail::Trail;
pub use worksets::{
    Conflict, Conflicts, Count, Filter, Held, History, Listed, Untold, Waiting, WorksetTable, WriteError,
};

use crate::ports::{Key, Row, RowsError};

/// A value together with the version of the row that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What the row holds.
    pub value: T,
    /// The row's version, which a conditional write names.
    pub version: u64,
}

fn decode<T: DeserializeOwned>(row: &Row) -> Result<T, RowsError> {
    serde_json::from_str(&row.body).map_err(|e| unreadable(&row.key, e))
}

fn versioned<T: DeserializeOwned>(row: &Row) -> Result<Versioned<T>, RowsError> {
    Ok(Versioned { value: decode(row)?, version: row.version })
}

fn encode<T: Serialize>(key: Key, version: u64, value: &T) -> Result<Row, RowsError> {
    let body = serde_json::to_string(value).map_err(|e| unreadable(&key, e))?;
    Ok(Row { key, version, body, index: None, expires_s: None })
}

fn unreadable(key: &Key, error: serde_json::Error) -> RowsError {
    RowsError::Unreadable { key: format!("{} {}", key.partition, key.sort), source: error.into() }
}
