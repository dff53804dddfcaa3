//! Asks a region's API whether it lives.

use std::{collections::BTreeMap, fmt};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use serde::Deserialize;

use crate::{
    ports::{ApiError, Apis, Silence},
    region::{Region, RegionName},
};

/// Longest answer that is read, in bytes: an honest one has about a hundred.
const ANSWER_BYTES_MAX: usize = 4096;

/// The APIs of the configured regions, over one pool of connections.
pub struct HttpApis {
    connector: SharedHttpConnector,
    endpoints: BTreeMap<RegionName, String>,
}

/// What a live API says.
#[derive(Deserialize)]
struct Live {
    region: RegionName,
}

impl fmt::Debug for HttpApis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApis").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl HttpApis {
    /// The APIs of `regions` over `connector`.
    pub(super) fn new(connector: SharedHttpConnector, regions: &[Region]) -> Self {
        let endpoint = |r: &Region| Some((r.name, r.endpoints.api.clone()?));
        Self { connector, endpoints: regions.iter().filter_map(endpoint).collect() }
    }
}

impl Apis for HttpApis {
    async fn live(&self, region: RegionName) -> Result<(), ApiError> {
        let endpoint = self.endpoints.get(&region).ok_or(ApiError::NoEndpoint { region })?;
        let mut request = HttpRequest::new(SdkBody::empty());
        // No redirect is followed: an answer counts only from where the configuration points.
        request
            .set_uri(format!("{}/v1/live", endpoint.trim_end_matches('/')))
            .map_err(|_| ApiError::NoEndpoint { region })?;
        let unanswered = |e: ConnectorError| ApiError::NoAnswer { region, how: silence(&e) };
        let answer = self.connector.call(request).await.map_err(unanswered)?;
        let status = answer.status().as_u16();
        let wrong = || ApiError::WrongAnswer { region, status };
        if status >= 500 {
            return Err(ApiError::NoAnswer { region, how: Silence::ServerError(status) });
        }
        let body = bounded(answer.into_body()).await.ok_or_else(wrong)?;
        let live: Live = serde_json::from_slice(&body).map_err(|_| wrong())?;
        if status == 200 && live.region == region { Ok(()) } else { Err(wrong()) }
    }
}

fn silence(error: &ConnectorError) -> Silence {
    if error.is_timeout() { Silence::Timeout } else { Silence::NoConnection }
}

/// The body, unless it breaks off or is longer than it may be.
async fn bounded(body: SdkBody) -> Option<Vec<u8>> {
    use http_body_util::{BodyExt as _, Limited};
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await.ok()?;
    Some(read.to_bytes().to_vec())
}
