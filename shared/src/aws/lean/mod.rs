//! The short way for bytes: a request is signed and handed to the connection, and no more.
//!
//! The SDK takes several times as long for a request as signing and sending it does, and over
//! plain http it hashes the whole body for the signature. What carries bytes (`PutObject`,
//! `UploadPart`) goes this way instead; everything else is asked through the SDK. The body is not
//! part of the signature: its CRC64NVME is, as a header, and the store compares that.

mod answer;
mod keys;
mod place;

use std::{fmt, sync::Arc, time::Duration};

use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

pub(super) use answer::{Answered, Took};
pub(super) use keys::Keys;
pub(super) use place::Place;

use super::errors::Failure;
use crate::{checksum::Checksum, ports::Silence, units::ByteSize, upload::wait_max};

const SUM: &str = "x-amz-checksum-crc64nvme";
const AGENT: &str = concat!("sealane/", env!("CARGO_PKG_VERSION"));

/// Why a request that went the short way came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The store answered, and not with success.
    #[error(transparent)]
    Answered(#[from] Answered),
    /// The connection broke, or there was none.
    #[error("the connection gave no answer")]
    Connection(#[from] ConnectorError),
    /// The time for one attempt is over.
    #[error("there was no answer in time")]
    Late,
    /// The credentials could not be fetched now; nothing was sent.
    #[error("there are no credentials to sign with")]
    NoKeys(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Unsigned(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    /// What the caller may do.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Answered(answered) => answered.failure(),
            Self::Connection(error) if error.is_timeout() => Failure::NoAnswer(Silence::Timeout),
            Self::Connection(_) => Failure::NoAnswer(Silence::NoConnection),
            Self::Late => Failure::NoAnswer(Silence::Timeout),
            Self::NoKeys(_) => Failure::Throttled,
            Self::Unsigned(_) => Failure::Refused,
        }
    }
}

/// The short way into one bucket.
#[derive(Clone)]
pub(super) struct Lean {
    pub(super) place: Place,
    pub(super) keys: Arc<Keys>,
    pub(super) connector: SharedHttpConnector,
    /// Longest wait for one attempt; a large body is given more.
    pub(super) limit: Duration,
}

impl fmt::Debug for Lean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lean").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Lean {
    /// Puts `body` at `key`, with `query` for a part; `headers` come besides those of every request.
    pub(super) async fn put(
        &self,
        key: &str,
        query: Option<(&str, u32)>,
        headers: impl Iterator<Item = (String, String)>,
        (body, checksum): (Bytes, Checksum),
    ) -> Result<Took, Fault> {
        let limit = wait_max(self.limit, ByteSize(body.len() as u64));
        let mut request = HttpRequest::new(SdkBody::from(body));
        let ready = self.prepare(&mut request, key, query, headers, checksum);
        ready.map_err(|error| Fault::Unsigned(error.into()))?;
        let exchange = async {
            self.keys.sign(&mut request, &self.place, SignableBody::UnsignedPayload).await?;
            let reply = self.connector.call(request).await?;
            Ok(answer::read(reply).await?)
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Fault::Late))
    }

    fn prepare(
        &self,
        request: &mut HttpRequest,
        key: &str,
        query: Option<(&str, u32)>,
        headers: impl Iterator<Item = (String, String)>,
        checksum: Checksum,
    ) -> Result<(), aws_smithy_runtime_api::http::HttpError> {
        request.set_method("PUT")?;
        request.set_uri(self.place.url(key, query))?;
        // An empty body gets no length of its own, and S3 refuses a put without one.
        let length = request.body().content_length().unwrap_or_default().to_string();
        let words = request.headers_mut();
        words.try_insert("content-length", length)?;
        words.try_insert("user-agent", AGENT)?;
        words.try_insert(SUM, checksum.to_string())?;
        for (name, value) in headers {
            words.try_insert(name, value)?;
        }
        Ok(())
    }
}
