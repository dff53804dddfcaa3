//! `sealane replication retry`: failed copies are tried again with the next sweep.

use std::fmt;

use sealane::{
    ports::{Rows, RowsError},
    region::RegionName,
    replication::Entry,
    store::{LedgerTable, Versioned},
    time::Timestamp,
};
use serde::Serialize;

/// Which copies are tried again.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Which {
    /// Only copies to this region
    #[arg(long, value_name = "REGION")]
    to: Option<RegionName>,
    /// Only objects whose key begins with this
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
}

impl Which {
    fn is_meant(&self, entry: &Entry) -> bool {
        self.to.is_none_or(|to| to == entry.destination) && entry.source.key.starts_with(&self.prefix)
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Retried {
    /// Copies that are due now.
    due: usize,
    /// Copies that were moved on by a worker meanwhile.
    moved_on: usize,
}

impl Retried {
    pub(super) const fn and(self, other: Self) -> Self {
        Self { due: self.due + other.due, moved_on: self.moved_on + other.moved_on }
    }
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed copies are due now; the next sweep, within a minute, tries them", self.due)?;
        if self.moved_on > 0 {
            write!(f, "\n{} were moved on by a worker meanwhile", self.moved_on)?;
        }
        Ok(())
    }
}

/// Makes failed rows of `payer` due now, through the replica of its own region.
pub(super) async fn hasten<R: Rows>(
    ledger: &LedgerTable<R>,
    rows: Vec<Versioned<Entry>>,
    which: &Which,
    now: Timestamp,
) -> Result<Retried, RowsError> {
    let mut retried = Retried::default();
    for row in rows.into_iter().filter(|row| which.is_meant(&row.value)) {
        let Some(due) = row.value.clone().hastened(now) else { continue };
        match ledger.swap(&row, &due).await {
            Ok(_) => retried.due += 1,
            Err(RowsError::Conflict) => retried.moved_on += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(retried)
}
