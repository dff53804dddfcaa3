//! S3's protocol, as far as the adapter speaks it.

mod described;
mod listing;

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use sealane::{
    checksum::Checksum,
    ports::{Attributes, Headers},
    region::RegionName,
};
use tokio::time::sleep;

use super::{
    Cloud,
    answer::Answer,
    lock,
    network::{Link, Place, Service},
    objects::{Claimed, ObjectState, S3Error},
    serve::Served,
};

/// Bytes that a caller or a copy moves in a second.
const BYTES_A_SECOND: u64 = 100_000_000;

/// Parts on one page of a listing.
const PARTS_A_PAGE: usize = 1000;

/// What a header must start with to be user metadata.
const METADATA: &str = "x-amz-meta-";

/// A request, taken apart.
#[derive(Debug)]
struct Asked {
    bucket: String,
    key: String,
    query: BTreeMap<String, String>,
    request: http::Request<Bytes>,
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The pairs of a query, or of the header that names tags.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value)))
}

impl Asked {
    fn of(request: http::Request<Bytes>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = pairs(request.uri().query().unwrap_or_default()).collect();
        Self { bucket: bucket.to_owned(), key: decoded(key), query, request }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    fn of_query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    fn upload(&self) -> &str {
        self.of_query("uploadId").unwrap_or_default()
    }

    fn part(&self) -> Result<u32, S3Error> {
        let number = self.of_query("partNumber").and_then(|n| n.parse().ok());
        number.filter(|n| (1..=10_000).contains(n)).ok_or(S3Error(400, "InvalidArgument"))
    }

    fn checksum(&self) -> Result<Option<Checksum>, S3Error> {
        let said = self.header("x-amz-checksum-crc64nvme");
        said.map(str::parse).transpose().map_err(|_| S3Error(400, "InvalidRequest"))
    }

    fn attributes(&self) -> Attributes {
        let metadata = self.request.headers().iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(METADATA)?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        });
        let text = |name: &str| self.header(name).map(str::to_owned);
        Attributes {
            content_type: text("content-type"),
            headers: Headers {
                cache_control: text("cache-control"),
                content_disposition: text("content-disposition"),
                content_encoding: text("content-encoding"),
                content_language: text("content-language"),
            },
            storage_class: text("x-amz-storage-class"),
            metadata: metadata.collect(),
            tags: pairs(self.header("x-amz-tagging").unwrap_or_default()).collect(),
        }
    }

    fn operation(&self) -> Option<&'static str> {
        let copies = self.header("x-amz-copy-source").is_some();
        let (uploads, upload) = (self.query.contains_key("uploads"), self.query.contains_key("uploadId"));
        match (self.request.method().as_str(), uploads, upload, copies) {
            ("PUT", false, false, false) => Some("put"),
            ("PUT", false, false, true) => Some("copy"),
            ("PUT", false, true, false) => Some("put-part"),
            ("PUT", false, true, true) => Some("copy-part"),
            ("GET", false, false, false) if self.query.contains_key("tagging") => Some("tags"),
            ("GET", false, false, false) if self.query.contains_key("versions") => Some("versions"),
            ("DELETE", false, false, false) => Some("delete"),
            ("GET", false, false, false) => Some("get"),
            ("GET", false, true, false) => Some("parts"),
            ("GET", true, false, false) => Some("uploads"),
            ("HEAD", false, false, false) => Some("head"),
            ("POST", true, false, false) => Some("begin"),
            ("POST", false, true, false) => Some("complete"),
            ("DELETE", false, true, false) => Some("abort"),
            _ => None,
        }
    }
}

/// A range as HTTP writes it, whose end is inclusive.
fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some(from.parse().ok()?..to.parse::<u64>().ok()?.checked_add(1)?)
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The parts that the body of a completion lists.
fn claimed(body: &[u8]) -> Result<Vec<Claimed>, S3Error> {
    let malformed = S3Error(400, "MalformedXML");
    let xml = std::str::from_utf8(body).map_err(|_| malformed)?;
    let parts = xml.split("<Part>").skip(1).map(|part| {
        let number = element(part, "PartNumber").and_then(|n| n.parse().ok()).ok_or(malformed)?;
        let etag = element(part, "ETag").ok_or(malformed)?.replace("&quot;", "\"").replace("&#34;", "\"");
        let checksum = element(part, "ChecksumCRC64NVME").and_then(|c| c.parse().ok());
        Ok(Claimed { number, etag, checksum })
    });
    parts.collect()
}

fn error(S3Error(status, code): S3Error) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    Answer { status, ..Answer::ok(body) }.with("content-type", "application/xml")
}

/// The headers of a version.
fn described(answer: Answer, object: &ObjectState) -> Answer {
    let answer = answer.with("etag", &object.etag).with("x-amz-version-id", &object.version_id);
    answer.with("x-amz-checksum-crc64nvme", object.checksum.to_string())
}

fn xml(body: String) -> Answer {
    Answer::ok(body).with("content-type", "application/xml")
}

/// What a copy reads.
struct Source {
    region: RegionName,
    object: Arc<ObjectState>,
}

impl Cloud {
    pub(super) async fn serve_s3(&self, link: &Link, request: http::Request<Bytes>) -> Served {
        let asked = Asked::of(request);
        let operation = asked.operation().unwrap_or("call");
        let done = match self.admitted(link, &asked) {
            Ok(()) => self.act(link, &asked, operation).await,
            Err(refused) => Err(refused),
        };
        let (result, answer) = match done {
            Ok((result, answer)) => (result, answer),
            Err(refused) => (refused.1.to_owned(), error(refused)),
        };
        let key = format!("{}/{}", asked.bucket, asked.key);
        Served { operation, key, result, answer: Some(answer) }
    }

    fn admitted(&self, link: &Link, asked: &Asked) -> Result<(), S3Error> {
        let owner = self.0.config.account_id.as_deref();
        let said = ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"];
        if said.iter().any(|name| asked.header(name).is_some_and(|said| Some(said) != owner)) {
            return Err(S3Error(403, "AccessDenied"));
        }
        let conditions = ["if-match", "if-none-match"].iter().any(|name| asked.header(name).is_some());
        if conditions && !matches!(asked.operation(), Some("copy" | "complete")) {
            return Err(S3Error(501, "NotImplemented"));
        }
        let of_bucket = matches!(asked.operation(), Some("uploads" | "versions"));
        if asked.key.is_empty() != of_bucket || asked.key.len() > 1024 {
            return Err(S3Error(400, "KeyTooLongError"));
        }
        let region = lock(&self.0.buckets).get(&asked.bucket)?.region;
        if region == link.to { Ok(()) } else { Err(S3Error(301, "PermanentRedirect")) }
    }

    async fn act(&self, link: &Link, asked: &Asked, operation: &str) -> Result<(String, Answer), S3Error> {
        match operation {
            "put" => {
                moved(asked.request.body().len()).await;
                let (body, said) = (asked.request.body().clone(), asked.checksum()?);
                let made = self.create(asked, body, said, "Put")?;
                Ok((made.version_id.clone(), described(Answer::ok(""), &made)))
            }
            "copy" => {
                let source = self.source(link, asked).await?;
                moved(source.object.body.len()).await;
                self.holds(asked)?;
                let made = self.create(asked, source.object.body.clone(), None, "Copy")?;
                let body = format!(
                    "<CopyObjectResult><ETag>{}</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME></CopyObjectResult>",
                    made.etag, made.checksum
                );
                Ok((made.version_id.clone(), xml(body).with("x-amz-version-id", &made.version_id)))
            }
            "copy-part" => {
                let source = self.source(link, asked).await?;
                let wanted = asked.header("x-amz-copy-source-range").and_then(range);
                let body = match wanted {
                    Some(wanted) => source.object.slice(&wanted)?,
                    None => source.object.body.clone(),
                };
                moved(body.len()).await;
                self.put_part(asked, body, None, true)
            }
            "put-part" => {
                moved(asked.request.body().len()).await;
                self.put_part(asked, asked.request.body().clone(), asked.checksum()?, false)
            }
            "get" => {
                let (object, body) = self.read(asked)?;
                moved(body.len()).await;
                Ok((format!("{} {} bytes", object.version_id, body.len()), got(&object, body, asked)))
            }
            "head" => self.head(asked),
            "begin" => self.begin(asked),
            "uploads" => self.uploads(asked),
            "parts" => self.parts(asked),
            "complete" => self.complete(asked),
            "tags" => self.tags(asked),
            "versions" => self.versions(asked),
            "delete" => self.delete_version(asked),
            "abort" => {
                lock(&self.0.buckets).abort(&asked.bucket, &asked.key, asked.upload())?;
                Ok(("gone".to_owned(), Answer { status: 204, ..Answer::ok("") }))
            }
            _ => Err(S3Error(501, "NotImplemented")),
        }
    }

    /// Whether the key holds what the conditions of a write say.
    fn holds(&self, asked: &Asked) -> Result<(), S3Error> {
        let buckets = lock(&self.0.buckets);
        let held = buckets.get(&asked.bucket)?.object(&asked.key, None).ok();
        let tag = |text: &str| text.trim_matches('"').to_owned();
        let lacks = asked.header("if-none-match").is_some_and(|_| held.is_some());
        if asked.header("if-match").is_some() && held.is_none() {
            return Err(S3Error(404, "NoSuchKey"));
        }
        let differs = |wanted: &str| held.is_some_and(|held| tag(&held.etag) != tag(wanted));
        let fails = lacks || asked.header("if-match").is_some_and(differs);
        if fails { Err(S3Error(412, "PreconditionFailed")) } else { Ok(()) }
    }

    fn create(
        &self,
        asked: &Asked,
        body: Bytes,
        said: Option<Checksum>,
        how: &str,
    ) -> Result<Arc<ObjectState>, S3Error> {
        let (now, attributes) = (self.now(), asked.attributes());
        let made = lock(&self.0.buckets).put(&asked.bucket, &asked.key, body, said, attributes, now)?;
        self.made(asked, &made, how);
        Ok(made)
    }

    fn made(&self, asked: &Asked, made: &ObjectState, how: &str) {
        let region = lock(&self.0.buckets).get(&asked.bucket).map(|bucket| bucket.region);
        if let Ok(region) = region {
            self.announce(region, &asked.bucket, &asked.key, made, how);
        }
    }

    fn put_part(
        &self,
        asked: &Asked,
        body: Bytes,
        said: Option<Checksum>,
        copied: bool,
    ) -> Result<(String, Answer), S3Error> {
        let at = (asked.key.as_str(), asked.upload());
        let part = lock(&self.0.buckets).put_part(&asked.bucket, at, asked.part()?, body, said)?;
        let result = format!("part {}", asked.part()?);
        if copied {
            let body = format!(
                "<CopyPartResult><ETag>{}</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME></CopyPartResult>",
                part.etag, part.checksum
            );
            return Ok((result, xml(body)));
        }
        let answer = Answer::ok("").with("etag", part.etag);
        Ok((result, answer.with("x-amz-checksum-crc64nvme", part.checksum.to_string())))
    }

    /// What a copy reads, over the way between the regions.
    async fn source(&self, link: &Link, asked: &Asked) -> Result<Source, S3Error> {
        let header = asked.header("x-amz-copy-source").unwrap_or_default();
        let (path, version) = match header.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (header, None),
        };
        let (bucket, key) =
            path.trim_start_matches('/').split_once('/').ok_or(S3Error(400, "InvalidArgument"))?;
        let pinned = asked.header("x-amz-copy-source-if-match");
        let find = || lock(&self.0.buckets).source(bucket, &decoded(key), version, pinned);
        let region = lock(&self.0.buckets).get(bucket)?.region;
        if region != link.to {
            let way = Link { from: Place::Region(link.to), to: region, service: Service::S3 };
            if !self.network().linked(link.to, region, Service::S3) {
                return Err(S3Error(500, "InternalError"));
            }
            sleep(self.network().one_way(&way) + self.network().one_way(&way)).await;
        }
        find()
            .map(|(region, object)| Source { region, object })
            .inspect(|source| debug_assert_eq!(source.region, region))
    }

    fn read(&self, asked: &Asked) -> Result<(Arc<ObjectState>, Bytes), S3Error> {
        let buckets = lock(&self.0.buckets);
        let object = buckets.get(&asked.bucket)?.object(&asked.key, asked.of_query("versionId"))?;
        let body = match asked.header("range") {
            None => object.body.clone(),
            Some(wanted) => object.slice(&range(wanted).ok_or(S3Error(501, "NotImplemented"))?)?,
        };
        Ok((Arc::clone(object), body))
    }

    fn head(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let buckets = lock(&self.0.buckets);
        let found = buckets.get(&asked.bucket)?.object(&asked.key, asked.of_query("versionId"));
        let object = match found {
            Ok(object) => object,
            // The answer to a HEAD has no body to hold a code.
            Err(S3Error(status, code)) => {
                return Ok((code.to_owned(), Answer { status, ..Answer::ok("") }));
            }
        };
        let answer = described::attributed(described(Answer::ok(""), object), object);
        let answer = answer.with("content-length", object.body.len().to_string());
        Ok((object.version_id.clone(), answer))
    }

    fn begin(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let id = lock(&self.0.buckets).begin(&asked.bucket, &asked.key, asked.attributes())?;
        let body = format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        Ok((id, xml(body)))
    }

    fn parts(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let after = asked.of_query("part-number-marker").and_then(|n| n.parse().ok()).unwrap_or(0_u32);
        let buckets = lock(&self.0.buckets);
        let parts = buckets.get(&asked.bucket)?.parts(&asked.key, asked.upload())?;
        let mut rest = parts.range(after + 1..);
        let (mut body, mut last) = (String::from("<ListPartsResult>"), after);
        for (number, part) in rest.by_ref().take(PARTS_A_PAGE) {
            last = *number;
            body += &format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><Size>{}</Size>\
                 <ChecksumCRC64NVME>{}</ChecksumCRC64NVME></Part>",
                part.etag,
                part.body.len(),
                part.checksum
            );
        }
        let more = rest.next().is_some();
        body += &format!(
            "<IsTruncated>{more}</IsTruncated><NextPartNumberMarker>{last}</NextPartNumberMarker></ListPartsResult>"
        );
        Ok((format!("{} parts", parts.len()), xml(body)))
    }

    fn tags(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let buckets = lock(&self.0.buckets);
        let object = buckets.get(&asked.bucket)?.object(&asked.key, asked.of_query("versionId"))?;
        let tags = object.attributes.tags.iter();
        let tags: String =
            tags.map(|(name, value)| format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>")).collect();
        Ok((object.version_id.clone(), xml(format!("<Tagging><TagSet>{tags}</TagSet></Tagging>"))))
    }

    fn delete_version(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let Some(version) = asked.of_query("versionId") else { return Err(S3Error(501, "NotImplemented")) };
        lock(&self.0.buckets).remove(&asked.bucket, &asked.key, version)?;
        Ok((version.to_owned(), Answer { status: 204, ..Answer::ok("") }))
    }

    fn complete(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let claimed = claimed(asked.request.body())?;
        let (at, now) = ((asked.key.as_str(), asked.upload()), self.now());
        let said = asked.checksum()?;
        lock(&self.0.buckets).get(&asked.bucket)?.parts(&asked.key, asked.upload())?;
        self.holds(asked)?;
        let made = lock(&self.0.buckets).complete(&asked.bucket, at, &claimed, said, now)?;
        self.made(asked, &made, "CompleteMultipartUpload");
        let body = format!(
            "<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>",
            made.etag
        );
        Ok((made.version_id.clone(), xml(body).with("x-amz-version-id", &made.version_id)))
    }

    /// Every version of every object in the bucket of `region`, by key, oldest first.
    pub fn objects(&self, region: RegionName) -> BTreeMap<String, Vec<Arc<ObjectState>>> {
        lock(&self.0.buckets).in_region(region).map(|b| b.all().clone()).unwrap_or_default()
    }

    /// Writes an object as a user does, who is told at once, and S3 tells of it.
    pub fn store(&self, region: RegionName, key: &str, body: Bytes) {
        let Some(bucket) = self.0.config.region(region).and_then(|r| r.bucket.clone()) else { return };
        let (now, attributes) = (self.now(), Attributes::default());
        let made = lock(&self.0.buckets).put(&bucket, key, body, None, attributes, now);
        if let Ok(made) = made {
            self.announce(region, &bucket, key, &made, "Put");
        }
    }

    /// Deletes an object as a user does: a delete marker hides its versions.
    pub fn hide(&self, region: RegionName, key: &str) {
        let now = self.now();
        lock(&self.0.buckets).hide(region, key, now);
        self.0.trace.note(now, format_args!("{region} s3 hid {key}"));
    }

    /// Keys of the uploads in `region` that are neither completed nor aborted.
    pub fn unfinished_uploads(&self, region: RegionName) -> Vec<String> {
        lock(&self.0.buckets).in_region(region).map(|b| b.unfinished()).unwrap_or_default()
    }

    /// Flips a bit of the newest version of an object; `false` if there is nothing to flip.
    pub fn damage(&self, region: RegionName, key: &str) -> bool {
        lock(&self.0.buckets).damage(region, key)
    }
}

/// Passes the time that so many bytes take.
async fn moved(bytes: usize) {
    let micros = bytes as u64 * 1_000_000 / BYTES_A_SECOND;
    if micros >= 1000 {
        sleep(Duration::from_micros(micros)).await;
    }
}

fn got(object: &ObjectState, body: Bytes, asked: &Asked) -> Answer {
    let (len, size) = (body.len() as u64, object.body.len());
    let mut answer = described::attributed(Answer::ok(body).with("etag", &object.etag), object);
    answer = answer.with("x-amz-version-id", &object.version_id).with("content-length", len.to_string());
    if let Some(wanted) = asked.header("range").and_then(range) {
        answer.status = 206;
        let last = (wanted.start + len).saturating_sub(1);
        answer = answer.with("content-range", format!("bytes {}-{last}/{size}", wanted.start));
    }
    answer
}
