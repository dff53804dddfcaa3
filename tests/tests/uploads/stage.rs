//! The real API on tables in memory, behind HTTP, with the real adapter on three stores.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, UNIX_EPOCH},
};

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use sealane::{
    aws::{Aws, Https, Limits, S3Uploads, SystemClock},
    checksum::Checksum,
    config::Config,
    failover::Record,
    memory::{Cloud, MemoryRows},
    ports::{Attributes, Clock as _, Objects as _, Onto},
    region::RegionName,
    store::{ControlTable, HealthTable, LedgerTable, WorksetTable},
};
use serde_json::Value;
use tower::ServiceExt as _;
use workset_api::{Deps, router_with_uploads};

use super::{
    serve::{Answer, Asked, send, serve},
    store::{ACCESS_KEY, SECRET, Store},
};

/// What the caller shows to the gateway.
pub(crate) const CALLERS_TOKEN: &str = "a-token-of-the-caller";
/// What the API shows to the stores, besides its keys.
pub(crate) const SESSION_TOKEN: &str = "a token/of+a session";

const REGIONS: [&str; 3] = ["us-west-2", "us-east-1", "eu-west-1"];

/// Everything, on ports of loopback.
pub(crate) struct Stage {
    api: u16,
    stores: BTreeMap<&'static str, Store>,
    rows: MemoryRows,
}

/// Carries `work` out on this thread.
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// The API's credentials end after `lifetime`.
    pub(crate) fn with(lifetime: Option<Duration>) -> Self {
        let cloud = Cloud::default();
        let store = |region| {
            let bucket = cloud.bucket(&format!("bucket-{region}"));
            (region, Store::new(region, bucket))
        };
        let stores: BTreeMap<_, _> = REGIONS.into_iter().map(store).collect();
        let ports = stores.iter().map(|(region, store)| {
            let store = store.clone();
            (*region, serve(move |asked| wait(store.answer(asked))))
        });
        let config = config(&ports.collect());
        let rows = MemoryRows::default();
        let deps = wait(deps(&config, &rows));
        let router = router_with_uploads(deps, buckets(&config, lifetime));
        let api = serve(move |asked| wait(answer(router.clone(), asked)));
        Self { api, stores, rows }
    }

    /// Where the API is.
    pub(crate) fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// Calls the API with a key of its own, which has to go well.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (status, told) = self.call("POST", path, body);
        assert!((200..300).contains(&status), "{status} {told}");
        told
    }

    /// Calls the API, with a key that belongs to this very call.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let headers = BTreeMap::from([
            ("authorization".to_owned(), format!("Bearer {CALLERS_TOKEN}")),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("content-length".to_owned(), body.len().to_string()),
            ("idempotency-key".to_owned(), Checksum::of(format!("{path} {body}").as_bytes()).to_string()),
        ]);
        let (status, text) = send(method, &format!("{}{path}", self.api()), &headers, body.as_bytes());
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Every signature that the stores were sent.
    pub(crate) fn signatures(&self) -> Vec<String> {
        self.stores.values().flat_map(|store| store.signatures.lock().unwrap().clone()).collect()
    }

    /// Has all regions refuse every call, with all that they know of it, or not any more.
    pub(crate) fn doubt(&self, doubts: bool) {
        self.stores.values().for_each(|store| store.doubts.store(doubts, Ordering::SeqCst));
    }

    /// Has these regions refuse every part.
    pub(crate) fn refuse(&self, regions: &[&str]) {
        regions.iter().for_each(|region| self.stores[region].refuses.store(true, Ordering::SeqCst));
    }

    /// Sets the clocks of the stores ahead by `span`.
    pub(crate) fn pass(&self, span: Duration) {
        self.stores.values().for_each(|store| store.ahead_s.store(span.as_secs(), Ordering::SeqCst));
    }

    /// Has `region` join the parts of its one open upload, as a completion does of which nobody hears.
    pub(crate) fn complete_unheard(&self, region: &str) {
        let bucket = &self.stores[region].bucket;
        let [open] = wait(bucket.uploads("")).unwrap().try_into().unwrap();
        let parts = wait(bucket.parts(&open.key, &open.upload)).unwrap();
        wait(bucket.complete(&open.key, &open.upload, &parts, None, &Onto::Anything)).unwrap();
    }

    /// Somebody else puts another object at `key`.
    pub(crate) fn write_over(&self, region: &str, key: &str) {
        let attributes = Attributes::default();
        let put = self.stores[region].bucket.put(key, "newer".into(), Checksum::of(b"newer"), &attributes);
        wait(put).unwrap();
    }

    /// The checksum of a version of `key`.
    pub(crate) fn version(&self, region: &str, key: &str, version: &str) -> Option<Checksum> {
        wait(self.stores[region].bucket.head(key, Some(version))).unwrap()?.checksum
    }

    /// The checksum of the object `key` of `region`.
    pub(crate) fn holds(&self, region: &str, key: &str) -> Option<Checksum> {
        wait(self.stores[region].bucket.head(key, None)).unwrap()?.checksum
    }

    /// Uploads that were neither completed nor aborted, in all regions.
    pub(crate) fn unfinished(&self) -> usize {
        self.stores.values().map(|store| store.bucket.unfinished()).sum()
    }

    /// Every row of the worksets table, as text.
    pub(crate) fn rows(&self) -> String {
        self.rows.all().into_iter().map(|row| row.body).collect()
    }
}

fn config(ports: &BTreeMap<&str, u16>) -> Config {
    let region = |(name, port): (&&str, &u16)| {
        format!("{{name: {name}, bucket: bucket-{name}, endpoints: {{s3: 'http://127.0.0.1:{port}'}}}}")
    };
    let regions: Vec<_> = ports.iter().map(region).collect();
    let document = format!(
        "{{primary_region: us-west-2, control_regions: [us-west-2, us-east-1], api: {{open_tenant: lab}},
          security: {{allow_local_endpoints: true}}, regions: [{}, {{name: us-east-2, role: witness}}]}}",
        regions.join(", ")
    );
    Config::read(Some(&document), std::iter::empty()).unwrap()
}

async fn deps(config: &Config, rows: &MemoryRows) -> Deps<MemoryRows, SystemClock> {
    let home = config.primary_region;
    let control = ControlTable::new(vec![MemoryRows::default()]);
    control.swap(None, &Record::first(home, SystemClock.now())).await.unwrap();
    let full = || config.full_regions().map(|region| region.name);
    Deps {
        config: config.clone(),
        home,
        worksets: full().map(|name| (name, WorksetTable::new(rows.clone()))).collect(),
        ledger: full().map(|name| (name, LedgerTable::new(MemoryRows::default()))).collect(),
        health: vec![HealthTable::new(MemoryRows::default())],
        control,
        clock: SystemClock,
    }
}

fn buckets(config: &Config, lifetime: Option<Duration>) -> BTreeMap<RegionName, S3Uploads> {
    let now = Duration::from_millis(SystemClock.now().as_millis());
    let end = lifetime.map(|lifetime| UNIX_EPOCH + now + lifetime);
    let keys = Credentials::new(ACCESS_KEY, SECRET, Some(SESSION_TOKEN.to_owned()), end, "test");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(SdkRegion::new("us-west-2"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build();
    let aws = Aws::over(&sdk, Arc::new(Https));
    let limits = Limits::data(Duration::from_secs(20)).once();
    aws.uploads(config, limits)
}

async fn answer(router: Router, asked: Asked) -> Answer {
    let target = match asked.query.as_str() {
        "" => asked.path,
        query => format!("{}?{query}", asked.path),
    };
    let request = Request::builder().method(asked.method.as_str()).uri(target);
    let request = asked.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let reply = router.oneshot(request.body(Body::from(asked.body)).unwrap()).await.unwrap();
    let (parts, body) = reply.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    Answer { status: parts.status.as_u16(), headers: headers.collect(), body: body.to_vec() }
}
