//! The workset API of a region behind its gateway.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use sealane::{
    aws::{DynamoRows, Limits},
    region::Region,
    store::{ControlTable, HealthTable, LedgerTable, WorksetTable},
};
use serde_json::json;
use std::time::Duration;
use tower::ServiceExt as _;
use workset_api::{Deps, router};

use super::functions::Home;
use crate::cloud::{ApiHandler, Place, SimClock};

/// As the API's main has it.
const LIMITS: Limits =
    Limits { connect: Duration::from_millis(800), attempt: Duration::from_secs(1), attempts: 2 };

/// What answers the HTTPS requests of a region: a sandbox a request, used again when it is free.
pub(super) fn handler(home: &Home) -> ApiHandler {
    let (home, idle) = (home.clone(), Arc::new(Mutex::new(Vec::<Router>::new())));
    Arc::new(move |request: Request<Bytes>| {
        let (home, idle) = (home.clone(), Arc::clone(&idle));
        let answer: BoxFuture<'static, Response<Bytes>> = Box::pin(async move {
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let sandbox = free.unwrap_or_else(|| router(deps(&home)));
            let answer = ask(&sandbox, &request).await;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(sandbox);
            answer.unwrap_or_else(|| {
                let mut broken = Response::new(Bytes::new());
                *broken.status_mut() = StatusCode::BAD_GATEWAY;
                broken
            })
        });
        answer
    })
}

/// The request as the gateway passes it on, with the claims of the token that it has verified.
async fn ask(sandbox: &Router, request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let uri = request.uri();
    let event = json!({
        "version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": {"content-type": "application/json", "host": uri.host()},
        "requestContext": {
            "accountId": "000000000000", "apiId": "a", "domainName": uri.host(),
            "authorizer": {"jwt": {"claims": {"tenant": super::writers::TENANT, "sub": "ada"}, "scopes": null}},
            "http": {"method": request.method().as_str(), "path": uri.path(), "protocol": "HTTP/1.1",
                     "sourceIp": "198.51.100.24", "userAgent": "simulator"},
            "requestId": "simulated", "routeKey": "ANY /{proxy+}", "stage": "$default",
            "time": "20/Nov/2026:09:15:30 +0000", "timeEpoch": 1_795_166_130_512_u64,
        },
        "body": String::from_utf8_lossy(request.body()), "isBase64Encoded": false,
    });
    let request = lambda_http::request::from_str(&event.to_string()).ok()?;
    let answer = sandbox.clone().oneshot(request.map(|body| Body::from(body.to_vec()))).await.ok()?;
    let (parts, body) = answer.into_parts();
    Some(Response::from_parts(parts, body.collect().await.ok()?.to_bytes()))
}

/// As the API's main wires it.
fn deps(home: &Home) -> Deps<DynamoRows, SimClock> {
    let Home { cloud, config, here } = home;
    let (place, aws) = (Place::Region(*here), cloud.aws(Place::Region(*here)));
    let tables = &config.tables;
    let rows = |region: &Region, table: &str, index| aws.rows(region, table, index, LIMITS);
    let worksets = |r: &Region| (r.name, WorksetTable::new(rows(r, &tables.worksets, "by-state")));
    let ledger = |r: &Region| (r.name, LedgerTable::new(rows(r, &tables.ledger, "by-due")));
    let mut watched: Vec<_> = config.regions.iter().collect();
    watched.sort_by_key(|r| r.name != *here);
    let control = config.control_regions.iter().filter_map(|name| config.region(*name));
    Deps {
        home: *here,
        worksets: config.full_regions().map(worksets).collect(),
        ledger: config.full_regions().map(ledger).collect(),
        health: watched.into_iter().map(|r| HealthTable::new(rows(r, &tables.health, ""))).collect(),
        control: ControlTable::new(control.map(|r| rows(r, &tables.control, "")).collect()),
        clock: cloud.clock(place),
        config: config.clone(),
    }
}
