//! What the store says to a request that went the short way.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};

use super::{
    super::errors::{Failure, by_code},
    Fault,
};
use crate::checksum::Checksum;

/// Longest answer that is read, in bytes: an error has a few hundred.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What the store says of bytes that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Took {
    pub(in super::super) version_id: Option<String>,
    pub(in super::super) etag: Option<String>,
}

/// A part that the store made of a range of another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Copied {
    pub(in super::super) etag: String,
    pub(in super::super) checksum: Option<Checksum>,
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

    /// The HTTP status.
    pub(in super::super) const fn status(&self) -> u16 {
        self.status
    }

    /// What an error document says, of which only two elements are looked at.
    pub(super) fn of(status: u16, document: &str) -> Self {
        let text = |name| element(document, name).map(str::to_owned);
        Self { status, code: text("Code"), message: text("Message") }
    }
}

/// The text of the first element of this name.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Reads an answer to its end, so that its connection can be used again. One that breaks off
/// before its end says nothing, however well it began.
pub(super) async fn read(reply: HttpResponse) -> Result<Took, Fault> {
    let status = reply.status();
    let word = |name: &str| reply.headers().get(name).map(str::to_owned);
    let took = Took { version_id: word("x-amz-version-id"), etag: word("etag") };
    if status.is_success() {
        return whole(reply.into_body(), ANSWER_BYTES_MAX).await.map(|_| took);
    }
    let body = bounded(reply.into_body()).await;
    Err(Answered::of(status.as_u16(), &String::from_utf8_lossy(&body)).into())
}

/// Reads the answer to a copy. The store says that it began at once, and how it ended only in the
/// body: an error may come with status 200, and a body without an end is no answer.
pub(super) async fn read_copied(reply: HttpResponse) -> Result<Copied, Fault> {
    let status = reply.status();
    let body = bounded(reply.into_body()).await;
    copied(status.is_success(), status.as_u16(), &String::from_utf8_lossy(&body))
}

fn copied(well: bool, status: u16, document: &str) -> Result<Copied, Fault> {
    if !well || document.contains("<Error>") {
        return Err(Answered::of(status, document).into());
    }
    if !document.trim_end().ends_with("</CopyPartResult>") {
        return Err(Fault::Cut);
    }
    let etag = element(document, "ETag").ok_or(Fault::Cut)?;
    let etag = etag.replace("&quot;", "\"").replace("&#34;", "\"");
    let checksum = element(document, "ChecksumCRC64NVME").and_then(|sum| sum.parse().ok());
    Ok(Copied { etag, checksum })
}

/// The body as far as it comes; nothing of one that is longer than an answer may be.
pub(in super::super) async fn bounded(body: SdkBody) -> Vec<u8> {
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    read.map(|read| read.to_bytes().to_vec()).unwrap_or_default()
}

/// The body to its end, of `most` bytes.
pub(super) async fn whole(body: SdkBody, most: usize) -> Result<String, Fault> {
    let read = Limited::new(body, most).collect().await.map_err(|_| Fault::Cut)?;
    Ok(String::from_utf8_lossy(&read.to_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;
    use crate::ports::Silence;

    /// An answer of this status, whose body breaks off after `len` bytes.
    fn cut(status: u16, len: usize) -> HttpResponse {
        let body = Limited::new(Full::new(Bytes::from_static(b"<Error><Code>SlowDown")), len);
        HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from_body_1_x(body))
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_no_answer_however_well_it_began() {
        let failure = async |status| read(cut(status, 3)).await.unwrap_err().failure();
        assert_eq!(failure(200).await, Failure::NoAnswer(Silence::NoConnection));
        assert_eq!(failure(503).await, Failure::Throttled, "a refusal is one without its words, too");
        let copied = read_copied(cut(200, 3)).await.unwrap_err();
        assert_eq!(copied.failure(), Failure::NoAnswer(Silence::NoConnection));
        let took = read(HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::empty())).await;
        assert_eq!(took.unwrap(), Took { version_id: None, etag: None });
    }

    #[test]
    fn a_copy_is_made_when_its_body_says_so() {
        let sum = Checksum::of(b"part");
        let made = format!(
            "<?xml version=\"1.0\"?>\n <CopyPartResult><ETag>&quot;e-1&quot;</ETag>\
             <ChecksumCRC64NVME>{sum}</ChecksumCRC64NVME></CopyPartResult>"
        );
        let copy = Copied { etag: "\"e-1\"".to_owned(), checksum: Some(sum) };
        assert_eq!(copied(true, 200, &made).unwrap(), copy);
        let failure = |document: &str| copied(true, 200, document).unwrap_err().failure();
        assert_eq!(
            failure("  <Error><Code>InternalError</Code></Error>"),
            Failure::NoAnswer(Silence::ServerError(500))
        );
        assert_eq!(failure("<Error><Code>SlowDown</Code></Error>"), Failure::Throttled);
        assert_eq!(failure("<Error><Code>NoSuchKey</Code></Error>"), Failure::Missing);
        for cut in
            ["", "   ", "<CopyPartResult>", &made[..made.len() - 1], "<CopyPartResult></CopyPartResult>"]
        {
            assert_eq!(failure(cut), Failure::NoAnswer(Silence::NoConnection), "{cut}");
        }
        let refused = copied(false, 412, "<Error><Code>PreconditionFailed</Code></Error>");
        assert_eq!(refused.unwrap_err().failure(), Failure::Condition);
    }

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
