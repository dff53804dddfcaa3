//! Regions: their names, what each can do, and how each stands.
//!
//! Health is kept per [`Capability`]: when only DynamoDB fails in a region, S3
//! traffic stays where it is.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest region name that is accepted, in bytes.
pub const NAME_LEN_MAX: usize = 23;

/// The name of an AWS region, such as `eu-west-1`.
///
/// Holds only lower-case letters, digits and dashes, so it is safe in a
/// DynamoDB key, a metric dimension and an endpoint host name. It is kept
/// inline and copied freely: names are on the hot path of every route.
///
/// ```
/// use sealane::region::RegionName;
///
/// let name: RegionName = "eu-west-1".parse().unwrap();
/// assert_eq!(name.as_str(), "eu-west-1");
/// assert!("EU West".parse::<RegionName>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegionName {
    /// The name, padded with zeros, so that byte order is name order.
    bytes: [u8; NAME_LEN_MAX],
    len: u8,
}

/// The text is not a region name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a region name (want lower-case words and a number, as in `eu-west-1`)")]
pub struct InvalidRegionName(String);

impl RegionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so this cannot fail.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for RegionName {
    type Err = InvalidRegionName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || InvalidRegionName(text.to_owned());
        let words: Vec<&str> = text.split('-').collect();
        let (number, names) = words.split_last().ok_or_else(refuse)?;
        let named = names.len() >= 2
            && names.iter().all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()));
        let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let len = u8::try_from(text.len()).map_err(|_| refuse())?;
        if !named || !numbered || text.len() > NAME_LEN_MAX {
            return Err(refuse());
        }
        let mut bytes = [0; NAME_LEN_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len })
    }
}

impl TryFrom<String> for RegionName {
    type Error = InvalidRegionName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RegionName> for String {
    fn from(name: RegionName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that a region can do, watched and judged on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Reading objects from the region's bucket.
    ObjectRead,
    /// Writing objects into the region's bucket.
    ObjectWrite,
    /// Reading rows from the region's table replicas.
    TableRead,
    /// Writing rows into the region's table replicas.
    TableWrite,
    /// Answering HTTPS requests.
    Api,
}

impl Capability {
    /// Every capability, in the order in which it is shown.
    pub const ALL: [Self; 5] =
        [Self::ObjectRead, Self::ObjectWrite, Self::TableRead, Self::TableWrite, Self::Api];

    /// The name used in rows, metrics and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ObjectRead => "object_read",
            Self::ObjectWrite => "object_write",
            Self::TableRead => "table_read",
            Self::TableWrite => "table_write",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How one capability of one region stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It answers, and in time.
    Healthy,
    /// It answers, slowly or with errors: usable, ranked behind healthy ones.
    Degraded,
    /// It does not answer.
    Unhealthy,
    /// An operator drained it.
    Offline,
    /// Too few fresh votes to tell. Never read as healthy, and never a reason to move.
    Unknown,
}

impl Status {
    /// Whether new work may be sent there.
    pub const fn is_up(self) -> bool {
        match self {
            Self::Healthy | Self::Degraded => true,
            Self::Unhealthy | Self::Offline | Self::Unknown => false,
        }
    }

    /// The name used in rows, metrics and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a region takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds data, serves requests and watches the others.
    #[default]
    Full,
    /// Only watches: it has no bucket and is never routed to.
    Witness,
}

/// Where on Earth a region lies, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinates {
    /// Degrees north of the equator, -90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    pub longitude: f64,
}

/// How much a region takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Uploads in flight. At least 1.
    pub max_concurrent_uploads: u32,
    /// Megabits a second over all uploads. At least 1.
    pub max_bandwidth_mbps: u32,
}

impl Capacity {
    /// Megabits a second of one upload when all are in flight; at least 1.
    pub const fn share_mbps(self) -> u32 {
        let uploads = if self.max_concurrent_uploads == 0 { 1 } else { self.max_concurrent_uploads };
        let share = self.max_bandwidth_mbps / uploads;
        if share == 0 { 1 } else { share }
    }
}

/// Endpoints that replace the ones derived from the region's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// S3, as a URL with a scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<String>,
    /// DynamoDB, as a URL with a scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamodb: Option<String>,
    /// CloudWatch, as a URL with a scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch: Option<String>,
    /// SQS, as a URL with a scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs: Option<String>,
    /// SNS, as a URL with a scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sns: Option<String>,
    /// The region's HTTPS API, up to but without the `/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// Whether a region is watched, how often, and how it falls and rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthCheck {
    /// Whether others probe this region. An unwatched region stays `unknown`.
    pub enabled: bool,
    /// Time between the starts of two probes. 5 to 60 s.
    pub interval: Duration,
    /// Time after which one probe counts as failed. Below `interval`.
    pub timeout: Duration,
    /// Bad probes in a row that turn a vote down. At least 1.
    pub failure_threshold: u32,
    /// Good probes in a row that turn it up again. At least 1.
    pub success_threshold: u32,
}

impl Default for HealthCheck {
    /// 10 s and 2 s, where the seed had 30 s and 5 s: those cannot detect within 15 s.
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            failure_threshold: 3,
            success_threshold: 2,
        }
    }
}

/// A region as configured: settings, not observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Its AWS name.
    pub name: RegionName,
    /// What it takes part in.
    pub role: Role,
    /// Its bucket; `None` for a witness.
    pub bucket: Option<String>,
    /// The KMS key that encrypts its objects, as an ARN or alias; `None`: the bucket's default.
    pub kms_key: Option<String>,
    /// Rank under the priority strategy: 1 is best.
    pub priority: u32,
    /// Share under the weighted strategies, 0 to 100; 0 gets nothing.
    pub weight: u32,
    /// Where it lies; `None` ranks last under the geographic strategy.
    pub coordinates: Option<Coordinates>,
    /// Residency tags, such as `eu` or `hipaa`: a request may demand some.
    pub residency: Vec<String>,
    /// How much it takes at once.
    pub capacity: Capacity,
    /// How it is watched.
    pub health_check: HealthCheck,
    /// Drained in the configuration: still watched, never used.
    pub offline: bool,
    /// Endpoint overrides.
    pub endpoints: Endpoints,
    /// Price of sending out of this region, in dollars per GB; `None` ranks last under the cost strategy.
    pub transfer_out_usd_per_gb: Option<f64>,
}

impl Region {
    /// Whether the region holds data and serves requests.
    pub fn is_full(&self) -> bool {
        self.role == Role::Full
    }

    /// What can be watched in it: a witness holds no objects and serves no API,
    /// only its replica of the health table; and an API without an endpoint in the
    /// configuration cannot be asked.
    pub const fn capabilities(&self) -> &'static [Capability] {
        use Capability::{ObjectRead, ObjectWrite, TableRead, TableWrite};
        match (self.role, &self.endpoints.api) {
            (Role::Full, Some(_)) => &Capability::ALL,
            (Role::Full, None) => &[ObjectRead, ObjectWrite, TableRead, TableWrite],
            (Role::Witness, _) => &[TableRead, TableWrite],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A name that parses prints as the text it came from, and sorts as text does.
        #[test]
        fn names_round_trip_and_sort_as_text(a in "[a-z]{1,4}-[a-z]{1,9}-[0-9]", b in "[a-z]{1,4}-[a-z]{1,9}-[0-9]") {
            let (x, y): (RegionName, RegionName) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(x.to_string(), a.clone());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }

        /// No text, however odd, makes the parser panic or lets other bytes in.
        #[test]
        fn odd_text_is_refused(text in "\\PC{0,40}") {
            if let Ok(name) = text.parse::<RegionName>() {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }
    }

    #[test]
    fn unknown_is_not_up() {
        assert!(!Status::Unknown.is_up());
        assert!(!Status::Offline.is_up());
    }

    #[test]
    fn an_api_without_an_endpoint_is_not_asked_for() {
        let document = r#"{"primary_region": "us-west-2", "enabled": false,
            "regions": [{"name": "us-west-2", "bucket": "west"}]}"#;
        let config = crate::config::Config::read(Some(document), std::iter::empty()).unwrap();
        assert!(!config.regions[0].capabilities().contains(&Capability::Api));
    }
}
