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

use super::COUNTED_MAX;

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
    const fn and(self, other: Self) -> Self {
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

/// Makes failed copies due, each through the replica of the region that pays it: a conditional write
/// elsewhere would not see what its workers do. A payer that cannot be asked keeps no other from being,
/// and is told of.
pub(super) async fn retry<R: Rows>(
    ledgers: impl Iterator<Item = (RegionName, LedgerTable<R>)>,
    which: &Which,
    now: Timestamp,
) -> (Retried, Vec<String>) {
    let (mut sum, mut silent) = (Retried::default(), Vec::new());
    for (payer, ledger) in ledgers {
        let hastened = match ledger.owed(payer, COUNTED_MAX).await {
            Ok(rows) => hasten(&ledger, rows, which, now).await,
            Err(error) => Err(error),
        };
        match hastened {
            Ok(retried) => sum = sum.and(retried),
            Err(error) => silent.push(format!("what {payer} owes was not touched in whole: {error}")),
        }
    }
    (sum, silent)
}

/// Makes failed rows of `payer` due now, through the replica of its own region.
async fn hasten<R: Rows>(
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use sealane::{
        memory::MemoryRows,
        replication::{ObjectId, Phase, RetryPolicy, Source},
        units::ByteSize,
        upload::Reason,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn region(name: &str) -> RegionName {
        name.parse().unwrap()
    }

    /// The ledger, and a copy of `key` to `to` that failed and waits for an hour.
    async fn failed(ledger: &LedgerTable<MemoryRows>, from: &str, to: &str, key: &str) {
        let source = Source {
            region: region(from),
            bucket: "b".to_owned(),
            key: key.to_owned(),
            version_id: Some(key.to_owned()),
            etag: "e".to_owned(),
            size: ByteSize(1),
            checksum: None,
        };
        let object = ObjectId::of_version(region(from), key, Some(key), "e");
        let row = ledger.owe(&Entry::owed(object, region(to), source, NOW)).await.unwrap();
        let (claimed, token) = row.value.clone().claim("w", NOW, Duration::from_secs(1)).unwrap();
        let row = ledger.swap(&row, &claimed).await.unwrap();
        let hour = Duration::from_secs(3_600);
        let policy = RetryPolicy { base: hour, cap: hour };
        let reason = Reason::Refused { detail: "no key".to_owned() };
        let failed = row.value.clone().failed(&token, reason, NOW, &policy, 1).unwrap();
        ledger.swap(&row, &failed).await.unwrap();
    }

    fn due(ledger: &LedgerTable<MemoryRows>, payer: &str) -> Vec<String> {
        let owed = ledger.owed(region(payer), 100).now_or_never().unwrap().unwrap();
        let due = owed.into_iter().filter(|row| row.value.due().is_some_and(|due| due <= NOW));
        due.map(|row| format!("{} to {}", row.value.source.key, row.value.destination)).collect()
    }

    fn which(to: Option<&str>, prefix: &str) -> Which {
        Which { to: to.map(region), prefix: prefix.to_owned() }
    }

    #[test]
    fn only_what_is_meant_becomes_due_and_it_is_told_with_its_reason_before() {
        let rows = MemoryRows::default();
        let ledger = LedgerTable::new(rows.replica());
        let fill = async {
            failed(&ledger, "us-west-2", "eu-west-1", "run/a").await;
            failed(&ledger, "us-west-2", "us-east-1", "run/b").await;
            failed(&ledger, "us-west-2", "eu-west-1", "c").await;
        };
        fill.now_or_never().unwrap();
        let owed = ledger.owed(region("us-west-2"), 10).now_or_never().unwrap().unwrap();
        assert_eq!(owed.len(), 3, "what failed for good is owed still");
        assert!(owed.iter().all(|row| matches!(&row.value.phase, Phase::Failed { reason, .. } if reason.to_string().contains("no key"))));
        assert_eq!(due(&ledger, "us-west-2"), [""; 0]);
        let ledgers = || [(region("us-west-2"), LedgerTable::new(rows.replica()))].into_iter();
        let run = |which: &Which| retry(ledgers(), which, NOW).now_or_never().unwrap();
        assert_eq!(run(&which(Some("eu-west-1"), "run/")), (Retried { due: 1, moved_on: 0 }, Vec::new()));
        assert_eq!(due(&ledger, "us-west-2"), ["run/a to eu-west-1"]);
        let (retried, _) = run(&which(None, ""));
        assert_eq!((retried.due, due(&ledger, "us-west-2").len()), (3, 3));
    }

    #[test]
    fn a_payer_that_is_silent_is_told_of_and_keeps_no_other_back() {
        let rows = MemoryRows::default();
        let (silent, well) = (rows.replica(), rows.replica());
        failed(&LedgerTable::new(rows.replica()), "us-east-1", "eu-west-1", "k").now_or_never().unwrap();
        silent.cut(true);
        let ledgers =
            [(region("us-west-2"), LedgerTable::new(silent)), (region("us-east-1"), LedgerTable::new(well))];
        let (retried, told) = retry(ledgers.into_iter(), &which(None, ""), NOW).now_or_never().unwrap();
        assert_eq!(retried.due, 1);
        assert!(matches!(&told[..], [one] if one.contains("us-west-2")), "{told:?}");
    }
}
