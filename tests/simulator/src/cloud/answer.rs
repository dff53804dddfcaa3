//! What a service says, before it is a response.

use std::borrow::Cow;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{orchestrator::HttpResponse, result::ConnectorError},
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::network::Service;

/// Status, headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    #[must_use]
    pub(super) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The service asks to slow down; nothing was done.
    pub(super) fn throttled(service: Service) -> Self {
        let json = |code: &str| format!(r#"{{"__type":"{code}","message":"slow down"}}"#);
        match service {
            Service::DynamoDb => {
                Self { status: 400, ..Self::ok(json("com.amazon.coral.availability#ThrottlingException")) }
            }
            Service::S3 => Self {
                status: 503,
                ..Self::ok("<Error><Code>SlowDown</Code><Message>slow down</Message></Error>")
            },
            Service::CloudWatch | Service::Api => Self { status: 429, ..Self::ok(json("Throttling")) },
        }
    }

    pub(super) fn into_response(self) -> Result<HttpResponse, ConnectorError> {
        let unfit = |error: BoxError| ConnectorError::other(error, None);
        let status = StatusCode::try_from(self.status).map_err(|e| unfit(e.into()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(self.body));
        for (name, value) in self.headers {
            response.headers_mut().try_insert(name, value).map_err(|e| unfit(e.into()))?;
        }
        Ok(response)
    }
}
