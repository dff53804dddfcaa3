//! Clients that register worksets through the nearest API that takes them.

use std::time::Duration;

use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use sealane::{aws::Limits, region::RegionName};
use serde_json::json;
use tokio::time::{interval, sleep};

use super::Stage;
use crate::{cloud::Place, measure::Acknowledged};

/// Whose worksets they are.
pub(super) const TENANT: &str = "lab";

/// Time between two registrations of one client.
const WRITE_EVERY: Duration = Duration::from_millis(2_500);

/// How long a client waits for one API.
const LIMITS: Limits =
    Limits { connect: Duration::from_secs(1), attempt: Duration::from_secs(4), attempts: 1 };

/// Registers one workset after another from `place`, until writing ends.
pub(super) async fn write(stage: Stage, place: Place, late: Duration) {
    let connector = stage.cloud.connector(place, LIMITS);
    let nearest = nearest(&stage, place);
    sleep(late).await;
    let mut ticks = interval(WRITE_EVERY);
    let mut count = 0;
    while stage.is_open() {
        ticks.tick().await;
        if !stage.is_on(place) || !stage.is_asked() {
            continue;
        }
        count += 1;
        register(&stage, &connector, &nearest, &format!("{place}-{count}")).await;
    }
}

/// The regions with an API, the client's own first.
pub(super) fn nearest(stage: &Stage, place: Place) -> Vec<RegionName> {
    let mut full: Vec<_> = stage.config.full_regions().map(|r| r.name).collect();
    full.sort_by_key(|name| Place::Region(*name) != place);
    full
}

/// Asks one API after the other until one says that the workset is registered.
async fn register(stage: &Stage, connector: &SharedHttpConnector, apis: &[RegionName], id: &str) {
    let sent = stage.cloud.now();
    for api in apis {
        let endpoint = stage.config.region(*api).and_then(|r| r.endpoints.api.as_deref());
        let Some(request) = endpoint.and_then(|endpoint| registration(endpoint, id)) else { continue };
        let Ok(answer) = connector.call(request).await else { continue };
        if !matches!(answer.status().as_u16(), 200 | 201) {
            continue;
        }
        // Where it was written is what the cloud knows; what counts here is that it was promised.
        let answered = stage.cloud.now();
        let region = stage.written_in(id).unwrap_or(*api);
        let id = id.to_owned();
        return stage.log.acknowledged.borrow_mut().push(Acknowledged { id, region, sent, answered });
    }
}

fn registration(endpoint: &str, id: &str) -> Option<HttpRequest> {
    let body = json!({"id": id, "bucket": "my-bucket", "prefix": "runs/"}).to_string();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").ok()?;
    request.set_uri(format!("{endpoint}/v1/worksets")).ok()?;
    request.headers_mut().insert("content-type", "application/json");
    request.headers_mut().insert("idempotency-key", id.to_owned());
    Some(request)
}
