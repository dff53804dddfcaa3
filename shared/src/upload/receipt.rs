//! The receipt: which regions hold a verified copy, which are owed one, and what failed.
//!
//! Rule: it never claims more than was verified. A copy counts when its size
//! and checksum, as found in the store, equal those of the source; that the
//! store said "done" is not enough, and a lost answer is neither yes nor no.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    checksum::Checksum,
    region::RegionName,
    time::{Timestamp, millis},
    units::ByteSize,
};

use super::{AttemptOutcome, Lane, ObjectKey, Plan, Reason, Sha256, State, Stored};

/// How the size and checksum of a copy were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The bytes were read back and summed.
    ReadBack,
    /// The store was asked for the checksum that it keeps of the whole object.
    ChecksumAttribute,
    /// The store's reply to the write carried the checksum of what it wrote (`sync_validation` off).
    WriteReply,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReadBack => "read back",
            Self::ChecksumAttribute => "the store's own checksum",
            Self::WriteReply => "the checksum in the write's reply",
        })
    }
}

/// What was shipped, as read from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The id of the upload.
    pub upload_id: String,
    /// The key in every region.
    pub key: ObjectKey,
    /// Bytes sent to each region.
    pub size: ByteSize,
    /// Their checksum, computed while they were read.
    pub checksum: Checksum,
    /// Files in the archive; 1 when a single file was shipped as it is.
    pub files: u64,
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every wanted copy is verified.
    Complete,
    /// Enough copies are verified, not all.
    Degraded,
    /// Too few copies are verified, and there are not enough more.
    Failed,
    /// Too few copies are verified; the answers of others were lost, and they might suffice.
    Unknown,
}

impl Outcome {
    /// Whether the upload may be relied on.
    pub const fn is_success(self) -> bool {
        match self {
            Self::Complete | Self::Degraded => true,
            Self::Failed | Self::Unknown => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Complete => "complete",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// One verified copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyLine {
    /// The region that holds it.
    pub region: RegionName,
    /// The bucket that holds it.
    pub bucket: String,
    /// Its key.
    pub key: ObjectKey,
    /// Its version; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// Its size as found.
    pub size: ByteSize,
    /// Its checksum as found.
    pub checksum: Checksum,
    /// Whether size and checksum as found equal those of the source.
    pub verified: bool,
    /// How they were found.
    pub how: How,
    /// Regions tried for this copy, this one included.
    pub attempts: usize,
    /// Time from the first byte sent to the proof.
    pub duration_ms: u64,
    /// Bytes a second over that time.
    pub throughput_bytes_s: u64,
}

/// A region and why it holds no verified copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionReason {
    /// The region.
    pub region: RegionName,
    /// Why, in words.
    pub reason: String,
}

/// One try in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptLine {
    /// The region.
    pub region: RegionName,
    /// When it began, on the uploader's clock.
    pub at_ms: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why, in words, unless it went well.
    pub reason: Option<String>,
}

/// A multipart upload that was not finished and could not be given up. The bucket's
/// lifecycle rule frees it in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// The region.
    pub region: RegionName,
    /// The bucket that it lies in.
    pub bucket: String,
    /// The key that it was for.
    pub key: String,
    /// Its id; `None` when it may have begun, but the answer that names it was lost.
    pub upload: Option<String>,
}

/// What an upload can show for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The id of the upload.
    pub upload_id: String,
    /// The key in every region.
    pub key: ObjectKey,
    /// Bytes shipped.
    pub size: ByteSize,
    /// Their checksum.
    pub checksum: Checksum,
    /// Their SHA-256, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Files in the archive.
    pub files: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// The rule that says so, with its numbers.
    pub rule: String,
    /// The verified copies.
    pub copies: Vec<CopyLine>,
    /// Regions that replication has yet to give a copy to.
    pub owed: Vec<RegionReason>,
    /// Tries that ended without a verified copy.
    pub failed: Vec<RegionReason>,
    /// Every try in every region, in order of time.
    pub attempts: Vec<AttemptLine>,
    /// Unfinished multipart uploads that are, or may be, left behind.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
    /// Regions that were shipped to without a lease on their capacity, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unleased: Vec<RegionReason>,
}

impl Receipt {
    /// Judges an upload by what its lanes have proved.
    pub fn judge(shipment: &Shipment, plan: &Plan, lanes: &[Lane]) -> Self {
        let copies: Vec<CopyLine> = lanes.iter().filter_map(|lane| copy_line(shipment, lane)).collect();
        let missing = || lanes.iter().filter(|lane| proof(shipment, lane).is_none());
        let in_doubt = missing().filter(|lane| may_hold_a_copy(lane)).count();
        let (outcome, rule) = verdict(plan, copies.len(), in_doubt);
        let owed = match copies.is_empty() {
            // Nothing verified means nothing to copy from: no debt that anyone could pay.
            true => Vec::new(),
            false => owed(shipment, plan, missing()),
        };
        let mut attempts: Vec<AttemptLine> = lanes.iter().flat_map(attempt_lines).collect();
        attempts.sort_by_key(|attempt| attempt.at_ms);
        Self {
            upload_id: shipment.upload_id.clone(),
            key: shipment.key.clone(),
            size: shipment.size,
            checksum: shipment.checksum,
            sha256: None,
            files: shipment.files,
            outcome,
            rule,
            copies,
            owed,
            failed: lanes.iter().flat_map(|lane| failures(shipment, lane)).collect(),
            attempts,
            leftovers: Vec::new(),
            unleased: Vec::new(),
        }
    }

    /// This receipt with what was left behind on the way.
    #[must_use]
    pub fn leaving(self, leftovers: Vec<Leftover>) -> Self {
        Self { leftovers, ..self }
    }

    /// This receipt with the SHA-256 that every copy carries.
    #[must_use]
    pub fn with_sha256(self, sha256: Option<Sha256>) -> Self {
        Self { sha256, ..self }
    }

    /// This receipt with the regions that were shipped to without a lease.
    #[must_use]
    pub fn without_leases(self, unleased: Vec<RegionReason>) -> Self {
        Self { unleased, ..self }
    }

    /// This receipt with better words for regions that were left out when the upload began, as
    /// far as `why` has some.
    #[must_use]
    pub fn explaining(mut self, why: impl Fn(RegionName) -> Option<String>) -> Self {
        let unexplained = Reason::NotRouted.to_string();
        for line in self.owed.iter_mut().filter(|line| line.reason == unexplained) {
            if let Some(rule) = why(line.region) {
                line.reason = format!("{unexplained}: {rule}");
            }
        }
        self
    }
}

/// The copy of this lane, if what was found equals what was shipped.
fn proof<'a>(shipment: &Shipment, lane: &'a Lane) -> Option<&'a Stored> {
    match lane.state() {
        State::Verified(stored) => {
            (stored.size == shipment.size && stored.checksum == shipment.checksum).then_some(stored)
        }
        State::Waiting
        | State::Uploading
        | State::Completing
        | State::Failed(_)
        | State::Unknown(_)
        | State::Owed(_) => None,
    }
}

/// Whether a region may hold a copy that nobody could check.
fn may_hold_a_copy(lane: &Lane) -> bool {
    matches!(lane.state(), State::Completing)
        || lane.attempts().iter().any(|attempt| attempt.outcome == AttemptOutcome::Unknown)
}

/// The outcome by the counts alone, and the rule in words.
fn verdict(plan: &Plan, verified: usize, in_doubt: usize) -> (Outcome, String) {
    let &Plan { copies, min_copies, allow_degraded, .. } = plan;
    let needed = if allow_degraded { 1 } else { min_copies };
    if verified >= copies {
        return (Outcome::Complete, format!("all {copies} wanted copies are verified"));
    }
    if verified >= min_copies {
        return (
            Outcome::Degraded,
            format!("{verified} of {copies} copies are verified, and {min_copies} are enough"),
        );
    }
    if verified >= needed {
        let rule = format!(
            "{verified} of {copies} copies are verified, below the {min_copies} wanted, and `allow_degraded` accepts that"
        );
        return (Outcome::Degraded, rule);
    }
    if verified + in_doubt >= needed {
        let rule = format!(
            "{verified} of {copies} copies are verified, {needed} are needed, and the fate of {in_doubt} is not known"
        );
        return (Outcome::Unknown, rule);
    }
    (Outcome::Failed, format!("{verified} of {copies} copies are verified, and {needed} are needed"))
}

fn copy_line(shipment: &Shipment, lane: &Lane) -> Option<CopyLine> {
    let stored = proof(shipment, lane)?;
    let duration_ms = millis(stored.duration);
    Some(CopyLine {
        region: lane.region(),
        bucket: stored.bucket.clone(),
        key: shipment.key.clone(),
        version_id: stored.version_id.clone(),
        size: stored.size,
        checksum: stored.checksum,
        verified: true,
        how: stored.how,
        attempts: lane.attempts().len(),
        duration_ms,
        throughput_bytes_s: throughput(stored.size, duration_ms),
    })
}

/// Bytes a second; a copy that took no measurable time counts as one of 1 ms.
fn throughput(size: ByteSize, duration_ms: u64) -> u64 {
    let bytes_s = u128::from(size.0) * 1_000 / u128::from(duration_ms.max(1));
    u64::try_from(bytes_s).unwrap_or(u64::MAX)
}

/// Every wanted copy that is not verified, by the region that the plan wanted it in.
fn owed<'a>(shipment: &Shipment, plan: &Plan, missing: impl Iterator<Item = &'a Lane>) -> Vec<RegionReason> {
    let from_lanes = missing.map(|lane| {
        let reason = shortfall(shipment, lane).unwrap_or(Reason::Stopped);
        RegionReason { region: lane.home(), reason: reason.to_string() }
    });
    let from_start = plan
        .owed
        .iter()
        .map(|region| RegionReason { region: *region, reason: Reason::NotRouted.to_string() });
    from_lanes.chain(from_start).collect()
}

/// Why the lane, as it stands, has no verified copy.
fn shortfall(shipment: &Shipment, lane: &Lane) -> Option<Reason> {
    match lane.state() {
        State::Failed(why) | State::Unknown(why) | State::Owed(why) => Some(why.clone()),
        State::Waiting | State::Uploading | State::Completing => Some(Reason::Stopped),
        State::Verified(stored) if stored.size != shipment.size => {
            Some(Reason::SizeDiffers { expected: shipment.size, found: stored.size })
        }
        State::Verified(stored) if stored.checksum != shipment.checksum => {
            Some(Reason::ChecksumDiffers { expected: shipment.checksum, found: stored.checksum })
        }
        State::Verified(_) => None,
    }
}

/// The regions of this lane in which a try ended without a verified copy.
fn failures(shipment: &Shipment, lane: &Lane) -> Vec<RegionReason> {
    let ended = lane.attempts().iter().filter_map(|attempt| {
        let reason = match attempt.outcome {
            AttemptOutcome::Verified => shortfall(shipment, lane),
            AttemptOutcome::Running => Some(Reason::Stopped),
            AttemptOutcome::Failed | AttemptOutcome::Unknown | AttemptOutcome::Dropped => {
                attempt.reason.clone()
            }
        };
        reason.map(|why| RegionReason { region: attempt.region, reason: why.to_string() })
    });
    ended.collect()
}

fn attempt_lines(lane: &Lane) -> impl Iterator<Item = AttemptLine> {
    lane.attempts().iter().map(|attempt| AttemptLine {
        region: attempt.region,
        at_ms: attempt.at,
        outcome: attempt.outcome,
        reason: attempt.reason.as_ref().map(ToString::to_string),
    })
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "1 file".to_owned() } else { format!("{} files", self.files) };
        writeln!(f, "`{}`: {}, {files}, CRC64NVME {}", self.key, self.size, self.checksum)?;
        writeln!(f, "upload {} is {}: {}", self.upload_id, self.outcome, self.rule)?;
        if let Some(sum) = self.sha256 {
            writeln!(f, "  SHA-256   {sum}")?;
        }
        for copy in &self.copies {
            let version = copy.version_id.as_deref().unwrap_or("none");
            let (region, how, rate) = (copy.region, copy.how, ByteSize(copy.throughput_bytes_s));
            let seconds = std::time::Duration::from_millis(copy.duration_ms).as_secs_f64();
            writeln!(
                f,
                "  verified  {region}  s3://{}/{}  version {version}, by {how}, {seconds:.1} s at {rate}/s",
                copy.bucket, copy.key
            )?;
        }
        for line in &self.owed {
            writeln!(f, "  owed      {}  {}", line.region, line.reason)?;
        }
        for line in &self.failed {
            writeln!(f, "  failed    {}  {}", line.region, line.reason)?;
        }
        for line in &self.unleased {
            writeln!(f, "  no lease  {}  {}", line.region, line.reason)?;
        }
        for Leftover { region, bucket, key, upload } in &self.leftovers {
            match upload {
                Some(id) => {
                    writeln!(f, "  left      {region}  s3://{bucket}/{key}  unfinished upload `{id}`")?
                }
                None => {
                    writeln!(f, "  left      {region}  s3://{bucket}/{key}  perhaps an unfinished upload")?
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "receipt_tests.rs"]
mod tests;
