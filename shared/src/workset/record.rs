//! The row of a workset.

use serde::{Deserialize, Serialize};

use super::{
    class::{ErrorCategory, Kind, Priority},
    document::{Document, Metadata},
    name::{Bucket, Prefix, Tenant, Text, WorksetId},
    state::State,
};
use crate::{region::RegionName, time::Timestamp};

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The step it is in, such as `align`.
    pub step: Text<64>,
    /// What a person should know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text<1024>>,
}

/// What went wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Decides whether a retry is allowed.
    pub category: ErrorCategory,
    /// What a person needs to mend it.
    pub details: Text<4096>,
}

/// A batch of data under a bucket and prefix, and where its processing stands.
///
/// Serialized, it is the workset as the API shows it; times are milliseconds
/// since the Unix epoch. Only [`register`](super::register()),
/// [`transition`](super::transition()) and [`report`](super::report()) make new rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workset {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name, unique within the tenant.
    pub id: WorksetId,
    /// The bucket that holds its data.
    pub bucket: Bucket,
    /// Where in the bucket its data lies.
    pub prefix: Prefix,
    /// Where it stands.
    pub state: State,
    /// Its place in the queue.
    pub priority: Priority,
    /// What it is made for.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Where its owner would like it to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_region: Option<RegionName>,
    /// How far the present or last run came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What went wrong in the last run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Retries so far, at most [`RETRIES_MAX`](super::RETRIES_MAX).
    #[serde(default)]
    pub retry_count: u32,
    /// When a `retrying` workset may be ready again.
    #[serde(rename = "next_retry_ms", default, skip_serializing_if = "Option::is_none")]
    pub next_retry_at: Option<Timestamp>,
    /// When it was registered.
    #[serde(rename = "created_ms")]
    pub created_at: Timestamp,
    /// When it was last written.
    #[serde(rename = "updated_ms")]
    pub updated_at: Timestamp,
    /// When its present or last run began.
    #[serde(rename = "started_ms", default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its last run ended.
    #[serde(rename = "finished_ms", default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Where the results lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results_uri: Option<Text<2048>>,
    /// What the run measured of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Document>,
    /// The highest lock token that ever wrote this row; 0 before any did.
    /// A write with a lower one comes from a holder that was superseded.
    #[serde(default)]
    pub fence: u64,
    /// Writes so far. Every write is conditional on the one it read.
    pub version: u64,
    /// The region whose replica took the last write. Two writes of one version from two
    /// regions are a collision, and this tells them apart.
    pub written_in: RegionName,
}
