//! Three regions and a witness, and calls as they come from the gateway.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use sealane::{
    config::Config,
    failover::{Phase, Record},
    memory::{Cloud, ManualClock, MemoryRows},
    ports::{Clock, Rows},
    region::RegionName,
    store::{ControlTable, HealthTable, LedgerTable, WorksetTable},
    time::Timestamp,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use workset_api::{Deps, router_with_uploads};

use super::buckets::{Trouble, buckets};

pub(crate) const WEST: &str = "us-west-2";
pub(crate) const EAST: &str = "us-east-1";
pub(crate) const EU: &str = "eu-west-1";

/// Every call has an id of its own, as the gateway sees to.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

pub(crate) const DOCUMENT: &str =
    "{primary_region: us-west-2, control_regions: [us-west-2, us-east-1], api: {cache_ttl: 0s, rate_burst: 100000},
    regions: [{name: us-west-2, bucket: bucket-west, endpoints: {api: 'https://west.example'}},
              {name: us-east-1, bucket: bucket-east, endpoints: {api: 'https://east.example'}},
              {name: eu-west-1, bucket: bucket-eu, endpoints: {api: 'https://eu.example'}},
              {name: us-east-2, role: witness}]}";

#[derive(Clone, Default)]
pub(crate) struct SharedClock(Arc<ManualClock>);

impl SharedClock {
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.set(at);
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// The API of us-west-2, and every door to its tables.
pub(crate) struct World {
    /// The API of us-east-1, on the same tables.
    pub(crate) east: Router,
    /// The API of eu-west-1, likewise.
    pub(crate) europe: Router,
    pub(crate) worksets: BTreeMap<&'static str, MemoryRows>,
    pub(crate) ledger: BTreeMap<&'static str, MemoryRows>,
    pub(crate) health: MemoryRows,
    pub(crate) control: MemoryRows,
    pub(crate) router: Router,
    /// The buckets that uploads go to, and what ails each.
    pub(crate) cloud: Cloud,
    pub(crate) troubles: BTreeMap<RegionName, Trouble>,
    clock: SharedClock,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a whole problem of that name, and gives its detail.
    pub(crate) fn problem(&self, status: u16, name: &str) -> String {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["type"].as_str()),
            (status, Some(&*format!("/problems/{name}"))),
            "{body}"
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(!body["title"].as_str().unwrap().is_empty());
        if status == 503 {
            assert!(!self.header("retry-after").is_empty());
        }
        body["detail"].as_str().unwrap().to_owned()
    }
}

impl World {
    /// Every table answers, and us-west-2 takes the writes.
    pub(crate) async fn steady() -> Self {
        let world = Self::new("");
        world.record(Phase::Steady).await;
        world
    }

    /// Nobody has decided anything.
    pub(crate) fn new(open_tenant: &str) -> Self {
        Self::with(&[("SEALANE_API_OPEN_TENANT", open_tenant)])
    }

    /// Nobody has decided anything. `settings` go over the document.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        Self::of(DOCUMENT, settings)
    }

    /// The same by another document.
    pub(crate) fn of(document: &str, settings: &[(&str, &str)]) -> Self {
        let variables = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::read(Some(document), variables).unwrap();
        let cloud = Cloud::default();
        let troubles: BTreeMap<_, _> = config.full_regions().map(|r| (r.name, Trouble::default())).collect();
        let doors = |rows: MemoryRows| BTreeMap::from([WEST, EAST, EU].map(|name| (name, rows.replica())));
        let (worksets, ledger) = (doors(MemoryRows::default()), doors(MemoryRows::default()));
        let (health, control, clock) = (MemoryRows::default(), MemoryRows::default(), SharedClock::default());
        let name = |text: &str| text.parse::<RegionName>().unwrap();
        let api = |home: &str| {
            let deps = Deps {
                config: config.clone(),
                home: name(home),
                worksets: config
                    .workset_regions()
                    .map(|r| (r.name, WorksetTable::new(worksets[r.name.as_str()].clone())))
                    .collect(),
                ledger: ledger.iter().map(|(r, d)| (name(r), LedgerTable::new(d.clone()))).collect(),
                health: vec![HealthTable::new(health.clone())],
                control: ControlTable::new(vec![control.clone()]),
                clock: clock.clone(),
            };
            router_with_uploads(deps, buckets(&config, &cloud, &troubles))
        };
        let (router, east, europe) = (api(WEST), api(EAST), api(EU));
        let world = Self { east, europe, worksets, ledger, health, control, router, cloud, troubles, clock };
        world.at(1_795_166_130_512);
        world
    }

    pub(crate) fn at(&self, ms: u64) {
        self.clock.set(Timestamp::from_millis(ms));
    }

    /// Writes the next record, in `phase`.
    pub(crate) async fn record(&self, phase: Phase) {
        let table = ControlTable::new(vec![self.control.replica()]);
        let old = table.record().await.unwrap();
        let first = Record::first(WEST.parse().unwrap(), self.clock.now());
        let version = old.as_ref().map_or(1, |old| old.version + 1);
        table.swap(old.as_ref(), &Record { version, phase, ..first }).await.unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        self.send_to(&self.router, request).await
    }

    pub(crate) async fn send_to(&self, router: &Router, request: Request<Body>) -> Reply {
        sent(router.clone(), request).await
    }

    /// Calls as a token bearer of `tenant` that may do everything.
    pub(crate) async fn call(&self, tenant: &str, method: &str, target: &str, body: Value) -> Reply {
        self.send(called(token(tenant), method, target, &body.to_string())).await
    }

    /// Calls with headers of its own.
    pub(crate) async fn with_headers(
        &self,
        method: &str,
        target: &str,
        body: Value,
        headers: &[(&'static str, &str)],
    ) -> Reply {
        let mut request = called(token("lab"), method, target, &body.to_string());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        self.send(request).await
    }

    /// Calls with this idempotency key.
    pub(crate) async fn keyed(&self, key: &str, target: &str, body: Value) -> Reply {
        self.with_headers("POST", target, body, &[("idempotency-key", key)]).await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.call("lab", "GET", target, Value::Null).await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Reply {
        self.call("lab", "POST", target, body).await
    }

    pub(crate) async fn register(&self, id: &str) -> Reply {
        self.post("/v1/worksets", json!({"id": id, "bucket": "my-bucket", "prefix": "p/"})).await
    }
}

/// What `router` replies.
pub(crate) async fn sent(router: Router, request: Request<Body>) -> Reply {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    assert!(!parts.headers["x-request-id"].is_empty() && !parts.headers["sealane-served-by"].is_empty());
    Reply { status: parts.status, headers: parts.headers, text }
}

/// What the API of us-west-2 works on that reaches its own replicas alone: of worksets, ledger, health and control.
pub(crate) fn deps<R: Rows>(
    config: &Config,
    [worksets, ledger, health, control]: [R; 4],
    clock: &SharedClock,
) -> Deps<R, SharedClock> {
    let home = WEST.parse::<RegionName>().unwrap();
    Deps {
        config: config.clone(),
        home,
        worksets: BTreeMap::from([(home, WorksetTable::new(worksets))]),
        ledger: BTreeMap::from([(home, LedgerTable::new(ledger))]),
        health: vec![HealthTable::new(health)],
        control: ControlTable::new(vec![control]),
        clock: clock.clone(),
    }
}

/// A token of `tenant` with every scope.
pub(crate) fn token(tenant: &str) -> Option<Value> {
    scoped(tenant, "read write operate")
}

/// A token of `tenant` with these scopes.
pub(crate) fn scoped(tenant: &str, scopes: &str) -> Option<Value> {
    Some(json!({"jwt": {"claims": {"tenant": tenant, "sub": "ada", "scope": scopes}, "scopes": null}}))
}

/// The request that the gateway makes of such a call, with a key of its own if it writes.
pub(crate) fn called(authorizer: Option<Value>, method: &str, target: &str, body: &str) -> Request<Body> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let mut headers = json!({"content-type": "application/json", "host": "api.example"});
    if method == "POST" {
        headers["idempotency-key"] = json!(format!("key-{number}"));
    }
    let event = json!({
        "version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": path, "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000", "apiId": "a", "authorizer": authorizer, "domainName": "api.example",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.24",
                     "userAgent": "test"},
            "requestId": format!("request-{number}"), "routeKey": "ANY /{proxy+}", "stage": "$default",
            "time": "20/Nov/2026:09:15:30 +0000", "timeEpoch": 1_795_166_130_512_u64,
        },
        "body": body, "isBase64Encoded": false,
    });
    from_event(&event.to_string())
}

pub(crate) fn from_event(event: &str) -> Request<Body> {
    lambda_http::request::from_str(event).unwrap().map(|body| Body::from(body.to_vec()))
}
