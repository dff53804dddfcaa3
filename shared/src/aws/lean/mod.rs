//! The short way for bytes: a request is signed and handed to the connection, and no more.
//!
//! The SDK takes several times as long for a request as signing and sending it does, and over
//! plain http it hashes the whole body for the signature. What carries bytes (`PutObject`,
//! `UploadPart`) or has the store move them by the thousand (`UploadPartCopy`) goes this way instead,
//! and so does what is [asked](ask) about uploads by a function that is to stay small;
//! everything else is asked through the SDK. A body that carries bytes is not
//! part of the signature: its CRC64NVME is, as a header, and the store compares that.

mod answer;
mod ask;
mod keys;
mod place;
mod signer;

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector},
    identity::Identity,
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

pub(super) use answer::{Answered, Copied, Took, bounded};
pub(super) use ask::{joined, query};
pub(super) use keys::Keys;
pub(super) use place::Place;

use super::errors::Failure;
use crate::{
    checksum::Checksum,
    ports::Silence,
    retry::RetryBudgets,
    units::ByteSize,
    upload::{backoff, wait_max},
};

const SUM: &str = "x-amz-checksum-crc64nvme";
/// Shortest and longest ceiling of the pause before a repeat, as the SDK's clients have them.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How requests name who sends them.
pub(super) const AGENT: &str = concat!("sealane/", env!("CARGO_PKG_VERSION"));

/// Why a request that went the short way came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The store answered, and not with success.
    #[error(transparent)]
    Answered(#[from] Answered),
    /// The connection broke, or there was none.
    #[error("the connection gave no answer")]
    Connection(#[from] ConnectorError),
    /// The answer ended before it said what became of the request.
    #[error("the answer ended early")]
    Cut,
    /// The time for one attempt is over.
    #[error("there was no answer in time")]
    Late,
    /// The credentials could not be fetched now; nothing was sent.
    #[error("there are no credentials to sign with")]
    NoKeys(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is no document that can be read.
    #[error("the answer cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Unsigned(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Unsigned(error.into())
    }
}

impl Fault {
    /// What the caller may do.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Answered(answered) => answered.failure(),
            Self::Connection(error) if error.is_timeout() => Failure::NoAnswer(Silence::Timeout),
            Self::Connection(_) | Self::Cut | Self::Unreadable(_) => Failure::NoAnswer(Silence::NoConnection),
            Self::Late => Failure::NoAnswer(Silence::Timeout),
            Self::NoKeys(_) => Failure::Throttled,
            Self::Unsigned(_) => Failure::Refused,
        }
    }
}

impl Fault {
    /// Whether the same request may go well if it is sent again.
    fn may_pass(&self) -> bool {
        match self.failure() {
            Failure::Throttled | Failure::NoAnswer(_) => true,
            Failure::Condition | Failure::Missing | Failure::Refused => false,
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
    /// Most attempts at what may be repeated.
    pub(super) attempts: u32,
    /// What repeats are paid from.
    pub(super) budgets: Arc<RetryBudgets>,
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
        let headers = headers.map(|(name, value)| (name.into(), value));
        let headers = headers.chain([(SUM.into(), checksum.to_string())]);
        let exchange = async {
            let identity = self.keys.identity().await?;
            let request = prepared(("PUT", self.place.url(key, query)), SdkBody::from(body), headers)?;
            let reply = self.call(request, &identity, SignableBody::UnsignedPayload)?.await?;
            answer::read(reply).await
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Fault::Late))
    }

    /// Has the store make a part of what `headers` name. What may pass is tried again, within the
    /// budget of repeats: a part that is copied twice is one part.
    pub(super) async fn copy_part(
        &self,
        key: &str,
        (upload, part): (&str, u32),
        headers: &[(&'static str, String)],
    ) -> Result<Copied, Fault> {
        let to = self.place.region;
        self.budgets.requested(to, self.keys.now());
        let tries = async {
            for attempt in 1.. {
                let fault = match self.try_part(key, (upload, part), headers).await {
                    Ok(copied) => return Ok(copied),
                    Err(fault) => fault,
                };
                let again = attempt < self.attempts && fault.may_pass();
                if !again || self.budgets.retry(to, self.keys.now()).is_err() {
                    return Err(fault);
                }
                tokio::time::sleep(backoff(attempt, PAUSE_MIN, PAUSE_MAX, u64::from(part))).await;
            }
            Err(Fault::Late)
        };
        tokio::time::timeout(self.limit * self.attempts.max(1), tries).await.unwrap_or(Err(Fault::Late))
    }

    async fn try_part(
        &self,
        key: &str,
        query: (&str, u32),
        headers: &[(&'static str, String)],
    ) -> Result<Copied, Fault> {
        let exchange = async {
            let identity = self.keys.identity().await?;
            let headers = headers.iter().map(|(name, value)| ((*name).into(), value.clone()));
            let request = prepared(("PUT", self.place.url(key, Some(query))), SdkBody::empty(), headers)?;
            let reply = self.call(request, &identity, SignableBody::Bytes(b""))?.await?;
            answer::read_copied(reply).await
        };
        tokio::time::timeout(self.limit, exchange).await.unwrap_or(Err(Fault::Late))
    }

    /// Signs and sends; whoever waits for the answer holds nothing of the request any more.
    fn call(
        &self,
        mut request: HttpRequest,
        identity: &Identity,
        body: SignableBody<'_>,
    ) -> Result<HttpConnectorFuture, Fault> {
        self.keys.sign(&mut request, identity, &self.place, body)?;
        Ok(self.connector.call(request))
    }
}

fn prepared(
    (method, url): (&'static str, String),
    body: SdkBody,
    headers: impl Iterator<Item = (Cow<'static, str>, String)>,
) -> Result<HttpRequest, HttpError> {
    let mut request = HttpRequest::new(body);
    request.set_method(method)?;
    request.set_uri(url)?;
    // An empty body gets no length of its own, and S3 refuses a put without one.
    if matches!(method, "PUT" | "POST") {
        let length = request.body().content_length().unwrap_or_default().to_string();
        request.headers_mut().try_insert("content-length", length)?;
    }
    let words = request.headers_mut();
    words.try_insert("user-agent", AGENT)?;
    for (name, value) in headers {
        words.try_insert(name, value)?;
    }
    Ok(request)
}
