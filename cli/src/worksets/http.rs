//! The APIs over HTTPS.

use std::{collections::BTreeMap, fmt, time::Duration};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector as _, HttpConnectorSettings},
        orchestrator::HttpRequest,
        result::ConnectorError,
    },
    http::HttpError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};
use sealane::{
    ports::Silence,
    region::{Region, RegionName},
};
use serde_json::Value;

use super::{
    api::{Answer, Api, Call, Lost},
    fault::ApiFault,
};

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Longest wait for an answer, its body included: more than the 29 s of the gateway's own
/// limit would gain nothing, and a cold function answers well within this.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Longest answer that is read: a page of worksets, each with its two documents.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The APIs of the configured regions, over one pool of connections.
pub(super) struct HttpApi {
    connector: Connector,
    endpoints: BTreeMap<RegionName, String>,
    token: Option<String>,
}

impl fmt::Debug for HttpApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApi").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl HttpApi {
    /// Clients for the regions that have an endpoint.
    pub(super) fn new(regions: &[Region], token: Option<String>) -> Result<Self, ApiFault> {
        let token = token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(ApiFault::Token);
        }
        let endpoint = |r: &Region| Some((r.name, r.endpoints.api.clone()?));
        let endpoints: BTreeMap<_, _> = regions.iter().filter_map(endpoint).collect();
        if endpoints.is_empty() {
            return Err(ApiFault::Nowhere);
        }
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_MAX).read_timeout(ANSWER_MAX);
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .connector_settings(settings.build())
            .build();
        Ok(Self { connector, endpoints, token })
    }

    /// Whether the region has an API to ask.
    pub(super) fn serves(&self, region: RegionName) -> bool {
        self.endpoints.contains_key(&region)
    }

    fn request(&self, endpoint: &str, call: &Call) -> Result<HttpRequest, HttpError> {
        let body = call.write.as_ref().map(|write| write.body.to_string());
        let mut request = HttpRequest::new(body.map_or_else(SdkBody::empty, SdkBody::from));
        request.set_uri(format!("{}{}", endpoint.trim_end_matches('/'), call.path))?;
        if let Some(write) = &call.write {
            request.set_method(write.method.as_str())?;
            if let Some(tag) = &write.if_match {
                request.headers_mut().insert("if-match", tag.clone());
            }
            request.headers_mut().insert("content-type", "application/json");
            request.headers_mut().insert("idempotency-key", write.idempotency_key.clone());
        }
        if let Some(token) = &self.token {
            request.headers_mut().insert("authorization", format!("Bearer {token}"));
        }
        Ok(request)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<Answer, Lost> {
        let silence = |e: ConnectorError| {
            if e.is_timeout() { Silence::Timeout } else { Silence::NoConnection }
        };
        let reply = self.connector.call(request).await.map_err(silence)?;
        let status = reply.status().as_u16();
        let retry_after = reply.headers().get("retry-after").and_then(|text| text.parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let body = Limited::new(reply.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| Silence::NoConnection)?.to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        let answer = Answer { status, body, retry_after };
        if status >= 500 {
            return Err(Lost { how: Silence::ServerError(status), said: Some(answer.detail()) });
        }
        Ok(answer)
    }
}

impl Api for HttpApi {
    async fn call(&self, region: RegionName, call: &Call) -> Result<Answer, Lost> {
        let endpoint = self.endpoints.get(&region).ok_or(Silence::NoConnection)?;
        let request = self.request(endpoint, call).map_err(|_| Silence::NoConnection)?;
        tokio::time::timeout(ANSWER_MAX, self.exchange(request)).await.unwrap_or(Err(Silence::Timeout.into()))
    }
}
