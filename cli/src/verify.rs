//! `sealane verify`: reads the copies of an upload again, by its receipt.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use sealane::{
    config::Config,
    ports::Objects,
    region::RegionName,
    transport::{Checked, Finding, recheck},
    upload::{Batch, CopyLine, How, Receipt},
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, table::Table, world::World};

/// Arguments of `sealane verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The receipt, as `sealane upload --receipt` wrote it
    receipt: PathBuf,

    /// Look at the copies that were owed as well, to see whether they have been paid
    #[arg(long)]
    all_regions: bool,
}

/// What the receipt says of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Claim {
    /// It holds a verified copy.
    Verified,
    /// It is to get one.
    Owed,
}

/// One copy, and what was found of it.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    /// The object, where the receipt names several.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    region: RegionName,
    claim: Claim,
    finding: Finding,
}

/// Every copy that was looked at.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
struct Report {
    copies: Vec<Line>,
}

/// Reads the copies that a receipt names.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let receipts = read_all(args.receipt)?;
    let buckets = World::connect(config).await.buckets();
    let mut report = Report { copies: Vec::new() };
    for receipt in &receipts {
        let checked = check(receipt, args.all_regions, &buckets).await;
        report.copies.extend(checked.copies.into_iter().map(|line| line.of(receipt, receipts.len())));
    }
    console.show(&report)?;
    Ok(report.exit())
}

/// The receipt in a file.
pub(crate) fn read(path: PathBuf) -> Result<Receipt, Fault> {
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| Fault::File { path: path.clone(), verb: "read", source })?;
    serde_json::from_str(&text).map_err(|source| Fault::Content { path, what: "a receipt", source })
}

/// The batch in a file; `None` if it holds something else.
pub(crate) fn read_batch(path: PathBuf) -> Result<Option<Batch>, Fault> {
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| Fault::File { path, verb: "read", source })?;
    Ok(serde_json::from_str(&text).ok())
}

/// The receipts in a file: those of a batch, or one.
fn read_all(path: PathBuf) -> Result<Vec<Receipt>, Fault> {
    match read_batch(path.clone())? {
        Some(batch) => Ok(batch.receipts),
        None => read(path).map(|receipt| vec![receipt]),
    }
}

async fn check<O: Objects>(receipt: &Receipt, owed_too: bool, buckets: &BTreeMap<RegionName, O>) -> Report {
    let mut copies = lines(recheck(receipt, buckets).await, Claim::Verified);
    if owed_too {
        copies.extend(lines(recheck(&as_if_paid(receipt, buckets), buckets).await, Claim::Owed));
    }
    Report { copies }
}

fn lines(checked: Vec<Checked>, claim: Claim) -> Vec<Line> {
    checked
        .into_iter()
        .map(|Checked { region, finding }| Line { key: None, region, claim, finding })
        .collect()
}

/// The receipt as it would be if every owed copy were there, in whatever version.
fn as_if_paid<O: Objects>(receipt: &Receipt, buckets: &BTreeMap<RegionName, O>) -> Receipt {
    let paid = receipt.owed.iter().map(|owed| CopyLine {
        region: owed.region,
        bucket: buckets.get(&owed.region).map_or_else(String::new, |bucket| bucket.bucket().to_owned()),
        key: receipt.key.clone(),
        version_id: None,
        size: receipt.size,
        checksum: receipt.checksum,
        verified: false,
        how: How::ReadBack,
        attempts: 0,
        duration_ms: 0,
        throughput_bytes_s: 0,
    });
    Receipt { copies: paid.collect(), ..receipt.clone() }
}

impl Line {
    /// This line with its object, if there are several.
    fn of(self, receipt: &Receipt, receipts: usize) -> Self {
        Self { key: (receipts > 1).then(|| receipt.key.as_str().to_owned()), ..self }
    }
}

impl Report {
    /// Success only if there is a claim, and every claim holds. Owed copies are no claims.
    fn exit(&self) -> Exit {
        let claims = self.copies.iter().filter(|line| line.claim == Claim::Verified);
        let findings: Vec<_> = claims.map(|line| &line.finding).collect();
        let is_broken = |finding: &&Finding| {
            matches!(finding, Finding::Differs { .. } | Finding::OtherSha256 { .. } | Finding::Missing)
        };
        if findings.is_empty() || findings.iter().any(is_broken) {
            Exit::Failed
        } else if findings.iter().all(|finding| **finding == Finding::Whole) {
            Exit::Done
        } else {
            Exit::Unknown
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.copies.is_empty() {
            return f.write_str("the receipt claims no copy");
        }
        let several = self.copies.iter().any(|line| line.key.is_some());
        let mut table =
            Table::new(["region", "by the receipt", "found"].into_iter().chain(several.then_some("key")));
        for line in &self.copies {
            let (claim, found) = match (line.claim, &line.finding) {
                (Claim::Verified, finding) => ("verified", finding.to_string()),
                (Claim::Owed, Finding::Whole) => ("owed", "paid: whole".to_owned()),
                (Claim::Owed, Finding::Missing) => ("owed", "not paid yet".to_owned()),
                (Claim::Owed, finding) => ("owed", finding.to_string()),
            };
            let cells = [line.region.to_string(), claim.to_owned(), found];
            table.row(cells.into_iter().chain(line.key.clone()).collect());
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use sealane::{
        memory::{Cloud, ManualClock, MemoryObjects},
        time::Timestamp,
        transport::{Order, Source, ship},
        upload::{Classes, Plan, Policy},
    };

    use super::*;

    /// Ships a file to `us-west-2`; `eu-west-1` is to have a copy as well, and is not routed to.
    async fn shipped(cloud: &Cloud) -> (Receipt, BTreeMap<RegionName, MemoryObjects>) {
        let regions: Vec<RegionName> = ["us-west-2", "eu-west-1"].map(|name| name.parse().unwrap()).to_vec();
        let buckets = regions.iter().map(|name| (*name, cloud.bucket(name.as_str()))).collect();
        let policy = Policy { copies: 2, min_copies: Some(1), ..Policy::default() };
        let plan = Plan::new(&policy, &regions, &regions[..1]).unwrap();
        let (upload_id, key) = ("u-1".to_owned(), "reads".parse().unwrap());
        let order = Order { upload_id, key, plan, policy, classes: Classes::AsSource, seed: 7 };
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "ACGT").unwrap();
        let (source, clock) = (Source::open(file.path()).unwrap(), ManualClock::at(Timestamp::default()));
        let receipt = ship(&source, &buckets, &order, &|_| {}, &clock).await.unwrap();
        (receipt, buckets)
    }

    #[tokio::test]
    async fn a_copy_that_rots_after_its_receipt_is_found_out() {
        let cloud = Cloud::default();
        let (receipt, buckets) = shipped(&cloud).await;
        assert_eq!(check(&receipt, false, &buckets).await.exit(), Exit::Done);
        buckets.values().next_back().unwrap().corrupt("reads");
        assert_eq!(check(&receipt, false, &buckets).await.exit(), Exit::Failed);
        cloud.cut("us-west-2", true);
        assert_eq!(check(&receipt, false, &buckets).await.exit(), Exit::Unknown);
    }

    #[tokio::test]
    async fn owed_copies_are_looked_at_when_asked() {
        let cloud = Cloud::default();
        let (receipt, buckets) = shipped(&cloud).await;
        let report = check(&receipt, true, &buckets).await;
        assert_eq!(report.copies.len(), 2);
        assert!(report.to_string().contains("not paid yet"), "{report}");
    }

    fn report(findings: impl IntoIterator<Item = (Claim, Finding)>) -> Report {
        let region = "eu-west-1".parse().unwrap();
        let line = |(claim, finding)| Line { key: None, region, claim, finding };
        Report { copies: findings.into_iter().map(line).collect() }
    }

    #[test]
    fn success_needs_a_claim_and_every_claim_to_hold() {
        let unknown = || Finding::Unknown { detail: "timed out".to_owned() };
        assert_eq!(report([]).exit(), Exit::Failed);
        assert_eq!(report([(Claim::Verified, Finding::Whole)]).exit(), Exit::Done);
        assert_eq!(
            report([(Claim::Verified, Finding::Whole), (Claim::Verified, Finding::Missing)]).exit(),
            Exit::Failed
        );
        assert_eq!(
            report([(Claim::Verified, Finding::Whole), (Claim::Verified, unknown())]).exit(),
            Exit::Unknown
        );
    }

    #[test]
    fn an_unpaid_debt_breaks_no_claim() {
        let report = report([(Claim::Verified, Finding::Whole), (Claim::Owed, Finding::Missing)]);
        assert_eq!(report.exit(), Exit::Done);
        assert!(report.to_string().contains("not paid yet"), "{report}");
    }
}
