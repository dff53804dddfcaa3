//! The ports on the AWS SDK.
//!
//! Clients are built once, in a function's main. Every wait is bounded here: the
//! SDK by itself sets a limit to connecting and to nothing else.

mod budgets;
mod connections;
mod described;
mod errors;
mod lean;
mod live;
mod objects;
mod pool;
mod posts;
mod resolver;
mod rows;
mod uploads;
mod versions;

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_config::{
    BehaviorVersion, Region as SdkRegion, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryPartition};
use aws_smithy_runtime_api::client::http::http_client_fn;

use budgets::Partitions;
pub use connections::{Connections, Https};
use lean::{Keys, Lean, Place};
pub use live::HttpApis;
pub use objects::S3Objects;
pub use posts::HttpPosts;
pub use rows::DynamoRows;
use uploads::Pool;
pub use uploads::S3Uploads;

use crate::{
    config::Config,
    endpoint,
    ports::Clock,
    region::{Region, RegionName},
    retry::RetryBudgets,
    store::ControlTable,
    time::Timestamp,
    upload::{PART_MAX, wait_max},
};

/// How long and how often a call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest wait for one attempt.
    pub attempt: Duration,
    /// Attempts, the first one included. At least 1.
    pub attempts: u32,
}

impl Limits {
    /// For probes: one attempt, because a retry would hide what is looked for.
    pub const fn probe(timeout: Duration) -> Self {
        Self { connect: Duration::from_secs(1), attempt: timeout, attempts: 1 }
    }

    /// For rows and other small calls.
    pub const CALL: Self =
        Self { connect: Duration::from_secs(1), attempt: Duration::from_secs(2), attempts: 2 };

    /// For calls that move data or wait for the store to move it.
    pub const fn data(timeout: Duration) -> Self {
        Self { connect: Duration::from_secs(2), attempt: timeout, attempts: 2 }
    }

    /// The same without repetition, for a caller that repeats calls itself.
    #[must_use]
    pub const fn once(self) -> Self {
        Self { attempts: 1, ..self }
    }

    /// The same with another limit to one attempt. Connections are shared with clients that wait as
    /// long for one, so a first call need not open its own.
    #[must_use]
    pub const fn within(self, attempt: Duration) -> Self {
        Self { attempt, ..self }
    }

    fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.attempt * self.attempts)
            .build()
    }

    /// `jitter`: whether pauses between attempts are drawn at random.
    fn retries(self, jitter: bool) -> RetryConfig {
        RetryConfig::standard()
            .with_use_static_exponential_base(!jitter)
            .with_max_attempts(self.attempts)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_millis(500))
    }
}

/// Credentials and connections, from which clients of any region are made.
#[derive(Clone)]
pub struct Aws {
    sdk: SdkConfig,
    connections: Arc<dyn Connections>,
    partitions: Partitions,
    /// Credentials for what goes the short way; `None` if there are none.
    keys: Option<Arc<Keys>>,
    /// Budgets of repeats for what goes the short way.
    budgets: Arc<RetryBudgets>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").finish_non_exhaustive()
    }
}

impl Aws {
    /// Credentials from the usual AWS chain, and one connection pool for all clients.
    pub async fn connect(home: &str) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(SdkRegion::new(home.to_owned()))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self::new(loader.load().await, Arc::new(Https), Partitions::of(home))
    }

    /// Clients over `connections`, with the credentials, the clock and the jitter of `sdk`.
    pub fn over(sdk: &SdkConfig, connections: Arc<dyn Connections>) -> Self {
        let partitions = Partitions::of(sdk.region().map_or("", |home| home.as_ref()));
        let sdk = sdk.to_builder().http_client(connections.client()).build();
        Self::new(sdk, connections, partitions)
    }

    fn new(sdk: SdkConfig, connections: Arc<dyn Connections>, partitions: Partitions) -> Self {
        let keys = Keys::of(&sdk).map(Arc::new);
        Self { sdk, connections, partitions, keys, budgets: Arc::default() }
    }

    /// The same credentials over connections of its own: a fault that only new
    /// connections meet shows here first.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { sdk: self.sdk.to_builder().http_client(self.connections.client()).build(), ..self.clone() }
    }

    /// The APIs of `regions`, over connections of their own, to addresses that `security`
    /// admits, whatever the names stand for.
    pub fn apis(&self, regions: &[Region], limits: Limits, security: &endpoint::Policy) -> HttpApis {
        HttpApis::new(self.connections.connector(limits, security), regions)
    }

    /// What sends notices, over connections of its own: to URLs at addresses that `security` admits,
    /// whatever the names stand for, and to topics with these credentials.
    pub fn posts(&self, config: &Config, limits: Limits) -> HttpPosts {
        // Topics lie at AWS or where the configuration was checked to point.
        let anywhere = endpoint::Policy { allow_local: true, hosts: None };
        HttpPosts {
            web: self.connections.connector(limits, &config.security),
            topics: self.connections.connector(limits, &anywhere),
            endpoints: posts::endpoints(&config.regions),
            keys: self.keys.clone(),
            limit: limits.attempt,
        }
    }

    /// The budget of repeats that every client of `region` shares.
    pub fn retry_partition(&self, region: &Region) -> RetryPartition {
        self.partitions.to(region.name)
    }

    fn retry_config(&self, limits: Limits) -> RetryConfig {
        let jitter = self.sdk.retry_config().is_none_or(|set| !set.use_static_exponential_base());
        limits.retries(jitter)
    }

    /// The replica of `table` in `region`; `index` is the name of the table's index.
    pub fn rows(&self, region: &Region, table: &str, index: &'static str, limits: Limits) -> DynamoRows {
        DynamoRows::new(self.dynamodb(region, limits), region.name, table, index)
    }

    /// The bucket of `region`, or `None` for a witness.
    pub fn objects(&self, region: &Region, owner: Option<&str>, limits: Limits) -> Option<S3Objects> {
        let client = self.s3(region, limits);
        let bucket = region.bucket.clone()?;
        Some(S3Objects::new(client, bucket, owner.map(str::to_owned), region.kms_key.clone(), limits.attempt))
    }

    /// As [`objects`](Self::objects), for callers that ship many bytes or have many parts copied: both
    /// go past the SDK, over a pool of connections of its own. What carries bytes is tried once, since its
    /// caller repeats calls itself; a part that is copied is tried as `limits` say.
    pub fn shipping(&self, region: &Region, owner: Option<&str>, limits: Limits) -> Option<S3Objects> {
        // How long a part may take depends on its size, and is minded where that is known.
        let patient = limits.within(wait_max(limits.attempt, PART_MAX));
        let connector = self.connections.crowded(patient);
        // One pool for both ways, so that a question warms the connection for what follows it.
        let pool = connector.clone();
        let sdk = self.sdk.to_builder().http_client(http_client_fn(move |_, _| pool.clone())).build();
        let objects = Self { sdk, ..self.clone() }.objects(region, owner, limits)?;
        let lean = || {
            let place = Place::of(region, region.bucket.as_deref()?, &self.sdk)?;
            let (keys, budgets) = (self.keys.clone()?, Arc::clone(&self.budgets));
            let Limits { attempt: limit, attempts, .. } = limits;
            Some(Lean { place, keys, connector, limit, attempts, budgets })
        };
        Some(objects.with(lean()))
    }

    /// The buckets of all full regions for whoever lets others put parts, over one pool of connections.
    /// Nothing is made before it is asked for, and each call is tried once.
    pub fn uploads(&self, config: &Config, limits: Limits) -> BTreeMap<RegionName, S3Uploads> {
        let (owner, pool) = (config.account_id.as_deref(), Pool::default());
        let bucket = |r: &Region| Some((r.name, S3Uploads::of(self, r, owner, limits, &pool)?));
        config.full_regions().filter_map(bucket).collect()
    }

    /// What a client of another service in `region` is built from.
    pub fn client_config(&self, region: &Region, limits: Limits) -> SdkConfig {
        let config = self.sdk.to_builder().region(SdkRegion::new(region.name.to_string()));
        config.timeout_config(limits.timeouts()).retry_config(self.retry_config(limits)).build()
    }

    /// The control table through every region that serves it, `here` first if it is one.
    pub fn control(&self, config: &Config, here: RegionName, limits: Limits) -> ControlTable<DynamoRows> {
        let rows = |region| self.rows(region, &config.tables.control, "", limits);
        ControlTable::new(config.control_from(here).map(rows).collect())
    }

    /// The replicas of the worksets table by which a caller in `here` works on them as `region` has them,
    /// nearest first.
    pub fn worksets(
        &self,
        config: &Config,
        (region, here): (RegionName, RegionName),
        index: &'static str,
        limits: Limits,
    ) -> Vec<DynamoRows> {
        let regions = config.worksets_of(region, here).into_iter();
        regions.map(|region| self.rows(region, &config.tables.worksets, index, limits)).collect()
    }

    fn dynamodb(&self, region: &Region, limits: Limits) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk)
            .region(SdkRegion::new(region.name.to_string()))
            .timeout_config(limits.timeouts())
            .retry_config(self.retry_config(limits))
            .retry_partition(self.retry_partition(region));
        aws_sdk_dynamodb::Client::from_conf(match &region.endpoints.dynamodb {
            Some(url) => config.endpoint_url(url).build(),
            None => config.build(),
        })
    }

    fn s3(&self, region: &Region, limits: Limits) -> aws_sdk_s3::Client {
        // Checksums are computed once, by the caller, and sent with each call.
        let config = aws_sdk_s3::config::Builder::from(&self.sdk)
            .region(SdkRegion::new(region.name.to_string()))
            .timeout_config(limits.timeouts())
            .retry_config(self.retry_config(limits))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_partition(self.retry_partition(region));
        aws_sdk_s3::Client::from_conf(match &region.endpoints.s3 {
            Some(url) => config.endpoint_url(url).force_path_style(true).build(),
            None => config.build(),
        })
    }
}

/// This machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(crate::time::millis(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_within_a_limit_made_once_is_given_up_at_that_limit() {
        let limit = Duration::from_millis(700);
        let timeouts = Limits::CALL.within(limit).once().timeouts();
        assert_eq!(timeouts.operation_timeout(), Some(limit));
        assert_eq!(timeouts.operation_attempt_timeout(), Some(limit));
        assert_eq!(timeouts.connect_timeout(), Limits::CALL.timeouts().connect_timeout());
    }
}
