//! The workset API of a region behind its gateway.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use sealane::{
    aws::{DynamoRows, Limits},
    region::{Region, RegionName},
    store::{HealthTable, LedgerTable, WorksetTable},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt as _;
use workset_api::{Deps, router};

use super::functions::Home;
use crate::{
    cloud::{ApiHandler, Cloud, Place, SimClock},
    lambda::{End, Fleet, Function},
};

/// As the API's main has it.
const LIMITS: Limits =
    Limits { connect: Duration::from_millis(800), attempt: Duration::from_secs(1), attempts: 2 };

/// The workset API of one region.
#[derive(Debug)]
pub(super) struct Api(pub(super) Home);

impl Function for Api {
    type Sandbox = Router;
    type Answer = Response<Bytes>;

    fn start(&self) -> Router {
        router(deps(&self.0))
    }

    async fn invoke<'a>(
        &'a self,
        sandbox: &'a mut Router,
        event: &'a Value,
    ) -> Result<Response<Bytes>, String> {
        let request =
            lambda_http::request::from_str(&event.to_string()).map_err(|error| error.to_string())?;
        let request = request.map(|body| Body::from(body.to_vec()));
        let (parts, body) = match sandbox.clone().oneshot(request).await {
            Ok(answer) => answer.into_parts(),
            Err(never) => match never {},
        };
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

/// The gateway of a region, which passes each request to a sandbox of `fleet`.
///
/// An invocation goes on when its caller has left, and a region without power answers nothing.
pub(super) fn gateway(cloud: &Cloud, region: RegionName, fleet: &Fleet<Api>) -> ApiHandler {
    let (passed, mut heard) = mpsc::unbounded_channel::<(Value, oneshot::Sender<Response<Bytes>>)>();
    let fleet = fleet.clone();
    cloud.spawn(format!("gateway/{region}"), async move {
        while let Some((event, reply)) = heard.recv().await {
            let at_work = fleet.clone();
            fleet.spawn(async move {
                if let Some(answer) = answer(at_work.ask(&event).await) {
                    // A caller that left does not mind.
                    let _ = reply.send(answer);
                }
            });
        }
    });
    let count = AtomicU64::new(0);
    Arc::new(move |request: Request<Bytes>| {
        let (reply, answer) = oneshot::channel();
        let id = format!("{region}-{}", count.fetch_add(1, Ordering::Relaxed));
        // Without a gateway there is no answer, which is what the caller then sees.
        let _ = passed.send((event(&request, &id), reply));
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer,
                Err(_) => pending().await,
            }
        })
    })
}

/// What the gateway makes of an invocation's end; `None`: nothing is heard any more.
fn answer(end: Option<End<Result<Response<Bytes>, String>>>) -> Option<Response<Bytes>> {
    let status = match end {
        Some(End::Returned(Ok(answer))) => return Some(answer),
        Some(End::PowerLost) => return None,
        Some(End::Returned(Err(_)) | End::Killed) => StatusCode::INTERNAL_SERVER_ERROR,
        Some(End::TimedOut) | None => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut refusal = Response::new(Bytes::new());
    *refusal.status_mut() = status;
    Some(refusal)
}

/// The request as the gateway passes it on, with the claims of the token that it has verified.
fn event(request: &Request<Bytes>, id: &str) -> Value {
    let uri = request.uri();
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers: BTreeMap<_, _> =
        request.headers().iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    json!({
        "version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000", "apiId": "a", "domainName": uri.host(),
            "authorizer": {"jwt": {"claims": {"tenant": super::writers::TENANT, "sub": "ada", "scope": "read write"}, "scopes": null}},
            "http": {"method": request.method().as_str(), "path": uri.path(), "protocol": "HTTP/1.1",
                     "sourceIp": "198.51.100.24", "userAgent": "simulator"},
            "requestId": id, "routeKey": "ANY /{proxy+}", "stage": "$default",
            "time": "20/Nov/2026:09:15:30 +0000", "timeEpoch": 1_795_166_130_512_u64,
        },
        "body": String::from_utf8_lossy(request.body()), "isBase64Encoded": false,
    })
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
    Deps {
        home: *here,
        worksets: config.workset_regions().map(worksets).collect(),
        ledger: config.full_regions().map(ledger).collect(),
        health: watched.into_iter().map(|r| HealthTable::new(rows(r, &tables.health, ""))).collect(),
        control: aws.control(config, *here, LIMITS),
        clock: cloud.clock(place),
        config: config.clone(),
    }
}
