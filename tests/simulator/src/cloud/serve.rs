//! A request at its service: the wait, the work, and the line in the trace.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use sealane::region::RegionName;
use tokio::time::sleep;

use super::{
    Cloud,
    answer::Answer,
    lock,
    network::{Link, Service},
};

/// What answers a region's HTTPS requests.
pub type ApiHandler =
    Arc<dyn Fn(http::Request<Bytes>) -> BoxFuture<'static, http::Response<Bytes>> + Send + Sync>;

/// The handlers by region.
#[derive(Default)]
pub(super) struct ApiHandlers(BTreeMap<RegionName, ApiHandler>);

impl fmt::Debug for ApiHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a service made of a request.
#[derive(Debug)]
pub(super) struct Served {
    /// What it was asked to do.
    pub(super) operation: &'static str,
    /// With what.
    pub(super) key: String,
    /// A word on how it went.
    pub(super) result: String,
    /// What it says; `None`: nothing, ever.
    pub(super) answer: Option<Answer>,
}

impl Cloud {
    /// Requests to the API of `region` go to `handler`.
    pub fn install_api(&self, region: RegionName, handler: ApiHandler) {
        lock(&self.0.apis).0.insert(region, handler);
    }

    /// Requests to the API of `region` find nobody.
    pub fn remove_api(&self, region: RegionName) {
        lock(&self.0.apis).0.remove(&region);
    }

    /// Carries out a request; `None` when there is no answer, ever.
    pub(super) async fn serve(&self, link: &Link, request: HttpRequest) -> Option<Answer> {
        let request = whole(request).await?;
        let ms = Duration::from_millis;
        let (least, most) = match link.service {
            Service::DynamoDb => (ms(2), ms(6)),
            Service::S3 => (ms(10), ms(30)),
            Service::CloudWatch => (ms(10), ms(40)),
            Service::Api => (ms(1), ms(3)),
        };
        let wait = lock(&self.0.dice).between(least, most);
        sleep(wait).await;
        let served = match link.service {
            Service::DynamoDb => self.serve_dynamodb(link, &request).await,
            Service::S3 => self.serve_s3(link, request).await,
            Service::CloudWatch => self.serve_cloudwatch(link, &request),
            Service::Api => self.serve_api(link, request).await,
        };
        self.note(link, served.operation, &served.key, &served.result);
        served.answer
    }

    async fn serve_api(&self, link: &Link, request: http::Request<Bytes>) -> Served {
        let handler = lock(&self.0.apis).0.get(&link.to).cloned();
        let key = format!("{} {}", request.method(), request.uri().path());
        let Some(handler) = handler else {
            let answer = Answer { status: 503, ..Answer::ok(r#"{"message":"Service Unavailable"}"#) };
            return Served { operation: "call", key, result: "503".to_owned(), answer: Some(answer) };
        };
        let (parts, body) = handler(request).await.into_parts();
        let mut answer = Answer { status: parts.status.as_u16(), ..Answer::ok(body) };
        if let Some(kind) = parts.headers.get("content-type").and_then(|v| v.to_str().ok()) {
            answer = answer.with("content-type", kind);
        }
        Served { operation: "call", key, result: answer.status.to_string(), answer: Some(answer) }
    }
}

/// Below this size a copy is cheaper than collecting frames, which copies nothing.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// The request with its body read; `None` when the body breaks off.
async fn whole(request: HttpRequest) -> Option<http::Request<Bytes>> {
    let (parts, body) = request.try_into_http1x().ok()?.into_parts();
    let body = match body.bytes() {
        Some(bytes) if bytes.len() < COPIED_BYTES_MAX => Bytes::copy_from_slice(bytes),
        Some(_) | None => body.collect().await.ok()?.to_bytes(),
    };
    Some(http::Request::from_parts(parts, body))
}
