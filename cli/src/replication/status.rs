//! `sealane replication status`: how much each region owes each other one.

use std::{collections::BTreeMap, fmt};

use sealane::{
    region::RegionName,
    replication::{Entry, Phase},
    time::{Human, Timestamp},
    units::ByteSize,
};
use serde::Serialize;

use crate::table::Table;

/// What one region owes another.
#[derive(Debug, PartialEq, Serialize)]
struct Debt {
    from: RegionName,
    to: RegionName,
    copies: usize,
    bytes: ByteSize,
    /// Copies whose last try failed.
    failed: usize,
    /// How long the oldest has been owed, in milliseconds.
    oldest_age_ms: u64,
    /// Why the last try of the oldest failed, if it did.
    reason: Option<String>,
}

/// What all regions owe one another.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Status {
    debts: Vec<Debt>,
}

impl Status {
    /// Sums up `entries`, by who pays and who gets.
    pub(super) fn of(entries: &[Entry], now: Timestamp) -> Self {
        let mut by_way: BTreeMap<_, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.is_owed()) {
            by_way.entry((entry.source.region, entry.destination)).or_default().push(entry);
        }
        let debt = |((from, to), entries): (_, Vec<&Entry>)| {
            let reason = |entry: &Entry| match &entry.phase {
                Phase::Failed { reason, .. } => Some(reason.to_string()),
                Phase::Pending | Phase::Copying(_) | Phase::Verified { .. } | Phase::Void { .. } => None,
            };
            let oldest = entries.iter().min_by_key(|entry| entry.since);
            Debt {
                from,
                to,
                copies: entries.len(),
                bytes: ByteSize(entries.iter().map(|entry| entry.source.size.0).sum()),
                failed: entries.iter().filter(|entry| reason(entry).is_some()).count(),
                oldest_age_ms: oldest.map_or(0, |e| sealane::time::millis(now.since(e.since))),
                reason: oldest.and_then(|entry| reason(entry)),
            }
        };
        Self { debts: by_way.into_iter().map(debt).collect() }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.debts.is_empty() {
            return f.write_str("every copy is where it belongs");
        }
        let mut table =
            Table::new(["from", "to", "copies", "bytes", "failed", "oldest", "reason of the oldest"]);
        for debt in &self.debts {
            table.row(vec![
                debt.from.to_string(),
                debt.to.to_string(),
                debt.copies.to_string(),
                debt.bytes.to_string(),
                debt.failed.to_string(),
                Human(std::time::Duration::from_secs(debt.oldest_age_ms / 1_000)).to_string(),
                debt.reason.clone().unwrap_or_default(),
            ]);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealane::replication::{ObjectId, Source};

    fn entry(to: &str, since: u64, size: u64) -> Entry {
        let source = Source {
            region: "us-west-2".parse().unwrap(),
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            version_id: None,
            etag: "e".to_owned(),
            size: ByteSize(size),
            checksum: None,
        };
        Entry::owed(ObjectId::of_upload("u"), to.parse().unwrap(), source, Timestamp::from_millis(since))
    }

    #[test]
    fn debts_are_summed_up_by_way() {
        let entries =
            [entry("us-east-1", 1_000, 3), entry("us-east-1", 9_000, 4), entry("eu-west-1", 5_000, 5)];
        let status = Status::of(&entries, Timestamp::from_millis(61_000));
        let sums: Vec<_> =
            status.debts.iter().map(|d| (d.to.as_str(), d.copies, d.bytes.0, d.oldest_age_ms)).collect();
        assert_eq!(sums, [("eu-west-1", 1, 5, 56_000), ("us-east-1", 2, 7, 60_000)]);
        assert_eq!(Status::of(&[], Timestamp::from_millis(0)).to_string(), "every copy is where it belongs");
    }
}
