//! The API on its tables, and calls as the gateway passes them on.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use axum::{Router, body::Body};
use sealane::{
    aws::{Aws, Limits, SystemClock},
    config::Config,
    failover::Record,
    region::Region,
    store::{HealthTable, LedgerTable, WorksetTable},
    time::Timestamp,
};
use serde_json::{Value, json};
use workset_api::{Deps, router as api};

use crate::{Failed, http::Request, tables::Tables};

const DOCUMENT: &str = "{primary_region: us-west-2, control_regions: [us-west-2],
    api: {cache_ttl: 5s, rate_limit: 1000, rate_burst: 100000},
    regions: [{name: us-west-2, bucket: bucket-west}, {name: us-east-1, bucket: bucket-east},
              {name: us-east-2, role: witness}]}";

/// The API of the primary region, on `tables`.
pub(crate) async fn router(tables: &Tables) -> Result<Router, Failed> {
    let config = Config::read(Some(DOCUMENT), std::iter::empty())?;
    let home = config.primary_region;
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(SdkRegion::new(home.to_string()))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "bench", "bench", None, None, "bench",
        )))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard())
        .build();
    let aws = Aws::over(&sdk, std::sync::Arc::new(tables.clone()));
    let rows = |region: &Region, table: &str, index| aws.rows(region, table, index, Limits::CALL);
    let named = &config.tables;
    let deps = Deps {
        home,
        worksets: config
            .full_regions()
            .map(|r| (r.name, WorksetTable::new(rows(r, &named.worksets, "by-state"))))
            .collect::<BTreeMap<_, _>>(),
        ledger: config
            .full_regions()
            .map(|r| (r.name, LedgerTable::new(rows(r, &named.ledger, "by-due"))))
            .collect(),
        health: config.regions.iter().map(|r| HealthTable::new(rows(r, &named.health, ""))).collect(),
        control: aws.control(&config, home, Limits::CALL),
        clock: SystemClock,
        config: config.clone(),
    };
    deps.control.swap(None, &Record::first(home, Timestamp::default())).await?;
    Ok(api(deps))
}

/// A read.
pub(crate) fn get(target: &str) -> Result<Request, Failed> {
    called("GET", target, "")
}

/// A write, with a key of its own.
pub(crate) fn post(target: &str, body: &Value) -> Result<Request, Failed> {
    called("POST", target, &body.to_string())
}

fn called(method: &str, target: &str, body: &str) -> Result<Request, Failed> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let claims = json!({ "tenant": "lab", "sub": "ada", "scope": "read write operate" });
    let event = json!({
        "version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": path, "rawQueryString": query,
        "headers": {
            "content-type": "application/json", "host": "api.example", "idempotency-key": format!("key-{number}"),
        },
        "requestContext": {
            "accountId": "000000000000", "apiId": "a", "authorizer": { "jwt": { "claims": claims, "scopes": null } },
            "domainName": "api.example",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.24",
                      "userAgent": "bench" },
            "requestId": format!("request-{number}"), "routeKey": "ANY /{proxy+}", "stage": "$default",
            "time": "20/Nov/2026:09:15:30 +0000", "timeEpoch": 1_795_166_130_512_u64,
        },
        "body": body, "isBase64Encoded": false,
    });
    Ok(lambda_http::request::from_str(&event.to_string())?.map(|body| Body::from(body.to_vec())))
}
