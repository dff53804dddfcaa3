//! What the store says to a request that went the short way.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};

use super::super::errors::{Failure, by_code};

/// Longest answer that is read, in bytes: an error has a few hundred.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What the store says of bytes that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Took {
    pub(in super::super) version_id: Option<String>,
    pub(in super::super) etag: Option<String>,
}

/// The store answered, and not with success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store answered with status {status}{}", self.words())]
pub(in super::super) struct Answered {
    status: u16,
    code: Option<String>,
    message: Option<String>,
}

impl Answered {
    fn words(&self) -> String {
        let said = [&self.code, &self.message].into_iter().flatten();
        said.fold(String::new(), |words, word| format!("{words}: {word}"))
    }

    pub(super) fn failure(&self) -> Failure {
        by_code(self.code.as_deref(), self.status)
    }

    /// What an error document says, of which only two elements are looked at.
    fn of(status: u16, document: &str) -> Self {
        let element = |name: &str| {
            let (_, rest) = document.split_once(&format!("<{name}>"))?;
            let (text, _) = rest.split_once(&format!("</{name}>"))?;
            Some(text.to_owned())
        };
        Self { status, code: element("Code"), message: element("Message") }
    }
}

/// Reads an answer to its end, so that its connection can be used again.
pub(super) async fn read(reply: HttpResponse) -> Result<Took, Answered> {
    let status = reply.status();
    let word = |name: &str| reply.headers().get(name).map(str::to_owned);
    let took = Took { version_id: word("x-amz-version-id"), etag: word("etag") };
    let body = bounded(reply.into_body()).await;
    if status.is_success() {
        return Ok(took);
    }
    Err(Answered::of(status.as_u16(), &String::from_utf8_lossy(&body)))
}

/// The body as far as it comes; nothing of one that is longer than an answer may be.
async fn bounded(body: SdkBody) -> Vec<u8> {
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    read.map(|read| read.to_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_document_says_what_the_caller_may_do() {
        let document =
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
        let answered = Answered::of(503, document);
        assert_eq!(answered.failure(), Failure::Throttled);
        assert_eq!(answered.to_string(), "the store answered with status 503: SlowDown: Reduce your rate.");
        assert_eq!(Answered::of(404, "<Code>NoSuchUpload</Code>").failure(), Failure::Missing);
        assert_eq!(Answered::of(400, "<Code>BadDigest</Code>").failure(), Failure::Condition);
        assert_eq!(Answered::of(403, "").to_string(), "the store answered with status 403");
    }
}
