//! A store that speaks S3 as far as an upload does, and checks by itself what a signed URL is good for.
//!
//! The signature is computed here from the definition of AWS Signature Version 4, and not with the crate
//! that signs: of two mistakes that agree nobody would hear.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use percent_encoding::percent_decode_str;
use sealane::{
    memory::MemoryObjects,
    ports::{Attributes, ListedVersion, Objects as _, ObjectsError, Onto, Part},
};
use sha2::{Digest as _, Sha256};

use super::serve::{Answer, Asked};

pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "a-secret-of-the-test";
const SUM: &str = "x-amz-checksum-crc64nvme";

/// One region's store.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) region: &'static str,
    pub(crate) bucket: MemoryObjects,
    /// Whether parts are answered with a server error.
    pub(crate) refuses: Arc<AtomicBool>,
    /// Whether every call is refused for its signature.
    pub(crate) doubts: Arc<AtomicBool>,
    /// The signatures of calls, as they came.
    pub(crate) signatures: Arc<Mutex<Vec<String>>>,
    /// Seconds by which its clock is ahead.
    pub(crate) ahead_s: Arc<AtomicU64>,
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn error(status: u16, code: &str) -> Answer {
    Answer::new(status, format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))
        .with("content-type", "application/xml")
}

fn xml(text: String) -> Answer {
    Answer::new(200, text).with("content-type", "application/xml")
}

/// What S3 says of a signature that it does not take: with the signature, and all that it was made of.
fn doubted(signature: &str) -> Answer {
    let told = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match.</Message>\
         <AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256</StringToSign>\
         <SignatureProvided>{signature}</SignatureProvided></Error>"
    );
    Answer::new(403, told).with("content-type", "application/xml")
}

impl Store {
    pub(crate) fn new(region: &'static str, bucket: MemoryObjects) -> Self {
        let (refuses, doubts, signatures) = (Arc::default(), Arc::default(), Arc::default());
        Self { region, bucket, refuses, doubts, signatures, ahead_s: Arc::default() }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, asked: Asked) -> Answer {
        if let Some((_, signature)) =
            asked.headers.get("authorization").and_then(|a| a.split_once("Signature="))
        {
            self.signatures.lock().unwrap().push(signature.to_owned());
            if self.doubts.load(Ordering::SeqCst) {
                return doubted(signature);
            }
        }
        let query: BTreeMap<String, String> = asked
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let key = decoded(asked.path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key));
        let upload = query.get("uploadId").map(String::as_str);
        let done = match (asked.method.as_str(), upload) {
            ("POST", None) => self.begin(&asked, &key).await,
            ("PUT", Some(upload)) => self.put(&asked, &query, &key, upload).await,
            ("GET", Some(upload)) => self.list(&key, upload, query.get("part-number-marker")).await,
            ("POST", Some(upload)) => self.complete(&asked, &key, upload).await,
            ("DELETE", Some(upload)) => self.bucket.abort(&key, upload).await.map(|()| Answer::new(204, "")),
            ("HEAD", None) => self.head(&key, query.get("versionId").map(String::as_str)).await,
            ("GET", None) => self.versions(&query["prefix"]).await,
            _ => Ok(error(501, "NotImplemented")),
        };
        done.unwrap_or_else(|failed| match failed {
            ObjectsError::Missing { .. } => error(404, "NoSuchUpload"),
            ObjectsError::Mismatch { .. } => error(400, "BadDigest"),
            other => panic!("{other:?}"),
        })
    }

    async fn begin(&self, asked: &Asked, key: &str) -> Result<Answer, ObjectsError> {
        let meta = |(name, value): (&String, &String)| {
            Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.clone()))
        };
        let metadata = asked.headers.iter().filter_map(meta).collect();
        let upload = self.bucket.begin(key, &Attributes { metadata, ..Attributes::default() }).await?;
        Ok(xml(format!(
            "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        )))
    }

    async fn put(
        &self,
        asked: &Asked,
        query: &BTreeMap<String, String>,
        key: &str,
        upload: &str,
    ) -> Result<Answer, ObjectsError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Ok(error(500, "InternalError"));
        }
        if !self.is_signed(asked, query) {
            return Ok(error(403, "SignatureDoesNotMatch"));
        }
        let sum = asked.headers.get(SUM).and_then(|sum| sum.parse().ok());
        let (Some(sum), Some(number)) = (sum, query.get("partNumber").and_then(|n| n.parse().ok())) else {
            return Ok(error(400, "InvalidRequest"));
        };
        let part = self.bucket.put_part(key, upload, number, asked.body.clone().into(), sum).await?;
        Ok(Answer::new(200, "").with("etag", part.etag))
    }

    /// Whether the signature in the query is that of this very request, and still good.
    fn is_signed(&self, asked: &Asked, query: &BTreeMap<String, String>) -> bool {
        let of = |name: &str| query.get(name).cloned().unwrap_or_default();
        let (date, expires) = (of("X-Amz-Date"), of("X-Amz-Expires"));
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);
        if of("X-Amz-Credential") != format!("{ACCESS_KEY}/{scope}") || self.is_late(&date, &expires) {
            return false;
        }
        let mut pairs: Vec<_> =
            asked.query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
        pairs.sort_unstable();
        let signed = of("X-Amz-SignedHeaders");
        let mut headers = String::new();
        for name in signed.split(';') {
            let Some(value) = asked.headers.get(name) else { return false };
            writeln!(headers, "{name}:{value}").unwrap();
        }
        let request =
            format!("PUT\n{}\n{}\n{headers}\n{signed}\nUNSIGNED-PAYLOAD", asked.path, pairs.join("&"));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let start = format!("AWS4{SECRET}").into_bytes();
        let words = [&date[..8], self.region, "s3", "aws4_request", &text];
        let signature = words.iter().fold(start, |key, word| hmac(&key, word.as_bytes()));
        hex(&signature) == of("X-Amz-Signature")
    }

    fn is_late(&self, date: &str, expires: &str) -> bool {
        let signed_s = seconds(date);
        let now = sealane::ports::Clock::now(&sealane::aws::SystemClock).as_millis() / 1_000;
        now + self.ahead_s.load(Ordering::SeqCst) > signed_s + expires.parse::<u64>().unwrap_or_default()
    }

    /// A page of two parts, so that whoever looks at the first one only joins too few.
    async fn list(&self, key: &str, upload: &str, after: Option<&String>) -> Result<Answer, ObjectsError> {
        let after: u32 = after.map_or(0, |after| after.parse().unwrap());
        let parts = self.bucket.parts(key, upload).await?;
        let last = parts.iter().map(|part| part.number).max().unwrap_or_default();
        let page: Vec<_> = parts.into_iter().filter(|part| part.number > after).take(2).collect();
        let end = page.last().map_or(after, |part| part.number);
        let mut text = format!(
            "<ListPartsResult><IsTruncated>{}</IsTruncated><NextPartNumberMarker>{end}</NextPartNumberMarker>",
            end < last
        );
        for Part { number, etag, size_bytes, checksum } in page {
            let sum = checksum.map(|sum| sum.to_string()).unwrap_or_default();
            text += &format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>{size_bytes}</Size>\
                 <ChecksumCRC64NVME>{sum}</ChecksumCRC64NVME></Part>"
            );
        }
        Ok(xml(text + "</ListPartsResult>"))
    }

    async fn complete(&self, asked: &Asked, key: &str, upload: &str) -> Result<Answer, ObjectsError> {
        let body = String::from_utf8(asked.body.clone()).unwrap();
        let between = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
            rest.split_once(&format!("</{name}>")).unwrap().0.replace("&quot;", "\"")
        };
        let parts: Vec<_> = body
            .split("<Part>")
            .skip(1)
            .map(|part| Part {
                number: between(part, "PartNumber").parse().unwrap(),
                etag: between(part, "ETag"),
                size_bytes: 0,
                checksum: Some(between(part, "ChecksumCRC64NVME").parse().unwrap()),
            })
            .collect();
        let sum = asked.headers.get(SUM).and_then(|sum| sum.parse().ok());
        let stored = self.bucket.complete(key, upload, &parts, sum, &Onto::Anything).await?;
        let answer = xml("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>".to_owned());
        Ok(answer.with("x-amz-version-id", stored.version_id.unwrap()))
    }

    async fn versions(&self, prefix: &str) -> Result<Answer, ObjectsError> {
        let listed = self.bucket.list_versions(prefix, None, 1_000).await?;
        let version = |found: &ListedVersion| {
            let kind = if found.is_marker { "DeleteMarker" } else { "Version" };
            let key = found.key.replace('&', "&amp;").replace('<', "&lt;");
            format!("<{kind}><Key>{key}</Key><VersionId>{}</VersionId></{kind}>", found.version_id)
        };
        let versions: String = listed.entries.iter().map(version).collect();
        Ok(xml(format!("<ListVersionsResult>{versions}</ListVersionsResult>")))
    }

    async fn head(&self, key: &str, version: Option<&str>) -> Result<Answer, ObjectsError> {
        let Some(head) = self.bucket.head(key, version).await? else { return Ok(Answer::new(404, "")) };
        let answer = Answer::new(200, "").with("content-length", head.size_bytes.to_string());
        let answer = answer.with(SUM, head.checksum.unwrap().to_string());
        let answer = answer.with("x-amz-version-id", head.version_id.unwrap());
        let meta = head.attributes.metadata;
        Ok(meta.into_iter().fold(answer, |a, (name, value)| a.with(&format!("x-amz-meta-{name}"), value)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC with SHA-256, as RFC 2104 has it.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    let pad =
        |with: u8| -> Vec<u8> { (0..64).map(|n| key.get(n).copied().unwrap_or_default() ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// Seconds since the epoch of a time like `20261123T020000Z`.
fn seconds(date: &str) -> u64 {
    let of = |from: usize, to: usize| date[from..to].parse::<u64>().unwrap();
    let (year, month, day) = (of(0, 4), of(4, 6), of(6, 8));
    // The year begins in March, so that a leap day ends it.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + of(9, 11) * 3_600 + of(11, 13) * 60 + of(13, 15)
}
