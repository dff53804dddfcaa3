//! Checking the copies of an upload again, by its receipt.

use std::{collections::BTreeMap, fmt, time::Duration};

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::{
    calls::{Failed, Patience},
    digest::Summing,
    proof::{self, Found},
};
use crate::{
    checksum::Checksum,
    ports::Objects,
    region::RegionName,
    units::ByteSize,
    upload::{CopyLine, How, Receipt, Sha256},
};

/// The longest wait for one answer of a bucket.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What a copy that a receipt names is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// Every byte was read back and is what was shipped.
    Whole,
    /// It is there, and is not what was shipped.
    Differs {
        /// Its size as read.
        size: ByteSize,
        /// Its checksum as read.
        checksum: Checksum,
    },
    /// Its CRC64NVME is right and its SHA-256 is not that of the receipt.
    OtherSha256 {
        /// Its SHA-256 as read.
        found: Sha256,
    },
    /// The store answered that there is no such version.
    Missing,
    /// Nobody answered, so nothing is known.
    Unknown {
        /// Why.
        detail: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => write!(f, "whole"),
            Self::Differs { size, checksum } => {
                write!(f, "differs: it has {} bytes with CRC64NVME `{checksum}`", size.0)
            }
            Self::OtherSha256 { found } => write!(f, "differs: its SHA-256 is `{found}`"),
            Self::Missing => write!(f, "missing"),
            Self::Unknown { detail } => write!(f, "unknown: {detail}"),
        }
    }
}

/// One copy, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The region that shall hold it.
    pub region: RegionName,
    /// What was found.
    pub finding: Finding,
}

/// Reads back every byte of each copy that `receipt` names.
pub async fn recheck<O: Objects>(receipt: &Receipt, buckets: &BTreeMap<RegionName, O>) -> Vec<Checked> {
    let checks = receipt.copies.iter().map(async |copy| {
        let region = copy.region;
        let finding = match buckets.get(&region) {
            Some(bucket) if bucket.bucket() == copy.bucket => check(bucket, copy, receipt.sha256).await,
            Some(bucket) => {
                let (named, configured) = (&copy.bucket, bucket.bucket());
                let detail = format!("the receipt names bucket `{named}`, the configuration `{configured}`");
                Finding::Unknown { detail }
            }
            None => Finding::Unknown { detail: format!("no bucket is configured for `{region}`") },
        };
        Checked { region, finding }
    });
    join_all(checks).await
}

async fn check<O: Objects>(bucket: &O, copy: &CopyLine, sha256: Option<Sha256>) -> Finding {
    let patience =
        Patience { limit: ANSWER_LIMIT, seed: copy.checksum.as_u64(), purse: None, elsewhere: None };
    let mut sum = sha256.map(|_| Summing::default());
    match read(bucket, copy, patience, &mut sum).await {
        Ok(None) => Finding::Missing,
        Ok(Some(found)) => match proof::difference(copy.size, copy.checksum, &found) {
            None => match sum.map(Summing::finish) {
                Some(found) if Some(found) != sha256 => Finding::OtherSha256 { found },
                Some(_) | None => Finding::Whole,
            },
            Some(_) => Finding::Differs { size: found.size, checksum: found.checksum },
        },
        Err(failed) => Finding::Unknown { detail: failed.reason.to_string() },
    }
}

async fn read<O: Objects>(
    bucket: &O,
    copy: &CopyLine,
    patience: Patience<'_>,
    sum: &mut Option<Summing>,
) -> Result<Option<Found>, Failed> {
    let (key, version_id) = (copy.key.as_str(), copy.version_id.clone());
    let Some(head) = proof::look(bucket, key, version_id.as_deref(), patience).await? else {
        return Ok(None);
    };
    let see = |bytes: &[u8]| sum.iter_mut().for_each(|sum| sum.update(bytes));
    let (size, checksum) =
        proof::read_back(bucket, key, version_id.as_deref(), head.size_bytes, patience, see).await?;
    Ok(Some(Found { version_id, size, checksum, how: How::ReadBack }))
}
