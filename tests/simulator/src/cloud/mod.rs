//! A cloud of several regions in one process and one thread.
//!
//! The real SDK clients talk to it over a simulated network: their HTTP client is replaced,
//! and nothing else. Everything is settled by one seed and happens in paused time.

mod alarms;
mod answer;
mod cloudwatch;
mod connection;
mod dynamodb;
mod network;
mod objects;
mod panics;
mod queue;
mod rows;
mod s3;
mod serve;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig, retry::RetryConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::{
    rt::sleep::TokioSleep,
    time::{SharedTimeSource, TimeSource},
};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use sealane::{
    aws::{Aws, Connections as _, Limits},
    config::Config,
    ports::Clock,
    region::RegionName,
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::{
    alarms::Watchtower, connection::Wires, network::Link, objects::Buckets, queue::Queue, rows::Tables,
    serve::ApiHandlers,
};
pub use self::{
    alarms::{AlarmState, AlarmTransition},
    network::{Effect, Fault, FaultId, Network, Place, Service},
    objects::ObjectState,
    panics::{Panicked, words},
    queue::Message,
    rows::{Lag, WriteEvent},
    serve::ApiHandler,
};
use crate::{dice::Dice, trace::Trace};

/// Where simulated time starts, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_790_000_000_000;

/// The four regions of the demonstration, with every other setting at its default.
///
/// `extra` is laid over the document, one level deep.
///
/// # Panics
/// When `extra` makes it no valid configuration: the scenario is wrong.
#[expect(clippy::panic, reason = "a scenario with a wrong configuration cannot run")]
pub fn config(extra: &Value) -> Config {
    let region = |name: &str, role: &str, priority: u32, weight: u32| {
        let full = role == "full";
        let mut endpoints = json!({
            "dynamodb": format!("https://dynamodb.{name}.sim"),
            "s3": format!("https://s3.{name}.sim"),
            "cloudwatch": format!("https://monitoring.{name}.sim"),
        });
        let mut region = json!({"name": name, "role": role, "priority": priority, "weight": weight});
        if full {
            endpoints["api"] = json!(format!("https://api.{name}.sim"));
            region["bucket"] = json!(format!("sim-{name}"));
        }
        region["endpoints"] = endpoints;
        region
    };
    let mut document = json!({
        "primary_region": "us-west-2",
        "regions": [
            region("us-west-2", "full", 1, 50),
            region("us-east-1", "full", 2, 30),
            region("eu-west-1", "full", 3, 20),
            region("us-east-2", "witness", 4, 0),
        ],
        "control_regions": ["us-west-2", "us-east-1"],
        "api": {"open_tenant": "sim"},
        // The hosts of this cloud are none of AWS's.
        "security": {"allow_local_endpoints": true},
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
    match Config::read(Some(&document.to_string()), std::iter::empty()) {
        Ok(config) => config,
        Err(problems) => panic!("the simulator's configuration: {problems}"),
    }
}

/// The cloud; clones are the same cloud.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    config: Config,
    start: Instant,
    trace: Trace,
    network: Network,
    doors: BTreeMap<String, (RegionName, Service)>,
    skews: Mutex<BTreeMap<Place, i64>>,
    tables: Mutex<Tables>,
    buckets: Mutex<Buckets>,
    queues: Mutex<BTreeMap<RegionName, Queue>>,
    watchtower: Mutex<Watchtower>,
    apis: Mutex<ApiHandlers>,
    dice: Mutex<Dice>,
    panics: Mutex<Vec<Panicked>>,
    repeats: Mutex<u64>,
    lost_percent: Mutex<f64>,
    requests: Mutex<BTreeMap<Service, u64>>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("trace", &self.0.trace.hash()).finish_non_exhaustive()
    }
}

/// A lock that a panic elsewhere does not spoil: the test fails anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    /// An empty cloud with the regions of `config`. Called within a runtime whose time is paused.
    pub fn new(seed: u64, config: &Config) -> Self {
        Self::traced(seed, config, Trace::new())
    }

    /// The same, telling `trace` what happens.
    pub fn traced(seed: u64, config: &Config, trace: Trace) -> Self {
        let dice = Dice::new(seed);
        let names: Vec<RegionName> = config.regions.iter().map(|r| r.name).collect();
        let inner = Inner {
            start: Instant::now(),
            network: Network::new(&dice, names),
            doors: doors(config),
            skews: Mutex::default(),
            tables: Mutex::new(Tables::new(config, &dice)),
            buckets: Mutex::new(Buckets::new(config)),
            queues: Mutex::default(),
            watchtower: Mutex::new(Watchtower::new(config, &dice)),
            apis: Mutex::default(),
            panics: Mutex::default(),
            repeats: Mutex::default(),
            lost_percent: Mutex::default(),
            requests: Mutex::default(),
            dice: Mutex::new(dice.fork("services")),
            config: config.clone(),
            trace,
        };
        let cloud = Self(Arc::new(inner));
        let weak = Arc::downgrade(&cloud.0);
        cloud.0.network.watch(move |after| {
            if let Some(inner) = weak.upgrade() {
                Self(inner).replicate_around_a_change(after);
            }
        });
        cloud
    }

    /// The configuration that the cloud was built for.
    pub fn configuration(&self) -> &Config {
        &self.0.config
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// The clock of the machines at `at`.
    pub fn clock(&self, at: Place) -> SimClock {
        SimClock { cloud: self.clone(), at }
    }

    /// From now on the clocks at `at` are off by this many milliseconds.
    pub fn skew(&self, at: Place, by_ms: i64) {
        lock(&self.0.skews).insert(at, by_ms);
    }

    /// Clients whose requests leave from `from`, over connections of their own.
    pub fn aws(&self, from: Place) -> Aws {
        let credentials = Credentials::new("sim", "sim", None, None, "simulator");
        let home = match from {
            Place::Region(region) => region,
            Place::Client(_) => self.0.config.primary_region,
        };
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(SdkRegion::new(home.to_string()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(aws_sdk_s3::config::IdentityCache::no_cache())
            .sleep_impl(TokioSleep::new())
            .time_source(SharedTimeSource::new(self.clock(from)))
            .stalled_stream_protection(
                aws_config::stalled_stream_protection::StalledStreamProtectionConfig::disabled(),
            )
            .retry_config(RetryConfig::standard().with_use_static_exponential_base(true))
            .build();
        Aws::over(&sdk, Arc::new(Wires { cloud: self.clone(), from }))
    }

    /// Plain requests that leave from `from`, over connections of their own.
    pub fn connector(&self, from: Place, limits: Limits) -> SharedHttpConnector {
        Wires { cloud: self.clone(), from }.connector(limits, &self.configuration().security)
    }

    /// Latencies and faults.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// How many requests functions have sent to a service, in all regions.
    pub fn requests(&self, service: Service) -> u64 {
        lock(&self.0.requests).get(&service).copied().unwrap_or_default()
    }

    fn door(&self, host: &str) -> Option<(RegionName, Service)> {
        self.0.doors.get(host).copied()
    }

    /// One request's outcome in the trace.
    fn note(&self, link: &Link, operation: &str, key: &str, result: &str) {
        let Link { from, to, service } = link;
        let service = service.as_str();
        self.0.trace.note(self.now(), format_args!("{from} {to} {service} {operation} {key} {result}"));
    }
}

/// The hosts of every configured endpoint.
fn doors(config: &Config) -> BTreeMap<String, (RegionName, Service)> {
    let mut doors = BTreeMap::new();
    for region in &config.regions {
        let endpoints = &region.endpoints;
        let served = [
            (&endpoints.s3, Service::S3),
            (&endpoints.dynamodb, Service::DynamoDb),
            (&endpoints.cloudwatch, Service::CloudWatch),
            (&endpoints.api, Service::Api),
        ];
        for (url, service) in served {
            if let Some(url) = url {
                doors.insert(connection::host(url).to_owned(), (region.name, service));
            }
        }
    }
    doors
}

/// The clock of one place: simulated time, and the skew of that place.
#[derive(Debug, Clone)]
pub struct SimClock {
    cloud: Cloud,
    at: Place,
}

impl SimClock {
    fn now_ms(&self) -> u64 {
        let skew = lock(&self.cloud.0.skews).get(&self.at).copied().unwrap_or_default();
        let now = u64::try_from(self.cloud.now().as_millis()).unwrap_or(u64::MAX);
        EPOCH_MS.saturating_add(now).saturating_add_signed(skew)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms())
    }
}

impl TimeSource for SimClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.now_ms())
    }
}
