//! A ticket: an upload whose bytes a client sends by itself, through URLs that the API signs.
//!
//! The bytes go as parts of one multipart upload, also where there is one part only: so nobody sees an
//! object before it was completed and checked, and a URL is worth nothing once its upload was
//! completed or given up. A region that is left is never tried again. Rule: a ticket holds no
//! URL and no signature, and it ends complete only with a receipt for what the store was found to have.

mod ask;
mod pieces;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{AttemptLine, AttemptOutcome, CopyLine, How, Leftover, Outcome, Receipt, RegionReason};
use crate::{
    checksum::Checksum,
    ports::{Attributes, Head, Metadata},
    region::RegionName,
    replication::{META_REGIONS, META_UPLOAD, regions_value},
    time::{Timestamp, millis},
    units::ByteSize,
    workset::KEPT_FOR,
};

pub use ask::{Ask, AskedPart, Wanted};
pub use pieces::{InvalidPieces, Piece, Pieces, Spans};

/// The id of a ticket: `up-` and 32 hexadecimal digits. Each copy of the object carries it as metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TicketId(String);

/// The text is no id of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path names no upload (want the `id` that `POST /v1/uploads` gave)")]
pub struct InvalidTicketId;

impl TicketId {
    /// The id that belongs to `seed`, which no two uploads may share.
    pub fn of(seed: &str) -> Self {
        let digest = Sha256::digest(seed.as_bytes());
        Self(digest.iter().take(16).fold("up-".to_owned(), |id, byte| id + &format!("{byte:02x}")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TicketId {
    type Err = InvalidTicketId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("up-").filter(|digits| digits.len() == 32).ok_or(InvalidTicketId)?;
        let fits = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidTicketId) }
    }
}

impl TryFrom<String> for TicketId {
    type Error = InvalidTicketId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TicketId> for String {
    fn from(id: TicketId) -> Self {
        id.0
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One try in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The region.
    pub region: RegionName,
    /// Its bucket.
    pub bucket: String,
    /// The multipart upload that takes the parts.
    pub upload: String,
    /// The regions that shall hold the object in the end, this one first.
    pub regions: Vec<RegionName>,
    /// How the region was chosen, in words.
    pub why: String,
    /// When it began.
    #[serde(rename = "begun_ms")]
    pub begun_at: Timestamp,
    /// Why it was left; `None` while it is the present one, or the one that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// Whether nothing of the multipart upload is left in the store.
    pub freed: bool,
}

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "receipt", rename_all = "snake_case")]
pub enum Stage {
    /// Parts may be sent to the last leg.
    Open,
    /// The object is there and was checked.
    Completed(Box<Receipt>),
    /// It was given up.
    Aborted,
}

impl Stage {
    /// The stage as the API names it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed(_) => "completed",
            Self::Aborted => "aborted",
        }
    }
}

/// An upload on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its id.
    pub id: TicketId,
    /// What is uploaded.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// The regions that it was tried in, each once; the last is the present one. Never empty.
    pub legs: Vec<Leg>,
    /// How far it has come.
    #[serde(flatten)]
    pub stage: Stage,
    /// When it began.
    #[serde(rename = "created_ms")]
    pub created_at: Timestamp,
    /// From when on it counts as never begun.
    #[serde(rename = "expires_ms")]
    pub expires_at: Timestamp,
}

/// What the store was found to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The version; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// How its checksum was found.
    pub how: How,
}

impl Ticket {
    /// An upload that begins with `leg`.
    pub fn begun(id: TicketId, wanted: Wanted, leg: Leg, now: Timestamp) -> Self {
        let expires_at = now.after(KEPT_FOR);
        Self { id, wanted, legs: vec![leg], stage: Stage::Open, created_at: now, expires_at }
    }

    /// The present leg; `None` only of a row that nobody here wrote.
    pub fn leg(&self) -> Option<&Leg> {
        self.legs.last()
    }

    /// The regions that it was tried in.
    pub fn tried(&self) -> Vec<RegionName> {
        self.legs.iter().map(|leg| leg.region).collect()
    }

    /// The regions, other than the present one, whose unfinished parts are still to be freed.
    pub fn owed_aborts(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(|leg| !leg.freed && (leg.left.is_some() || self.stage == Stage::Aborted))
    }

    /// The upload after it left its present region for that of `leg`, because of `why`.
    #[must_use]
    pub fn moved(mut self, leg: Leg, why: &str) -> Self {
        if let Some(last) = self.legs.last_mut() {
            last.left = Some(why.to_owned());
        }
        self.legs.push(leg);
        self
    }

    /// The upload after it was given up.
    #[must_use]
    pub fn aborted(self) -> Self {
        Self { stage: Stage::Aborted, ..self }
    }

    /// The upload after the parts of these multipart uploads were freed.
    #[must_use]
    pub fn freed(mut self, uploads: &[String]) -> Self {
        for leg in self.legs.iter_mut().filter(|leg| uploads.contains(&leg.upload)) {
            leg.freed = true;
        }
        self
    }

    /// The upload after its object was found whole in the region of `at`, whatever was decided
    /// meanwhile: what is there is there.
    #[must_use]
    pub fn completed(mut self, at: &Leg, found: &Found, now: Timestamp) -> Self {
        for leg in self.legs.iter_mut().filter(|leg| leg.upload == at.upload) {
            (leg.freed, leg.left) = (true, None);
        }
        for leg in self.legs.iter_mut().filter(|leg| leg.upload != at.upload && leg.left.is_none()) {
            leg.left = Some(format!("the object was found whole in `{}`", at.region));
        }
        let receipt = self.receipt(at, found, now);
        Self { stage: Stage::Completed(Box::new(receipt)), ..self }
    }

    /// What is kept of the object besides its bytes: replication takes it for an upload that is owed to the other regions.
    pub fn attributes(&self, leg: &Leg) -> Attributes {
        attributes(&self.id, &self.wanted, &leg.regions)
    }

    /// Whether `head` describes the object of this very upload.
    pub fn is_in(&self, head: &Head) -> bool {
        head.attributes.metadata.get(META_UPLOAD).is_some_and(|id| id == self.id.as_str())
            && head.size_bytes == self.wanted.pieces.size().0
            && head.checksum.is_none_or(|sum| sum == self.wanted.pieces.checksum())
    }

    fn receipt(&self, at: &Leg, found: &Found, now: Timestamp) -> Receipt {
        let Wanted { key, pieces, .. } = &self.wanted;
        let (size, checksum) = (pieces.size(), pieces.checksum());
        let others: Vec<_> = at.regions.iter().copied().filter(|region| *region != at.region).collect();
        let copies = others.len() + 1;
        let (outcome, rule) = match others.is_empty() {
            true => (Outcome::Complete, "the one wanted copy is verified".to_owned()),
            false => (
                Outcome::Degraded,
                format!("1 of {copies} copies is verified, and replication owes the others"),
            ),
        };
        let reason = format!("replication copies it there from `{}`", at.region);
        Receipt {
            upload_id: self.id.to_string(),
            key: key.clone(),
            size,
            checksum,
            sha256: None,
            files: 1,
            outcome,
            rule,
            copies: vec![self.copy(at, found, (size, checksum), now)],
            owed: others.into_iter().map(|region| RegionReason { region, reason: reason.clone() }).collect(),
            failed: self.legs.iter().filter_map(failure).collect(),
            attempts: self.legs.iter().map(attempt).collect(),
            leftovers: self.owed_aborts().map(|leg| leftover(leg, key.as_str())).collect(),
            unleased: Vec::new(),
        }
    }

    fn copy(
        &self,
        at: &Leg,
        found: &Found,
        (size, checksum): (ByteSize, Checksum),
        now: Timestamp,
    ) -> CopyLine {
        let duration_ms = millis(now.since(at.begun_at));
        CopyLine {
            region: at.region,
            bucket: at.bucket.clone(),
            key: self.wanted.key.clone(),
            version_id: found.version_id.clone(),
            size,
            checksum,
            verified: true,
            how: found.how,
            attempts: self.legs.len(),
            duration_ms,
            throughput_bytes_s: size.0.saturating_mul(1_000) / duration_ms.max(1),
        }
    }
}

/// What is kept besides its bytes of the object of an upload that shall lie in `regions`, home first.
pub fn attributes(id: &TicketId, wanted: &Wanted, regions: &[RegionName]) -> Attributes {
    let metadata = Metadata::from([
        (META_UPLOAD.to_owned(), id.to_string()),
        (META_REGIONS.to_owned(), regions_value(regions.iter().copied())),
    ]);
    Attributes {
        content_type: wanted.content_type.clone(),
        storage_class: wanted.storage_class.map(|class| class.to_string()),
        metadata,
        ..Attributes::default()
    }
}

fn failure(leg: &Leg) -> Option<RegionReason> {
    let reason = leg.left.clone()?;
    Some(RegionReason { region: leg.region, reason })
}

fn attempt(leg: &Leg) -> AttemptLine {
    let outcome = match leg.left {
        Some(_) => AttemptOutcome::Dropped,
        None => AttemptOutcome::Verified,
    };
    AttemptLine { region: leg.region, at_ms: leg.begun_at, outcome, reason: leg.left.clone() }
}

fn leftover(leg: &Leg, key: &str) -> Leftover {
    let (region, bucket, key) = (leg.region, leg.bucket.clone(), key.to_owned());
    Leftover { region, bucket, key, upload: Some(leg.upload.clone()) }
}

#[cfg(test)]
mod tests;
